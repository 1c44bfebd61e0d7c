"""Rows about OpenAI's event streams: 36 to 45."""

import json
import socket
import time
from typing import Any

from compatibility.headers import chat
from compatibility.paths import ASK
from compatibility.table import played, row
from entrepot.prove.script import script_text
from tape_house import CHAT, MODEL, Reply, TapeHouse

USAGE = {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13}
BASE = {"id": "chatcmpl-9", "object": "chat.completion.chunk", "created": 1_700_000_000, "model": "gpt-5.2-2025-12-11"}
WANTED = {"stream": True, "stream_options": {"include_usage": True}}


def event(choices: list[Any], usage: Any = None, **more: Any) -> str:
    return "data: " + json.dumps({**BASE, "choices": choices, "usage": usage, **more}) + "\n\n"


def delta(index: int = 0, finish: str | None = None, **said: Any) -> dict[str, Any]:
    return {"index": index, "delta": said, "finish_reason": finish}


DONE = "data: [DONE]\n\n"
CLOSING = (event([delta(finish="stop")]), event([], USAGE), DONE)
PLAIN = (event([delta(role="assistant", content="")]), event([delta(content="quay")]), *CLOSING)
LINE_ENDS = played(
    "line-ends", ": a comment\n\n", PLAIN[0].replace("\n", "\r\n"), PLAIN[1].replace("\n", "\r"), ":\n\n", *PLAIN[2:],
    stream=True,
)  # fmt: skip
WORDY = played(
    "wordy", PLAIN[0], event([delta(content="data: [DONE]\n\n")], obfuscation="aXb"),
    event([delta(content="[DONE]")]), *CLOSING, stream=True,
)  # fmt: skip
CALLED = [{"index": 0, "id": "call_1", "type": "function", "function": {"name": "f", "arguments": ""}}]
TOOLS = played(
    "tools", event([delta(role="assistant", content=None, tool_calls=CALLED)]),
    *(event([delta(tool_calls=[{"index": 0, "function": {"arguments": part}}])]) for part in ('{"a', '": 1', "}")),
    event([delta(finish="tool_calls")]), event([], USAGE), DONE, stream=True,
)  # fmt: skip
CHOICES = played(
    "choices", *(event([delta(index, role="assistant", content="")]) for index in (0, 1)),
    *(event([delta(index, content=text)]) for index, text in ((1, "b"), (0, "a"), (1, "b"), (0, "a"))),
    event([delta(1, finish="stop")]), event([delta(0, finish="length")]), event([], USAGE), DONE, stream=True,
)  # fmt: skip
SLOWLY = played("slowly", *PLAIN, stream=True, wait_ms=300)
BROKEN = played("broken", *PLAIN[:2], stream=True, ends=False)
SAID = json.dumps({"error": {"message": "overloaded", "type": "server_error", "param": None, "code": "overloaded"}})
ERRS = played("errs", *PLAIN[:2], f"data: {SAID}\n\n", stream=True)


def streamed(house: TapeHouse, user: str, **more: Any) -> Reply:
    return chat(house, user=user, **{**WANTED, **more})


def recorded(name: str) -> str:
    from compatibility.table import TAPE

    (found,) = (one for one in TAPE if name == f"tape {one['name']}")
    return "".join(piece for _, piece in found["pieces"])


@row(36, "a stream", "`text/event-stream`; each event `data: {json}` and an empty line; last `data: [DONE]`")
def framing(house: TapeHouse) -> None:
    reply = chat(house, **WANTED)
    assert reply.headers["content-type"] == "text/event-stream"
    assert reply.body.endswith(DONE.encode())
    *events, done = reply.events
    assert done == "[DONE]"
    assert all(isinstance(json.loads(one), dict) for one in events)
    assert "".join(f"data: {one}\n\n" for one in reply.events) == reply.body.decode()


@row(36, "a vendor that sends comments, CR and CRLF", "passed on as they came, metered")
def line_ends(house: TapeHouse) -> None:
    reply = streamed(house, LINE_ENDS)
    assert reply.body == recorded(LINE_ENDS).encode()
    assert house.ending(reply).quantities[:4] == (9, 0, 0, 4)


@row(37, "a stream's chunks", "`chat.completion.chunk`, one `id`; first delta with `role`, last with `finish_reason`")
def chunks(house: TapeHouse) -> None:
    events = [json.loads(one) for one in chat(house, stream=True).events[:-1]]
    assert {(one["object"], one["id"], one["created"], one["model"]) for one in events} == {
        ("chat.completion.chunk", events[0]["id"], events[0]["created"], events[0]["model"])
    }
    assert events[0]["choices"][0]["delta"]["role"] == "assistant"
    assert [one["choices"][0]["finish_reason"] for one in events][-1] == "stop"


