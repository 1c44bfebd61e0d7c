"""`/admin/deployments`: which name leads to which model, for whom."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query

from entrepot.catalog.standing import models_of
from entrepot.control.house import House, house
from entrepot.keeper.state import standing
from entrepot.pricing.book import not_for_sale, prices_at
from entrepot.storage.database import read

router = APIRouter(tags=["deployment"])


@router.get("/deployments", name="deployment.list")
def list_deployments(
    where: Annotated[House, Depends(house)],
    customer: Annotated[str, Query()] = "",
) -> dict[str, Any]:
    """Declared ones; a customer who declares none has one per priced model, under the model's name."""
    with read(where.engine) as connection:
        catalog = standing(connection)
    now = where.now()
    rows = []
    for each in catalog.customers.values():
        if customer in ("", each.id):
            book = catalog.book(each.contract.book)
            declared = [(d.project, d.name, d.model, d.output_max) for d in each.deployments]
            if not declared:
                declared = [("*", model, model, 0) for model in models_of(book) if model in catalog.models]
            for project, name, model, cap in declared:
                missing = not_for_sale(prices_at(book, model, now), now, catalog.models[model].operations)
                rows.append(_row(each.id, project, name, model, cap or catalog.models[model].output_max, missing))
    return {"deployments": rows}


def _row(customer: str, project: str, name: str, model: str, cap: int, missing: str) -> dict[str, Any]:  # noqa: PLR0917
    return {
        "customer": customer,
        "project": project,
        "name": name,
        "model": model,
        "output_max": cap,
        "for_sale": not missing,
        "reason": missing,
    }
