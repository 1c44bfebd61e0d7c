"""`/admin/scenario`: what if, worked out of a file that whoever asks brings along."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field

from entrepot.control.api.insight import period
from entrepot.control.house import House, house
from entrepot.control.worker import measured
from entrepot.insight.answers.question import Picture, Question
from entrepot.insight.books import Asked
from entrepot.insight.facts import BaseKind, View
from entrepot.insight.scenario_file import LARGEST
from entrepot.kernel.instants import to_datetime

router = APIRouter(tags=["scenario"])


class WhatIf(BaseModel):
    """A scenario file, and the sales that it is tried on."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)
    name: Annotated[str, Field(min_length=1, max_length=200)]
    text: Annotated[str, Field(max_length=LARGEST)]
    base: BaseKind = "billed"
    view: View = "gross"
    from_: Annotated[str, Field(alias="from")] = ""
    until: str = ""
    currency: Annotated[str, Field(max_length=3)] = ""
    picture: Picture = ""


@router.post("/scenario", name="scenario.run")
async def run(body: WhatIf, where: Annotated[House, Depends(house)]) -> dict[str, Any]:
    """The scenario's outcome over [from, until), by default the last whole month. Changes nothing."""
    today = to_datetime(where.now()).date()
    first, end = period(body.from_, body.until, today)
    asked = Asked(kind=body.base, starts_on=str(first), until=str(end), view=body.view, currency=body.currency)
    question = Question(
        measure="scenario", asked=asked, name=body.name, text=body.text, on=str(today), picture=body.picture
    )
    return await measured(where, question)
