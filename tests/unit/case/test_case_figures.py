"""Figures of the case from facts that are made here: rounding, bounds, and books with little in them."""

import sys
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

CASE = Path(__file__).resolve().parents[3] / "examples" / "case-2024"
sys.path.insert(0, str(CASE))

from casebook.book import Book  # noqa: E402
from casebook.money import money  # noqa: E402
from casebook.outlook import growth, within  # noqa: E402
from casebook.risk import leaving, risk  # noqa: E402
from casebook.supply import supply  # noqa: E402
from casebook.table import as_data, printed, sections  # noqa: E402
from casebook.words import NONE, decimal, percent, points, signed  # noqa: E402
from entrepot.insight.concentration import hhi  # noqa: E402
from entrepot.insight.entered import read_entered  # noqa: E402
from entrepot.insight.entries import Entered  # noqa: E402
from entrepot.insight.facts import Base, Facts, NothingSold, Sale  # noqa: E402
from entrepot.insight.who import NameUnknown  # noqa: E402

DOLLAR = 10**9
BASE = Base(
    kind="billed", currency="USD", scale=9, starts_on="2024-03-01", until="2024-04-01", whole="the service, loaded"
)
NAMED = ("tiktok", "walmart", "intuit", "g42")


def book(amounts: dict[str, int], entered: Entered | None = None) -> Book:
    """A month with one sale per customer, in dollars; 60 % of it is cost."""
    sales = tuple(
        Sale(
            month="2024-03", customer=who, group="ByteDance" if who == "tiktok" else "", model="gpt-4-turbo",
            vendor="openai", project="assistant", amount=much * DOLLAR, cost=much * DOLLAR * 3 // 5, quantity=much,
            standing="reported" if who == "tiktok" else "assumed", source="R-1",
        )
        for who, much in amounts.items()
    )  # fmt: skip
    facts = Facts(base=BASE, sales=sales)
    return Book(
        name="by-share", title="by the share", month="2024-03", billed=facts, earned=facts, owed=0,
        entered=entered or Entered(),
        year_starts="07-01",
    )  # fmt: skip


def figures(one: Book) -> dict[str, str]:
    data = as_data(sections((one,)), (one,))
    return {each["what"]: each["values"]["by-share"] for section in data for each in section["figures"]}


@pytest.mark.parametrize(
    ("value", "places", "text"),
    [
        (Fraction(-16, 10), 1, "−1.6"), (Fraction(-8, 153) * 100, 1, "−5.2"), (Fraction(20, 83) * 100, 1, "24.1"),
        (Fraction(1, 2), 0, "1"), (Fraction(-1, 2), 0, "−1"), (Fraction(1_234_567), 2, "1,234,567.00"),
        (Fraction(0), 1, "0.0"), (Fraction(-1, 1000), 1, "0.0"),
    ],
)  # fmt: skip
def test_figures_are_rounded_half_away_from_zero(value: Fraction, places: int, text: str) -> None:
    assert decimal(value, places) == text


def test_signs_stand_on_both_sides_of_zero() -> None:
    assert [signed(Fraction(each)) for each in (-1, 0, 1)] == ["−1.0", "+0.0", "+1.0"]
    assert percent(Fraction(1, 4)) == "25.0 %"
    assert points(Fraction(1, 16)) == "625"


@pytest.mark.long
@given(others=st.lists(st.integers(1, 20_000_000), min_size=1, max_size=30))
def test_the_hhi_lies_within_its_bounds_whatever_the_others_pay(others: list[int]) -> None:
    amounts = {"tiktok": 20_000_000, **{f"other-{at:02d}": much for at, much in enumerate(others)}}
    rows = {each.what: each.values[0] for each in risk((book(amounts),)).rows}
    low, high = (int(each.replace(",", "")) for each in rows["the same, whatever the others pay"].split(" to "))
    index = hhi(amounts.values()) * 10_000
    assert low - Fraction(1, 2) <= index <= high + Fraction(1, 2)


def test_without_expectations_streams_or_capital_the_rest_is_said() -> None:
    found = figures(book({"tiktok": 20_000_000, "walmart": 4_000_000, "intuit": 3_000_000, "g42": 53_000_000}))
    assert found["its share of the service"] == "66.3 %"  # of the largest, which here is another one
    assert found["exclusivity left on 2024-07-31"] == NONE
    assert found["of its tokens with an approved substitute"] == "0.0 %"
    assert not any("surprise" in what or "paid back" in what for what in found)
    one = (book({"tiktok": 20_000_000}),)
    assert "Growth of the cloud division" in printed([money(one), growth(one)], one)


def test_one_customer_is_all_of_it() -> None:
    one = (book({"tiktok": 20_000_000}),)
    rows = {each.what: each.values[0] for section in (money(one), risk(one), within(one)) for each in section.rows}
    assert rows["its share of the service"] == "100.0 %"
    assert rows["HHI, in points"] == "10,000"
    assert rows["the same, whatever the others pay"] == "10,000 to 10,000"
    assert rows["effective number of customers"] == "1.0"
    with pytest.raises(NameUnknown, match="walmart"):
        leaving(one)


def test_where_nobody_has_a_tenth_the_list_is_empty_and_the_largest_is_still_named() -> None:
    many = (book({f"other-{at:02d}": 1_000 + at for at in range(20)}),)
    rows = {each.what: each.values[0] for each in money(many).rows}
    assert rows["10 % list: of the service, as if it reported"] == NONE
    assert rows["largest customer"].startswith("other-19: ")


def test_books_without_revenue_say_so() -> None:
    with pytest.raises(NothingSold, match=r"0\.00 USD was sold from 2024-03-01 until 2024-04-01: there is no pace"):
        money((book({}),))


def test_streams_of_another_currency_are_refused() -> None:
    entered = read_entered(
        'format = 1\n[[stream]]\ncounterparty = "openai"\nstream = "rent"\namount = 1\ncurrency = "EUR"\n'
        'standing = "assumed"\nsource = "x"\n', "figures.toml",
    )  # fmt: skip
    with pytest.raises(Exception, match="openai, rent: streams of the case are of a year, in USD"):
        supply((book(dict.fromkeys(NAMED, 1_000_000), entered),))
