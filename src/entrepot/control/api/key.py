"""`/admin/keys`: who may call, in whose name."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, ConfigDict, Field

from entrepot.control.api.limit import rates_shown
from entrepot.control.house import House, house
from entrepot.control.problem import AMOUNT
from entrepot.customers.tables import StoredKey, read_keys
from entrepot.kernel.instants import Instant, show
from entrepot.storage.database import read

router = APIRouter(tags=["key"])
_LONGEST_OVERLAP_S = 30 * 86_400


class NewKey(BaseModel):
    """A key belongs to one project; without one to the customer's only project, else `default`."""

    model_config = ConfigDict(extra="forbid")
    customer: Annotated[str, Field(min_length=1, max_length=128)]
    project: str | None = None
    models: list[str] | None = None
    expires: str | None = None
    name: Annotated[str, Field(max_length=200)] = ""
    tpm: Annotated[int, Field(ge=1, le=10**12)] | None = None
    rpm: Annotated[int, Field(ge=1, le=10**12)] | None = None
    concurrent: Annotated[int, Field(ge=1, le=10**6)] | None = None
    budget: Annotated[str, Field(pattern=AMOUNT)] | None = None
    per: Literal["day", "month", "total"] | None = None


class Rotation(BaseModel):
    """A new secret; the old one goes on for this long."""

    model_config = ConfigDict(extra="forbid")
    overlap_seconds: Annotated[int, Field(ge=0, le=_LONGEST_OVERLAP_S)] = 86_400


@router.get("/keys", name="key.list")
def list_keys(
    where: Annotated[House, Depends(house)],
    customer: Annotated[str, Query()] = "",
) -> dict[str, Any]:
    """Every key, never its secret: prefix and last four letters tell it."""
    denied = set(where.folder.denied(0)[0])
    with read(where.engine) as connection:
        keys = [key for key in read_keys(connection) if customer in ("", key.customer)]
    return {"keys": [_shown(key, where.now(), key.id in denied) for key in keys]}


@router.post("/keys", name="key.create")
async def create(body: NewKey, where: Annotated[House, Depends(house)]) -> dict[str, Any]:
    """The answer holds the key, this once."""
    return await where.keeper.execute("key.create", body.model_dump(exclude_none=True))


@router.post("/keys/{id_}/rotate", name="key.rotate")
async def rotate(id_: str, body: Rotation, where: Annotated[House, Depends(house)]) -> dict[str, Any]:
    """A second secret beside the first, which ends after the overlap; the answer holds it, this once."""
    return await where.keeper.execute("key.rotate", {"id": id_, **body.model_dump()})


@router.post("/keys/{id_}/revoke", name="key.revoke")
async def revoke(id_: str, where: Annotated[House, Depends(house)]) -> dict[str, Any]:
    """For good, within a second; open streams finish."""
    return await where.keeper.execute("key.revoke", {"id": id_})


def _shown(key: StoredKey, now: Instant, denied: bool) -> dict[str, Any]:
    state = "revoked" if key.state == "revoked" or denied else "expired" if 0 < key.expires_at <= now else "active"
    return {
        "id": key.id,
        "customer": key.customer,
        "project": key.project,
        "name": key.name,
        "state": state,
        "models": list(key.models) if key.models is not None else None,
        "limit": rates_shown(key.rates),
        "created_at": show(key.created_at),
        "expires_at": show(key.expires_at) if key.expires_at else None,
        "revoked_at": show(key.revoked_at) if key.revoked_at else None,
        "secrets": [
            {"last": secret.last, "expires_at": show(secret.expires_at) if secret.expires_at else None}
            for secret in key.secrets
            if not 0 < secret.expires_at <= now
        ],
    }
