"""A data folder whose calls went through journal, rollup, lake and rating to invoices."""

import asyncio
import csv
import gzip
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from endings import terms
from entrepot.journal.disk import RealDisk
from entrepot.keeper import lake
from entrepot.keeper.ingest import Ingester
from entrepot.kernel.instants import Instant, parse
from entrepot.metering import tables
from entrepot.storage.database import open_database, prepare, write
from rated_usage import Desk
from shared_data import SHARED
from worker import Worker

#: Ledger units per token, from the prices of `rated_usage.SHOP`: 3.00 and 12.00 EUR per million.
RATES = (3_000, 300, -1, 12_000, 12_000, -1, -1, -1)
_AT_ONCE = 2_000


class Call(NamedTuple):
    """One call of a customer, as a trace has it."""

    customer: str
    at: Instant
    input: int
    output: int


class BilledHouse(Desk):
    """`serve` is one life of a worker; `ingest` brings what it wrote to rollup and lake."""

    def __init__(self, folder: Path, shop: str) -> None:
        engine = open_database(folder / "house.sqlite")
        prepare(engine)
        super().__init__(engine, folder, shop)
        self.folder.database.symlink_to(folder / "house.sqlite")

    def serve(self, calls: Sequence[Call]) -> None:
        async def go() -> None:
            worker = Worker(self.folder.journal)
            for name in sorted({each.customer for each in calls}):
                worker.grant(name, 10**15)
            for number, call in enumerate(calls):
                worker.at = call.at
                what = terms(
                    call.customer, model="aurora-large", deployment="aurora-large", currency="EUR", rates=RATES,
                    upstream="aurora-eu", cost_currency="EUR",
                )  # fmt: skip
                request = f"req_{call.customer}_{call.at}_{call.input}_{call.output}"
                worker.end(worker.begin(hold=10**12, terms=what, request=request), (call.input, call.output))
                if number % _AT_ONCE == _AT_ONCE - 1:
                    await worker.durable()
            await worker.durable()
            worker.close()

        asyncio.run(go())

    def ingest(self) -> None:
        ingester = Ingester(self.engine, self.folder.journal, RealDisk())
        ingester.drain(self.now)
        with write(self.engine) as conn:
            done = {(file.slot, file.epoch, file.segment) for file in tables.manifest(conn)}
            for segment in lake.due(ingester.positions(), done, self.folder.journal):
                tables.list_file(conn, lake.write(self.folder, segment))

    def bill(self, customer: str, month: str = "2026-11", *, zone: str = "UTC") -> dict[str, Any]:
        """Rated by a process of its own in another time zone, drafted, issued."""
        done = subprocess.run(
            [sys.executable, "-P", "-m", "entrepot.keeper.bills.rating", str(self.folder.root), month, customer],
            env={**os.environ, "TZ": zone}, capture_output=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, (done.stdout, done.stderr)
        rated = done.stdout.decode().strip()
        assert not json.loads(rated)["open"]
        draft = self.do("invoice.draft", customer=customer, month=month, rated=rated)
        assert draft["blocked"] == []
        return self.do("invoice.issue", draft=draft["id"], customer=customer)


def trace(name: str, customer: str) -> list[Call]:
    """An hour of Azure's public traces, moved to the morning of 16 November 2026."""
    path = SHARED / "data" / "traces" / f"azure_llm_2023_{name}.csv.gz"
    if not path.exists():
        pytest.skip(f"{path} is missing")
    calls: list[Call] = []
    with gzip.open(path, "rt") as file:
        for row in csv.DictReader(file):
            moment = datetime.fromisoformat(row["TIMESTAMP"][:26])
            since = ((moment.hour * 60 + moment.minute) * 60 + moment.second) * 1_000_000 + moment.microsecond
            at = parse("2026-11-16") + since
            calls.append(Call(customer, at, int(row["ContextTokens"]), int(row["GeneratedTokens"])))
    return calls
