"""Rating against a naive second one with fractions; shuffled and divided usage; corrections that meet the right sum."""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from october import OCTOBER, START, TIER, agreement, row, sold, stepped, version

from entrepot.catalog.prices import METERS, BookVersion, PriceRow, When
from entrepot.kernel.instants import HOUR
from entrepot.pricing.agreement import Agreement
from entrepot.rating.correction import corrections
from entrepot.rating.line import Rated, RatedLine, product_of, to_bytes
from entrepot.rating.order import rate
from entrepot.rating.usage import Used

MODELS, USED = ("m", "n"), ("input", "output", "audio_input")
HOURS = (OCTOBER.ends_at - START) // HOUR
prices = st.integers(0, 5000).map(lambda n: str(Decimal(n).scaleb(-3)))


@st.composite
def books(draw: st.DrawFn) -> list[BookVersion]:
    """One to three versions; later ones begin on full hours within the month and name only some things."""
    found = []
    starts = [0, *sorted(draw(st.lists(st.integers(1, HOURS - 1), max_size=2, unique=True)))]
    for number, hour in enumerate(starts, 1):
        rows = []
        for model in MODELS:
            for when in (When(), TIER):
                named = draw(st.lists(st.sampled_from(USED[:2]), unique=True, max_size=2))
                if number == 1 and not when.tier:
                    named = ["input", "output"]
                if named:
                    rows.append(row(model, when, **{name: draw(prices) for name in named}))
        found.append(version(number, START + hour * HOUR if hour else 0, *rows))
    return found


@st.composite
def usage(draw: st.DrawFn, versions: Sequence[BookVersion]) -> list[Used]:
    """Calls at the version of their hour."""
    found = []
    for _ in range(draw(st.integers(0, 12))):
        hour, model = draw(st.integers(0, HOURS - 1)), draw(st.sampled_from(MODELS))
        standing = [each for each in versions if each.valid_from <= START + hour * HOUR]
        number = max(each.number for each in standing if any(r.model == model for r in each.rows))
        counts = {name: draw(st.integers(0, 10**9)) for name in USED}
        found.append(sold(
            hour, model, tier=draw(st.sampled_from(["", "default", "batch"])), price_version=f"list/{number}",
            project=draw(st.sampled_from(["a", "b"])), charge=draw(st.integers(0, 10**9)), **counts,
        ))  # fmt: skip
    return found


@st.composite
def months(draw: st.DrawFn) -> tuple[Agreement, list[Used]]:
    versions = draw(books())
    discount = Decimal(draw(st.sampled_from(["0", "8", "12.5"])))
    return agreement(*versions, discount_percent=discount), draw(usage(versions))


def naive(agreed: Agreement, usage: Sequence[Used]) -> tuple[Fraction, dict[str, int]]:
    """Exact sum of everything that has a price, and what has none, call by call: no piles, no cache, no order."""
    total, unpriced = Fraction(0), {}
    for used in usage:
        for meter, count in zip(METERS, used.counts, strict=True):
            own = plain = None
            for each in sorted(agreed.book, key=lambda v: v.valid_from):
                if each.valid_from > used.first_hour:
                    continue
                for priced in each.rows:
                    if priced.model == used.model and meter in priced.prices:
                        if priced.when.tier == "batch" == used.tier:
                            own = priced.prices[meter]
                        elif not priced.when.tier:
                            plain = priced.prices[meter]
            price = plain if own is None else own
            if price is None:
                unpriced[meter] = unpriced.get(meter, 0) + count
            else:
                total += Fraction(price) * (100 - Fraction(agreed.discount_percent)) / 100 * count / 10**6
    return total, {meter: count for meter, count in unpriced.items() if count}


@pytest.mark.long
@given(months())
def test_lines_come_to_what_a_naive_sum_over_the_calls_comes_to(given: tuple[Agreement, list[Used]]) -> None:
    agreed, usage = given
    rated = rate("acme", usage, [agreed], OCTOBER)
    total, unpriced = naive(agreed, usage)
    assert sum((line.exact() for line in rated.lines), Fraction(0)) == total
    found: dict[str, int] = {}
    for group in rated.unrated:
        found[group.meter] = found.get(group.meter, 0) + group.quantity
    assert found == unpriced
    assert rated.charged == sum(used.charge for used in usage)
    assert len({line.key for line in rated.lines}) == len(rated.lines)
    cents = sum(line.net_minor("EUR") for line in rated.lines)
    assert abs(cents - total * 100) * 2 <= len(rated.lines)


@pytest.mark.long
@given(months(), st.randoms(use_true_random=False), st.integers(1, 4))
def test_order_and_parts_of_the_usage_change_no_byte(
    given: tuple[Agreement, list[Used]], chance: object, parts: int
) -> None:
    agreed, usage = given
    divided = [part for used in usage for part in _parts(used, parts)]
    chance.shuffle(divided)  # type: ignore[attr-defined]
    assert to_bytes(rate("acme", divided, [agreed], OCTOBER)) == to_bytes(rate("acme", usage, [agreed], OCTOBER))


