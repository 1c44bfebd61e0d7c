"""Which price is in force when, and what it compiles to: exact, never zero where it is unknown."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrepot.catalog.prices import BookVersion, PriceRow
from entrepot.catalog.standing import models_of
from entrepot.kernel.buckets import BUCKETS, NOTHING, OUTPUT, REASONING, Quantities
from entrepot.kernel.instants import parse
from entrepot.kernel.money import scale_of
from entrepot.pricing import book as books
from entrepot.pricing.charge import UNPRICED, charge, unrated
from entrepot.pricing.rates import rates as rates_of

JANUARY, JULY, DECEMBER = parse("2026-01-01"), parse("2026-07-01"), parse("2026-12-01")


def version(number: int, valid_from: int, per: int = 1_000_000, model: str = "m", **prices: str) -> BookVersion:
    row = PriceRow(model=model, per=per, prices={name: Decimal(price) for name, price in prices.items()})
    return BookVersion(book="list", currency="USD", valid_from=valid_from, rows=(row,), number=number, published_at=1)


BOOK = [
    version(1, JANUARY, input="2.50", cached="1.25", output="10.00"),
    version(2, JULY, output="9.00"),
    version(3, JANUARY, model="n", input="1.00"),
]


def test_a_later_version_ends_the_earlier_one_and_names_only_what_changes() -> None:
    before, after = books.prices_at(BOOK, "m", JULY - 1), books.prices_at(BOOK, "m", JULY)
    assert (before["output"].price, before["output"].version) == (Decimal("10.00"), 1)
    assert (after["output"].price, after["output"].version) == (Decimal("9.00"), 2)
    assert (after["input"].price, after["input"].version) == (Decimal("2.50"), 1)
    assert (books.version_of(before), books.version_of(after)) == (1, 2)


def test_before_the_first_version_there_is_no_price() -> None:
    assert books.prices_at(BOOK, "m", JANUARY - 1) == {}
    assert books.prices_at(BOOK, "other", JULY) == {}


def test_a_model_is_for_sale_with_input_and_output_and_else_the_reason_is_said() -> None:
    on = parse("2026-11-21T09:00:00Z")
    assert books.not_for_sale(books.prices_at(BOOK, "m", on), on) == ""
    assert books.not_for_sale(books.prices_at(BOOK, "n", on), on) == "no price for output on 2026-11-21"
    assert books.not_for_sale({}, on) == "no price for input and output on 2026-11-21"


def test_the_instants_at_which_a_price_begins() -> None:
    assert books.changes_of(BOOK, "m") == [JANUARY, JULY]
    assert models_of(BOOK) == ["m", "n"]


@given(st.permutations(BOOK))
def test_the_order_of_publication_does_not_decide_what_is_in_force(order: list[BookVersion]) -> None:
    for at in (JANUARY, JULY, DECEMBER):
        assert books.prices_at(order, "m", at) == books.prices_at(BOOK, "m", at)


def test_rates_of_the_demo_and_of_the_trace() -> None:
    demo = rates_of(books.prices_at([version(1, 0, input="0.10", cached="0.05", output="0.40")], "m", 1), "USD")
    assert demo == (1, (100, 50, -1, 400, 400, -1, -1, -1), 0)
    quantities: Quantities = (41, 0, 0, 23, 0, 0, 0, 0)
    assert charge(quantities, *demo) == 13_300  # 0.0000133 USD
    trace = rates_of(books.prices_at(BOOK, "m", JANUARY), "USD")
    assert trace == (1, (2500, 1250, -1, 10000, 10000, -1, -1, -1), 0)


def test_rates_that_are_no_whole_units_share_one_denominator() -> None:
    found = rates_of(books.prices_at([version(1, 0, input="0.0375", output="0.00001")], "m", 1), "USD")
    assert found == (100, (3750, -1, -1, 1, 1, -1, -1, -1), 0)


def test_per_is_part_of_the_price() -> None:
    thousand = rates_of(books.prices_at([version(1, 0, per=1000, input="0.0025")], "m", 1), "USD")
    assert thousand.per_bucket[0] == 2500


def test_reasoning_takes_the_price_of_output_unless_it_has_its_own() -> None:
    own = rates_of(books.prices_at([version(1, 0, output="4.00", reasoning="5.00")], "m", 1), "USD")
    assert (own.per_bucket[OUTPUT], own.per_bucket[REASONING]) == (4000, 5000)


prices = st.dictionaries(st.sampled_from(BUCKETS), st.decimals(0, 10**4, places=7), min_size=1)
counts = st.tuples(*(st.integers(0, 10**7) for _ in BUCKETS))


@given(prices, counts, st.sampled_from(["USD", "JPY", "KRW"]), st.sampled_from([1, 1000, 1_000_000, 7]))
def test_a_charge_is_the_exact_price_rounded_up_once(
    named: dict[str, Decimal], quantities: Quantities, currency: str, per: int
) -> None:
    row = PriceRow(model="m", per=per, prices=named)
    book = BookVersion(book="list", currency=currency, valid_from=0, rows=(row,), number=1)
    den, rates, _ = rates_of(books.prices_at([book], "m", 0), currency)
    exact = Fraction(0)
    for index, bucket in enumerate(BUCKETS):
        price = named.get(bucket, named.get("output") if bucket == "reasoning" else None)
        assert (rates[index] == UNPRICED) == (price is None)
        if price is not None:
            exact += quantities[index] * Fraction(price) * 10 ** scale_of(currency) / per
    charged = charge(quantities, den, rates)
    assert exact <= charged < exact + 1
    without = tuple(i for i, bucket in enumerate(BUCKETS) if quantities[i] and rates[i] == UNPRICED)
    assert unrated(quantities, rates) == without


@given(prices, counts, counts)
def test_the_price_of_two_parts_covers_the_price_of_the_whole(
    named: dict[str, Decimal], one: Quantities, two: Quantities
) -> None:
    book = BookVersion(book="l", currency="USD", valid_from=0, rows=(PriceRow(model="m", prices=named),), number=1)
    den, rates, _ = rates_of(books.prices_at([book], "m", 0), "USD")
    whole: Quantities = tuple(a + b for a, b in zip(one, two, strict=True))  # type: ignore[assignment]
    assert 0 <= charge(one, den, rates) + charge(two, den, rates) - charge(whole, den, rates) <= 1
    assert charge(NOTHING, den, rates) == 0


@pytest.mark.parametrize("zero", ["0", "0.000"])
def test_a_price_of_zero_is_a_price(zero: str) -> None:
    den, rates, _ = rates_of(books.prices_at([version(1, 0, input=zero, output=zero)], "m", 1), "USD")
    assert rates[:4] == (0, UNPRICED, UNPRICED, 0)
    assert charge((5, 0, 0, 5, 0, 0, 0, 0), den, rates) == 0
    assert unrated((5, 0, 0, 5, 0, 0, 0, 0), rates) == ()
