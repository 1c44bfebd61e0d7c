"""What the fuzzer asks of each reader: a corpus, pieces to insert, and a check against an independent reader.

A check returns whether the input was accepted; an AssertionError is a finding. h11 (a development dependency) is
the oracle of heads and chunks: what we accept it accepts with the same meaning. Where we are stricter, the reason given
must stand in the bytes (`STRICTER`).
"""

import random
import re
from collections.abc import Callable
from typing import Final

import msgspec

from entrepot.prove.fuzz_json import CHAT_BODIES, CHAT_PIECES, USAGE_PIECES, USAGES, check_openai, check_usage
from entrepot.wire.chunked import ChunkBroken, ChunkedReader
from entrepot.wire.http1 import (
    HeadBroken,
    RequestHead,
    ResponseHead,
    find_head_end,
    parse_request_head,
    parse_response_head,
)
from entrepot.wire.sse import Relay

try:
    import h11
except ImportError:  # not installed with the product: then heads and chunks are checked for consistency only
    h11 = None  # type: ignore[assignment]

Check = Callable[[bytes, random.Random], bool]


class Target(msgspec.Struct, frozen=True):
    """Inputs to begin with, pieces to insert, and the check."""

    corpus: tuple[bytes, ...]
    pieces: tuple[bytes, ...]
    check: Check


def splits(chance: random.Random, data: bytes) -> list[bytes]:
    """`data` in pieces of random sizes."""
    parts, at = [], 0
    while at < len(data):
        until = at + chance.choice((1, 1, 2, 3, 5, 8, 13, 64, 256))
        parts.append(data[at:until])
        at = until
    return parts


def bytewise(data: bytes) -> list[bytes]:
    return [data[i : i + 1] for i in range(len(data))]


# Heads

#: (fragment of our message, what must be so in the block): every reason for being stricter than h11.
STRICTER: Final[tuple[tuple[str, Callable[[bytes], bool]], ...]] = (
    ("more than once", lambda b: _repeats(b)),
    ("exclude each other", lambda b: b"content-length" in b.lower() and b"transfer-encoding" in b.lower()),
    ("HTTP/1.0 has no Transfer-Encoding", lambda b: b"HTTP/1.0" in b),
    ("is not a count of bytes", lambda b: re.search(rb"(?i)content-length:[^\n]*([0-9]{16}|,)", b) is not None),
    ("is above", lambda b: len(b) > 32 * 1024 or b.count(b"\n") > 100),
    ("LF alone", lambda b: re.search(rb"(?<!\r)\n", b) is not None),
    (
        "is not `name: value`",
        lambda b: re.search(rb"\n[ \t]|(?<!\r)\n|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|\r(?!\n)", b) is not None,
    ),
    ("Expect", lambda b: b"expect" in b.lower()),
    ("HTTP/1.1 is spoken", lambda b: b"HTTP/1.1" not in b.split(b"\n")[0]),
    ("goes with OPTIONS", lambda b: b" *" in b),
    (
        "the request line",
        lambda b: re.match(rb"[^ ]{1,32} (/[^ #]*|https?://[^ /?#]+[^ #]*|\*) HTTP/1\.[01]\r\n", b) is None,
    ),
    ("status line", lambda b: re.match(rb"HTTP/1\.[01] [1-5][0-9][0-9]( [\t -~\x80-\xff]*)?\r\n", b) is None),
)


def _repeats(block: bytes) -> bool:
    names = [name.strip().lower() for name in re.findall(rb"\n([^:\n]+):", block)]
    return len(set(names)) < len(names)


def _head_whole(data: bytes, parse: Callable[[bytes], object]) -> tuple[object, int]:
    """(head, error or None, where the head ends or -1)."""
    try:
        end = find_head_end(data)
        return (None if end < 0 else parse(data[:end])), end
    except HeadBroken as broken:
        return broken, -2


def _head_parts(parts: list[bytes], parse: Callable[[bytes], object]) -> tuple[object, int]:
    buffer, searched = bytearray(), 0
    for part in parts:
        buffer += part
        try:
            end = find_head_end(buffer, searched)
            if end >= 0:
                return parse(bytes(buffer[:end])), end
        except HeadBroken as broken:
            return broken, -2
        searched = len(buffer)
    return None, -1


