"""The house whose books the case is: commands, journal, rollup, lake, rating, invoices and payments, month by month.

Every step is the keeper's own; the clock is an argument. A month is served day by day, closed on the third of the next
one, and paid when it is due.
"""

import asyncio
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import Engine

from casebook.loading import Amount, Habits, Loading, others_catalog
from casebook.usage import Batch, Sold, batches
from casebook.worker import Worker
from entrepot.catalog.contents import Catalog
from entrepot.catalog.prices import ALWAYS
from entrepot.journal.disk import RealDisk
from entrepot.keeper import lake, state
from entrepot.keeper.commands import execute
from entrepot.keeper.compile import compile
from entrepot.keeper.first_start import make_secrets
from entrepot.keeper.ingest import Ingester
from entrepot.keeper.prices import PriceLists
from entrepot.kernel.errors import EntrepotError
from entrepot.kernel.instants import DAY, HOUR, Instant, day_of, parse
from entrepot.kernel.money import minor_digits
from entrepot.metering import tables as metering
from entrepot.metering.tables import LakeFile
from entrepot.pricing.agreement import agreed, agreement_of
from entrepot.rating.line import Rated, from_bytes, to_bytes
from entrepot.rating.period import month as month_of
from entrepot.serve import schema
from entrepot.snapshot import Snapshot, publish
from entrepot.storage.database import open_database, prepare, read, write
from entrepot.storage.folder import Folder

#: When the catalog is applied: before anything is sold.
OPENED_AT = parse("2024-01-02T09:00:00Z")
#: Invoices are issued on the third at nine, and paid 27 days later.
ISSUED_AFTER, PAID_AFTER = 2 * DAY + 9 * HOUR, 27 * DAY

Told = Callable[[str, int, int], None]  # what is done, how much of it, of how much


class BooksBroken(EntrepotError):
    """A step of the case did not do what it has to: says which."""

    code = "case_broken"


