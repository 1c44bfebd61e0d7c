"""One number of one limit, divided over workers: the keeper's side.

A worker's share is given - returned, and both totals only grow: a message that is lost, repeated or late changes
nothing. What the keeper counts as out is never less than what workers have, so Σ shares ≤ limit; and since a worker
gives up only what its window does not hold, no window holds more than the limit over all workers.
"""

import heapq

import msgspec

from entrepot.limits.rate import NEVER, SUB_BUCKETS, Schedule

#: A worker that asks gets this part of the limit ahead, and no more than its part of what is left.
AHEAD = 4


class Held(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """A meter as a worker tells of it: what it is, both totals, and when its window is free again."""

    meter: str
    most: int
    width: int
    version: int = 0  # of the snapshot that says `most`
    life: int = 0
    given: int = 0
    returned: int = 0
    window: Schedule = ()


class Holding:
    """What one worker has of it, as far as the keeper knows: never less than the worker."""

    __slots__ = ("free_at", "given", "life", "returned", "used", "window", "window_at")

    def __init__(self, life: int) -> None:
        self.life = life
        self.given = self.returned = 0
        self.window: Schedule = ()
        self.window_at = 0
        self.used = 0  # as the worker last said
        self.free_at = 0

    @property
    def share(self) -> int:
        return self.given - self.returned


class Division:
    """All shares of one meter. Instants are µs of a clock that never steps."""

    def __init__(self, name: str, most: int, width: int, version: int = 0) -> None:
        self.name = name
        self.most = most
        self.width = width
        self.version = version
        self.holdings: dict[str, Holding] = {}
        self.left: list[tuple[int, int]] = []  # (free at, amount) of workers that have gone

    def out(self, now: int) -> int:
        """What workers have, and what those that have gone may have used within a window."""
        while self.left and self.left[0][0] <= now:
            heapq.heappop(self.left)
        return sum(each.share for each in self.holdings.values()) + sum(amount for _, amount in self.left)

    def available(self, now: int) -> int:
        return self.most - self.out(now)

    def learn(self, worker: str, held: Held, now: int) -> Holding:
        """What a worker says of itself. Its limit counts if no newer snapshot has said another."""
        if held.version >= self.version:
            self.most, self.version = held.most, held.version
        holding = self.holdings.get(worker)
        if holding is None or held.life > holding.life:  # a new life begins when nothing is left of the one before
            holding = self.holdings[worker] = Holding(held.life)
        if held.life == holding.life:
            holding.given = max(holding.given, held.given)
            if held.returned >= holding.returned:
                holding.returned = held.returned
                holding.window, holding.window_at = held.window, now
        return holding

    def ask(self, worker: str, held: Held, need: int, wish: int, workers: int, now: int) -> bool:  # noqa: PLR0917
        """Give at least `need` more than the worker knows of, or nothing: as much as is wished for, and something ahead
        while there is plenty."""
        holding = self.learn(worker, held, now)
        if held.life != holding.life:
            return False  # of a life that is over
        missed = holding.given - held.given  # given before, and not heard of
        if missed >= need:
            return True
        need, wish = need - missed, max(wish, need) - missed
        available = self.available(now)
        if need > available:
            return False
        ahead = wish + min(self.most // (AHEAD * max(1, workers)), max(0, available - wish) // max(1, workers))
        holding.given += max(need, min(available, ahead))
        return True

    def gone(self, worker: str, now: int, window: Schedule | None = None) -> None:
        """A worker has ended. It may have used its share until now, so that is free a whole window later; `window` is
        the last word of one that ended in order, and what it had not used is free at once. Calls end with it."""
        holding = self.holdings.pop(worker, None)
        if holding is None or not self.width:
            return
        if window is None:
            window = ((SUB_BUCKETS * self.width, holding.share),)
        self.leave(window, now)

    def leave(self, window: Schedule, now: int) -> None:
        """Count this as used by somebody who has gone."""
        for wait, amount in window:
            if amount > 0 and wait > 0:
                heapq.heappush(self.left, (now + wait, amount))

    def keep_to(self, now: int) -> dict[str, int]:
        """What each worker has to come down to after the limit was lowered; empty while Σ shares ≤ limit."""
        out = self.out(now)
        if out <= self.most:
            return {}
        held = sum(each.share for each in self.holdings.values())
        can = max(0, self.most - (out - held))
        return {worker: each.share * can // held for worker, each in self.holdings.items() if each.share}

    def others(self, worker: str, now: int) -> Schedule:
        """When what others have is free again, by what they last said; their unused share as if just used."""
        found = [(at - now, amount) for at, amount in self.left]
        for name, each in self.holdings.items():
            if name == worker or not each.share:
                continue
            passed = now - each.window_at
            told = sum(amount for _, amount in each.window)
            found += [(max(0, wait - passed) if wait < NEVER else NEVER, amount) for wait, amount in each.window]
            if each.share > told:
                found.append((SUB_BUCKETS * self.width or NEVER, each.share - told))
        return tuple(sorted(found))

    @property
    def idle(self) -> bool:
        """Nobody has anything: it need not be remembered."""
        return not self.left and not any(each.share for each in self.holdings.values())
