"""The bytes that the fake vendor sends for one call: pure, so that every fault can be looked at without a socket."""

import gzip
import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Literal, NamedTuple

from entrepot.prove import shapes
from entrepot.prove.script import Call

Piece = tuple[float, bytes]  # wait so many ms, then write these bytes
Close = Literal["keep", "close", "reset", "reset_on_reuse"]

_ENDLESS_BYTES = 64 * 1024 * 1024  # "without end", for a test that must end
_WIDE = "Grüße €𝄞 "


class Answer(NamedTuple):
    """What to write, what the vendor's books say about it, and what becomes of the connection."""

    pieces: Iterable[Piece]
    prompt: int
    completion: int
    billed: bool
    close: Close


def answer(call: Call, identity: str) -> Answer:
    """The answer to `call`; `identity` names it (`chatcmpl-…`)."""
    script = call.script
    fault = script.fault_name
    early = _EARLY.get(fault)
    if early is not None:
        return early(call)
    pieces = _stream(call, identity) if call.stream else _unary(call, identity)
    close: Close = "keep"
    if fault == "reset":
        pieces, close = _until(pieces, script.fault_number(0)), "reset"
    elif fault == "trickle":
        pieces = _bytewise(pieces, script.fault_number(1000))
    elif fault == "split_utf8":
        pieces = _split_wide(pieces)
    elif fault == "slow_first":
        pieces = itertools.chain([(float(script.fault_number(60_000)), b"")], pieces)
    elif fault == "informational":
        storm = b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n" * script.fault_number(1000)
        pieces = itertools.chain([(0.0, storm)], pieces)
    elif fault == "stale":
        close = "reset_on_reuse"
    elif fault == "cut":
        close = "close"
    return Answer(pieces, script.prompt, call.completion, True, close)


def head(status: int, reason: str, headers: list[tuple[str, str]]) -> bytes:
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
    return f"HTTP/1.1 {status} {reason}\r\n{lines}\r\n".encode()


def plain(status: int, reason: str, body: bytes, kind: str = "application/json") -> bytes:
    """A whole answer with a length."""
    return head(status, reason, [("Content-Type", kind), ("Content-Length", str(len(body)))]) + body


def error_body(message: str, kind: str, code: str) -> bytes:
    return json.dumps({"error": {"message": message, "type": kind, "param": None, "code": code}}).encode()


def _usage(call: Call) -> dict[str, object] | None:
    script = call.script
    fault = script.fault_name
    if fault == "no_usage":
        return None
    prompt, completion = script.prompt, call.completion
    if fault == "usage_negative":
        prompt, completion = -prompt, -completion
    elif fault == "usage_huge":
        prompt, completion = 10**15, 10**18
    if call.operation == "embedding":
        return {"prompt_tokens": prompt, "total_tokens": prompt}
    usage: dict[str, object] = {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": min(script.cached, max(prompt, 0)), "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": min(script.reasoning, max(completion, 0))},
    }
    if fault == "usage_type":
        usage |= {"prompt_tokens": str(prompt), "completion_tokens": [completion], "total_tokens": None}
    return usage


def _dump(fields: object) -> bytes:
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()


def _text(call: Call, tokens: int) -> str:
    if call.script.fault_name == "split_utf8":
        return _WIDE * 4
    return "tok " * min(tokens, 16_384)


