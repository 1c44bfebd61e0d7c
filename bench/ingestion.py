"""How fast endings become rollup and ledger, and segments become files of the lake: the journal of a real run, taken in
again by an empty database. Run as `python -m bench.ingestion DATA` on the folder of a house that has stopped."""

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

import entrepot.ledger.tables as ledger
import entrepot.limits.tables  # noqa: F401 - these two bring their tables into the schema
import entrepot.metering.tables  # noqa: F401
from entrepot.journal.files import RealDisk, segments, streams
from entrepot.keeper import lake
from entrepot.keeper.ingest import Ingester
from entrepot.ledger import grant_tables
from entrepot.storage.database import open_database, prepare, write
from entrepot.storage.folder import Folder

_FUNDS = 10**18


class Speed(msgspec.Struct, frozen=True, kw_only=True):
    """Endings per second of CPU and of the clock."""

    endings: int
    rollup_per_cpu_s: float
    rollup_per_s: float
    lake_per_cpu_s: float
    lake_per_s: float


def measure(data: Path, customers: Sequence[str] = ("demo",), *, database: str = "") -> Speed:
    """Ingest the whole journal below `data`, of these customers, into a new database, then write its segments as new
    files. `database`: URL of an empty one, whose own processor time is not counted; else SQLite."""
    folder = Folder(data)
    with tempfile.TemporaryDirectory(prefix="bench-ingestion-") as scratch:
        engine = open_database(database or Path(scratch) / "entrepot.sqlite")
        prepare(engine)
        with write(engine) as conn:
            for name in customers:
                ledger.open_balance(conn, name, "USD")
                grant_tables.top_up(conn, name, _FUNDS, "USD", f"bench-{name}", 1)
        ingester = Ingester(engine, folder.journal, RealDisk())
        wall, cpu = time.perf_counter(), time.process_time()
        ingester.drain(time.time_ns() // 1000)
        rollup_s, rollup_cpu = time.perf_counter() - wall, time.process_time() - cpu
        if ingester.stuck or ingester.damaged:
            raise SystemExit(f"not ingested: {ingester.stuck or ingester.damaged}")
        from entrepot.storage import lake as files

        files.connect().close()  # loading DuckDB is not what is measured
        rows = 0
        wall, cpu = time.perf_counter(), time.process_time()
        for stream in streams(folder.journal):
            for number in segments(RealDisk(), stream.path):
                segment = (stream.slot, stream.epoch, number)
                if next(lake.entries_of(folder.journal, segment), None) is None:
                    continue  # prepared, never used
                found = lake.SegmentRows(segment, lake.records_of(folder.journal, segment))
                files.write_file(Path(scratch) / "lake" / lake.path_of(segment), found)
                rows += found.count
        lake_s, lake_cpu = time.perf_counter() - wall, time.process_time() - cpu
        engine.dispose()
    return Speed(
        endings=ingester.endings,
        rollup_per_cpu_s=ingester.endings / max(rollup_cpu, 1e-9),
        rollup_per_s=ingester.endings / max(rollup_s, 1e-9),
        lake_per_cpu_s=rows / max(lake_cpu, 1e-9),
        lake_per_s=rows / max(lake_s, 1e-9),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="ingestion speed of a journal")
    parser.add_argument("data", type=Path)
    print(json.dumps(msgspec.to_builtins(measure(parser.parse_args().data))))


if __name__ == "__main__":
    main()
