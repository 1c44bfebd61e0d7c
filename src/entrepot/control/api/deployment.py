"""`/admin/deployments`: which name leads to which model, for whom."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query

from entrepot.catalog.contents import Catalog, Deployment
from entrepot.catalog.lifecycle import version_in_use
from entrepot.catalog.standing import models_of
from entrepot.control.house import House, house
from entrepot.control.problem import NotFound
from entrepot.keeper.state import standing
from entrepot.kernel.instants import show
from entrepot.pricing.offered import offered, shown, why_not_for_sale
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
            contract = each.contract(now)
            declared = [(d.project, d.name, d.model, d.output_max) for d in each.deployments]
            if not declared:
                book = models_of(catalog.book(contract.book), catalog.models)
                declared = [("*", model, model, 0) for model in book if model in catalog.models]
            for project, name, model, cap in declared:
                missing = why_not_for_sale(catalog, contract, model, now)
                rows.append(_row(each.id, project, name, model, cap or catalog.models[model].output_max, missing))
    return {"deployments": rows}


@router.get("/deployments/{customer}/{project}/{name}", name="deployment.show")
def show_deployment(
    where: Annotated[House, Depends(house)], customer: str, project: str, name: str
) -> dict[str, Any]:
    """One deployment: the version that serves it now, where its calls go, what they cost."""
    with read(where.engine) as connection:
        catalog = standing(connection)
    now = where.now()
    owner = catalog.customers.get(customer)
    if owner is None:
        raise NotFound(f"no customer is called {customer!r}")
    found = next((each for each in owner.deployments if (each.project, each.name) == (project, name)), None)
    if found is None and not owner.deployments:
        found = _by_default(catalog, project, name)
    if found is None:
        raise NotFound(f"{customer} has no deployment {name!r} in project {project!r}")
    model = catalog.models[found.model]
    version, _ = version_in_use(model.versions, model.default, found.version, found.upgrade, now)
    contract = owner.contract(now)
    prices = offered(catalog, contract, model.id, now)
    missing = why_not_for_sale(catalog, contract, model.id, now)
    if not version.serves(now):
        missing = f"{model.id} {version.name} is retired".replace("  ", " ")
    return {
        **_row(customer, project, name, model.id, found.output_max or model.output_max, missing),
        "version": version.name, "pinned": found.version, "upgrade": found.upgrade if found.version else "",
        "lifecycle": version.lifecycle, "retires_at": show(version.retires_at) if version.retires_at else None,
        "replaced_by": version.replaced_by, "operations": list(model.operations), "context": model.context,
        "routes": [{"upstream": upstream, "vendor_model": named} for upstream, named in version.routes],
        "prices": shown(prices),
        "currency": next((each.currency for each in catalog.book(owner.contract(now).book)), ""),
        "limits": {field: getattr(found.rates, field) for field in found.rates.__struct_fields__},
    }  # fmt: skip


def _by_default(catalog: Catalog, project: str, name: str) -> Deployment | None:
    """What a name means to a customer who declares no deployment: a model, or a further name of one."""
    for model in catalog.models.values():
        if name == model.id:
            return Deployment(project=project, name=name, model=name)
        if name in model.names():
            return Deployment(
                project=project, name=name, model=model.id, version=model.names()[name], upgrade="never"
            )  # fmt: skip
    return None


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
