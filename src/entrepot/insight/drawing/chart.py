"""What can be drawn: charts as values of texts and numbers, and the one function that makes pictures of them.

Every chart states what it shows (`title`) and of which whole, on which base (`whole`). Where a number comes from is
told by how it is filled, never by colour alone: solid is our books, ruled is what others reported, hatched is assumed.
What is written beside a mark (`shown`) is the caller's text in the caller's language; the numbers only place marks.
"""

import json
from collections.abc import Iterable
from fractions import Fraction
from html import escape
from importlib.resources import files
from typing import Any, Final, Literal

import msgspec

from entrepot.insight.drawing.axis import Axis, Number, apart, axis
from entrepot.insight.drawing.marks import Bar, Guide, Legend, Line, Row, Step, Ticks
from entrepot.insight.facts import STANDINGS, InsightError, Standing
from entrepot.kernel.errors import Fault

Format = Literal["svg", "png", "pdf"]
FORMATS: Final[tuple[Format, ...]] = ("svg", "png", "pdf")
#: More marks than this do not fit on a page that somebody reads; the caller adds the small ones up.
MOST_MARKS: Final = 60
#: A millimetre is a dozen dots on paper then.
_PPI: Final = 300.0
#: A line's name stands at its end; two of them need this part of the height between them.
_LABEL_GAP: Final = 0.09


class ChartBroken(InsightError):
    """A chart of nothing, or of more than can be read."""

    code = "chart_broken"
    fault = Fault.CALLER


class Chart(msgspec.Struct, frozen=True, kw_only=True):
    """What all charts say: what is shown, of which whole on which base, and a note below."""

    title: str
    whole: str
    note: str = ""
    legend: Legend = Legend()

    def placed(self) -> dict[str, Any]:
        """What the template draws: places as parts of the plot, everything else as text. Raises ChartBroken."""
        raise NotImplementedError

    def _some(self, count: int, what: str, least: int = 1, most: int = MOST_MARKS) -> None:
        if count < least:
            raise ChartBroken(
                f"{self.title!r} has {count} {what}, and there is no picture of fewer than {least}: ask for a period "
                "in which something was sold"
            )
        if count > most:
            raise ChartBroken(f"{self.title!r} has {count} {what}, nobody reads over {most}: add up the small ones")

    def _words(self, kind: str, standings: Iterable[Standing]) -> dict[str, Any]:
        """A legend stands only where something is told apart by it."""
        found = {*standings}
        legend = [[each, getattr(self.legend, each)] for each in STANDINGS if each in found]
        shown = legend if found != {"books"} else []
        return {"kind": kind, "title": self.title, "whole": self.whole, "note": self.note, "legend": shown}


class Bars(Chart, frozen=True, kw_only=True):
    """Amounts or shares beside each other, in the order given; `upright` where the names are months."""

    bars: tuple[Bar, ...]
    guides: tuple[Guide, ...] = ()
    upright: bool = False

    def placed(self) -> dict[str, Any]:
        self._some(len(self.bars), "bars")
        scale = axis([*(each.value for each in self.bars), *(each.value for each in self.guides)])
        kind = "columns" if self.upright else "bars"
        return {
            **self._words(kind, (each.standing for each in self.bars)), "zero": scale.at(0),
            "guides": _guides(self.guides, scale),
            "bars": [
                {"name": each.name, "shown": each.shown, "standing": each.standing, **_span(scale, 0, each.value)}
                for each in self.bars
            ],
        }  # fmt: skip


