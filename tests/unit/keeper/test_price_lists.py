"""What a gateway charges by is what the customer agreed: for every call at least what its usage line will say, and the
same to the last digit where the price has no steps."""

from decimal import Decimal
from fractions import Fraction
from typing import Any

import msgspec
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from endings import terms as some_terms
from entrepot.catalog.contents import Catalog, Contract, Customer, Deployment, Model, Upstream, Vendor, Version
from entrepot.catalog.prices import METERS, BookVersion, CostPlus, PriceRow, Steps, When
from entrepot.catalog.standing import ties
from entrepot.gateway.tariff import Tariff, in_zone
from entrepot.keeper.prices import AHEAD, BEHIND, PriceLists, price_list_of
from entrepot.kernel.buckets import INPUT_SIDE, OUTPUT_SIDE, Quantities
from entrepot.kernel.instants import DAY, HOUR, parse
from entrepot.pricing.agreement import agreed, agreement_of
from entrepot.pricing.charge import charge, unrated
from entrepot.snapshot.entries import PriceEntry, version_at

NOW = parse("2026-06-01T10:30:00Z")
decode = msgspec.msgpack.Decoder(PriceEntry).decode

models = st.sampled_from(["m", "m-*", "*"])
amounts = st.sampled_from([Decimal(text) for text in ("0", "0.01", "2.5", "3.333333333333333333", "40", "0.000000007")])
percents = st.sampled_from([Decimal(text) for text in ("0", "7.5", "50", "33.333333333333333333", "250")])
conditions = st.builds(
    When, tier=st.sampled_from(["", "", "batch"]), zone=st.sampled_from(["", "", "EU"]),
    request_over=st.sampled_from([0, 0, 1000]), hours=st.sampled_from(["", "", "22-06"]),
)  # fmt: skip
meters = st.lists(st.sampled_from(METERS), max_size=3, unique=True).map(tuple)
unit = st.builds(
    PriceRow, model=models, when=conditions, per=st.sampled_from([1_000_000, 1000, 7]),
    prices=st.dictionaries(st.sampled_from(METERS), amounts, min_size=1, max_size=4),
)  # fmt: skip
steps = st.builds(lambda a, b: Steps(rows=((100, a), (None, b))), amounts, amounts)
graduated = st.builds(PriceRow, model=models, when=conditions, steps=st.fixed_dictionaries({"output": steps}))
on_cost = st.builds(
    PriceRow, model=models, when=conditions, meters=meters,
    cost_plus=st.builds(CostPlus, percent=percents, amount=amounts),
)  # fmt: skip
free = st.builds(PriceRow, model=models, when=conditions, meters=meters, included=st.just("in the base fee"))
shares = st.builds(PriceRow, model=models, when=st.builds(When, tier=st.just("batch")), percent=percents)
kinds = unit | unit | graduated | on_cost | free | shares
starts = st.sampled_from([parse("2026-01-01"), NOW - HOUR, NOW - 7 * 60_000_000, NOW + 20 * 60_000_000, NOW + DAY])


def version(rows: list[PriceRow], at: int, number: int, **more: Any) -> BookVersion:
    """Of two rows for the same thing the first counts."""
    seen: dict[Any, PriceRow] = {}
    for row in rows:
        if not row.says().keys() & seen.keys():
            seen.update(dict.fromkeys(row.says(), row))
    kept = tuple(row for row in rows if any(each is row for each in seen.values()))
    return BookVersion(**{"book": "list", "currency": "USD", "number": number, "valid_from": at, "rows": kept, **more})


@st.composite
def houses(draw: st.DrawFn) -> Catalog:
    plain = PriceRow(model="*", prices={"input": Decimal("1.5"), "output": Decimal(6)})
    versions = [version([plain], parse("2026-01-01"), 1)]
    # a version that begins within an hour is not followed by one for a time before (catalog.price_rules)
    for number, at in enumerate(sorted(draw(st.lists(starts, max_size=2, unique=True))), 2):
        versions.append(version(draw(st.lists(kinds, min_size=1, max_size=3)), at, number))
    for vendor in ("one", "two"):
        for number, at in enumerate(sorted(draw(st.lists(starts, max_size=2, unique=True))), 1):
            rows = draw(st.lists(unit | shares, min_size=1, max_size=3))
            versions.append(version(rows, at, number, book=f"{vendor}-cost", buys_from=vendor))
    first = Contract(
        book="list", discount_percent=draw(percents.filter(lambda each: each <= 100)),
        rows=version(draw(st.lists(kinds, max_size=2)), 0, 0).rows,
    )  # fmt: skip
    ends = draw(st.sampled_from([0, NOW + 5 * HOUR]))
    second = msgspec.structs.replace(first, starts_at=ends, discount_percent=Decimal(3))
    contracts = (msgspec.structs.replace(first, ends_at=ends), second) if ends else (first,)
    for book in {each.book for each in versions}:
        of_book = [each for each in versions if each.book == book]
        assume(not any(ties(of_book, each.valid_from) for each in of_book))
    assume(not ties([version(list(first.rows), 0, 0)], 0))
    return Catalog(
        vendors={each: Vendor(each, {}) for each in ("one", "two")},
        upstreams={
            each: Upstream(id=each, vendor=each, dialect="openai", url="https://v.example/v1", zone=zone)
            for each, zone in (("one", "EU"), ("two", ""))
        },
        models={
            "m-1": Model(
                id="m-1", versions=(Version(name="", routes=(("one", "m"), ("two", "m"))),), context=9, output_max=9
            )
        },
        versions=tuple(versions),
        customers={"c": Customer(id="c", contracts=contracts)},
    )


