"""What is asked of a measure, and what comes back."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import msgspec

from entrepot.insight.books import Asked
from entrepot.insight.drawing.chart import Chart
from entrepot.insight.entries import Entered
from entrepot.insight.facts import Dimension, Facts
from entrepot.insight.growth import Window
from entrepot.insight.signs import Used

Picture = Literal["", "svg", "png", "pdf"]


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """`asked` is the period; `before` the one that it is compared with, dates too. `on` is the day of the asking;
    `text` a document that is asked about. What a measure has no use for it leaves alone."""

    measure: str
    asked: Asked
    by: Dimension = "group"
    before: tuple[str, str] = ("", "")
    window: Window = "month"
    quarters: bool = False
    months: int = 12
    name: str = ""
    year_starts: str = "01-01"
    on: str = ""
    picture: Picture = ""
    text: str = ""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """`figures` are JSON: amounts and shares as exact digits, never floats. `chart` None: there is nothing to draw."""

    figures: dict[str, Any]
    chart: Chart | None


class Room(msgspec.Struct, frozen=True, kw_only=True):
    """Where a measure finds what it needs."""

    gather: Callable[[Asked], Facts]
    entered: Entered
    made_by: Mapping[str, str] = {}  # model → its vendor, "own" for own ones; as the catalog says
    daily: Callable[[str, str], Sequence[Used]] = lambda from_, until: ()  # what each customer used, day by day

    def facts(self, question: Question) -> Facts:
        return self.gather(question.asked)

    def earlier(self, question: Question) -> Facts:
        """Of the period that it is compared with, on the same base."""
        starts_on, until = question.before
        return self.gather(msgspec.structs.replace(question.asked, starts_on=starts_on, until=until))
