"""The lake: one Parquet file per final segment of the journal, a row per attempt, written and read by DuckDB.

A file counts only when it is in the manifest. It is written aside, synced, renamed, its directory synced; whoever asked
for it then lists it. Imports DuckDB, so only short-lived processes and readers import this.
"""

import hashlib
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import duckdb

from entrepot.kernel.buckets import BUCKETS
from entrepot.kernel.errors import EntrepotError
from entrepot.storage.arrow import Batch, Columns, Kind
from entrepot.storage.attempts import Question, quoted
from entrepot.storage.folder import sync_directory


class LakeBroken(EntrepotError):
    """A file of the lake cannot be read."""

    code = "lake_broken"


_MONEY = "DECIMAL(38,0)"
#: Name → type of what changes from attempt to attempt. Amounts are ledger units; instants are microseconds.
_ATTEMPT = {
    "seq": "BIGINT", "request": "VARCHAR", "attempt": "INTEGER",
    "admitted_at": "BIGINT", "sent_at": "BIGINT", "first_at": "BIGINT", "ended_at": "BIGINT",
    "operation": "VARCHAR", "stream": "BOOLEAN", "state": "VARCHAR", "source": "VARCHAR", "status": "INTEGER",
    "reason": "VARCHAR", "charge": _MONEY, "cost": _MONEY, "hold": _MONEY, "overrun": _MONEY, "unrated": "VARCHAR",
    "input_bound": "BIGINT", "output_cap": "BIGINT", "service_tier": "VARCHAR", "vendor_model": "VARCHAR",
    "vendor_request": "VARCHAR", "usage": "VARCHAR", "events": "BIGINT", "size": "BIGINT",
}  # fmt: skip
#: Name → type of what its intent pinned: few of these in a segment.
_TERMS = {
    "key": "VARCHAR", "customer": "VARCHAR", "project": "VARCHAR", "deployment": "VARCHAR", "model": "VARCHAR",
    "upstream": "VARCHAR", "vendor": "VARCHAR", "zone": "VARCHAR", "balance": "VARCHAR", "currency": "VARCHAR",
    "price_version": "VARCHAR", "den": _MONEY, "rates": "VARCHAR", "cost_version": "VARCHAR",
    "cost_currency": "VARCHAR", "cost_den": _MONEY, "cost_rates": "VARCHAR", "bracket": "VARCHAR",
    "request_rate": "BIGINT", "cost_request_rate": "BIGINT",
    "budgets": "VARCHAR", "watched": "VARCHAR",  # ids with commas between
}  # fmt: skip
_BILLED = tuple(f"billed_{name}" for name in BUCKETS)
#: The columns of a file, in order: what the customer pays for stands under the buckets' names.
COLUMNS = ("slot", "epoch", *_ATTEMPT, *BUCKETS, *_BILLED, *_TERMS)
_ASIDE = ".aside"


_ROWS = (
    "SELECT CAST(? AS INTEGER) AS slot, CAST(? AS INTEGER) AS epoch, "  # noqa: S608 - names from the tables above
    + ", ".join(f"CAST(a.{name} AS {kind}) AS {name}" for name, kind in _ATTEMPT.items()) + ", "
    + ", ".join(f"a.{name}" for name in (*BUCKETS, *_BILLED)) + ", "
    + ", ".join(f"CAST(t.{name} AS {kind}) AS {name}" for name, kind in _TERMS.items())
    + " FROM attempts AS a JOIN terms AS t ON t.number = a.terms"
)  # fmt: skip


def _kinds(columns: Mapping[str, str]) -> dict[str, Kind]:
    return {name: "text" if kind == "VARCHAR" else "integer" for name, kind in columns.items()}


#: What `Rows` gives: name → integer or text, in order. Large numbers of the terms go as text.
ATTEMPTS = {**_kinds(_ATTEMPT), **_kinds(dict.fromkeys((*BUCKETS, *_BILLED, "terms"), "BIGINT"))}
TERMS = {**_kinds({"number": "INTEGER", **_TERMS}), **_kinds(dict.fromkeys(("den", "cost_den"), "VARCHAR"))}
#: Rows and the sum of their 64-bit hashes: quick to compare, and order does not matter.
_PRINT = "count(*), sum(CAST(hash(r) AS HUGEINT))"


class Rows(Protocol):
    """What a file is made of: columns of the attempts (`ATTEMPTS`), and of the terms (`TERMS`) that they point to by
    number."""

    slot: int
    epoch: int

    def attempts(self) -> Iterator[Batch]: ...
    def terms(self) -> Batch:
        """Asked for when `attempts` is through."""
        ...


def connect(threads: int = 1, memory_mib: int = 0) -> duckdb.DuckDBPyConnection:
    """A DuckDB in memory that takes one thread: it runs beside the request path. 0: as much memory as it wants."""
    bound = {"memory_limit": f"{memory_mib}MiB"} if memory_mib else {}
    return duckdb.connect(config={"threads": threads, "preserve_insertion_order": False, **bound})


