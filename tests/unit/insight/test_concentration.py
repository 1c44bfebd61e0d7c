"""Concentration: published examples, then what must hold of any sales."""

from fractions import Fraction
from itertools import pairwise

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from entrepot.insight.concentration import concentration, gini, hhi, lorenz, shift, ten_percent
from entrepot.insight.facts import DIMENSIONS, BasesMixed, Facts, InsightError, NothingSold, Sale
from sold import FEBRUARY, JANUARY, sold, some_sales

#: Of the documentation of the R package ineq (Gini, Lc), version 0.2-13.
INCOMES = (541, 1463, 2445, 3438, 4437, 5401, 6392, 8304, 11904, 22261)


@pytest.mark.parametrize(
    ("shares", "points"),
    [
        pytest.param((30, 30, 20, 20), 2600, id="U.S. DOJ, justice.gov/atr/herfindahl-hirschman-index"),
        pytest.param((60, 30, 10), 4600, id="econweb.com, Industry Policy, 11"),
        pytest.param((40, 30, 20, 10), 3000, id="econweb.com, the second"),
        pytest.param((10, 9, 12, 15, 12, 11, 15, 16), 1296, id="Investopedia, eight participants"),
        pytest.param((100,), 10_000, id="DOJ: a pure monopoly"),
    ],
)
def test_hhi_of_published_markets(shares: tuple[int, ...], points: int) -> None:
    assert hhi(shares) * 10_000 == points


def test_gini_and_lorenz_of_the_incomes_in_the_manual_of_ineq() -> None:
    assert round(gini(INCOMES), 7) == Fraction("0.4620911")
    curve = lorenz(INCOMES)
    assert (curve[0], curve[-1], len(curve)) == ((0, 0), (1, 1), 11)
    assert curve[5] == (Fraction(1, 2), Fraction(12_324, 66_586))


@pytest.mark.parametrize(
    ("amounts", "published"),
    [
        pytest.param([10] * 9 + [100], "0.4263158", id="Statistics Slam Dunk (Manning), 12.5"),
        pytest.param([1, 3, 2, 1, 1, 1, 4], "0.3076923", id="R package phylotools 0.1.2, gini"),
        pytest.param([50] * 10, "0", id="Statistics Slam Dunk, equal incomes"),
    ],
)
def test_gini_of_published_examples(amounts: list[int], published: str) -> None:
    assert round(gini(amounts), 7) == Fraction(published)


def test_gini_is_zero_of_equals_and_all_but_one_in_n_when_one_has_everything() -> None:
    assert gini([7, 7, 7]) == 0
    assert gini([0, 0, 0, 9]) == Fraction(3, 4)


@pytest.mark.long
@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=12))
def test_gini_is_the_mean_difference_and_twice_the_area_above_the_curve(sizes: list[int]) -> None:
    assume(any(sizes))
    n, whole = len(sizes), sum(sizes)
    assert gini(sizes) == Fraction(sum(abs(a - b) for a in sizes for b in sizes), 2 * n * whole)
    curve = lorenz(sizes)
    below = sum((after[0] - before[0]) * (after[1] + before[1]) / 2 for before, after in pairwise(curve))
    assert gini(sizes) == 1 - 2 * below


def test_the_case_by_the_share_is_a_quarter_with_one_customer_above_ten_percent() -> None:
    found = concentration(
        sold({"tiktok": 2000, "walmart": 500, "intuit": 400, "g42": 300, **_small(60, 80)}), "customer"
    )
    assert (found.whole, found.parts[0].name, found.parts[0].share) == (8000, "tiktok", Fraction(1, 4))
    assert [(each.name, each.share, each.amount) for each in found.ten_percent] == [("tiktok", Fraction(1, 4), 2000)]
    assert found.cr == {1: Fraction(1, 4), 3: Fraction(29, 80), 5: Fraction(41, 100), 10: Fraction(46, 100)}
    assert found.hhi == Fraction(2000**2 + 500**2 + 400**2 + 300**2 + 60 * 80**2, 8000**2)
    assert not any(mark.passed for mark in found.thresholds)


def _small(count: int, each: int) -> dict[str, int]:
    return {f"s{number:02d}": each for number in range(count)}


def test_a_mark_says_whose_it_is_and_is_passed_only_above_it() -> None:
    marks = concentration(sold({"a": 30, "b": 30, "c": 20, "d": 20}), "customer").thresholds
    assert [(mark.value * 10_000, mark.passed, "20" in mark.whose or "1992" in mark.whose) for mark in marks] == [
        (1000, True, True), (1500, True, True), (1800, True, True), (2500, True, True), (3000, False, True),
    ]  # fmt: skip
    assert not any(mark.passed for mark in concentration(sold(_small(10, 1)), "customer").thresholds)


