"""Houses for the bench of measures: a year of invoices, or a ledger that has the sums of a month of records."""

import hashlib
import os
import sqlite3
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path

import duckdb
import msgspec
from sqlalchemy import Engine

from bench.billing_month import found_house, list_files, write_lake
from entrepot.billing.tables import invoices, lines
from entrepot.kernel.instants import parse, show
from entrepot.ledger.tables import open_balance, post_charges
from entrepot.limits.budget import Period
from entrepot.metering import tables
from entrepot.metering.tables import LakeFile
from entrepot.rating.line import RatedLine
from entrepot.serve import schema  # every table
from entrepot.storage.database import execute_rows, open_database, prepare, write
from entrepot.storage.folder import Folder

YEAR = Period(name="2026-01-01", starts_at=parse("2026-01-01"), ends_at=parse("2027-01-01"))
_METERS = ("input", "cached", "output")


def found_year(folder: Folder, records: int, count: int) -> None:
    """A house whose customers used something in every month, with an invoice for each of their months."""
    engine = _house(folder, count)
    threads = len(os.sched_getaffinity(0))
    paths = write_lake(folder, records, count, threads, YEAR)
    list_files(engine, folder, paths)
    _post(engine, paths)
    _bill(engine, paths)
    engine.dispose()


def found_month(folder: Folder, made: Path, most: int | None) -> None:
    """A house over the lake of another one, which is not touched; its ledger has the sums of these records."""
    engine = _house(folder, 0)
    with sqlite3.connect(f"file:{made / 'entrepot.sqlite'}?mode=ro", uri=True) as file:
        rows = file.execute(
            "SELECT slot, epoch, segment, path, rows, size, sha256, first_at, last_at FROM lake_file "
            "ORDER BY slot, epoch, segment"
        ).fetchall()[:most]
        count = file.execute("SELECT count(*) FROM customer").fetchone()[0]
    found_house(engine, count)
    (folder.root / "lake").rmdir()
    (folder.root / "lake").symlink_to(made / "lake")
    with write(engine) as conn:
        for row in rows:
            tables.list_file(conn, LakeFile(**dict(zip(LakeFile.__struct_fields__, row, strict=True))))
    _post(engine, [folder.lake / row[3] for row in rows])
    print(f"{sum(row[4] for row in rows):,} records in {len(rows):,} files", flush=True)
    engine.dispose()


def _house(folder: Folder, count: int) -> Engine:
    folder.create()
    engine = open_database(folder.database)
    assert schema.metadata.tables
    prepare(engine)
    found_house(engine, count)
    return engine


def _asked(paths: Iterable[Path], query: str) -> list[tuple[object, ...]]:
    names = ", ".join(f"'{path}'" for path in paths)
    with duckdb.connect(config={"threads": 2, "memory_limit": "3GB"}) as db:
        return db.execute(query.format(f"read_parquet([{names}])")).fetchall()


def _post(engine: Engine, paths: list[Path]) -> None:
    """All charges and costs of these records, as one batch of ingestion."""
    charges = {
        (str(customer), str(currency), str(model)): int(amount)  # type: ignore[call-overload]
        for customer, currency, model, amount in _asked(
            paths, "SELECT customer, currency, model, sum(charge) FROM {} GROUP BY ALL"
        )
    }
    costs = {
        (str(vendor), str(currency), str(model)): int(amount)  # type: ignore[call-overload]
        for vendor, currency, model, amount in _asked(
            paths, "SELECT vendor, cost_currency, model, sum(cost) FROM {} WHERE cost > 0 GROUP BY ALL"
        )
    }
    with write(engine) as conn:
        for customer in {name for name, _, _ in charges}:
            open_balance(conn, customer, "USD")
        post_charges(conn, "usage/bench", parse("2026-11-01"), charges, costs, taken={})


def _bill(engine: Engine, paths: list[Path]) -> None:
    """An invoice of every customer's month, with three lines a model, straight into the tables: what a draft goes
    through is not what is measured here. The rows hold what real ones hold of what is read."""
    sums = ", ".join(f"sum({name})" for name in _METERS)
    used = _asked(
        paths, "SELECT customer, strftime(make_timestamp(admitted_at), '%Y-%m') AS month, model, "  # noqa: S608
        f"{sums} FROM {{}} GROUP BY ALL ORDER BY customer, month, model",
    )  # fmt: skip
    documents: dict[tuple[str, str], list[RatedLine]] = {}
    for customer, month, model, *counts in used:
        for meter, tokens in zip(_METERS, counts, strict=True):
            documents.setdefault((str(customer), str(month)), []).append(_line(str(model), str(month), meter, tokens))
    heads, rows = [], []
    for number, ((customer, month), mine) in enumerate(sorted(documents.items()), 1):
        name = f"R-2026-{number:05d}"
        total = sum(line.net_minor("USD") for line in mine)
        country = ("DE", "FR", "US", "AT", "BR")[number % 5]
        inputs = {"type": "usage", "buyer": {"party": {"name": customer, "address": {"country": country}}},
                  "rated": mine, "contract": f"C-{customer}"}  # fmt: skip
        document = msgspec.json.encode(mine)
        heads.append({
            "number": name, "id": f"{customer}:{month}", "seq": number, "kind": "380", "purpose": "usage",
            "customer": customer, "currency": "USD", "month": month, "credits": None, "leaves": "",
            "issued_on": "2027-01-02",
            "due_on": "2027-01-16", "issued_at": parse("2027-01-02"), "total": total, "payable": total,
            "document": document, "sha256": hashlib.sha256(document).hexdigest(),
            "inputs": msgspec.json.encode(inputs),
        })  # fmt: skip
        rows += [
            {
                "number": name, "line": str(at), "key": line.key, "month": month, "net": line.net_minor("USD"),
                "credits": "", "rated": msgspec.json.encode(line),
            }
            for at, line in enumerate(mine, 1)
        ]  # fmt: skip
    with write(engine) as conn:
        execute_rows(conn, invoices.insert(), heads)
        execute_rows(conn, lines.insert(), rows)
    print(f"{len(heads):,} invoices with {len(rows):,} lines", flush=True)


def _line(model: str, month: str, meter: str, tokens: object) -> RatedLine:
    starts_at = parse(f"{month}-01")
    return RatedLine(
        key=f"{model}/{meter}/list", kind="usage", model=model, meter=meter, version="list/1", unit="token",
        quantity=Decimal(int(tokens)), price=Decimal("2.5"), per=1_000_000,  # type: ignore[call-overload]
        starts_at=starts_at, ends_at=starts_at + 27 * 86_400_000_000, basis=f"list price since {show(starts_at)[:10]}",
    )  # fmt: skip
