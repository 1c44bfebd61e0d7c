"""A fresh folder becomes a house that answers, each step once."""

from pathlib import Path

import pytest
from sqlalchemy import Engine

import entrepot.keeper.first_start as first
from entrepot.catalog.issues import CatalogBroken
from entrepot.customers.key import parse
from entrepot.customers.tables import read_keys
from entrepot.keeper.commands import CommandRefused
from entrepot.keeper.compile import compile
from entrepot.keeper.first_start import first_start
from entrepot.keeper.secrets import CredentialMissing
from entrepot.kernel.instants import parse as instant
from entrepot.ledger.tables import balance_of
from entrepot.snapshot import Snapshot, publish
from entrepot.storage.database import open_database, prepare, read
from entrepot.storage.folder import Folder

NOW = instant("2026-11-22T00:00:00Z")
EXAMPLES = Path(__file__).parents[3] / "examples"


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    folder = Folder(tmp_path)
    folder.create()
    return folder


@pytest.fixture
def database(folder: Folder) -> Engine:
    engine = open_database(folder.database)
    prepare(engine)
    return engine


def test_the_demo_is_sold_to_demo_with_a_key_and_five_dollars(database: Engine, folder: Folder) -> None:
    facts = first_start(database, folder, EXAMPLES / "demo.toml", NOW)
    assert facts == {
        "first_start": True, "customer": "demo", "model": "smollm2-135m-instruct", "currency": "USD", "credit": "5.00",
    }  # fmt: skip
    credentials = folder.read_credentials()
    assert set(credentials) == {"api_key", "admin_token", "model"}
    assert folder.credentials.stat().st_mode & 0o777 == 0o600
    with read(database) as connection:
        publish(folder.snapshot, compile(connection, NOW))
        assert balance_of(connection, "demo") == 5_000_000_000
    snapshot = Snapshot.load(folder.snapshot)
    key = snapshot.key(parse(credentials["api_key"]).id)
    assert key is not None
    assert (key.customer, key.project, key.expires_at) == ("demo", "default", 0)
    assert [each.name for each in snapshot.deployments("demo", "default", at=NOW)] == [
        "smollm2-135m-embedding", "smollm2-135m-instruct"
    ]  # fmt: skip


def test_a_second_start_changes_nothing(database: Engine, folder: Folder) -> None:
    first_start(database, folder, EXAMPLES / "demo.toml", NOW)
    before = folder.credentials.read_bytes(), {each.name: each.read_bytes() for each in folder.secrets.iterdir()}
    assert first_start(database, folder, folder.root / "gone.toml", NOW) == {"first_start": False}
    after = folder.credentials.read_bytes(), {each.name: each.read_bytes() for each in folder.secrets.iterdir()}
    assert after == before


def test_a_first_start_that_was_killed_before_its_end_goes_on(
    database: Engine, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(_: Folder, __: dict[str, str]) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(first.Folder, "write_credentials", killed)
        with pytest.raises(KeyboardInterrupt):
            first_start(database, folder, EXAMPLES / "demo.toml", NOW)
    assert first_start(database, folder, EXAMPLES / "demo.toml", NOW + 1)["first_start"] is True
    with read(database) as connection:
        assert balance_of(connection, "demo") == 5_000_000_000
        active = [each.id for each in read_keys(connection) if each.state == "active"]
    assert active == [parse(folder.read_credentials()["api_key"]).id]


def test_a_catalog_without_customer_demo_gets_one(database: Engine, folder: Folder, tmp_path: Path) -> None:
    text = (EXAMPLES / "demo.toml").read_text().split("[customer.demo]")[0].replace("USD", "EUR")
    (tmp_path / "mine.toml").write_text(text)
    assert first_start(database, folder, tmp_path / "mine.toml", NOW)["currency"] == "EUR"
    with read(database) as connection:
        assert balance_of(connection, "demo") == 5_000_000_000


def test_credentials_come_from_the_environment_of_the_first_start(
    database: Engine, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(CredentialMissing):
        first_start(database, folder, EXAMPLES / "openai.toml", NOW)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    assert first_start(database, folder, EXAMPLES / "openai.toml", NOW)["model"] == "gpt-4o"


def test_a_catalog_that_cannot_be_read_or_sells_nothing_says_so(
    database: Engine, folder: Folder, tmp_path: Path
) -> None:
    with pytest.raises(CommandRefused, match="cannot be read"):
        first_start(database, folder, tmp_path / "none.toml", NOW)
    (tmp_path / "empty.toml").write_text("format = 1\n")
    with pytest.raises(CommandRefused, match="no list book"):
        first_start(database, folder, tmp_path / "empty.toml", NOW)


def test_a_catalog_with_mistakes_is_named_as_it_was_given_and_a_credential_asked_for_with_the_way_to_start(
    database: Engine, folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    (tmp_path / "shops").mkdir()
    (tmp_path / "shops" / "a.toml").write_text("format = 7\n")
    with pytest.raises(CatalogBroken) as broken:
        first_start(database, folder, tmp_path / "shops" / "a.toml", NOW)
    assert broken.value.message.startswith("shops/a.toml: 1 mistake, nothing was changed")
    (tmp_path / "shops" / "b.toml").write_text((EXAMPLES / "openai.toml").read_text())
    with pytest.raises(CredentialMissing) as missing:
        first_start(database, folder, tmp_path / "shops" / "b.toml", NOW)
    assert missing.value.message.endswith("then: entrepot serve --catalog shops/b.toml")
