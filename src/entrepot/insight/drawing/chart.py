"""What can be drawn: charts as values of texts and numbers, and the one function that makes pictures of them.

Every chart states what it shows (`title`) and of which whole, on which base (`whole`). Where a number comes from is
told by how it is filled, never by colour alone: solid is our books, light is what others reported, hatched is assumed.
What is written beside a mark (`shown`) is the caller's text in the caller's language; the numbers only place marks.
"""

import json
from decimal import Decimal
from fractions import Fraction
from functools import singledispatch
from html import escape
from importlib.resources import files
from typing import Any, Final, Literal

import msgspec

from entrepot.insight.drawing.axis import Axis, axis
from entrepot.insight.facts import STANDINGS, InsightError, Standing
from entrepot.kernel.errors import Fault

Number = int | Fraction | Decimal
Format = Literal["svg", "png", "pdf"]
FORMATS: Final[tuple[Format, ...]] = ("svg", "png", "pdf")
#: More marks than this do not fit on a page that somebody reads; the caller adds the small ones up.
MOST_MARKS: Final = 60
#: A millimetre is a dozen dots on paper then.
_PPI: Final = 300.0


class ChartBroken(InsightError):
    """A chart of nothing, or of more than can be read."""

    code = "chart_broken"
    fault = Fault.CALLER


class Legend(msgspec.Struct, frozen=True, kw_only=True):
    """What the fills mean; a chart in another language than English brings its own words."""

    books: str = "from the books"
    reported: str = "reported"
    assumed: str = "assumed"


class Guide(msgspec.Struct, frozen=True, kw_only=True):
    """A line across the chart that values are read against: a threshold, an expectation."""

    name: str
    value: Number


class Bar(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    value: Number
    shown: str
    standing: Standing = "books"


class Chart(msgspec.Struct, frozen=True, kw_only=True):
    """What all charts say: what is shown, of which whole on which base, and a note below."""

    title: str
    whole: str
    note: str = ""
    legend: Legend = Legend()


class Bars(Chart, frozen=True, kw_only=True):
    """Amounts or shares beside each other, in the order given; `upright` where the names are months."""

    bars: tuple[Bar, ...]
    guides: tuple[Guide, ...] = ()
    upright: bool = False


def draw(chart: Chart, format: Format) -> bytes:
    """The picture's bytes. An SVG carries its title and whole as text for who cannot see it. Raises ChartBroken."""
    import typst  # 80 MB of typesetting, loaded when a picture is made and not before

    made = typst.compile(
        template() + _ALONE, sys_inputs={"data": json.dumps(picture_data(chart))}, ignore_system_fonts=True,
        format=format, ppi=_PPI, timestamp=0,
    )  # fmt: skip
    picture: bytes = made
    return _named(picture, chart) if format == "svg" else picture


#: A picture that stands alone: as wide as the text of a page, as tall as it needs.
_ALONE: Final = b"""
#let data = json(bytes(sys.inputs.data))
#set document(title: data.title)
#set page(width: 168mm, height: auto, margin: 4mm, fill: white)
#chart(data, 160mm)
"""


def template() -> bytes:
    """The Typst code of charts: `chart(data, width)` of what `picture_data` gives."""
    return files("entrepot.insight.drawing").joinpath("chart.typ").read_bytes()


@singledispatch
def picture_data(chart: Chart) -> dict[str, Any]:
    """What the template draws: places as parts of the plot, everything else as text. Raises ChartBroken."""
    raise TypeError(f"{type(chart).__name__} is no chart")


@picture_data.register
def _(chart: Bars) -> dict[str, Any]:
    _some(len(chart.bars), "bars", chart.title)
    scale = axis([*(each.value for each in chart.bars), *(each.value for each in chart.guides)])
    return {
        "kind": "columns" if chart.upright else "bars", **_words(chart, [each.standing for each in chart.bars]),
        "zero": scale.at(0), "guides": _guides(chart.guides, scale),
        "bars": [
            {
                "name": each.name, "shown": each.shown, "standing": each.standing, "negative": each.value < 0,
                "start": scale.at(min(each.value, 0)), "end": scale.at(max(each.value, 0)),
            }
            for each in chart.bars
        ],
    }  # fmt: skip


def _words(chart: Chart, standings: list[Standing]) -> dict[str, Any]:
    """A legend stands only where something is told apart by it."""
    found = [each for each in STANDINGS if each in standings]
    legend = [[each, getattr(chart.legend, each)] for each in found] if found != ["books"] else []
    return {"title": chart.title, "whole": chart.whole, "note": chart.note, "legend": legend}


def _guides(guides: tuple[Guide, ...], scale: Axis) -> list[dict[str, Any]]:
    return [{"name": each.name, "at": scale.at(each.value)} for each in guides]


def _some(count: int, what: str, title: str) -> None:
    if not count:
        raise ChartBroken(f"there are no {what} to draw in {title!r}: ask for a period in which something was sold")
    if count > MOST_MARKS:
        raise ChartBroken(f"{title!r} has {count} {what}, nobody reads more than {MOST_MARKS}: add up the small ones")


def _named(svg: bytes, chart: Chart) -> bytes:
    """With <title> and <desc>, which screen readers say and browsers show."""
    head, mark, rest = svg.partition(b">")
    words = f"<title>{escape(chart.title)}</title><desc>{escape(chart.whole)}</desc>"
    return head + b' role="img"' + mark + words.encode() + rest
