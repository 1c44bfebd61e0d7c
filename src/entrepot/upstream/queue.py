"""Calls that wait for a connection to one upstream: a turn for each customer, a bound for all.

Whoever waits behind a customer with a thousand calls waits for one of them, not for a thousand.
"""

from collections import OrderedDict, deque
from collections.abc import Mapping
from typing import NamedTuple

from entrepot.upstream.connection import Sink

_LOOKED_AT = 8  # customers whose turn is next: of them, who has the fewest connections goes first


class Waiting(NamedTuple):
    """One call."""

    until: float
    request: bytes
    sink: Sink


class FairQueue:
    """Per customer in order of arrival; customers take turns."""

    def __init__(self) -> None:
        self._lines: OrderedDict[str, deque[Waiting]] = OrderedDict()
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def push(self, waiting: Waiting, limit: int) -> Sink | None:
        """Let a call wait. When all `limit` places are taken the last call of the longest line loses its own, which may
        be this one: who loses is returned."""
        payer = waiting.sink.payer
        line = self._lines.get(payer)
        if line is None:
            line = self._lines[payer] = deque()
        line.append(waiting)
        self._size += 1
        if self._size <= limit:
            return None
        longest = max(self._lines, key=lambda each: len(self._lines[each]))
        if len(self._lines[longest]) <= len(line):
            longest = payer
        self._size -= 1
        lost = self._lines[longest].pop()
        if not self._lines[longest]:
            del self._lines[longest]
        return lost.sink

    def pop(self, held: Mapping[str, int]) -> Waiting | None:
        """Whose turn it is and who still wants its call. `held`: connections that a customer has now; of the next few
        in turn the one with the fewest goes first, so that long calls do not add up to all connections."""
        while self._lines:
            turn = [payer for payer, _ in zip(self._lines, range(_LOOKED_AT), strict=False)]
            payer = min(turn, key=lambda each: held.get(each, 0))
            line = self._lines[payer]
            waiting = line.popleft()
            self._size -= 1
            if line:
                self._lines.move_to_end(payer)
            else:
                del self._lines[payer]
            if waiting.sink.wanted():
                return waiting
        return None

    def expired(self, now: float) -> list[Sink]:
        """Take out who has waited too long."""
        found = []
        for payer, line in list(self._lines.items()):
            while line and line[0].until <= now:
                found.append(line.popleft().sink)
                self._size -= 1
            if not line:
                del self._lines[payer]
        return found

    def clear(self) -> list[Sink]:
        """Take out everybody."""
        found = [waiting.sink for line in self._lines.values() for waiting in line]
        self._lines.clear()
        self._size = 0
        return found
