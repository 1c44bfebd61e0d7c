"""Growth: run-rates with their window, who stays, and what came against what was expected."""

from fractions import Fraction

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from entrepot.insight.facts import BasesMixed, Facts, InsightError, NothingSold, Sale
from entrepot.insight.growth import (
    ExpectationMissing,
    against_range,
    growth,
    replacement,
    required,
    retention,
    run_rate,
    series,
    surprise,
)  # fmt: skip
from sold import FEBRUARY, JANUARY, sold, some_sales

M = 10**6


def _months(amounts: dict[str, int], starts_on: str, until: str) -> Facts:
    base = msgspec.structs.replace(JANUARY, starts_on=starts_on, until=until)
    return Facts(
        base=base, sales=tuple(Sale(month=month, customer="a", amount=much) for month, much in amounts.items())
    )


def test_run_rates_of_the_case_and_their_windows() -> None:
    march = _months({"2024-03": 80 * M}, "2024-03-01", "2024-04-01")
    by_share = run_rate(march, "month")
    assert (by_share.amount, by_share.method, by_share.base.kind) == (960 * M, "last month × 12", "run-rate")
    assert (by_share.base.window_days, by_share.base.starts_on) == (31, "2024-03-01")
    assert run_rate(_months({"2024-03": 83 * M}, "2024-03-01", "2024-04-01"), "month").amount == 996 * M
    trailing = _months({"2024-03": 28 * M}, "2024-03-04", "2024-04-01")
    assert run_rate(trailing, "days").amount == 365 * M
    assert run_rate(trailing, "days").method == "last 28 days × 365 / 28"
    quarter = _months({"2024-01": 1, "2024-02": 2, "2024-03": 3, "2023-12": 99}, "2023-12-01", "2024-04-01")
    assert (run_rate(quarter, "quarter").amount, run_rate(quarter, "quarter").base.window_days) == (24, 91)


def test_a_run_rate_that_cannot_be_had_says_why() -> None:
    with pytest.raises(NothingSold, match="no pace to go on at"):
        run_rate(_months({"2024-03": -5}, "2024-03-01", "2024-04-01"), "month")
    with pytest.raises(NothingSold):
        run_rate(_months({"2024-02": 5}, "2024-02-01", "2024-04-01"), "month")
    with pytest.raises(InsightError, match="ends before 2024-03-20"):
        run_rate(_months({"2024-03": 5}, "2024-03-01", "2024-03-20"), "month")
    with pytest.raises(InsightError, match="last 3 months needs so many"):
        run_rate(_months({"2024-03": 5}, "2024-03-01", "2024-04-01"), "quarter")
    with pytest.raises(InsightError, match="not 'week'"):
        run_rate(_months({"2024-03": 5}, "2024-03-01", "2024-04-01"), "week")  # type: ignore[arg-type]
    with pytest.raises(InsightError, match="holds no day"):
        run_rate(_months({}, "2024-03-01", "2024-03-01"), "days")


def test_a_run_rate_never_meets_a_billed_figure() -> None:
    month = sold({"a": 5})
    rated = run_rate(month, "month")
    with pytest.raises(BasesMixed, match="kind 'run-rate' and 'billed'"):
        rated.base.same(month.base)


def test_retention_of_a_published_example() -> None:
    """dnoise.online, NRR: (200,000 - 6,000 - 4,000 + 20,000) / 200,000 = 105 %; GRR by its formula 95 %."""
    before = sold({"leaves": 6_000, "shrinks": 10_000, "grows": 84_000, "stays": 100_000})
    after = sold({"shrinks": 6_000, "grows": 104_000, "stays": 100_000, "comes": 50_000}, FEBRUARY)
    found = retention(before, after)
    assert (found.nrr, found.grr) == (Fraction(105, 100), Fraction(95, 100))
    assert (found.start, found.expansion, found.contraction, found.churned) == (200_000, 20_000, 4_000, 6_000)
    assert (found.new, [each.name for each in found.newcomers]) == (50_000, ["comes"])
    assert [each.name for each in found.customers] == ["stays", "grows", "shrinks", "leaves"]


def test_a_group_that_moves_revenue_within_itself_has_lost_nothing() -> None:
    before = Facts(base=JANUARY, sales=(Sale(month="2026-01", customer="a", group="g", amount=9),))
    after = Facts(base=FEBRUARY, sales=(Sale(month="2026-02", customer="b", group="g", amount=9),))
    assert (retention(before, after).grr, retention(before, after, "customer").grr) == (1, 0)


def test_retention_without_a_cohort_or_of_two_bases_is_refused_and_below_zero_is_named() -> None:
    with pytest.raises(NothingSold, match="nobody paid from 2026-01-01"):
        retention(sold({"a": -5}), sold({"a": 5}, FEBRUARY))
    with pytest.raises(BasesMixed):
        retention(sold({"a": 5}), sold({"a": 5}, msgspec.structs.replace(FEBRUARY, kind="earned")))
    found = retention(sold({"a": 10, "credited": -3}), sold({"a": 10, "credited": 4}, FEBRUARY))
    assert (found.nrr, [(each.name, each.before, each.after) for each in found.below_zero]) == (
        1,
        [("credited", -3, 4)],
    )


