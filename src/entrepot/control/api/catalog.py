"""`/admin/catalog`: the catalog as it is now, and applying another one."""

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field

from entrepot.catalog.export import export
from entrepot.control import effect
from entrepot.control.house import House, house
from entrepot.keeper.state import standing
from entrepot.storage.database import read

router = APIRouter(tags=["catalog"])


class Apply(BaseModel):
    """A catalog file, and the secrets that its upstreams name, read by the command in its own environment."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)
    text: Annotated[str, Field(max_length=16 * 1024 * 1024)]
    file: Annotated[str, Field(max_length=4096)] = "catalog.toml"
    secrets: dict[str, str] = {}
    dry_run: bool = False
    yes: bool = False


@router.get("/catalog", name="catalog.read")
def read_catalog(where: Annotated[House, Depends(house)]) -> dict[str, Any]:
    """TOML; applying it changes nothing. It names where secrets come from and holds none."""
    with read(where.engine) as connection:
        return {"text": export(standing(connection))}


@router.post("/catalog", name="catalog.apply")
async def apply(body: Apply, where: Annotated[House, Depends(house)]) -> dict[str, Any]:
    """All or nothing; the difference, and which gateways do not have it yet. A dry run of prices or contracts says what
    they would have done to last month's bills."""
    done = await where.keeper.execute("apply", body.model_dump())
    if body.dry_run and any(each["what"] in ("book", "customer") for each in done["changes"]):
        done["effect"] = await asyncio.to_thread(_effect, where, body)
    return done


def _effect(where: House, body: Apply) -> dict[str, Any]:
    with read(where.engine) as connection:
        return effect.of_file(connection, body.text, body.file, where.now())
