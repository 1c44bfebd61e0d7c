"""Figures of several currencies come to one only at a rate that somebody entered."""

from fractions import Fraction

import msgspec
import pytest

from entrepot.insight.currency import ExchangeRate, RateMissing, converted
from entrepot.insight.facts import BasesMixed, Facts, InsightError, Sale, together
from sold import JANUARY, sold

DOLLARS = msgspec.structs.replace(JANUARY, currency="USD", scale=9)
ECB = "ECB reference rate, average of the month"


def _rate(rate: str, month: str = "2026-01", into: str = "EUR") -> ExchangeRate:
    return ExchangeRate(currency="USD", into=into, month=month, rate=Fraction(rate), standing="reported", source=ECB)


def test_dollars_become_euros_at_the_rate_of_their_month_and_meet_them() -> None:
    facts = Facts(base=DOLLARS, sales=(Sale(month="2026-01", customer="us", amount=200 * 10**9, cost=100 * 10**9),))
    with pytest.raises(BasesMixed, match="currency 'EUR' and 'USD'"):
        together([sold({"de": 100_00}), facts])
    euros = converted(facts, "EUR", 2, [_rate("0.925"), _rate("5", "2026-02")])
    assert (euros.sales[0].amount, euros.sales[0].cost, euros.base.currency) == (185_00, 92_50, "EUR")
    assert together([sold({"de": 100_00}), euros]).total() == 285_00


def test_without_a_rate_it_says_which_one_is_missing() -> None:
    facts = sold({"us": 5}, DOLLARS)
    for rates in ([], [_rate("0.9", "2026-02")], [_rate("0.9", into="GBP")]):
        with pytest.raises(RateMissing, match="no rate from USD into EUR for 2026-01; enter one with its source"):
            converted(facts, "EUR", 2, rates)
    assert converted(facts, "EUR", 9, [_rate("1", "")]).total() == 5, "a rate for every month that has none of its own"


def test_a_rate_of_nothing_and_two_for_one_month_are_refused() -> None:
    with pytest.raises(InsightError, match="must be above 0"):
        converted(sold({"us": 5}, DOLLARS), "EUR", 2, [_rate("0")])
    with pytest.raises(InsightError, match="two rates from USD into EUR for 2026-01"):
        converted(sold({"us": 5}, DOLLARS), "EUR", 2, [_rate("0.9"), _rate("0.91")])


def test_the_same_currency_only_changes_its_scale() -> None:
    assert converted(sold({"de": 5}), "EUR", 9, []).total() == 5 * 10**7