def _unary(call: Call, identity: str) -> Iterator[Piece]:
    script = call.script
    fault = script.fault_name
    text = _text(call, call.completion)
    if fault == "big_event":
        text = "x" * (script.fault_number(10) << 20)
    fields = shapes.whole(call, identity, text)
    usage = _usage(call)
    if usage is not None:
        fields["usage"] = usage
    body = _dump(fields)
    if fault == "usage_twice":
        body = body[:-1] + b',"usage":' + _dump(usage) + b"}"
    elif fault == "half_json":
        body = body[: len(body) // 2]
    headers = [("Content-Type", "text/html" if fault == "content_type" else "application/json")]
    if fault == "gzip":
        body = gzip.compress(body)
        headers.append(("Content-Encoding", "gzip"))
    headers += [("Content-Length", str(len(body))), ("x-request-id", identity)]
    if fault == "cut":
        body = body[: len(body) // 2]
    yield script.delay_ms * script.events, head(200, "OK", headers) + body


def _stream(call: Call, identity: str) -> Iterator[Piece]:
    fault = call.script.fault_name
    headers = [
        ("Content-Type", "text/html" if fault == "content_type" else "text/event-stream"),
        ("Transfer-Encoding", "chunked"),
        ("x-request-id", identity),
    ]
    if fault == "gzip":
        headers.append(("Content-Encoding", "gzip"))
        whole = gzip.compress(b"".join(event for _, event in _events(call, identity)))
        yield 0.0, head(200, "OK", headers) + _chunk(whole) + b"0\r\n\r\n"
        return
    yield 0.0, head(200, "OK", headers)
    for wait, event in _events(call, identity):
        yield wait, _chunk(event)
    if fault != "cut":
        yield 0.0, b"0\r\n\r\n"


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _events(call: Call, identity: str) -> Iterator[Piece]:
    script = call.script
    fault = script.fault_name
    base = shapes.base(call, identity, chunk=True)

    def event(choices: Sequence[object], usage: object = None) -> bytes:
        extra = {"usage": usage} if call.include_usage else {}
        return b"data: " + _dump({**base, "choices": choices, **extra}) + b"\n\n"

    def delta(text: str, number: int) -> bytes:
        return event(shapes.delta(call, number % call.n, text, first=number < call.n))

    ordered = list(shapes.made_to_order(call)) if call.tools or call.text else []
    for choices in ordered:
        yield script.delay_ms, event(choices)
    events = 0 if ordered else max(script.events, 1)
    share, rest = divmod(call.completion, max(events, 1))
    for number in range(events):
        if fault == "error_event" and number == script.fault_number(2):
            yield script.delay_ms, b"data: " + error_body("the engine broke", "server_error", "engine_error") + b"\n\n"
            return
        if fault == "half_json" and number == events // 2:
            yield script.delay_ms, delta(_text(call, share), number)[:40]
            return
        if fault == "big_event" and number == 1 % events:
            yield script.delay_ms, delta("x" * (script.fault_number(10) << 20), number)
            continue
        yield script.delay_ms, delta(_text(call, share + (number < rest)), number)
    for index in range(call.n):
        yield 0.0, event(shapes.finish(call, index))
    usage = _usage(call)
    if call.include_usage and usage is not None:
        if fault == "usage_twice":
            half = {"prompt_tokens": script.prompt, "completion_tokens": call.completion // 2, "total_tokens": 0}
            yield 0.0, event([], half)
        yield 0.0, event([], usage)
    if fault != "no_done":
        yield 0.0, b"data: [DONE]\n\n" * (2 if fault == "done_twice" else 1)


def _until(pieces: Iterable[Piece], limit: int) -> Iterator[Piece]:
    for wait, data in pieces:
        if len(data) >= limit:
            yield wait, data[:limit]
            return
        limit -= len(data)
        yield wait, data


def _bytewise(pieces: Iterable[Piece], each_ms: int) -> Iterator[Piece]:
    for _, data in pieces:
        for at in range(len(data)):
            yield float(each_ms), data[at : at + 1]


def _split_wide(pieces: Iterable[Piece]) -> Iterator[Piece]:
    for wait, data in pieces:
        start = 0
        for at, byte in enumerate(data):
            if byte >= 0x80:
                yield wait if start == 0 else 1.0, data[start : at + 1]
                start = at + 1
        yield wait if start == 0 else 1.0, data[start:]


def _status(call: Call) -> Answer:
    status = call.script.fault_number(500)
    body = error_body(f"the fake vendor was told to answer {status}", "server_error", f"fake_{status}")
    extra = [("Retry-After", "1")] if status in (429, 503) else []
    size = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
    return Answer([(call.script.delay_ms, head(status, "Told So", size + extra) + body)], 0, 0, False, "keep")


def _filter(call: Call) -> Answer:
    error: dict[str, object] = {
        "message": "The response was filtered.", "type": None, "param": "prompt", "code": "content_filter",
        "status": 400,
        "innererror": {"code": "ResponsibleAIPolicyViolation", "content_filter_result": {}},
    }  # fmt: skip
    usage = {"prompt_tokens": call.script.prompt, "completion_tokens": 0, "total_tokens": call.script.prompt}
    body = _dump({"error": error, "usage": usage})
    return Answer([(call.script.delay_ms, plain(400, "Bad Request", body))], call.script.prompt, 0, True, "keep")


def _redirect(_call: Call) -> Answer:
    headers = [("Location", "http://169.254.169.254/latest/meta-data"), ("Content-Length", "0")]
    return Answer([(0.0, head(302, "Found", headers))], 0, 0, False, "keep")


def _endless(_call: Call) -> Answer:
    line = b"x-filler: " + b"f" * 1000 + b"\r\n"
    many = itertools.repeat((0.0, line * 16), _ENDLESS_BYTES // (len(line) * 16))
    return Answer(itertools.chain([(0.0, b"HTTP/1.1 200 OK\r\n")], many), 0, 0, False, "close")


def _too_early(_call: Call) -> Answer:
    body = error_body("too large", "invalid_request_error", "too_large")
    return Answer([(0.0, plain(413, "Content Too Large", body))], 0, 0, False, "close")


_EARLY: dict[str, Callable[[Call], Answer]] = {
    "status": _status, "filter": _filter, "redirect": _redirect, "endless_headers": _endless,
    "early_answer": _too_early,
}  # fmt: skip
