"""A data folder whose calls went through journal, rollup and lake, to be rated."""

import asyncio
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

from sqlalchemy import Engine

from endings import AT, terms
from entrepot.catalog.contents import Contract, Customer
from entrepot.catalog.prices import BookVersion, PriceRow, When
from entrepot.customers.tables import put_customer
from entrepot.journal.disk import RealDisk
from entrepot.keeper import lake
from entrepot.keeper.bills.rating import rated
from entrepot.keeper.ingest import Ingester
from entrepot.kernel.instants import HOUR
from entrepot.ledger.tables import open_balance
from entrepot.metering import tables
from entrepot.pricing.tables import publish_version
from entrepot.rating.line import Rated
from entrepot.storage.database import open_database, prepare, write
from entrepot.storage.folder import Folder
from worker import Worker

Call = tuple[str, int, int, int]  # customer, hours after AT, input, output
CALLS: list[Call] = [(("demo", "acme")[n % 3 == 0], n * 2, 1000 * n + 7, 31 * n) for n in range(80)]
PRICES = {"input": Decimal("0.10"), "cached": Decimal("0.05"), "output": Decimal("0.40")}


def version(valid_from: int, **prices: Decimal) -> BookVersion:
    rows = (PriceRow(model="small", prices=prices),)
    if "input" in prices:
        rows += (PriceRow(model="small", prices={"input": prices["input"] / 2}, when=When(hours="22-06")),)
    return BookVersion(book="list", currency="USD", valid_from=valid_from, rows=rows)


class House:
    """A data folder with two customers; what was called goes through journal, rollup and lake."""

    def __init__(self, root: Path) -> None:
        self.folder = Folder(root)
        self.folder.create()
        self.engine: Engine = open_database(self.folder.database)
        prepare(self.engine)
        with write(self.engine) as conn:
            publish_version(conn, version(0, **PRICES), 1)
            for name in ("demo", "acme"):
                put_customer(conn, Customer(id=name, contracts=(Contract(book="list", id=f"{name}-1"),)), "USD", 1)
                open_balance(conn, name, "USD")

    def serve(self, calls: Sequence[Call], *, seal: bool = True, **changes: object) -> None:
        """One life of a worker."""

        async def go() -> None:
            worker = Worker(self.folder.journal, segment_bytes=24 * 1024)
            for name in ("demo", "acme"):
                worker.grant(name, 10**12)
            for who, hours, given, made in calls:
                worker.at = AT + hours * HOUR
                worker.end(worker.begin(hold=10**9, terms=terms(who, **changes)), (given, made))
            await worker.durable()
            if seal:
                worker.close()
            else:
                await worker.crash()

        asyncio.run(go())

    def ingest(self) -> None:
        ingester = Ingester(self.engine, self.folder.journal, RealDisk())
        ingester.drain(AT)
        with write(self.engine) as conn:
            done = {(file.slot, file.epoch, file.segment) for file in tables.manifest(conn)}
            for segment in lake.due(ingester.positions(), done, self.folder.journal):
                if segment not in done:
                    tables.list_file(conn, lake.write(self.folder, segment))

    def rated(self, customer: str = "demo", month: str = "2026-11", **more: object) -> Rated:
        return rated(self.engine, self.folder, customer, month, **more)  # type: ignore[arg-type]
