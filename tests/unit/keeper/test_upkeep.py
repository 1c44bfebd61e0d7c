"""Old segments go, but nothing that recovery, the lake or the rollup still needs."""

import asyncio
import time
from pathlib import Path

import pytest

from endings import AT
from entrepot.journal.disk import RealDisk
from entrepot.keeper import lake
from entrepot.keeper.ingest import Ingester
from entrepot.keeper.upkeep import Upkeep
from entrepot.keeper.verify import verify
from entrepot.kernel.instants import DAY
from entrepot.ledger.grant_tables import top_up
from entrepot.ledger.tables import open_balance
from entrepot.metering import tables
from entrepot.storage.database import open_database, prepare, write
from entrepot.storage.folder import Folder
from worker import Worker


@pytest.mark.long
def test_segments_go_when_they_are_old_and_both_consumers_have_passed(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    folder.create()
    engine = open_database(folder.database)
    prepare(engine)
    with write(engine) as conn:
        open_balance(conn, "demo", "USD")
        top_up(conn, "demo", 10**9, "USD", "PAY-1", AT)

    async def lives() -> None:
        for _ in range(4):
            worker = Worker(folder.journal, segment_bytes=24 * 1024)
            worker.grant("demo", 10**9)
            for _ in range(90):
                worker.call()
                await worker.durable()  # a burst may begin a segment without its carry
            worker.close()

    asyncio.run(lives())
    ingester = Ingester(engine, folder.journal, RealDisk())
    upkeep = Upkeep(engine, folder, RealDisk(), ingester, kept=7 * DAY)
    now = time.time_ns() // 1000

    def left() -> list[int]:
        return [len(list((folder.journal / "w1" / f"{epoch:06d}").glob("*.seg"))) for epoch in range(1, 5)]

    whole = left()
    assert min(whole) > 2
    assert upkeep.retire(now + 8 * DAY) == 0
    ingester.drain(AT)
    assert upkeep.retire(now + 8 * DAY) == 0
    for segment in lake.due(ingester.positions(), set(), folder.journal):
        with write(engine) as conn:
            tables.list_file(conn, lake.write(folder, segment))
    upkeep.remove_orphans()
    assert upkeep.retire(now + 6 * DAY) == 0
    assert upkeep.retire(now + 8 * DAY) == sum(whole) - 4
    assert left() == [0, 0, 2, 2]
    assert verify(engine, folder).differences == ()

    async def next_life() -> None:
        worker = Worker(folder.journal)
        assert worker.epoch == 5
        assert worker.standing.leases["demo"].charged == 360 * 13300
        worker.close()

    asyncio.run(next_life())
