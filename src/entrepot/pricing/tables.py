"""Book versions in the database: appended, never changed. Takes a connection and opens none."""

from collections.abc import Collection

import msgspec
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
    or_,
    select,
)

from entrepot.catalog.prices import BookVersion, PriceRow
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
    Column("model", Text, nullable=False),  # or its pattern, or the product
    Column("says", Text, nullable=False),  # JSON; decimals are texts
    ForeignKeyConstraint(["book", "number"], ["book_version.book", "book_version.number"]),
)

append_only(book_version_table)
append_only(price_table)

_decode = msgspec.json.Decoder(PriceRow).decode


def row_to_text(row: PriceRow) -> str:
    """A row as it is stored: exact, and what it does not say is not there."""
    return msgspec.json.encode(row).decode()


def row_from_text(text: str) -> PriceRow:
    return _decode(text)


def read_versions(connection: Connection) -> tuple[BookVersion, ...]:
    """Every published version, books by name, versions in order of publication."""
    rows: dict[tuple[str, int], list[PriceRow]] = {}
    for row in connection.execute(select(price_table).order_by(price_table.c.position)):
        rows.setdefault((row.book, row.number), []).append(row_from_text(row.says))
    found = connection.execute(
        select(book_version_table).order_by(book_version_table.c.book, book_version_table.c.number)
    )
    return tuple(
        BookVersion(
            book=row.book, number=row.number, buys_from=row.buys_from, currency=row.currency,
            valid_from=row.valid_from, published_at=row.published_at,
            rows=tuple(rows.get((row.book, row.number), ())),
        )
        for row in found
    )  # fmt: skip


def published_since(connection: Connection, since: Instant, until: Instant, books: Collection[str]) -> bool:
    """Whether a version was published after `since` that begins before `until`, of these books or of a vendor's."""
    column = book_version_table.c
    query = select(column.number).where(
        column.published_at > since, column.valid_from < until, or_(column.book.in_(books), column.buys_from != "")
    )
    return connection.execute(query.limit(1)).first() is not None


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
            "book": version.book, "number": number, "position": place, "model": row.model or row.product,
            "says": row_to_text(row),
        }
        for place, row in enumerate(version.rows)
    ]  # fmt: skip
    if rows:
        connection.execute(insert(price_table), rows)
    return BookVersion(
        book=version.book, number=number, buys_from=version.buys_from, currency=version.currency,
        valid_from=version.valid_from, published_at=at, rows=version.rows,
    )  # fmt: skip