def _check_head(data: bytes, chance: random.Random, parse: Callable[[bytes], object]) -> tuple[object, int]:
    head, end = _head_whole(data, parse)
    assert end <= len(data)
    for parts in (bytewise(data), splits(chance, data)):
        other, other_end = _head_parts(parts, parse)
        assert end == other_end, f"whole ends at {end}, in parts at {other_end}"
        assert isinstance(other, HeadBroken) or other == head, "whole and parts differ"
    if end > 0:
        again, _ = _head_whole(data[:end] + b"trailing \r\n\r\n bytes", parse)
        assert again == head, "what follows the head changed its meaning"
    return head, end


def _stricter(broken: HeadBroken, block: bytes) -> None:
    for fragment, holds in STRICTER:
        if fragment in broken.message:
            assert holds(block), f"refused without reason: {broken.message}"
            return
    raise AssertionError(f"h11 accepts what we refuse for a reason that is not listed: {broken.message}")


def _same_fields(ours: dict[bytes, bytes], theirs: list[tuple[bytes, bytes]]) -> None:
    joined: dict[bytes, bytes] = {}
    for name, value in theirs:
        joined[name] = joined[name] + b", " + value if name in joined else value
    joined = {name: value.lower() if name == b"transfer-encoding" else value for name, value in joined.items()}
    mine = {name: value.lower() if name == b"transfer-encoding" else value for name, value in ours.items()}
    assert mine == joined, f"fields differ: {mine} {joined}"


def check_request(data: bytes, chance: random.Random) -> bool:
    """Request heads, against h11 as a server."""
    head, end = _check_head(data, chance, parse_request_head)
    if end == -1 or h11 is None:
        return False
    block = data if end < 0 else data[:end]
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
    connection.receive_data(block)
    try:
        event = connection.next_event()
    except h11.RemoteProtocolError:
        event = None
    if isinstance(head, HeadBroken):
        if isinstance(event, h11.Request):
            _stricter(head, block)
        return False
    assert isinstance(head, RequestHead)
    assert isinstance(event, h11.Request), f"h11 refuses what we accept: {event!r}"
    assert (event.method, event.target) == (head.method, head.target)
    _same_fields(head.headers, list(event.headers))
    following = connection.next_event()
    bodiless = isinstance(following, h11.EndOfMessage)
    assert bodiless == (not head.chunked and not head.length), f"framing differs: {following!r}"
    waits = bool(connection.they_are_waiting_for_100_continue)
    assert waits == (head.expect_continue and not bodiless), "100-continue differs"
    assert (connection.their_state is not h11.MUST_CLOSE) == head.keep_alive if bodiless else True
    return True


def check_response(data: bytes, chance: random.Random) -> bool:
    """Response heads, against h11 as a client."""
    head, end = _check_head(data, chance, parse_response_head)
    if end == -1 or h11 is None:
        return False
    block = data if end < 0 else data[:end]
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=1 << 20)
    connection.send(h11.Request(method="POST", target="/", headers=[("Host", "a"), ("Content-Length", "0")]))
    connection.send(h11.EndOfMessage())
    connection.receive_data(block)
    try:
        event = connection.next_event()
    except h11.RemoteProtocolError:
        event = None
    answers = (h11.Response, h11.InformationalResponse)
    if isinstance(head, HeadBroken):
        if isinstance(event, answers):
            _stricter(head, block)
        return False
    assert isinstance(head, ResponseHead)
    assert isinstance(event, answers), f"h11 refuses what we accept: {event!r}"
    assert event.status_code == head.status
    _same_fields(head.headers, list(event.headers))
    if isinstance(event, h11.Response):
        following = connection.next_event()
        bodiless = isinstance(following, h11.EndOfMessage)
        assert bodiless == (head.no_body or (head.length == 0 and not head.chunked)), f"framing differs: {following!r}"
    return True


# Chunked bodies


def _read_chunks(parts: list[bytes]) -> tuple[bytes, bytes, bool, bool]:
    """(payload, rest, done, broken)."""
    reader, payload = ChunkedReader(), b""
    for part in parts:
        try:
            payload += reader.feed(part)
        except ChunkBroken:
            return b"", b"", False, True
    assert reader.end() == reader.done
    return payload, reader.rest, reader.done, False


