"""A made-up month for the bench of billing: a house with many customers, and its usage as files of the lake, as journal
and in the rollup. DuckDB makes the rows; what they come to is known before anything is rated."""

import hashlib
import sqlite3
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import duckdb
from sqlalchemy import Engine

from entrepot.catalog.contents import Contract, Customer
from entrepot.catalog.prices import BookVersion, PriceRow, Steps, When
from entrepot.customers.tables import put_customer
from entrepot.kernel.buckets import BUCKETS
from entrepot.kernel.instants import Instant, parse
from entrepot.limits.budget import Period
from entrepot.metering import tables
from entrepot.metering.rollup import RollupKey
from entrepot.metering.tables import LakeFile
from entrepot.pricing.tables import publish_version
from entrepot.rating.period import month
from entrepot.storage.attempts import text_of
from entrepot.storage.database import write
from entrepot.storage.folder import Folder
from entrepot.storage.lake import COLUMNS

MONTH = "2026-10"
PERIOD = month(MONTH)
CHANGE: Instant = parse("2026-10-15")  # from here on list/2
MODELS = 12
_TEXTS = frozenset(RollupKey._fields) - {"hour"}
#: Attempts in a segment of 32 MiB, about.
_ROWS_A_FILE = 34_816


def customers(count: int) -> list[Customer]:
    """Discounts for some, contracts whose year begins within the month for a few."""
    found = []
    for place in range(count):
        discount = Decimal(place % 3 * 4)
        starts_at = parse("2025-10-20") if place % 100 == 99 else parse("2025-01-01")
        contract = Contract(book="list", id=f"C-{place}", discount_percent=discount, starts_at=starts_at)
        found.append(Customer(id=f"customer-{place:04d}", contracts=(contract,)))
    return found


def versions() -> list[BookVersion]:
    """A list with a batch tier and one model in steps; from the middle of the month with other prices."""
    found = []
    for number, valid_from in ((1, parse("2025-01-01")), (2, CHANGE)):
        rows = [_row(f"model-{each}", each + number) for each in range(1, MODELS)]
        steps = Steps(rows=((10**8, Decimal(2 + number)), (None, Decimal(1 + number))))
        prices = {"cached": Decimal(1), "output": Decimal(8)}
        rows.append(PriceRow(model="model-0", steps={"input": steps}, prices=prices))
        rows.append(PriceRow(model="model-*", percent=Decimal(50), when=When(tier="batch")))
        found.append(BookVersion(book="list", currency="USD", valid_from=valid_from, rows=tuple(rows), number=number))
    return found


def _row(model: str, unit: int) -> PriceRow:
    prices = {"input": Decimal(unit), "cached": Decimal(unit) / 2, "output": Decimal(4 * unit)}
    return PriceRow(model=model, prices=prices)


def found_house(engine: Engine, count: int) -> None:
    """Books and customers in an empty database."""
    with write(engine) as conn:
        for version in versions():
            publish_version(conn, version, 1)
        for customer in customers(count):
            put_customer(conn, customer, "USD", 1)


def write_lake(folder: Folder, records: int, count: int, threads: int, period: Period = PERIOD) -> list[Path]:
    """Files like those of real segments, in the order of time: a few customers have most of the usage, half of
    them use two models, some two projects, and some send a tenth of their calls as batches."""
    used = {name: name if name in ("input", "cached", "output") else "0" for name in BUCKETS}
    columns = [f"CAST({what} AS BIGINT) AS {side}{name}" for side in ("", "billed_") for name, what in used.items()]
    rows, where = _ROWS.replace(":buckets", ", ".join(columns)), folder.lake / "w1"
    for name, value in (("records", records), ("count", count), ("span", period.ends_at - period.starts_at),
                        ("starts_at", period.starts_at), ("change", CHANGE), ("models", MODELS)):  # fmt: skip
        rows = rows.replace(f":{name}", str(value))
    with duckdb.connect(config={"threads": threads, "memory_limit": "3GB", "preserve_insertion_order": False}) as db:
        db.execute(
            f"COPY (SELECT {', '.join(COLUMNS)} FROM ({rows})) "  # noqa: S608 - names and numbers of ours
            f"TO '{where}' (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {_ROWS_A_FILE}, ROW_GROUPS_PER_FILE 1)"
        )
    return sorted(where.glob("*.parquet"))


