"""Sums for a bill: the rollup, groups of a tail and the lake give the same, however the time is cut."""

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import Engine

from endings import AT, terms
from entrepot.keeper import lake as segments
from entrepot.keeper.lake import entries_of
from entrepot.kernel.instants import DAY, HOUR
from entrepot.metering import tables
from entrepot.metering.record import Ending, from_bytes
from entrepot.metering.rollup import fold
from entrepot.metering.stretches import (
    Cut,
    Stretches,
    StretchKey,
    StretchSums,
    add,
    from_groups,
    from_lake,
    from_rollup,
)
from entrepot.storage import attempts, lake
from entrepot.storage.database import read, write
from entrepot.storage.folder import Folder
from worker import Worker

MIDDLE, END = AT + 2 * DAY + 11 * HOUR, AT + 4 * DAY
CUTS = {
    "whole": Cut((AT,), END),
    "from the second day": Cut((AT + DAY,), END),
    "two stretches": Cut((AT, MIDDLE), END),
    "by hour of the day": Cut((AT, MIDDLE), END, by_hour=True),
    "one customer hour by hour": Cut((AT, MIDDLE), END, hourly=frozenset({"acme", "o'hara"})),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """Five days of three customers in one sealed stream."""
    folder = Folder(tmp_path_factory.mktemp("house"))
    folder.create()

    async def go() -> None:
        worker = Worker(folder.journal)
        for name in ("demo", "acme", "o'hara"):
            worker.grant(name, 10**12)
        for n in range(240):
            worker.at = AT + n * DAY // 48 + n
            changes = {
                1: {"charge": 7, "hold": 7, "overrun": 10**10},
                2: {"unrated": (5,), "quantities": (1, 0, 0, 2, 0, 9, 0, 0)},
                3: {"charged": (0,) * 8, "charge": 0, "state": "estimated"},
            }.get(n % 5, {})
            who = ("demo", "acme", "o'hara")[n % 3]
            seq = worker.begin(terms=terms(who, project=f"p{n % 2}", bracket="200000" if n % 7 == 0 else ""))
            worker.end(seq, (n, 2 * n), **changes)  # type: ignore[arg-type]
        await worker.durable()
        worker.close()

    asyncio.run(go())
    return folder


def naive(folder: Folder, cut: Cut, customer: str = "") -> Stretches:
    """Record by record."""
    found: Stretches = {}
    for entry in entries_of(folder.journal, (1, 1, 1)):
        e = from_bytes(entry.record)
        if not isinstance(e, Ending):
            continue
        hour = e.admitted_at - e.admitted_at % HOUR
        if cut.starts[0] <= hour < cut.until and customer in ("", e.terms.customer):
            t = e.terms
            start = max(each for each in cut.starts if each <= hour) if t.customer not in cut.hourly else hour
            key = StretchKey(
                t.customer, t.project, t.model, t.vendor, t.zone, e.service_tier, t.bracket, t.price_version,
                t.currency, start, hour // HOUR % 24 if cut.by_hour else 0,
            )  # fmt: skip
            calls, unrated = int(any(e.charged)), int(bool(e.unrated))
            add(found, [(key, StretchSums(hour, hour, 1, e.charged, calls, e.charge, e.overrun, unrated))])
    return found


@pytest.mark.long
@pytest.mark.parametrize("name", CUTS)
@pytest.mark.parametrize("customer", ["", "o'hara"])
def test_rollup_tail_and_lake_give_the_sums_of_the_records(
    engine: Engine, folder: Folder, name: str, customer: str
) -> None:
    cut, expected = CUTS[name], naive(folder, CUTS[name], customer)
    assert len(expected) > 1
    groups = fold(entry.record for entry in entries_of(folder.journal, (1, 1, 1)))
    assert from_groups(groups.groups, cut, customer) == expected
    with write(engine) as conn:
        tables.add(conn, 1, 1, groups)
    with read(engine) as conn:
        assert from_rollup(conn, cut, customer) == expected
    path = folder.lake / segments.write(folder, (1, 1, 1)).path
    with lake.connect() as db:
        assert from_lake(lake.answer(db, [path], attempts.billable(cut, customer))) == expected


def test_no_files_have_no_usage(tmp_path: Path) -> None:
    with lake.connect() as db:
        assert lake.answer(db, [], attempts.billable(CUTS["whole"])) == []
