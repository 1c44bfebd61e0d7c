"""Prices with conditions: which row wins, what a percentage is of, and what is refused because no call could decide."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entrepot.catalog.contents import Catalog, Model, Upstream, Vendor, Version
from entrepot.catalog.export import export
from entrepot.catalog.file import read
from entrepot.catalog.issues import CatalogBroken
from entrepot.catalog.prices import ALWAYS, BookVersion, PriceRow, When, hours_of
from entrepot.catalog.standing import ties
from entrepot.kernel.buckets import BUCKETS
from entrepot.kernel.instants import HOUR, parse
from entrepot.pricing.book import PriceTie, conditions_of, prices_at
from entrepot.pricing.publication import check
from entrepot.pricing.rates import rates, rates_together

AT = parse("2026-06-01")
HEAD = """
format = 1
[vendor]
v = { name = "V" }
[upstream.u]
vendor = "v"
endpoint = { dialect = "openai", url = "https://v.example/v1", zone = "EU" }
[model]
m = { routes = ["u/m"], context = 400_000 }
[[book.list]]
currency = "USD"
valid_from = 2026-01-01T00:00:00Z
prices = [
"""


def row(percent: str | None = None, **given: Any) -> PriceRow:
    when = When(**{name: given.pop(name) for name in ("tier", "zone", "request_over") if name in given})
    prices = {name: Decimal(price) for name, price in given.items()}
    return PriceRow(model="m", prices=prices, when=when, percent=None if percent is None else Decimal(percent))


def book(*rows: PriceRow) -> list[BookVersion]:
    return [BookVersion(book="list", currency="USD", valid_from=0, rows=rows, number=1)]


def price(versions: list[BookVersion], bucket: str, **when: Any) -> Decimal:
    found = prices_at(versions, "m", AT, When(**when))[bucket]
    return found.price


AURORA = book(
    row(input="2.50", cached="0.25", output="10"),
    row(request_over=200_000, input="5", cached="0.50", output="15"),
    row(tier="batch", percent="50"),
    row(tier="priority", output="20"),
    row(zone="EU", input="2.75"),
    row(zone="EU", request_over=200_000, input="5.50"),
)


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        ({}, "2.5 10"),
        ({"request_over": 200_000}, "5 15"),
        ({"tier": "batch"}, "1.25 5"),
        ({"tier": "batch", "request_over": 200_000}, "2.5 7.5"),
        ({"tier": "priority"}, "2.5 20"),  # names only the output: the input stays as it is
        ({"zone": "EU"}, "2.75 10"),
        ({"zone": "EU", "request_over": 200_000}, "5.5 15"),
        ({"zone": "EU", "tier": "batch"}, "1.375 5"),
        ({"zone": "US"}, "2.5 10"),
    ],
)
def test_the_row_with_more_conditions_wins_and_a_percentage_is_of_what_it_would_be_without(
    when: dict[str, Any], expected: str
) -> None:
    assert [price(AURORA, bucket, **when) for bucket in ("input", "output")] == list(map(Decimal, expected.split()))


def test_of_two_brackets_the_higher_holds() -> None:
    steps = book(row(input="1", output="1"), row(request_over=100, input="2"), row(request_over=200, input="3"))
    assert [price(steps, "input", request_over=over) for over in (0, 100, 200)] == [1, 2, 3]
    assert ties(steps, AT) == []


def test_a_price_of_its_own_for_a_tier_goes_before_a_percentage() -> None:
    both = book(row(input="4", output="8"), row(tier="batch", percent="50"), row(tier="batch", input="3"))
    assert (price(both, "input", tier="batch"), price(both, "output", tier="batch")) == (3, 4)


def test_two_rows_between_which_no_call_decides_are_named() -> None:
    open_case = book(row(input="1", output="1"), row(zone="EU", input="2"), row(tier="flex", input="3"))
    (pair,) = ties(open_case, AT)
    assert [str(each) for each in pair] == ["m input (zone EU)", "m input (tier flex)"]
    with pytest.raises(PriceTie, match="equally good"):
        prices_at(open_case, "m", AT, When(tier="flex", zone="EU"))
    closed = book(*open_case[0].rows, row(tier="flex", zone="EU", input="4"))
    assert ties(closed, AT) == []
    assert price(closed, "input", tier="flex", zone="EU") == 4


CONDITION = st.builds(
    When, tier=st.sampled_from(["", "flex", "batch"]), zone=st.sampled_from(["", "EU", "US"]),
    request_over=st.sampled_from([0, 100, 200]), hours=st.sampled_from(["", "", "22-06", "06-08", "04-07"]),
)  # fmt: skip
PATTERN = st.sampled_from(["m", "m*", "*"])


@pytest.mark.long
@settings(deadline=None)
@given(
    st.lists(st.tuples(PATTERN, CONDITION, st.integers(2, 9)), min_size=1, max_size=6, unique_by=lambda each: each[:2])
)
def test_without_ties_every_call_has_one_price(conditions: list[tuple[str, When, int]]) -> None:
    """What `ties` lets through, no call can find undecided: at no hour, under no conditions."""
    rows = [
        PriceRow(model=model, prices={"input": Decimal(price), "output": Decimal(price)}, when=when)
        for model, when, price in conditions if (model, when) != ("*", ALWAYS)
    ]  # fmt: skip
    everything = PriceRow(model="*", prices={"input": Decimal(1), "output": Decimal(1)})
    versions = book(everything, *rows)
    if not ties(versions, AT):
        for hour in range(24):
            for when in conditions_of(versions, "m"):
                found = prices_at(versions, "m", AT + hour * HOUR, when)
                assert set(found) == {"input", "output"}
                assert found["input"].price == most_exact([everything, *rows], when, hour)


def most_exact(rows: list[PriceRow], when: When, hour: int) -> Decimal:
    """By the words of the rule, said once more: names before patterns, then conditions, then the higher bracket."""
    holding = [
        each for each in rows
        if each.when.tier in ("", when.tier) and each.when.zone in ("", when.zone)
        and each.when.request_over <= when.request_over
        and (not each.when.hours or hour in hours_of(each.when.hours))
    ]  # fmt: skip
    best = max(holding, key=lambda each: (["*", "m*", "m"].index(each.model), each.when.count, each.when.request_over))
    return best.prices["input"]


def test_rates_of_all_conditions_stand_over_one_denominator() -> None:
    found = rates_together([prices_at(AURORA, "m", AT, when) for when in conditions_of(AURORA, "m")], "USD")
    assert len({each.den for each in found}) == 1
    plain = rates(prices_at(AURORA, "m", AT), "USD")
    assert found[0].per_bucket[0] * plain.den == plain.per_bucket[0] * found[0].den
    assert len(found[0].per_bucket) == len(BUCKETS)


def mistakes(rows: str) -> list[str]:
    file = read(HEAD + rows + "\n]", "shop.toml")
    try:
        check(file, Catalog(), AT)
    except CatalogBroken as broken:
        return [" ".join(issue.why) for issue in broken.issues]
    return []


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ('{ model = "m", tier = "default", input = 1, output = 1 }', "leave tier out of its price"),
        ('{ model = "m", tier = "batch", percent_of_matching_standard = 50, input = 1 }', "not both"),
        ('{ model = "m", percent_of_matching_standard = 50 }', "name the tier"),
        ('{ model = "m", tier = "batch", percent_of_matching_standard = -5 }', "from 0 to 1,000"),
        ('{ model = "m", tier = "a b", input = 1 }', "name"),
        ('{ model = "m", request_over = 0, input = 1 }', "request_over is a whole number of at least 1"),
        (
            '{ model = "m", tier = "flex", input = 1 },\n{ model = "m", tier = "flex", input = 2 }',
            "m input (tier flex) has two prices in this version",
        ),
        (
            '{ model = "m", input = 1, output = 1 },\n{ model = "m", zone = "EU", input = 2 },\n'
            '{ model = "m", tier = "flex", input = 3 }',
            "m input (zone EU) and m input (tier flex) are equally good",
        ),
    ],
)
def test_a_condition_that_cannot_be_is_refused_in_words(rows: str, says: str) -> None:
    assert any(says in each for each in mistakes(rows)), mistakes(rows)


def test_a_book_with_conditions_is_written_back_as_it_was() -> None:
    vendors = {"v": Vendor("v", {"name": "V"})}
    upstream = Upstream(id="u", vendor="v", dialect="openai", url="https://v.example/v1", zone="EU")
    model = Model(id="m", versions=(Version(name="", routes=(("u", "m"),)),), context=400_000, output_max=400_000)
    catalog = Catalog(vendors=vendors, upstreams={"u": upstream}, models={"m": model}, versions=tuple(AURORA))
    file = read(export(catalog), "shop.toml")
    assert file.issues == ()
    assert file.catalog.versions[0].says_the_same(AURORA[0])
