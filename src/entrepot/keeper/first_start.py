"""The first start of a fresh data folder: secrets, the catalog, customer `demo` with a key and a little money."""

import os
import secrets as chance
from pathlib import Path

from sqlalchemy import Engine

from entrepot.catalog.contents import Contract, Customer
from entrepot.catalog.credentials import gather
from entrepot.catalog.file import read as read_file
from entrepot.customers.tables import read_keys
from entrepot.keeper import state
from entrepot.keeper.arguments import CommandRefused, Facts
from entrepot.keeper.commands import execute
from entrepot.keeper.secrets import CredentialMissing
from entrepot.kernel.instants import Instant
from entrepot.pricing.offered import why_not_for_sale
from entrepot.storage.database import read, write
from entrepot.storage.folder import Folder

DEMO = "demo"
DEMO_CREDIT = "5.00"
DEMO_TOP_UP = "first-start"
KEY_NAME = "first start"


def first_start(engine: Engine, folder: Folder, catalog_path: Path, now: Instant) -> Facts:
    """Do what is not yet done, each step once, so a start that was killed goes on where it stopped.

    Credentials come from this process's environment and from files beside the catalog. Returns {first_start, customer,
    model, currency, credit}; only {first_start: False} if everything was there. The caller has prepared the database.
    """
    make_secrets(folder)
    if folder.read_credentials().get("api_key"):
        return {"first_start": False}
    name = _shown(catalog_path)
    text = _read(catalog_path, name)
    given = gather(read_file(text, name).catalog, os.environ, lambda path: (catalog_path.parent / path).read_text())
    try:
        execute(engine, folder, "apply", {"text": text, "file": name, "secrets": given}, now)
    except CredentialMissing as missing:  # there is no server yet to apply anything to
        again = missing.message.replace(f"entrepot apply {name}", f"entrepot serve --catalog {name}")
        raise CredentialMissing(again) from None
    currency = _demo(engine, now)
    top_up = {"customer": DEMO, "amount": DEMO_CREDIT, "currency": currency, "id": DEMO_TOP_UP}
    execute(engine, folder, "balance.top_up", top_up, now)
    model = _model(engine, now)
    with read(engine) as connection:
        lost = [each.id for each in read_keys(connection) if each.name == KEY_NAME and each.state == "active"]
    for key_id in lost:  # of a first start that was killed before it could tell its key
        execute(engine, folder, "key.revoke", {"id": key_id}, now)
    key = execute(engine, folder, "key.create", {"customer": DEMO, "name": KEY_NAME, "expires": "never"}, now)
    token = folder.secret("admin-token").decode()
    folder.write_credentials({"api_key": str(key["key"]), "admin_token": token, "model": model})
    return {"first_start": True, "customer": DEMO, "model": model, "currency": currency, "credit": DEMO_CREDIT}


def _shown(path: Path) -> str:
    """As a person would write it from here."""
    try:
        return str(path.absolute().relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def _read(path: Path, name: str) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeError) as error:
        raise CommandRefused(f"the catalog {name} cannot be read: {error}; name another with --catalog") from None


def make_secrets(folder: Folder) -> None:
    """Pepper, key of the request ids and admin token: made once, kept for ever."""
    for name, value in (
        ("pepper", chance.token_bytes(32)),
        ("request-ids", chance.token_bytes(32)),
        ("admin-token", f"ep_admin_{chance.token_urlsafe(32)}".encode()),
    ):
        if not (folder.secrets / name).exists():
            folder.keep_secret(name, value)


def _demo(engine: Engine, now: Instant) -> str:
    """Make customer `demo` if the catalog has none; the currency of its balance."""
    with write(engine) as connection:
        standing = state.standing(connection)
        lists = [each for each in standing.versions if not each.buys_from]
        if not lists:
            raise CommandRefused("this catalog has no list book; add [[book.list]] with at least one price")
        if DEMO not in standing.customers:
            name = next((each.book for each in lists if each.book == "list"), lists[0].book)
            demo = Customer(id=DEMO, contracts=(Contract(book=name),), about={"name": "Demo"})
            state.put_customer(connection, demo, standing.book(name)[0].currency, now)
            standing = state.standing(connection)
        book = standing.book(standing.customers[DEMO].contract(now).book)
        return book[0].currency


def _model(engine: Engine, now: Instant) -> str:
    """The model to show first: the first one of demo that has a price now, in the file's order of names."""
    with read(engine) as connection:
        standing = state.standing(connection)
    demo = standing.customers[DEMO]
    names = [(each.name, each.model) for each in demo.deployments] or [(each, each) for each in standing.models]
    priced = [
        name
        for name, model in names
        if "chat" in standing.models[model].operations
        and not why_not_for_sale(standing, demo.contract(now), model, now)
    ]
    return next(iter(priced), "")
