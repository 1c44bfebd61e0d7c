"""Published versions stay, prices change with notice, and what is missing in the file stays."""

import msgspec
import pytest

from entrepot.catalog.contents import Catalog
from entrepot.catalog.difference import difference
from entrepot.catalog.file import read
from entrepot.catalog.issues import CatalogBroken
from entrepot.kernel import instants
from entrepot.pricing.publication import check

NOW = instants.parse("2026-11-21T12:00:00Z")
START = """\
format = 1
vendor.maker = { name = "Maker" }
upstream.maker = { vendor = "maker", endpoint = { dialect = "openai", url = "https://maker.example/v1" } }
model.m = { routes = ["maker/m"], context = 100 }
model.n = { routes = ["maker/n"], context = 100 }
[[book.list]]
currency = "USD"
valid_from = 2026-01-01T00:00:00Z
prices = [{ model = "m", input = 2.50, output = 10.00 }]
[customer.acme]
"""


def standing() -> Catalog:
    """START as if it had been published as list/1."""
    file = read(START, "start.toml")
    check(file, Catalog(), NOW)
    return numbered(file.catalog)


def numbered(catalog: Catalog) -> Catalog:
    counts: dict[str, int] = {}
    versions = []
    for version in catalog.versions:
        counts[version.book] = counts.get(version.book, 0) + 1
        versions.append(msgspec.structs.replace(version, number=counts[version.book], published_at=1))
    return msgspec.structs.replace(catalog, versions=tuple(versions))


def version(valid_from: str, prices: str, *, book: str = "list", currency: str = "USD", more: str = "") -> str:
    return f'[[book.{book}]]\ncurrency = "{currency}"\nvalid_from = {valid_from}\nprices = [{prices}]\n{more}\n'


def said(text: str, existing: Catalog | None = None) -> str:
    """The mistakes, or "" if there are none."""
    try:
        check(read("format = 1\n" + text, "new.toml"), standing() if existing is None else existing, NOW)
    except CatalogBroken as broken:
        return broken.message
    return ""


def test_a_published_version_in_the_file_changes_nothing() -> None:
    check(read(START, "start.toml"), standing(), NOW)
    assert difference(standing(), read(START, "start.toml").catalog) == []


def test_digits_and_row_order_do_not_make_another_version() -> None:
    rows = '{ model = "m", output = 10 }, { model = "m", input = 2.5 }'
    text = version("2026-01-01T00:00:00Z", rows)
    assert said(text) == ""
    assert difference(standing(), read("format = 1\n" + text, "x").catalog) == []


@pytest.mark.parametrize(
    ("rows", "what"),
    [
        ("input = 2.50, output = 11.00 }", "m output is 10.00 per 1,000,000 there and 11.00 per 1,000,000 here"),
        ("input = 2.50 }", "m output 10.00 stands there and is missing here"),
        ("input = 2.50, output = 10.00, cached = 1.0 }", "m cached 1.0 stands here and not there"),
        ("input = 2.50, output = 10.00, per = 1000 }", "m input is 2.50 per 1,000,000 there and 2.50 per 1,000 here"),
        ('input = 2.50, output = 10.00 }, { model = "n", input = 1.0 }', "n input 1.0 stands here and not there"),
    ],
)  # fmt: skip
def test_a_published_version_never_changes(rows: str, what: str) -> None:
    assert said(version("2026-01-01T00:00:00Z", f'{{ model = "m", {rows}')) == (
        "new.toml: 1 mistake, nothing was changed\n\n"
        "  line 4    valid_from = 2026-01-01T00:00:00Z\n"
        f"            list/1 is published and never changes: {what}.\n"
        "            Write it as it was, and the next one below it with a later valid_from."
    )


@pytest.mark.parametrize("rows", ['{ model = "m", cached = 1.0 }', '{ model = "n", input = 1.0, output = 1.0 }'])
@pytest.mark.parametrize("valid_from", ["2020-01-01T00:00:00Z", "2026-01-01T00:00:00Z", "2026-11-21T12:00:00Z"])
def test_the_first_price_of_a_thing_may_lie_in_the_past(rows: str, valid_from: str) -> None:
    assert said(version(valid_from, rows)) == ""


