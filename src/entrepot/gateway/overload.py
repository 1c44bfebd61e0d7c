"""When does this worker refuse calls because it has too much to do, and whose?

The one queue that refusing shortens is that of the event loop: requests that lie in socket buffers while callbacks of
others run. How long a request lay there is measured: the loop looks at its sockets, then works off all that it found,
then looks again; from the first request of such a turn to this one is what this one has waited since the look, and
before it, on the mean, as long again. The time is that of the thread, not of the wall: 20 ms are 20 ms of our own work.
What others on the machine take does not get less by refusing, and neither does the wait for the journal's disk.
(uvloop's own clock is of no use here: it is brought up to date at each question.)

Above 20 ms on the mean the calls let in are cut down until the wait is short again, and each customer gets its
fair share of them: what others do not need goes to who needs more, so who asks for little is not refused at all.
"""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from entrepot.gateway.server import Connection

TOO_LONG_S: Final = 0.020  # mean wait above which calls are refused
SHORT_S: Final = 0.005  # and below which more are let in again
_TURN_S: Final = 0.020  # shares are dealt anew so often
_JUDGED_S: Final = 0.100  # the mean is over this long
_FEWEST: Final = 20  # requests in it: below there is no queue, only a slow machine
_SUSTAINED: Final = 5  # judgements in a row: a burst that is over before is served
_SMOOTHED_S: Final = 0.5
_LULL_S: Final = 2.0  # nobody came for so long: what ended meanwhile says nothing
_FLOOR: Final = 0.95  # of the best of late: where the wait is another's doing (a machine that is short of processors,
_FORGET: Final = 0.998  # a slow disk) refusing more would not shorten it
RETRY_MS: Final = 1_000
_CUSTOMERS_LIMIT: Final = 10_000


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


class Overload:
    """The judgement of one worker. `now` and `worked` (of this thread) in seconds; `soon` calls back when the loop has
    worked off what it found; `done` is how many calls have ended since its start."""

    def __init__(
        self, now: Callable[[], float], worked: Callable[[], float], soon: Callable[[Callable[[], None]], object],
        done: Callable[[], int],
    ) -> None:  # fmt: skip
        self._now = now
        self._worked = worked
        self._done = done
        self._done_before = 0
        self._pace = self._best = 0.0  # calls ended a second: smoothed, and the best of late
        self._soon = soon
        self._began = 0.0  # the turn of the loop; 0: it looks
        self.refusing = False
        self.refused = 0
        self.mean_s = 0.0
        self._judge_at = self._deal_at = 0.0
        self._count = 0
        self._waited = 0.0
        self._strikes = 0
        self._each = 0.0  # calls a turn that are let in, while refusing
        self._level = 0.0  # of one customer
        self._even = 0.0  # what each would have if all had the same
        self._given = 0  # in this turn
        self._asked: dict[str, int] = {}  # in this turn, by customer
        self._let_in = 0  # since the last judgement
        self._turned_away = 0

    def admits(self, payer: str) -> bool:
        """A request of this customer is whole: may it go on?"""
        now = self._now()
        worked = self._worked()
        if self._began:
            self._waited += worked - self._began
        else:
            self._began = worked
            self._soon(self._looks)
        self._count += 1
        if now >= self._judge_at:
            self._judge(now)
        if not self.refusing:
            self._let_in += 1
            return True
        if now >= self._deal_at:
            self._deal(now)
        asked = self._asked.get(payer, 0) + 1
        if asked > 1 or len(self._asked) < _CUSTOMERS_LIMIT:
            self._asked[payer] = asked
        if asked > self._level or (self._given >= self._each and asked > self._even):
            self._turned_away += 1
            self.refused += 1
            return False
        self._given += 1
        self._let_in += 1
        return True

    def _looks(self) -> None:
        self._began = 0.0

    def _judge(self, now: float) -> None:
        since = now - self._judge_at + _JUDGED_S  # since the last judgement
        self.mean_s = 2 * self._waited / self._count
        done = self._done()
        if since < _LULL_S:
            self._pace += ((done - self._done_before) / since - self._pace) * min(1.0, since / _SMOOTHED_S)
        self._best = max(self._pace, self._best * _FORGET)
        self._done_before = done
        long = self.mean_s > TOO_LONG_S and self._count >= _FEWEST
        self._strikes = self._strikes + 1 if long else 0
        if not self.refusing:
            if self._strikes >= _SUSTAINED:
                self.refusing = True
                self._each = max(1.0, self._best * _TURN_S)
                self._deal(now)
        elif long:
            self._each = max(1.0, self._each * 0.9, _FLOOR * self._best * _TURN_S)
        elif self.mean_s < SHORT_S:
            if not self._turned_away:
                self.refusing = False
            self._each *= 1.05
        self._count = self._let_in = self._turned_away = 0
        self._waited = 0.0
        self._judge_at = now + _JUDGED_S

    def _deal(self, now: float) -> None:
        """The level up to which each customer's calls are let in, by what they asked for in the turn before."""
        left, asked = self._each, sorted(self._asked.values())
        level = left
        for number, one in enumerate(asked):
            level = left / (len(asked) - number)
            if one > level:
                break
            left -= one
        else:
            level = max(level, left)
        self._level = max(1.0, level)
        self._even = self._each / max(1, len(asked))
        self._asked.clear()
        self._given = 0
        self._deal_at = now + _TURN_S
