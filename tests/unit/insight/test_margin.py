"""Margins: what a cost that is not known does, and sums that stay."""

from fractions import Fraction

import pytest
from hypothesis import assume, given

from entrepot.insight.facts import DIMENSIONS, Facts, NothingSold, Sale
from entrepot.insight.margin import margins
from sold import JANUARY, sold, some_sales


def test_the_margin_of_each_customer_and_of_the_whole() -> None:
    sales = (
        Sale(month="2026-01", customer="thin", amount=1000, cost=950),
        Sale(month="2026-01", customer="fat", amount=500, cost=100),
    )
    found = margins(Facts(base=JANUARY, sales=sales), "customer")
    assert [(part.name, part.margin, part.rate) for part in found.parts] == [
        ("fat", 400, Fraction(4, 5)), ("thin", 50, Fraction(1, 20)),
    ]  # fmt: skip
    assert (found.whole.revenue, found.whole.cost, found.whole.rate) == (1500, 1050, Fraction(3, 10))


def test_an_unknown_cost_is_not_nought_and_its_revenue_has_no_margin() -> None:
    sales = (
        Sale(month="2026-01", customer="a", amount=100, cost=60),
        Sale(month="2026-01", customer="a", amount=900),
    )
    part = margins(Facts(base=JANUARY, sales=sales), "customer").parts[0]
    assert (part.revenue, part.uncosted, part.cost, part.margin, part.rate) == (1000, 900, 60, 40, Fraction(2, 5))


def test_no_revenue_has_no_rate_and_nothing_sold_is_a_sentence() -> None:
    assert margins(sold({"a": 5}), "customer").whole.rate is None
    credited = Facts(base=JANUARY, sales=(Sale(month="2026-01", customer="a", amount=-5, cost=3),))
    assert (margins(credited, "customer").whole.margin, margins(credited, "customer").whole.rate) == (-8, None)
    with pytest.raises(NothingSold, match="there is no margin"):
        margins(sold({}), "customer")


@pytest.mark.long
@given(some_sales())
def test_every_cut_has_the_same_whole(sales: list[Sale]) -> None:
    assume(sales)
    facts = Facts(base=JANUARY, sales=tuple(sales))
    wholes = {margins(facts, by).whole for by in DIMENSIONS}
    assert len(wholes) == 1
    assert wholes.pop().revenue == facts.total()
    for by in DIMENSIONS:
        found = margins(facts, by)
        for field in ("revenue", "cost", "margin", "uncosted"):
            assert sum(getattr(part, field) for part in found.parts) == getattr(found.whole, field)
