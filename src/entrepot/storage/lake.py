"""The lake: one Parquet file per final segment of the journal, a row per attempt, written and read by DuckDB.

A file counts only when it is in the manifest. It is written aside, synced, renamed, its directory synced; whoever asked
for it then lists it. Imports DuckDB, so only short-lived processes and readers import this.
"""

import hashlib
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import duckdb

from entrepot.kernel.buckets import BUCKETS
from entrepot.kernel.errors import EntrepotError
from entrepot.storage.folder import sync_directory


class LakeBroken(EntrepotError):
    """A file of the lake cannot be read."""

    code = "lake_broken"


_MONEY = "DECIMAL(38,0)"
#: Name → type, in the order of the file. Amounts are ledger units; instants are microseconds.
COLUMNS: dict[str, str] = {
    "slot": "INTEGER", "epoch": "INTEGER", "seq": "BIGINT", "request": "VARCHAR", "attempt": "INTEGER",
    "admitted_at": "BIGINT", "sent_at": "BIGINT", "first_at": "BIGINT", "ended_at": "BIGINT",
    "operation": "VARCHAR", "stream": "BOOLEAN", "state": "VARCHAR", "source": "VARCHAR", "status": "INTEGER",
    "reason": "VARCHAR",
    **dict.fromkeys(BUCKETS, "BIGINT"), **{f"billed_{name}": "BIGINT" for name in BUCKETS},
    "charge": _MONEY, "cost": _MONEY, "hold": _MONEY, "overrun": _MONEY, "unrated": "VARCHAR",
    "input_bound": "BIGINT", "output_cap": "BIGINT", "service_tier": "VARCHAR", "vendor_model": "VARCHAR",
    "vendor_request": "VARCHAR", "usage": "VARCHAR", "events": "BIGINT", "size": "BIGINT",
    "key": "VARCHAR", "customer": "VARCHAR", "project": "VARCHAR", "deployment": "VARCHAR", "model": "VARCHAR",
    "upstream": "VARCHAR", "vendor": "VARCHAR", "zone": "VARCHAR", "balance": "VARCHAR", "currency": "VARCHAR",
    "price_version": "VARCHAR", "den": _MONEY, "rates": "VARCHAR", "cost_version": "VARCHAR",
    "cost_currency": "VARCHAR", "cost_den": _MONEY, "cost_rates": "VARCHAR",
}  # fmt: skip
_SHAPE = "{" + ", ".join(f"'{name}': '{kind}'" for name, kind in COLUMNS.items()) + "}"
_FROM_JSON = f"read_json(?, columns = {_SHAPE}, format = 'newline_delimited')"
_ASIDE = ".aside"


def connect() -> duckdb.DuckDBPyConnection:
    """A DuckDB in memory that takes one thread: it runs beside the request path."""
    return duckdb.connect(config={"threads": 1})


def write_file(path: Path, lines: Iterable[bytes]) -> tuple[int, bytes]:
    """One Parquet file from JSON lines (`COLUMNS`), durable under its name on return: (bytes, SHA-256)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    source, aside = path.with_name(path.name + ".json" + _ASIDE), path.with_name(path.name + _ASIDE)
    try:
        _write_lines(source, lines)
        with connect() as db:
            target = str(aside).replace("'", "''")
            db.execute(
                f"COPY (SELECT * FROM {_FROM_JSON}) TO '{target}' (FORMAT parquet, COMPRESSION zstd)",  # noqa: S608 - our own columns
                [str(source)],
            )
        with aside.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").digest()
            size = os.fstat(file.fileno()).st_size
            os.fsync(file.fileno())
        aside.rename(path)
    finally:
        source.unlink(missing_ok=True)
        aside.unlink(missing_ok=True)
    for directory in (path.parent, path.parent.parent, path.parent.parent.parent):
        sync_directory(directory)
    return size, digest


def sha256_of(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def first_difference(path: Path, lines: Iterable[bytes], scratch: Path) -> tuple[list[Any], list[Any]] | None:
    """Compare a file with the rows it should hold, value by value; None: equal.

    Else the first row that differs: as the file has it, as it should be; an empty list where one side lacks it. Raises
    LakeBroken.
    """
    source = scratch / f"{path.stem}.json"
    _write_lines(source, lines)
    try:
        with connect() as db:
            db.execute("CREATE TEMP TABLE ours AS SELECT * FROM read_parquet(?)", [str(path)])
            db.execute(f"CREATE TEMP TABLE theirs AS SELECT * FROM {_FROM_JSON}", [str(source)])  # noqa: S608
            db.execute(
                "CREATE TEMP VIEW parted AS (SELECT 1 side, * FROM (FROM ours EXCEPT ALL FROM theirs)) "
                "UNION ALL (SELECT 2 side, * FROM (FROM theirs EXCEPT ALL FROM ours))"
            )
            rows = db.execute("SELECT * FROM parted WHERE seq = (SELECT min(seq) FROM parted) ORDER BY side").fetchall()
    except duckdb.Error as error:
        raise LakeBroken(f"{path}: {str(error).splitlines()[0]}") from None
    finally:
        source.unlink(missing_ok=True)
    if not rows:
        return None
    sides = {side: list(values) for side, *values in rows}
    return sides.get(1, []), sides.get(2, [])


def aggregate(files: Sequence[Path]) -> list[dict[str, Any]]:
    """`usage.sql` over these files: a row per group of the rollup, numbers as Python integers."""
    if not files:
        return []
    with connect() as db:
        _view(db, files)
        result = db.execute(usage_sql())
        names = [column[0] for column in result.description or []]
        return [
            {name: value if isinstance(value, str) else int(value) for name, value in zip(names, row, strict=True)}
            for row in result.fetchall()
        ]


def find(files: Sequence[Path], request: str) -> list[dict[str, Any]]:
    """Every attempt of a request in these files, by number of attempt. Money as Decimal without places."""
    if not files:
        return []
    with connect() as db:
        _view(db, files)
        result = db.execute("SELECT * FROM endings WHERE request = ? ORDER BY attempt, slot, epoch, seq", [request])
        names = [column[0] for column in result.description or []]
        return [dict(zip(names, row, strict=True)) for row in result.fetchall()]


def usage_sql() -> str:
    """The text of the one aggregation statement."""
    return Path(__file__).with_name("usage.sql").read_text()


def is_aside(name: str) -> bool:
    """A file that was being written when its process died."""
    return name.endswith(_ASIDE)


def _view(db: duckdb.DuckDBPyConnection, files: Sequence[Path]) -> None:
    names = ", ".join("'" + str(path).replace("'", "''") + "'" for path in files)
    db.execute(f"CREATE TEMP VIEW endings AS SELECT * FROM read_parquet([{names}])")  # noqa: S608 - quoted paths of ours


def _write_lines(path: Path, lines: Iterable[bytes]) -> None:
    with path.open("wb") as file:
        for line in lines:
            file.write(line)
            file.write(b"\n")
