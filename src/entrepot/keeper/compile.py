"""Database → snapshot tables. A pure function of the rows and `now`: the same again gives the same bytes."""

from collections.abc import Mapping

from msgspec import structs
from sqlalchemy import Connection

from entrepot.catalog import tables as catalog_tables
from entrepot.catalog.contents import Catalog, Customer, Deployment, Rates, Upstream
from entrepot.customers import tables as customer_tables
from entrepot.keeper.prices import PriceLists, price_list_of
from entrepot.keeper.state import standing
from entrepot.kernel.instants import SECOND, Instant
from entrepot.limits.declared import read_budgets
from entrepot.snapshot.entries import (
    AliasEntry,
    CustomerEntry,
    DeploymentEntry,
    KeyEntry,
    KeySecret,
    LimitEntry,
    LimitScope,
    ModelEntry,
    UpstreamEntry,
    to_bytes,
)
from entrepot.snapshot.files import Tables


def compile(connection: Connection, now: Instant, lists: PriceLists | None = None) -> Tables:
    """Everything that gateways need to know. Recompile at least once an hour: prices to come are taken AHEAD of now.

    `lists` remembers what it compiled before; without it everything is compiled anew, to the same bytes."""
    catalog = standing(connection)
    return {
        "key": _keys(connection, now),
        "customer": _customers(connection, catalog, now),
        "deployment": _deployments(catalog),
        "model": _models(connection, catalog),
        "alias": _aliases(catalog),
        "upstream": _upstreams(connection, catalog),
        "price": (lists or PriceLists()).tables(catalog, now),
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


def _customers(connection: Connection, catalog: Catalog, now: Instant) -> dict[str, bytes]:
    stored, budgets = customer_tables.read_stored(connection), read_budgets(connection)
    return {
        each.id: to_bytes(
            CustomerEntry(
                id=each.id, state=stored[each.id].state, book=price_list_of(each, now)[0], balance=each.id,
                currency=stored[each.id].currency, open=not each.deployments,
                budgets=tuple(budget for budget in budgets.get(each.id, ()) if not budget.key),
                limits=limits_of(each), starts_at=each.contracts[0].starts_at, ends_at=each.contracts[-1].ends_at,
            )
        )
        for each in catalog.customers.values()
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


def _deployments(catalog: Catalog) -> dict[str, bytes]:
    return {
        f"{customer.id}/{each.project}/{each.name}": to_bytes(
            DeploymentEntry(
                customer=customer.id, project=each.project, name=each.name, model=each.model,
                output_cap=each.output_max, limit=deployment_limit(customer.id, each),
                version=each.version, upgrade=each.upgrade,
            )
        )
        for customer in catalog.customers.values()
        for each in customer.deployments
    }  # fmt: skip


def _models(connection: Connection, catalog: Catalog) -> dict[str, bytes]:
    created = catalog_tables.read_created(connection)
    found = {}
    for model in catalog.models.values():
        first = catalog.upstreams[model.routes[0][0]]
        found[model.id] = to_bytes(
            ModelEntry(
                id=model.id, routes=model.routes, context=model.context, output_max=model.output_max,
                created=created[model.id] // SECOND, owned_by=first.vendor,
                operations=model.operations, versions=model.versions, default=model.default,
            )
        )  # fmt: skip
    return found


def _aliases(catalog: Catalog) -> dict[str, bytes]:
    return {
        name: to_bytes(AliasEntry(name=name, model=model.id, version=version))
        for model in catalog.models.values()
        for name, version in model.names().items()
    }


def _upstreams(connection: Connection, catalog: Catalog) -> dict[str, bytes]:
    secrets = catalog_tables.read_secrets(connection)
    cost = {each.buys_from: each.book for each in catalog.versions if each.buys_from}
    return {
        each.id: to_bytes(_upstream(each, secrets[each.id][0], cost))
        for each in catalog.upstreams.values()
    }


def _upstream(upstream: Upstream, secret: str, cost: Mapping[str, str]) -> UpstreamEntry:
    return UpstreamEntry(
        id=upstream.id, vendor=upstream.vendor, dialect=upstream.dialect, url=upstream.url, zone=upstream.zone,
        secret=secret, client_gone=upstream.client_gone, drain_seconds=upstream.drain_seconds,
        cost_book=cost.get(upstream.vendor, ""), api_version=upstream.api_version,
    )  # fmt: skip
