"""`/admin/reload`: every process by one with the present code, while calls go on."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends

from entrepot.control.house import House, house
from entrepot.control.problem import Refused
from entrepot.kernel.errors import EntrepotError

router = APIRouter(tags=["reload"])
PATIENCE_S = 300.0  # the parent's own bounds, one after the other, are below this


class NotServed(EntrepotError):
    """Nobody serves this folder, or the parent is busy beyond any bound."""

    code = "not_served"
    retryable = True


@router.post("/reload", name="reload")
async def reload(where: Annotated[House, Depends(house)]) -> dict[str, Any]:
    """Answers when the new processes serve; those before end their calls by themselves."""
    facts = await where.ask_parent("reload", patience_s=PATIENCE_S)
    if facts is None:
        raise NotServed(f"no server runs on {where.folder.root}, so there is nothing to reload")
    error = facts.get("error")
    if error:
        raise Refused(str(error["code"]), str(error["message"]), {})
    return facts
