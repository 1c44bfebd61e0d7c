"""One lease of this worker with the calls that wait for it, how fast it is used, and what is asked of the keeper."""

from asyncio import TimerHandle
from collections import deque
from collections.abc import Callable

from entrepot.kernel.instants import DAY, MINUTE, Instant
from entrepot.limits.budget import budget_of, following
from entrepot.limits.lease import Lease
from entrepot.limits.message import Granted, Want

IN_HAND_S = 450  # half of the keeper's slice (900 s): below it more is asked for, so that an outage finds us provided
AHEAD_S = 5.0  # asking ahead, at most so often for one lease: the keeper may have no more to give
#: A lease that nobody used for so long goes back: as long as a slice is meant to last without the keeper.
IDLE_S = 900.0
#: The lease of a budget's next period is asked for this long before it begins (protocol §2).
NEXT_PERIOD = 10 * MINUTE
#: A lease of a period that ended so long ago is forgotten once it is empty; no clock is set back this far.
FORGET = 2 * DAY
#: Calls that one question speaks for; the rest is the next one.
MOST_HOLDS = 256

#: Called with None when the hold was taken, else with the keeper's last word, or "" for no word at all.
Decided = Callable[[Granted | str | None], None]


class Waiter:
    """A call that waits for its leases, one after the other, now for that at `at`. The first `taken` are taken; after a
    first refusal it only hears what the others say, so that the caller is told of the one that has least."""

    __slots__ = ("at", "decided", "done", "hold", "leases", "question", "since", "taken", "timer", "words")

    def __init__(self, leases: tuple[Lease, ...], hold: int, decided: Decided, since: float) -> None:
        self.since = since
        self.leases = leases
        self.hold = hold
        self.decided = decided
        self.at = 0
        self.taken = 0
        self.words: list[Granted] = []
        self.question = 0  # that speaks for it at the lease it waits for; 0: none yet
        self.done = False
        self.timer: TimerHandle | None = None

    def passes(self) -> bool:
        """Take the next lease, or after a refusal see whether it would do; False: it has too little."""
        lease = self.leases[self.at]
        if self.words:
            if lease.free < self.hold:
                return False
        elif lease.take(self.hold):
            self.taken += 1
        else:
            return False
        self.at += 1
        return True

    def word(self) -> Granted | str:
        """Why it is refused: *spent* before *held*, then by the lease that has least; "" if nobody said anything."""
        spent = [word for word in self.words if word.short == "spent"]
        if spent:
            return min(spent, key=lambda word: word.left)
        return min(self.words, key=lambda word: word.room) if self.words else ""


class Account:
    """A lease and its waiters."""

    __slots__ = (
        "asked",
        "asked_at",
        "blocked",
        "budget",
        "closing",
        "ends_at",
        "lease",
        "next_id",
        "pace",
        "returned_durable",
        "starts_at",
        "taken",
        "used_at",
        "waiters",
    )  # fmt: skip

    def __init__(self, lease: Lease, now: float) -> None:
        self.lease = lease
        self.waiters: deque[Waiter] = deque()
        self.asked = 0  # number of the question under way; 0: none
        self.asked_at = 0.0
        self.pace = 0  # ledger units of holds a second, smoothed
        self.taken = lease.charged  # charged + held when pace was last looked at
        self.used_at = now
        self.returned_durable = lease.returned
        self.closing = False  # what ends here goes back: less may be spent now than is out
        self.blocked = 0  # what has ended and goes back at the end of this turn
        self.budget = budget_of(lease.balance) is not None
        self.next_id, self.ends_at = following(lease.balance)

    def question(self, number: int, now: float, *, ahead: int = 0) -> Want:
        """What to ask the keeper for those that wait; with nobody waiting, for a slice at the pace `ahead`."""
        lease = self.lease
        self.asked, self.asked_at = number, now
        holds: list[int] = []
        for waiter in self.waiters:
            if not waiter.done and len(holds) < MOST_HOLDS:
                waiter.question = number
                holds.append(waiter.hold)
        need = max(0, sum(holds) - lease.free)
        return Want(
            balance=lease.balance, granted_seen=lease.granted, need=need, pace=max(self.pace, need, ahead),
            hold=holds[0] if holds else 0, holds=tuple(holds), free=lease.free, returned=lease.returned, number=number,
        )  # fmt: skip

    def block(self) -> None:
        """Nobody may take what is free: it goes back as soon as the ending that left it is journaled."""
        rest = self.lease.free
        self.lease.held += rest
        self.blocked += rest

    def unblock(self) -> None:
        self.lease.held -= self.blocked
        self.blocked = 0

    def look(self, now: float) -> None:
        """Once a second: how fast is it used?"""
        lease = self.lease
        taken = lease.charged + lease.held
        moved, self.taken = max(0, taken - self.taken), taken
        self.pace = (self.pace * 7 + moved) // 8 if moved < self.pace else moved
        if moved or lease.held or self.waiters:
            self.used_at = now

    def runs_low(self, now: float) -> bool:
        """Whether more is to be asked for before somebody needs it."""
        free = self.lease.free
        if self.asked or not self.pace or free >= self.pace * IN_HAND_S:
            return False
        return now - self.asked_at >= AHEAD_S or free < self.pace * 2

    def rests(self, now: float) -> bool:
        """Whether it is time to give it back: nobody has used it for as long as a slice should last."""
        return now - self.used_at >= IDLE_S and not self.waiters and self.lease.free > 0

    def next_period(self, at: Instant) -> str:
        """The id of the lease to provide now because the period ends soon; "" where it is not time, or no use."""
        return self.next_id if self.pace and self.next_id and self.ends_at - NEXT_PERIOD <= at < self.ends_at else ""

    def over(self, at: Instant) -> bool:
        """Whether the lease may be forgotten: of a period long past, with nothing left in it."""
        lease = self.lease
        return (
            self.budget and at > self.ends_at + FORGET and not lease.held and not self.waiters
            and lease.granted == self.returned_durable + lease.charged
        )  # fmt: skip
