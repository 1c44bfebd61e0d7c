"""A slot that the keeper seals: its money is free for others, and its next worker begins with nothing in hand."""

import asyncio
from pathlib import Path

from endings import AT
from entrepot.journal.disk import RealDisk
from entrepot.keeper.ingest import Ingester
from entrepot.keeper.sealing import last_epoch, seal_slot
from entrepot.ledger.grant_tables import top_up
from entrepot.ledger.tables import open_balance
from entrepot.limits import tables
from entrepot.metering.record import LeaseTotals
from entrepot.storage.database import open_database, prepare, read, write
from worker import Worker


def test_what_a_dead_slot_has_not_spent_goes_back_to_the_balance(tmp_path: Path) -> None:
    engine = open_database(tmp_path / "entrepot.sqlite")
    prepare(engine)
    with write(engine) as conn:
        open_balance(conn, "demo", "USD")
        top_up(conn, "demo", 10**9, "USD", "PAY-1", AT)
        tables.grant(conn, "demo", 1, 10**8, 10**9)
    root = tmp_path / "journal"
    spent = 0

    async def live_and_die() -> None:
        nonlocal spent
        worker = Worker(root)
        worker.grant("demo", 10**8)
        spent = worker.call().charge
        worker.begin()
        await worker.crash()

    asyncio.run(live_and_die())
    ingester = Ingester(engine, root, RealDisk())
    ingester.drain(AT)
    for expected in (1, 0):
        assert seal_slot(RealDisk(), root, 1, AT, by="keeper", passed=ingester.position) == expected
    ingester.drain(AT)
    with read(engine) as conn:
        totals = tables.leases_of(conn, "demo")[1]
    assert totals == LeaseTotals("demo", 10**8, 10**8 - spent, spent)
    assert tables.outstanding(totals) == 0

    async def next_worker() -> None:
        worker = Worker(root)
        assert worker.standing.leases["demo"] == totals
        assert last_epoch(RealDisk(), root, 1) == 2
        worker.close()

    asyncio.run(next_worker())
    engine.dispose()
