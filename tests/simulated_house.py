"""A house for simulated schedules: keeper, workers and database as they are; clock, network and disk are played."""

import asyncio
import functools
import random
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import msgspec
from sqlalchemy import delete, insert

from desks import KEY, PEPPER, desk, price
from endings import AT, ending
from entrepot.customers.limit_tables import budget_table
from entrepot.gateway.admit import Need, Plan, admit
from entrepot.gateway.desk import Desk, Offer
from entrepot.gateway.leases import Leases
from entrepot.gateway.problem import Problem
from entrepot.keeper.app import Keeper
from entrepot.keeper.rates import Rates
from entrepot.keeper.sealing import last_records, only_returns, returns
from entrepot.kernel.instants import DAY, HOUR
from entrepot.limits.budget import Budget, Per
from entrepot.limits.message import Granted, Hello
from entrepot.limits.tables import leases_at
from entrepot.metering.closing import Standing, close_open
from entrepot.metering.record import Ending, Intent, Kind, LeaseTotals, Seal, from_bytes, to_bytes
from entrepot.pricing.charge import charge as price_of
from entrepot.snapshot import Snapshot
from entrepot.storage.database import read, write
from entrepot.storage.folder import Folder
from entrepot.wire.openai import read_chat
from simulated_parts import SimulatedEnd, SimulatedIngester, SimulatedJournal, SimulatedWriter, empty_database
from who_may_spend import Disagreement, Reference, Use

CUSTOMER = "acme"
RATES = (1, 1, 1, 1, 1, 1, 1, 1)
_call = read_chat(b'{"model":"gpt-4o","messages":[{"role":"user","content":"x"}]}')


@functools.cache
def _snapshot(budgets: tuple[Budget, ...]) -> Snapshot:
    folder = Path(tempfile.mkdtemp(prefix="entrepot-simulated-"))
    desk(folder, versions=(price("list/1", 0, RATES),), customer={"budgets": budgets})
    snapshot = Snapshot.load(folder)
    shutil.rmtree(folder)
    return snapshot


class _NoRates:
    """Rates are no money; what they do has tests of its own."""

    def hello(self, *_told: object) -> None:
        """A worker is there."""

    gone = hello


class SimulatedWorker:
    """One life of a worker in its slot."""

    def __init__(self, world: "SimulatedHouse", slot: int) -> None:
        self.world = world
        self.slot = slot
        self.offset = 0  # microseconds that its clock is off
        self.dead = False
        self._open: dict[int, tuple[Offer, Intent]] = {}
        before = world.latest(slot)
        standing = Standing()
        if before is not None:
            if not before.sealed:
                endings = close_open(before.standing(), self.now(), price_of)
                world.close(before, [*endings, to_bytes(Seal(self.now(), "successor"))])
            standing = world.inherited(slot)
        self.journal = SimulatedJournal(world, slot, before.epoch + 1 if before else 1)
        world.journals.append(self.journal)
        self.leases = Leases(world.loop, list(standing.leases.values()), self.journal.append)
        self.desk = Desk(world.snapshot, PEPPER, self.leases.lease)
        for record in standing.carry():
            self.journal.append(record)
        self._talk = world.loop.create_task(self.leases.talk(Path(f"w{slot}"), self._hello))

    def now(self) -> int:
        return self.world.now() + self.offset

    def _hello(self) -> Hello:
        return Hello(slot=self.slot, epoch=self.journal.epoch, pid=1, snapshot=1 << 40)

    def offer(self) -> Offer:
        now = self.now()
        found = self.desk.authenticate(KEY.encode(), now)
        assert not isinstance(found, Problem)
        offer = self.desk.offer(*found, "gpt-4o", now)
        assert isinstance(offer, Offer)
        return offer

    def call(self, hold: int, decided: Callable[[int | Granted | str], None]) -> None:
        """Ask to be admitted. `decided` hears the number of the intent, or the refusal."""
        now, offer = self.now(), self.offer()
        given = min(hold - 1, offer.context)
        plan = admit(offer, msgspec.structs.replace(_call, input_bound=given, output_cap=hold - given))
        assert not isinstance(plan, Problem)
        if isinstance(plan, Plan):
            decided(self._begin(plan, now))
            return

        def heard(word: Granted | str | None, need: Need = plan) -> None:
            if not self.dead:
                decided(self._begin(need, now) if word is None else word)

        self.leases.need(offer.leases, plan.hold, heard)

    def _begin(self, plan: Plan | Need, now: int) -> int:
        """The hold is taken."""
        intent = Intent(
            request="req", attempt=1, admitted_at=now, operation="chat", stream=False, hold=plan.hold,
            input_bound=plan.input_bound, output_cap=plan.output_cap, terms=plan.offer.terms,
        )  # fmt: skip
        seq = self.journal.append(to_bytes(intent))
        self._open[seq] = plan.offer, intent
        accounts = plan.offer.terms.drawn_on
        self.world.guarded(self.world.reference.begin, (self.slot, self.journal.epoch, seq), Use(accounts, plan.hold))
        return seq

    def end(self, seq: int, charged: int) -> None:
        """The call is over."""
        if self.dead:
            return
        offer, intent = self._open.pop(seq)
        record = ending(
            seq, quantities=(charged, 0, 0, 0, 0, 0, 0, 0), hold=intent.hold, terms=intent.terms,
            admitted_at=intent.admitted_at, ended_at=self.now(),
        )  # fmt: skip
        self.leases.end(offer.leases, intent.hold, charged)
        self.journal.append(to_bytes(record))
        self.world.reference.end((self.slot, self.journal.epoch, seq), charged)

    def kill(self) -> None:
        self.dead = True
        self._talk.cancel()
        self.leases._append = lambda _record, _durable: 0  # nobody is there to write
        self.world.hang_up(self.slot)
        self.journal.crash()
        self.world.settle(self.journal)


