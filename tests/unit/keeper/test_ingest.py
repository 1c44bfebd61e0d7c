"""Journal → rollup, leases, ledger: in batches, from any position, exactly once."""

import asyncio
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import Engine, delete

from endings import AT, terms
from entrepot.journal.disk import RealDisk
from entrepot.journal.files import Position
from entrepot.keeper import lake
from entrepot.keeper.ingest import Ingester
from entrepot.keeper.sealing import seal_slot, unsealed_slots
from entrepot.keeper.under_way import calls_under_way, held_before
from entrepot.keeper.verify import verify
from entrepot.kernel.instants import show
from entrepot.ledger import grant_tables
from entrepot.ledger.grant_tables import top_up
from entrepot.ledger.grants import Grant
from entrepot.ledger.tables import all_balances, open_balance
from entrepot.ledger.taken_tables import charged_sums, take
from entrepot.limits import tables as limit_tables
from entrepot.metering import tables
from entrepot.metering.record import LeaseTotals
from entrepot.storage.database import open_database, prepare, read, write
from entrepot.storage.folder import Folder
from worker import Worker

USD = 10**9


def opened(where: Path) -> Engine:
    engine = open_database(where / "entrepot.sqlite")
    prepare(engine)
    with write(engine) as conn:
        open_balance(conn, "demo", "USD")
        top_up(conn, "demo", USD, "USD", "first-start", AT)
    return engine


def journal_of(root: Path, calls: int) -> int:
    """A sealed stream of so many calls; the sum of their charges."""

    async def go() -> int:
        worker = Worker(root)
        worker.grant("demo", 10**8)
        total = sum(worker.call((n % 50, n % 7)).charge for n in range(calls))
        worker.give_back("demo", 1000)
        await worker.durable()
        worker.close()
        return total

    return asyncio.run(go())


def test_rollup_leases_and_ledger_agree_after_every_batch(tmp_path: Path) -> None:
    total = journal_of(tmp_path / "journal", 5000)
    engine = opened(tmp_path)
    ingester = Ingester(engine, tmp_path / "journal", RealDisk(), most=2000)
    batches = 0
    while ingester.step(AT):
        if ingester.reads_on:
            continue
        batches += 1
        with read(engine) as conn:
            charge = sum(row.charge for row in tables.usage(conn))
            assert all_balances(conn) == [("demo", "USD", USD - charge)]
            assert limit_tables.leases_of(conn, "demo")[1].charged == charge
    assert batches > 2
    with read(engine) as conn:
        row = tables.usage(conn)[0]
        assert (row.charge, row.requests) == (total, 5000)
        assert limit_tables.leases_of(conn, "demo") == {1: LeaseTotals("demo", 10**8, 1000, total)}
        assert tables.positions(conn)[1, 1].sealed
    assert not ingester.open_streams()


@pytest.mark.long
def test_usage_is_kept_apart_where_a_grant_ends_within_an_hour(tmp_path: Path) -> None:
    engine = opened(tmp_path)
    grant = Grant(id="GIFT", kind="promo", amount=USD, priority=50, ends_at=AT + 30, created_at=AT)
    with write(engine) as conn:
        grant_tables.add(conn, "demo", "USD", grant)

    async def go() -> list[int]:
        worker = Worker(tmp_path / "journal")
        worker.grant("demo", 10**8)
        charges = []
        for at in (10, 29, 30, 3_600_000_000, 5):
            worker.at = AT + at
            charges.append(worker.call((at % 50 + 1, 7)).charge)
            await worker.durable()
        worker.close()
        return charges

    charges = asyncio.run(go())
    Ingester(engine, tmp_path / "journal", RealDisk()).drain(AT)
    with read(engine) as conn:
        assert charged_sums(conn) == {
            ("demo", AT): charges[0] + charges[1] + charges[4],
            ("demo", AT + 30): charges[2] + charges[3],
        }
        used = {each.id: each.used for each in grant_tables.read_grants(conn, "demo")}
    assert used == {"GIFT": charges[0] + charges[1] + charges[4], "first-start": charges[2] + charges[3]}
    folder = Folder(tmp_path)
    assert verify(engine, folder).differences == ()
    with write(engine) as conn:
        for segment in lake.due(tables.positions(conn), set(), folder.journal):
            tables.list_file(conn, lake.write(folder, segment))
    assert verify(engine, folder).differences == ()
    with write(engine) as conn:
        take(conn, {("demo", AT + 30): 1})
    assert {each.what for each in verify(engine, folder).differences} == {
        "taken of balance demo by calls",
        "left of the grants of demo",
        f"taken by calls of balance demo {show(AT + 30)}",
    }


