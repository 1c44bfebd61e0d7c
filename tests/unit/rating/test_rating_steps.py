"""Ranks follow time, over versions, months and tiers; months, quarters and contract years begin where they should."""

from decimal import Decimal
from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st
from october import MIDDLE, OCTOBER, START, TIER, agreement, sold, stepped, version

from entrepot.catalog.prices import PriceRow, Steps
from entrepot.kernel.instants import HOUR, parse, show
from entrepot.kernel.money import split
from entrepot.rating.line import Rated
from entrepot.rating.order import rate
from entrepot.rating.period import NoMonth, counted_from, month
from entrepot.rating.prices import changes
from entrepot.rating.ranks import parts

HALF = (MIDDLE - START) // HOUR


def by_price(rated: Rated) -> dict[str, int]:
    return {str(line.price): int(line.quantity) for line in rated.lines}


def test_a_new_version_goes_on_at_the_rank_reached() -> None:
    book = agreement(version(1, 0, stepped(100, "0.50", "0.40")), version(2, MIDDLE, stepped(120, "0.45", "0.35")))
    usage = [sold(HALF, price_version="list/2", input=50), sold(0, input=110)]
    assert by_price(rate("acme", usage, [book], OCTOBER)) == {"0.5": 100, "0.4": 10, "0.45": 10, "0.35": 40}


def test_versions_within_one_hour_follow_each_other() -> None:
    book = agreement(version(1, 0, stepped(100, "0.50", "0.40")), version(2, MIDDLE + 9, stepped(100, "0.45", "0.35")))
    usage = [sold(HALF, price_version="list/2", input=50), sold(HALF, input=90)]
    assert by_price(rate("acme", usage, [book], OCTOBER)) == {"0.5": 90, "0.45": 10, "0.35": 40}


def test_steps_of_a_quarter_go_on_where_the_earlier_months_ended() -> None:
    book = agreement(version(1, 0, stepped(100, "0.50", "0.40", period="quarter")))
    november = month("2026-11")
    usage = [sold((november.starts_at - START) // HOUR, input=50, charge=3), sold(5, input=70, charge=4)]
    rated = rate("acme", usage, [book], november)
    assert by_price(rated) == {"0.5": 30, "0.4": 20}
    assert rated.charged == 3


def test_a_contract_year_that_begins_within_the_month_counts_anew() -> None:
    book = agreement(version(1, 0, stepped(100, "0.50", "0.40", period="contract year")), starts_at=parse("2025-10-15"))
    usage = [sold(0, input=150), sold(HALF, input=60)]
    assert by_price(rate("acme", usage, [book], OCTOBER)) == {"0.5": 160, "0.4": 50}


def test_only_a_count_by_contract_year_cuts_the_time_at_its_anniversaries() -> None:
    began = parse("2025-10-15")
    for period, expected in (("month", {began}), ("contract year", {began, MIDDLE})):
        book = agreement(version(1, 0, stepped(100, "0.50", "0.40", period=period)), starts_at=began)
        assert changes([book], OCTOBER.ends_at) - {0} == expected


def test_steps_count_by_project_where_they_say_so() -> None:
    book = agreement(version(1, 0, stepped(100, "0.50", "0.40", scope="project")))
    rated = rate("acme", [sold(project="a", input=150), sold(project="b", input=60)], [book], OCTOBER)
    assert [(line.key, int(line.quantity)) for line in rated.lines] == [
        ("m input of a at 0.5/1000000", 100), ("m input of a at 0.4/1000000", 50), ("m input of b at 0.5/1000000", 60)
    ]  # fmt: skip


def test_a_count_by_contract_begins_with_each_and_one_by_customer_does_not() -> None:
    for scope, expected in (("contract", {"0.5": 90, "0.4": 0}), ("customer", {"0.5": 50, "0.4": 40})):
        pair = [
            agreement(version(1, 0, stepped(100, "0.50", "0.40", scope=scope)), **term)
            for term in ({"ends_at": MIDDLE}, {"starts_at": MIDDLE})
        ]
        rated = rate("acme", [sold(0, input=50), sold(HALF, input=90)], pair, OCTOBER)
        found = [line for line in rated.lines if "since" in line.key]
        assert {str(line.price): int(line.quantity) for line in found} == {k: v for k, v in expected.items() if v}


def test_what_inherits_a_stepped_price_shares_its_rank() -> None:
    book = agreement(version(1, 0, PriceRow(model="m", steps={"output": stepped(100, "4", "3").steps["input"]})))
    rated = rate("acme", [sold(output=90, reasoning=30)], [book], OCTOBER)
    assert sum(line.quantity for line in rated.lines if line.price == 4) == 100
    assert sum(line.quantity for line in rated.lines) == 120


def test_of_two_tiers_in_steps_the_cheaper_takes_the_lower_ranks() -> None:
    half = PriceRow(model="m", percent=Decimal(50), when=TIER)
    book = agreement(version(1, 0, stepped(100, "1.00", "0.80"), half))
    rated = rate("acme", [sold(input=100), sold(tier="batch", input=100)], [book], OCTOBER)
    assert {(line.when.tier, str(line.price)) for line in rated.lines} == {("", "0.8"), ("batch", "0.5")}


def test_two_steps_of_one_price_are_one_line() -> None:
    book = agreement(version(1, 0, stepped(100, "0.50", "0.50", "0.40")))
    rated = rate("acme", [sold(input=250, charge=100)], [book], OCTOBER)
    assert by_price(rated) == {"0.5": 200, "0.4": 50}
    assert [line.charged for line in rated.lines] == [80, 20]
    assert "step 1" in rated.lines[0].reason
    assert "step 2" in rated.lines[0].reason


@given(st.lists(st.integers(1, 9), min_size=1, max_size=4), st.integers(0, 40), st.integers(0, 40), st.integers(0, 40))
def test_parts_of_a_quantity_are_those_of_its_two_halves(sizes: list[int], rank: int, one: int, other: int) -> None:
    steps = Steps(rows=(*((end, Decimal(1)) for end in accumulate(sizes)), (None, Decimal(1))))
    whole = parts(steps, rank, one + other)
    assert [a + b for a, b in zip(parts(steps, rank, one), parts(steps, rank + one, other), strict=True)] == whole
    units = [sum(unit >= sum(sizes[: place + 1]) for place in range(len(sizes))) for unit in range(rank, rank + one)]
    assert parts(steps, rank, one) == [units.count(step) for step in range(len(sizes) + 1)]


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(0, 9)), min_size=1, max_size=4), st.integers(0, 9),
       st.integers(0, 40), st.integers(0, 40))  # fmt: skip