@pytest.mark.long
@given(some_sales("2026-01"), some_sales("2026-02"))
def test_what_holds_of_any_retention(first: list[Sale], then: list[Sale]) -> None:
    before, after = Facts(base=JANUARY, sales=tuple(first)), Facts(base=FEBRUARY, sales=tuple(then))
    assume(any(amount > 0 for amount in before.by("group").values()))
    found = retention(before, after)
    assert found.grr <= 1
    assert found.grr <= found.nrr
    stays = found.start + found.expansion - found.contraction - found.churned
    assert found.nrr == Fraction(stays, found.start)
    assert stays + found.new + sum(each.after for each in found.below_zero) == after.total(), "no revenue is lost"


@pytest.mark.long
@given(some_sales("2026-01"))
def test_nobody_leaves_is_the_base(sales: list[Sale]) -> None:
    facts = Facts(base=JANUARY, sales=tuple(sales))
    assume(any(amount > 0 for amount in facts.by("group").values()))
    found = retention(facts, facts)
    assert (found.nrr, found.grr, found.expansion, found.contraction, found.new) == (1, 1, 0, 0, 0)


def test_the_surprise_of_the_case_by_both_measures() -> None:
    """29 % against 30.6 % expected: -1.6 points, -5.2 % of what was expected; 1 to 2 points below guidance of 30-31."""
    found = surprise(Fraction(29), Fraction("30.6"))
    assert found.points == Fraction("-1.6")
    assert found.relative is not None
    assert round(found.relative * 100, 1) == Fraction("-5.2")
    ranged = against_range(29, 30, 31)
    assert (ranged.from_low, ranged.from_high, ranged.place) == (-1, -2, "below")
    assert (against_range(30, 30, 31).place, against_range(32, 30, 31).place) == ("within", "above")


def test_a_standardised_surprise_of_a_published_example() -> None:
    """legalclarity.org, "how to calculate standardized unexpected earnings": 1.55 against 1.50 with a spread of 0.025
    is +2.0; the spread here is that of past surprises, as fincyclopedia.net has it."""
    past = (Fraction("-0.025"), Fraction(0), Fraction("0.025"))
    assert surprise(Fraction("1.55"), Fraction("1.50"), past).sue == 2


def test_what_was_not_entered_is_no_surprise() -> None:
    with pytest.raises(ExpectationMissing, match="nothing is entered as expected"):
        surprise(5, None)
    with pytest.raises(ExpectationMissing, match="both ends"):
        against_range(5, None, 6)
    with pytest.raises(InsightError, match="wrong way round"):
        against_range(5, 7, 6)


def test_a_surprise_that_has_no_measure_says_why() -> None:
    none = surprise(5, 0)
    assert (none.points, none.relative, none.sue) == (5, None, None)
    assert none.why == "of an expectation of 0 there is no part; a usual surprise needs two past ones, 0 given"
    same = surprise(5, 4, (1, 1, 1))
    assert (same.sue, same.why) == (None, "all past surprises were the same, so there is no spread to measure by")
    assert surprise(-5, -4).relative == Fraction(-1, 4), "of an expected loss, more loss is a bad surprise"


def test_growth_required_is_what_leads_there() -> None:
    assert required(100, 200, 1).monthly == 1
    assert required(100, 121, 2).monthly == Fraction(1, 10), "Brealey, Myers, Allen, ch. 2: 100 at 10 % is 121 in two"
    assert replacement(100, 25, 12).total == Fraction(1, 3), "a quarter lost needs a third more of the rest"
    assert required(100, 100, 7).monthly == 0
    for now, target, months in ((0, 5, 1), (5, 0, 1), (5, 5, 0), (-1, 1, 3)):
        with pytest.raises(InsightError):
            required(now, target, months)
    for lost in (100, 101, -1):
        with pytest.raises(InsightError, match="nothing that could grow back"):
            replacement(100, lost, 12)


@given(st.integers(1, 10**15), st.integers(1, 10**15), st.integers(1, 120))
def test_the_required_growth_reaches_the_target_and_no_more(now: int, target: int, months: int) -> None:
    monthly = required(now, target, months).monthly
    finest = Fraction(1, 10**12)
    assert now * (1 + monthly) ** months <= target < now * (1 + monthly + finest) ** months


def test_growth_from_nothing_or_below_is_a_sentence_and_in_a_series_none() -> None:
    assert growth(100, 129) == Fraction(29, 100)
    for before in (0, -5):
        with pytest.raises(InsightError, match="no growth rate from"):
            growth(before, 5)
    found = series(_months({"2024-01": 4, "2024-02": -4, "2024-03": 5, "2024-04": 10}, "2024-01-01", "2024-05-01"))
    assert [each.growth for each in found] == [None, -2, None, 1]
    assert [each.amount for each in series(_months({}, "2024-01-01", "2024-03-01"))] == [0, 0]


def test_a_series_by_fiscal_quarters_has_both_names_and_the_year_before() -> None:
    year_and_half = {f"{year}-{month:02d}": 10 * (year - 2022) for year in (2023, 2024) for month in range(1, 13)}
    found = series(_months(year_and_half, "2023-01-01", "2025-01-01"), year_starts="07-01", quarters=True)
    assert [(each.period.calendar, each.period.fiscal) for each in found[:3]] == [
        ("Q1 2023", "FQ3 2023"), ("Q2 2023", "FQ4 2023"), ("Q3 2023", "FQ1 2024"),
    ]  # fmt: skip
    assert (found[4].growth, found[4].yearly, found[3].yearly, found[1].growth) == (1, 1, None, 0)
