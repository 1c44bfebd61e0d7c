"""A house whose books are kept by the real parts, command by command: journals on disk, admission, leases, ingestion,
the lake, rating, invoices, payments. Only the wire is left out: a call is admitted at the desk, and ended with its
tokens.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from sqlalchemy import Engine, event, select

from endings import ending
from entrepot.gateway.admit import Need, Plan, admit
from entrepot.gateway.desk import Desk, Offer
from entrepot.gateway.ending import Verdict, bill
from entrepot.gateway.problem import Problem
from entrepot.journal.disk import RealDisk
from entrepot.keeper import authority, lake, money
from entrepot.keeper.authority import Question
from entrepot.keeper.bills.rating import rated
from entrepot.keeper.commands import execute
from entrepot.keeper.compile import compile
from entrepot.keeper.first_start import make_secrets
from entrepot.keeper.ingest import Ingester
from entrepot.keeper.sealing import seal_slot
from entrepot.keeper.under_way import calls_under_way
from entrepot.kernel.buckets import CACHED, INPUT, NOTHING, OUTPUT, Quantities
from entrepot.kernel.instants import Instant
from entrepot.limits.lease import Lease
from entrepot.limits.message import Want
from entrepot.limits.tables import leases_at
from entrepot.limits.tables import returned as lease_returned
from entrepot.metering import tables as metering
from entrepot.metering.record import Intent
from entrepot.rating.line import Rated, to_bytes
from entrepot.snapshot import Snapshot, publish
from entrepot.storage.database import metadata, read, write
from entrepot.storage.folder import Folder
from entrepot.wire.openai import read_chat
from worker import Worker

_T = TypeVar("_T")
_call = read_chat(b'{"model":"m","messages":[{"role":"user","content":"x"}]}')


class Killed(BaseException):
    """The keeper's process ends here, in the middle of what it does."""


class Gateway:
    """One life of a worker in its slot: real desk, real leases, real journal."""

    def __init__(self, house: "BooksHouse", slot: int) -> None:
        self.house, self.slot = house, slot
        self.worker: Worker = house.run(self._start)
        self.leases: dict[str, Lease] = {}
        self.open: dict[int, tuple[Offer, Plan, Instant]] = {}
        self.desk = Desk(house.snapshot, house.folder.secret("pepper"), self.lease)

    async def _start(self) -> Worker:
        return Worker(self.house.folder.journal, self.slot, at=self.house.now)

    def lease(self, name: str) -> Lease:
        if name not in self.leases:
            t = self.worker.standing.leases.get(name)
            self.leases[name] = Lease(name, t.granted, t.returned, t.charged) if t else Lease(name)
        return self.leases[name]

    def begin(self, customer: str, model: str, given: int, made: int) -> int:
        """Admit a call of at most so many tokens: the number of its intent; 0: there is no money for it."""
        now = self.house.now
        found = self.desk.authenticate(self.house.keys[customer].encode(), now)
        assert not isinstance(found, Problem)
        offer = self.desk.offer(*found, model, now)
        assert isinstance(offer, Offer), offer
        asked = msgspec.structs.replace(_call, input_bound=given, output_cap=made)
        plan = admit(offer, asked)
        if isinstance(plan, Need):
            self._need(offer.leases[0], plan.hold)
            plan = admit(offer, asked)
        if not isinstance(plan, Plan):
            return 0
        seq = self.worker.put(Intent(
            request=f"req_{self.slot}{self.worker.epoch:06d}{len(self.open):06d}", attempt=1, admitted_at=now,
            operation="chat", stream=False, hold=plan.hold, input_bound=plan.input_bound, output_cap=plan.output_cap,
            terms=offer.terms,
        ))  # fmt: skip
        self.open[seq] = offer, plan, now
        return seq

    def _need(self, lease: Lease, hold: int) -> None:
        want = Want(
            balance=lease.balance, granted_seen=lease.granted, need=hold - lease.free, pace=0, holds=(hold,),
            free=lease.free, returned=lease.returned,
        )  # fmt: skip
        with write(self.house.engine) as conn:
            (answer,) = authority.answer(conn, [Question(self.slot, want, True)], slots=2, at=self.house.now)
        if answer.granted.total > lease.granted:
            self.worker.grant(lease.balance, answer.granted.total)
            lease.grant(answer.granted.total)

    def end(self, seq: int, tokens: tuple[int, int, int] | None) -> int:
        """The call is over, with (input, cached, output) tokens, or void without an answer; what it charged."""
        offer, plan, admitted_at = self.open.pop(seq)
        used = [0] * len(NOTHING)
        used[INPUT], used[CACHED], used[OUTPUT] = tokens or (0, 0, 0)
        quantities: Quantities = tuple(used)  # type: ignore[assignment]
        verdict = Verdict("final" if tokens else "void", "vendor", "", quantities, tokens is not None)
        made = bill(verdict, offer.terms, plan.hold)
        offer.leases[0].end(plan.hold, made.charge)
        intent = self.worker.standing.open[seq][0]
        self.worker.put(ending(
            seq, request=intent.request, admitted_at=admitted_at, ended_at=max(self.house.now, admitted_at),
            quantities=quantities, charged=quantities, charge=made.charge, cost=made.cost, hold=plan.hold,
            overrun=made.overrun, unrated=made.unrated, terms=offer.terms, state=verdict.state, input_bound=1,
        ))  # fmt: skip
        return made.charge

    def give_back(self, balance: str) -> None:
        """What is free of a lease goes back, as after a recall."""
        lease = self.lease(balance)
        total = lease.give_back(lease.free)
        self.worker.give_back(balance, total)
        self.flush()
        with write(self.house.engine) as conn:
            lease_returned(conn, balance, self.slot, total)

    def flush(self) -> None:
        self.house.run(self.worker.durable)

    def rotate(self) -> None:
        """Begin a segment: the one before is final now, and calls under way are carried over."""

        async def go() -> None:
            await self.worker.durable()
            while not self.worker.journal.prepared_segments:
                await asyncio.sleep(0.001)
            self.worker.journal._rotate()
            await self.worker.durable()

        self.house.run(go)

    def crash(self) -> None:
        """Killed, and its slot sealed by the keeper."""
        self.flush()
        self.house.run(self.worker.crash)
        self.house.seal(self.slot)


