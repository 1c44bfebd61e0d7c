"""HTTP/1.1 towards customers: framing, deadlines, byte budgets. What a request means is the app's."""

import asyncio
import fcntl
import logging
import sys
import termios
from collections.abc import Callable

from entrepot.gateway import problem
from entrepot.gateway.bodies import BODIES_SHARE
from entrepot.gateway.clients import Answering, Server
from entrepot.gateway.heads import echo_lines
from entrepot.gateway.problem import Dialect, Problem
from entrepot.gateway.routes import Route, Seen, dialect_of, match, remember
from entrepot.wire.http1 import ChunkBroken, ChunkedReader, HeadBroken, RequestHead, find_head_end, parse_request_head

RECEIVE_S = 30.0
RECEIVE_BYTES_PER_S = 64 * 1024  # protocol §7: 30 s + 1 s per 64 KiB
SILENT_S = 10.0  # within a body
BODY_LIMIT = 32 * 1024 * 1024  # images and audio come as data URLs; the worst body of this size holds the loop for 2 s
PIPELINED_LIMIT = 64 * 1024
WRITE_HIGH = 256 * 1024
LINGER_S = 1.0
MISSES_LIMIT = 8  # heads that all differ are not remembered any longer

_log = logging.getLogger(__name__)


_HEAD, _BODY, _BUSY, _CLOSED = range(4)


