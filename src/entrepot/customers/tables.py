"""Customers, projects, deployments and keys in the database. Takes a connection and opens none."""

import json
from typing import Any, Literal, NamedTuple, cast

import msgspec
from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    ForeignKey,
    ForeignKeyConstraint,
    Integer,
    LargeBinary,
    Row,
    Table,
    Text,
    delete,
    insert,
    or_,
    select,
    update,
)

from entrepot.catalog.contents import Contract, Customer, Deployment, Format, Pays, PaysBy, Rates
from entrepot.catalog.tables import facts_from_text, facts_to_text
from entrepot.customers import limit_tables
from entrepot.customers.limit_tables import amount_from_row, rates_columns, rates_from_row, rates_to_row
from entrepot.kernel.instants import Instant
from entrepot.kernel.money import to_scaled
from entrepot.storage.database import Amount, append_only, metadata

decode_contracts = msgspec.json.Decoder(tuple[Contract, ...]).decode
CustomerState = Literal["active", "suspended"]
KeyState = Literal["active", "revoked"]
#: Secrets of one key that may be alive at once: the new one and the one it follows.
SECRETS_ALIVE = 2

customer_table = Table(
    "customer",
    metadata,
    Column("id", Text, primary_key=True),
    Column("state", Text, nullable=False),
    Column("currency", Text, nullable=False),  # of its balance; fixed when the customer was added
    Column("about", Text, nullable=False),
    Column("address", Text, nullable=False),
    Column("pays_by", Text, nullable=False),
    Column("credit_limit", Amount, nullable=True),  # NULL: not given
    Column("warn_below", Amount, nullable=True),
    Column("due_days", Integer, nullable=False),
    Column("format", Text, nullable=False),
    Column("language", Text, nullable=False),  # "": the operator's
    Column("invoice_currency", Text, nullable=False),  # "": the book's
    Column("created_at", BigInteger, nullable=False),
)

#: What was agreed, as it was known from each instant on: the latest revision counts, none is ever changed.
contract_table = Table(
    "contract",
    metadata,
    Column("customer", Text, ForeignKey("customer.id"), primary_key=True),
    Column("revision", Integer, primary_key=True),  # 1, 2, …
    Column("recorded_at", BigInteger, nullable=False),
    Column("contracts", Text, nullable=False),  # JSON list, in their order
)
append_only(contract_table)

project_table = Table(
    "project",
    metadata,
    Column("customer", Text, ForeignKey("customer.id"), primary_key=True),
    Column("name", Text, primary_key=True),
    Column("position", Integer, nullable=False),  # as declared; -1: not in the file
)