@pytest.mark.parametrize(
    ("valid_from", "fine"),
    [
        ("2026-11-21T11:00:00Z", False),
        ("2026-11-21T12:14:59Z", False),
        ("2026-11-21T12:15:00Z", True),
        ("2027-01-01T00:00:00Z", True),
    ],
)
def test_a_price_in_force_changes_15_minutes_after_publication_at_the_earliest(valid_from: str, fine: bool) -> None:
    text = said(version(valid_from, '{ model = "m", output = 11.00 }'))
    if fine:
        assert text == ""
    else:
        assert "This changes m output, in force since 2026-01-01 (list/1)." in text
        assert "at least 15 minutes after it is published: write valid_from = 2026-11-21T12:20:00Z or later." in text


def test_a_price_for_the_time_before_the_first_one_changes_nothing_in_force() -> None:
    assert said(version("2025-01-01T00:00:00Z", '{ model = "m", output = 11.00 }')) == ""


def test_a_price_that_is_published_but_not_in_force_yet_does_not_bind_what_comes_before_it() -> None:
    later = version("2027-01-01T00:00:00Z", '{ model = "n", input = 5.00 }')
    existing = numbered(read(START + later, "x").catalog)
    assert said(version("2026-02-01T00:00:00Z", '{ model = "n", input = 4.00 }'), existing) == ""


def test_names_that_only_the_house_knows_are_good_names() -> None:
    assert said('[customer.new]\ndeployments = [{ model = "m" }]\n') == ""
    assert said('model.k = { routes = ["maker/k"], context = 5 }\n') == ""
    assert 'Did you mean "maker"?' in said('model.k = { routes = ["makr/k"], context = 5 }\n')


def test_a_book_keeps_its_currency_and_its_kind() -> None:
    text = version("2027-01-01T00:00:00Z", '{ model = "m", input = 1.0 }', currency="EUR")
    assert 'A book has one currency, and "list" is in USD (version 1, published).' in said(text)
    text = version("2027-01-01T00:00:00Z", '{ model = "m", input = 1.0 }', more='buys_from = "maker"')
    assert '"list" is a list book, without buys_from (version 1, published), in every version.' in said(text)


def test_a_vendor_has_one_cost_book() -> None:
    rows = '{ model = "m", input = 1.0 }'
    one = version("2026-01-01T00:00:00Z", rows, book="cost", more='buys_from = "maker"')
    two = version("2026-01-01T00:00:00Z", rows, book="cost-2", more='buys_from = "maker"')
    assert said(one) == ""
    assert 'The book "cost" buys from "maker" already' in said(one + two)


def test_a_customer_pays_by_a_list_book_in_the_currency_of_its_balance() -> None:
    cost = version("2026-01-01T00:00:00Z", '{ model = "m", input = 1.0 }', book="cost", more='buys_from = "maker"')
    euros = version("2026-01-01T00:00:00Z", '{ model = "m", input = 1.0 }', book="euros", currency="EUR")
    assert '"cost" is a cost book' in said(cost + '[customer.acme]\ncontract = { book = "cost" }\n')
    text = said(euros + '[customer.acme]\ncontract = { book = "euros" }\n')
    assert "The balance of acme is in USD; this book is in EUR." in text
    assert said(euros + '[customer.new]\ncontract = { book = "euros" }\n') == ""


def test_two_versions_of_one_instant_may_name_different_things() -> None:
    same = "2027-01-01T00:00:00Z"
    assert said(version(same, '{ model = "m", input = 1.0 }') + version(same, '{ model = "n", input = 1.0 }')) == ""
    both = version(same, '{ model = "m", input = 1.0 }') + version(same, '{ model = "m", input = 1.0, output = 2.0 }')
    assert "m input has two prices from 2027-01-01 on: this one and that of line 9." in said(both)


def test_what_the_file_does_not_name_stays() -> None:
    assert difference(standing(), read("format = 1\n", "x").catalog) == []
    changed = read('format = 1\nmodel.m = { routes = ["maker/m"], context = 200 }\n', "x").catalog
    (change,) = difference(standing(), changed)
    assert str(change) == "~ model m   context: 100 → 200; output_max: 100 → 200"


def test_a_deployment_with_a_bad_name_keeps_the_check_of_its_model() -> None:
    text = 'format = 1\n[customer.acme]\ndeployments = [{ project = "p", name = "a b", model = "no-such" }]\n'
    with pytest.raises(CatalogBroken) as caught:
        check(read(text, "shop.toml"), Catalog(), NOW)
    said = " ".join(" ".join(issue.why) for issue in caught.value.issues)
    assert '"a b" cannot be a name here' in said
    assert "No model has this name" in said
