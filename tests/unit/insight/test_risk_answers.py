"""Positions, payback and losses as they are asked: from books and entered figures, or a sentence that says what is
missing."""

from fractions import Fraction
from typing import Any

import msgspec
import pytest

from entrepot.cli import risk_text
from entrepot.insight.answers import loss, payback, positions
from entrepot.insight.answers.question import Question, Room
from entrepot.insight.books import Asked
from entrepot.insight.currency import RateMissing
from entrepot.insight.entered import read_entered
from entrepot.insight.facts import Base, Facts, InsightError, NothingSold, Sale

JUNE = Base(kind="billed", currency="USD", scale=9, starts_on="2024-06-01", until="2024-07-01")
QUESTION = Question(measure="", asked=Asked(kind="billed", starts_on="2024-06-01", until="2024-07-01"))
UNIT = 10**9


def _sale(customer: str, millions: int, cost: int | None, **more: Any) -> Sale:
    known = None if cost is None else cost * 10**6 * UNIT
    return Sale(month="2024-06", customer=customer, amount=millions * 10**6 * UNIT, cost=known, **more)


FACTS = Facts(base=JUNE, sales=(
    _sale("tiktok", 20, 12, group="bytedance", vendor="openai"), _sale("others", 60, 36, vendor="openai"),
    _sale("openai", 3, 1, vendor="host")))  # fmt: skip


def _room(text: str, facts: Facts = FACTS) -> Room:
    return Room(gather=lambda asked: facts, entered=read_entered(f"format = 1\n{text}", "figures.toml"))


def _figure(name: str, value: object, unit: str) -> str:
    return f'[[figure]]\nname = "{name}"\nvalue = {value}\nunit = "{unit}"\nstanding = "assumed"\nsource = "a test"\n'


def _stream(of: str, stream: str, direction: str, amount: str, currency: str = "USD", month: str = "") -> str:
    when = f'month = "{month}"\n' if month else ""
    return (
        f'[[stream]]\ncounterparty = "{of}"\nstream = "{stream}"\ndirection = "{direction}"\namount = {amount}\n'
        f'currency = "{currency}"\n{when}standing = "reported"\nsource = "press"\n'
    )


def test_a_vendor_that_rents_from_us_and_buys_here_has_one_position() -> None:
    text = _stream("openai", "rent", "in", "120_000_000.00") + _stream(
        "openai", "share", "out", "7.00", month="2024-05"
    )
    answer = positions.answer(QUESTION, _room(text))
    first = answer.figures["parts"][0]
    assert [first[name] for name in ("name", "received", "paid", "net")] == ["openai", "13000000.00", "48000000.00",
                                                                               "-35000000.00"]  # fmt: skip
    assert [each["standing"] for each in first["standings"]] == ["books", "reported"]
    assert [each["stream"] for each in first["flows"]] == ["cost of goods", "rent", "sales"]
    assert [each["name"] for each in answer.figures["parts"]] == ["openai", "host"]
    assert "cost of goods" in risk_text.positions(answer.figures)
    bars = [(bar.name, bar.standing) for bar in answer.chart.bars]  # type: ignore[attr-defined]
    assert bars == [("openai pays us", "reported"), ("openai is paid", "books"), ("host is paid", "books")]


def test_a_stream_in_another_currency_needs_a_rate_and_days_are_no_months() -> None:
    euros = _stream("openai", "rent", "in", "12.00", "EUR")
    with pytest.raises(RateMissing, match="in EUR and in USD, and no rate between them for 2024-06"):
        positions.answer(QUESTION, _room(euros))
    rate = '[[exchange]]\nfrom = "EUR"\nto = "USD"\nrate = 1.10\nsource = "ECB"\n'
    flows = positions.answer(QUESTION, _room(euros + rate)).figures["parts"][0]["flows"]
    assert [each["amount"] for each in flows if each["stream"] == "rent"] == ["1.10"]
    part = Facts(base=msgspec.structs.replace(JUNE, until="2024-06-15"), sales=FACTS.sales)
    with pytest.raises(InsightError, match="whole months"):
        positions.answer(QUESTION, _room(euros + rate, part))
    with pytest.raises(NothingSold, match="no flows"):
        positions.answer(QUESTION, _room("", Facts(base=JUNE, sales=())))


