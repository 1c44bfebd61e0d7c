"""Apache Spark beside DuckDB over the same records: the three statements, equal to the last digit, and their times.

    PYTHONPATH=.venv/spark .venv/bin/python -m bench.spark FOLDER --most 575 --masters 'local-cluster[1,1,1024]' \\
        'local-cluster[2,1,1024]'

FOLDER is one that `bench.billing --keep` has made; 575 of its files are 20 million records. Rows are compared by their
number and the sum of their SHA-256, so that neither side lies in memory.
"""

import argparse
import hashlib
import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from entrepot.kernel.instants import parse
from entrepot.metering.stretches import Cut
from entrepot.storage import attempts, lake
from entrepot.storage.attempts import Question
from entrepot.storage.spark import Spark

MONTH = Cut(starts=(parse("2026-10-01"), parse("2026-10-15")), until=parse("2026-11-01"), by_hour=True)
EVER = Cut(starts=(0, parse("2026-10-01"), parse("2026-11-01")), until=1 << 62)


def main() -> None:
    parser = argparse.ArgumentParser(description="Apache Spark beside DuckDB")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--most", type=int, help="only so many of its files")
    parser.add_argument("--masters", nargs="*", default=["local-cluster[1,1,1024]", "local-cluster[2,1,1024]"])
    parser.add_argument("--statements", nargs="*", default=["sold", "billable", "usage"])
    chosen = parser.parse_args()
    files = sorted((chosen.folder / "lake").resolve().rglob("*.parquet"))[: chosen.most]
    asked = {"sold": attempts.sold(EVER), "billable": attempts.billable(MONTH), "usage": attempts.usage()}
    questions = [asked[each] for each in chosen.statements]
    with lake.connect() as db:
        names = ", ".join(f"'{path}'" for path in files)
        [(records,)] = db.execute(f"SELECT count(*) FROM read_parquet([{names}])").fetchall()  # noqa: S608 - ours
    print(f"{records:,} records in {len(files):,} files; load {os.getloadavg()[0]:.1f}", flush=True)
    right = {}
    for question in questions:
        right[question.statement], seconds = _timed(_duckdb(files, question))
        print(f"{question.statement}: DuckDB {seconds:.1f} s, {right[question.statement][0]:,} rows", flush=True)
    for master in chosen.masters:
        started = time.perf_counter()
        spark = Spark(master)
        print(f"{master}: session {time.perf_counter() - started:.1f} s", flush=True)
        for question in questions:
            found, seconds = _timed(spark.rows(files, question))
            same = "equal to the last digit" if found == right[question.statement] else "DIFFERS"
            print(f"{question.statement}: {master} {seconds:.1f} s, {found[0]:,} rows, {same}", flush=True)
            if found != right[question.statement]:
                raise SystemExit(1)
        spark.stop()


def _duckdb(files: list[Path], question: Question) -> Iterator[tuple[Any, ...]]:
    names = ", ".join(f"'{path}'" for path in files)
    with lake.connect(2, 3072) as db:
        db.execute(f"CREATE TEMP VIEW endings AS {question.view(f'read_parquet([{names}])')}")
        result = db.execute(question.text())
        while some := result.fetchmany(20_000):
            yield from some


def _timed(rows: Iterable[tuple[Any, ...]]) -> tuple[tuple[int, int], float]:
    """(rows, sum of their hashes) and how long that took."""
    started, count, total = time.perf_counter(), 0, 0
    for row in rows:
        text = "\x1f".join(each if isinstance(each, str) else str(int(each)) for each in row)
        total = (total + int.from_bytes(hashlib.sha256(text.encode()).digest())) % (1 << 256)
        count += 1
    return (count, total), time.perf_counter() - started


if __name__ == "__main__":
    main()
