"""The database: engine, transactions, the one MetaData. SQLite (WAL, synchronous=FULL) or PostgreSQL."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from functools import lru_cache
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Union

from sqlalchemy import (
    Connection,
    Dialect,
    Engine,
    Executable,
    MetaData,
    Numeric,
    Table,
    Text,
    create_engine,
    event,
    inspect,
    text,
)
from sqlalchemy.sql.compiler import Compiled, SQLCompiler
from sqlalchemy.types import TypeDecorator, TypeEngine

from entrepot.kernel.errors import EntrepotError

if TYPE_CHECKING:
    from sqlalchemy.dialects import postgresql, sqlite

metadata = MetaData()

#: Revision of the one baseline migration (`serve/migrations`), stamped into every new database.
REVISION = "0001"
_AMOUNT_DIGITS = 38
_MANY_ROWS = 48


class SchemaUnknown(EntrepotError):
    """The database was made by another version of Entrepot."""

    code = "schema_unknown"


class AmountTooLarge(EntrepotError):
    """Money beyond 38 digits: not an amount but a mistake."""

    code = "amount_too_large"


class Amount(TypeDecorator[int]):
    """An integer of up to 38 digits. SQLite's integers end at 2^63 and then turn into floats without a word, so there
    it is text and all arithmetic is Python's; PostgreSQL has NUMERIC(38,0). Never compare or add one in SQL."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name == "postgresql":
            return dialect.type_descriptor(Numeric(_AMOUNT_DIGITS, 0))
        return dialect.type_descriptor(Text())

    def process_bind_param(self, value: int | None, dialect: Dialect) -> Any:
        if value is None:
            return None
        if not isinstance(value, int) or abs(value) >= 10**_AMOUNT_DIGITS:
            raise AmountTooLarge(f"{value!r} is not an integer of at most {_AMOUNT_DIGITS} digits")
        return Decimal(value) if dialect.name == "postgresql" else str(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> int | None:
        return None if value is None else int(value)


def open_database(where: Path | str) -> Engine:
    """An engine for a SQLite path or a `postgresql+psycopg://` URL. Opens no connection yet."""
    if isinstance(where, str) and "://" in where:
        return create_engine(where)
    engine = create_engine(f"sqlite+pysqlite:///{where}", connect_args={"timeout": 5.0, "check_same_thread": False})

    @event.listens_for(engine, "connect")
    def _pragmas(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # transactions are ours: BEGIN below, not the driver's
        cursor = connection.cursor()
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=5000"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        immediate = connection.get_execution_options().get("entrepot_write", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")

    return engine


@contextmanager
def write(engine: Engine) -> Iterator[Connection]:
    """One write transaction; commits at the end, rolls back on any exception."""
    with engine.connect().execution_options(entrepot_write=True) as connection, connection.begin():
        yield connection


@contextmanager
def read(engine: Engine) -> Iterator[Connection]:
    """One consistent read: every statement sees the same state (repeatable read on PostgreSQL)."""
    with engine.connect() as connection:
        if connection.dialect.name == "postgresql":
            connection.execution_options(isolation_level="REPEATABLE READ")
        with connection.begin():
            yield connection


def upsert(connection: Connection, table: Table) -> Union["sqlite.Insert", "postgresql.Insert"]:
    """`INSERT` of this connection's dialect, the one that has `on_conflict_do_update` and `…_do_nothing`. Only that
    dialect is loaded."""
    return _insert(connection.dialect, table)


def _insert(dialect: Dialect, table: Table) -> Union["sqlite.Insert", "postgresql.Insert"]:
    if dialect.name == "postgresql":
        from sqlalchemy.dialects import postgresql

        return postgresql.insert(table)
    from sqlalchemy.dialects import sqlite

    return sqlite.insert(table)


def execute_rows(connection: Connection, statement: Executable, rows: Sequence[dict[str, Any]]) -> None:
    """`executemany`. Above some rows the driver gets them directly: SQLAlchemy's own work is four times SQLite's then.

    Every row has the same names; values need no conversion but Amount's, which is made here.
    """
    if len(rows) < _MANY_ROWS:
        connection.execute(statement, rows)
        return
    names = tuple(rows[0])
    run = _Many.of(statement.compile(dialect=connection.dialect, column_keys=names), names)  # type: ignore[attr-defined]
    run.execute(connection, list(map(itemgetter(*names), rows)))


def put_rows(
    connection: Connection, table: Table, names: tuple[str, ...], rows: Sequence[Sequence[Any]], *, adds: bool = False
) -> None:
    """Insert rows of these columns, or where one with the same key is there, set what is no key, or with `adds` add it.

    Many rows at a time, many times a second: the statement is written once.
    """
    if rows:
        _put(connection.dialect, table, names, adds).execute(connection, rows)


def add_rows(connection: Connection, table: Table, names: tuple[str, ...], rows: Sequence[Sequence[Any]]) -> None:
    """Insert rows of these columns; as `put_rows`, but none is there already."""
    if rows:
        _add(connection.dialect, table, names).execute(connection, rows)


class _Many(NamedTuple):
    """A statement as the driver takes it. `order` of its places among the names of a row; None: the same."""

    text: str
    names: tuple[str, ...]
    order: Callable[[Sequence[Any]], tuple[Any, ...]] | None
    amounts: tuple[int, ...]

    @classmethod
    def of(cls, compiled: Compiled, names: tuple[str, ...]) -> "_Many":
        assert isinstance(compiled, SQLCompiler)
        amounts = {name for name, bind in compiled.binds.items() if isinstance(bind.type, Amount)}
        places = tuple(compiled.positiontup or names)
        order = None if places == names else itemgetter(*(names.index(each) for each in places))
        return cls(str(compiled), names, order, tuple(at for at, each in enumerate(names) if each in amounts))

    def execute(self, connection: Connection, rows: Sequence[Sequence[Any]]) -> None:
        if connection.dialect.name == "postgresql":  # psycopg writes integers of any size as they are
            connection.exec_driver_sql(self.text, [dict(zip(self.names, row, strict=True)) for row in rows])
            return
        if self.amounts:
            rows = _converted(rows, self.amounts)
        connection.exec_driver_sql(self.text, list(map(self.order, rows)) if self.order else list(map(tuple, rows)))


@lru_cache(maxsize=256)
def _put(dialect: Dialect, table: Table, names: tuple[str, ...], adds: bool) -> _Many:
    insert = _insert(dialect, table)
    keys = [each.name for each in table.primary_key.columns]
    new: dict[str, Any] = {name: insert.excluded[name] for name in names if name not in keys}
    if adds:
        new = {name: table.c[name] + each for name, each in new.items()}
    statement = insert.on_conflict_do_update(index_elements=keys, set_=new)
    return _Many.of(statement.compile(dialect=dialect, column_keys=names), names)


@lru_cache(maxsize=256)
def _add(dialect: Dialect, table: Table, names: tuple[str, ...]) -> _Many:
    return _Many.of(table.insert().compile(dialect=dialect, column_keys=names), names)


def _converted(rows: Sequence[Sequence[Any]], places: Sequence[int]) -> list[tuple[Any, ...]]:
    """Amounts as text, column by column."""
    columns: list[Sequence[Any]] = list(zip(*rows, strict=True))
    for place in places:
        least, most = min(columns[place]), max(columns[place])
        for value in (least, most):
            if abs(value) >= 10**_AMOUNT_DIGITS:
                raise AmountTooLarge(f"{value!r} is not an integer of at most {_AMOUNT_DIGITS} digits")
        columns[place] = list(map(str, columns[place]))
    return list(zip(*columns, strict=True))


def prepare(engine: Engine) -> bool:
    """Make every table of `metadata` in an empty database and stamp it; True if it was empty.

    An existing one must bear our revision (`serve.schema.upgrade` brings older ones there); raises SchemaUnknown.
    """
    with write(engine) as connection:
        if inspect(connection).has_table("alembic_version"):
            found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
            if found != REVISION:
                raise SchemaUnknown(f"the database has schema {found}, this version wants {REVISION}")
            return False
        metadata.create_all(connection)
        connection.execute(text("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)"))
        connection.execute(text("INSERT INTO alembic_version VALUES (:revision)"), {"revision": REVISION})
    return True


def append_only(table: Table) -> None:
    """Database triggers that refuse UPDATE and DELETE of this table's rows, on SQLite and on PostgreSQL."""
    name = table.name
    statements = {
        "sqlite": [
            f"CREATE TRIGGER {name}_no_{verb} BEFORE {verb} ON {name} "
            f"BEGIN SELECT RAISE(ABORT, '{name} is append-only'); END"
            for verb in ("update", "delete")
        ],
        "postgresql": [
            f"CREATE OR REPLACE FUNCTION {name}_append_only() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$ BEGIN RAISE EXCEPTION '{name} is append-only'; END $$",
            f"CREATE TRIGGER {name}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {name} "
            f"FOR EACH STATEMENT EXECUTE FUNCTION {name}_append_only()",
        ],
    }

    @event.listens_for(table, "after_create")
    def _guard(_table: Table, connection: Connection, **_: Any) -> None:
        for statement in statements[connection.dialect.name]:
            connection.exec_driver_sql(statement)
