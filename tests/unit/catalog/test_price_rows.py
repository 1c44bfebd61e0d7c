"""Every kind of price row: read, written back as it was, stored as it was; and what is wrong with one, in words."""

import re
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from entrepot.catalog.contents import Catalog, Model, Upstream, Vendor, Version
from entrepot.catalog.difference import difference
from entrepot.catalog.export import export
from entrepot.catalog.file import read
from entrepot.catalog.issues import CatalogBroken
from entrepot.catalog.prices import METERS, REQUEST, BookVersion, CostPlus, PeriodPrice, PriceRow, Steps, When
from entrepot.kernel.instants import parse
from entrepot.metering.rollup import RollupKey
from entrepot.pricing.publication import check
from entrepot.pricing.tables import row_from_text, row_to_text
from shared_data import SHARED

AT = parse("2026-06-01")
HEAD = """\
format = 1
[vendor]
v = { name = "V" }
[upstream.u]
vendor = "v"
endpoint = { dialect = "openai", url = "https://v.example/v1", zone = "EU" }
[model]
m = { routes = ["u/m"], context = 400_000 }
aurora-x = { routes = ["u/x"], context = 400_000 }
"""
BOOK = '[[book.list]]\ncurrency = "USD"\nvalid_from = 2026-01-01T00:00:00Z\nprices = [\n'
COST = """\
[[book.cost]]
buys_from = "v"
currency = "EUR"
valid_from = 2026-01-01T00:00:00Z
prices = [{ model = "m", input = 1.0, output = 2.0 }]
"""


def said(rows: str, more: str = "") -> str:
    """The mistakes of a book with these rows, or ""."""
    file = read(f"{HEAD}{more}{BOOK}{rows}\n]\n", "shop.toml")
    try:
        check(file, Catalog(), AT)
    except CatalogBroken as broken:
        return broken.message
    return ""


def one(row: str) -> PriceRow:
    file = read(f"{HEAD}{BOOK}{row}\n]\n", "shop.toml")
    assert file.issues == (), file.issues
    (found,) = file.catalog.versions[0].rows
    return found


def test_what_is_not_given_is_not_there() -> None:
    assert one('{ model = "m", input = 2.50 }') == PriceRow(model="m", prices={"input": Decimal("2.50")})


def test_a_price_of_a_request_is_for_one_whatever_per_says_of_tokens() -> None:
    row = one('{ model = "m", per = 1000, input = 0.0025, request = 0.01 }')
    assert (row.per_of("input"), row.per_of(REQUEST)) == (1000, 1)


def test_steps_count_from_the_beginning_of_their_period() -> None:
    row = one('{ model = "m", input = [{ first = 500, price = 0.5 }, { first = 900, price = 0.45 }, { price = 0.42 }], '
              'cached = 0.05, steps = "project, contract year" }')  # fmt: skip
    rows = ((500, Decimal("0.5")), (900, Decimal("0.45")), (None, Decimal("0.42")))
    assert row.steps == {"input": Steps(scope="project", period="contract year", rows=rows)}
    assert row.prices == {"cached": Decimal("0.05")}


def test_hours_until_midnight_have_one_spelling() -> None:
    assert [one(f'{{ model = "m", hours = "{hours}", input = 1.0 }}').when.hours for hours in ("22-00", "22-24")] == [
        "22-24", "22-24"
    ]  # fmt: skip


