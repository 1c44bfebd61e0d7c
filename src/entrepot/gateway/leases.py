"""The leases of this worker, and its talk with the keeper. With slices in hand nobody waits for it.

A call takes its hold from every lease of its offer or from none. While it waits it takes them one after the other, in
the order of the offer, so that two calls never wait for each other; what it has taken is free again if it is refused.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from pathlib import Path

import msgspec

from entrepot.gateway.account import AHEAD_S, Account, Decided, Waiter
from entrepot.kernel.instants import Instant
from entrepot.limits.lease import Lease
from entrepot.limits.message import (
    FromKeeper,
    Granted,
    Hello,
    MessageBroken,
    Publish,
    Recall,
    Returned,
    Seen,
    ToKeeper,
    frame,
    from_keeper,
    split,
)
from entrepot.metering.record import Grant, LeaseTotals, Return, to_bytes

WAIT_S = 0.25  # protocol §4: a keeper that is not starved answers within this
#: A call waits so long for one that is connected: one that ends takes its connection away, so it has to do with others.
PATIENCE_S = 1.0
ANSWER_S = 0.2  # the keeper answers within this: a question that is older was lost
RETRY_S = 0.25
#: A keeper that stops takes its socket away, one that is killed leaves it. Without a socket the successor is about to
#: come (a reload, a start), and calls wait for it so long instead of being refused.
SUCCESSOR_S = 5.0
_SUCCESSOR_RETRY_S = 0.02
#: A link younger than this is patient as well: either side has just begun and hears from everybody at once. At a load
#: of 11 on two cores a first answer took more than 250 ms and the call behind it was refused for nothing.
YOUNG_S = 5.0
DURABLE_S = 5.0
_WAITERS_LIMIT = 10_000

Append = Callable[[bytes, Callable[[], None] | None], int]


class Leases:
    """All leases of this worker. Grants and returns are journaled in the order that protocol §1 asks for."""

    def __init__(self, loop: asyncio.AbstractEventLoop, totals: list[LeaseTotals], append: Append) -> None:
        self._loop = loop
        self._append = append
        self._accounts = {
            t.balance: Account(Lease(t.balance, t.granted, t.returned, t.charged), loop.time()) for t in totals
        }
        self._writer: asyncio.StreamWriter | None = None
        self._linked_at = -YOUNG_S
        self._successor_by = 0.0  # the keeper is being replaced: until then its successor is waited for
        self._questions = 0
        self._waiting = 0
        self._returning = 0  # returns that are not durable yet
        self._returned_all = asyncio.Event()
        self.on_publish: Callable[[int], None] = lambda version: None
        self.on_share: Callable[[FromKeeper], None] = lambda message: None
        self.on_link: Callable[[Callable[[ToKeeper], None] | None], None] = lambda send: None
        self.version = 0

    def lease(self, balance: str) -> Lease:
        return self._account(balance).lease

    def totals(self) -> tuple[LeaseTotals, ...]:
        """For `carry`: the three totals of every lease that was ever granted something."""
        return tuple(
            LeaseTotals(b, a.lease.granted, a.lease.returned, a.lease.charged)
            for b, a in self._accounts.items()
            if a.lease.granted
        )

    @property
    def connected(self) -> bool:
        return self._writer is not None

    @property
    def waiting(self) -> int:
        """Calls that wait for money."""
        return self._waiting

    def end(self, leases: tuple[Lease, ...], hold: int, charge: int) -> None:
        """A hold becomes a charge in all its leases; what is free again may be what another call waits for."""
        for lease in leases:
            lease.end(hold, charge)
            if lease.wanted:  # in a turn of its own: this one may take the hold again, for another attempt
                account = self._account(lease.balance)
                if account.closing:
                    account.block()
                self._loop.call_soon(self._serve, account)

    def _account(self, balance: str) -> Account:
        found = self._accounts.get(balance)
        if found is None:
            found = self._accounts[balance] = Account(Lease(balance), self._loop.time())
        return found

    # asking

    def need(self, leases: tuple[Lease, ...], hold: int, decided: Decided) -> None:
        """Take `hold` from all of them as soon as the keeper grants what is missing; decides within 1 s, or, while the
        keeper is replaced or has just come, within 10 s."""
        if (self._writer is None and not self._successor_comes()) or self._waiting >= _WAITERS_LIMIT:
            self._loop.call_soon(decided, "")
            return
        waiter = Waiter(leases, hold, decided, self._loop.time())
        waiter.timer = self._loop.call_later(WAIT_S, self._expired, waiter)
        self._waiting += 1
        self._advance(waiter)
        if not waiter.done:  # what comes later in its order is asked for at the same time
            for lease in leases[waiter.at + 1 :]:
                account = self._account(lease.balance)
                if lease.free < hold and not account.asked and not account.waiters:
                    self._want(account, hold - lease.free)

    def _advance(self, waiter: Waiter) -> None:
        """Take the next leases; wait for the first that has too little."""
        while waiter.at < len(waiter.leases):
            if not waiter.passes():
                account = self._account(waiter.leases[waiter.at].balance)
                waiter.question = 0
                account.waiters.append(waiter)
                account.lease.wanted = True
                self._ask(account)
                return
        self._over(waiter)

    def _successor_comes(self) -> bool:
        return self._loop.time() < self._successor_by

    def _expired(self, waiter: Waiter) -> None:
        account = self._account(waiter.leases[waiter.at].balance)
        if self._successor_comes() if self._writer is None else self._worth_waiting(waiter):
            waiter.timer = self._loop.call_later(WAIT_S, self._expired, waiter)
            self._ask(account)  # its question may have been lost with the keeper that went
            return
        account.waiters.remove(waiter)
        self._over(waiter)
        self._ask(account)

    def _worth_waiting(self, waiter: Waiter) -> bool:
        """Whether a connected keeper that has not answered yet may still do so."""
        now = self._loop.time()
        return now - waiter.since < PATIENCE_S - WAIT_S / 2 or now - self._linked_at < YOUNG_S

    def _over(self, waiter: Waiter) -> None:
        """Every lease is taken, or all that was is free again."""
        waiter.done = True
        self._waiting -= 1
        if waiter.timer is not None:
            waiter.timer.cancel()
        if waiter.taken == len(waiter.leases):
            waiter.decided(None)
        else:
            self.end(waiter.leases[: waiter.taken], waiter.hold, 0)
            waiter.decided(waiter.word())

    def _serve(self, account: Account) -> None:
        """Everybody whose hold fits goes on, in their order: a large one does not keep small ones waiting."""
        waiters, account.waiters = account.waiters, deque()
        lease = account.lease
        if account.blocked:
            account.unblock()
            self._give_back(account)
        for waiter in waiters:
            if waiter.done:
                continue
            if waiter.passes():
                self._advance(waiter)
            else:
                account.waiters.append(waiter)
        lease.wanted = bool(account.waiters) or account.closing

    def _ask(self, account: Account) -> None:
        """One question at a time, for everybody who waits."""
        if account.asked and self._loop.time() - account.asked_at >= ANSWER_S:
            account.asked = 0  # that question got no answer: the next one is a new one
        if not account.asked and any(not waiter.done for waiter in account.waiters):
            self._want(account)

    def _want(self, account: Account, ahead: int = 0) -> None:
        if self._writer is not None:
            self._questions += 1
            self._writer.write(frame(account.question(self._questions, self._loop.time(), ahead=ahead)))

    def _granted(self, message: Granted) -> None:
        account = self._account(message.balance)
        lease = account.lease
        number = message.number or account.asked
        current = number == account.asked
        if current:
            account.asked = 0
        self._hear(account, message.total)
        self._serve(account)
        if message.short:
            # Of a call that came after the question it says only that what was free everywhere is too little, never
            # that all is spent: money may have come in. Without that, of a thousand who come at once most would wait
            # for a question of their own until their time is over.
            room = message.room + lease.free
            told = [
                each for each in account.waiters
                if 0 < each.question <= number or (current and each.hold > room)
            ]  # fmt: skip
            for waiter in told:
                spent = waiter.hold > message.left and 0 < waiter.question <= number
                short = "spent" if spent else "held"
                waiter.words.append(msgspec.structs.replace(message, short=short, room=room))
                account.waiters.remove(waiter)
                waiter.at += 1
                self._advance(waiter)
            self._serve(account)
        self._ask(account)

    def _hear(self, account: Account, total: int) -> None:
        """What was ever granted; journaled before anything uses it."""
        lease = account.lease
        if total > lease.granted:
            self._append(to_bytes(Grant(lease.balance, total)), None)
            lease.grant(total)
            account.closing = False

    # giving back

    def _recall(self, message: Recall) -> None:
        """All that is free goes back, also when calls wait here: it was too little for each of them, and the keeper
        knows who is first."""
        account = self._account(message.balance) if message.total else self._accounts.get(message.balance)
        if account is not None:
            self._hear(account, message.total)
            if message.closing:
                account.closing = account.lease.wanted = True
        if account is not None and account.lease.free > 0:
            self._give_back(account)
        elif account is None or account.lease.returned == account.returned_durable:
            total = account.returned_durable if account is not None else 0
            if self._writer is not None:
                self._writer.write(frame(Returned(balance=message.balance, total=total)))

    def _give_back(self, account: Account) -> None:
        lease = account.lease
        total = lease.give_back(lease.free)
        self._returning += 1

        def durable() -> None:
            self._returning -= 1
            if not self._returning:
                self._returned_all.set()
            self._returned(account, total)

        self._append(to_bytes(Return(lease.balance, total)), durable)

    def _returned(self, account: Account, total: int) -> None:
        """The return is durable: now, and not before, the keeper may hear of it."""
        account.returned_durable = max(account.returned_durable, total)
        if self._writer is not None and account.returned_durable:
            self._writer.write(frame(Returned(balance=account.lease.balance, total=account.returned_durable)))

    async def give_back_all(self) -> bool:
        """Before a clean end: what is free goes back; True when that is durable. A keeper that is not there reads it in
        the journal."""
        for account in self._accounts.values():
            if account.lease.free > 0:
                self._give_back(account)
        if self._returning:
            self._returned_all.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._returned_all.wait(), DURABLE_S)
        return not self._returning

    # once a second

    def tick(self, at: Instant) -> None:
        """Learn the pace, ask ahead for what runs low and for the periods to come, give back what rests."""
        now = self._loop.time()
        for account in list(self._accounts.values()):
            account.look(now)
            if account.runs_low(now):
                self._want(account)
            elif account.rests(now):
                self._give_back(account)
            elif account.over(at):
                del self._accounts[account.lease.balance]
            if name := account.next_period(at):
                following = self._account(name)
                if not following.lease.free and not following.asked and now - following.asked_at >= AHEAD_S:
                    self._want(following, account.pace)

    def seen(self, version: int) -> None:
        """Tell the keeper which snapshot this worker answers from."""
        self.version = version
        if self._writer is not None:
            self._writer.write(frame(Seen(version)))

    # talking

    async def talk(self, path: Path, hello: Callable[[], Hello]) -> None:
        """Stay connected to the keeper; runs until cancelled."""
        away_since = 0.0  # no socket there
        while True:
            try:
                reader, writer = await asyncio.open_unix_connection(str(path))
            except FileNotFoundError:
                away_since = away_since or self._loop.time()
                self._successor_by = away_since + SUCCESSOR_S
                await asyncio.sleep(_SUCCESSOR_RETRY_S if self._successor_comes() else RETRY_S)
                continue
            except OSError:
                self._successor_by = away_since = 0.0
                await asyncio.sleep(RETRY_S)
                continue
            self._successor_by, away_since, since = 0.0, 0.0, self._loop.time()
            try:
                writer.write(frame(hello()))
                self._writer, self._linked_at = writer, self._loop.time()
                self.on_link(lambda message, writer=writer: writer.write(frame(message)))  # type: ignore[misc]
                for account in list(self._accounts.values()):
                    account.asked = 0
                    self._returned(account, account.returned_durable)
                    self._ask(account)
                await self._listen(reader)
            except (OSError, MessageBroken, msgspec.DecodeError):
                pass
            finally:
                self._writer = None
                self._successor_by = self._loop.time() + WAIT_S  # the next look at the socket says more
                self.on_link(None)
                writer.close()
            if self._loop.time() - since < RETRY_S:
                await asyncio.sleep(RETRY_S)

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        buffer = bytearray()
        while data := await reader.read(65536):
            buffer += data
            for body in split(buffer):
                self._handle(from_keeper.decode(body))

    def _handle(self, message: FromKeeper) -> None:
        if isinstance(message, Granted):
            self._granted(message)
        elif isinstance(message, Recall):
            self._recall(message)
        elif isinstance(message, Publish):
            self.on_publish(message.version)
        else:
            self.on_share(message)
