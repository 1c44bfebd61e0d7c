"""`make bench-billing`: how fast usage becomes rollup and ledger, and how fast a month of everybody becomes lines.

    .venv/bin/python -m bench.billing [--records 1e6 1e7 1e8] [--customers 1000] [--ingest 200000] [--postgresql]

Files like those of real segments are made below TMPDIR and deleted at the end: about 75 bytes a record. Rating is the
process that a real house runs, `python -m entrepot.keeper.bills.rating`: wall, CPU and peak memory are those of that
process, and what it says is compared with sums of DuckDB alone.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from bench.billing_journal import write_journal
from bench.billing_month import MONTH, expected, fill_rollup, found_house, list_files, write_lake
from bench.ingestion import Speed, measure
from entrepot.rating.line import Rated, from_bytes
from entrepot.serve import schema  # every table
from entrepot.storage.database import open_database, prepare
from entrepot.storage.folder import Folder

_RESULTS = Path(__file__).parent / "results"
_SECONDS, _MEMORY_GIB, _INGESTED = 30.0, 4.0, 100_000


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """A house with a month of records. `files` below its lake."""

    files: list[str]
    size: int
    groups: int
    seconds: float


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One size."""

    records: int
    customers: int
    files: int
    size: int
    groups: int  # of the rollup that the lake is compared with
    lines: int
    made_s: float
    wall_s: float
    cpu_s: float
    peak_gib: float


