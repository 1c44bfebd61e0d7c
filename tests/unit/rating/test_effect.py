"""The effect of prices is the difference of two bills of the same usage, made by the same rating."""

from decimal import Decimal

import msgspec

from entrepot.catalog.contents import Catalog, Contract, Customer, Model, Upstream, Vendor
from entrepot.catalog.lifecycle import Version
from entrepot.catalog.prices import METERS, BookVersion, PriceRow, When
from entrepot.kernel.instants import HOUR, parse
from entrepot.limits.budget import period_of
from entrepot.rating.effect import SAMPLE, costs, effects, sample
from entrepot.rating.usage import Used

OCTOBER = period_of("month", parse("2026-10-05T00:00:00Z"))
DECEMBER = parse("2026-12-01T00:00:00Z")


def version(number: int, valid_from: str, *rows: PriceRow, **more: str) -> BookVersion:
    at = parse(f"{valid_from}T00:00:00Z")
    return BookVersion(
        book=more.get("book", "list"), currency="USD", valid_from=at, rows=rows, number=number, published_at=1,
        buys_from=more.get("buys_from", ""),
    )  # fmt: skip


def row(when: When | None = None, **prices: str) -> PriceRow:
    return PriceRow(
        model="m", prices={meter: Decimal(price) for meter, price in prices.items()}, when=when or When()
    )  # fmt: skip


LIST = version(1, "2026-01-01", row(input="2.00", output="8.00"))
COST = version(1, "2026-01-01", row(input="1.00", output="4.00"), book="cost", buys_from="maker")
HOUSE = Catalog(
    vendors={"maker": Vendor("maker", {})},
    upstreams={"maker": Upstream(id="maker", vendor="maker", dialect="openai")},
    models={"m": Model(id="m", versions=(Version(name="", routes=(("maker", "m"),)),), context=1, output_max=1)},
    versions=(LIST, COST),
    customers={
        "acme": Customer(id="acme", contracts=(Contract(book="list"),)),
        "bank": Customer(id="bank", contracts=(Contract(book="list", discount_percent=Decimal(10)),)),
        "own": Customer(id="own", contracts=(Contract(book="list", rows=(row(output="7.00"),)),)),
    },
)  # fmt: skip


def used(tier: str = "", hour: int = 0, **counts: int) -> Used:
    return Used(
        project="p", model="m", vendor="maker", zone="", tier=tier, bracket="", price_version="list/1", currency="USD",
        first_hour=OCTOBER.starts_at + hour * HOUR, last_hour=OCTOBER.starts_at + hour * HOUR, attempts=1,
        counts=tuple(counts.get(meter, 0) for meter in METERS), charge=5, overrun=0, unrated=0,
    )  # fmt: skip


def with_(*versions: BookVersion) -> Catalog:
    return Catalog(
        vendors=HOUSE.vendors, upstreams=HOUSE.upstreams, models=HOUSE.models, versions=(*HOUSE.versions, *versions),
        customers=HOUSE.customers,
    )  # fmt: skip


def test_each_customer_pays_the_difference_of_the_two_prices_under_its_contract() -> None:
    dearer = version(2, "2026-12-01", row(output="9.00"))
    usage = {name: [used(input=1_000_000, output=10_000_000)] for name in ("acme", "bank", "own")}
    found = effects(HOUSE, with_(dearer), DECEMBER, usage, OCTOBER)
    assert [(each.name, each.before_minor, each.after_minor) for each in found] == [
        ("acme", 8200, 9200), ("bank", 7380, 8280),
    ]  # fmt: skip
    (line,) = found[0].lines
    assert (line.name, line.before, line.after, line.change_minor) == (
        "m output", "8 per 1,000,000", "9 per 1,000,000", 1000
    )  # fmt: skip


def test_before_the_new_price_begins_nothing_changes() -> None:
    dearer = version(2, "2026-12-01", row(output="9.00"))
    assert effects(HOUSE, with_(dearer), DECEMBER - 1, {"acme": [used(output=10**6)]}, OCTOBER) == []


def test_a_customer_whose_usage_the_change_does_not_touch_is_left_out() -> None:
    batch = version(2, "2026-12-01", row(When(tier="batch"), output="4.00"))
    usage = {"acme": [used(output=10**6)], "bank": [used("batch", output=10**6)]}
    found = effects(HOUSE, with_(batch), DECEMBER, usage, OCTOBER)
    assert [(each.name, each.change_minor) for each in found] == [("bank", -360)]


def test_the_hour_of_the_day_counts() -> None:
    night = version(2, "2026-12-01", row(When(hours="22-06"), output="1.00"))
    usage = {"acme": [used(hour=3, output=10**6), used(hour=12, output=10**6)]}
    (found,) = effects(HOUSE, with_(night), DECEMBER, usage, OCTOBER)
    assert (found.before_minor, found.after_minor) == (1600, 900)


def test_what_we_pay_a_vendor_changes_with_its_book() -> None:
    dearer = version(2, "2026-12-01", row(output="5.00"), book="cost", buys_from="maker")
    (found,) = costs(HOUSE, with_(dearer), DECEMBER, {"maker": [used(output=10**6)]}, OCTOBER)
    assert (found.kind, found.name, found.before_minor, found.after_minor) == ("vendor", "maker", 400, 500)


def test_what_was_used_and_would_lose_its_price_is_named() -> None:
    house = with_(version(1, "2026-01-01", row(input="3.00"), book="short"))
    moved = Customer(id="acme", contracts=(Contract(book="short"),))
    after = msgspec.structs.replace(house, customers={**house.customers, "acme": moved})
    usage = {"acme": [used(input=10**6, output=10**6, cached=10**6)]}
    (found,) = effects(house, after, DECEMBER, usage, OCTOBER)
    assert found.unpriced == ("m output",), "cached had none before either"


def test_a_sample_is_a_thousand_calls_of_every_model_that_a_customer_may_call() -> None:
    (row,) = sample(HOUSE, "acme", OCTOBER)
    assert (row.model, row.vendor, row.attempts) == ("m", "maker", 1_000)
    assert dict(zip(METERS, row.counts, strict=True)) == {**dict.fromkeys(METERS, 0), **SAMPLE}
