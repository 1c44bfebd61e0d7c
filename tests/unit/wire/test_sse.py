import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrepot.wire.sse import MAX_EVENT_BYTES, MAX_HELD_EVENT, EventTooLarge, Relay
from entrepot.wire.usage import chat_usage, read_event
from shared_data import rows


def event(value: object) -> bytes:
    return b"data: " + json.dumps(value, separators=(",", ":")).encode() + b"\n\n"


def chunk(text: str = "a", finish: str | None = None, **more: Any) -> bytes:
    return event(
        {"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": finish}], "usage": None, **more}
    )


CHUNK = chunk()
FINISH = chunk("", "stop")
COUNTS = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
USAGE = event({"choices": [], "usage": COUNTS})
DONE = b"data: [DONE]\n\n"


def run(parts: list[bytes], *, drop_usage: bool = False) -> tuple[bytes, bytes, Relay]:
    relay = Relay(drop_usage=drop_usage)
    forwarded, held = b"", b""
    for part in parts:
        forward, hold = relay.feed(part)
        forwarded += forward
        held += hold or b""
    return forwarded, held, relay


def test_holds_from_the_usage_on():
    forwarded, held, relay = run([CHUNK + CHUNK, FINISH, USAGE + DONE])
    assert forwarded == CHUNK + CHUNK + FINISH
    assert held == USAGE + DONE
    assert relay.usage_event == USAGE[6:-2]
    assert relay.done
    assert not relay.error
    assert relay.events == 2


ROLE = event({"choices": [{"index": 0, "delta": {"role": "assistant", "content": "", "refusal": None}}]})
EMPTY = event({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})


def delta(**fields: Any) -> bytes:
    return event({"choices": [{"index": 0, "delta": fields, "finish_reason": None}], "usage": None})


@pytest.mark.parametrize(
    ("stream", "events"),
    [
        ([ROLE, CHUNK, CHUNK, FINISH, EMPTY, USAGE, DONE], 2),
        ([ROLE, CHUNK * 40, delta(reasoning_content="hm"), delta(reasoning="hm"), delta(refusal="no"), DONE], 43),
        ([delta(role="assistant", content=None, tool_calls=[{"index": 0, "function": {"arguments": ""}}])], 1),
        ([delta(tool_calls=[{"index": 0, "function": {"arguments": "{}"}}]) * 3, delta(tool_calls=[]), DONE], 3),
        ([delta(function_call={"arguments": "{"}), delta(audio={"data": "AA"})], 2),
        ([delta(content='"content":"x","content":""') * 2, delta(content="", note='"content":"x"')], 2),
        (
            [
                delta(content="later", role="assistant"),
                delta(role="assistant", content="later") * 5,
                delta(content="x"),
            ],
            7,
        ),
        ([CHUNK.replace(b'":', b'" : ') * 7, ROLE.replace(b'":', b'": ')], 7),
        ([event({"choices": [{"index": 0, "text": ""}], "content": "top"})], 1),
        ([ROLE, FINISH, USAGE, DONE], 1),  # an answer of nothing is an answer
        ([USAGE, DONE], 1),
        ([DONE], 0),
        ([b"\n\n", b": keep-alive\n\n", DONE], 0),
        ([b"\n\n" + CHUNK + CHUNK], 2),
    ],
)
@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"])
def test_an_event_is_counted_if_its_delta_has_something_in_it(stream: list[bytes], events: int, line_end: bytes):
    data = b"".join(stream).replace(b"\n", line_end)
    bytewise = [data[i : i + 1] for i in range(len(data))]
    for parts in (stream, [data], bytewise):
        assert run(parts)[2].events == events


def test_what_cannot_begin_a_hold_passes_as_it_came():
    data = CHUNK * 20
    assert Relay().feed(data)[0] is data


def test_the_events_before_the_end_are_not_held_with_it():
    assert run([CHUNK * 9 + FINISH + USAGE + DONE])[:2] == (CHUNK * 9 + FINISH, USAGE + DONE)


def test_holds_from_the_end_on_where_no_usage_came():
    forwarded, held, relay = run([CHUNK + DONE])
    assert (forwarded, held) == (CHUNK, DONE)
    assert relay.usage_event is None


def test_the_usage_beside_the_finish_is_held_too():
    last = event({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "usage": COUNTS})
    assert run([CHUNK, last, DONE])[:2] == (CHUNK, last + DONE)


def test_a_running_total_is_remembered_and_passes():
    running = event({"choices": [{"index": 0, "delta": {}, "finish_reason": None}], "usage": COUNTS})
    forwarded, held, relay = run([running, running + DONE])
    assert (forwarded, held) == (running * 2, DONE)
    assert relay.usage_event == running[6:-2]


def test_the_usage_event_that_only_we_asked_for_is_taken_out():
    forwarded, held, relay = run([CHUNK, USAGE, DONE], drop_usage=True)
    assert (forwarded, held) == (CHUNK, DONE)
    assert relay.usage_event is not None
    answer = read_event(relay.usage_event)
    assert answer.usage == chat_usage(json.dumps(COUNTS, separators=(",", ":")).encode())


def test_a_usage_that_the_vendor_sends_with_choices_is_never_taken_out():
    last = event({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "usage": COUNTS})
    assert run([last], drop_usage=True)[1] == last


@pytest.mark.parametrize(
    "quiet",
    [
        chunk('"usage":{"prompt_tokens":9}'),
        chunk("data: [DONE]"),
        chunk('{"error":"no"}'),
        chunk("x", error=None),
        event({"choices": [], "prompt_filter_results": [{"usage": {}}]}),
        b'data: {"usage": null}\n\n',
        b": keep-alive\n\n",
        b"id: 1\nretry: 5\n\n",
        b"data: not json [DONE]\n\n",
        b'data: {"usage":7}\n\n',
    ],
)
def test_what_only_looks_like_an_end_passes(quiet: bytes):
    assert run([quiet])[:2] == (quiet, b"")
    assert run([quiet[i : i + 1] for i in range(len(quiet))])[:2] == (quiet, b"")