def main() -> None:
    parser = argparse.ArgumentParser(description="ingestion and rating")
    parser.add_argument("--records", type=float, nargs="*", default=[1e6, 1e7, 1e8])
    parser.add_argument("--customers", type=int, default=1000)
    parser.add_argument("--ingest", type=int, default=200_000, help="endings in the journal that is ingested; 0: none")
    parser.add_argument("--postgresql", action="store_true", help="ingest into a PostgreSQL of its own as well")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="to make the files with")
    parser.add_argument("--keep", type=Path, help="where to make the files; a later run finds them there")
    chosen = parser.parse_args()
    print(f"bench-billing: {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    busy = os.getloadavg()[0]
    if busy > 1:
        print(f"the machine is busy with other things (load {busy:.1f}): figures are worse than they would be")
    speeds = _ingestion(chosen.ingest, chosen.customers, chosen.postgresql) if chosen.ingest else {}
    rows = []
    for records in map(int, chosen.records):
        with _root(chosen.keep, records) as root:
            rows.append(_rating(root, records, chosen.customers, chosen.threads))
    _RESULTS.mkdir(exist_ok=True)
    with (_RESULTS / "billing.jsonl").open("a") as file:
        facts = {"at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "cores": os.cpu_count(), "load_before": busy,
                 "ingestion": msgspec.to_builtins(speeds), "rating": msgspec.to_builtins(rows)}  # fmt: skip
        file.write(json.dumps(facts) + "\n")


def _ingestion(endings: int, customers: int, postgresql: bool) -> dict[str, Speed]:
    found = {}
    for count in sorted({1, customers}):
        with tempfile.TemporaryDirectory(prefix="bench-billing-") as root:
            names = write_journal(Folder(Path(root)), endings, count)
            what = f"{endings:,} endings of {count:,} customer{'s' * (count > 1)} →"
            found[f"sqlite-{count}"] = speed = measure(Path(root), names)
            _aimed(f"{what} rollup and ledger", speed.rollup_per_cpu_s)
            _aimed(f"{what} lake", speed.lake_per_cpu_s)
            if postgresql:
                with _postgresql() as (url, used):
                    before = used()
                    found[f"postgresql-{count}"] = speed = measure(Path(root), names, database=url)
                    server = used() - before
                _aimed(f"{what} rollup and ledger, PostgreSQL", speed.rollup_per_cpu_s)
                print(f"  beside it {server:.1f} s of processor time of the server, customers' balances included")
    return found


def _aimed(what: str, figure: float) -> None:
    _line(what, f"{figure:,.0f}/s a core", f"≥ {_INGESTED:,}/s", met=figure >= _INGESTED)


@contextmanager
def _postgresql() -> Iterator[tuple[str, Callable[[], float]]]:
    """An empty database of a server of its own, and what its processes have used so far (seconds of processor)."""
    import pgserver

    with tempfile.TemporaryDirectory(prefix="bench-billing-") as folder:
        server = pgserver.get_server(folder)
        try:
            pid = int((Path(folder) / "postmaster.pid").read_text().split()[0])
            yield server.get_uri().replace("postgresql://", "postgresql+psycopg://"), lambda: _used_by(pid)
        finally:
            server.cleanup()


def _used_by(parent: int) -> float:
    """Of a process, its children that live and those that ended."""
    ticks = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # ended meanwhile
        if int(stat.parent.name) == parent:
            ticks += sum(map(int, fields[11:15]))
        elif int(fields[1]) == parent:
            ticks += sum(map(int, fields[11:13]))
    return ticks / os.sysconf("SC_CLK_TCK")


@contextmanager
def _root(kept: Path | None, records: int) -> Iterator[Path]:
    if kept is not None:
        yield kept / str(records)
        return
    with tempfile.TemporaryDirectory(prefix="bench-billing-") as root:
        yield Path(root)


def _rating(root: Path, records: int, customers: int, threads: int) -> Row:
    made = root / "made.json"
    if not made.exists():
        made.write_bytes(msgspec.json.encode(_make(root, records, customers, threads)))
    house = msgspec.json.decode(made.read_bytes(), type=Made)
    folder = Folder(root)
    found, usage = _run(folder)
    _compare(found, [folder.lake / each for each in house.files])
    row = Row(
        records=records, customers=len(found), files=len(house.files), size=house.size, groups=house.groups,
        lines=sum(len(each.lines) for each in found), made_s=house.seconds, **usage,
    )  # fmt: skip
    what = f"{records:,} records, {row.customers:,} customers → {row.lines:,} lines"
    _line(f"{what}: wall", f"{row.wall_s:.1f} s", f"≤ {_SECONDS:g} s", met=row.wall_s <= _SECONDS)
    _line(f"{what}: peak memory", f"{row.peak_gib:.2f} GiB", f"≤ {_MEMORY_GIB:g} GiB", met=row.peak_gib <= _MEMORY_GIB)
    print(f"{what}: CPU {row.cpu_s:.1f} s")
    return row


def _make(root: Path, records: int, customers: int, threads: int) -> Made:
    folder = Folder(root)
    folder.create()
    engine = open_database(folder.database)
    assert schema.metadata.tables
    prepare(engine)
    found_house(engine, customers)
    started = time.perf_counter()
    paths = write_lake(folder, records, customers, threads)
    size = list_files(engine, folder, paths)
    engine.dispose()
    groups = fill_rollup(folder, paths, threads)
    seconds = time.perf_counter() - started
    print(f"{records:,} records made in {seconds:.0f} s: {len(paths):,} files of {size / 2**30:.2f} GiB, "
          f"{groups:,} groups in the rollup", flush=True)  # fmt: skip
    return Made(files=[str(path.relative_to(folder.lake)) for path in paths], size=size, groups=groups, seconds=seconds)


def _run(folder: Folder) -> tuple[list[Rated], dict[str, float]]:
    """The process of a house; what it printed, and what it took."""
    out = folder.root / "rated.jsonl"
    started = time.perf_counter()
    with out.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "entrepot.keeper.bills.rating", str(folder.root), MONTH], stdout=file
        )
        _, status, used = os.wait4(process.pid, 0)
    wall = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"rating failed: {out.read_text()[-2000:]}")
    cpu = used.ru_utime + used.ru_stime
    rated = [from_bytes(line) for line in out.read_bytes().splitlines()]
    return rated, {"wall_s": wall, "cpu_s": cpu, "peak_gib": used.ru_maxrss / 2**20}


def _compare(found: list[Rated], paths: list[Path]) -> None:
    """Every token is on a line, and every charge in a sum."""
    ours = [
        (each.customer, sum(int(line.quantity) for line in each.lines if line.kind == "usage"), each.charged)
        for each in found
        if each.lines
    ]
    theirs = list(expected(paths))
    if ours != theirs:
        parted = next(pair for pair in zip(ours, theirs, strict=False) if pair[0] != pair[1])
        raise SystemExit(f"rated {parted[0]}, used {parted[1]}")


def _line(what: str, figure: str, target: str, *, met: bool) -> None:
    print(f"{what:74} {figure:>18}   {target:>12}   {'met' if met else 'missed'}")


if __name__ == "__main__":
    main()