CAPEX = _figure("capital expenditure", "19_000_000_000", "USD")
YEARS = _figure("years to earn capital expenditure back", 15, "years")
DISCOUNT = _figure("discount rate", 8, "% a year")


@pytest.mark.long
def test_nineteen_billion_at_the_margin_of_a_month() -> None:
    """34 M a month: 558.8 months, and never at 8 % a year; 15 years need 105.6 M a month, 3.1 times as much."""
    found = payback.answer(QUESTION, _room(CAPEX + YEARS + DISCOUNT)).figures
    assert (found["margin_of_a_month"], found["months"]) == ("34000000.00", "558.823529412")
    assert found["discounted_months"] is None
    plain, discounted = found["needed"]
    assert (round(float(plain["of_a_month"])), plain["times"][:4]) == (105_555_556, "3.10")
    assert Fraction(discounted["of_a_month"]) > Fraction(plain["of_a_month"])
    text = risk_text.payback(found)
    assert "earns it back in 558.8 months (46.6 years)" in text
    assert "not within 600 months" in text
    small = payback.answer(QUESTION, _room(_figure("capital expenditure", "340_000_000", "USD") + DISCOUNT)).figures
    assert small["months"] == "10.000000000"
    assert Fraction("10.3") < Fraction(small["discounted_months"]) < Fraction("10.5")
    assert small["needed"] == []
    assert "in 10.0 months" in risk_text.payback(small)


def test_payback_without_an_outlay_a_cost_or_a_margin_says_so() -> None:
    with pytest.raises(InsightError, match=r'no figure "capital expenditure" is entered .* entered are: discount rate'):
        payback.answer(QUESTION, _room(DISCOUNT))
    unknown = Facts(base=JUNE, sales=(_sale("a", 5, None),))
    with pytest.raises(InsightError, match="no cost of these sales is known"):
        payback.answer(QUESTION, _room(CAPEX, unknown))
    with pytest.raises(NothingSold, match=r"the margin is -4000000\.00 USD a month"):
        payback.answer(QUESTION, _room(CAPEX, Facts(base=JUNE, sales=(_sale("a", 5, 9),))))
    with pytest.raises(NothingSold):
        payback.answer(QUESTION, _room(CAPEX, Facts(base=JUNE, sales=())))
    with pytest.raises(RateMissing):
        payback.answer(QUESTION, _room(_figure("capital expenditure", 5, "EUR")))


CHANCE = _figure("chance that a customer leaves", 5, "%")


def test_the_expected_loss_takes_the_chance_of_each_and_of_any_other() -> None:
    answer = loss.answer(QUESTION, _room(CHANCE + _figure("chance that bytedance leaves", 30, "%")))
    found = answer.figures
    assert (found["revenue"], found["expected"]) == ("83000000.00", "9150000.00")
    assert found["exact"]
    assert found["value_at_risk"] == "23000000.00", "with 95 % the others stay, and at most the other two go"
    above = {each["part"][:4]: each["chance"] for each in found["above"]}
    assert Fraction(above["0.20"]) == 1 - Fraction(70, 100) * Fraction(95, 100)
    assert Fraction(above["0.50"]) == Fraction(5, 100)
    assert "concentration-adjusted run-rate, z = 1.645" in risk_text.loss(found)
    assert [bar.standing for bar in answer.chart.bars] == ["assumed"] * 5  # type: ignore[attr-defined]


def test_without_a_chance_or_a_sale_it_says_so() -> None:
    with pytest.raises(InsightError, match="no chance is entered with which others leaves"):
        loss.answer(QUESTION, _room(""))
    with pytest.raises(NothingSold, match="nothing can be lost"):
        loss.answer(QUESTION, _room(CHANCE, Facts(base=JUNE, sales=())))
    with pytest.raises(InsightError, match="both lie between 0 and 1"):
        loss.answer(QUESTION, _room(_figure("chance that a customer leaves", 101, "%")))
