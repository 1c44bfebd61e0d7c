"""A thousand keep-alive connections of one process, each with one call at a time: little CPU for a call.

What `load` measures this one judges: every call has an outcome of its own, and a caller may go away in the middle.
"""

import asyncio
import re
from collections import deque
from typing import Literal, NamedTuple, cast

_length = re.compile(rb"(?i)\r\ncontent-length: *(\d+)").search
_wait = re.compile(rb"(?i)\r\nretry-after-ms: *(\d+)").search
_last = re.compile(rb"(?i)\r\nconnection: *close").search
_code = re.compile(rb'"code": ?"(\w+)"').search
_OPENED_AT_ONCE = 32
_RECONNECT_S = 20.0


class Seen(NamedTuple):
    """`answered`: 200 and whole. `refused`: another status. `left`: we went away. `cut`: the connection broke.
    `unreached`: there was no connection, so nothing was sent."""

    how: Literal["answered", "refused", "left", "cut", "unreached"]
    status: int = 0
    code: str = ""
    retry_after_ms: int = 0
    text: bytes = b""  # of a refusal


class Line(asyncio.Protocol):
    """One connection."""

    __slots__ = ("_data", "_done", "_leaving", "_need", "_transport", "open")

    def __init__(self) -> None:
        self._transport: asyncio.Transport
        self._done: asyncio.Future[Seen] | None = None
        self._leaving: asyncio.TimerHandle | None = None
        self._data = b""
        self._need = 0  # bytes of the whole answer; -1 chunked, 0 not known yet
        self.open = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are no subclass
        self.open = True

    def call(self, request: bytes, leave_after: float) -> "asyncio.Future[Seen]":
        """Send; with leave_after > 0 the connection is reset after so many seconds unless the answer is there."""
        loop = asyncio.get_running_loop()
        self._data = b""
        self._need = 0
        done = self._done = loop.create_future()
        if leave_after > 0:
            self._leaving = loop.call_later(leave_after, self.leave)
        self._transport.write(request)
        return done

    def leave(self) -> None:
        """Reset the connection."""
        self.open = False
        self._end(Seen("left"))
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        data = self._data = self._data + data if self._data else data
        if not self._need:
            end = data.find(b"\r\n\r\n")
            if end < 0:
                return
            found = _length(data, 0, end + 2)
            self._need = end + 4 + int(found[1]) if found else -1
        if len(data) >= self._need if self._need > 0 else data.endswith(b"\r\n0\r\n\r\n"):
            self.open = not _last(data, 0, data.find(b"\r\n\r\n") + 2)
            self._end(_seen(data))

    def connection_lost(self, exc: Exception | None) -> None:
        self.open = False
        self._end(Seen("cut"))

    def _end(self, seen: Seen) -> None:
        if self._leaving is not None:
            self._leaving.cancel()
            self._leaving = None
        if self._done is not None and not self._done.done():
            self._done.set_result(seen)
        self._done = None


def _seen(data: bytes) -> Seen:
    status = int(data[9:12])
    if status == 200:
        return Seen("answered", 200)
    code, wait = _code(data), _wait(data)
    return Seen("refused", status, code[1].decode() if code else "", int(wait[1]) if wait else 0, data)


class Lines:
    """`count` connections; whoever wants to call takes a free one, or waits for one."""

    def __init__(self, host: str, port: int, count: int) -> None:
        self._host, self._port = host, port
        self._count = count
        self._free: list[Line] = []
        self._waiting: deque[asyncio.Future[Line]] = deque()

    async def open(self) -> None:
        """Connect them all."""
        for start in range(0, self._count, _OPENED_AT_ONCE):
            some = min(_OPENED_AT_ONCE, self._count - start)
            self._free += await asyncio.gather(*(self._connect() for _ in range(some)))

    async def call(self, request: bytes, leave_after: float = 0.0) -> Seen:
        """One call on a free connection; a broken one is replaced first."""
        line = self._free.pop() if self._free else await self._wait()
        try:
            if not line.open:
                line = await self._connect()
            return await line.call(request, leave_after)
        except OSError:
            return Seen("unreached")
        finally:
            self._give(line)

    def close(self) -> None:
        for line in self._free:
            if line.open:
                line.leave()

    async def _wait(self) -> Line:
        place: asyncio.Future[Line] = asyncio.get_running_loop().create_future()
        self._waiting.append(place)
        return await place

    def _give(self, line: Line) -> None:
        if self._waiting:
            self._waiting.popleft().set_result(line)
        else:
            self._free.append(line)

    async def _connect(self) -> Line:
        loop = asyncio.get_running_loop()
        until = loop.time() + _RECONNECT_S
        while True:
            try:
                _, line = await loop.create_connection(Line, self._host, self._port)
                return line
            except OSError:
                if loop.time() > until:
                    raise
            await asyncio.sleep(0.05)