def test_calls_under_way_are_known_by_balance_and_since_when(tmp_path: Path) -> None:
    async def go() -> None:
        for number, at in ((1, 5), (2, 9)):
            worker = Worker(tmp_path, number, at=AT + at)
            worker.begin(700)
            worker.begin(30, terms=terms("acme"))
            worker.call()
            await worker.durable()
            if number == 1:
                calls = calls_under_way(RealDisk(), tmp_path)
                assert sorted(calls) == [("acme", AT + 5, 30), ("demo", AT + 5, 700)]
                worker.end(next(iter(worker.standing.open)))
            await worker.crash()
        calls = calls_under_way(RealDisk(), tmp_path)
        assert held_before(calls, "demo", AT + 10) == 700
        assert held_before(calls, "demo", AT + 9) == held_before(calls, "other", AT + 10) == 0
        assert held_before(calls, "acme", AT + 10) == 60
        assert held_before(calls, "acme", AT + 9) == 30
        seal_slot(RealDisk(), tmp_path, 2, AT, by="keeper", passed=lambda *_: None)
        assert sorted(calls_under_way(RealDisk(), tmp_path)) == [("acme", AT + 5, 30)]

    asyncio.run(go())


@pytest.mark.long
def test_a_second_ingester_takes_nothing_twice(tmp_path: Path) -> None:
    total = journal_of(tmp_path / "journal", 3000)
    engine = opened(tmp_path)
    one, two = (Ingester(engine, tmp_path / "journal", RealDisk()) for _ in range(2))
    while one.step(AT) | two.step(AT):
        pass
    with read(engine) as conn:
        assert [(row.charge, row.requests) for row in tables.usage(conn)] == [(total, 3000)]


def test_a_database_from_a_backup_is_filled_again_from_the_journal(tmp_path: Path) -> None:
    total = journal_of(tmp_path / "journal", 3000)
    engine = opened(tmp_path)
    early = Ingester(engine, tmp_path / "journal", RealDisk(), most=1000)
    early.step(AT)
    engine.dispose()
    backup = (tmp_path / "entrepot.sqlite").read_bytes()
    early.drain(AT)
    engine.dispose()
    for name in ("entrepot.sqlite-wal", "entrepot.sqlite-shm"):
        (tmp_path / name).unlink(missing_ok=True)
    (tmp_path / "entrepot.sqlite").write_bytes(backup)
    Ingester(engine, tmp_path / "journal", RealDisk()).drain(AT)
    with read(engine) as conn:
        assert [row.charge for row in tables.usage(conn)] == [total]
        assert limit_tables.leases_of(conn, "demo") == {1: LeaseTotals("demo", 10**8, 1000, total)}
        assert all_balances(conn) == [("demo", "USD", USD - total)]


def test_nothing_is_taken_from_a_tail_that_is_not_there_yet_and_the_rest_later(tmp_path: Path) -> None:
    engine = opened(tmp_path)

    async def go() -> None:
        ingester = Ingester(engine, tmp_path / "journal", RealDisk())
        assert ingester.drain(AT) == 0
        worker = Worker(tmp_path / "journal")
        worker.grant("demo", 10**8)
        for seen in range(1, 6):
            worker.call()
            await worker.durable()
            assert ingester.drain(AT) == 1
            assert not ingester.step(AT)
            assert ingester.endings == seen
        worker.close()
        ingester.drain(AT)
        assert not ingester.open_streams()

    asyncio.run(go())


def test_a_dead_worker_is_sealed_and_its_open_calls_are_ended(tmp_path: Path) -> None:
    engine = opened(tmp_path)
    root = tmp_path / "journal"

    async def die() -> None:
        worker = Worker(root)
        worker.grant("demo", 10**8)
        worker.call()
        worker.begin()
        worker.begin()
        await worker.crash()

    asyncio.run(die())
    ingester = Ingester(engine, root, RealDisk())
    ingester.drain(AT)
    assert unsealed_slots(RealDisk(), root) == [1]
    for expected in (1, 0):
        assert seal_slot(RealDisk(), root, 1, AT, by="keeper", passed=ingester.position) == expected
    ingester.drain(AT)
    with read(engine) as conn:
        assert tables.state_counts(conn) == {"final": 1, "estimated": 2}
        assert limit_tables.leases_of(conn, "demo")[1].charged == sum(row.charge for row in tables.usage(conn))


