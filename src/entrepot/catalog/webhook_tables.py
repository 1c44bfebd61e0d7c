"""Webhooks in the database, with the files that hold their secrets. Takes a connection and opens none."""

import json
from collections.abc import Iterable

import msgspec
from sqlalchemy import Column, Connection, Table, Text, delete, insert, select, update

from entrepot.catalog.contents import Webhook
from entrepot.storage.database import metadata

webhook_table = Table(
    "webhook",
    metadata,
    Column("name", Text, primary_key=True),
    Column("url", Text, nullable=False),
    Column("events", Text, nullable=False),  # JSON list, [] for all
    Column("secret", Text, nullable=False),  # file in DATA/secrets
    Column("secret_host", Text, nullable=False),  # the only host that what it signs is sent to
)


class StoredWebhook(msgspec.Struct, frozen=True, kw_only=True):
    """A webhook as it is called."""

    name: str
    url: str
    events: tuple[str, ...]
    secret: str


def read_webhooks(connection: Connection) -> dict[str, StoredWebhook]:
    rows = connection.execute(select(webhook_table).order_by(webhook_table.c.name))
    return {
        row.name: StoredWebhook(name=row.name, url=row.url, events=tuple(json.loads(row.events)), secret=row.secret)
        for row in rows
    }


def read_secrets(connection: Connection) -> dict[str, tuple[str, str]]:
    """Webhook id → (file in DATA/secrets or "", host that it belongs to)."""
    rows = connection.execute(select(webhook_table))
    return {Webhook(name=row.name, url=row.url).id: (row.secret, row.secret_host) for row in rows}


def put_webhooks(connection: Connection, webhooks: Iterable[Webhook]) -> list[str]:
    """Make these the declared ones; secrets stay as they are. The names that are gone."""
    wanted = {each.name: each for each in webhooks}
    known = set(connection.execute(select(webhook_table.c.name)).scalars())
    for name, each in wanted.items():
        facts = {"url": each.url, "events": json.dumps(each.events)}
        if name in known:
            connection.execute(update(webhook_table).where(webhook_table.c.name == name).values(facts))
        else:
            connection.execute(insert(webhook_table).values(name=name, secret="", secret_host="", **facts))
    gone = sorted(known - set(wanted))
    connection.execute(delete(webhook_table).where(webhook_table.c.name.in_(gone)))
    return gone


def put_secret(connection: Connection, webhook: str, secret: str, host: str) -> None:
    """Name the file that holds the secret of the webhook with this id, and the host that it belongs to."""
    where = webhook_table.c.name == webhook.removeprefix("webhook/")
    connection.execute(update(webhook_table).where(where).values(secret=secret, secret_host=host))
