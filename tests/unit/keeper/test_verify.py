"""verify: agrees where all is well, and names the record where one digit was changed."""

import asyncio
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import pytest
from sqlalchemy import Engine, text

from endings import AT, terms
from entrepot.journal.disk import RealDisk
from entrepot.journal.files import is_sealed
from entrepot.keeper import lake
from entrepot.keeper.ingest import Ingester
from entrepot.keeper.report import Difference, Report
from entrepot.keeper.verify import verify
from entrepot.ledger.grant_tables import top_up
from entrepot.ledger.tables import open_balance
from entrepot.metering import tables
from entrepot.storage.database import open_database, prepare, write
from entrepot.storage.folder import Folder
from worker import Worker

USD = 10**9


def ingest(engine: Engine, folder: Folder) -> None:
    ingester = Ingester(engine, folder.journal, RealDisk())
    ingester.drain(AT)
    for segment in lake.due(ingester.positions(), set(), folder.journal):
        with write(engine) as conn:
            if segment not in {(file.slot, file.epoch, file.segment) for file in tables.manifest(conn)}:
                tables.list_file(conn, lake.write(folder, segment))


@pytest.fixture
def house(built: Path, tmp_path: Path) -> Iterator[tuple[Engine, Folder]]:
    """A copy of `built` that a test may break."""
    folder = Folder(Path(shutil.copytree(built, tmp_path / "data")))
    engine = open_database(folder.database)
    yield engine, folder
    engine.dispose()


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two streams: one sealed, in several segments, one open with a call under way and an ending not taken yet."""
    folder = Folder(tmp_path_factory.mktemp("house"))
    folder.create()
    engine = open_database(folder.database)
    prepare(engine)
    with write(engine) as conn:
        for name in ("demo", "acme"):
            open_balance(conn, name, "USD")
            top_up(conn, name, USD, "USD", f"PAY-{name}", AT)

    async def go() -> None:
        for last in (False, True):
            worker = Worker(folder.journal, segment_bytes=24 * 1024)
            for name in ("demo", "acme"):
                worker.grant(name, USD // 4)
            for n in range(80):
                worker.call((n, 2 * n), terms=terms("acme" if n % 3 else "demo"))
                if n % 5 == 0:
                    await worker.durable()
            worker.begin()
            if not last:
                worker.end(next(iter(worker.standing.open)))
                worker.close()
                continue
            await worker.durable()
            ingest(engine, folder)
            worker.call()
            await worker.crash()

    asyncio.run(go())
    engine.dispose()
    return folder.root


def parts(report: Report) -> set[str]:
    return {difference.part for difference in report.differences}


@pytest.mark.long
def test_everything_agrees_beside_calls_under_way(house: tuple[Engine, Folder]) -> None:
    report = verify(*house)
    assert report.differences == ()
    assert (report.streams, report.intents, report.endings, report.open, report.pending) == (2, 163, 162, 1, 1)
    assert report.files >= 2
    lines = report.to_text().splitlines()
    assert lines[0].startswith("journal    2 streams, ")
    assert re.fullmatch(r"           163 intents ≠ 162 endings, \d+ others +1 open", lines[1])
    assert lines[2].endswith("each equal to its segment's endings")
    assert lines[4].endswith("debits = credits, chain whole")
    assert re.fullmatch(r"all agree +\d+\.\d s", lines[6])


@pytest.mark.long
def test_it_agrees_from_the_lake_alone_where_segments_are_gone(house: tuple[Engine, Folder]) -> None:
    engine, folder = house
    stream = folder.journal / "w1" / "000001"
    assert is_sealed(RealDisk(), stream)
    for path in stream.glob("*.seg"):
        path.unlink()
    assert verify(engine, folder).differences == ()


def raw(engine: Engine, *statements: str) -> None:
    with write(engine) as conn:
        for name in ("ledger_transaction", "ledger_transfer"):
            for verb in ("update", "delete"):
                conn.execute(text(f"DROP TRIGGER IF EXISTS {name}_no_{verb}"))
        for statement in statements:
            conn.execute(text(statement))


@pytest.mark.long
@pytest.mark.parametrize(
    ("statement", "part", "what"),
    [
        ("UPDATE usage_rollup SET charge = charge + 1 WHERE rowid = 1", "rollup", "charge of customer"),
        ("UPDATE usage_rollup SET output = output - 1 WHERE customer = 'acme'", "rollup", "charged of customer acme"),
        ("DELETE FROM usage_rollup WHERE customer = 'demo'", "rollup", "requests of customer demo"),
        ("UPDATE ledger_transfer SET amount = '1' WHERE \"transaction\" = 3 AND line = 1", "ledger", "transaction 3 "),
        ("DELETE FROM ledger_transfer WHERE \"transaction\" = 3", "ledger", "transaction 3 "),
        ("UPDATE ledger_transaction SET at = at + 1 WHERE seq = 2", "ledger", "transaction 2 (top-up/PAY-acme): hash"),
        ("UPDATE ledger_account SET credits = '7' WHERE id = 'USD:revenue::small'", "ledger", "running credits"),
        ("UPDATE lease SET charged = '5' WHERE balance = 'demo'", "ledger", "charges posted to balance demo"),
        ("UPDATE lease SET granted = '9000000000' WHERE balance = 'demo'", "ledger", "leases outstanding"),
        ("UPDATE stream_position SET records = records + 1", "journal", "records before the rollup's position"),
        ("UPDATE lake_file SET sha256 = zeroblob(32) WHERE segment = 1", "lake", "w1/000001/000001.parquet"),
    ],
)
def test_one_changed_value_is_named(house: tuple[Engine, Folder], statement: str, part: str, what: str) -> None:
    engine, folder = house
    raw(engine, statement)
    report = verify(engine, folder)
    assert not report.agree
    assert any(each.part == part and what in each.what for each in report.differences), report.to_text()
    assert "DIFFERS" in report.to_text()


def rewrite(path: Path, change: str) -> None:
    with duckdb.connect() as db:
        db.read_parquet(str(path)).to_table("t")
        db.execute(change)
        db.table("t").to_parquet(str(path))


@pytest.mark.long
@pytest.mark.parametrize(
    ("change", "what"),
    [
        ("UPDATE t SET charge = charge + 1 WHERE seq = (SELECT max(seq) FROM t)", "charge"),
        ("UPDATE t SET vendor_request = 'other' WHERE seq = (SELECT min(seq) FROM t)", "vendor_request"),
        ("DELETE FROM t WHERE seq = (SELECT min(seq) FROM t)", "attempt w1-000001-"),
    ],
)
def test_a_changed_row_of_the_lake_is_named_with_both_values(
    house: tuple[Engine, Folder], change: str, what: str
) -> None:
    engine, folder = house
    rewrite(folder.lake / "w1" / "000001" / "000001.parquet", change)
    found = [each for each in verify(engine, folder).differences if each.part == "lake"]
    assert any("attempt w1-000001-" in each.what and "req_" in each.what and what in each.what for each in found)


@pytest.mark.parametrize("break_it", [lambda path: path.unlink(), lambda path: path.write_bytes(b"x")])
def test_a_missing_or_changed_file_is_named(house: tuple[Engine, Folder], break_it: Callable[[Path], None]) -> None:
    engine, folder = house
    break_it(folder.lake / "w1" / "000001" / "000002.parquet")
    assert any("w1/000001/000002.parquet" in each.what for each in verify(engine, folder).differences)


def test_a_flipped_bit_in_the_journal_is_named(house: tuple[Engine, Folder]) -> None:
    engine, folder = house
    path = folder.journal / "w1" / "000001" / "000001.seg"
    data = bytearray(path.read_bytes())
    data[20_000] ^= 1
    path.write_bytes(data)
    report = verify(engine, folder)
    assert "journal" in parts(report)
    assert any("slot w1, epoch 1, segment 000001, offset" in each.what for each in report.differences)


def test_a_wrong_charge_and_a_second_ending_are_named(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    folder.create()
    engine = open_database(folder.database)
    prepare(engine)

    async def go() -> None:
        worker = Worker(folder.journal)
        worker.grant("demo", USD)
        worker.call(charge=1, request="req_wrong")
        from entrepot.metering.record import to_bytes

        twice = worker.call(request="req_twice")
        worker.journal.append(to_bytes(twice))
        await worker.durable()
        worker.close()

    asyncio.run(go())
    report = verify(engine, folder)
    assert [each.what.split(": ")[-1] for each in report.differences] == [
        "charge, in USD units", "it has two endings, or no intent"
    ]  # fmt: skip
    assert report.differences[0] == Difference(
        part="journal", what="attempt w1-000001-3 (req_wrong): charge, in USD units", found="1", expected="13300"
    )


def test_an_ending_by_the_conditions_of_its_price_agrees_and_one_of_another_version_does_not(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    folder.create()
    engine = open_database(folder.database)
    prepare(engine)
    dearer = (200, 100, 250, 800, 800, -1, -1, -1)

    async def go() -> None:
        worker = Worker(folder.journal)
        worker.grant("demo", USD)
        worker.end(worker.begin(), terms=terms(rates=dearer, bracket="1000"), hold=100_000, service_tier="priority")
        worker.end(worker.begin(request="req_other"), terms=terms(price_version="list/2"), hold=100_000)
        await worker.durable()
        worker.close()

    asyncio.run(go())
    (found,) = verify(engine, folder).differences
    assert found.what == "attempt w1-000001-5 (req_other): request, hold or terms are not those of its intent"