class BooksHouse:
    """Commands on one database, gateways in two slots, and a clock that the test sets."""

    def __init__(self, engine: Engine, root: Path, shop: str, now: Instant, customers: tuple[str, ...]) -> None:
        self.engine, self.folder, self.now = engine, Folder(root), now
        self.loop = asyncio.new_event_loop()
        self.folder.create()
        make_secrets(self.folder)
        self.apply(shop)
        self.keys = {each: str(self.do("key.create", customer=each, expires="never")["key"]) for each in customers}
        self.snapshot = self._compiled()
        self.ingester = Ingester(engine, self.folder.journal, RealDisk())
        self.gateways = {slot: Gateway(self, slot) for slot in (1, 2)}

    def run(self, work: Callable[[], Awaitable[_T]]) -> _T:
        async def go() -> _T:
            return await work()

        return self.loop.run_until_complete(go())

    def close(self) -> None:
        for each in self.gateways.values():
            for seq in list(each.open):
                each.end(seq, None)
            each.worker.close()
        self.loop.run_until_complete(asyncio.sleep(0))
        self.loop.close()

    # commands

    def do(self, command: str, /, **args: object) -> dict[str, Any]:
        return dict(execute(self.engine, self.folder, command, args, self.now))

    def apply(self, shop: str) -> dict[str, Any]:
        return self.do("apply", text=shop, file="shop.toml", secrets={"aurora-eu": "sk-1"})

    def sell_at(self, shop: str) -> None:
        """Apply it; every gateway hears of it at once."""
        self.apply(shop)
        self.renew()

    def renew(self) -> None:
        """Compile, as the keeper does each hour: a snapshot holds the prices of two days."""
        self.snapshot = self._compiled()
        for each in self.gateways.values():
            each.desk.renew(self.snapshot)

    def _compiled(self) -> Snapshot:
        with read(self.engine) as conn:
            publish(self.folder.snapshot, compile(conn, self.now))
        return Snapshot.load(self.folder.snapshot)

    def rated(self, customer: str, month: str) -> Rated:
        return rated(self.engine, self.folder, customer, month)

    def draft(self, customer: str, month: str) -> dict[str, Any]:
        found = to_bytes(self.rated(customer, month)).decode()
        return self.do("invoice.draft", customer=customer, month=month, rated=found)

    def expire(self) -> None:
        """Grants that have ended; calls under way are known from the journals, as the keeper knows them."""
        for each in self.gateways.values():
            each.flush()
        calls = calls_under_way(RealDisk(), self.folder.journal)
        self.ingester.drain(self.now)
        money.expire(self.engine, self.now, calls)

    # what the keeper does with journals

    def seal(self, slot: int) -> None:
        def granted(number: int) -> list[Any]:
            with read(self.engine) as conn:
                return leases_at(conn, number)

        seal_slot(
            RealDisk(), self.folder.journal, slot, self.now, by="keeper", passed=self.ingester.position, granted=granted
        )  # fmt: skip

    def restart_gateway(self, slot: int) -> None:
        self.gateways[slot].crash()
        self.gateways[slot] = Gateway(self, slot)

    def fill_lake(self) -> None:
        """Every segment that is final becomes a file."""
        with read(self.engine) as conn:
            positions, files = metering.positions(conn), metering.manifest(conn)
        done = {(file.slot, file.epoch, file.segment) for file in files}
        for segment in lake.due(positions, done, self.folder.journal):
            file = lake.write(self.folder, segment)
            with write(self.engine) as conn:
                metering.list_file(conn, file)

    def restart_keeper(self) -> None:
        """Another process on the same database: it knows what is written there."""
        self.engine.dispose()
        self.ingester = Ingester(self.engine, self.folder.journal, RealDisk())

    @contextmanager
    def killed_after(self, statements: int) -> Iterator[list[str]]:
        """The keeper dies before the n-th statement from here on. Yields the statements that were sent."""
        sent: list[str] = []

        def count(_c: Any, _cursor: Any, statement: str, *_: Any) -> None:
            sent.append(statement)
            if len(sent) == statements:
                raise Killed

        event.listen(self.engine, "before_cursor_execute", count)
        try:
            yield sent
        finally:
            event.remove(self.engine, "before_cursor_execute", count)

    def everything(self) -> dict[str, list[str]]:
        """All rows of all tables: equal before and after means that nothing was changed."""
        with read(self.engine) as conn:
            return {name: sorted(map(repr, conn.execute(select(table)))) for name, table in metadata.tables.items()}