def check_chunked(data: bytes, chance: random.Random) -> bool:
    """Chunked bodies, against h11 as a server."""
    whole = _read_chunks([data])
    assert whole == _read_chunks(bytewise(data)), "byte by byte differs"
    assert whole == _read_chunks(splits(chance, data)), "in parts it differs"
    payload, rest, done, broken = whole
    if done:
        assert data.endswith(rest)
        assert _read_chunks([data + b"GET / "]) == (payload, rest + b"GET / ", True, False)
    if h11 is None or broken:
        return not broken
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
    connection.receive_data(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + data)
    theirs, ended = b"", False
    connection.next_event()
    while not ended:
        event = connection.next_event()
        if isinstance(event, h11.Data):
            theirs += event.data
        elif isinstance(event, h11.EndOfMessage):
            ended = True
        else:
            break
    assert (theirs, ended) == (payload, done), "h11 reads another body"
    if done:
        assert connection.trailing_data[0] == rest
    return True


# Event streams


def _relay(parts: list[bytes]) -> tuple[bytes, bytes, bytes | None, bool, bool, int]:
    """(forwarded, held, usage event, done, error, events)."""
    relay = Relay()
    forwarded, held = b"", b""
    for part in parts:
        forward, hold = relay.feed(part)
        assert not (forward and held), "forwarded behind what is held"
        forwarded += forward
        held += hold or b""
    tail = relay.end()
    if held or relay.holding:
        held += tail
    else:
        forwarded += tail
    return forwarded, held, relay.usage_event, relay.done, relay.error, relay.events


_decode = msgspec.json.Decoder().decode


def _reference_stream(data: bytes) -> tuple[bytes | None, bool, bool, bool]:
    """(last usage event, done, error, anything to hold), read by the letter of the WHATWG specification."""
    usage: bytes | None = None
    done = error = hold = False
    lines: list[bytes] = []
    for line in re.split(rb"\r\n|\n|\r", data)[:-1]:
        if line:
            if line.startswith(b"data:"):
                lines.append(line[5:].removeprefix(b" "))
            continue
        value, lines = b"\n".join(lines), []
        if value.startswith(b"[DONE]"):
            done = hold = True
            continue
        try:
            event = _decode(value.decode(errors="replace"))
        except (msgspec.MsgspecError, ValueError, RecursionError):
            continue
        if not isinstance(event, dict):
            continue
        choices = event.get("choices")
        if choices is not None and not (isinstance(choices, list) and all(isinstance(c, dict) for c in choices)):
            continue
        if event.get("error"):
            error = hold = True
        if isinstance(event.get("usage"), dict):
            usage = value
            if all(choice.get("finish_reason") is not None for choice in choices or ()):
                hold = True
    return usage, done, error, hold


def check_sse(data: bytes, chance: random.Random) -> bool:
    """Event streams, against a reader that takes line by line."""
    whole = _relay([data])
    forwarded, held, usage, done, error, _ = whole
    assert forwarded + held == data, "bytes were lost, added or reordered"
    for parts in (bytewise(data), splits(chance, data)):
        other = _relay(parts)
        assert other[0] + other[1] == data, "bytes were lost, added or reordered in parts"
        assert other[2:] == whole[2:], f"in parts {other[2:]}, whole {whole[2:]}"
        assert other[1].lstrip(b"\r\n") == held.lstrip(b"\r\n"), "another part is held"
    wanted = _reference_stream(data)
    assert (usage, done, error) == wanted[:3], f"read {(usage, done, error)}, to be read {wanted}"
    assert bool(held) or not wanted[3], "nothing is held"
    return usage is not None or done or error


_HEAD_PIECES: Final = (
    b"Host: a\r\n", b"Content-Length: 5\r\n", b"content-length:05\r\n", b"Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: gzip, chunked\r\n", b"Connection: close\r\n", b"Connection: keep-alive, Close\r\n",
    b" folded\r\n",
    b"Expect: 100-continue\r\n", b"Authorization: Bearer x\r\n", b"HTTP/1.0", b"HTTP/1.1", b"HTTP/2.0",
    b"X-A:\t b \t\r\n",
    b"Keep-Alive: timeout=5, max=3\r\n", b"X : y\r\n", b"204 No Content", b"101", b"/a?b", b"*", b"http://a/b",
    b"\r\n\r\n",
    b"Content-Length: 5, 5\r\n", b"Transfer-Encoding : chunked\r\n", b"\nTransfer-Encoding: chunked\n", b"x" * 200,
)  # fmt: skip