class Connection(asyncio.Protocol):
    """One client connection: one request at a time, in order."""

    __slots__ = (
        "_buffer", "_chunks", "_head", "_keep", "_misses", "_mode", "_parts", "_route", "_seen", "_size", "_started",
        "admission", "answering", "caller", "deadline", "heard_at", "idle_at", "payer", "server", "stalled_at",
        "transport",
    )  # fmt: skip

    def __init__(self, server: Server) -> None:
        self.server = server
        self.transport: asyncio.Transport | None = None
        self.answering: Answering | None = None
        self.caller: object = None  # what `allow` found out about the credential
        self.payer = ""  # whose share of the budget of bodies counts; `allow` says so
        self.admission = (-1, 0)  # the app's: which judgement that was, and until when it holds
        self.deadline = 0.0
        self.heard_at = 0.0  # when the last byte of a body came
        self.idle_at = 0.0
        self.stalled_at = 0.0
        self._buffer = b""
        self._mode = _HEAD
        self._head: RequestHead | None = None
        self._route: Route | None = None
        self._parts: list[bytes] = []
        self._size = 0
        self._chunks: ChunkedReader | None = None
        self._keep = True
        self._started = 0.0
        self._seen: Seen | None = None
        self._misses = 0

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]
        self.transport.set_write_buffer_limits(high=WRITE_HIGH)  # type: ignore[union-attr]
        self.idle_at = self.server.loop.time()
        self.server.connections.add(self)
        self.server.changed()

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        self._mode = _CLOSED
        self.idle_at = self.stalled_at = 0.0
        self.server.connections.discard(self)
        self.server.changed()
        self._received()
        answering, self.answering = self.answering, None
        if answering is not None:
            answering.client_gone()

    def eof_received(self) -> bool:
        return False  # a client that closes its side has gone: the SDKs never half-close

    def pause_writing(self) -> None:
        self.stalled_at = self.server.loop.time()
        if self.answering is not None:
            self.answering.pause()

    def resume_writing(self) -> None:
        self.stalled_at = 0.0
        if self.answering is not None:
            self.answering.resume()

    def data_received(self, data: bytes) -> None:
        mode = self._mode
        if mode == _HEAD:
            self.idle_at = 0.0
            self._read_head(self._buffer + data if self._buffer else data)
        elif mode == _BODY:
            self._read_body(data)
        elif mode == _BUSY:
            self._buffer += data
            if len(self._buffer) > PIPELINED_LIMIT and self.transport is not None:
                self.transport.pause_reading()

    # receiving

    def _read_head(self, data: bytes) -> None:
        seen = self._seen
        if seen is not None and not self.deadline and self._read_again(seen, data):
            return
        try:
            end = find_head_end(data)
            if end < 0:
                self._buffer = data
                if not self.deadline:
                    self._receiving()
                return
            self._buffer = b""
            head = parse_request_head(data[:end])
        except HeadBroken as broken:
            self._refuse_early(problem.bad_request(broken.message, status=broken.status))
            return
        self._head = head
        self._keep = head.keep_alive
        app = self.server.app
        route = match(head)
        if isinstance(route, Problem):
            self._refuse_early(route)
            return
        self._route = route
        trouble = app.allow(self, route, head)
        if trouble is not None:
            self._refuse_early(trouble)
            return
        if self._misses < MISSES_LIMIT:
            self._misses += 1
            self._seen = remember(data[:end], head, route, self.caller)
        rest = data[end:]
        length = head.length
        if not head.chunked and (length is None or length == len(rest)):  # the common case: all in one read
            if length is None and rest:
                self._buffer = rest
                rest = b""
            self._handle(rest)
            return
        if length is not None and length > BODY_LIMIT:
            self._refuse_early(problem.too_large(length, BODY_LIMIT))
            return
        if not head.chunked and length is not None and len(rest) > length:
            self._buffer = rest[length:]
            self._handle(rest[:length])
            return
        self._mode = _BODY
        self._parts, self._size = [], 0
        self._chunks = ChunkedReader() if head.chunked else None
        if not self.deadline:
            self._receiving()
        self._heard()
        if head.expect_continue and self.transport is not None:
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if rest:
            self._read_body(rest)

    def _read_again(self, seen: Seen, data: bytes) -> bool:
        """A whole request with the head of the one before but for its length, of a caller who is still welcome."""
        at = len(seen.before)
        stop = data.find(b"\r\n", at, at + 12)
        digits = data[at:stop]
        if not digits.isdigit() or not data.startswith(seen.before) or not data.startswith(seen.after, stop):
            return False
        body = data[stop + len(seen.after) :]
        if int(digits) != len(body) or not self.server.app.welcome(self):
            return False
        self._misses = 0
        self._head, self._route, self.caller = seen.head, seen.route, seen.caller
        self._keep = seen.head.keep_alive
        self._handle(body)
        return True

    def _read_body(self, data: bytes) -> None:
        head, chunks = self._head, self._chunks
        assert head is not None
        server = self.server
        payload, rest = data, b""
        if chunks is not None:
            try:
                payload = chunks.feed(data)
            except ChunkBroken as broken:
                self._refuse_early(problem.bad_request(str(broken)))
                return
            whole = chunks.done
            rest = chunks.rest if whole else b""
        else:
            assert head.length is not None
            left = head.length - self._size
            whole = len(data) >= left
            if len(data) > left:
                payload, rest = data[:left], data[left:]
        self._parts.append(payload)
        self._size += len(payload)
        share = server.bodies.hold(self.payer, len(payload))
        if self._size > BODY_LIMIT:
            self._refuse_early(problem.too_large(self._size, BODY_LIMIT))
        elif whole:
            body = b"".join(self._parts)
            self._buffer = rest
            self._handle(body)
        elif share > BODIES_SHARE:
            self._refuse_early(problem.overloaded("You send too many large requests at once. Retry in a moment."))
        elif not server.bodies.make_room(server.receiving, self):
            self.evict()
        else:
            self._heard()

    @property
    def received(self) -> int:
        """Bytes of a body that is not whole yet."""
        return self._size

    def evict(self) -> None:
        """The bytes held for this connection are needed for others."""
        self._refuse_early(problem.overloaded("Too many large requests are being received. Retry in a moment."))

    def _heard(self) -> None:
        now = self.heard_at = self.server.loop.time()
        self.deadline = min(self._started + RECEIVE_S + self._size / RECEIVE_BYTES_PER_S, now + SILENT_S)

    def _receiving(self) -> None:
        self._started = self.server.loop.time()
        self.deadline = self._started + RECEIVE_S
        self.server.receiving.add(self)

    def _received(self) -> None:
        if self.deadline:
            self.deadline = 0.0
            self.server.receiving.discard(self)
        if self._parts:
            self.server.bodies.hold(self.payer, -self._size)
            self._parts, self._size = [], 0
        self._chunks = None

    def _handle(self, body: bytes) -> None:
        self._mode = _BUSY
        app, route, head = self.server.app, self._route, self._head
        assert route is not None
        assert head is not None
        if self.deadline:  # it came in pieces, perhaps over minutes: the caller may not be welcome any more
            self._received()
            trouble = None if app.welcome(self) else app.allow(self, route, head)
            if trouble is not None:
                self._refuse_early(trouble)
                return
        self.guard(lambda: app.handle(self, route, head, body))

    def guard(self, work: Callable[[], None]) -> None:
        """The request boundary: a fault of ours is one call's 500, and is logged."""
        try:
            work()
        except Exception:  # noqa: BLE001 - that is what it is for
            _log.exception("a request could not be handled")
            self._keep = False
            route = self._route
            self.refuse(problem.internal(), route.dialect if route else Dialect.OPENAI, self.server.app.request_id())

    def _refuse_early(self, trouble: Problem) -> None:
        """Refuse before the body was taken: what follows on this connection cannot be trusted, so it closes."""
        self._keep = False
        self._mode = _BUSY
        self._received()
        route, app = self._route, self.server.app
        request_id = app.request_id()
        app.refused(self, route, trouble, request_id)
        self.refuse(trouble, route.dialect if route else dialect_of(self._head), request_id)

    def too_slow(self) -> None:
        """The receive deadline has passed."""
        if self._mode == _HEAD and not self._buffer:
            self.close()
            return
        self._refuse_early(problem.too_slow())

    # answering

    def write(self, data: bytes) -> None:
        """Bytes of an answer that goes on."""
        if self.transport is not None:
            self.transport.write(data)

    def respond(self, head: bytes, body: bytes) -> None:
        """A whole answer; `head` ends after its last header line. HEAD gets the head alone."""
        asked = self._head
        if asked is not None and asked.method == b"HEAD":
            body = b""
        self.last(b"%b%b\r\n%b" % (head, self.leaving(), body))

    def leaving(self) -> bytes:
        """Header line that an answer has if it is the last one of its connection: nobody may be left to find out."""
        if self._keep and not self.server.draining:
            return b""
        self._keep = False
        return b"connection: close\r\n"

    @property
    def takes_chunks(self) -> bool:
        """Whether an answer may be framed in chunks."""
        return self._head is None or self._head.takes_chunks

    def echo(self) -> bytes:
        """Header lines of the answer that repeat something of the request."""
        return echo_lines(self._head)

    def refuse(self, trouble: Problem, dialect: Dialect, request_id: str) -> None:
        """An error as the whole answer."""
        if self.server.draining:
            self._keep = False
        data = problem.response(trouble, dialect, request_id, close=not self._keep, lines=echo_lines(self._head))
        if self._head is not None and self._head.method == b"HEAD":
            data = data[: data.find(b"\r\n\r\n") + 4]
        self.last(data)

    def last(self, data: bytes) -> None:
        """The last bytes of an answer; then the next request, or the end."""
        transport = self.transport
        self.answering = None
        if transport is None:
            return
        transport.write(data)
        if not self._keep:
            self._leave(transport)
            return
        self._head = self._route = None
        self.caller = None
        self.payer = ""
        if self._buffer:
            self.server.loop.call_soon(self._next)
        else:
            self._mode = _HEAD
            self.idle_at = self.server.loop.time()

    def _next(self) -> None:
        """The pipelined request that waited."""
        if self._mode == _BUSY and self.transport is not None:
            waiting, self._buffer = self._buffer, b""
            self._mode = _HEAD
            self.transport.resume_reading()
            self.data_received(waiting)

    def _leave(self, transport: asyncio.Transport) -> None:
        """Close so that the answer arrives: closing over unread bytes would reset it away, so they go first."""
        self._mode = _CLOSED
        self._buffer = b""
        if transport.can_write_eof():
            transport.write_eof()
            self.server.loop.call_later(LINGER_S, self.close)
        else:
            self.close()

    def unheard(self) -> bool:
        """Whether bytes have come that the loop has not looked at: after a time without a processor it sweeps before it
        reads, and who has just sent a request is not idle (one of 97,194 calls was cut so, at a load of 10)."""
        transport = self.transport
        socket = transport.get_extra_info("socket") if transport is not None else None
        if socket is None or socket.fileno() < 0:
            return False
        waiting = fcntl.ioctl(socket.fileno(), termios.FIONREAD, b"\0\0\0\0")
        return bool(int.from_bytes(waiting, sys.byteorder))

    def close(self) -> None:
        """Close once what is written is sent."""
        if self.transport is not None:
            self.idle_at = 0.0
            self.transport.close()

    def abort(self) -> None:
        """Close now."""
        if self.transport is not None:
            self.transport.abort()
