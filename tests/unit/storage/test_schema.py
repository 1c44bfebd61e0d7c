"""One schema, however it was made, on SQLite and on PostgreSQL."""

from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, inspect, text

from entrepot.serve.schema import REVISION, metadata, upgrade
from entrepot.storage.database import SchemaUnknown, open_database, prepare, read, write


def emptied(engine: Engine) -> None:
    with write(engine) as conn:
        metadata.drop_all(conn)
        conn.execute(text("DROP TABLE alembic_version"))


def test_the_migrations_make_what_a_fresh_start_makes(engine: Engine) -> None:
    emptied(engine)
    upgrade(engine)
    assert prepare(engine) is False
    with read(engine) as conn:
        context = MigrationContext.configure(conn)
        assert context.get_current_revision() == REVISION
        assert compare_metadata(context, metadata) == []
    upgrade(engine)


def test_a_fresh_start_needs_no_migration(engine: Engine) -> None:
    assert prepare(engine) is False
    upgrade(engine)
    with read(engine) as conn:
        assert set(inspect(conn).get_table_names()) == {*metadata.tables, "alembic_version"}
        assert conn.execute(text("SELECT version_num FROM alembic_version")).scalars().all() == [REVISION]


def test_a_database_of_another_version_is_not_touched(tmp_path: Path) -> None:
    engine = open_database(tmp_path / "entrepot.sqlite")
    prepare(engine)
    with write(engine) as conn:
        conn.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(SchemaUnknown, match="9999"):
        prepare(engine)