counts = st.tuples(*(st.integers(0, 3000) for _ in range(8)))


@pytest.mark.long
@settings(deadline=None, max_examples=300)
@given(houses(), counts, st.sampled_from(["", "default", "batch", "scale"]), st.sampled_from(["one", "two"]),
       st.integers(-BEHIND, AHEAD).map(lambda offset: NOW + offset))  # fmt: skip
def test_a_call_is_charged_what_its_usage_line_will_say(
    house: Catalog, used: Quantities, tier: str, vendor: str, at: int
) -> None:
    customer, upstream = house.customers["c"], house.upstreams[vendor]
    name, _ = price_list_of(customer, NOW)
    entry = decode(PriceLists().tables(house, NOW)[f"{name}/m-1"])
    priced = version_at(entry.of(vendor), at)
    assert priced is not None
    book = in_zone(priced, upstream.zone)
    plain = some_terms(
        den=priced.den, rates=book.at("", 0).per_bucket, request_rate=book.at("", 0).request, price_version=priced.id
    )
    tariff = Tariff(plain, book, None)
    terms, _ = tariff.applied(tier, sum(used[bucket] for bucket in INPUT_SIDE))
    charged = charge(used, terms.den, terms.rates, terms.request_rate)

    # as rating sees it: the sums of an hour, by tier, zone, bracket and price version
    when = When(tier=tier, zone=upstream.zone, request_over=int(terms.bracket or 0))
    agreement = agreement_of(customer.contract(at), house.versions)
    hour = at - at % HOUR
    prices = agreed(agreement, "m-1", hour, when, vendor, pinned=terms.price_version)
    assert prices == agreed(agreement, "m-1", at, when, vendor)
    quantities = dict(zip(METERS, (*used, 1 if any(used) else 0), strict=True))
    line = sum((prices[meter].exact * n for meter, n in quantities.items() if meter in prices), Fraction(0)) * 10**9
    due = -(-line.numerator // line.denominator)
    fits = all((price.exact * 10**9 * priced.den).denominator == 1 for price in prices.values())
    assert charged >= due
    if not any(price.steps for price in prices.values()):
        assert charged <= (due if fits else due + 1)
    assert {METERS[i] for i in unrated(used, terms.rates)} == {
        meter for meter, n in quantities.items() if n and meter not in prices and meter != "request"
    }

    asked = tier if tier in tariff.tiers else ""
    if tier in ("", "default", "batch"):
        bound = sum(used[bucket] for bucket in INPUT_SIDE)
        made = sum(used[bucket] for bucket in OUTPUT_SIDE)
        dearest_in, dearest_out, once = tariff.held(asked, bound)
        assert charged <= -(-(bound * max(dearest_in, 0) + made * max(dearest_out, 0) + once) // terms.den)


def house_of(rows: list[PriceRow], *contracts: Contract, **more: Any) -> Catalog:
    model = Model(id="m", versions=(Version(name="", routes=(("u", "m"),)),), context=9, output_max=9)
    return Catalog(
        vendors={"v": Vendor("v", {})}, models={"m": model, "n": msgspec.structs.replace(model, id="n")},
        upstreams={"u": Upstream(id="u", vendor="v", dialect="openai", url="https://v.example/v1")},
        versions=(version(rows, parse("2026-01-01"), 1),),
        customers={f"c{n}": Customer(id=f"c{n}", contracts=(each,), **more) for n, each in enumerate(contracts)},
    )  # fmt: skip


PLAIN = PriceRow(model="*", prices={"input": Decimal(2), "output": Decimal(8)})


def test_who_agreed_the_same_shares_a_price_list_and_who_agreed_nothing_has_the_book() -> None:
    less = Contract(book="list", discount_percent=Decimal(8))
    house = house_of([PLAIN], Contract(book="list"), less, msgspec.structs.replace(less, id="K-2"))
    names = {each.id: price_list_of(each, NOW)[0] for each in house.customers.values()}
    assert names["c0"] == "list"
    assert names["c1"] == names["c2"] != "list"
    tables = PriceLists().tables(house, NOW)
    assert {key: decode(data).versions[0].rates[0] for key, data in tables.items()} == {
        "list/m": 2000, "list/n": 2000, f"{names['c1']}/m": 1840, f"{names['c1']}/n": 1840
    }  # fmt: skip


def test_a_price_list_of_a_contract_has_the_models_that_its_deployments_name() -> None:
    less = Contract(book="list", discount_percent=Decimal(8))
    deployment = Deployment(project="p", name="d", model="n")
    tables = PriceLists().tables(house_of([PLAIN], less, deployments=(deployment,)), NOW)
    assert sorted(key.split("/")[1] for key in tables if key.startswith("list@")) == ["n"]


def test_hours_of_the_day_are_versions_that_begin_at_their_edges() -> None:
    night = PriceRow(model="m", when=When(hours="22-06"), prices={"input": Decimal(1)})
    day = PriceRow(model="m", prices={"input": Decimal(2), "output": Decimal(8)})
    entry = decode(PriceLists().tables(house_of([day, night]), NOW)["list/m"])
    seen = {each.valid_from: each.rates[0] for each in entry.versions}
    assert [(at - parse("2026-06-01")) // HOUR for at in seen] == [6, 22, 30, 46, 54]
    assert list(seen.values()) == [2000, 1000, 2000, 1000, 2000]
    assert {each.id for each in entry.versions} == {"list/1"}


def test_each_vendor_of_a_model_has_its_own_price_on_its_own() -> None:
    plus = PriceRow(model="*", cost_plus=CostPlus(percent=Decimal(20)))
    house = house_of([plus])
    model = house.models["m"]
    both = (Version(name="", routes=(("u", "m"), ("w", "m"))),)
    costs = tuple(
        version([PriceRow(model="m", prices={"input": price, "output": price})], 0, 1, book=f"{v}-cost", buys_from=v)
        for v, price in (("v", Decimal(1)), ("x", Decimal(5)))
    )
    house = msgspec.structs.replace(
        house, models={"m": msgspec.structs.replace(model, versions=both)}, versions=(*house.versions, *costs),
        upstreams={**house.upstreams, "w": Upstream(id="w", vendor="x", dialect="openai", url="https://x.example/v1")},
    )  # fmt: skip
    entry = decode(PriceLists().tables(house, NOW)["list/m"])
    assert [(each.id, each.rates[0]) for each in entry.of("v")] == [("list/1+v-cost/1", 1200)]
    assert [(each.id, each.rates[0]) for each in entry.of("x")] == [("list/1+x-cost/1", 6000)]


@pytest.mark.parametrize("digits", ["0.000000000000000001", "0.333333333333333333", "999999.999999999999999999"])
def test_a_price_that_no_gateway_can_write_is_charged_the_least_bit_more(digits: str) -> None:
    less = Contract(book="list", discount_percent=Decimal("33.333333333333333333"))
    rows = [PriceRow(model="m", per=7, prices={"input": Decimal(digits), "output": Decimal(digits)})]
    house = house_of(rows, less)
    name, _ = price_list_of(house.customers["c0"], NOW)
    (found,) = decode(PriceLists().tables(house, NOW)[f"{name}/m"]).versions
    exact = Fraction(Decimal(digits)) * Fraction(Decimal(100) - less.discount_percent) / 100 / 7 * 10**9
    assert exact <= Fraction(found.rates[0], found.den) < exact * (1 + Fraction(1, 10**12)) + Fraction(1, 10**17)
    assert max(found.den, *found.rates) < 1 << 63


def test_what_was_compiled_before_from_the_same_is_the_same_and_what_changed_is_not() -> None:
    lists = PriceLists()
    house = house_of([PLAIN], Contract(book="list", discount_percent=Decimal(8)))
    first = lists.tables(house, NOW)
    assert lists.tables(house, NOW) == first == PriceLists().tables(house, NOW)
    later = version([PriceRow(model="m", prices={"input": Decimal(3)})], NOW - HOUR // 2, 2)
    changed = msgspec.structs.replace(house, versions=(*house.versions, later))
    assert lists.tables(changed, NOW) == PriceLists().tables(changed, NOW) != first


@pytest.mark.long
@settings(deadline=None, max_examples=60)
@given(houses(), st.lists(st.integers(0, 4 * 24 * 60).map(lambda minutes: NOW + minutes * 60_000_000), max_size=4))
def test_time_passes_for_what_was_compiled_before(house: Catalog, moments: list[int]) -> None:
    lists = PriceLists()
    for now in (NOW, *moments):
        assert lists.tables(house, now) == PriceLists().tables(house, now)
