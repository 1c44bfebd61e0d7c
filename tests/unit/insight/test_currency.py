"""Figures of several currencies come to one only at a rate that somebody entered."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrepot.insight.currency import ExchangeRate, RateMissing, exchanged, rate
from entrepot.insight.facts import InsightError

PAIR = ("USD", "EUR")


def _rate(value: str, month: str = "2026-01", of: str = "USD", into: str = "EUR", source: str = "ECB") -> ExchangeRate:
    return ExchangeRate(currency=of, into=into, month=month, rate=Fraction(value), standing="reported", source=source)


def test_dollars_become_euros_at_the_rate_of_their_month_else_of_every_month() -> None:
    rates = [_rate("5", "2026-02"), _rate("0.9", ""), _rate("0.925")]
    assert exchanged(200 * 10**9, PAIR, "2026-01", rates) == 185 * 10**9
    assert exchanged(200 * 10**9, PAIR, "2026-03", rates) == 180 * 10**9
    assert exchanged(7, ("CHF", "CHF"), "2026-01", []) == 7


def test_currencies_of_other_ledger_units_keep_their_worth() -> None:
    """A yen has 7 places in the ledger, a dollar 9."""
    assert exchanged(1_500 * 10**7, ("JPY", "USD"), "2026-01", [_rate("150", "", "USD", "JPY")]) == 10 * 10**9


@given(st.fractions(Fraction(1, 1000), Fraction(1000), max_denominator=10**6), st.integers(0, 10**15))
def test_there_and_back_is_where_it_began(value: Fraction, units: int) -> None:
    rates = [ExchangeRate(currency="USD", into="EUR", rate=value)]
    assert rate(("EUR", "USD"), "2026-01", rates) == 1 / value
    assert exchanged(exchanged(units, PAIR, "2026-01", rates), ("EUR", "USD"), "2026-01", rates) == units


def test_a_rate_entered_this_way_round_goes_before_one_that_is_turned() -> None:
    rates = [_rate("1.25", of="EUR", into="USD"), _rate("0.9")]
    assert rate(PAIR, "2026-01", rates) == Fraction("0.9")
    assert rate(("EUR", "USD"), "2026-01", rates) == Fraction("1.25")


def test_without_a_rate_it_says_which_one_is_missing() -> None:
    for rates in ([], [_rate("0.9", "2026-02")], [_rate("0.9", into="GBP")]):
        with pytest.raises(RateMissing, match="amounts in USD and in EUR, and no rate between them for 2026-01"):
            exchanged(5, PAIR, "2026-01", rates)


def test_two_rates_for_one_month_are_refused_with_who_says_them() -> None:
    with pytest.raises(InsightError, match=r"two rates from USD to EUR for 2026-01 are entered \(ECB; a bank\): keep"):
        exchanged(5, PAIR, "2026-01", [_rate("0.9"), _rate("0.91", source="a bank")])
    with pytest.raises(InsightError, match="two rates from USD to EUR for every month"):
        exchanged(5, ("EUR", "USD"), "2026-01", [_rate("0.9", ""), _rate("0.91", "")])
    assert rate(PAIR, "2026-01", [_rate("0.9"), _rate("0.9", source="a bank")]) == Fraction("0.9")
