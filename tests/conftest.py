"""Databases for tests: a fresh SQLite file, and a schema of its own on one real PostgreSQL per test session."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from sqlalchemy import Engine, text

import entrepot.ledger.tables  # noqa: F401
import entrepot.limits.tables  # noqa: F401
import entrepot.metering.tables  # noqa: F401
from entrepot.storage.database import open_database, prepare

_numbers = itertools.count(1)
#: A machine with other work is slow, and that says nothing about the code.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a PostgreSQL server that lives as long as the session."""
    import pgserver

    folder = tmp_path_factory.mktemp("postgres")
    server = pgserver.get_server(folder)
    log = (folder / "log").open()
    try:
        yield server.get_uri().replace("postgresql://", "postgresql+psycopg://")
    finally:
        said = log.read()
        if "shut down" in said or "terminated" in said:
            print(f"the server ended before its tests did:\n{said[-4000:]}")
        log.close()
        server.cleanup()


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """An empty database with every table, once on each of the two."""
    if request.param == "sqlite":
        engine = open_database(tmp_path / "entrepot.sqlite")
    else:
        url: str = request.getfixturevalue("postgres")
        name = f"test_{next(_numbers)}"
        plain = open_database(url)
        with plain.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
        plain.dispose()
        engine = open_database(url.replace("/postgres?", f"/{name}?"))
    prepare(engine)
    yield engine
    engine.dispose()
