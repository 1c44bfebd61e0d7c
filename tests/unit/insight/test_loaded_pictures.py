"""Pictures of books that were loaded: nothing that rests on a reported or assumed amount is drawn as our books'."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from entrepot.insight.answers import change, concentration, dependence, growth, loss, margin, payback, positions
from entrepot.insight.answers.question import Answer, Question, Room
from entrepot.insight.books import Asked
from entrepot.insight.drawing.chart import Bars, Dots, Waterfall
from entrepot.insight.entries import Entered, Expectation, Figure
from entrepot.insight.facts import Facts
from entrepot.insight.growth import ExpectationMissing
from reported_house import BASE, facts, of_month

ASKED = Asked(kind="billed", starts_on="2024-03-01", until="2024-04-01")
QUESTION = Question(measure="m", asked=ASKED, before=("2024-02-01", "2024-03-01"), on="2024-04-09")
ENTERED = Entered(
    expectation=(Expectation(of="revenue", period="2024-03", by="consensus", least=Decimal(1), most=Decimal(1),
                             standing="reported", source="x"),),
    figure=(
        Figure(name="capital expenditure", value=Decimal(10**9), unit="USD", standing="reported", source="x"),
        Figure(name="years to earn capital expenditure back", value=Decimal(5), standing="reported", source="x"),
        Figure(name="chance that a customer leaves", value=Decimal(5), standing="reported", source="x"),
    ),
)  # fmt: skip
LOADED = replace(facts(), sales=tuple(replace(each, standing="assumed", source="assumed: x") for each in facts().sales))


def room(of: Facts) -> Room:
    def gather(asked: Asked) -> Facts:
        month = asked.starts_on[:7]
        if month == "2024-03":
            return of_month(of)
        base = replace(BASE, starts_on=asked.starts_on, until=asked.until)
        return replace(of, base=base, sales=tuple(each for each in of.sales if each.month == month))

    return Room(gather=gather, entered=ENTERED)


def drawn(answer: Answer) -> list[str]:
    """The standings of all marks but those of what was entered as expected, or is needed."""
    chart = answer.chart
    if isinstance(chart, Bars):
        return [each.standing for each in chart.bars if not each.name.startswith("needed")]
    if isinstance(chart, Waterfall):
        return [each.standing for each in chart.steps]
    assert isinstance(chart, Dots)
    return [dot.standing for row in chart.rows for dot in row.dots if "came" in dot.shown]


@pytest.mark.parametrize(
    "answer",
    [concentration.answer, change.answer, growth.answer_growth, growth.answer_retention, growth.answer_surprise,
     margin.answer, dependence.answer, positions.answer, payback.answer, loss.answer],
)  # fmt: skip
def test_what_was_loaded_is_drawn_as_assumed_and_our_books_as_ours(answer: Callable[..., Any]) -> None:
    assert set(drawn(answer(QUESTION, room(LOADED)))) == {"assumed"}
    own = {"reported"} if answer is loss.answer else {"books"}  # its chances were reported
    assert set(drawn(answer(QUESTION, room(facts())))) == own


def test_positions_say_what_the_books_were_loaded_with() -> None:
    [first, *_] = positions.answer(QUESTION, room(LOADED)).figures["parts"]
    [flow, *_] = first["flows"]
    assert (flow["standing"], flow["source"]) == ("assumed", "billed figures of books loaded with assumed amounts")


def test_what_came_of_a_month_that_is_not_over_is_not_told() -> None:
    told = growth.answer_surprise(QUESTION, room(facts())).figures
    assert (len(told["expectations"]), told["open"]) == (1, [])
    with pytest.raises(ExpectationMissing, match="nor in our books, which know revenue"):
        growth.answer_surprise(replace(QUESTION, on="2024-03-31"), room(facts()))
