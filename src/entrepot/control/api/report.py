"""`/admin/reports`: which there are, and one made of the books as they are now."""

import json
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field

from entrepot.control.house import House, house
from entrepot.control.problem import MONTH
from entrepot.control.worker import done_by
from entrepot.insight.facts import View
from entrepot.insight.report.language import languages
from entrepot.insight.report.wanted import FORMATS, MOST_SCENARIOS, Format, ScenarioFile, Wanted
from entrepot.insight.scenario_file import LARGEST
from entrepot.kernel.instants import to_datetime

router = APIRouter(tags=["report"])
_SHOWS = {"board": "two pages: what was earned, from how few, what it rests on, and what if"}


class Given(BaseModel):
    """A scenario file."""

    model_config = ConfigDict(extra="forbid")
    name: Annotated[str, Field(min_length=1, max_length=200)]
    text: Annotated[str, Field(max_length=LARGEST)]


class Run(BaseModel):
    """Which report, of which month, how. Without scenarios the usual three."""

    model_config = ConfigDict(extra="forbid")
    report: Literal["board"]
    month: Annotated[str, Field(pattern=MONTH)]
    language: Annotated[str, Field(max_length=10)] = "en"
    formats: Annotated[tuple[Format, ...], Field(min_length=1, max_length=len(FORMATS))] = ("html", "pdf")
    base: Literal["billed", "earned", "stated"] = "billed"
    view: View = "gross"
    currency: Annotated[str, Field(max_length=3)] = ""
    year_starts: Annotated[str, Field(max_length=5)] = "01-01"
    scenarios: Annotated[tuple[Given, ...], Field(max_length=MOST_SCENARIOS)] = ()


@router.get("/reports", name="report.list")
def list_reports() -> dict[str, Any]:
    """The reports there are, with their languages and formats."""
    return {
        "reports": [
            {"name": name, "shows": shows, "languages": languages(), "formats": list(FORMATS)}
            for name, shows in _SHOWS.items()
        ]
    }


@router.post("/report-runs", name="report.run")
async def run_report(body: Run, where: Annotated[House, Depends(house)]) -> dict[str, Any]:
    """The report as data, and its files as base64. Nothing is changed."""
    await where.freshen()
    wanted = Wanted(
        month=body.month, made_on=str(to_datetime(where.now()).date()), language=body.language, formats=body.formats,
        kind=body.base, view=body.view, currency=body.currency, year_starts=body.year_starts,
        scenarios=tuple(ScenarioFile(name=each.name, text=each.text) for each in body.scenarios),
    )  # fmt: skip
    found: dict[str, Any] = json.loads(await done_by(where, "board", wanted))
    return found
