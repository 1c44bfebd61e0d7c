"""`/admin/upstreams`: where models are bought; never their credentials."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends

from entrepot.catalog.tables import read_models, read_secrets, read_upstreams
from entrepot.control.house import House, house
from entrepot.control.problem import NotFound
from entrepot.storage.database import read
from entrepot.upstream.address import AZURE_V1
from entrepot.upstream.trial import try_upstream

router = APIRouter(tags=["upstream"])


@router.post("/upstreams/{upstream}/test", name="upstream.test")
async def test_upstream(where: Annotated[House, Depends(house)], upstream: str) -> dict[str, Any]:
    """Really asks the vendor: for its models, else for an answer of one token; says which of our routes it knows."""
    with read(where.engine) as connection:
        upstreams, secrets, models = read_upstreams(connection), read_secrets(connection), read_models(connection)
    if upstream not in upstreams:
        raise NotFound(f"there is no upstream {upstream!r}; entrepot upstream list shows them")
    entry = upstreams[upstream]
    routed = {name: each for each in models.values() for at, name in each.routes if at == upstream}
    first = next(iter(routed), "")
    kept = secrets[upstream][0]
    secret = where.folder.secret(kept).decode().strip() if kept else ""
    found = await try_upstream(
        entry.dialect, entry.url, entry.api_version, secret,
        str(where.folder.socket("local.sock")) if entry.dialect == "builtin" else "", first,
        routed[first].operations[0] if first else "chat",
    )  # fmt: skip
    by_path = entry.dialect == "azure" and entry.api_version != AZURE_V1  # its list names models, its paths deployments
    known = None if found.listed is None or by_path else set(found.listed)
    return {
        "upstream": upstream, "did": found.did, "good": found.good, "status": found.status, "ms": found.ms,
        "trouble": found.trouble, "listed": None if found.listed is None else len(found.listed),
        "routes": [{"vendor_model": name, "model": each.id, "listed": None if known is None else name in known}
                   for name, each in routed.items()],
    }  # fmt: skip


@router.get("/upstreams", name="upstream.list")
def list_upstreams(where: Annotated[House, Depends(house)]) -> dict[str, Any]:
    """Every upstream, whether its credential is kept, and the models that go there."""
    with read(where.engine) as connection:
        upstreams, secrets, models = read_upstreams(connection), read_secrets(connection), read_models(connection)
    return {
        "upstreams": [
            {
                "upstream": each.id,
                "vendor": each.vendor,
                "dialect": each.dialect,
                "url": each.url,
                "zone": each.zone,
                "key": f"env {each.key_env}" if each.key_env else f"file {each.key_file}" if each.key_file else "",
                "key_kept": bool(secrets[each.id][0]) and (where.folder.secrets / secrets[each.id][0]).exists(),
                "models": [m.id for m in models.values() if any(upstream == each.id for upstream, _ in m.routes)],
            }
            for each in upstreams.values()
        ]
    }
