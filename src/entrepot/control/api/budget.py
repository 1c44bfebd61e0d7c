"""`/admin/budgets`: how much money may be used, and how much of it is."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from sqlalchemy import Connection

from entrepot.control.amount import exact
from entrepot.control.house import House, house
from entrepot.customers.tables import read_stored
from entrepot.kernel.instants import Instant, show
from entrepot.limits.budget import period_of
from entrepot.limits.declared import read_budgets
from entrepot.limits.tables import all_leases, budget_charged, outstanding
from entrepot.storage.database import read

router = APIRouter(tags=["budget"])


@router.get("/budgets", name="budget.list")
def list_budgets(
    where: Annotated[House, Depends(house)],
    customer: Annotated[str, Query()] = "",
) -> dict[str, Any]:
    """Every budget in its period of now: `leased` is set aside for calls and neither spent nor left."""
    with read(where.engine) as connection:
        return {"budgets": _budgets(connection, where.now(), customer)}


def _budgets(connection: Connection, now: Instant, wanted: str) -> list[dict[str, Any]]:
    stored, spent = read_stored(connection), budget_charged(connection)
    leased: dict[str, int] = {}
    for _slot, totals in all_leases(connection):
        leased[totals.balance] = leased.get(totals.balance, 0) + outstanding(totals)
    found = []
    for customer, budgets in sorted(read_budgets(connection).items()):
        for budget in budgets if wanted in ("", customer) else ():
            name, starts_at, ends_at = period_of(budget.per, now)
            lease, currency = budget.lease_id(customer, now), stored[customer].currency
            used, held = spent.get(lease, 0), leased.get(lease, 0)
            found.append({
                "customer": customer, "budget": budget.id, "project": budget.project, "key": budget.key,
                "per": budget.per, "period": name, "hard": budget.hard, "warn_at": list(budget.warn_at),
                "from": show(starts_at) if starts_at else None,
                "until": show(ends_at) if budget.per != "total" else None,
                "currency": currency, "amount": exact(budget.amount, currency), "spent": exact(used, currency),
                "leased": exact(held, currency), "left": exact(budget.amount - used - held, currency),
            })  # fmt: skip
    return found
