"""`/admin/customers`: who buys, and what they can call."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends
from sqlalchemy import Connection

from entrepot.catalog.contents import Contract, Customer
from entrepot.control.api.limit import rates_shown
from entrepot.control.house import House, house
from entrepot.control.problem import NotFound
from entrepot.customers.tables import StoredCustomer, read_keys, read_stored
from entrepot.keeper.state import standing
from entrepot.kernel.instants import Instant, show
from entrepot.storage.database import read

router = APIRouter(tags=["customer"])


@router.get("/customers", name="customer.list")
def list_customers(where: Annotated[House, Depends(house)]) -> dict[str, Any]:
    """Every customer."""
    with read(where.engine) as connection:
        return {"customers": _customers(connection, where.now())}


@router.get("/customers/{customer}", name="customer.show")
def show_customer(customer: str, where: Annotated[House, Depends(house)]) -> dict[str, Any]:
    """One customer with projects, deployments and the number of keys."""
    with read(where.engine) as connection:
        for facts in _customers(connection, where.now()):
            if facts["customer"] == customer:
                keys = [key for key in read_keys(connection) if key.customer == customer and key.state == "active"]
                return {**facts, "keys": [{"id": key.id, "project": key.project, "name": key.name} for key in keys]}
    raise NotFound(f"there is no customer {customer!r}; entrepot customer list shows them")


@router.post("/customers/{customer}/suspend", name="customer.suspend")
async def suspend(customer: str, where: Annotated[House, Depends(house)]) -> dict[str, Any]:
    """New calls are refused, and those under way end, within a second; keys and money stay as they are."""
    return await where.keeper.execute("customer.suspend", {"customer": customer})


@router.post("/customers/{customer}/resume", name="customer.resume")
async def resume(customer: str, where: Annotated[House, Depends(house)]) -> dict[str, Any]:
    """The customer's keys work again."""
    return await where.keeper.execute("customer.resume", {"customer": customer})


def _customers(connection: Connection, now: Instant) -> list[dict[str, Any]]:
    stored = read_stored(connection)
    declared = standing(connection).customers
    return [_shown(customer, stored[customer.id], now) for customer in declared.values()]


def _shown(customer: Customer, stored: StoredCustomer, now: Instant) -> dict[str, Any]:
    contract = customer.contract(now)
    return {
        "customer": customer.id,
        "name": str(customer.about.get("name", "")),
        "state": stored.state,
        **_contract(contract),
        "contracts": [_contract(each) for each in customer.contracts],
        "currency": stored.currency,
        "pays": _pays(customer),
        "projects": list(stored.projects),
        "deployments": [
            {
                "project": each.project, "name": each.name, "model": each.model, "output_max": each.output_max,
                "limit": rates_shown(each.rates),
            }
            for each in customer.deployments
        ],
        "every_priced_model": not customer.deployments,
        "created_at": show(stored.created_at),
    }


def _contract(contract: Contract) -> dict[str, Any]:
    """Its terms; the one in force also stands at the top."""
    return {
        "book": contract.book,
        "contract": contract.id,
        "discount_percent": f"{contract.discount_percent:f}",
        "prices": len(contract.rows),
        "notice_days": contract.notice_days,
        "from": show(contract.starts_at) if contract.starts_at else None,
        "until": show(contract.ends_at) if contract.ends_at else None,
    }


def _pays(customer: Customer) -> dict[str, Any]:
    pays = customer.pays
    amounts = {"credit_limit": pays.credit_limit, "warn_below": pays.warn_below}
    return {
        "by": pays.by,
        **{name: f"{amount:f}" for name, amount in amounts.items() if amount is not None},
        **({"due_days": pays.due_days} if pays.due_days else {}),
    }