@row(38, "`stream_options.include_usage`", "a last chunk with `choices: []` and `usage`; all others `usage: null`")
def usage_wanted(house: TapeHouse) -> None:
    *events, last = [json.loads(one) for one in chat(house, **WANTED).events[:-1]]
    assert (last["choices"], last["usage"]["total_tokens"]) == ([], 30)
    assert all(one["usage"] is None for one in events)


@row(38, "a stream that did not ask for usage", "metered all the same, without the chunk that only we asked for")
def usage_not_wanted(house: TapeHouse) -> None:
    for options in ({}, {"stream_options": None}, {"stream_options": {"include_usage": False}}):
        reply = chat(house, stream=True, **options)
        events = [json.loads(one) for one in reply.events[:-1]]
        assert all(one["choices"] for one in events)
        assert not any(one.get("usage") for one in events)
        assert sum(house.ending(reply).quantities) == 30


@row(39, "`stream_options.include_obfuscation`", "forwarded; `obfuscation` passed on")
def obfuscation(house: TapeHouse) -> None:
    options = {"include_usage": True, "include_obfuscation": True}
    heard = house.heard(chat(house, stream=True, stream_options=options, user="echo"))
    assert json.loads(heard["body"])["stream_options"] == options
    assert any(json.loads(one).get("obfuscation") == "aXb" for one in streamed(house, WORDY).events[:-1])


@row(40, "a vendor that breaks off in the middle", "`data:` with a top-level `error`, in the client's dialect")
def broken(house: TapeHouse) -> None:
    reply = streamed(house, BROKEN)
    assert reply.status == 200
    assert set(json.loads(reply.events[-1])["error"]) == {"message", "type", "param", "code"}
    assert house.ending(reply).charge == 0


@row(40, "a vendor that sends an error event", "passed on")
def error_event(house: TapeHouse) -> None:
    assert json.loads(streamed(house, ERRS).events[2])["error"]["code"] == "overloaded"


@row(41, "answers that say `[DONE]` and `data: [DONE]`", "no event begins with `[DONE]` but the last")
def done_once(house: TapeHouse) -> None:
    reply = streamed(house, WORDY)
    assert reply.body == recorded(WORDY).encode()
    assert [one.startswith("[DONE]") for one in reply.events] == [False] * (len(reply.events) - 1) + [True]


@row(42, "tool calls in a stream", "`index`, `id` and `function.name` first, then fragments of `arguments`: unchanged")
def tool_deltas(house: TapeHouse) -> None:
    assert streamed(house, TOOLS).body == recorded(TOOLS).encode()


@row(43, "`n` above 1 in a stream", "choices interleave by `index`: unchanged")
def interleaved(house: TapeHouse) -> None:
    assert streamed(house, CHOICES, n=2).body == recorded(CHOICES).encode()


@row(44, "a stream, from a client that accepts gzip", "not compressed; `no-cache`, `X-Accel-Buffering: no`")
def no_buffering_headers(house: TapeHouse) -> None:
    reply = chat(house, headers={"Accept-Encoding": "gzip, br"}, **WANTED)
    assert reply.headers["cache-control"] == "no-cache"
    assert reply.headers["x-accel-buffering"] == "no"
    assert "content-encoding" not in reply.headers
    assert "content-length" not in reply.headers


def timed(house: TapeHouse, **fields: Any) -> list[tuple[float, bytes]]:
    """What came when, in seconds since the call was sent."""
    body = json.dumps({"model": MODEL, **ASK, **fields}).encode()
    head = f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {house.key}\r\nContent-Type: application/json\r\n"
    seen = []
    with socket.create_connection(("127.0.0.1", house.house.port), timeout=60) as line:
        line.sendall(f"{head}Connection: close\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
        began = time.monotonic()
        while data := line.recv(65536):
            seen.append((time.monotonic() - began, data))
    return seen


@row(44, "events that the vendor sends 0.3 s apart", "each is flushed when it comes")
def flushed(house: TapeHouse) -> None:
    seen = timed(house, stream=True, user=SLOWLY)
    first = next(at for at, data in seen if b'"role"' in data)
    second = next(at for at, data in seen if b"quay" in data)
    assert first < 0.28
    assert 0.2 < second - first < 0.45


@row(45, "a stream whose first token takes 16 s, and a whole answer that does",
     "comments every 10 to 15 s before the first token; none in JSON")  # fmt: skip
def keepalive(house: TapeHouse) -> None:
    slow = [{"role": "user", "content": script_text(fault="slow_first@16000", completion=1, events=1)}]
    seen = timed(house, messages=slow, stream=True)
    comments = [at for at, data in seen if b"\n: " in data or b"\n:\n" in data or data.lstrip().startswith(b":")]
    assert comments
    assert 9 <= comments[0] <= 15.5
    assert chat(house, messages=slow).json["object"] == "chat.completion"
