"""Dependence on vendors: what rides on them, what could go elsewhere, and when terms end."""

from datetime import date
from fractions import Fraction

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from entrepot.insight.dependence import VendorTerms, dependence
from entrepot.insight.facts import UNNAMED, Facts, InsightError, NothingSold, Sale
from sold import JANUARY, sold, some_sales

ON = date(2024, 8, 1)


def _of(model: str, vendor: str, amount: int, *, cost: int | None, tokens: int, own: bool = False) -> Sale:
    return Sale(
        month="2026-01", customer="c", model=model, vendor=vendor, amount=amount, cost=cost, quantity=tokens, own=own
    )


#: Three quarters of the cost goes to one vendor, whose small model the other one and the operator's own could replace.
FACTS = Facts(base=JANUARY, sales=(
    _of("large", "first", 600, cost=450, tokens=60), _of("small", "first", 200, cost=150, tokens=140),
    _of("other", "second", 150, cost=200, tokens=40), _of("house", "", 50, cost=0, tokens=10, own=True)))  # fmt: skip
SUBSTITUTES = {"small": ("other", "house"), "other": ("small",), "large": ("small",)}


def test_shares_of_revenue_cost_and_traffic_by_vendor() -> None:
    found = dependence(FACTS, SUBSTITUTES, (), ON)
    first, second, own = found.vendors
    assert [part.vendor for part in found.vendors] == ["first", "second", "own"]
    assert (first.share, first.cost_share, first.models) == (Fraction(4, 5), Fraction(3, 4), ("large", "small"))
    assert (first.switchable, first.switchable_revenue) == (Fraction(7, 10), Fraction(1, 4))
    assert (second.switchable, own.switchable) == (1, 0)
    assert found.switchable == Fraction(180, 240), "of what is bought; the operator's own is nobody's to take away"
    assert found.hhi == Fraction(600**2 + 200**2, 800**2) == Fraction(5, 8)


def test_a_price_rise_takes_as_many_points_of_margin_as_the_cost_has_of_the_revenue() -> None:
    first = dependence(FACTS, SUBSTITUTES, (), ON).vendors[0]
    assert (first.price_exposure, first.exposed) == (Fraction(3, 5), Fraction(9, 20))
    margin, raised = 1000 - 800, 1000 - (800 + 600 * Fraction(20, 100))
    assert margin - raised == first.price_exposure * Fraction(20, 100) * 1000


def test_another_model_of_the_same_vendor_is_no_way_out_and_an_unknown_one_counts_for_nothing() -> None:
    found = dependence(FACTS, {"large": ("small",), "small": ("elsewhere",)}, (), ON)
    assert (found.vendors[0].switchable, found.unplaced) == (0, ("elsewhere",))
    placed = dependence(FACTS, {"small": ("elsewhere",)}, (), ON, made_by={"elsewhere": "third"})
    assert (placed.vendors[0].switchable, placed.unplaced) == (Fraction(7, 10), ())


def test_terms_say_how_long_they_bind_and_what_of_a_commitment_is_unused() -> None:
    terms = (
        VendorTerms(
            vendor="first", exclusive_until=date(2026, 4, 27), licence_until=date(2032, 1, 1), committed=1000,
            standing="reported", source="press",
        ),
        VendorTerms(vendor="second", licence_until=date(2024, 7, 1), committed=100),
        VendorTerms(vendor="idle", committed=70),
    )  # fmt: skip
    by_vendor = {part.vendor: part for part in dependence(FACTS, {}, terms, ON).vendors}
    first = by_vendor["first"].terms[0]
    assert (first.exclusive, first.licence, first.shortfall) == ((20, 26), (89, 0), 400)
    assert (by_vendor["second"].terms[0].licence, by_vendor["second"].terms[0].shortfall) == ((0, 0), 0)
    idle = by_vendor["idle"]
    assert (idle.revenue, idle.switchable, idle.terms[0].shortfall, idle.terms[0].exclusive) == (0, None, 70, None)


def test_months_are_counted_as_a_person_would() -> None:
    def left(on: date, until: date) -> tuple[int, int] | None:
        terms = VendorTerms(vendor="first", licence_until=until)
        return dependence(FACTS, {}, (terms,), on).vendors[0].terms[0].licence

    assert left(date(2024, 1, 31), date(2024, 2, 29)) == (1, 0)
    assert left(date(2024, 1, 31), date(2024, 2, 28)) == (0, 28)
    assert left(date(2024, 1, 31), date(2025, 3, 1)) == (13, 1)
    assert left(date(2024, 1, 31), date(2024, 1, 31)) == (0, 0)


@given(st.dates(date(2000, 1, 1), date(2050, 1, 1)), st.integers(1, 4000))
def test_months_and_days_lead_to_the_end(on: date, days: int) -> None:
    until = date.fromordinal(on.toordinal() + days)
    terms = VendorTerms(vendor="first", licence_until=until)
    left = dependence(FACTS, {}, (terms,), on).vendors[0].terms[0].licence
    assert left is not None
    assert 0 <= left[1] <= 30
    assert abs(days - (left[0] * Fraction(146_097, 4800) + left[1])) < 4


def test_costs_that_are_not_known_are_said_and_nothing_sold_is_refused() -> None:
    unknown = dependence(sold({"a": 5}), {}, (VendorTerms(vendor=UNNAMED, committed=9),), ON)
    assert (unknown.hhi, unknown.switchable, unknown.uncosted, unknown.vendors[0].cost_share) == (None, None, 5, None)
    assert unknown.vendors[0].terms[0].shortfall is None
    with pytest.raises(NothingSold, match="nothing depends on it"):
        dependence(sold({}), {}, (), ON)


def test_a_model_that_two_vendors_serve_can_go_to_the_other_one() -> None:
    tiny = _of("tiny", "first", 1, cost=None, tokens=60)
    once = Facts(base=JANUARY, sales=(_of("large", "first", 9, cost=3, tokens=40), tiny))
    assert [part.switchable for part in dependence(once, {}, (), ON).vendors] == [0]
    twice = Facts(base=JANUARY, sales=(*once.sales, _of("large", "second", 1, cost=1, tokens=1)))
    found = {part.vendor: part.switchable for part in dependence(twice, {}, (), ON).vendors}
    assert found == {"first": Fraction(40, 100), "second": 1}
    nameless = Facts(base=JANUARY, sales=(*once.sales, _of("large", "", 1, cost=1, tokens=1)))
    found = {part.vendor: part.switchable for part in dependence(nameless, {}, (), ON).vendors}
    assert (found["first"], found[UNNAMED]) == (0, 0), "a sale that names no vendor shows no way out"


def test_a_vendor_called_as_the_operators_own_models_are_is_refused() -> None:
    with pytest.raises(InsightError, match="cannot be told from the operator's own models"):
        dependence(Facts(base=JANUARY, sales=(_of("m", "own", 1, cost=1, tokens=1),)), {}, (), ON)


@pytest.mark.long
@given(some_sales(least=0))
def test_revenue_cost_and_tokens_are_all_with_some_vendor(sales: list[Sale]) -> None:
    facts = Facts(base=JANUARY, sales=tuple(sale for sale in sales if not sale.own and sale.vendor))
    assume(facts.total() > 0)
    found = dependence(facts, {"large": ("small",)}, (), ON)
    assert sum(part.revenue for part in found.vendors) == found.whole == facts.total()
    assert sum(part.cost for part in found.vendors) == found.cost
    assert sum(part.share for part in found.vendors) == 1
    assert all(part.exposed <= part.price_exposure for part in found.vendors)
