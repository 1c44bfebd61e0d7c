"""Which worker takes the next connection? All of them wait on one listening socket; whoever has the fewest open goes
first. The kernel would wake one and the same worker again and again, and give it everything that waits.
"""

import asyncio
import logging
import mmap
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path

from entrepot.journal.slots import SLOTS

_CELL = 2  # numbers of 8 bytes a slot: its last beat (CLOCK_MONOTONIC, one clock for all processes), its connections
_FRESH_NS = 2_500_000_000  # a worker beats once a second; one that died or hangs is not waited for any longer
_CLOSED = 1 << 62  # more connections than anybody has: takes none
YIELD_S = 0.001  # how long a worker that has more leaves a connection to those who have less
AT_ONCE = 64  # connections in one turn, when those with less do not come: one the first time, then twice as many
_NO_ROOM_S = 0.1  # no descriptor is left: others may close theirs

_log = logging.getLogger(__name__)


class Board:
    """How many connections each worker of this DATA has open: a file in memory, one cell a slot. May be lost."""

    def __init__(self, path: Path, slot: int) -> None:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if os.fstat(fd).st_size < SLOTS * _CELL * 8:
                os.ftruncate(fd, SLOTS * _CELL * 8)
            self._cells = memoryview(mmap.mmap(fd, SLOTS * _CELL * 8)).cast("q")
        finally:
            os.close(fd)
        self._slot = slot
        self._others: list[int] = []
        self.leave()  # until it accepts
        self.look()

    def say(self, connections: int) -> None:
        self._cells[self._slot * _CELL + 1] = connections

    def look(self) -> None:
        """Once a second: I am here; who else is?"""
        now = time.monotonic_ns()
        self._cells[self._slot * _CELL] = now
        beats = enumerate(self._cells[::_CELL].tolist())
        here = [slot for slot, beat in beats if beat and 0 <= now - beat < _FRESH_NS and slot != self._slot]
        self._others = [slot * _CELL + 1 for slot in here]

    def least(self) -> int:
        """The fewest connections that another worker has."""
        cells = self._cells
        return min((cells[other] for other in self._others), default=_CLOSED)

    def leave(self) -> None:
        """Takes no connection any more."""
        self.say(_CLOSED)


class Accepting:
    """Takes connections off the listening socket, one at a time, in turn with the other workers."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        listener: socket.socket,
        make: Callable[[], asyncio.Protocol],
        board: Board,
        count: Callable[[], int],
    ) -> None:
        """`make` gives the protocol of a new connection, `count` says how many are open."""
        self._loop = loop
        self._listener = listener
        self._make = make
        self._board = board
        self._count = count
        self._pause: asyncio.TimerHandle | None = None
        self._opening: set[asyncio.Task[object]] = set()
        self._open = True
        self._yielded_to = -1  # the least that we left connections to, and how many we take where it did not come
        self._share = 1
        listener.setblocking(False)
        board.say(0)
        loop.add_reader(listener.fileno(), self._wake)

    def close(self) -> None:
        """Take no more. What waits in the socket's queue is for the other workers, who share it."""
        if self._open:
            self._open = False
            self._board.leave()
            if self._pause is not None:
                self._pause.cancel()
            self._loop.remove_reader(self._listener.fileno())
            self._listener.close()

    def counted(self) -> None:
        """The number of connections has changed."""
        if self._open:
            self._board.say(self._mine())

    @property
    def opening(self) -> bool:
        """A connection was taken and has no protocol yet."""
        return bool(self._opening)

    def _mine(self) -> int:
        return self._count() + len(self._opening)

    def _wake(self) -> None:
        least = self._board.least()
        if self._mine() <= least:
            self._take()
            return
        if least != self._yielded_to:
            self._yielded_to, self._share = least, 1
        self._loop.remove_reader(self._listener.fileno())
        self._pause = self._loop.call_later(YIELD_S, self._after_all)

    def _after_all(self) -> None:
        """Those with less had time to come; what still waits is ours."""
        for _ in range(self._share):
            if not self._take():
                break
        self._share = min(2 * self._share, AT_ONCE)
        if self._open and self._pause is not None:
            self._listen()

    def _listen(self) -> None:
        self._pause = None
        self._loop.add_reader(self._listener.fileno(), self._wake)

    def _take(self) -> bool:
        try:
            sock, _ = self._listener.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return False
        except OSError as failure:
            _log.error("no connection can be taken: %s", failure)
            self._loop.remove_reader(self._listener.fileno())
            self._pause = None
            self._loop.call_later(_NO_ROOM_S, lambda: self._listen() if self._open else None)
            return False
        sock.setblocking(False)
        task = self._loop.create_task(self._connect(sock))
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)
        self._board.say(self._mine())
        return True

    async def _connect(self, sock: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._make, sock)
        except OSError:
            sock.close()  # gone before it was there
