"""`/admin/upstreams`: where models are bought; never their credentials."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends

from entrepot.catalog.tables import read_models, read_secrets, read_upstreams
from entrepot.control.house import House, house
from entrepot.storage.database import read

router = APIRouter(tags=["upstream"])


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
