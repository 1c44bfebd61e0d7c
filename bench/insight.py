"""`make bench-insight`: all measures over a year of 1,000 customers, and from 100 million raw records.

    .venv/bin/python -m bench.insight [--month FOLDER] [--records 1e6] [--keep FOLDER]

A year is a house with 1,000 customers, their invoices (12 each) and their usage in the lake; what is timed is one
process that gathers billed facts and works out every measure of them. `--month` is a folder that `bench.billing --keep`
has made: its records are gathered as earned facts, tied to a ledger that has their sums, and measured. Wall, CPU and
peak memory are those of the process; every cut must come to what the documents, or the ledger, say.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from bench.insight_house import YEAR, found_month, found_year
from entrepot.insight.books import Asked
from entrepot.storage.folder import Folder

_RESULTS = Path(__file__).parent / "results"
_YEAR_S, _MONTH_S = 3.0, 60.0


def main() -> None:
    parser = argparse.ArgumentParser(description="measures of the business")
    parser.add_argument("--month", type=Path, help="a folder of `bench.billing --keep`, with a month of records")
    parser.add_argument("--most", type=int, help="only so many of its files")
    parser.add_argument("--customers", type=int, default=1000)
    parser.add_argument("--records", type=float, default=1e6, help="of the year; 0: no year")
    parser.add_argument("--keep", type=Path, help="where to make the houses; a later run finds them there")
    parser.add_argument("--spark", nargs="*", default=[], help="Spark masters that read the month as well")
    chosen = parser.parse_args()
    busy = os.getloadavg()[0]
    if busy > 1:
        print(f"the machine is busy with other things (load {busy:.1f}): figures are worse than they would be")
    rows = []
    if chosen.records:
        with _root(chosen.keep, "year") as root:
            if not (root / "made").exists():
                found_year(Folder(root), int(chosen.records), chosen.customers)
                (root / "made").touch()
            asked = Asked(kind="billed", starts_on=YEAR.name, until="2027-01-01")
            rows.append(_measured(root, asked, f"a year of {chosen.customers:,} customers", _YEAR_S))
    if chosen.month:
        with _root(chosen.keep, f"month-{chosen.most or 'all'}") as root:
            if not (root / "made").exists():
                found_month(Folder(root), chosen.month, chosen.most)
                (root / "made").touch()
            asked = Asked(kind="earned", starts_on="2026-10-01", until="2026-11-01")
            rows.append(_measured(root, asked, "a month of raw records", _MONTH_S))
            for master in chosen.spark:
                rows.append(_measured(root, asked, f"the same by Spark, {master}", None, ENTREPOT_SPARK=master))
    _RESULTS.mkdir(exist_ok=True)
    with (_RESULTS / "insight.jsonl").open("a") as file:
        facts = {"at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "cores": os.cpu_count(), "load_before": busy,
                 "measures": rows}  # fmt: skip
        file.write(json.dumps(facts) + "\n")


@contextmanager
def _root(kept: Path | None, name: str) -> Iterator[Path]:
    if kept is not None:
        (kept / name).mkdir(parents=True, exist_ok=True)
        yield kept / name
        return
    root = Path(tempfile.mkdtemp(prefix="bench-insight-"))
    try:
        yield root
    finally:
        shutil.rmtree(root)


def _measured(root: Path, asked: Asked, what: str, most_s: float | None, **more: str) -> dict[str, object]:
    """The process, and what it took. Raises SystemExit where it fails or its sums part."""
    out = root / "measured.json"
    started = time.perf_counter()
    with out.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "bench.insight_process", str(root)], stdin=subprocess.PIPE, stdout=file,
            env={**os.environ, **more},
        )  # fmt: skip
        assert process.stdin is not None
        process.stdin.write(msgspec.json.encode(asked))
        process.stdin.close()
        _, status, used = os.wait4(process.pid, 0)
    wall = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{what}: {out.read_text()[-2000:]}")
    said = json.loads(out.read_bytes())
    cpu, peak = used.ru_utime + used.ru_stime, used.ru_maxrss / 2**20
    bound = f"   bound {most_s:g} s   {'met' if wall <= most_s else 'MISSED'}" if most_s else ""
    print(
        f"{what}: {said['sales']:,} sales, {said['measures']} measures: {wall:.1f} s wall (gathered "
        f"{said['gather_s']:.1f} s, measured {said['measure_s']:.2f} s), {cpu:.1f} s CPU, {peak:.2f} GiB{bound}",
        flush=True,
    )
    return {"what": what, "wall_s": wall, "cpu_s": cpu, "peak_gib": peak, **said}


if __name__ == "__main__":
    main()
