"""HTTP/1.1 client of the request path: callbacks, not coroutines, since a call must cost microseconds."""

import asyncio
import socket
import ssl
from collections import deque
from ipaddress import ip_address
from typing import Protocol
from urllib.parse import urlsplit

from entrepot.kernel.errors import EntrepotError, Fault
from entrepot.wire.http1 import ChunkBroken, ChunkedReader, HeadBroken, ResponseHead, find_head_end, parse_response_head

CONNECT_S = 10.0
FIRST_BYTE_S = 600.0  # the SDKs' own default time-out: a proxy must not be shorter (reference/wire.md 24)
BETWEEN_BYTES_S = 300.0
IDLE_S = 4.0  # unless the host's Keep-Alive says more
HEAD_LIMIT = 32 * 1024
BODY_LIMIT = 64 * 1024 * 1024
OPEN_LIMIT = 4_096  # connections to one upstream
WAIT_LIMIT = 4_096  # calls that may wait for one of them
WAIT_S = 10.0


class UpstreamUnusable(EntrepotError):
    """An upstream's address cannot be used."""

    code = "upstream_unusable"
    fault = Fault.US


class Sink(Protocol):
    """Who receives an answer. Exactly one of `answer`, `stream_end`, `lost` ends a call."""

    connection: "UpstreamConnection | None"  # set when the request is written; the sink clears it at the end

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

    def lost(self, reason: str, *, answered: bool, reused: bool) -> None:
        """The call broke: connect, reset, timeout, garbage, too_large, busy. `answered`: a byte had come."""
        ...


class Target:
    """Where an upstream listens, read from its URL once."""

    def __init__(self, url: str, *, unix_path: str | None = None) -> None:
        parts = urlsplit(url)
        if (
            parts.scheme not in ("http", "https")
            or not parts.hostname
            or parts.username
            or parts.query
            or parts.fragment
        ):
            raise UpstreamUnusable(f"{url!r} is not the base address of an upstream, such as https://host/v1")
        self.tls = parts.scheme == "https"
        self.host = parts.hostname
        self.port = parts.port or (443 if self.tls else 80)
        self.path = parts.path.rstrip("/")
        self.authority = parts.netloc
        self.unix_path = unix_path


class Pool:
    """Connections to one upstream: LIFO, bounded, with a bounded queue for those that wait."""

    def __init__(self, loop: asyncio.AbstractEventLoop, target: Target, context: ssl.SSLContext | None = None) -> None:
        self.loop = loop
        self.target = target
        self.context = context if context is not None or not target.tls else ssl.create_default_context()
        self.idle: list[UpstreamConnection] = []
        self.active: set[UpstreamConnection] = set()
        self.opening = 0
        self.waiting: deque[tuple[float, bytes, Sink]] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self.closed = False

    def send(self, request: bytes, sink: Sink, *, fresh: bool = False) -> None:
        """Send on an idle connection if there is one (unless `fresh`), else open one or wait."""
        now = self.loop.time()
        idle = self.idle
        while idle and not fresh:
            connection = idle.pop()
            if connection.usable(now):
                connection.start(request, sink, now)
                return
            connection.close()
        if len(self.active) + self.opening < OPEN_LIMIT:
            self.opening += 1
            task = self.loop.create_task(self._open(request, sink))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        elif len(self.waiting) < WAIT_LIMIT:
            self.waiting.append((now + WAIT_S, request, sink))
        else:
            self.loop.call_soon(_lose, sink, "busy")

    async def _open(self, request: bytes, sink: Sink) -> None:
        try:
            async with asyncio.timeout(CONNECT_S):
                connection = await self._connect()
        except (OSError, TimeoutError, ssl.SSLError, UpstreamUnusable):
            self.opening -= 1
            sink.lost("connect", answered=False, reused=False)
            return
        self.opening -= 1
        connection.start(request, sink, self.loop.time())

    async def _connect(self) -> "UpstreamConnection":
        target = self.target
        if target.unix_path is not None:
            _, made = await self.loop.create_unix_connection(lambda: UpstreamConnection(self), target.unix_path)
            return made
        found = await self.loop.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
        failure: Exception = OSError(f"{target.host} has no address")
        for family, _, _, _, address in found:
            checked_address(str(address[0]))
            sock = socket.socket(family, socket.SOCK_STREAM)
            try:
                sock.setblocking(False)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 30_000)
                await self.loop.sock_connect(sock, address)
                _, made = await self.loop.create_connection(
                    lambda: UpstreamConnection(self),
                    sock=sock,
                    ssl=self.context,
                    server_hostname=target.host if self.context else None,
                )
            except OSError as exc:
                sock.close()
                failure = exc
            except BaseException:
                sock.close()
                raise
            else:
                return made
        raise failure

    def done(self, connection: "UpstreamConnection", *, reusable: bool) -> None:
        """A call ended on `connection`: keep it, hand it to who waits, or close it."""
        self.active.discard(connection)
        if reusable and not self.closed:
            if self.waiting:
                _, request, sink = self.waiting.popleft()
                connection.start(request, sink, self.loop.time())
            else:
                self.idle.append(connection)
            return
        connection.close()
        if self.waiting and not self.closed:
            _, request, sink = self.waiting.popleft()
            self.send(request, sink)

    def sweep(self, now: float) -> None:
        """Once a second: what waits or is silent beyond its deadline ends; idle connections past their time close."""
        while self.waiting and self.waiting[0][0] <= now:
            self.waiting.popleft()[2].lost("busy", answered=False, reused=False)
        for connection in [c for c in self.active if c.deadline <= now]:
            connection.fail("timeout")
        if self.idle:
            keep = [c for c in self.idle if c.usable(now)]
            for connection in self.idle:
                if connection not in keep:
                    connection.close()
            self.idle = keep

    def close(self) -> None:
        """Close idle connections; active ones end with their calls."""
        self.closed = True
        for connection in self.idle:
            connection.close()
        self.idle.clear()


