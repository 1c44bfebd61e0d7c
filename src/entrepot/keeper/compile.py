"""Database → snapshot tables. A pure function of the rows and `now`: the same again gives the same bytes."""

from collections.abc import Mapping, Sequence

from msgspec import structs
from sqlalchemy import Connection

from entrepot.catalog import tables as catalog_tables
from entrepot.catalog.contents import Customer, Deployment, Rates, Upstream
from entrepot.catalog.prices import BookVersion
from entrepot.catalog.standing import models_of
from entrepot.customers import tables as customer_tables
from entrepot.kernel.instants import HOUR, SECOND, Instant
from entrepot.limits.declared import read_budgets
from entrepot.pricing import book as books
from entrepot.pricing.rates import rates_together
from entrepot.pricing.tables import read_versions
from entrepot.snapshot.entries import (
    AliasEntry,
    CustomerEntry,
    DeploymentEntry,
    KeyEntry,
    KeySecret,
    LimitEntry,
    LimitScope,
    ModelEntry,
    PriceEntry,
    PriceVersion,
    UpstreamEntry,
    Variant,
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
        "customer": _customers(connection, now),
        "deployment": _deployments(connection),
        "model": _models(connection),
        "alias": _aliases(connection),
        "upstream": _upstreams(connection, versions),
        "price": _prices(versions, now),
    }


def _keys(connection: Connection, now: Instant) -> dict[str, bytes]:
    """Keys that may still be used; revoked and expired ones are unknown to a gateway."""
    budgets = {each.key: each for rows in read_budgets(connection).values() for each in rows if each.key}
    found = {}
    for key_id, alive in customer_tables.keys_alive(connection, now).items():
        limit = _limit(f"{alive.customer}/key/{key_id}", "key", alive.rates) if alive.rates is not None else None
        found[key_id] = to_bytes(
            KeyEntry(
                id=key_id, customer=alive.customer, project=alive.project,
                secrets=tuple(KeySecret(hmac, until) for hmac, until in alive.secrets), models=alive.models,
                expires_at=alive.expires_at, limit=limit, budget=budgets.get(key_id),
            )
        )  # fmt: skip
    return found


def _customers(connection: Connection, now: Instant) -> dict[str, bytes]:
    stored, budgets = customer_tables.read_stored(connection), read_budgets(connection)
    return {
        each.id: to_bytes(
            CustomerEntry(
                id=each.id, state=stored[each.id].state, book=each.contract(now).book, balance=each.id,
                currency=stored[each.id].currency, open=not each.deployments,
                budgets=tuple(budget for budget in budgets.get(each.id, ()) if not budget.key),
                limits=limits_of(each), starts_at=each.contracts[0].starts_at, ends_at=each.contracts[-1].ends_at,
            )
        )
        for each in customer_tables.read_customers(connection).values()
    }  # fmt: skip


def limits_of(customer: Customer) -> tuple[LimitEntry, ...]:
    """Declared limits and pools. An id says what is limited, not how much: a changed number is the same limit."""
    found = []
    for limit in customer.limits:
        scope: LimitScope = "project" if limit.project else "each_key" if limit.each_key else "customer"
        name = f"project/{limit.project}" if limit.project else scope
        entry = _limit(f"{customer.id}/limit/{name}/{limit.rates.window}", scope, limit.rates)
        found.append(structs.replace(entry, project=limit.project))
    for quota in customer.quota:
        entry = _limit(f"{customer.id}/pool/{quota.model}/{quota.zone}", "pool", quota.rates)
        found.append(structs.replace(entry, model=quota.model, zone=quota.zone))
    return tuple(found)


def deployment_limit(customer: str, deployment: Deployment) -> LimitEntry | None:
    if not deployment.rates:
        return None
    return _limit(f"{customer}/deployment/{deployment.project}/{deployment.name}", "deployment", deployment.rates)


def _limit(id: str, scope: LimitScope, rates: Rates) -> LimitEntry:
    """`rpm` becomes whole requests per window (the file is checked for it)."""
    return LimitEntry(
        id=id, scope=scope, tokens=rates.tpm, requests=rates.rpm * rates.window // 60, window_s=rates.window,
        concurrent=rates.concurrent,
    )  # fmt: skip


def _deployments(connection: Connection) -> dict[str, bytes]:
    return {
        f"{customer.id}/{each.project}/{each.name}": to_bytes(
            DeploymentEntry(
                customer=customer.id, project=each.project, name=each.name, model=each.model,
                output_cap=each.output_max, limit=deployment_limit(customer.id, each),
                version=each.version, upgrade=each.upgrade,
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
                operations=model.operations, versions=model.versions, default=model.default,
            )
        )  # fmt: skip
    return found


def _aliases(connection: Connection) -> dict[str, bytes]:
    return {
        name: to_bytes(AliasEntry(name=name, model=model.id, version=version))
        for model in catalog_tables.read_models(connection).values()
        for name, version in model.names().items()
    }


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
        cost_book=cost.get(upstream.vendor, ""), api_version=upstream.api_version,
    )  # fmt: skip


def _prices(versions: Sequence[BookVersion], now: Instant) -> dict[str, bytes]:
    found = {}
    for book in sorted({each.book for each in versions}):
        of_book = [each for each in versions if each.book == book]
        for model in models_of(of_book):
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
    currency = versions[0].currency
    conditions = books.conditions_of(versions, model)
    prices = [books.prices_at(versions, model, at, when) for when in conditions]
    found = rates_together(prices, currency)
    den, plain, _ = found[0]
    name = f"{versions[0].book}/{max(books.version_of(each) for each in prices if each)}"
    variants = tuple(
        Variant(tier=when.tier, zone=when.zone, over=when.request_over, rates=rates)
        for when, (_, rates, _) in zip(conditions, found, strict=True)
    )
    return PriceVersion(
        id=name, valid_from=at, currency=currency, den=den, rates=plain, variants=variants if len(variants) > 1 else ()
    )  # fmt: skip
