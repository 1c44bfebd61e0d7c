"""Keeper, workers, journals and database as they are, under simulated time: only clock, network and disk are played.

Messages are late, lost, repeated and in another order; workers and the keeper are killed; clocks step by an hour.
What the system does and says is laid beside the reference (`who_may_spend`), call by call. A seed is a schedule.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

import virtual_time
from endings import AT
from entrepot.kernel.instants import HOUR
from entrepot.ledger.grant_tables import top_up
from entrepot.ledger.tables import balance_of, open_balance
from entrepot.limits.message import Granted
from entrepot.limits.tables import budget_charged, leases_of, outstanding
from entrepot.metering.record import Ending, Kind, from_bytes
from entrepot.storage.database import read, write
from simulated_house import CUSTOMER, SimulatedHouse, SimulatedWorker
from simulated_parts import SimulatedJournal
from who_may_spend import Disagreement

BUSY_S = 4.0  # of a schedule
SETTLED_S = 4.0  # then everything is up, delivers and comes to rest
_LOOK_S = 0.7


class World(SimulatedHouse):
    """One schedule."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.refused: Counter[str] = Counter()
        self.admitted = 0
        self.floor: dict[str, int] = {}  # what budgets were lowered to
        self._kills = self.chance.choice((0, 0, 1, 2))
        self._top_ups = 0
        self._lowered: list[asyncio.Task[None]] = []

    # the schedule

    def play(self) -> None:
        """Raises Disagreement, or whatever broke inside."""
        try:
            virtual_time.run(self._play())
        except Disagreement as found:
            raise Disagreement(f"seed {self.seed}: {found}") from found

    async def _play(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.loop.set_exception_handler(self._wrong)
        clock = SimpleNamespace(monotonic=self.loop.time, time_ns=lambda: self.now() * 1000, thread_time=self.loop.time)
        with pytest.MonkeyPatch.context() as world:
            world.setattr("asyncio.open_unix_connection", self.connect)
            for module in ("app", "grants"):
                world.setattr(f"entrepot.keeper.{module}.time", clock)
            with write(self.engine) as conn:
                open_balance(conn, CUSTOMER, "USD")
            self.reference.funds[CUSTOMER] = 0
            self.declare()
            self.top_up(self.chance.choice((1_000, 20_000, 100_000)))
            self.start_keeper()
            for slot in range(1, self.slots + 1):
                self.workers[slot] = SimulatedWorker(self, slot)
            self._every(_LOOK_S, self._look)
            self._every(1.0, self._tick)
            self._plan()
            await self._pass(BUSY_S)
            await self._rest()
            await self._judge()

    def _wrong(self, _loop: object, told: dict[str, Any]) -> None:
        if "exception" in told:  # else it is a task of a keeper that was killed
            self.failed(told["exception"])

    def _plan(self) -> None:
        later, chance = self.loop.call_later, self.chance
        for _ in range(chance.randint(3, 16)):
            later(chance.uniform(0, BUSY_S), self._call)
        acts = (
            (self._kill_worker, 2), (self._kill_keeper, 1), (self._step, 2), (self._more, 2), (self._lower, 1),
        )  # fmt: skip
        for act, most in acts:
            for _ in range(chance.randint(0, most)):
                later(chance.uniform(0.2, BUSY_S), act)

    async def _pass(self, seconds: float) -> None:
        until = self.loop.time() + seconds
        while (left := until - self.loop.time()) > 0 and self.error is None:
            await asyncio.sleep(min(left, 0.5))
        if self.error is not None:
            raise self.error

    def _every(self, seconds: float, work: Callable[[], None]) -> None:
        def again() -> None:
            work()
            self.loop.call_later(seconds, again)

        self.loop.call_later(seconds, again)

    def _look(self) -> None:
        if self.keeper is not None:
            while self.keeper._do_look():  # a full batch is followed at once, as in the keeper's own loop
                pass
            if stuck := self.keeper._ingester.stuck:
                self.failed(Disagreement(f"ingestion is stuck: {stuck}"))

    def _tick(self) -> None:
        for worker in self._alive():
            worker.leases.tick(worker.now())

    # its acts

    def _alive(self) -> list[SimulatedWorker]:
        return [worker for worker in self.workers.values() if not worker.dead]

    def top_up(self, amount: int) -> None:
        self._top_ups += 1
        with write(self.engine) as conn:
            top_up(conn, CUSTOMER, amount, "USD", f"t{self._top_ups}", AT)
        self.reference.funds[CUSTOMER] += amount

    def _more(self) -> None:
        self.top_up(self.chance.randint(1, 5_000))

    def _call(self) -> None:
        if alive := self._alive():
            self._ask(self.chance.choice(alive), self.chance.choice((20, 300, 5_000)) + self.chance.randint(1, 300))

    def _ask(self, worker: SimulatedWorker, hold: int) -> None:
        self._know(worker)
        funds = dict(self.reference.funds)

        def decided(word: int | Granted | str) -> None:
            if isinstance(word, int):
                self.admitted += 1
                charged = self.chance.choice((0, hold, self.chance.randint(0, hold)))
                self.loop.call_later(self.chance.choice((0.01, 0.3, 2.0)), worker.end, word, charged)
            elif isinstance(word, Granted):
                self.refused[word.short] += 1
                if word.short == "spent":
                    self.guarded(self._check_spent, word.balance, hold, funds[word.balance])
            else:
                self.refused["no word"] += 1

        worker.call(hold, decided)

    def _know(self, worker: SimulatedWorker) -> tuple[str, ...]:
        """The accounts that a call of this worker draws on now."""
        accounts = worker.offer().terms.drawn_on
        for budget, account in zip(self.budgets, accounts[1:], strict=True):
            self.reference.funds.setdefault(account, budget.amount)
        return accounts

    def _check_spent(self, account: str, hold: int, funds: int) -> None:
        """Only what is on disk can be known to be spent."""
        charged = sum(
            record.charge
            for journal in self.journals
            for data in journal.records[: journal.durable]
            if data[0] == Kind.ENDING and isinstance(record := from_bytes(data), Ending)
            if account in record.terms.drawn_on
        )
        funds = min(funds, self.floor.get(account, funds))
        if hold <= funds - charged:
            raise Disagreement(f"{account}: a hold of {hold} heard that it is spent, and {funds - charged} was left")

    def written(self, journal: SimulatedJournal) -> None:
        """The moments between a record and its sync are when a kill tells most."""
        if self._kills and journal.records[-1][0] != Kind.CARRY and self.chance.random() < 0.1:
            self._kills -= 1
            self.loop.call_later(self.chance.uniform(0, 0.004), self._kill, journal)

    def _kill(self, journal: SimulatedJournal) -> None:
        worker = self.workers[journal.slot]
        if worker.journal is journal and not worker.dead and not self.calm:
            worker.kill()
            self.loop.call_later(self.chance.choice((0.02, 1.0, 9.0)), self._replace, worker.slot)

    def _kill_worker(self) -> None:
        if alive := self._alive():
            self._kill(self.chance.choice(alive).journal)

    def _replace(self, slot: int) -> None:
        if self.workers[slot].dead:
            self.workers[slot] = SimulatedWorker(self, slot)

    def _kill_keeper(self) -> None:
        if not self.floor:
            self.kill_keeper()
        self.loop.call_later(self.chance.uniform(0.05, 3.0), self._new_keeper)

    def _new_keeper(self) -> None:
        if self.keeper is None:
            self.start_keeper()

    def _step(self) -> None:
        self.chance.choice(list(self.workers.values())).offset += self.chance.choice((-HOUR, HOUR))

    def _lower(self) -> None:
        """Budgets become smaller, perhaps than what is held. From a second later on nothing may begin beyond them; the
        network is calm from here, since a recall that is lost leaves a slice in use."""
        if self.keeper is None or not self.budgets:
            return
        self.calm = True
        self.budgets = tuple(
            msgspec.structs.replace(budget, amount=budget.amount // self.chance.choice((1, 3, 1_000)))
            for budget in self.budgets
        )
        self.declare()
        for worker in self._alive():
            worker.desk.renew(self.snapshot)
        self._lowered.append(self.loop.create_task(self.keeper._grants.review()))
        amounts = {budget.id: budget.amount for budget in self.budgets}
        self.floor = {account: amounts[account.split("/")[2]] for account in self.reference.funds if "/" in account}
        self.loop.call_later(1.0, lambda: self.reference.funds.update(self.floor))

    # the end

    async def _rest(self) -> None:
        """Everything is up (or sealed, of a slot that nobody takes), every message arrives, nothing is in flight."""
        self.calm = True
        self._new_keeper()
        for slot in self.workers:
            if slot == 1 or self.chance.random() < 0.8:
                self._replace(slot)
            else:
                self.reclaim(slot)
        await self._pass(SETTLED_S)

    async def _judge(self) -> None:
        if any(use.charge is None for use in self.reference.uses.values()):
            raise Disagreement("a call is open that nobody ends")
        for account, funds in self.reference.funds.items():
            taken = self.reference.taken(account)
            with read(self.engine) as conn:
                leases = leases_of(conn, account)
                if account == CUSTOMER:
                    posted = funds - balance_of(conn, CUSTOMER)
                else:
                    posted = budget_charged(conn, [account]).get(account, 0)
            if posted != taken or sum(totals.charged for totals in leases.values()) != taken:
                raise Disagreement(f"{account}: the books say {posted}, leases {leases}; the reference says {taken}")
            if sum(map(outstanding, leases.values())) > max(0, funds - posted):
                raise Disagreement(f"{account}: leases {leases} are more than is left of {funds}")
        for worker in self.chance.sample(self._alive(), min(2, len(self._alive()))):
            await self._probe(worker)

    async def _probe(self, worker: SimulatedWorker) -> None:
        """Nothing is in flight: all that is left may be had by anybody, and not one unit more."""
        left, account = min((max(0, self.reference.left(account)), account) for account in self._know(worker))
        heard: list[int | Granted | str] = []
        worker.call(left + 1, heard.append)
        await self._pass(1.0)
        if not (isinstance(heard[0], Granted) and heard[0].short == "spent" and heard[0].balance == account):
            raise Disagreement(
                f"w{worker.slot}: a hold of {left + 1}, more than the {left} left of {account}, heard {heard}"
            )
        if left:
            heard = []
            worker.call(left, heard.append)
            await self._pass(1.0)
            if not isinstance(heard[0], int):
                raise Disagreement(f"w{worker.slot}: a hold of all {left} left of {account} heard {heard}")
            worker.end(heard[0], 0)
            await self._pass(1.0)
