"""A month in which somebody is below zero: what has no figure is a sentence, in money, and the rest is told."""

import re
from collections.abc import Callable

import pytest
from msgspec.structs import replace

from entrepot.cli import insight_text
from entrepot.insight.answers import change, concentration, dependence
from entrepot.insight.answers.growth import answer_growth
from entrepot.insight.answers.question import Answer, Question, Room
from entrepot.insight.books import Asked
from entrepot.insight.entries import Entered
from entrepot.insight.facts import Base, Facts, NothingSold, Sale
from entrepot.insight.report.board import Board, Figure
from entrepot.insight.report.language import language
from entrepot.insight.report.making import board
from entrepot.insight.report.material import Material
from entrepot.insight.report.wanted import Wanted, cases
from reported_house import material

EURO = 10**9
YEAR = Base(kind="billed", currency="EUR", scale=9, starts_on="2026-06-01", until="2026-11-01")


def sale(month: str, customer: str, euros: int) -> Sale:
    return Sale(month=month, customer=customer, model="m", vendor="v", amount=euros * EURO, quantity=abs(euros),
                cost=0, source=f"R-{month}-{customer}")  # fmt: skip


def asked(sales: list[Sale], base: Base = YEAR) -> tuple[Question, Room]:
    period = Asked(kind="billed", starts_on=base.starts_on, until=base.until)
    question = Question(measure="", asked=period, before=("2026-01-01", "2026-06-01"))
    return question, Room(gather=lambda _: Facts(base=base, sales=tuple(sales)), entered=Entered())


def said(of: Board) -> str:
    return "".join(each.text if isinstance(each, Figure) else each for each in of.lead)


@pytest.mark.parametrize("code", ["en", "de", "pt"])
def test_the_board_is_told_that_one_customer_is_more_than_all_of_it(code: str) -> None:
    month = Facts(base=replace(YEAR, until="2026-12-01"), sales=(
        sale("2026-10", "large", 60), sale("2026-10", "small", 50),
        sale("2026-11", "large", 100), sale("2026-11", "credited", -80),
    ))  # fmt: skip
    for small in (90, 20):
        facts = replace(month, sales=(*month.sales, sale("2026-11", "small", small)))
        wanted = Wanted(month="2026-11", made_on="2026-12-02")
        made = board(Material(
            service="x", month="2026-11", facts=facts, made_on=material().made_on,
            cases=cases(facts, wanted, language(code), Entered()),
        ), code)  # fmt: skip
        text = said(made).replace("\N{NO-BREAK SPACE}", " ")
        assert "large" in text
        assert ("Without it" in text) == (code == "en")
        nothing_left = small == 20
        assert bool(re.search("no growth of the rest|Kein Wachstum|nenhum crescimento", text)) == nothing_left
        assert not re.search(r"\d{6}", text), "amounts are money, never units of the books"


def test_months_are_told_although_the_last_has_no_pace_to_go_on_at() -> None:
    sales = [sale("2026-06", "a", 10), sale("2026-07", "a", 20), sale("2026-10", "a", 5), sale("2026-10", "b", -5)]
    for rest, amount in ((sales, "0.00"), ([*sales, sale("2026-10", "b", -60)], "-60.00")):
        answer = answer_growth(*asked(rest))
        shown = insight_text.growth(answer.figures)
        assert "100.0 %" in shown
        assert f"no run-rate: {amount} EUR was sold from 2026-10-01 until 2026-11-01" in shown
        assert (answer.figures["run_rate"], answer.figures["replace"]) == (None, None)
        assert answer.chart is not None
        assert answer.chart.note == answer.figures["why"]
    assert insight_text.growth(answer_growth(*asked(sales[:2], replace(YEAR, until="2026-08-01"))).figures).count(
        "run-rate 240.00 EUR a year"
    ) == 1  # fmt: skip


@pytest.mark.parametrize("answer", [concentration.answer, dependence.answer])
def test_a_refusal_says_money(answer: Callable[[Question, Room], Answer]) -> None:
    question, room = asked([sale("2026-10", "a", -60)])
    with pytest.raises(NothingSold, match=r"-60\.00 EUR"):
        answer(replace(question, on="2026-11-22"), room)


def test_a_change_of_what_no_model_was_bought_for_has_its_name() -> None:
    fee = replace(sale("2026-10", "a", 5), model="", vendor="", quantity=0, beside_usage=True)
    found = change.answer(*_by("vendor", [sale("2026-10", "a", 3), fee])).figures
    assert {each["name"] for each in found["parts"]} == {"v", "(beside usage)"}


def _by(dimension: str, sales: list[Sale]) -> tuple[Question, Room]:
    question, room = asked(sales)
    now = room.gather(question.asked)
    before = replace(now, base=replace(YEAR, starts_on="2026-01-01", until="2026-06-01"), sales=())
    gather = {question.asked.starts_on: now, question.before[0]: before}
    return replace(question, by=dimension), replace(room, gather=lambda each: gather[each.starts_on])