def test_an_error_is_held_with_all_that_follows():
    error = event({"error": {"message": "m", "code": "server_error"}})
    forwarded, held, relay = run([CHUNK + error + CHUNK])
    assert (forwarded, held) == (CHUNK, error + CHUNK)
    assert relay.error
    assert not relay.done


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("space", [b"", b" "])
def test_every_line_end_of_the_specification(line_end: bytes, space: bytes):
    data = (CHUNK + b": c\n\n" + USAGE + DONE).replace(b"\n", line_end).replace(b"data: ", b"data:" + space)
    cut = data.index(b'data:%b{"choices":[],' % space)
    whole = run([data])
    assert whole[:2] == (data[:cut], data[cut:])
    parts = run([data[i : i + 1] for i in range(len(data))])
    assert parts[0] + parts[1] == data
    for relay in (whole[2], parts[2]):
        assert relay.done
        assert relay.usage_event is not None
        assert relay.events == 1


def test_the_lf_of_a_cut_crlf_is_not_kept_back():
    relay = Relay()
    assert relay.feed(b"data: {}\r\n\r") == (b"data: {}\r\n\r", None)
    assert relay.feed(b"\n")[0] == b"\n"


def test_json_over_several_data_lines_is_one_event():
    data = b'data: {"choices":[],\ndata: "usage":{"prompt_tokens":2}}\n\n'
    _, held, relay = run([data])
    assert held == data
    assert relay.usage_event == b'{"choices":[],\n"usage":{"prompt_tokens":2}}'


def test_an_incomplete_event_is_kept_back_and_given_out_at_the_end():
    relay = Relay()
    assert relay.feed(CHUNK + CHUNK[:20]) == (CHUNK, None)
    assert relay.retained == 20
    assert relay.end() == CHUNK[:20]
    assert relay.retained == 0


def test_an_event_above_64_kib_passes_through_and_is_still_read():
    large = event({"choices": [], "pad": "x" * 2 * MAX_HELD_EVENT, "usage": COUNTS})
    parts = [large[:40_000], large[40_000:66_000], large[66_000:-1], large[-1:] + DONE]
    forwarded, held, relay = run([CHUNK, *parts])
    assert (forwarded, held) == (CHUNK + large, DONE)
    assert relay.usage_event == large[6:-2]
    assert relay.retained == 0


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"])
def test_the_end_of_a_large_event_is_found_across_two_reads(line_end: bytes):
    large = event({"choices": [], "pad": "x" * MAX_HELD_EVENT}).replace(b"\n", line_end)
    for seam in range(1, 2 * len(line_end) + 1):
        forwarded, held, relay = run([large[:-seam], b"", large[-seam:], DONE])
        assert (forwarded, held, relay.events) == (large, DONE, 1)
        tail = [large[i : i + 1] for i in range(len(large) - seam, len(large))]
        assert run([large[:-seam], *tail, DONE])[:2] == (large, DONE)


def test_a_large_event_within_one_read_is_held_like_any_other():
    large = event({"choices": [], "pad": "x" * MAX_HELD_EVENT, "usage": COUNTS})
    assert run([CHUNK + large])[:2] == (CHUNK, large)


def test_an_event_above_16_mib_is_an_error():
    relay = Relay()
    relay.feed(b"data: " + b"x" * MAX_HELD_EVENT)
    for _ in range(MAX_EVENT_BYTES // 1_000_000):
        relay.feed(b"x" * 1_000_000)
    with pytest.raises(EventTooLarge):
        relay.feed(b"x" * 1_000_000)


blocks = st.sampled_from(
    [
        CHUNK,
        FINISH,
        USAGE,
        DONE,
        b": c\n\n",
        b"\n",
        b"event: x\ndata: {}\n\n",
        chunk("\u00e9\u2028"),
        event({"error": "e"}),
    ]
)


@given(
    st.lists(blocks, max_size=12), st.sampled_from([b"\n", b"\r\n", b"\r"]), st.lists(st.integers(0, 900), max_size=9)
)
def test_no_split_changes_what_is_read_or_loses_a_byte(stream: list[bytes], line_end: bytes, cuts: list[int]):
    data = b"".join(stream).replace(b"\n", line_end)
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    whole, parts = run([data]), run([data[a:b] for a, b in itertools.pairwise(edges)])
    for forwarded, held, relay in (whole, parts):
        assert forwarded + held + relay.end() == data
    one, two = whole[2], parts[2]
    assert (one.usage_event, one.done, one.error, one.events) == (two.usage_event, two.done, two.error, two.events)
    assert whole[1].lstrip(b"\r\n") == parts[1].lstrip(b"\r\n")


def test_recorded_streams_keep_their_usage_to_the_end():
    seen = 0
    for name in ("openai", "azure"):
        for row in rows(f"wire/provider_responses_{name}.jsonl.gz"):
            if row["kind"] != "sse_events" or row["events"][0].get("object") == "response":
                continue
            events = row["events"]
            if not any("choices" in each for each in events):
                continue
            data = b"".join(map(event, events)) + DONE
            forwarded, held, relay = run([data[i : i + 100] for i in range(0, len(data), 100)])
            assert forwarded + held == data
            assert relay.done
            wanted = [each for each in events if isinstance(each.get("usage"), dict)]
            if wanted:
                assert relay.usage_event is not None
                assert json.loads(relay.usage_event) == wanted[-1]
                assert held.startswith(event(wanted[-1])[:40])
                seen += 1
    assert seen >= 2
