"""Database → snapshot tables. A pure function of the rows and `now`: the same again gives the same bytes."""

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection

from entrepot.catalog import tables as catalog_tables
from entrepot.catalog.contents import BookVersion, Upstream
from entrepot.customers import tables as customer_tables
from entrepot.kernel.instants import HOUR, SECOND, Instant
from entrepot.pricing import book as books
from entrepot.pricing.tables import read_versions
from entrepot.snapshot.entries import (
    CustomerEntry,
    DeploymentEntry,
    KeyEntry,
    KeySecret,
    ModelEntry,
    PriceEntry,
    PriceVersion,
    UpstreamEntry,
    to_bytes,
)
from entrepot.snapshot.files import Tables

#: Prices that begin within this time are in the snapshot: a gateway that hears nothing for so long still prices right.
AHEAD = 48 * HOUR
#: And those that ended no longer ago than this: a call admitted just before a change keeps its price.
BEHIND = HOUR


def compile(connection: Connection, now: Instant) -> Tables:
    """Everything that gateways need to know. Recompile at least once an hour: prices to come are taken AHEAD of now."""
    versions = read_versions(connection)
    return {
        "key": _keys(connection, now),
        "customer": _customers(connection),
        "deployment": _deployments(connection),
        "model": _models(connection),
        "upstream": _upstreams(connection, versions),
        "price": _prices(versions, now),
    }


def _keys(connection: Connection, now: Instant) -> dict[str, bytes]:
    """Keys that may still be used; revoked and expired ones are unknown to a gateway."""
    found = {}
    for key_id, (customer, project, models, expires_at, alive) in customer_tables.keys_alive(connection, now).items():
        secrets = tuple(KeySecret(hmac, until) for hmac, until in alive)
        found[key_id] = to_bytes(
            KeyEntry(
                id=key_id, customer=customer, project=project, secrets=secrets, models=models, expires_at=expires_at
            )
        )  # fmt: skip
    return found


def _customers(connection: Connection) -> dict[str, bytes]:
    stored = customer_tables.read_stored(connection)
    return {
        each.id: to_bytes(
            CustomerEntry(
                id=each.id, state=stored[each.id].state, book=each.contract.book, balance=each.id,
                currency=stored[each.id].currency, open=not each.deployments,
            )
        )
        for each in customer_tables.read_customers(connection).values()
    }  # fmt: skip


def _deployments(connection: Connection) -> dict[str, bytes]:
    return {
        f"{customer.id}/{each.project}/{each.name}": to_bytes(
            DeploymentEntry(
                customer=customer.id, project=each.project, name=each.name, model=each.model,
                output_cap=each.output_max,
            )
        )
        for customer in customer_tables.read_customers(connection).values()
        for each in customer.deployments
    }  # fmt: skip


def _models(connection: Connection) -> dict[str, bytes]:
    created = catalog_tables.read_created(connection)
    vendors, upstreams = catalog_tables.read_vendors(connection), catalog_tables.read_upstreams(connection)
    found = {}
    for model in catalog_tables.read_models(connection).values():
        first = upstreams[model.routes[0][0]]
        found[model.id] = to_bytes(
            ModelEntry(
                id=model.id, routes=model.routes, context=model.context, output_max=model.output_max,
                created=created[model.id] // SECOND, owned_by=vendors[first.vendor].id,
            )
        )  # fmt: skip
    return found


def _upstreams(connection: Connection, versions: Sequence[BookVersion]) -> dict[str, bytes]:
    secrets = catalog_tables.read_secrets(connection)
    cost = {each.buys_from: each.book for each in versions if each.buys_from}
    return {
        each.id: to_bytes(_upstream(each, secrets[each.id][0], cost))
        for each in catalog_tables.read_upstreams(connection).values()
    }


def _upstream(upstream: Upstream, secret: str, cost: Mapping[str, str]) -> UpstreamEntry:
    return UpstreamEntry(
        id=upstream.id, vendor=upstream.vendor, dialect=upstream.dialect, url=upstream.url, zone=upstream.zone,
        secret=secret, client_gone=upstream.client_gone, drain_seconds=upstream.drain_seconds,
        cost_book=cost.get(upstream.vendor, ""),
    )  # fmt: skip


def _prices(versions: Sequence[BookVersion], now: Instant) -> dict[str, bytes]:
    found = {}
    for book in sorted({each.book for each in versions}):
        of_book = [each for each in versions if each.book == book]
        for model in books.models_of(of_book):
            entry = price_entry(of_book, model, now)
            if entry.versions:
                found[f"{book}/{model}"] = to_bytes(entry)
    return found


def price_entry(versions: Sequence[BookVersion], model: str, now: Instant) -> PriceEntry:
    """Every version in force between BEHIND `now` and AHEAD of it, of one book and model."""
    instants = books.changes_of(versions, model)
    past = [each for each in instants if each <= now - BEHIND]
    coming = [each for each in instants if now - BEHIND < each <= now + AHEAD]
    return PriceEntry(versions=tuple(_price_version(versions, model, each) for each in [*past[-1:], *coming]))


def _price_version(versions: Sequence[BookVersion], model: str, at: Instant) -> PriceVersion:
    prices = books.prices_at(versions, model, at)
    currency = versions[0].currency
    den, per_bucket = books.rates(prices, currency)
    number = books.version_of(prices)
    name = f"{versions[0].book}/{number}"
    return PriceVersion(id=name, valid_from=at, currency=currency, den=den, rates=per_bucket)
