"""What the fake vendor sends, fault by fault."""

import gzip
import json

import pytest

from entrepot.prove.answer import Answer, answer
from entrepot.prove.script import FAULTS, Call, Script


def call(fault: str = "", *, stream: bool = False, **script: int) -> Call:
    chosen = Script(prompt=7, completion=9, events=3, fault=fault, **script)  # type: ignore[arg-type]
    return Call(model="m", stream=stream, include_usage=True, completion=9, script=chosen)


def sent(result: Answer) -> bytes:
    return b"".join(data for _, data in result.pieces)


def payload(result: Answer) -> bytes:
    """The chunks of a stream, joined."""
    rest = sent(result).partition(b"\r\n\r\n")[2]
    found = b""
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        found += rest[: int(size, 16)]
        rest = rest[int(size, 16) + 2 :]
    return found


def test_a_whole_answer_reports_the_tokens_of_the_books() -> None:
    result = answer(call(), "chatcmpl-1")
    fields = json.loads(sent(result).partition(b"\r\n\r\n")[2])
    assert (fields["usage"]["prompt_tokens"], fields["usage"]["completion_tokens"]) == (7, 9)
    assert (result.prompt, result.completion, result.billed) == (7, 9, True)
    assert fields["choices"][0]["message"]["content"] == "tok " * 9


def test_a_stream_ends_with_usage_and_done() -> None:
    events = payload(answer(call(stream=True), "chatcmpl-1")).split(b"\n\n")
    assert events[-2] == b"data: [DONE]"
    usage = json.loads(events[-3].removeprefix(b"data: "))
    assert usage["choices"] == []
    assert usage["usage"]["total_tokens"] == 16
    text = "".join(json.loads(e[6:])["choices"][0]["delta"].get("content", "") for e in events[:-3])
    assert text == "tok " * 9


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("fault", [name for name in FAULTS if name != "endless_headers"])
def test_every_fault_makes_bytes_and_an_entry(fault: str, stream: bool) -> None:
    text = {"reset": "reset@120", "big_event": "big_event@1", "trickle": "trickle@1"}.get(fault, fault)
    result = answer(call(text, stream=stream), "chatcmpl-1")
    assert sent(result).startswith(b"HTTP/1.1 ")
    assert result.completion in (0, 9)
    assert result.billed is (fault not in ("status", "redirect", "early_answer"))


def test_a_reset_cuts_at_exactly_the_byte_asked_for() -> None:
    whole = sent(answer(call(), "chatcmpl-1"))
    for at in (0, 1, 17, 120, len(whole) - 1):
        assert sent(answer(call(f"reset@{at}"), "chatcmpl-1")) == whole[:at]


def test_split_utf8_never_writes_a_whole_wide_character() -> None:
    pieces = [data for _, data in answer(call("split_utf8"), "chatcmpl-1").pieces]
    assert all(sum(byte >= 0x80 for byte in data) <= 1 for data in pieces)
    assert "Grüße €𝄞" in b"".join(pieces).decode()


def test_a_gzip_answer_inflates_to_the_same_usage() -> None:
    whole = sent(answer(call("gzip"), "chatcmpl-1"))
    assert json.loads(gzip.decompress(whole.partition(b"\r\n\r\n")[2]))["usage"]["total_tokens"] == 16


def test_usage_twice_ends_with_the_right_one() -> None:
    assert json.loads(sent(answer(call("usage_twice"), "c")).partition(b"\r\n\r\n")[2])["usage"]["total_tokens"] == 16
    events = payload(answer(call("usage_twice", stream=True), "c")).split(b"\n\n")
    assert [json.loads(e[6:])["usage"]["completion_tokens"] for e in events[-4:-2]] == [4, 9]
