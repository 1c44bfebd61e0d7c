"""How many bytes of requests that are not whole yet may this worker hold, and for whom?

Nobody has paid for them: so one customer gets a share only, and when the budget is full, who has sent nothing for
longest goes before who sends now.
"""

from collections.abc import Iterable
from typing import Protocol

BODIES_BUDGET = 256 * 1024 * 1024
BODIES_SHARE = BODIES_BUDGET // 4  # of one customer
EVICTED_FROM = 64 * 1024  # smaller bodies make no room


class Sender(Protocol):
    """A connection whose body is not whole yet."""

    heard_at: float  # when its last byte came

    @property
    def received(self) -> int:
        """Bytes of the body so far."""
        ...

    def evict(self) -> None:
        """Give the bytes back and end."""
        ...


class Bodies:
    """The bytes held, in all and per customer."""

    def __init__(self) -> None:
        self.held = 0
        self._shares: dict[str, int] = {}

    def hold(self, payer: str, size: int) -> int:
        """Takes note of bytes that came (or went: below 0); what this customer holds now."""
        self.held += size
        share = self._shares.get(payer, 0) + size
        if share:
            self._shares[payer] = share
        else:
            self._shares.pop(payer, None)
        return share

    def make_room(self, senders: Iterable[Sender], newcomer: Sender) -> bool:
        """Whether the budget holds what came, after those that have been silent for longest went."""
        if self.held <= BODIES_BUDGET:
            return True
        large = [s for s in senders if s is not newcomer and s.received >= EVICTED_FROM]
        for sender in sorted(large, key=lambda sender: sender.heard_at):
            sender.evict()
            if self.held <= BODIES_BUDGET:
                return True
        return False
