"""When does this worker refuse calls because it has too much to do, and whose?

A turn of the loop starts calls for 3 ms of its own work; what else has come waits in a queue for the next turn. So
nothing, reading and refusing included, ever waits long for the processor, and how long calls wait is what this queue
says. It has a line for each customer and takes from them in turn: who asks for little is not kept waiting by a flood.

Above 20 ms on the mean, for half a second, calls are refused: whose line is longer than its share of what can be
started in 20 ms. What others do not need goes to who needs more, and the queue is never empty, so nothing is lost by
refusing. The time is that of the thread, not of the wall: 20 ms are 20 ms of our own work. What others on the machine
take does not get less by refusing, and neither does the wait for the journal's disk.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from entrepot.gateway.server import Connection

TOO_LONG_S: Final = 0.020  # mean wait above which calls are refused, and to which it is held then
SHORT_S: Final = 0.005  # mean wait below which it is over
SLICE_S: Final = 0.003  # of one turn of the loop, for starting calls
_JUDGED_S: Final = 0.100  # the mean is over this long
_FEWEST: Final = 20  # requests in it: below there is no queue, only a slow machine
_SUSTAINED: Final = 5  # judgements in a row: a burst that is over before is served
_SHORTEST: Final = 8  # calls that may wait in any case
WAITING_LIMIT: Final = 10_000
RETRY_MS: Final = 1_000


def rest(loop: asyncio.AbstractEventLoop, connection: "Connection") -> None:
    """Who was told to come back in a second is not heard before: a client that does not wait costs us nothing more."""
    transport = connection.transport
    if transport is None or transport.is_closing():
        return

    def listen() -> None:
        if connection.transport is transport and not transport.is_closing():
            transport.resume_reading()

    transport.pause_reading()
    loop.call_later(RETRY_MS / 1000, listen)


class Place:
    """A call that waits for its turn; it stands for the call at its client's connection."""

    __slots__ = ("gone", "since", "start")

    def __init__(self, start: Callable[[], None], since: float) -> None:
        self.start = start
        self.since = since
        self.gone = False

    def client_gone(self) -> None:
        """Nothing has begun, and nothing will."""
        self.gone = True

    def pause(self) -> None:
        """Nothing is sent yet."""

    def resume(self) -> None:
        """Nothing was paused."""


class Overload:
    """The queue and the judgement of one worker. `now` and `worked` (of this thread) in seconds; `soon` calls back when
    the loop has worked off what it found."""

    def __init__(
        self, now: Callable[[], float], worked: Callable[[], float], soon: Callable[[Callable[[], None]], object]
    ) -> None:
        self._now = now
        self._worked = worked
        self._soon = soon
        self._lines: dict[str, deque[Place]] = {}  # by customer, in the order of their turns; none is empty
        self.waiting = 0
        self._began = 0.0  # the turn of the loop; 0: it looks
        self._draining = False
        self.refusing = False
        self.refused = 0
        self.mean_s = 0.0
        self._longest = float(WAITING_LIMIT)  # the queue that is worked off in 20 ms
        self._judge_at = self._judged_at_work = 0.0
        self._count = 0  # started since the last judgement
        self._waited = 0.0
        self._strikes = 0
        self._turned_away = 0

    def at_once(self) -> bool:
        """A request is whole: may it start now? Otherwise `queue` it."""
        worked = self._worked()
        if not self._began:
            self._began = worked
            self._soon(self._look)
        if self._now() >= self._judge_at:
            self._judge(worked)
        if self.waiting or worked - self._began >= SLICE_S:
            return False
        self._count += 1
        return True

    def queue(self, payer: str, start: Callable[[], None]) -> Place | None:
        """A place in this customer's line, from which `start` is called; None: refused."""
        line = self._lines.get(payer)
        length = len(line) if line is not None else 0
        if length and length >= max(1.0, self._longest / len(self._lines)):
            self._turned_away += 1
            self.refused += 1
            return None
        if line is None:
            line = self._lines[payer] = deque()
        place = Place(start, self._worked())
        line.append(place)
        self.waiting += 1
        if not self._draining:
            self._draining = True
            self._soon(self._start)
        return place

    def _look(self) -> None:
        self._began = 0.0

    def _start(self) -> None:
        """Start those whose turn it is, one of each line after the other."""
        self._draining = False
        worked = self._worked()
        until = worked + SLICE_S
        while self._lines and worked < until:
            payer, line = next(iter(self._lines.items()))
            place = line.popleft()
            self.waiting -= 1
            del self._lines[payer]
            if line:
                self._lines[payer] = line  # behind the others
            if not place.gone:
                self._waited += worked - place.since
                self._count += 1
                place.start()
                worked = self._worked()
        if self._lines:
            self._draining = True
            self._soon(self._start)

    def _judge(self, worked: float) -> None:
        self.mean_s = self._waited / self._count if self._count else 0.0
        long = self.mean_s > TOO_LONG_S and self._count >= _FEWEST
        self._strikes = self._strikes + 1 if long else 0
        if self._strikes >= _SUSTAINED:
            self.refusing = True
        elif self.refusing and self.mean_s < SHORT_S and not self._turned_away:
            self.refusing = False
        if not self.refusing:
            self._longest = float(WAITING_LIMIT)
        elif worked > self._judged_at_work and self._count:
            pace = self._count / (worked - self._judged_at_work)
            self._longest = max(_SHORTEST, pace * TOO_LONG_S)
        self._count = self._turned_away = 0
        self._waited = 0.0
        self._judged_at_work = worked
        self._judge_at = self._now() + _JUDGED_S