@pytest.mark.long
@given(st.lists(st.tuples(st.integers(0, HOURS - 1), st.sampled_from(["", "batch"]), st.integers(0, 400)), max_size=9),
       st.randoms(use_true_random=False), st.integers(1, 3))  # fmt: skip
def test_order_and_parts_change_no_byte_of_steps(
    calls: list[tuple[int, str, int]], chance: object, parts: int
) -> None:
    half = PriceRow(model="m", percent=Decimal(50), when=TIER)
    book = agreement(version(1, 0, stepped(300, "1.00", "0.80", "0.5"), half))
    usage = [sold(hour, tier=tier, input=count, charge=count) for hour, tier, count in calls]
    divided = [part for used in usage for part in _parts(used, parts)]
    chance.shuffle(divided)  # type: ignore[attr-defined]
    rated = rate("acme", usage, [book], OCTOBER)
    assert to_bytes(rate("acme", divided, [book], OCTOBER)) == to_bytes(rated)
    assert sum(int(line.quantity) for line in rated.lines) == sum(count for _, _, count in calls)
    assert sum(line.charged for line in rated.lines) == rated.charged


@pytest.mark.long
@given(months())
def test_hours_may_be_summed_up_where_no_price_changes(given: tuple[Agreement, list[Used]]) -> None:
    agreed, usage = given
    sums: dict[tuple[object, ...], Used] = {}
    for used in usage:
        stretch = max(each.valid_from for each in agreed.book if each.valid_from <= used.first_hour)
        key = (used.model, used.tier, used.price_version, used.project, stretch)
        sums[key] = _sum(sums[key], used) if key in sums else used
    whole = rate("acme", list(sums.values()), [agreed], OCTOBER)
    assert to_bytes(whole) == to_bytes(rate("acme", usage, [agreed], OCTOBER))


@pytest.mark.long
@settings(max_examples=60)
@given(months(), st.data())
def test_what_is_billed_and_its_corrections_are_what_is_right_line_by_line(
    given: tuple[Agreement, list[Used]], data: st.DataObject
) -> None:
    agreed, usage = given
    billed: list[RatedLine] = []
    for _ in range(3):
        known = [used for used in usage if data.draw(st.booleans())]
        right = rate("acme", known, [agreed], OCTOBER)
        delta = corrections(right, billed)
        assert len({line.key for line in delta}) == len(delta)
        billed += delta if billed else right.lines
        assert _cents(billed) == _cents(right.lines)
        assert _taken(billed) == _taken(right.lines)
        assert corrections(right, billed) == ()
        assert all(line.month == "2026-10" and line.kind == "correction" for line in delta)


def _taken(lines: Iterable[RatedLine]) -> dict[str, int]:
    """What calls took, by the product that the ledger books it under."""
    found: dict[str, int] = {}
    for line in lines:
        found[product_of(line)] = found.get(product_of(line), 0) + line.charged
    return {product: amount for product, amount in found.items() if amount}


def test_a_meter_that_counts_as_before_and_took_another_part_is_told_by_one_that_changed() -> None:
    """What a call took is split by what its meters come to; a late call moves the rounded up unit to another meter."""
    book = agreement(version(1, 0, row(input="1.00", output="1.00")))
    billed = rate("acme", [sold(charge=5, input=1, output=1)], [book], OCTOBER)
    right = rate("acme", [sold(charge=5, input=1, output=1), sold(charge=1, output=1)], [book], OCTOBER)
    assert [(line.meter, line.charged) for line in billed.lines] == [("input", 3), ("output", 2)]
    assert [(line.meter, line.charged) for line in right.lines] == [("input", 2), ("output", 4)]
    assert _taken(corrections(right, billed.lines)) == {"m": 1}


def test_a_correction_names_its_month_and_has_several_signs() -> None:
    book = agreement(version(1, 0, stepped(100, "500000", "400000")))
    billed = rate("acme", [sold(input=90)], [book], OCTOBER)
    right = rate("acme", [sold(input=90), sold(5, input=30)], [book], OCTOBER)
    assert [(line.key, int(line.quantity), line.of) for line in corrections(right, billed.lines)] == [
        ("2026-10 m input at 500000/1000000", 10, "m input at 500000/1000000"),
        ("2026-10 m input at 400000/1000000", 20, "m input at 400000/1000000"),
    ]
    assert [int(line.quantity) for line in corrections(billed, right.lines)] == [-10, -20]


