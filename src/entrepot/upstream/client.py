"""HTTP/1.1 client of the request path: callbacks, not coroutines, since a call must cost microseconds."""

import asyncio
import logging
import socket
import ssl
from ipaddress import ip_address
from urllib.parse import urlsplit

from entrepot.kernel.errors import EntrepotError, Fault
from entrepot.upstream.connection import IDLE_S, Sink, UpstreamConnection, lose
from entrepot.upstream.queue import FairQueue, Waiting
from entrepot.wire.http1 import HeadBroken, find_head_end, parse_response_head

CONNECT_S = 10.0
OPEN_LIMIT = 16_384  # connections to one upstream: 9,000 slow streams, and the limit of open files comes first
WAIT_LIMIT = 4_096  # calls that may wait for one of them; customers take turns
WAIT_S = 10.0
ANSWERS_BUDGET = (
    256 * 1024 * 1024
)  # bytes of answers that are not whole yet, over all upstreams: above it reading pauses

_log = logging.getLogger(__name__)


class UpstreamUnusable(EntrepotError):
    """An upstream's address cannot be used."""

    code = "upstream_unusable"
    fault = Fault.US


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


class Budget:
    """Bytes that gathered answers hold in this worker."""

    def __init__(self, limit: int = ANSWERS_BUDGET) -> None:
        self.limit = limit
        self.used = 0


class Pool:
    """Connections to one upstream: LIFO, bounded, with a bounded queue for those that wait."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        target: Target,
        *,
        context: ssl.SSLContext | None = None,
        budget: Budget | None = None,
        proxy: Target | None = None,
    ) -> None:
        self.loop = loop
        self.target = target
        self.budget = budget or Budget()
        self.proxy = proxy
        self.context = context if context is not None or not target.tls else ssl.create_default_context()
        self.idle: list[UpstreamConnection] = []
        self.active: set[UpstreamConnection] = set()
        self.opening = 0
        self.waiting = FairQueue()
        self.held: dict[str, int] = {}  # connections with a call, by customer
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
        elif (lost := self.waiting.push(Waiting(now + WAIT_S, request, sink), WAIT_LIMIT)) is not None:
            self.loop.call_soon(lose, lost, "busy")

    async def _open(self, request: bytes, sink: Sink) -> None:
        try:
            async with asyncio.timeout(CONNECT_S):
                connection = await self._connect()
        except Exception as failure:  # noqa: BLE001 the owner of the task: whatever it was, the call has to hear of it
            if not isinstance(failure, OSError | TimeoutError | UpstreamUnusable):
                _log.exception("no connection to %s", self.target.host)
            self.opening -= 1
            lose(sink, "connect")
            if (following := self._next()) is not None:
                self.send(*following)  # the place is free again: whoever has it next tries for itself
            return
        self.opening -= 1
        connection.start(request, sink, self.loop.time())

    async def _connect(self) -> "UpstreamConnection":
        target = self.target
        if target.unix_path is not None:
            _, made = await self.loop.create_unix_connection(lambda: UpstreamConnection(self), target.unix_path)
            return made
        first = self.proxy or target
        found = await self.loop.getaddrinfo(first.host, first.port, type=socket.SOCK_STREAM)
        failure: Exception = OSError(f"{first.host} has no address")
        for family, _, _, _, address in found:
            checked_address(str(address[0]))
            sock = socket.socket(family, socket.SOCK_STREAM)
            try:
                sock.setblocking(False)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 30_000)
                await self.loop.sock_connect(sock, address)
                if self.proxy is not None:
                    await self._through_proxy(sock)
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

    async def _through_proxy(self, sock: socket.socket) -> None:
        """Ask the proxy for a tunnel (RFC 9110 §9.3.6). It resolves the name, so the address check is its own."""
        place = f"{self.target.host}:{self.target.port}".encode()
        await self.loop.sock_sendall(sock, b"CONNECT %b HTTP/1.1\r\nhost: %b\r\n\r\n" % (place, place))
        answer = b""
        try:
            while find_head_end(answer) < 0:
                data = await self.loop.sock_recv(sock, 1)  # byte by byte: what follows the head is the upstream's
                if not data:
                    raise OSError("the proxy gave no answer")
                answer += data
            status = parse_response_head(answer).status
        except HeadBroken as broken:
            raise OSError(f"the proxy's answer is not HTTP: {broken.message}") from broken
        if status != 200:
            raise OSError(f"the proxy refused the tunnel with status {status}")

    def done(self, connection: "UpstreamConnection", *, reusable: bool) -> None:
        """A call ended on `connection`: keep it, hand it to who waits, or close it."""
        self.active.discard(connection)
        self._hold(connection, "")
        if reusable and not self.closed:
            following = self._next()
            if following is None:
                self.idle.append(connection)
            else:
                connection.start(*following, self.loop.time())
            return
        connection.close()
        if self.waiting and (following := self._next()) is not None:
            self.send(*following)

    def keep(self, connection: "UpstreamConnection", now: float) -> None:
        """A connection that is ready, and whose call is not wanted any more."""
        connection.idle_until = max(connection.idle_until, now + IDLE_S)
        self.done(connection, reusable=connection.usable(now))

    def _next(self) -> tuple[bytes, Sink] | None:
        """Whose turn it is and who still wants its call."""
        waiting = self.waiting.pop(self.held) if self.waiting else None
        return None if waiting is None else (waiting.request, waiting.sink)

    def began(self, connection: "UpstreamConnection", payer: str) -> None:
        """A call of this customer is on `connection`."""
        self.active.add(connection)
        self._hold(connection, payer)

    def _hold(self, connection: "UpstreamConnection", payer: str) -> None:
        before, connection.payer = connection.payer, payer
        if payer == before:
            return
        held = self.held
        if before:
            if held[before] == 1:
                del held[before]
            else:
                held[before] -= 1
        if payer:
            held[payer] = held.get(payer, 0) + 1

    def sweep(self, now: float) -> None:
        """Once a second: what waits or is silent beyond its deadline ends; idle connections past their time close."""
        for sink in self.waiting.expired(now) if self.waiting else ():
            lose(sink, "busy")
        for connection in [c for c in self.active if c.deadline <= now]:
            connection.fail("timeout")
        if self.budget.used <= self.budget.limit:
            for connection in self.active:
                connection.go_on()
        if self.idle:
            keep = [c for c in self.idle if c.usable(now)]
            for connection in self.idle:
                if connection not in keep:
                    connection.close()
            self.idle = keep

    def close(self) -> None:
        """Close idle connections and give up who waits; active ones end with their calls, so sweep until `empty`."""
        self.closed = True
        for connection in self.idle:
            connection.close()
        self.idle.clear()
        for sink in self.waiting.clear():
            self.loop.call_soon(lose, sink, "connect")

    @property
    def empty(self) -> bool:
        """No call is under way here."""
        return not (self.active or self.opening or self.waiting)


def checked_address(address: str) -> str:
    """Refuse addresses that no upstream has: link-local (cloud metadata), multicast, unspecified. The address connected
    to is checked, not the name, so a name that changes its answer changes nothing."""
    ip = ip_address(address.split("%")[0])
    mapped = getattr(ip, "ipv4_mapped", None)
    ip = mapped or ip
    if ip.is_link_local or ip.is_multicast or ip.is_unspecified:
        raise UpstreamUnusable(f"{address} is not an address of an upstream")
    return address