TARGETS: Final[dict[str, Target]] = {
    "http1-request": Target(
        (
            b"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nAccept: */*\r\nContent-Type: text/x\r\n"
            b"Authorization: Bearer ep_live_x\r\nContent-Length: 12\r\nX-Stainless-Lang: python\r\n\r\n{'a':'\\r\\n'}",
            b"GET /v1/models?x=1 HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, close\r\n\r\n",
            b"POST /openai/deployments/gpt/chat/completions?api-version=2026-01-01 HTTP/1.1\r\nhost:a\r\napi-key: k\r\n"
            b"Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
            b"GET http://example.org/a HTTP/1.0\r\n\r\n",
        ), _HEAD_PIECES, check_request,
    ),
    "http1-response": Target(
        (
            b"HTTP/1.1 200 OK\r\nContent-Type: text/x\r\nContent-Length: 2\r\nKeep-Alive: timeout=5\r\n\r\n{}",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n0\r\n\r\n",
            b"HTTP/1.1 204 No Content\r\n\r\n", b"HTTP/1.0 200 OK\r\n\r\nto the end", b"HTTP/1.1 100 Continue\r\n\r\n",
            b"HTTP/1.1 429\r\nRetry-After: 1\r\nx-should-retry: false\r\nContent-Length: 0\r\n\r\n",
        ), _HEAD_PIECES, check_response,
    ),
    "chunked": Target(
        (
            b"5\r\nhello\r\n0\r\n\r\n",
            b"a;name=value\r\n0123456789\r\n3\r\nabc\r\n0\r\nX-Trailer: y\r\n\r\nGET / HTTP/1.1",
            b"000A \r\n0123456789\r\n00;x\r\n\r\n", b"1F\r\n" + b"d" * 31 + b"\r\n" * 2, b"0\r\n\r\n",
        ),
        (b"0\r\n\r\n", b"5\r\nhello\r\n", b";ext=\"q\"", b"\r\n", b"A: b\r\n", b"ffffffffffff", b" ", b"\t", b"0",
        b"+5",
         b"0x5", b"5_0", b"Content-Length: 3\r\n", b"x" * 300),
        check_chunked,
    ),
    "sse": Target(
        (
            b'data: {"id":"x","choices":[{"index":0,"delta":{"content":"a"},"finish_reason":null}],"usage":null}\n\n'
            b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":null}\n\n'
            b'data: {"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}\n\n'
            b"data: [DONE]\n\n",
            b': keep-alive\r\n\r\ndata: {"choices":[]}\r\n\r\ndata: {"usage": {"prompt_tokens":1}}\r\n\r\n'
            b"data: [DONE]\r\n\r\n",
            b'event: error\rdata: {"error":{"message":"m"}}\r\rdata:[DONE]\r\r',
            b'data: {"choices":[{"delta":{"content":"\\"usage\\":{"},"finish_reason":null}],"usage":'
            b'{"prompt_tokens":9}}\n\n',
            b'data: {"choices":[],\ndata: "usage":{"prompt_tokens":2}}\n\n', b"data: [DONE]\n\n",
        ),
        (b'data: {"choices":[],"usage":{"prompt_tokens":1}}\n\n', b"data: [DONE]\n\n", b"data:", b"data: ", b"\n\n",
        b"\r\r",
         b"\r\n\r\n", b"\r\n", b": c\n\n", b'"usage":null', b'"usage":{}', b'"error":"e"', b'"error":null', b"id: 1\n",
         b'data: {"choices":[{"finish_reason":null}]}\n\n', b"\r\n\n", b"event: x\n", b"retry: 1\n"),
        check_sse,
    ),
    "openai": Target(CHAT_BODIES, CHAT_PIECES, check_openai),
    "usage": Target(USAGES, USAGE_PIECES, check_usage),
}  # fmt: skip