def write_file(path: Path, rows: Rows) -> tuple[int, bytes]:
    """One Parquet file, durable under its name on return: (bytes, SHA-256)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(path.name + _ASIDE)
    target = str(aside).replace("'", "''")
    try:
        with connect() as db, _sources(db, rows) as given:
            db.execute(f"COPY ({_ROWS}) TO '{target}' (FORMAT parquet, COMPRESSION zstd)", given)
        with aside.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").digest()
            size = os.fstat(file.fileno()).st_size
            os.fsync(file.fileno())
        aside.rename(path)
    finally:
        aside.unlink(missing_ok=True)
    for directory in (path.parent, path.parent.parent, path.parent.parent.parent):
        sync_directory(directory)
    return size, digest


def sha256_of(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def first_difference(db: duckdb.DuckDBPyConnection, path: Path, rows: Rows) -> tuple[list[Any], list[Any]] | None:
    """Compare a file with the rows it should hold, value by value; None: equal.

    Else the first row that differs: as the file has it, as it should be; an empty list where one side lacks it. Raises
    LakeBroken.
    """
    try:
        with _sources(db, rows) as given:
            have = db.execute(f"SELECT {_PRINT} FROM read_parquet(?) AS r", [str(path)]).fetchall()  # noqa: S608
            if have == db.execute(f"SELECT {_PRINT} FROM ({_ROWS}) AS r", given).fetchall():  # noqa: S608
                return None
            db.execute("CREATE OR REPLACE TEMP TABLE ours AS SELECT * FROM read_parquet(?)", [str(path)])
            db.execute(f"CREATE OR REPLACE TEMP TABLE theirs AS {_ROWS}", given)
            db.execute(
                "CREATE OR REPLACE TEMP VIEW parted AS (SELECT 1 side, * FROM (FROM ours EXCEPT ALL FROM theirs)) "
                "UNION ALL (SELECT 2 side, * FROM (FROM theirs EXCEPT ALL FROM ours))"
            )
            found = db.execute("FROM parted WHERE seq = (SELECT min(seq) FROM parted) ORDER BY side").fetchall()
    except duckdb.Error as error:
        raise LakeBroken(f"{path}: {str(error).splitlines()[0]}") from None
    if not found:
        return None
    sides = {side: list(values) for side, *values in found}
    return sides.get(1, []), sides.get(2, [])


def answer(db: duckdb.DuckDBPyConnection, files: Sequence[Path], question: Question) -> list[tuple[Any, ...]]:
    """The rows of a question to these files. Raises LakeBroken."""
    if not files:
        return []
    try:
        db.execute(f"CREATE OR REPLACE TEMP VIEW endings AS {question.view(_table(files))}")
        return db.execute(question.text()).fetchall()
    except duckdb.Error as error:
        raise LakeBroken(f"usage cannot be summed up: {str(error).splitlines()[0]}; entrepot verify") from None


def budgets(files: Sequence[Path]) -> dict[str, int]:
    """Charges by the period of a budget, hard or soft."""
    rows = _asked(
        files, "SELECT period, sum(charge) FROM (SELECT charge, "
        "unnest(string_split(concat(budgets, ',', watched), ',')) AS period FROM endings "
        "WHERE charge > 0 AND (budgets != '' OR watched != '')) WHERE period != '' GROUP BY period"
    )  # fmt: skip
    return {period: int(charge) for period, charge in rows}


def charges_by_hour(files: Sequence[Path]) -> dict[tuple[str, int], int]:
    """Charges by (balance, start of the hour of admission)."""
    return {
        (balance, int(hour)): int(charge)
        for balance, hour, charge in _asked(
            files, "SELECT balance, admitted_at - admitted_at % 3600000000 AS hour, sum(charge) FROM endings "
            "WHERE charge > 0 GROUP BY ALL"
        )
    }  # fmt: skip


def charges_in(files: Sequence[Path], hours: Collection[tuple[str, int]]) -> list[tuple[str, int, int]]:
    """(balance, admitted_at, charge) of every call in these (balance, hour)."""
    found = []
    for balance, hour in sorted(hours):
        found += _asked(
            files, "SELECT balance, admitted_at, charge FROM endings "
            "WHERE charge > 0 AND balance = ? AND admitted_at >= ? AND admitted_at < ? + 3600000000",
            [balance, hour, hour],
        )  # fmt: skip
    return [(balance, int(at), int(charge)) for balance, at, charge in found]


def _asked(files: Sequence[Path], query: str, given: Sequence[Any] = ()) -> list[Any]:
    if not files:
        return []
    with connect() as db:
        _view(db, files)
        return db.execute(query, list(given)).fetchall()


def find(files: Sequence[Path], request: str) -> list[dict[str, Any]]:
    """Every attempt of a request in these files, by number of attempt. Money as Decimal without places."""
    if not files:
        return []
    with connect() as db:
        _view(db, files)
        result = db.execute("SELECT * FROM endings WHERE request = ? ORDER BY attempt, slot, epoch, seq", [request])
        names = [column[0] for column in result.description or []]
        return [dict(zip(names, row, strict=True)) for row in result.fetchall()]


def is_aside(name: str) -> bool:
    """A file that was being written when its process died."""
    return name.endswith(_ASIDE)


def _view(db: duckdb.DuckDBPyConnection, files: Sequence[Path]) -> None:
    db.execute(f"CREATE TEMP VIEW endings AS SELECT * FROM {_table(files)}")  # noqa: S608 - quoted paths of ours


def _table(files: Sequence[Path]) -> str:
    return f"read_parquet([{quoted(map(str, files))}])"


@contextmanager
def _sources(db: duckdb.DuckDBPyConnection, rows: Rows) -> Iterator[list[Any]]:
    """The parameters of `_ROWS`, with its two tables. They lie in memory: a segment is 32 MiB."""
    attempts, terms = Columns(ATTEMPTS), Columns(TERMS)
    for batch in rows.attempts():
        attempts.add(batch)
    terms.add(rows.terms())
    db.register("attempts", attempts)
    db.register("terms", terms)
    try:
        yield [rows.slot, rows.epoch]
    finally:
        db.unregister("attempts")
        db.unregister("terms")
