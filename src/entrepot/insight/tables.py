"""Entered figures in the database: each file as it was entered, under its name; the latest of a name counts, none is
ever changed. Takes a connection and opens none."""

import hashlib

import msgspec
from sqlalchemy import BigInteger, Column, Connection, Integer, Table, Text, func, select

from entrepot.insight.entered import read_entered
from entrepot.insight.entries import Entered, merged
from entrepot.kernel.instants import Instant
from entrepot.storage.database import append_only, metadata

entered_files = Table(
    "entered_file", metadata,
    Column("name", Text, primary_key=True),
    Column("revision", Integer, primary_key=True),  # 1, 2, …
    Column("text", Text, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("entered_at", BigInteger, nullable=False),
)  # fmt: skip
append_only(entered_files)


class EnteredFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file of figures as it was entered."""

    name: str
    revision: int
    text: str
    sha256: str
    entered_at: Instant


def put_entered(conn: Connection, name: str, text: str, at: Instant) -> EnteredFile | None:
    """Keep it as what `name` says from now on; None: it says that already."""
    sha256 = hashlib.sha256(text.encode()).hexdigest()
    last = next((each for each in entered_now(conn) if each.name == name), None)
    if last is not None and last.sha256 == sha256:
        return None
    kept = EnteredFile(name=name, revision=last.revision + 1 if last else 1, text=text, sha256=sha256, entered_at=at)
    conn.execute(entered_files.insert().values(**msgspec.structs.asdict(kept)))
    return kept


def entered_now(conn: Connection) -> list[EnteredFile]:
    """The latest revision of every file, by name."""
    column = entered_files.c
    last = select(column.name, func.max(column.revision).label("revision")).group_by(column.name).subquery()
    query = (
        select(entered_files)
        .join(last, (column.name == last.c.name) & (column.revision == last.c.revision))
        .order_by(column.name)
    )
    return [EnteredFile(**row._mapping) for row in conn.execute(query)]


def read_all_entered(conn: Connection) -> Entered:
    """Everything that was entered, file after file in the order of their names."""
    return merged(read_entered(each.text, each.name) for each in entered_now(conn))