names = st.sampled_from(["m", "aurora-x", "aurora-*", "*"])
amounts = st.decimals(0, 10**4, places=7)
conditions = st.builds(
    When, tier=st.sampled_from(["", "batch"]), zone=st.sampled_from(["", "EU"]),
    request_over=st.sampled_from([0, 1000]), hours=st.sampled_from(["", "22-06", "08-20"]),
)  # fmt: skip
pers = st.sampled_from([1_000_000, 1000])
some_meters = st.lists(st.sampled_from(METERS), max_size=3, unique=True).map(tuple)
unit = st.builds(
    PriceRow, model=names, when=conditions, per=pers,
    prices=st.dictionaries(st.sampled_from(METERS[:8]), amounts, min_size=1, max_size=3),
)  # fmt: skip
steps_rows = st.builds(
    lambda ends, last: (*sorted(ends.items()), (None, last)),
    st.dictionaries(st.integers(1, 10**9), amounts, min_size=1, max_size=3), amounts,
)  # fmt: skip
all_steps = st.builds(
    Steps, rows=steps_rows, scope=st.sampled_from(["customer", "contract", "project"]),
    period=st.sampled_from(["month", "quarter", "contract year"]),
)  # fmt: skip
graduated = st.builds(PriceRow, model=names, when=conditions, steps=st.fixed_dictionaries({"input": all_steps}))
on_cost = st.builds(
    PriceRow, model=names, when=conditions, per=pers, meters=some_meters,
    cost_plus=st.builds(CostPlus, percent=st.decimals(0, 500, places=3), amount=amounts),
)  # fmt: skip
free = st.builds(
    PriceRow, model=names, when=conditions, meters=some_meters, included=st.sampled_from(["in the base fee", 'ä "1"'])
)
shares = st.builds(PriceRow, model=names, when=st.just(When(tier="flex")), percent=st.decimals(0, 900, places=2))
by_month = st.builds(
    PriceRow, product=st.sampled_from(["base", "support"]),
    period=st.builds(PeriodPrice, of=st.just(("*",)) | st.just(("m", "aurora-*")), minimum=amounts)
    | st.builds(PeriodPrice, of=st.just(("*",)), minimum=amounts, percent=st.decimals(0, 100, places=2)),
)  # fmt: skip
any_row = unit | graduated | on_cost | free | shares | by_month


@pytest.mark.long
@settings(deadline=None, max_examples=200)
@given(any_row)
def test_every_row_is_written_back_and_stored_as_it_was(row: PriceRow) -> None:
    catalog = Catalog(
        vendors={"v": Vendor("v", {"name": "V"})},
        upstreams={"u": Upstream(id="u", vendor="v", dialect="openai", url="https://v.example/v1")},
        models={
            each: Model(id=each, versions=(Version(name="", routes=(("u", each),)),), context=9, output_max=9)
            for each in ("m", "aurora-x")
        },
        versions=(BookVersion(book="list", currency="USD", valid_from=AT, rows=(row,), number=1, published_at=AT),),
    )
    file = read(export(catalog), "shop.toml")
    check(file, Catalog(), AT)
    assert difference(catalog, file.catalog) == []
    assert file.catalog.versions[0].says_the_same(catalog.versions[0])
    assert row_from_text(row_to_text(row)) == row
    assert str(difference(Catalog(), file.catalog)[-1]).startswith("+ book list")


STEPS = '{{ model = "m", output = 1.0, input = [{}], steps = "customer, month" }}'


