"""One connection to an upstream: framing of answers, deadlines; at most one call on it at a time."""

import asyncio
import logging
from typing import TYPE_CHECKING, Protocol

from entrepot.wire.http1 import ChunkBroken, ChunkedReader, HeadBroken, ResponseHead, find_head_end, parse_response_head

if TYPE_CHECKING:
    from entrepot.upstream.client import Pool

FIRST_BYTE_S = 600.0  # the SDKs' own default time-out: a proxy must not be shorter (reference/wire.md 24)
BETWEEN_BYTES_S = 300.0
IDLE_S = 4.0  # unless the host's Keep-Alive says more
HEAD_LIMIT = 32 * 1024
BODY_LIMIT = 64 * 1024 * 1024

_log = logging.getLogger(__name__)


class Sink(Protocol):
    """Who receives an answer. Exactly one of `answer`, `stream_end`, `lost` ends a call."""

    connection: "UpstreamConnection | None"  # set when the request is written; the sink clears it at the end

    @property
    def payer(self) -> str:
        """The customer whose call it is: customers take turns where connections are scarce."""
        ...

    def wanted(self) -> bool:
        """Asked before the request is written: False if the call has ended meanwhile. It hears nothing more then."""
        ...

    def wants_stream(self, head: ResponseHead) -> bool:
        """Asked when the head is there: True to get the body as it comes, False to get it whole."""
        ...

    def answer(self, head: ResponseHead, body: bytes) -> None:
        """The whole answer."""
        ...

    def stream_data(self, payload: bytes) -> None:
        """Body bytes, chunk framing removed."""
        ...

    def stream_end(self) -> None:
        """The body ended as its framing says."""
        ...

    def failed(self) -> None:
        """The sink itself raised: it has to end its call all the same."""
        ...

    def lost(self, reason: str, *, answered: bool, reused: bool) -> None:
        """The call broke: connect, reset, timeout, garbage, too_large, busy. `answered`: a byte had come."""
        ...


_HEAD, _LENGTH, _CHUNKED, _UNTIL_EOF = range(4)


