"""A loop whose clock is moved by hand, and a connection whose other end is the test."""

import asyncio
import heapq
import itertools
from collections.abc import Callable, Coroutine
from typing import Any


class Loop:
    """What of an event loop the protocols use. Time stands still until `pass_time`."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.coroutines: list[Coroutine[Any, Any, Any]] = []
        self._due: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._numbers = itertools.count()

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, callback: Callable[..., None], *args: Any) -> None:
        heapq.heappush(self._due, (when, next(self._numbers), callback, args))

    def call_later(self, seconds: float, callback: Callable[..., None], *args: Any) -> None:
        self.call_at(self.now + seconds, callback, *args)

    def call_soon(self, callback: Callable[..., None], *args: Any) -> None:
        self.call_at(self.now, callback, *args)

    call_soon_threadsafe = call_soon

    def create_task(self, work: Coroutine[Any, Any, Any]) -> "asyncio.Future[None]":
        """Kept, not run: who tests a connection makes it by hand."""
        self.coroutines.append(work)
        return Task()  # type: ignore[return-value]

    def turn(self) -> None:
        """Run what is due now."""
        self.pass_time(0)

    def pass_time(self, seconds: float) -> None:
        until = self.now + seconds
        while self._due and self._due[0][0] <= until:
            self.now, _, callback, args = heapq.heappop(self._due)
            callback(*args)
        self.now = until

    def close(self) -> None:
        for work in self.coroutines:
            work.close()


class Task:
    def add_done_callback(self, _callback: Callable[..., None]) -> None:
        """It is never done."""


class Wire(asyncio.Transport):
    """Our end of a connection: what was written, and whether the other end would still get it."""

    def __init__(self, protocol: Any) -> None:
        super().__init__()
        self.protocol = protocol
        self.written = b""
        self.unsent = 0  # bytes in the write buffer
        self.reading = True
        self.closed = self.aborted = self.eof = False
        protocol.connection_made(self)

    def write(self, data: Any) -> None:
        if not self.closed:
            self.written += bytes(data)

    def take(self) -> bytes:
        """What was written since the last time."""
        taken, self.written = self.written, b""
        return taken

    def feed(self, data: bytes) -> None:
        """The other end sends."""
        assert self.reading, "nobody reads"
        self.protocol.data_received(data)

    def hang_up(self) -> None:
        """The other end closes cleanly."""
        self.protocol.eof_received()
        self.close()

    def reset(self) -> None:
        if not self.closed:
            self.closed = True
            self.protocol.connection_lost(ConnectionResetError())

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            self.protocol.connection_lost(None)

    def abort(self) -> None:
        self.aborted = True
        self.close()

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.eof = True

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """As they are."""
