"""`/admin/limits`: how fast and how much at once."""

from collections.abc import Iterator
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from sqlalchemy import Connection

from entrepot.catalog.contents import Customer, Rates
from entrepot.control.house import House, house
from entrepot.customers.tables import read_customers, read_keys
from entrepot.storage.database import read

router = APIRouter(tags=["limit"])


@router.get("/limits", name="limit.list")
def list_limits(
    where: Annotated[House, Depends(house)],
    customer: Annotated[str, Query()] = "",
) -> dict[str, Any]:
    """Every limit: of customers, projects, keys, deployments, and the pools that these are cut from."""
    with read(where.engine) as connection:
        return {"limits": [row for row in _limits(connection) if customer in ("", row["customer"])]}


def rates_shown(rates: Rates) -> dict[str, int]:
    """Only what is limited; `window` where it is not a minute."""
    found = {"tpm": rates.tpm, "rpm": rates.rpm, "concurrent": rates.concurrent}
    window = {"window": rates.window} if rates.rpm and rates.window != Rates().window else {}
    return {**{name: value for name, value in found.items() if value}, **window}


def _limits(connection: Connection) -> Iterator[dict[str, Any]]:
    for customer in read_customers(connection).values():
        yield from _declared(customer)
    for key in read_keys(connection):
        if key.rates and key.state == "active":
            yield _row(key.customer, "key", key.id, key.rates)


def _declared(customer: Customer) -> Iterator[dict[str, Any]]:
    for limit in customer.limits:
        scope = "project" if limit.project else "each key" if limit.each_key else "customer"
        yield _row(customer.id, scope, limit.project, limit.rates)
    for deployment in customer.deployments:
        if deployment.rates:
            yield _row(customer.id, "deployment", f"{deployment.project}/{deployment.name}", deployment.rates)
    for quota in customer.quota:
        yield _row(customer.id, "pool", f"{quota.model} {quota.zone}".rstrip(), quota.rates)


def _row(customer: str, scope: str, of: str, rates: Rates) -> dict[str, Any]:
    return {"customer": customer, "scope": scope, "of": of, **rates_shown(rates)}