#: Three independent random numbers a row, of the hash of its number; everything else follows from them.
_ROWS = """
SELECT CAST(1 AS INTEGER) AS slot, CAST(1 AS INTEGER) AS epoch, i AS seq,
    'req_' || printf('%026d', h1) AS request, CAST(1 AS INTEGER) AS attempt,
    admitted_at, admitted_at + 2000 AS sent_at, admitted_at + 300000 + h2 % 900000 AS first_at,
    admitted_at + 1200000 + h3 % 9000000 AS ended_at, 'chat' AS operation, h1 % 3 > 0 AS stream,
    CASE WHEN h3 % 100 = 0 THEN 'aborted' ELSE 'final' END AS state, 'vendor' AS source, CAST(200 AS INTEGER) AS status,
    '' AS reason, CAST(cost AS DECIMAL(38, 0)) AS charge, CAST(cost * 4 // 5 AS DECIMAL(38, 0)) AS cost,
    CAST(cost * 3 AS DECIMAL(38, 0)) AS hold, CAST(0 AS DECIMAL(38, 0)) AS overrun, '' AS unrated,
    input + cached + 40 AS input_bound, CAST(4096 AS BIGINT) AS output_cap,
    CASE WHEN who % 5 = 0 AND h3 % 10 = 1 THEN 'batch' ELSE '' END AS service_tier, model || '-2026-02' AS vendor_model,
    'chatcmpl-' || printf('%020d', h2) AS vendor_request,
    '{"prompt_tokens":' || (input + cached) || ',"completion_tokens":' || output || '}' AS usage,
    CAST(output AS BIGINT) AS events, output * 180 AS size,
    :buckets,
    'key-' || who || '-' || CASE WHEN who % 4 = 0 THEN h1 % 2 ELSE 0 END AS key,
    printf('customer-%04d', who) AS customer, 'project-' || CASE WHEN who % 4 = 0 THEN h1 % 2 ELSE 0 END AS project,
    model AS deployment, model, 'aurora-eu' AS upstream, 'aurora' AS vendor,
    'EU' AS zone, printf('customer-%04d', who) AS balance, 'USD' AS currency,
    CASE WHEN admitted_at < :change THEN 'list/1' ELSE 'list/2' END AS price_version,
    CAST(1 AS DECIMAL(38, 0)) AS den, '[1, 1, -1, 4, 4, -1, -1, -1]' AS rates, 'aurora-cost/1' AS cost_version,
    'USD' AS cost_currency, CAST(1 AS DECIMAL(38, 0)) AS cost_den, '[1, 1, -1, 4, 4, -1, -1, -1]' AS cost_rates,
    '' AS bracket, CAST(0 AS DECIMAL(38, 0)) AS request_rate, CAST(0 AS DECIMAL(38, 0)) AS cost_request_rate,
    '' AS budgets, '' AS watched
FROM (
    SELECT *, (input * 2000 + cached * 1000 + output * 8000) // 1 AS cost FROM (
        SELECT i, h1, h2, h3, who,
            'model-' || (who * 7 + CASE WHEN who % 2 = 0 THEN h2 % 2 ELSE 0 END) % :models AS model,
            CAST(:starts_at + CAST(i AS HUGEINT) * :span // :records AS BIGINT) AS admitted_at,
            CAST(20 + h2 % 3000 AS BIGINT) AS input, CAST(h3 % 5 // 3 * 1024 AS BIGINT) AS cached,
            CAST(1 + h1 % 700 AS BIGINT) AS output
        FROM (
            SELECT i, CAST(hash(i) // 2 AS BIGINT) AS h1, CAST(hash(i + 1000000000000) // 2 AS BIGINT) AS h2,
                CAST(hash(i + 2000000000000) // 2 AS BIGINT) AS h3,
                CAST(floor(:count * pow(hash(i + 3000000000000) / 18446744073709551616.0, 3)) AS INTEGER) AS who
            FROM range(:records) AS r(i)
        )
    )
)
"""


def list_files(engine: Engine, folder: Folder, paths: list[Path]) -> int:
    """The manifest of these files, with their real hashes; bytes of all of them."""
    with duckdb.connect() as db:
        found = db.execute(
            "SELECT file_name, min(CAST(stats_min_value AS BIGINT)), max(CAST(stats_max_value AS BIGINT)), "
            "sum(num_values) FROM parquet_metadata(?) WHERE path_in_schema = 'admitted_at' GROUP BY file_name",
            [str(folder.lake / "w1" / "*.parquet")],
        ).fetchall()
    facts = {name: (first, last, rows) for name, first, last, rows in found}
    with write(engine) as conn:
        for number, path in enumerate(paths, 1):
            first, last, rows = facts[str(path)]
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").digest()
            tables.list_file(conn, LakeFile(
                slot=1, epoch=1, segment=number, path=path.relative_to(folder.lake).as_posix(), rows=int(rows),
                size=path.stat().st_size, sha256=digest, first_at=first, last_at=last,
            ))  # fmt: skip
    return sum(path.stat().st_size for path in paths)


def fill_rollup(folder: Folder, paths: list[Path], threads: int) -> int:
    """The rollup as ingestion would have it: `usage.sql` over everything. How many groups. Straight into the file:
    nobody else has it open."""
    names, groups = ", ".join(f"'{path}'" for path in paths), 0
    columns = [column.name for column in tables.rollup.columns]
    statement = (
        f"INSERT INTO {tables.rollup.name} ({', '.join(columns)}) "  # noqa: S608 - names of ours
        f"VALUES ({', '.join('?' * len(columns))})"
    )
    rows = ", ".join(f"CAST({each} AS BIGINT)" if each not in _TEXTS else each for each in columns)
    with duckdb.connect(config={"threads": threads, "memory_limit": "6GB"}) as db, sqlite3.connect(
        folder.database
    ) as file:
        file.execute("PRAGMA synchronous = OFF")
        db.execute(f"CREATE TEMP VIEW endings AS SELECT * FROM read_parquet([{names}])")  # noqa: S608 - paths of ours
        result = db.execute(f"SELECT {rows} FROM ({text_of('usage')}) ORDER BY hour, customer")  # noqa: S608
        while found := result.fetchmany(20_000):
            file.executemany(statement, found)
            groups += len(found)
    return groups


def expected(paths: list[Path]) -> Iterator[tuple[str, int, int]]:
    """(customer, tokens, charges) by DuckDB alone, to compare what was rated with."""
    names = ", ".join(f"'{path}'" for path in paths)
    with duckdb.connect(config={"threads": 2, "memory_limit": "3GB"}) as db:
        for customer, tokens, charges in db.execute(
            f"SELECT customer, sum(input + cached + output), sum(charge) FROM read_parquet([{names}]) "  # noqa: S608
            "GROUP BY customer ORDER BY customer"
        ).fetchall():
            yield customer, int(tokens), int(charges)
