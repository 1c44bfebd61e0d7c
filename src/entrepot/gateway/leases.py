"""The leases of this worker, and its talk with the keeper. With slices in hand nobody waits for it."""

import asyncio
from collections import deque
from collections.abc import Callable
from pathlib import Path

import msgspec

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
    Want,
    frame,
    from_keeper,
    split,
)  # fmt: skip
from entrepot.metering.record import Grant, LeaseTotals, Return, to_bytes

WAIT_S = 0.25  # protocol §4: the keeper is asked once, this long
RETRY_S = 0.25
IN_HAND_S = 450  # half of the keeper's slice (900 s): below it more is asked for, so that an outage finds us provided
AHEAD_S = 5.0  # asking ahead, at most so often for one balance: the keeper may have no more to give
_WAITERS_LIMIT = 10_000

#: Called with None when the hold was taken, else with the keeper's last word, or "" for no word at all.
Decided = Callable[[Granted | str | None], None]
Append = Callable[[bytes, Callable[[], None] | None], int]


class _Waiter(msgspec.Struct):
    hold: int
    decided: Decided
    until: float


class Account:
    """One lease with those who wait for it, and how fast it is used."""

    __slots__ = ("asked", "asked_at", "lease", "pace", "returned_durable", "taken", "waiters")

    def __init__(self, lease: Lease) -> None:
        self.lease = lease
        self.waiters: deque[_Waiter] = deque()
        self.asked = 0  # amount of the question under way; 0: none
        self.asked_at = 0.0
        self.pace = 0  # ledger units of holds a second, smoothed
        self.taken = 0  # charged + held when pace was last looked at
        self.returned_durable = lease.returned


class Leases:
    """All leases of this worker. Grants and returns are journaled in the order that protocol §1 asks for."""

    def __init__(self, loop: asyncio.AbstractEventLoop, totals: list[LeaseTotals], append: Append) -> None:
        self._loop = loop
        self._append = append
        self._accounts = {t.balance: Account(Lease(t.balance, t.granted, t.returned, t.charged)) for t in totals}
        self._writer: asyncio.StreamWriter | None = None
        self.on_publish: Callable[[int], None] = lambda version: None
        self.version = 0

    def lease(self, balance: str) -> Lease:
        return self._account(balance).lease

    def totals(self) -> tuple[LeaseTotals, ...]:
        """For `carry`: the three totals of every lease."""
        return tuple(
            LeaseTotals(b, a.lease.granted, a.lease.returned, a.lease.charged) for b, a in self._accounts.items()
        )

    @property
    def connected(self) -> bool:
        return self._writer is not None

    def _account(self, balance: str) -> Account:
        found = self._accounts.get(balance)
        if found is None:
            found = self._accounts[balance] = Account(Lease(balance))
        return found

    # asking

    def need(self, balance: str, hold: int, decided: Decided) -> None:
        """Take `hold` as soon as the keeper grants it; decides within 250 ms either way."""
        account = self._account(balance)
        if self._writer is None or len(account.waiters) >= _WAITERS_LIMIT:
            self._loop.call_soon(decided, "")
            return
        account.waiters.append(_Waiter(hold, decided, self._loop.time() + WAIT_S))
        if len(account.waiters) == 1:
            self._loop.call_later(WAIT_S + 0.005, self._expire, account)
        self._ask(account)

    def _ask(self, account: Account) -> None:
        """One question at a time: everything that waits together first; if that is too much, the first one alone."""
        if account.asked or self._writer is None or not account.waiters:
            return
        missing = sum(w.hold for w in account.waiters) - account.lease.free
        self._want(account, max(1, missing))

    def _want(self, account: Account, need: int) -> None:
        if self._writer is None:
            return
        account.asked, account.asked_at = need, self._loop.time()
        lease = account.lease
        hold = account.waiters[0].hold if account.waiters else 0  # spent or held is said of this one
        message = Want(
            balance=lease.balance, granted_seen=lease.granted, need=need, pace=max(account.pace, need), hold=hold
        )
        self._writer.write(frame(message))

    def _expire(self, account: Account) -> None:
        now = self._loop.time()
        while account.waiters and account.waiters[0].until <= now:
            account.waiters.popleft().decided("")
        if account.asked and now - account.asked_at >= WAIT_S:
            account.asked = 0  # that question got no answer: the next one is a new one
        if account.waiters:
            self._loop.call_at(account.waiters[0].until + 0.005, self._expire, account)
            self._ask(account)

    def _granted(self, message: Granted) -> None:
        account = self._account(message.balance)
        lease = account.lease
        asked, account.asked = account.asked, 0
        if message.total > lease.granted:
            self._append(to_bytes(Grant(message.balance, message.total)), None)
            lease.grant(message.total)
        waiters = account.waiters
        while waiters and lease.take(waiters[0].hold):
            waiters.popleft().decided(None)
        if not waiters:
            return
        first = waiters[0]
        missing = first.hold - lease.free
        # a word about another hold, or one that came too late, says nothing about this one
        meant = 0 < asked <= missing and (message.short != "spent" or message.left < first.hold)
        if message.short and meant:
            waiters.popleft().decided(message)
        if waiters and message.short:
            self._want(account, waiters[0].hold - lease.free)
        else:
            self._ask(account)

    def _recall(self, message: Recall) -> None:
        account = self._account(message.balance)
        lease = account.lease
        if lease.free <= 0 or account.waiters:
            return
        total = lease.give_back(lease.free)
        self._append(to_bytes(Return(message.balance, total)), lambda: self._returned(account, total))

    def _returned(self, account: Account, total: int) -> None:
        """The return is durable: now, and not before, the keeper may hear of it."""
        account.returned_durable = max(account.returned_durable, total)
        if self._writer is not None and account.returned_durable:
            self._writer.write(frame(Returned(balance=account.lease.balance, total=account.returned_durable)))

    def tick(self) -> None:
        """Once a second: learn the pace, and ask ahead for leases that run low."""
        for account in self._accounts.values():
            lease = account.lease
            taken = lease.charged + lease.held
            moved, account.taken = max(0, taken - account.taken), taken
            account.pace = (account.pace * 7 + moved) // 8 if moved < account.pace else moved
            if account.asked or not account.pace or lease.free >= account.pace * IN_HAND_S:
                continue
            if self._loop.time() - account.asked_at >= AHEAD_S or lease.free < account.pace * 2:
                self._want(account, 1)

    def seen(self, version: int) -> None:
        """Tell the keeper which snapshot this worker answers from."""
        self.version = version
        if self._writer is not None:
            self._writer.write(frame(Seen(version)))

    # talking

    async def talk(self, path: Path, hello: Callable[[], Hello]) -> None:
        """Stay connected to the keeper; runs until cancelled."""
        while True:
            try:
                reader, writer = await asyncio.open_unix_connection(str(path))
            except OSError:
                await asyncio.sleep(RETRY_S)
                continue
            try:
                writer.write(frame(hello()))
                self._writer = writer
                for account in self._accounts.values():
                    account.asked = 0
                    self._returned(account, account.returned_durable)
                    self._ask(account)
                await self._listen(reader)
            except (OSError, MessageBroken, msgspec.DecodeError):
                pass
            finally:
                self._writer = None
                writer.close()
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
