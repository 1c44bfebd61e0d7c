"""Book versions in the database: appended, never changed. Takes a connection and opens none."""

from decimal import Decimal
from typing import NamedTuple

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Connection,
    ForeignKeyConstraint,
    Integer,
    Table,
    Text,
    func,
    insert,
    select,
)

from entrepot.catalog.contents import PERCENT, BookVersion, PriceRow, When, order_of
from entrepot.kernel.instants import Instant
from entrepot.storage.database import append_only, metadata

book_version_table = Table(
    "book_version",
    metadata,
    Column("book", Text, primary_key=True),
    Column("number", Integer, primary_key=True),  # 1, 2, … in order of publication
    Column("buys_from", Text, nullable=False),  # vendor of a cost book, "" for a list book
    Column("currency", Text, nullable=False),
    Column("valid_from", BigInteger, nullable=False),
    Column("published_at", BigInteger, nullable=False),
    CheckConstraint("number >= 1"),
)

price_table = Table(
    "price",
    metadata,
    Column("book", Text, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("position", Integer, primary_key=True),  # row in the version, as written
    Column("bucket", Text, primary_key=True),  # or "percent", of the price without the row's tier
    Column("model", Text, nullable=False),
    Column("price", Text, nullable=False),  # exact decimal digits
    Column("per", BigInteger, nullable=False),
    Column("tier", Text, nullable=False),
    Column("zone", Text, nullable=False),
    Column("request_over", BigInteger, nullable=False),
    ForeignKeyConstraint(["book", "number"], ["book_version.book", "book_version.number"]),
)

append_only(book_version_table)
append_only(price_table)


class _Read(NamedTuple):
    """One row while it is read."""

    model: str
    per: int
    when: When
    prices: dict[str, Decimal]


def _row(read: _Read) -> PriceRow:
    percent = read.prices.pop(PERCENT, None)
    prices = dict(sorted(read.prices.items(), key=lambda each: order_of(each[0])))
    return PriceRow(model=read.model, per=read.per, prices=prices, when=read.when, percent=percent)


def read_versions(connection: Connection) -> tuple[BookVersion, ...]:
    """Every published version, books by name, versions in order of publication."""
    rows: dict[tuple[str, int], dict[int, _Read]] = {}
    for row in connection.execute(select(price_table).order_by(price_table.c.position)):
        when = When(tier=row.tier, zone=row.zone, request_over=row.request_over)
        line = rows.setdefault((row.book, row.number), {}).setdefault(row.position, _Read(row.model, row.per, when, {}))
        line.prices[row.bucket] = Decimal(row.price)
    found = connection.execute(
        select(book_version_table).order_by(book_version_table.c.book, book_version_table.c.number)
    )
    return tuple(
        BookVersion(
            book=row.book, number=row.number, buys_from=row.buys_from, currency=row.currency,
            valid_from=row.valid_from, published_at=row.published_at,
            rows=tuple(map(_row, rows.get((row.book, row.number), {}).values())),
        )
        for row in found
    )  # fmt: skip


def publish_version(connection: Connection, version: BookVersion, at: Instant) -> BookVersion:
    """Append a version under the next number of its book."""
    column = book_version_table.c
    last = connection.scalar(select(func.max(column.number)).where(column.book == version.book)) or 0
    number = last + 1
    connection.execute(
        insert(book_version_table).values(
            book=version.book, number=number, buys_from=version.buys_from, currency=version.currency,
            valid_from=version.valid_from, published_at=at,
        )
    )  # fmt: skip
    rows = [
        {
            "book": version.book, "number": number, "position": place, "bucket": bucket, "model": row.model,
            "price": f"{price:f}", "per": row.per, "tier": row.when.tier, "zone": row.when.zone,
            "request_over": row.when.request_over,
        }
        for place, row in enumerate(version.rows)
        for bucket, price in ({PERCENT: row.percent} if row.percent is not None else row.prices).items()
    ]  # fmt: skip
    if rows:
        connection.execute(insert(price_table), rows)
    return BookVersion(
        book=version.book, number=number, buys_from=version.buys_from, currency=version.currency,
        valid_from=version.valid_from, published_at=at, rows=version.rows,
    )  # fmt: skip
