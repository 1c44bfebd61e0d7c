"""`/admin/insight`: measures of the business, and the figures that people enter for them."""

import asyncio
from datetime import date, timedelta
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, ConfigDict, Field

from entrepot.control.house import House, house
from entrepot.control.problem import Mistaken
from entrepot.control.worker import measured
from entrepot.insight.answers.question import Picture, Question
from entrepot.insight.books import Asked
from entrepot.insight.entered import read_entered
from entrepot.insight.facts import BaseKind, Dimension, View
from entrepot.insight.growth import Window
from entrepot.insight.tables import entered_now
from entrepot.kernel.instants import show, to_datetime
from entrepot.storage.database import read

router = APIRouter(tags=["insight"])
Measure = Literal[
    "concentration", "change", "growth", "retention", "surprise", "margin", "dependence", "positions", "payback",
    "loss", "signs",
]  # fmt: skip
#: Measures of a course of time, which begin a year before where nothing is said.
_SERIES = ("growth",)
#: Days in which signs are looked for where nothing is said: a baseline, and as much again.
_SIGN_DAYS = 56


class Figures(BaseModel):
    """A file of figures."""

    model_config = ConfigDict(extra="forbid")
    name: Annotated[str, Field(min_length=1, max_length=200)]
    text: Annotated[str, Field(max_length=1024 * 1024)]
    dry_run: bool = False


@router.get("/insight/{measure}", name="insight.read")
async def insight(  # noqa: PLR0917  FastAPI passes query parameters by name
    measure: Measure,
    where: Annotated[House, Depends(house)],
    by: Annotated[Dimension, Query(description="what is told apart")] = "group",
    base: Annotated[BaseKind, Query(description="which figures")] = "billed",
    view: Annotated[View, Query(description="all that customers pay, or of agents' sales the fee")] = "gross",
    from_: Annotated[
        str, Query(alias="from", description="included, month or day; default the month before until, or today")
    ] = "",
    until: Annotated[str, Query(description="excluded; default the end of the month that begins with from")] = "",
    before: Annotated[str, Query(description="begin of the period before; default: so that it ends with from")] = "",
    currency: Annotated[str, Query(max_length=3, description="default: the only one, or the operator's")] = "",
    window: Annotated[Window, Query(description="of a run-rate")] = "month",
    quarters: Annotated[bool, Query(description="quarters in the place of months")] = False,
    months: Annotated[int, Query(ge=1, le=600, description="in which a loss is to be made up for")] = 12,
    name: Annotated[str, Query(max_length=200, description="of one customer, figure, …")] = "",
    year_starts: Annotated[str, Query(description="first day of the fiscal year")] = "01-01",
    picture: Annotated[Picture, Query(description="svg, png or pdf, as base64 beside the figures")] = "",
) -> dict[str, Any]:
    """One measure over [from, until), with the base it is on, and what it was gathered from."""
    today = to_datetime(where.now()).date()
    if measure == "signs":
        until = until or str(today)
        from_ = from_ or str(_day(until, "until") - timedelta(days=_SIGN_DAYS))
    first, end = period(from_, until, today)
    if measure in _SERIES and not from_:
        first = _months_later(end, -13)
    asked = Asked(kind=base, starts_on=str(first), until=str(end), view=view, currency=currency)
    question = Question(
        measure=measure, by=by, asked=asked, before=_before(before, first, end), window=window, quarters=quarters,
        months=months, name=name, year_starts=year_starts, on=str(today),
        picture=picture,
    )  # fmt: skip
    return await measured(where, question)


@router.get("/insight-figures", name="insight.entered")
async def entered(where: Annotated[House, Depends(house)]) -> dict[str, Any]:
    """The files of figures that count now."""
    return {"files": await asyncio.to_thread(_entered, where)}


@router.post("/insight-figures", name="insight.enter")
async def enter(body: Figures, where: Annotated[House, Depends(house)]) -> dict[str, Any]:
    """What the file of this name says from now on; each change stays beside what it was."""
    return await where.keeper.execute("insight.enter", body.model_dump())


def period(from_: str, until: str, today: date) -> tuple[date, date]:
    """[from, until): months or days. Without `from` the month that `until` or, without it, the last whole month ends;
    without `until` the month that `from` begins. Raises Mistaken."""
    given = _day(until, "until") if until else None
    first = _day(from_, "from") if from_ else _month_before(given or today.replace(day=1))
    end = given or _month_after(first)
    if end <= first:
        raise Mistaken(f"until {end} is not after from {first}; nothing is between them")
    return first, end


def _before(before: str, first: date, end: date) -> tuple[str, str]:
    """As long as the period itself: in whole months where that is of whole months."""
    whole = first.day == end.day == 1
    count = 12 * (end.year - first.year) + end.month - first.month
    if before:
        starts_on = _day(before, "before")
    elif whole:
        starts_on = _months_later(first, -count)
    else:
        starts_on = first - (end - first)
    ends_on = _months_later(starts_on, count) if whole and starts_on.day == 1 else starts_on + (end - first)
    return str(starts_on), str(ends_on)


def _months_later(day: date, count: int) -> date:
    number = 12 * day.year + day.month - 1 + count
    return date(number // 12, number % 12 + 1, 1)


def _month_after(day: date) -> date:
    return _months_later(day, 1)


def _month_before(day: date) -> date:
    return (day - timedelta(days=1)).replace(day=1)


def _day(text: str, name: str) -> date:
    try:
        return date.fromisoformat(f"{text}-01" if len(text) == 7 else text)
    except ValueError:
        raise Mistaken(f"{name} {text!r} is neither a month like 2026-10 nor a day like 2026-10-15") from None


def _entered(where: House) -> list[dict[str, Any]]:
    with read(where.engine) as connection:
        files = entered_now(connection)
    found = []
    for each in files:
        said = read_entered(each.text, each.name)
        found.append({
            "name": each.name, "revision": each.revision, "sha256": each.sha256, "entered_at": show(each.entered_at),
            "entries": {kind: len(getattr(said, kind)) for kind in said.__struct_fields__}, "text": each.text,
        })  # fmt: skip
    return found
