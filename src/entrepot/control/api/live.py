"""`/admin/live`: counters of every worker by customer and model, for whoever looks twice and subtracts."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends

from entrepot.control.house import House, house
from entrepot.kernel.instants import show

router = APIRouter(tags=["live"])


@router.get("/live", name="live.read")
async def live(where: Annotated[House, Depends(house)]) -> dict[str, Any]:
    """From the workers' memory, each asked once. A worker's counters grow as long as (name, epoch) stays the same."""
    answers = await where.ask_gateways({"ask": "live"})
    workers = [
        {"name": name, "epoch": facts["epoch"], "at_us": facts["at"], "rows": facts["rows"]}
        for name, facts in answers.items()
        if facts and "rows" in facts
    ]
    silent = [name for name, facts in answers.items() if not facts]
    return {"at": show(where.now()), "workers": workers, "silent": silent}
