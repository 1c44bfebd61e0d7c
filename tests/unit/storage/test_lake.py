"""Segments as files: every value comes back, sums by the one statement equal the rollup's, asides never count."""

import asyncio
from pathlib import Path

import pytest

from endings import AT, terms
from entrepot.keeper import lake as segments
from entrepot.keeper.lake import LakeAmount, SegmentRows, entries_of, records_of
from entrepot.kernel.buckets import BUCKETS
from entrepot.kernel.instants import HOUR
from entrepot.metering.record import Ending, from_bytes, to_bytes
from entrepot.metering.rollup import RollupKey, fold
from entrepot.storage import lake, reading
from entrepot.storage.folder import Folder
from worker import Worker

SEGMENT = (1, 1, 1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """One sealed segment with every kind of ending."""
    folder = Folder(tmp_path_factory.mktemp("house"))
    folder.create()

    async def go() -> None:
        worker = Worker(folder.journal)
        worker.grant("demo", 10**12)
        for n in range(120):
            worker.at = AT + n * HOUR // 40
            changes = {
                0: {"usage": '{"a":"ü\\u0000\n\\"}'.encode() + b"\xff", "vendor_request": 'he said "hi", twice\t;'},
                1: {"state": "aborted", "source": "counted", "charged": (1, 2, 3, 4, 5, 0, 0, 0), "charge": 2275},
                2: {"cost": -1, "terms": terms(zone="", cost_version="", cost_rates=(-1,) * 8, den=10**19)},
                6: {"terms": terms(request_rate=5_000_000, cost_request_rate=3_000_000)},
                3: {"unrated": (5, 7), "service_tier": "flex", "attempt": 2},
                4: {"charge": 7, "hold": 7, "overrun": 10**10 + n, "vendor_request": "\0 is text", "usage": b"\xc3"},
                5: {"state": "estimated", "source": "estimate", "charged": (0,) * 8, "charge": 0},
            }.get(n % 7, {})
            worker.call((n, n // 3), **changes)  # type: ignore[arg-type]
        await worker.durable()
        worker.close()

    asyncio.run(go())
    return folder


def test_a_file_holds_every_value_of_its_segment(folder: Folder) -> None:
    file = segments.write(folder, SEGMENT)
    path = folder.lake / file.path
    assert (file.rows, file.size, file.sha256) == (120, path.stat().st_size, lake.sha256_of(path))
    assert (file.first_at, file.last_at) == (AT, AT + 119 * HOUR // 40)
    with lake.connect() as db:
        rows = SegmentRows(SEGMENT, records_of(folder.journal, SEGMENT))
        assert lake.first_difference(db, path, rows) is None
    assert not [path.name for path in folder.lake.rglob("*") if lake.is_aside(path.name)]


def test_the_one_statement_gives_the_sums_of_the_rollup(folder: Folder) -> None:
    path = folder.lake / segments.write(folder, SEGMENT).path
    expected = fold(entry.record for entry in entries_of(folder.journal, SEGMENT)).groups
    found = {RollupKey(**{name: row[name] for name in RollupKey._fields}): row for row in reading.aggregate([path])}
    assert found.keys() == expected.keys()
    for key, sums in expected.items():
        row = found[key]
        assert tuple(row[name] for name in BUCKETS) == sums.charged
        assert tuple(row[f"billed_{name}"] for name in BUCKETS) == sums.billed
        for name in ("requests", "attempts", "charge", "cost", "uncosted", "unrated", "calls", "overrun"):
            assert row[name] == getattr(sums, name), name


def test_a_request_is_found_with_all_it_said(folder: Folder) -> None:
    path = folder.lake / segments.write(folder, SEGMENT).path
    first = next(e for e in entries_of(folder.journal, SEGMENT) if e.record[0] == 2)
    ending = from_bytes(first.record)
    assert isinstance(ending, Ending)
    [row] = lake.find([path], ending.request)
    assert (row["vendor_request"], row["charge"]) == ('he said "hi", twice\t;', ending.charge)
    assert row["usage"] == ending.usage.decode("utf-8", "replace")
    assert lake.find([path], "req_nobody") == [] == lake.find([], ending.request)


def test_an_amount_beyond_64_bits_is_refused() -> None:
    from endings import ending

    records = [to_bytes(ending(1)), to_bytes(ending(2, charge=2**63, hold=2**63))]
    with pytest.raises(LakeAmount, match=from_bytes(records[1]).request):  # type: ignore[union-attr]
        list(SegmentRows(SEGMENT, records).attempts())


def test_a_segment_without_endings_is_a_file_without_rows(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    folder.create()

    async def go() -> None:
        Worker(folder.journal).close()

    asyncio.run(go())
    file = segments.write(folder, SEGMENT)
    assert (file.rows, file.first_at) == (0, 0)
    assert reading.aggregate([folder.lake / file.path]) == []


def test_a_segment_that_may_grow_is_not_written(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    folder.create()

    async def go() -> None:
        worker = Worker(folder.journal)
        await worker.durable()
        with pytest.raises(ValueError, match="may still grow"):
            segments.write(folder, SEGMENT)
        worker.close()

    asyncio.run(go())


def test_orphans_go_and_listed_files_stay(folder: Folder) -> None:
    file = segments.write(folder, SEGMENT)
    orphan = folder.lake / "w1" / "000001" / "000009.parquet"
    orphan.write_bytes(b"x")
    assert segments.remove_orphans(folder, [file]) == ["w1/000001/000009.parquet"]
    assert (folder.lake / file.path).exists()
