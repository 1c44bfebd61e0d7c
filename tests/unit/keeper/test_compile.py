"""What a gateway answers from is what the books say, at every instant that a snapshot has to cover."""

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entrepot.catalog.prices import BookVersion, PriceRow
from entrepot.keeper.prices import AHEAD, BEHIND, price_entry
from entrepot.kernel.buckets import BUCKETS
from entrepot.kernel.instants import HOUR
from entrepot.pricing import book as books
from entrepot.pricing.rates import rates as rates_of

NOW = 1_795_262_400_000_000
offsets = st.integers(-100, 100).map(lambda hours: NOW + hours * HOUR)
rows = st.lists(
    st.builds(
        PriceRow,
        model=st.sampled_from(["m", "n"]),
        prices=st.dictionaries(st.sampled_from(BUCKETS), st.integers(0, 50).map(Decimal), min_size=1),
    ),
    min_size=1, max_size=2,
)  # fmt: skip


@st.composite
def versions(draw: st.DrawFn) -> list[BookVersion]:
    starts = draw(st.lists(offsets, min_size=1, max_size=6, unique=True))
    return [
        BookVersion(book="list", currency="USD", valid_from=at, rows=tuple(draw(rows)), number=number)
        for number, at in enumerate(starts, 1)
    ]


@pytest.mark.long
@settings(deadline=None, max_examples=60)
@given(versions(), st.integers(-BEHIND, AHEAD).map(lambda offset: NOW + offset))
def test_the_price_at_any_instant_that_a_snapshot_covers_is_the_books(book: list[BookVersion], at: int) -> None:
    entry = price_entry(book, "m", NOW)
    prices = books.prices_at(book, "m", at)
    found = entry.at(at)
    if not prices:
        assert found is None
        return
    assert found is not None
    assert (found.den, found.rates) == rates_of(prices, "USD")[:2]
    assert found.id == f"list/{books.version_of(prices)}"
    assert found.valid_from <= at


@pytest.mark.long
@settings(deadline=None, max_examples=60)
@given(versions(), st.lists(rows, max_size=2), st.lists(offsets, max_size=2), offsets)
def test_number_and_instant_say_the_price_whatever_is_published_later(
    book: list[BookVersion], more: list[list[PriceRow]], starts: list[int], at: int
) -> None:
    """A price version named in a usage record is found again: books as of that number, at that instant."""
    later = [
        BookVersion(book="list", currency="USD", valid_from=start, rows=tuple(row), number=len(book) + number)
        for number, (start, row) in enumerate(zip(starts, more, strict=False), 1)
    ]
    prices = books.prices_at(book, "m", at)
    if prices:
        number = books.version_of(prices)
        known = [each for each in [*book, *later] if each.number <= number]
        assert books.prices_at(known, "m", at) == prices