class Lines(Chart, frozen=True, kw_only=True):
    """How something went, month by month: at most six lines, each named at its end and not in a legend. `names` stand
    below; a value is None where there is none, and the line is broken there. `zero`: the axis begins at zero."""

    names: tuple[str, ...]
    lines: tuple[Line, ...]
    guides: tuple[Guide, ...] = ()
    ticks: Ticks = Ticks()
    zero: bool = True

    def placed(self) -> dict[str, Any]:
        self._some(len(self.lines), "lines", most=6)
        self._some(len(self.names), "months", least=2)
        for each in self.lines:
            if len(each.values) != len(self.names) or all(value is None for value in each.values):
                found = sum(value is not None for value in each.values)
                raise ChartBroken(f"the line {each.name!r} has {found} values for {len(self.names)} months")
        known = [value for each in self.lines for value in each.values if value is not None]
        scale = axis([*known, *(each.value for each in self.guides)], zero=self.zero, round_ends=True)
        ends = [scale.at(next(value for value in reversed(each.values) if value is not None)) for each in self.lines]
        guides = _guides(self.guides, scale)
        labels = apart([*ends, *(each["at"] for each in guides)], _LABEL_GAP)
        return {
            **self._words("lines", (each.standing for each in self.lines)), "names": list(self.names),
            "zero": scale.at(0), "ticks": _ticks(self.ticks, scale),
            "guides": [{**each, "label": label} for each, label in zip(guides, labels[len(ends) :], strict=True)],
            "lines": [
                {
                    "name": each.name, "shown": each.shown, "standing": each.standing, "label": label,
                    "at": [None if value is None else scale.at(value) for value in each.values],
                }
                for each, label in zip(self.lines, labels, strict=False)
            ],
        }  # fmt: skip


class Lorenz(Chart, frozen=True, kw_only=True):
    """How unequal the parts are: `curve` from (0, 0) to (1, 1), smallest first. `across` and `up` name the axes,
    `equal` the line of equality; `said` stands beside it (Gini, what the largest have)."""

    curve: tuple[tuple[Number, Number], ...]
    across: str
    up: str
    equal: str
    said: tuple[str, ...] = ()
    ticks: Ticks = Ticks(text="{} %", times=100)

    def placed(self) -> dict[str, Any]:
        self._some(len(self.curve), "points", least=2, most=10_001)
        if self.curve[0] != (0, 0) or self.curve[-1] != (1, 1):
            raise ChartBroken(f"the curve of {self.title!r} does not go from (0, 0) to (1, 1)")
        whole = axis([0, 1], round_ends=True)
        return {
            **self._words("lorenz", ["books"]), "across": self.across, "up": self.up, "equal": self.equal,
            "said": list(self.said), "ticks": _ticks(self.ticks, whole),
            "curve": [[whole.at(x), whole.at(y)] for x, y in _thinned(self.curve)],
        }  # fmt: skip


class Waterfall(Chart, frozen=True, kw_only=True):
    """From one total to the next, change by change; what is drawn adds up, or nothing is drawn. Where the changes are
    small beside the totals, these are cut short, with a mark across them and `cut` below, so that changes can be seen.
    """

    steps: tuple[Step, ...]
    cut: str = "The totals are cut short: zero lies below."

    def placed(self) -> dict[str, Any]:
        self._some(len(self.steps), "steps", least=2, most=12)
        spans = self._spans()
        levels = [level for _, level in spans]
        scale = axis([end for span in spans for end in span])
        if cut := min(levels) > 0 and 4 * (max(levels) - min(levels)) < max(levels) > min(levels):
            scale = Axis(low=min(levels) - (max(levels) - min(levels)) / 2, high=max(levels))
        return {
            **self._words("waterfall", (each.standing for each in self.steps)), "zero": scale.at(0),
            "cut": self.cut if cut else "",
            "steps": [
                {
                    "name": each.name, "shown": each.shown, "standing": each.standing, "total": each.total,
                    "level": scale.at(span[1]), **_span(scale, *span),
                }
                for each, span in zip(self.steps, spans, strict=True)
            ],
        }  # fmt: skip

    def _spans(self) -> list[tuple[Fraction, Fraction]]:
        """From where to where each step goes."""
        spans: list[tuple[Fraction, Fraction]] = []
        level = Fraction(0)
        for number, each in enumerate(self.steps):
            value = Fraction(each.value)
            if each.total and number and value != level:
                raise ChartBroken(f"the steps of {self.title!r} come to {level} before {each.name!r}, which is {value}")
            spans.append((Fraction(0), value) if each.total else (level, level + value))
            level = spans[-1][1]
        return spans