class CaseHouse:
    """One loading's books below `root`. Made new, or opened as they are."""

    def __init__(self, root: Path) -> None:
        self.folder = Folder(root)
        self.folder.create()
        make_secrets(self.folder)
        assert schema.metadata.tables  # every table is known before any is made
        self.engine: Engine = open_database(self.folder.database)
        prepare(self.engine)
        self.ingester = Ingester(self.engine, self.folder.journal, RealDisk())
        self._lists = PriceLists()
        self._keys: dict[str, str] = {}
        self._paid: list[tuple[Instant, dict[str, Any]]] = []

    def close(self) -> None:
        self.engine.dispose()

    def do(self, command: str, now: Instant, /, **args: object) -> dict[str, Any]:
        """One command of the keeper."""
        return dict(execute(self.engine, self.folder, command, args, now))

    def open_for(self, catalog: str, loading: Loading, habits: Habits) -> None:
        """What is sold and who buys."""
        self.do("apply", OPENED_AT, text=catalog, file="catalog.toml", secrets={})
        others = others_catalog(loading, habits)
        (self.folder.root / "others.toml").write_text(others, encoding="utf-8")
        self.do("apply", OPENED_AT, text=others, file="others.toml", secrets={})

    def enter(self, name: str, text: str, now: Instant) -> None:
        """A file of figures, with standing and source of each."""
        self.do("insight.enter", now, name=name, text=text)

    def serve(self, calls: Iterable[Batch], now: Instant, told: Told) -> None:
        """One life of a worker: journal to rollup and ledger, day by day; `now` is when it ends."""
        by_day = [(day, list(some)) for day, some in groupby(sorted(calls, key=_order), lambda each: day_of(each.at))]
        asyncio.run(self._serve(by_day, now, told))
        self._ingest(now)
        self._fill_lake()

    async def _serve(self, days: list[tuple[Instant, list[Batch]]], now: Instant, told: Told) -> None:
        first = days[0][0] if days else now
        worker = Worker(self.engine, self.folder, self.keys(first), self._compiled(first))
        try:
            for number, (day, some) in enumerate(days, 1):
                worker.renew(self._compiled(day))
                await worker.serve(some, day)
                self._ingest(min(day + DAY, now))
                told("days served", number, len(days))
        finally:
            await worker.close(now)

    def bill(self, month: str, now: Instant, told: Told, *, only: str = "") -> list[dict[str, Any]]:
        """Rate the month, draft and issue everybody's invoice (or one's). Raises BooksBroken where one is blocked."""
        issued = []
        rows = self._process("entrepot.keeper.bills.rating", month, *([only] if only else []))
        found = [each for each in map(from_bytes, rows) if each.lines]
        for number, each in enumerate(found, 1):
            issued.append(self._issue(each, month, now))
            told("invoices issued", number, len(found))
        return issued

    def _issue(self, found: Rated, month: str, now: Instant) -> dict[str, Any]:
        draft = self.do(
            "invoice.draft", now, customer=found.customer, month=month, rated=to_bytes(found).decode()
        )
        if draft["blocked"]:
            raise BooksBroken(f"{found.customer}, {month}: {'; '.join(draft['blocked'])}")
        return self.do("invoice.issue", now, draft=draft["id"], customer=found.customer)

    def pay(self, issued: Iterable[Mapping[str, Any]], now: Instant) -> None:
        """Each invoice, in full."""
        for each in issued:
            self.do(
                "payment.record", now, customer=each["customer"], amount=each["open"], currency=each["currency"],
                invoice=each["number"], id=f"BANK-{each['number']}",
            )  # fmt: skip

    def calls(
        self, amounts: Iterable[Amount], loading: Loading, habits: Habits, *, fine: bool = True
    ) -> Iterator[Batch]:
        """The calls that come to these amounts. `fine`: an hour of a named customer is a record; else a day is."""
        with read(self.engine) as connection:
            catalog = state.standing(connection)
        for each in amounts:
            hours = 1 if fine and each.customer not in loading.others else 24

            def sold(deployment: str, each: Amount = each) -> Sold:
                return _sold(catalog, each, deployment)

            yield from batches(each, habits, loading.months.index(each.month), sold, hours)

    def keys(self, now: Instant) -> dict[str, str]:
        """A key per customer and project, by `customer/project`."""
        if not self._keys:
            with read(self.engine) as connection:
                customers = state.standing(connection).customers
            for name, customer in customers.items():
                for project in customer.all_projects():
                    made = self.do("key.create", now, customer=name, project=project, expires="never")
                    self._keys[f"{name}/{project}"] = str(made["key"])
        return self._keys

    def _compiled(self, now: Instant) -> Snapshot:
        with read(self.engine) as connection:
            publish(self.folder.snapshot, compile(connection, now, self._lists))
        return Snapshot.load(self.folder.snapshot)

    def _ingest(self, now: Instant) -> None:
        self.ingester.drain(now)
        wrong = {**self.ingester.stuck, **self.ingester.damaged}
        if wrong:
            raise BooksBroken("; ".join(sorted(wrong.values())))

    def _fill_lake(self) -> None:
        """Every segment that is final becomes a file."""
        with read(self.engine) as connection:
            done = {(file.slot, file.epoch, file.segment) for file in metering.manifest(connection)}
        due = lake.due(self.ingester.positions(), done, self.folder.journal)
        rows = self._process("entrepot.keeper.lake", *map(lake.name_of, due)) if due else []
        with write(self.engine) as connection:
            for row in rows:
                metering.list_file(connection, msgspec.json.decode(row, type=LakeFile))

    def _process(self, module: str, *arguments: str) -> list[bytes]:
        """A process of the keeper's, as a running house starts it: the lines that it prints. Raises BooksBroken."""
        command = [sys.executable, "-P", "-m", module, str(self.folder.root), *arguments]
        done = subprocess.run(command, capture_output=True, check=False)
        if done.returncode:
            said = (done.stdout or done.stderr).decode("utf-8", "replace").strip().splitlines()[-1:]
            raise BooksBroken(f"{module} {' '.join(arguments)}: {said[0] if said else 'no reason was given'}")
        return done.stdout.splitlines()


@contextmanager
def opened(root: Path) -> Iterator[CaseHouse]:
    """For us alone. Raises FolderInUse."""
    with Folder(root).locked():
        house = CaseHouse(root)
        try:
            yield house
        finally:
            house.close()


def _order(batch: Batch) -> tuple[Instant, str, str, str]:
    return batch.at, batch.customer, batch.project, batch.deployment


def _sold(catalog: Catalog, amount: Amount, deployment: str) -> Sold:
    """What a deployment is and costs at the end of the month, when everything of it is on sale."""
    customer, at = catalog.customers[amount.customer], month_of(amount.month).ends_at - HOUR
    model = next((each.model for each in customer.deployments if each.name == deployment), deployment)
    agreement = agreement_of(customer.contract(at), catalog.versions)
    prices = agreed(agreement, model, at, ALWAYS, catalog.vendors_of(model)[0])
    cents = 10 ** minor_digits(agreement.currency)
    return Sold(model=model, price=(prices["input"].exact * cents, prices["output"].exact * cents))