class SimulatedHouse:
    """Workers and a keeper over one database; what they do is laid beside the reference."""

    def __init__(self, seed: int, slots: int = 3) -> None:
        self.seed = seed
        self.chance = random.Random(seed)
        self.slots = 1 + seed % slots
        self.reference = Reference()
        self.base = AT // DAY * DAY + self.chance.choice((HOUR, DAY - 2 * 10**6))  # often a day ends in between
        self.budgets = self._some_budgets()
        self.journals: list[SimulatedJournal] = []
        self.workers: dict[int, SimulatedWorker] = {}
        self.keeper: Keeper | None = None
        self.loop: asyncio.AbstractEventLoop
        self.engine = empty_database()
        self._lines: dict[int, SimulatedEnd] = {}
        self.calm = False
        self.error: BaseException | None = None

    def now(self) -> int:
        return self.base + int((self.loop.time() - 1000) * 1e6)

    @property
    def snapshot(self) -> Snapshot:
        return _snapshot(self.budgets)

    def _some_budgets(self) -> tuple[Budget, ...]:
        pers: list[Per] = self.chance.choice(([], [], ["day"], ["month"], ["total"], ["day", "month"]))
        return tuple(
            Budget(id=f"b{per}", per=per, amount=self.chance.choice((900, 6_000, 50_000)), hard=True) for per in pers
        )

    def declare(self) -> None:
        with write(self.engine) as conn:
            conn.execute(delete(budget_table))
            for place, budget in enumerate(self.budgets):
                row = {"customer": CUSTOMER, "position": place, "key": "", "project": "", "warn_at": "[]", "hard": True}
                conn.execute(insert(budget_table).values(id=budget.id, per=budget.per, amount=budget.amount, **row))

    # what the simulated parts ask

    def mood(self) -> tuple[int, float]:
        """(how often a message arrives, after how many seconds)."""
        chance = self.chance
        if self.calm:
            return 1, 0.0002
        late = chance.uniform(0.02, 0.5) if chance.random() < 0.1 else chance.uniform(0.0001, 0.003)
        return (0 if chance.random() < 0.03 else 2 if chance.random() < 0.05 else 1), late

    def sync_seconds(self) -> float:
        slow = not self.calm and self.chance.random() < 0.05
        return self.chance.uniform(0.05, 0.4) if slow else self.chance.uniform(0.0005, 0.005)

    def failed(self, error: BaseException) -> None:
        self.error = self.error or error

    def guarded(self, work: Callable[..., object], *args: object) -> None:
        """What raises here ends the schedule, whoever called."""
        try:
            work(*args)
        except Disagreement as found:
            self.failed(found)

    def journal(self, slot: int, epoch: int) -> SimulatedJournal:
        return next(each for each in self.journals if (each.slot, each.epoch) == (slot, epoch))

    def inherited(self, slot: int) -> Standing:
        """Of the newest stream that has a carry: one that died before its first carry was durable says nothing."""
        mine = sorted((each for each in self.journals if each.slot == slot), key=lambda each: -each.epoch)
        for journal in mine:
            if any(record[0] == Kind.CARRY for record in journal.records[: journal.durable]):
                return journal.standing()
        return Standing()

    def latest(self, slot: int) -> SimulatedJournal | None:
        return max((each for each in self.journals if each.slot == slot), key=lambda each: each.epoch, default=None)

    def settle(self, journal: SimulatedJournal) -> None:
        """A worker has died: of its calls the reference knows what its journal still says."""
        mark = (journal.slot, journal.epoch)
        charges: dict[int, int] = {}
        for data in journal.records:
            if data[0] == Kind.ENDING:
                record = from_bytes(data)
                assert isinstance(record, Ending)
                charges[record.attempt_seq] = record.charge
        uses = self.reference.uses
        for call in [call for call in uses if isinstance(call, tuple) and call[:2] == mark]:
            made = call[2] < len(journal.records)
            if made and call[2] not in charges:
                uses[call] = uses[call]._replace(charge=None)
            else:
                self.reference.end(call, charges.get(call[2]) if made else None)

    def close(self, journal: SimulatedJournal, records: list[bytes]) -> None:
        journal.close(records)
        self.settle(journal)

    # connections

    async def connect(self, path: str) -> tuple[asyncio.StreamReader, Any]:
        """In place of `asyncio.open_unix_connection`; the path names the slot that calls."""
        if self.keeper is None:
            raise OSError("nobody listens")
        reader = asyncio.StreamReader()
        peer = self.keeper._connection()
        theirs, ours = SimulatedEnd(self, reader.feed_data), SimulatedEnd(self, peer.data_received)
        peer.connection_made(theirs)  # type: ignore[arg-type]

        def closed() -> None:
            theirs.open = ours.open = False
            reader.feed_eof()
            peer.connection_lost(None)

        theirs.closed = ours.closed = closed
        self._lines[int(path[1:])] = ours
        return reader, ours

    def hang_up(self, slot: int) -> None:
        line = self._lines.pop(slot, None)
        if line is not None:
            line.close()

    def start_keeper(self) -> None:
        self.keeper = keeper = Keeper(self.engine, Folder(Path("/nowhere")), kept=0)
        keeper._ingester = SimulatedIngester(self, self.engine)
        keeper._writer = keeper._grants._writer = SimulatedWriter(self)  # type: ignore[assignment]
        keeper._grants._reclaim = self.reclaim
        keeper._rates = cast(Rates, _NoRates())

    def kill_keeper(self) -> None:
        keeper, self.keeper = self.keeper, None
        if keeper is None:
            return
        keeper._writer.dead = True  # type: ignore[attr-defined]
        for task in (*keeper._tasks, *keeper._grants._tasks):
            task.cancel()
        for slot in list(self._lines):
            self.hang_up(slot)

    def reclaim(self, slot: int) -> int:
        """In place of `seal_slot`: what it writes, into the journal that is played here."""
        journal = self.latest(slot)
        if not self.workers[slot].dead or journal is None:
            return 0
        books, records = self._books(slot), list(enumerate(journal.records))
        seal = to_bytes(Seal(self.now(), "keeper"))
        done = 0
        if not journal.sealed:
            self.close(journal, [*last_records(records, self.now(), books), seal])
            done += 1
        if returns(journal.standing(), books):
            journal = SimulatedJournal(self, slot, journal.epoch + 1)
            self.journals.append(journal)
            journal.close([*only_returns(records, self.now(), books), seal])
            done += 1
        return done

    def _books(self, slot: int) -> list[LeaseTotals]:
        with read(self.engine) as conn:
            return leases_at(conn, slot)

    def written(self, journal: SimulatedJournal) -> None:
        """A record was appended."""