def test_what_more_usage_costs_is_the_price_of_each_of_its_units(
    given_steps: list[tuple[int, int]], last: int, before: int, more: int
) -> None:
    """f(a + b) - f(a) is the sum of the prices of units a + 1 to a + b, by the file's words: the first so many."""
    ends = list(accumulate(size for size, _ in given_steps))
    rows = (*((end, Decimal(price)) for end, (_, price) in zip(ends, given_steps, strict=True)), (None, Decimal(last)))
    steps = Steps(rows=rows)

    def of_unit(number: int) -> Decimal:
        return next(price for end, price in rows if end is None or number <= end)

    def costs(quantity: int) -> Decimal:
        split = parts(steps, 0, quantity)
        return sum((n * price for n, (_, price) in zip(split, rows, strict=True)), Decimal(0))

    units = sum((of_unit(number) for number in range(before + 1, before + more + 1)), Decimal(0))
    assert costs(before + more) - costs(before) == units
    assert costs(more) <= more * steps.dearest


@given(st.integers(0, 10**12), st.lists(st.integers(0, 10**6), min_size=1, max_size=9))
def test_a_whole_is_split_without_a_rest_and_each_part_is_near_its_share(whole: int, weights: list[int]) -> None:
    found, total = split(whole, weights), sum(weights)
    assert sum(found) == whole
    if total:
        assert all(
            abs(part * total - whole * weight) < total for part, weight in zip(found, weights, strict=True)
        )


@pytest.mark.parametrize("name", ["2026-13", "2026", "2026-1", "october", "2026-10-01"])
def test_what_is_no_month_says_how_to_write_one(name: str) -> None:
    with pytest.raises(NoMonth, match="write it as 2026-10"):
        month(name)


@pytest.mark.parametrize(
    ("period", "at", "contract", "since"),
    [
        ("month", "2026-10-31T23:00:00Z", "", "2026-10-01"),
        ("quarter", "2026-12-31T23:00:00Z", "", "2026-10-01"),
        ("quarter", "2026-01-01", "", "2026-01-01"),
        ("contract year", "2026-10-05", "", "2026-01-01"),
        ("contract year", "2026-10-05", "2025-10-06T09:30:00Z", "2025-10-06T09:00:00Z"),
        ("contract year", "2026-10-06T09:00:00Z", "2025-10-06T09:30:00Z", "2026-10-06T09:00:00Z"),
        ("contract year", "2027-02-28", "2024-02-29", "2027-02-28"),
        ("contract year", "2026-10-05T09:00:00Z", "2026-10-05T09:30:00Z", "2026-10-05T09:00:00Z"),
    ],
)
def test_since_when_steps_are_counted(period: str, at: str, contract: str, since: str) -> None:
    found = counted_from(period, parse(at), parse(contract) if contract else 0)  # type: ignore[arg-type]
    assert show(found) == show(parse(since))
