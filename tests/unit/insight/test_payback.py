"""Payback, NPV and IRR against the tables of the textbook."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrepot.insight.facts import InsightError
from entrepot.insight.payback import even, needed, payback

TENTH = Fraction(1, 10)


@pytest.mark.parametrize(
    ("flows", "npv", "whole_years"),
    [
        pytest.param((500, 500, 5000), 2624, 3, id="project A"),
        pytest.param((500, 1800, 0), -58, 2, id="project B"),
        pytest.param((1800, 500, 0), 50, 2, id="project C"),
    ],
)
def test_the_three_projects_of_brealey_myers_allen(flows: tuple[int, ...], npv: int, whole_years: int) -> None:
    """Principles of Corporate Finance, ch. 5, the payback table: 2,000 invested, 10 %."""
    found = payback(2000, flows, TENTH)
    assert found.npv == npv
    assert found.periods is not None
    assert whole_years - 1 < found.periods <= whole_years


def test_the_rate_of_return_of_brealey_myers_allen() -> None:
    """Ch. 5: -4,000, +2,000, +4,000 has an IRR of 28.08 %."""
    irr = payback(4000, (2000, 4000)).irr
    assert irr is not None
    assert round(irr * 100, 2) == Fraction("28.08")


def test_what_is_never_earned_back_is_said_and_not_a_number() -> None:
    found = payback(2000, (500, 1800, 0), TENTH)
    assert (found.discounted, found.why) == (None, "discounted at 1/10 they do not")
    never = payback(100, (-5, 20))
    assert (never.periods, never.irr is None) == (None, False)
    lossy = payback(100, (-5, -20))
    assert lossy.irr is None
    assert lossy.why.startswith("2 periods do not earn the outlay back")
    assert payback(100, (230, -132)).irr is None, "signs change twice: -100, 230, -132 has 10 % and 20 %"


@pytest.mark.parametrize(
    ("outlay", "flows", "rate"), [(0, (1,), 0), (-5, (1,), 0), (5, (), 0), (5, (1,), -1), (5, (1,) * 601, 0)]
)
def test_what_makes_no_sense_is_refused(outlay: int, flows: tuple[int, ...], rate: int) -> None:
    with pytest.raises(InsightError):
        payback(outlay, flows, rate)


def test_fifteen_years_of_the_case_need_an_even_contribution() -> None:
    """19 bn over 15 years: 105.6 M a month, or at 10 % a year (compounded monthly) 204.2 M."""
    bn = 10**9
    assert even(19 * bn, needed(19 * bn, 180)) <= 180
    assert needed(19 * bn, 180) == 105_555_556
    assert round(Fraction(needed(19 * bn, 180, Fraction(1, 120)), 10**6), 1) == Fraction("204.2")
    for outlay, each in ((0, 1), (1, 0), (5, -1)):
        with pytest.raises(InsightError, match="never earned back"):
            even(outlay, each)
    for periods in (0, 601):
        with pytest.raises(InsightError):
            needed(5, periods)


@given(st.integers(1, 10**12), st.lists(st.integers(0, 10**12), min_size=1, max_size=40), st.integers(0, 30))
def test_discounting_never_pays_back_sooner_and_npv_agrees_with_it(outlay: int, flows: list[int], percent: int) -> None:
    found = payback(outlay, flows, Fraction(percent, 100))
    if found.discounted is not None:
        assert found.periods is not None
        assert found.discounted >= found.periods
        assert found.npv >= 0, "flows that do not turn negative, paid back discounted, are worth the outlay"
    else:
        assert found.npv <= 0
    if found.irr is not None and abs(found.npv) > 1:
        assert (found.npv > 0) == (found.irr > Fraction(percent, 100))