def test_customers_of_one_control_group_are_one_and_its_segments_are_named() -> None:
    sales = (
        Sale(month="2026-01", customer="tok", group="parent", amount=6),
        Sale(month="2026-01", customer="lark", group="parent", product="seats", amount=5),
        Sale(month="2026-01", customer="shop", amount=9),
        Sale(month="2026-01", customer="rest", amount=80),
    )
    facts = Facts(base=JANUARY, sales=sales)
    assert [each.name for each in concentration(facts, "group").parts] == ["rest", "parent", "shop"]
    major = concentration(facts, "customer").ten_percent[1]
    assert (major.name, major.members, major.products) == ("parent", ("lark", "tok"), (("seats", 5), ("tokens", 6)))
    assert concentration(facts, "model").ten_percent == ()


def test_exactly_ten_percent_is_on_the_list() -> None:
    assert [each.name for each in ten_percent(sold({"a": 10, "b": 90}))] == ["b", "a"]
    assert [each.name for each in ten_percent(sold({"a": 9, "b": 91}))] == ["b"]


def test_customers_below_zero_are_left_out_of_the_index_and_named() -> None:
    found = concentration(sold({"a": 60, "b": 60, "credited": -20}), "customer")
    assert (found.whole, found.counted, found.hhi, found.effective) == (100, 120, Fraction(1, 2), 2)
    assert [(each.name, each.amount) for each in found.below_zero] == [("credited", -20)]
    assert [each.share for each in found.ten_percent] == [Fraction(3, 5), Fraction(3, 5)], "of the whole, as reported"


def test_one_customer_is_everything_and_nobody_is_a_sentence() -> None:
    alone = concentration(sold({"a": 5}), "customer")
    assert (alone.hhi, alone.effective, alone.gini, alone.cr[10]) == (1, 1, 0, 1)
    with pytest.raises(
        NothingSold, match="billed revenue of the service from 2026-01-01 until 2026-02-01: nothing was"
    ):
        concentration(sold({}), "customer")
    with pytest.raises(NothingSold, match="more was credited than sold"):
        concentration(sold({"a": 5, "b": -7}), "customer")
    with pytest.raises(NothingSold, match="nothing was sold"):
        ten_percent(sold({"a": 0}))
    with pytest.raises(NothingSold):
        hhi([])
    with pytest.raises(InsightError, match="below zero"):
        gini([3, -1])


def test_a_rise_of_more_than_a_hundred_points_is_one() -> None:
    flat, steep = (concentration(sold(each, base), "customer") for each, base in (
        ({"a": 50, "b": 50}, JANUARY), ({"a": 60, "b": 40}, FEBRUARY)))  # fmt: skip
    found = shift(flat, steep)
    assert (found.rise * 10_000, found.threshold.passed) == (200, True)
    assert not shift(steep, flat).threshold.passed
    earned = msgspec.structs.replace(FEBRUARY, kind="earned")
    with pytest.raises(BasesMixed, match="kind"):
        shift(flat, concentration(sold({"a": 1}, earned), "customer"))
    with pytest.raises(InsightError, match="by customer and one by model"):
        shift(flat, concentration(sold({"a": 1}, FEBRUARY), "model"))


@pytest.mark.long
@given(some_sales())
def test_what_holds_of_any_concentration(sales: list[Sale]) -> None:
    facts = Facts(base=JANUARY, sales=tuple(sales))
    assume(facts.total() > 0)
    for by in DIMENSIONS:
        found = concentration(facts, by)
        n = len(found.parts)
        assert Fraction(1, n) <= found.hhi <= 1
        assert found.effective * found.hhi == 1
        assert sum(part.share for part in found.parts) == 1
        assert found.cr[1] <= found.cr[3] <= found.cr[5] <= found.cr[10] <= 1
        assert found.cr[1] ** 2 <= found.hhi <= found.cr[1], "the largest share bounds the index from both sides"
        assert 0 <= found.gini <= Fraction(n - 1, n)
        assert all(y <= x for x, y in found.lorenz)
        assert found.counted + sum(part.amount for part in found.below_zero) == found.whole == facts.total()
        assert list(found.parts) == sorted(found.parts, key=lambda part: (-part.amount, part.name))


@pytest.mark.long
@given(some_sales(least=0))
def test_merging_customers_never_lowers_the_index(sales: list[Sale]) -> None:
    facts = Facts(base=JANUARY, sales=tuple(msgspec.structs.replace(sale, group="") for sale in sales))
    assume(facts.total() > 0)
    merged = Facts(base=JANUARY, sales=tuple(
        msgspec.structs.replace(sale, group="g" if sale.customer in "ab" else "") for sale in facts.sales))  # fmt: skip
    assert concentration(merged, "group").hhi >= concentration(facts, "group").hhi