@pytest.mark.parametrize(
    ("rows", "line", "says"),
    [
        (STEPS.format("{ first = 500, price = 2.0 }, { first = 500, price = 1.5 }, { price = 1.0 }"), 14,
         "Steps rise: first counts from the beginning of the period, and the step before ends at 500."),
        (STEPS.format("{ first = 500, price = 2.0 }, { first = 900, price = 1.0 }"), 14, "The last step has no end"),
        (STEPS.format("{ price = 2.0 }, { price = 1.0 }"), 14, "Only the last step is without first"),
        (STEPS.format("{ price = 2.0 }"), 14, "One step is none: write input = its price."),
        (STEPS.format(""), 14, "at least two steps"),
        (STEPS.format("{ first = 5 }, { price = 1.0 }"), 14, "input is a price: a number of at least 0"),
        (STEPS.format("{ first = 0, price = 1.0 }, { price = 1.0 }"), 14, "first is a whole number of at least 1"),
        (STEPS.format("{ first = 5, price = 1.0, until = 3 }, { price = 1.0 }"), 14, 'Nothing here is called "until"'),
        ('{ model = "m", input = [{ first = 5, price = 2.0 }, { price = 1.0 }] }', 14,
         'steps says whose and of what: steps = "customer, month"'),
        ('{ model = "m", input = [{ first = 5, price = 2.0 }, { price = 1.0 }], steps = "user, week" }', 14,
         "Known are customer, contract, project; month, quarter, contract year."),
        ('{ model = "m", input = [{ first = 5, price = 2.0 }, { price = 1.0 }], steps = { counts = ["input"] } }', 14,
         "the order of calls would be needed, and usage is kept as sums"),
        ('{ model = "m", input = 1.0, steps = "customer, month" }', 14, "the price is a list of them"),
        ('{ model = "a*b", input = 1.0 }', 14, "is no pattern: the star is its last letter"),
        ('{ model = "**", input = 1.0 }', 14, "is no pattern"),
        ('{ model = "nope", input = 1.0 }', 14, "No model has this name."),
        ('{ model = "m", hours = "6-22", input = 1.0 }', 14, 'hours are whole ones of the day, UTC: "08-20"'),
        ('{ model = "m", hours = "08-25", input = 1.0 }', 14, "hours are whole ones of the day"),
        ('{ model = "m", hours = [8, 20], input = 1.0 }', 14, "hours is a text"),
        ('{ model = "m", hours = "05-05", input = 1.0 }', 14, "These are all hours of the day"),
        ('{ model = "m", included = true }', 14, "included is a text"),
        ('{ model = "m", included = " " }', 14, 'included is the reason: included = "part of the base fee".'),
        ('{ model = "m", included = "free", input = 1.0 }', 14, "one way to make its price, not both"),
        ('{ model = "m", cost_plus_percent = 20, included = "x" }', 14, "not both cost_plus and included"),
        ('{ model = "m", cost_plus_percent = -1 }', 14, "cost_plus_percent is a number from 0 to 1,000."),
        ('{ model = "m", cost_plus = "1" }', 14, "cost_plus is a price"),
        ('{ model = "m", cost_plus_percent = 20, meters = ["inputs"] }', 14, '"inputs" is no meter. Did you mean'),
        ('{ model = "m", cost_plus_percent = 20, meters = [] }', 14, "leave it out for all"),
        ('{ model = "m", input = 1.0, meters = ["input"] }', 14, "meters is for cost_plus and included"),
        ('{ model = "m", input = 1.0 },\n{ model = "m", cost_plus_percent = 20 }', 15,
         'm input has two prices in this version: this one and that of line 14.'),
        ('{ model = "m", request = 0.01, per = 1000 }', 14, "per is of tokens; the price of a request is for one."),
        ('{ model = "m", per = 1, input = 2_500_000.0 }', 14, "is its per missing?"),
        ('{ model = "m", inputs = 1.0 }', 14, 'Nothing here is called "inputs". Did you mean "input"?'),
        ('{ model = "m", tier = "batch" }', 14, "This row names no price."),
        ('{ model = "m", user = "x", input = 1.0 }', 14, "Usage is summed by service tier, zone, bracket of the "
         "request and hour among others, not by user: a price cannot depend on it."),
        ('{ model = "m", output_over = 5, input = 1.0 }', 14, "not by output_over"),
        ('{ model = "m", hours = "08-20", input = 1.0 },\n{ model = "m", hours = "18-22", input = 2.0 }', 13,
         "Let the hours of one begin where those of the other end."),
        ('{ model = "m", hours = "08-20", input = 1.0 },\n{ model = "m", zone = "EU", input = 2.0 }', 13,
         "m input (08-20 h UTC) and m input (zone EU) are equally good"),
        ('{ product = "support" }', 14, '"support" has no price: minimum = 500 a month, or percent = 10 with of.'),
        ('{ product = "support", percent = 10 }', 14, 'A percentage says of which lines: of = ["aurora-*"]'),
        ('{ product = "support", percent = 10, of = ["support"] }', 14, "A percentage is never of itself"),
        ('{ product = "base", minimum = 10.0, of = ["base"] }', 14, "A minimum is never of itself"),
        ('{ product = "support", percent = 10, of = ["nope"] }', 14, "No model and no product has this name."),
        ('{ product = "support", percent = 10, of = ["a*b"] }', 14, "is no pattern"),
        ('{ product = "support", percent = 10, of = ["*"], minimum = 5.0 }', 14, "the least of a percentage"),
        ('{ product = "base", minimum = 5.0, at_least = 3.0 }', 14, "at_least is of a percentage"),
        ('{ product = "one", percent = 5, of = ["two"] },\n{ product = "two", percent = 5, of = ["*"] }', 14,
         '"two" is itself a percentage of lines'),
        ('{ product = "one", percent = 5, of = ["two"] },\n{ product = "two", percent = 5, of = ["one"] }', 15,
         '"one" is itself a percentage of lines'),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_row_is_said_at_its_line(rows: str, line: int, says: str) -> None:
    found = said(rows)
    assert says in found, found
    assert f"  line {line}" in found


def test_a_price_on_the_vendors_in_another_currency_says_what_would_do() -> None:
    found = said('{ model = "*", cost_plus_percent = 20 },\n{ model = "m", output = 1.0 }', COST)
    assert "m input would be a price in USD on one in EUR (cost): no rate between the two is kept yet." in found
    assert "Give m a price of its own in USD, or sell it by a book in EUR." in found
    assert said('{ model = "*", cost_plus_percent = 20 },\n{ model = "m", input = 3.0, output = 1.0 }', COST) == ""


def test_a_contracts_price_on_the_vendors_in_another_currency_is_refused_too() -> None:
    contract = '[customer.c]\ncontract = { prices = [{ model = "m", cost_plus_percent = 5 }] }\n'
    found = said('{ model = "m", input = 1.0 }', COST + contract)
    assert "m input, output would be a price in USD on one in EUR" in found


@pytest.mark.parametrize(
    "row",
    [
        '{ model = "m", cost_plus_percent = 1 }', '{ product = "base", minimum = 5.0 }',
        STEPS.format("{ first = 5, price = 1.0 }, { price = 2.0 }"),
    ],
)  # fmt: skip
def test_a_cost_book_says_what_the_vendor_asks(row: str) -> None:
    book = COST.replace('{ model = "m", input = 1.0, output = 2.0 }', row)
    found = said('{ model = "m", input = 1.0, output = 1.0 }', book)
    assert "A cost book says what the vendor asks for one" in found or "What a vendor asks by the month" in found


def test_who_pays_in_advance_cannot_owe_a_minimum() -> None:
    row = '{ model = "m", input = 1.0, output = 1.0 }, { product = "base", minimum = 500.0 }'
    found = said(row, "[customer.c]\n")
    assert 'c pays in advance, and "base" is known only when a month is over.' in found
    assert said(row, '[customer.c]\npays = { by = "invoice", credit_limit = 5.0 }\n') == ""


def test_between_a_contract_and_its_book_there_is_no_gap() -> None:
    found = said('{ model = "m", input = 1.0 }', "[customer.c]\ncontract = { from = 2025-12-01T00:00:00Z }\n")
    assert 'From 2025-12-01T00:00:00Z until 2026-01-01T00:00:00Z the book "list" has no price.' in found


def test_a_version_has_no_end_of_its_own() -> None:
    file = read(HEAD + BOOK.replace("prices", "valid_until = 2026-02-01T00:00:00Z\nprices") + "]\n", "shop.toml")
    assert "A book has no gap" in file.issues[0].why[0]


def test_conditions_are_what_usage_is_summed_by() -> None:
    """A condition of a row is a part of the rollup's key; the hours of a day follow from its hour."""
    assert {"tier": "service_tier", "zone": "zone", "request_over": "bracket", "hours": "hour"}.keys() == set(
        When.__struct_fields__
    )
    assert {"service_tier", "zone", "bracket", "hour"} <= set(RollupKey._fields)


def test_the_example_of_a_catalog_has_all_its_prices_read_but_those_that_run_by_time() -> None:
    path = SHARED / "catalog-example.toml"
    if not path.exists():
        pytest.skip(f"{path} is missing")
    file = read(path.read_text(), "example.toml")
    text = path.read_text().split("\n")
    priced = {number for number, line in enumerate(text, 1) if re.match(r"  \{ (model|product) = ", line)}
    refused = {issue.line for issue in file.issues if issue.line in priced}
    assert [text[number - 1].split("per = ")[1].split(",")[0] for number in sorted(refused)] == [
        '"PTU-hour"', '"PTU-month"', '"seat-month"'
    ]  # fmt: skip
    assert sum(len(each.rows) for each in file.catalog.versions) == 10
    assert Path(path).exists()


def test_no_version_comes_for_a_time_before_one_that_begins_within_an_hour() -> None:
    book = '[[book.list]]\ncurrency = "USD"\nvalid_from = {}\nprices = [{{ model = "m", input = {} }}]\n'
    standing = read(HEAD + book.format("2026-07-01T10:20:00Z", "1.0"), "shop.toml").catalog
    numbered = tuple(replace(each, number=1, published_at=1) for each in standing.versions)
    house = replace(standing, versions=numbered)
    check(read("format = 1\n" + book.format("2026-07-01T10:40:00Z", "2.0"), "next.toml"), house, AT)
    for at in ("2026-07-01T10:00:00Z", "2026-06-20T00:00:00Z"):
        with pytest.raises(CatalogBroken, match="list/1 is published and begins within an hour, at 2026-07-01T10:20"):
            check(read("format = 1\n" + book.format(at, "2.0"), "next.toml"), house, AT)