deployment_table = Table(
    "deployment",
    metadata,
    Column("customer", Text, primary_key=True),
    Column("project", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("position", Integer, nullable=False),
    Column("model", Text, ForeignKey("model.id"), nullable=False),
    Column("output_max", BigInteger, nullable=False),
    Column("version", Text, nullable=False),  # "" follows the model's default
    Column("upgrade", Text, nullable=False),
    *rates_columns(),
    ForeignKeyConstraint(["customer", "project"], ["project.customer", "project.name"]),
)

key_table = Table(
    "key",
    metadata,
    Column("id", Text, primary_key=True),
    Column("customer", Text, nullable=False),
    Column("project", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("models", Text, nullable=False),  # JSON list of deployment names, "" for all of the project
    Column("state", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("revoked_at", BigInteger, nullable=False),
    *rates_columns(),
    ForeignKeyConstraint(["customer", "project"], ["project.customer", "project.name"]),
)

key_secret_table = Table(
    "key_secret",
    metadata,
    Column("key", Text, ForeignKey("key.id"), primary_key=True),
    Column("number", Integer, primary_key=True),  # 1, 2, … as rotated
    Column("hmac", LargeBinary, nullable=False),
    Column("last", Text, nullable=False),  # last four letters, to tell keys apart
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),  # 0: lives as long as the key
)


class StoredSecret(msgspec.Struct, frozen=True, kw_only=True):
    """A secret as it is kept: never itself."""

    number: int
    hmac: bytes
    last: str
    created_at: Instant
    expires_at: Instant


class StoredKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key with all its secrets, oldest first. Instants of 0 mean never."""

    id: str
    customer: str
    project: str
    name: str
    models: tuple[str, ...] | None
    state: KeyState
    created_at: Instant
    expires_at: Instant
    revoked_at: Instant
    secrets: tuple[StoredSecret, ...]
    rates: Rates = Rates()


class StoredPays(msgspec.Struct, frozen=True, kw_only=True):
    """How a customer pays, in ledger units of its currency; None: not given."""

    by: PaysBy
    currency: str
    credit_limit: int | None
    warn_below: int | None


class StoredCustomer(msgspec.Struct, frozen=True, kw_only=True):
    """What the database knows of a customer beside what the file says."""

    state: CustomerState
    currency: str
    created_at: Instant
    projects: tuple[str, ...]  # all, also those that only keys or older files brought


def read_customers(connection: Connection, only: str = "") -> dict[str, Customer]:
    """Every customer as the catalog declares it, or `only` this one, where there is it."""
    projects: dict[str, list[str]] = {}
    query = limit_tables.of(select(project_table), project_table.c.customer, only)
    for row in connection.execute(query.where(project_table.c.position >= 0).order_by(project_table.c.position)):
        projects.setdefault(row.customer, []).append(row.name)
    deployments: dict[str, list[Deployment]] = {}
    query = limit_tables.of(select(deployment_table), deployment_table.c.customer, only)
    for row in connection.execute(query.order_by(deployment_table.c.position)):
        deployments.setdefault(row.customer, []).append(
            Deployment(
                project=row.project, name=row.name, model=row.model, output_max=row.output_max,
                rates=rates_from_row(row), version=row.version, upgrade=row.upgrade,
            )
        )  # fmt: skip
    query = limit_tables.of(select(customer_table), customer_table.c.id, only)
    customers = connection.execute(query.order_by(customer_table.c.id)).all()
    contracts = read_contracts(connection, only=only)
    budgets = limit_tables.read_budgets(connection, {row.id: row.currency for row in customers}, only)
    limits, quota = limit_tables.read_limits(connection, only), limit_tables.read_quota(connection, only)
    return {
        row.id: Customer(
            id=row.id, contracts=contracts[row.id], about=facts_from_text(row.about),
            address=facts_from_text(row.address), projects=tuple(projects.get(row.id, ())),
            deployments=tuple(deployments.get(row.id, ())), pays=_pays(row), budgets=budgets.get(row.id, ()),
            limits=limits.get(row.id, ()), quota=quota.get(row.id, ()),
        )
        for row in customers
    }  # fmt: skip


def _pays(row: Row[Any]) -> Pays:
    limit, warn = (
        None if units is None else amount_from_row(units, row.currency) for units in (row.credit_limit, row.warn_below)
    )
    return Pays(
        by=cast("PaysBy", row.pays_by), credit_limit=limit, warn_below=warn, due_days=row.due_days,
        format=cast("Format", row.format), language=row.language, currency=row.invoice_currency,
    )  # fmt: skip


def read_contracts(
    connection: Connection, known_at: Instant | None = None, *, only: str = ""
) -> dict[str, tuple[Contract, ...]]:
    """Each customer's contracts, or `only` this one's, as we know them now or knew them at `known_at`."""
    column = contract_table.c
    query = limit_tables.of(select(contract_table), column.customer, only).order_by(column.customer, column.revision)
    if known_at is not None:
        query = query.where(column.recorded_at <= known_at)
    latest = {row.customer: row.contracts for row in connection.execute(query)}
    return {customer: decode_contracts(text) for customer, text in latest.items()}


def read_pays(connection: Connection, customer: str) -> StoredPays | None:
    """One customer's, by its id; None: there is no such customer."""
    row = connection.execute(select(customer_table).where(customer_table.c.id == customer)).first()
    if row is None:
        return None
    return StoredPays(
        by=cast("PaysBy", row.pays_by), currency=row.currency, credit_limit=row.credit_limit, warn_below=row.warn_below
    )


def read_stored(connection: Connection) -> dict[str, StoredCustomer]:
    """State, currency and every project of each customer."""
    projects: dict[str, list[str]] = {}
    for row in connection.execute(select(project_table).order_by(project_table.c.position, project_table.c.name)):
        projects.setdefault(row.customer, []).append(row.name)
    columns = customer_table.c
    found = connection.execute(select(columns.id, columns.state, columns.currency, columns.created_at))
    return {
        row.id: StoredCustomer(
            state=cast("CustomerState", row.state), currency=row.currency, created_at=row.created_at,
            projects=tuple(projects.get(row.id, ())),
        )
        for row in found
    }  # fmt: skip


def put_customer(connection: Connection, customer: Customer, currency: str, at: Instant) -> bool:
    """Add or change a customer with its projects and deployments; True if it was added. A project stays once it is
    there (keys live in it), and the currency stays the one of the first time."""
    pays = customer.pays
    limit, warn = (
        None if amount is None else to_scaled(amount, currency) for amount in (pays.credit_limit, pays.warn_below)
    )
    facts = {
        "pays_by": pays.by, "credit_limit": limit, "warn_below": warn, "due_days": pays.due_days,
        "format": pays.format, "language": pays.language, "invoice_currency": pays.currency,
        "about": facts_to_text(customer.about), "address": facts_to_text(customer.address),
    }  # fmt: skip
    where = customer_table.c.id == customer.id
    added = connection.execute(update(customer_table).where(where).values(facts)).rowcount == 0
    if added:
        first = {"id": customer.id, "state": "active", "currency": currency, "created_at": at}
        connection.execute(insert(customer_table).values({**facts, **first}))
    _put_contracts(connection, customer, at)
    connection.execute(delete(deployment_table).where(deployment_table.c.customer == customer.id))
    connection.execute(update(project_table).where(project_table.c.customer == customer.id).values(position=-1))
    for place, name in enumerate(customer.projects):
        put_project(connection, customer.id, name, place)
    for name in customer.all_projects():
        put_project(connection, customer.id, name)
    rows = [
        {
            "customer": customer.id, "project": each.project, "name": each.name, "position": place,
            "model": each.model, "output_max": each.output_max, "version": each.version,
            "upgrade": each.upgrade, **rates_to_row(each.rates),
        }
        for place, each in enumerate(customer.deployments)
    ]  # fmt: skip
    if rows:
        connection.execute(insert(deployment_table), rows)
    limit_tables.put_declared(connection, customer, currency)
    return added


def _put_contracts(connection: Connection, customer: Customer, at: Instant) -> None:
    """A new revision, unless it says the same."""
    column = contract_table.c
    where = select(column.revision, column.contracts).where(column.customer == customer.id)
    last = connection.execute(where.order_by(column.revision.desc()).limit(1)).first()
    if last is None or decode_contracts(last.contracts) != customer.contracts:
        text = msgspec.json.encode(customer.contracts).decode()
        number = last.revision + 1 if last else 1
        row = {"customer": customer.id, "revision": number, "recorded_at": at, "contracts": text}
        connection.execute(insert(contract_table).values(row))


def set_state(connection: Connection, customer: str, state: CustomerState) -> None:
    """Suspended: no call is let in, and none goes on."""
    connection.execute(update(customer_table).where(customer_table.c.id == customer).values(state=state))


def put_project(connection: Connection, customer: str, name: str, position: int | None = None) -> None:
    """Make sure that the project is there; with `position`, that it is declared."""
    where = (project_table.c.customer == customer, project_table.c.name == name)
    if connection.execute(select(project_table.c.name).where(*where)).first() is None:
        place = -1 if position is None else position
        connection.execute(insert(project_table).values(customer=customer, name=name, position=place))
    elif position is not None:
        connection.execute(update(project_table).where(*where).values(position=position))


def add_key(connection: Connection, key: StoredKey) -> None:
    """Add a key and its secrets."""
    models = "" if key.models is None else json.dumps(key.models)
    connection.execute(
        insert(key_table).values(
            id=key.id, customer=key.customer, project=key.project, name=key.name, models=models, state=key.state,
            created_at=key.created_at, expires_at=key.expires_at, revoked_at=key.revoked_at,
            **rates_to_row(key.rates),
        )
    )  # fmt: skip
    for secret in key.secrets:
        _add_secret(connection, key.id, secret)


def rotate_key(connection: Connection, key: StoredKey, secret: StoredSecret, until: Instant) -> None:
    """A new secret beside the newest one, which then ends at `until`; older ones end now."""
    column = key_secret_table.c
    newest = key.secrets[-1].number
    older = (column.key == key.id, column.number < newest)
    connection.execute(delete(key_secret_table).where(*older))
    ends = (column.key == key.id, column.number == newest)
    connection.execute(update(key_secret_table).where(*ends).values(expires_at=until))
    _add_secret(connection, key.id, secret)


def revoke_key(connection: Connection, key_id: str, at: Instant) -> None:
    """Mark a key revoked, for good; an already revoked one keeps its instant."""
    where = (key_table.c.id == key_id, key_table.c.state == "active")
    connection.execute(update(key_table).where(*where).values(state="revoked", revoked_at=at))


def read_keys(connection: Connection, key_id: str | None = None) -> list[StoredKey]:
    """Every key by age, or only one."""
    keys, secrets = select(key_table), select(key_secret_table)
    if key_id is not None:
        keys, secrets = keys.where(key_table.c.id == key_id), secrets.where(key_secret_table.c.key == key_id)
    found: dict[str, list[StoredSecret]] = {}
    for row in connection.execute(secrets.order_by(key_secret_table.c.number)):
        found.setdefault(row.key, []).append(
            StoredSecret(
                number=row.number, hmac=row.hmac, last=row.last, created_at=row.created_at, expires_at=row.expires_at
            )
        )
    return [
        StoredKey(
            id=row.id, customer=row.customer, project=row.project, name=row.name,
            models=tuple(json.loads(row.models)) if row.models else None, state=cast("KeyState", row.state),
            created_at=row.created_at, expires_at=row.expires_at, revoked_at=row.revoked_at,
            secrets=tuple(found.get(row.id, ())), rates=rates_from_row(row),
        )
        for row in connection.execute(keys.order_by(key_table.c.created_at, key_table.c.id))
    ]  # fmt: skip


class AliveKey(NamedTuple):
    """What a gateway has to know of a key; a tuple: every change of one key reads all of them, and there are many."""

    customer: str
    project: str
    models: tuple[str, ...] | None
    expires_at: Instant
    secrets: list[tuple[bytes, Instant]]
    rates: Rates | None


def keys_alive(connection: Connection, at: Instant) -> dict[str, AliveKey]:
    """Every key that may be used at `at`, by its id."""
    key, secret = key_table.c, key_secret_table.c
    found: dict[str, list[tuple[bytes, Instant]]] = {}
    alive = or_(secret.expires_at == 0, secret.expires_at > at)
    rows = select(secret.key, secret.hmac, secret.expires_at).where(alive).order_by(secret.key, secret.number)
    for key_id, hmac, expires_at in connection.execute(rows):
        found.setdefault(key_id, []).append((hmac, expires_at))
    usable = (key.state == "active", or_(key.expires_at == 0, key.expires_at > at))
    columns = select(
        key.id, key.customer, key.project, key.models, key.expires_at, key.tpm, key.rpm, key.window_s, key.concurrent
    ).where(*usable)
    return {
        key_id: AliveKey(
            customer, project, tuple(json.loads(models)) if models else None, expires_at, found[key_id],
            Rates(tpm=tpm, rpm=rpm, window=window, concurrent=calls) if tpm or rpm or calls else None,
        )
        for key_id, customer, project, models, expires_at, tpm, rpm, window, calls in connection.execute(columns)
        if key_id in found
    }  # fmt: skip


def _add_secret(connection: Connection, key_id: str, secret: StoredSecret) -> None:
    connection.execute(
        insert(key_secret_table).values(
            key=key_id, number=secret.number, hmac=secret.hmac, last=secret.last, created_at=secret.created_at,
            expires_at=secret.expires_at,
        )
    )  # fmt: skip