class UpstreamConnection(asyncio.Protocol):
    """One connection; at most one call on it at a time."""

    __slots__ = (
        "_body", "_buffer", "_chunks", "_gathered", "_got", "_head", "_left", "_mode", "_paused", "_streaming", "calls",
        "deadline", "idle_until", "payer", "pool", "sink", "transport",
    )  # fmt: skip

    def __init__(self, pool: "Pool") -> None:
        self.pool = pool
        self.transport: asyncio.Transport | None = None
        self.sink: Sink | None = None
        self.deadline = 0.0
        self.idle_until = 0.0
        self.calls = 0
        self.payer = ""
        self._buffer = b""
        self._mode = _HEAD
        self._head: ResponseHead | None = None
        self._left = 0
        self._got = False
        self._streaming = False
        self._body: list[bytes] = []
        self._gathered = 0
        self._chunks: ChunkedReader | None = None
        self._paused = False

    # the call

    def start(self, request: bytes, sink: Sink, now: float) -> None:
        """Write the request, if it is still wanted; the answer goes to `sink`."""
        if not sink.wanted():
            self.pool.keep(self, now)
            return
        transport = self.transport
        if transport is None or transport.is_closing():
            lose(sink, "reset", reused=self.calls > 0)
            return
        self.sink = sink
        sink.connection = self
        self.calls += 1
        self._got = False
        self.deadline = now + FIRST_BYTE_S
        self.pool.began(self, sink.payer)
        transport.write(request)

    def usable(self, now: float) -> bool:
        transport = self.transport
        return now < self.idle_until and transport is not None and not transport.is_closing()

    def pause(self) -> None:
        """Stop reading: the client is slow."""
        if not self._paused and self.transport is not None and not self.transport.is_closing():
            self._paused = True
            self.transport.pause_reading()

    def resume(self) -> None:
        if self._paused and self.transport is not None and not self.transport.is_closing():
            self._paused = False
            self.deadline = self.pool.loop.time() + BETWEEN_BYTES_S
            self.transport.resume_reading()

    def go_on(self) -> None:
        """There is room for answers again."""
        if self._paused and not self._streaming:
            self.resume()

    def abandon(self) -> None:
        """The sink wants no more: close, and tell it nothing."""
        self.sink = None
        self._forget()
        self.pool.done(self, reusable=False)

    def fail(self, reason: str) -> None:
        """End the call with `lost` and close."""
        sink, self.sink = self.sink, None
        self._forget()
        self.pool.done(self, reusable=False)
        if sink is not None:
            lose(sink, reason, answered=self._got, reused=self.calls > 1)

    def close(self) -> None:
        if self.transport is not None and not self.transport.is_closing():
            self.transport.abort()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        if self.sink is not None:
            self._eof(clean=False)

    def eof_received(self) -> bool:
        if self.sink is not None:
            self._eof(clean=True)
        return False

    def data_received(self, data: bytes) -> None:
        if self.sink is None:
            self.close()  # bytes on an idle connection: nothing that we asked for
            return
        self._got = True
        try:
            self._feed(data)
        except (HeadBroken, ChunkBroken):
            self.fail("garbage")

    # framing

    def _feed(self, data: bytes) -> None:
        if self._mode == _HEAD:
            if self._buffer:
                data = self._buffer + data
                self._buffer = b""
            while True:
                end = find_head_end(data)
                if end < 0:
                    if len(data) > HEAD_LIMIT:
                        raise HeadBroken(502, f"the answer's header block is above {HEAD_LIMIT} bytes")
                    self._buffer = data
                    return
                head = parse_response_head(data[:end])
                data = data[end:]
                if head.status >= 200:
                    break
                if head.status == 101:
                    raise HeadBroken(502, "the upstream switched protocols")
            self._head = head
            sink = self.sink
            assert sink is not None
            streaming = sink.wants_stream(head)
            if self.sink is None:
                return
            if not streaming and head.length is not None:  # the common case: one read holds all of it
                size = len(data)
                if size == head.length:
                    self._finish(data)
                    return
            self._streaming = streaming
            if head.no_body or head.length == 0:
                self._finish(b"")
                return
            if head.chunked:
                self._mode = _CHUNKED
                self._chunks = ChunkedReader()
            elif head.length is not None:
                self._mode = _LENGTH
                self._left = head.length
                if self._left > BODY_LIMIT and not streaming:
                    self.fail("too_large")
                    return
            else:
                self._mode = _UNTIL_EOF
            if not data:
                self.deadline = self.pool.loop.time() + BETWEEN_BYTES_S
                return
        self.deadline = self.pool.loop.time() + BETWEEN_BYTES_S
        if self._mode == _CHUNKED:
            chunks = self._chunks
            assert chunks is not None
            payload = chunks.feed(data)
            if payload:
                self._give(payload)
            if chunks.done and self.sink is not None:
                self._finish(b"", clean=not chunks.rest)
        elif self._mode == _LENGTH:
            left = self._left
            if len(data) < left:
                self._left = left - len(data)
                self._give(data)
            else:
                self._give(data[:left])
                if self.sink is not None:
                    self._finish(b"", clean=len(data) == left)
        else:
            self._give(data)

    def _give(self, payload: bytes) -> None:
        if self._streaming:
            self.sink.stream_data(payload)  # type: ignore[union-attr]
            return
        self._body.append(payload)
        self._gathered += len(payload)
        budget = self.pool.budget
        budget.used += len(payload)
        if self._gathered > BODY_LIMIT:
            self.fail("too_large")
        elif budget.used > budget.limit:
            self.pause()

    def _forget(self) -> None:
        self.pool.budget.used -= self._gathered
        self._gathered = 0
        self._body = []

    def _finish(self, body: bytes, *, clean: bool = True) -> None:
        head, sink, transport = self._head, self.sink, self.transport
        assert head is not None
        assert sink is not None
        if self._body:
            body = b"".join(self._body)
            self._forget()
        streaming = self._streaming
        clean = clean and head.keep_alive and self._mode != _UNTIL_EOF
        if transport is None or transport.get_write_buffer_size():
            clean = False  # answered before the request was sent whole
        if head.length is not None and not streaming and len(body) > head.length:
            clean, body = False, body[: head.length]
        self.sink = None
        self._head = self._chunks = None
        self._mode = _HEAD
        self._left = 0
        self._streaming = False
        if clean:
            idle = IDLE_S if head.keep_alive_timeout is None else max(0.5, head.keep_alive_timeout - 1.0)
            self.idle_until = self.pool.loop.time() + idle
        if self._paused:
            self.resume()
        self.pool.done(self, reusable=clean)
        try:
            if streaming:
                sink.stream_end()
            else:
                sink.answer(head, body)
        except Exception:  # noqa: BLE001 the owner of the call: whatever went wrong, it has to end
            _log.exception("an answer could not be handled")
            _fail(sink)

    def _eof(self, *, clean: bool) -> None:
        if self._mode == _UNTIL_EOF and clean and self._head is not None:
            self._finish(b"", clean=False)
        else:
            self.fail("reset")


def lose(sink: Sink, reason: str, *, answered: bool = False, reused: bool = False) -> None:
    """Tell a sink that its call broke. Raises nothing: other calls hang on who tells it."""
    try:
        sink.lost(reason, answered=answered, reused=reused)
    except Exception:  # noqa: BLE001 the owner of the call: whatever went wrong, it has to end
        _log.exception("a call that broke could not be ended")
        _fail(sink)


def _fail(sink: Sink) -> None:
    try:
        sink.failed()
    except Exception:  # noqa: BLE001 nobody is left who could be told
        _log.exception("a call is left open")
