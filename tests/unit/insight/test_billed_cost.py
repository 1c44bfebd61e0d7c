"""What billed amounts cost: once per model and month, unknown of every document, and nothing of minimums."""

from fractions import Fraction

import pytest

from entrepot.billing.billed import TOKENS, BilledThing
from entrepot.customers.described import Described
from entrepot.insight.books import Known, billed_sales
from entrepot.insight.entries import Entered
from entrepot.insight.facts import BESIDE_USAGE, UNNAMED, Base, Dimension, Facts
from entrepot.insight.margin import Margin, margins
from entrepot.kernel.instants import parse
from entrepot.metering.sold import SoldKey, SoldSums

KNOWN = Known(
    customers={"acme": Described()}, own=frozenset(), vendors={"m": ("v",)}, currency="EUR", entered=Entered()
)  # fmt: skip
BASE = Base(kind="billed", currency="EUR", scale=9, starts_on="2026-11-01", until="2026-12-01")


def billed(number: str, net: int, model: str = "m", product: str = TOKENS) -> tuple[BilledThing, int]:
    return BilledThing(number, "acme", "DE", "2026-11", "EUR", product, model, "", ""), net


def whole(*things: tuple[BilledThing, int], cost: int | None) -> Margin:
    return margins(facts(*things, cost=cost), "customer").whole


def facts(*things: tuple[BilledThing, int], cost: int | None) -> Facts:
    key = SoldKey("acme", "default", "m", "m", "v", "EU", "EUR", "EUR" if cost else "", parse("2026-11-01"))
    sums = SoldSums(1, 100, 10**8, cost or 0, 1 if cost is None else 0)
    return Facts(base=BASE, sales=tuple(billed_sales(dict(things), {key: sums}, KNOWN, "EUR")))


@pytest.mark.parametrize("numbers", [("G-1", "R-1"), ("R-2", "G-3")])
def test_what_costs_nobody_knows_what_has_no_known_cost_on_any_document(numbers: tuple[str, str]) -> None:
    note, invoice = sorted(numbers)
    found = whole(billed(note, -19), billed(invoice, 33), cost=None)
    assert (found.revenue, found.uncosted, found.cost, found.margin) == (14 * 10**7, 14 * 10**7, 0, 0)
    assert found.rate is None


def test_a_known_cost_stands_once_however_many_documents_bill_the_model() -> None:
    found = whole(billed("R-1", 30), billed("R-2", 10), billed("R-3", 2), cost=12 * 10**7)
    assert (found.uncosted, found.cost, found.rate) == (0, 12 * 10**7, Fraction(30, 42))


def test_a_minimum_costs_nothing_more_and_bears_its_own_name() -> None:
    lines = billed("R-1", 30), billed("R-1", 337, "", "base")
    found = whole(*lines, cost=12 * 10**7)
    assert (found.revenue, found.uncosted, found.cost) == (367 * 10**7, 0, 12 * 10**7)
    unknown = whole(*lines, cost=None)
    assert (unknown.uncosted, unknown.margin, unknown.rate) == (30 * 10**7, 337 * 10**7, 1)
    by_usage: tuple[Dimension, ...] = ("vendor", "model", "region", "project", "deployment")
    for dimension in by_usage:
        assert facts(*lines, cost=None).by(dimension)[BESIDE_USAGE] == 337 * 10**7
        assert facts(*lines, cost=None).only(dimension, BESIDE_USAGE).total() == 337 * 10**7


def test_usage_that_no_record_is_known_of_stays_unknown() -> None:
    found = facts(billed("R-1", 30, "other"), cost=12)
    assert (found.uncosted.total(), found.by("vendor")) == (30 * 10**7, {UNNAMED: 30 * 10**7})