def test_a_live_worker_is_not_sealed(tmp_path: Path) -> None:
    async def go() -> None:
        worker = Worker(tmp_path)
        assert seal_slot(RealDisk(), tmp_path, 1, AT, by="keeper", passed=lambda *_: None) == 0
        worker.close()

    asyncio.run(go())


def test_a_journal_that_lost_what_was_read_before_is_not_sealed_over(tmp_path: Path) -> None:
    async def die() -> None:
        worker = Worker(tmp_path)
        worker.begin()
        await worker.crash()

    asyncio.run(die())
    assert seal_slot(RealDisk(), tmp_path, 1, AT, by="keeper", passed=lambda *_: Position(1, 1 << 20)) == 0
    assert unsealed_slots(RealDisk(), tmp_path) == [1]


def test_damage_in_one_stream_stops_no_other(tmp_path: Path) -> None:
    root = tmp_path / "journal"

    async def two() -> None:
        for number in (1, 2):
            worker = Worker(root, number)
            worker.grant("demo", 10**6 * number)
            for _ in range(10):
                worker.call()
                await worker.durable()
            worker.close()

    asyncio.run(two())
    path = root / "w1" / "000001" / "000001.seg"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    engine = opened(tmp_path)
    ingester = Ingester(engine, root, RealDisk())
    ingester.drain(AT)
    assert list(ingester.damaged) == [(1, 1)]
    with read(engine) as conn:
        assert tables.positions(conn)[2, 1].endings == 10
        assert tables.positions(conn)[1, 1].endings < 10


@pytest.mark.parametrize("lost", [True, False])
def test_a_position_moved_by_somebody_else_is_read_again(tmp_path: Path, lost: bool) -> None:
    total = journal_of(tmp_path / "journal", 2500)
    engine = opened(tmp_path)
    ingester = Ingester(engine, tmp_path / "journal", RealDisk(), most=1000)
    ingester.step(AT)
    with write(engine) as conn:
        before = tables.positions(conn)[1, 1]
        if lost:
            conn.execute(delete(tables.streams))
        else:
            tables.advance(conn, before, msgspec.structs.replace(before, records=before.records))
    if not lost:
        ingester.drain(AT)
        with read(engine) as conn:
            assert tables.usage(conn)[0].charge == total
    else:
        assert ingester.step(AT)
        assert ingester.position(1, 1) is None


def test_a_stream_that_breaks_an_invariant_stops_no_other_and_is_tried_again(tmp_path: Path) -> None:
    root = tmp_path / "journal"

    async def two() -> None:
        for number in (1, 2):
            worker = Worker(root, number)
            if number == 2:
                worker.grant("demo", 10**8)
            worker.call()
            await worker.durable()
            worker.close()

    asyncio.run(two())
    engine = opened(tmp_path)
    ingester = Ingester(engine, root, RealDisk())
    ingester.drain(AT)
    assert "charged 13300" in ingester.stuck[1, 1]
    with read(engine) as conn:
        assert list(tables.positions(conn)) == [(2, 1)]
    with write(engine) as conn:
        limit_tables.move(conn, 1, granted={"demo": 10**8})
    assert ingester.drain(AT + 1) == 0
    assert ingester.drain(AT + 2 * 10**6) == 1
    assert not ingester.stuck


def test_both_databases_take_the_same_journal_and_verify(engine: Engine, tmp_path: Path) -> None:
    total = journal_of(tmp_path / "journal", 600)
    with write(engine) as conn:
        open_balance(conn, "demo", "USD")
        top_up(conn, "demo", USD, "USD", "first-start", AT)
    Ingester(engine, tmp_path / "journal", RealDisk()).drain(AT)
    with read(engine) as conn:
        assert all_balances(conn) == [("demo", "USD", USD - total)]
        assert limit_tables.leases_of(conn, "demo") == {1: LeaseTotals("demo", 10**8, 1000, total)}
    report = verify(engine, Folder(tmp_path))
    assert report.differences == ()
    assert report.charges == {"USD": total}