def test_a_correction_that_would_round_otherwise_takes_the_line_back_and_puts_the_right_one() -> None:
    book = agreement(version(1, 0, row(input="1.00")))
    billed = rate("acme", [sold(input=14_000)], [book], OCTOBER)  # 0.014 → 0.01
    right = rate("acme", [sold(input=16_000)], [book], OCTOBER)  # 0.016 → 0.02, the difference alone 0.00
    found = corrections(right, billed.lines)
    assert [(int(line.quantity), line.net_minor("EUR")) for line in found] == [(-14_000, -1), (16_000, 2)]


def test_a_rerating_takes_back_the_old_price_and_bills_the_new() -> None:
    old = rate("acme", [sold(input=1_000_000)], [agreement(version(1, 0, row(input="3")))], OCTOBER)
    new = rate("acme", [sold(input=1_000_000)], [agreement(version(1, 0, row(input="2")))], OCTOBER)
    assert {str(line.price): line.net_minor("EUR") for line in corrections(new, old.lines)} == {"3": -300, "2": 200}


@pytest.mark.long
@given(
    st.integers(0, 9), st.integers(0, 9),
    st.lists(st.tuples(st.integers(0, 30), st.integers(0, 9), st.integers(0, 100)), max_size=4),
)
def test_what_is_credited_of_a_line_counts_once_and_is_not_brought_back(
    quantity: int, part: int, then: list[tuple[int, int, int]]
) -> None:
    """Whatever is right later: what the customer bears of the line is that, or less by at most what was credited."""
    million = 1_000_000
    first = rate("acme", [sold(input=3 * million)], [agreement(version(1, 0, row(input="3")))], OCTOBER)
    billed, (line,) = list(first.lines), first.lines
    key = line.key.replace(f" at {line.price:f}/", f" at {min(part, 3)}/")
    left = [replace(line, quantity=Decimal(min(quantity, 3) * million), price=Decimal(min(part, 3)), key=key)]
    credited = sum(each.net_minor("EUR") for each in billed) - sum(each.net_minor("EUR") for each in left)
    for used, price, charge in then:
        book = agreement(version(1, 0, row(input=str(price))))
        right = rate("acme", [sold(input=used * 100_000, charge=charge)], [book], OCTOBER)
        due, stands = (sum(each.net_minor("EUR") for each in lines) for lines in (right.lines, left))
        delta = corrections(right, billed, left)
        moved = sum(each.net_minor("EUR") for each in delta)
        assert stands + moved == (due if due < stands else max(stands, due - credited))
        billed += delta
        left += delta
        assert corrections(right, billed, left) == ()


def test_a_credit_note_that_says_the_right_price_leaves_nothing_to_correct() -> None:
    old = rate("acme", [sold(input=1_000_000)], [agreement(version(1, 0, row(input="3")))], OCTOBER)
    new = rate("acme", [sold(input=1_000_000)], [agreement(version(1, 0, row(input="2")))], OCTOBER)
    (line,) = old.lines
    assert corrections(new, old.lines, [replace(line, price=Decimal(2), key=new.lines[0].key)]) == ()
    some = [replace(line, price=Decimal("2.5"), key=line.key.replace("at 3/", "at 2.5/"))]
    assert sum(each.net_minor("EUR") for each in corrections(new, old.lines, some)) == -50
    assert corrections(new, old.lines, [replace(line, quantity=Decimal(0))]) == (), "given up, and not brought back"


def _cents(lines: Sequence[RatedLine]) -> dict[tuple[str, str], int]:
    found: dict[tuple[str, str], int] = {}
    for line in lines:
        key = (line.of or line.key, str(line.price))
        found[key] = found.get(key, 0) + line.net_minor("EUR")
    return {key: cents for key, cents in found.items() if cents}


def _parts(used: Used, parts: int) -> list[Used]:
    """The same usage in several rows."""
    found = []
    for place in range(parts):
        def of(number: int, place: int = place) -> int:
            return number // parts if place else number - number // parts * (parts - 1)

        found.append(used._replace(
            counts=tuple(map(of, used.counts)), charge=of(used.charge), attempts=of(used.attempts),
            overrun=of(used.overrun), unrated=of(used.unrated),
        ))  # fmt: skip
    return found


def _sum(one: Used, other: Used) -> Used:
    return one._replace(
        counts=tuple(map(sum, zip(one.counts, other.counts, strict=True))), charge=one.charge + other.charge,
        attempts=one.attempts + other.attempts, first_hour=min(one.first_hour, other.first_hour),
        last_hour=max(one.last_hour, other.last_hour),
    )  # fmt: skip


def test_rated_bytes_tell_their_inputs() -> None:
    rated = rate("acme", [sold(input=1)], [agreement()], OCTOBER)
    assert isinstance(rated, Rated)
    assert to_bytes(rated) != to_bytes(replace(rated, inputs=(("book list/1", "00"),)))