class Dots(Chart, frozen=True, kw_only=True):
    """Points on one scale, row by row: what was expected, what came. A row may have a band (a guidance)."""

    rows: tuple[Row, ...]
    guides: tuple[Guide, ...] = ()
    ticks: Ticks = Ticks()
    zero: bool = False

    def placed(self) -> dict[str, Any]:
        self._some(sum(len(each.dots) for each in self.rows), "dots")
        values = [dot.value for each in self.rows for dot in each.dots]
        values += [end for each in self.rows for end in each.band]
        scale = axis([*values, *(each.value for each in self.guides)], zero=self.zero, round_ends=True)
        return {
            **self._words("dots", (dot.standing for each in self.rows for dot in each.dots)),
            "guides": _guides(self.guides, scale), "ticks": _ticks(self.ticks, scale),
            "rows": [
                {
                    "name": each.name, "band": [scale.at(end) for end in each.band], "band_name": each.band_name,
                    "dots": [
                        {"shown": dot.shown, "standing": dot.standing, "at": scale.at(dot.value)}
                        for dot in sorted(each.dots, key=lambda dot: dot.value)
                    ],
                }
                for each in self.rows
            ],
        }  # fmt: skip


def draw(chart: Chart, format: Format, *, headed: bool = True) -> bytes:
    """The picture's bytes. An SVG carries its title and whole as text for who cannot see it. Not `headed`: title and
    whole stand on the page that it is put into. Raises ChartBroken."""
    import typst  # 80 MB of typesetting, loaded when a picture is made and not before

    data = json.dumps({**chart.placed(), "headed": headed})
    made: bytes = typst.compile(
        template() + _ALONE, sys_inputs={"data": data}, ignore_system_fonts=True, format=format, ppi=_PPI, timestamp=0
    )
    return _named(made, chart) if format == "svg" else made


#: A picture that stands alone: as wide as the text of a page, as tall as it needs.
_ALONE: Final = b"""
#let data = json(bytes(sys.inputs.data))
#set document(title: data.title)
#set page(width: 168mm, height: auto, margin: if data.headed { 4mm } else { (x: 4mm, y: 1mm) }, fill: white)
#chart(data, 160mm)
"""


def template() -> bytes:
    """The Typst code of charts: `chart(data, width)` of what `placed` gives."""
    return files("entrepot.insight.drawing").joinpath("chart.typ").read_bytes()


def _span(scale: Axis, one: Number, other: Number) -> dict[str, Any]:
    """From the lower to the higher of two ends, and whether it goes down."""
    return {"start": scale.at(min(one, other)), "end": scale.at(max(one, other)), "negative": other < one}


def _guides(guides: Iterable[Guide], scale: Axis) -> list[dict[str, Any]]:
    return [{"name": each.name, "at": scale.at(each.value)} for each in guides]


def _ticks(ticks: Ticks, scale: Axis) -> list[dict[str, Any]]:
    step = scale.ticks[1] - scale.ticks[0]
    return [{"text": ticks.show(each, step), "at": scale.at(each)} for each in scale.ticks]


def _thinned(curve: tuple[tuple[Number, Number], ...]) -> Iterable[tuple[Number, Number]]:
    """Some 500 points of many: more than a printer tells apart. The ends stay."""
    every = -(-len(curve) // 500)
    return (*curve[:-1:every], curve[-1])


def _named(svg: bytes, chart: Chart) -> bytes:
    """With <title> and <desc>, which screen readers say and browsers show."""
    head, mark, rest = svg.partition(b">")
    words = f"<title>{escape(chart.title)}</title><desc>{escape(chart.whole)}</desc>"
    return head + b' role="img"' + mark + words.encode() + rest
