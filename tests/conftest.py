"""Databases for tests: a fresh SQLite file, and a schema of its own on one real PostgreSQL per test session."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from sqlalchemy import Engine, text
from sqlalchemy.exc import OperationalError

import entrepot.keeper.app  # noqa: F401  every table is known before a database is made
from entrepot.storage.database import open_database, prepare

_numbers = itertools.count(1)
#: An empty database with every table, on each server; the others are copies of it, which takes a tenth of the time.
_PATTERN = "pattern"
#: A machine with other work is slow, and that says nothing about the code.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What needs a PostgreSQL is `long`, by itself."""
    for each in items:
        on_postgres = "postgresql" in getattr(getattr(each, "callspec", None), "params", {}).values()
        if on_postgres or "postgres" in getattr(each, "fixturenames", ()):
            each.add_marker("long")


@pytest.fixture(scope="session")
def database_servers() -> Iterator[list[Any]]:
    """The PostgreSQL servers of the session, the last of which is asked."""
    servers: list[Any] = []
    try:
        yield servers
    finally:
        for each in servers:
            each.cleanup()


@pytest.fixture
def postgres(database_servers: list[Any], tmp_path_factory: pytest.TempPathFactory) -> str:
    """URL of a PostgreSQL. Each test has a database of its own, so where the server has ended there is another one."""
    import pgserver

    if not database_servers or not _answers(database_servers[-1]):
        database_servers.append(pgserver.get_server(tmp_path_factory.mktemp("postgres")))
        _set_up(_url(database_servers[-1]))
    return _url(database_servers[-1])


def _set_up(url: str) -> None:
    _make(url, _PATTERN)
    engine = open_database(_database(url, _PATTERN))
    prepare(engine)
    engine.dispose()


def _make(url: str, name: str, *, pattern: str = "template1") -> None:
    plain = open_database(url)
    with plain.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name} TEMPLATE {pattern}"))
    plain.dispose()


def _database(url: str, name: str) -> str:
    return url.replace("/postgres?", f"/{name}?")


def _url(server: Any) -> str:
    url: str = server.get_uri()
    return url.replace("postgresql://", "postgresql+psycopg://")


def _answers(server: Any) -> bool:
    plain = open_database(_url(server))
    try:
        plain.connect().close()
    except OperationalError:
        print(f"PostgreSQL has ended: {server.log.read_text()[-4000:]}")
        return False
    finally:
        plain.dispose()
    return True


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """An empty database with every table, once on each of the two."""
    if request.param == "sqlite":
        engine = open_database(tmp_path / "entrepot.sqlite")
        prepare(engine)
    else:
        url: str = request.getfixturevalue("postgres")
        name = f"test_{next(_numbers)}"
        _make(url, name, pattern=_PATTERN)
        engine = open_database(_database(url, name))
    yield engine
    engine.dispose()