def checked_address(address: str) -> str:
    """Refuse addresses that no upstream has: link-local (cloud metadata), multicast, unspecified. The address connected
    to is checked, not the name, so a name that changes its answer changes nothing."""
    ip = ip_address(address.split("%")[0])
    mapped = getattr(ip, "ipv4_mapped", None)
    ip = mapped or ip
    if ip.is_link_local or ip.is_multicast or ip.is_unspecified:
        raise UpstreamUnusable(f"{address} is not an address of an upstream")
    return address


def _lose(sink: Sink, reason: str) -> None:
    sink.lost(reason, answered=False, reused=False)


_HEAD, _LENGTH, _CHUNKED, _UNTIL_EOF = range(4)


class UpstreamConnection(asyncio.Protocol):
    """One connection; at most one call on it at a time."""

    __slots__ = (
        "_body", "_buffer", "_chunks", "_got", "_head", "_left", "_mode", "_paused", "_streaming", "calls", "deadline",
        "idle_until", "pool", "sink", "transport",
    )  # fmt: skip

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.transport: asyncio.Transport | None = None
        self.sink: Sink | None = None
        self.deadline = 0.0
        self.idle_until = 0.0
        self.calls = 0
        self._buffer = b""
        self._mode = _HEAD
        self._head: ResponseHead | None = None
        self._left = 0
        self._got = False
        self._streaming = False
        self._body: list[bytes] = []
        self._chunks: ChunkedReader | None = None
        self._paused = False

    # the call

    def start(self, request: bytes, sink: Sink, now: float) -> None:
        """Write the request; the answer goes to `sink`."""
        transport = self.transport
        if transport is None or transport.is_closing():
            sink.lost("reset", answered=False, reused=self.calls > 0)
            return
        self.sink = sink
        sink.connection = self
        self.calls += 1
        self._got = False
        self.deadline = now + FIRST_BYTE_S
        self.pool.active.add(self)
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

    def abandon(self) -> None:
        """The sink wants no more: close, and tell it nothing."""
        self.sink = None
        self.pool.done(self, reusable=False)

    def fail(self, reason: str) -> None:
        """End the call with `lost` and close."""
        sink, self.sink = self.sink, None
        self.pool.done(self, reusable=False)
        if sink is not None:
            sink.lost(reason, answered=self._got, reused=self.calls > 1)

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
        self._left_check(len(payload))

    def _left_check(self, size: int) -> None:
        if self._mode != _LENGTH:
            self._left += size
            if self._left > BODY_LIMIT:
                self.fail("too_large")

    def _finish(self, body: bytes, *, clean: bool = True) -> None:
        head, sink, transport = self._head, self.sink, self.transport
        assert head is not None
        assert sink is not None
        if self._body:
            body = b"".join(self._body)
            self._body = []
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
        if streaming:
            sink.stream_end()
        else:
            sink.answer(head, body)

    def _eof(self, *, clean: bool) -> None:
        if self._mode == _UNTIL_EOF and clean and self._head is not None:
            self._finish(b"", clean=False)
        else:
            self.fail("reset")
