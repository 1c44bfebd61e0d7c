"""What was signed or used stays, the next contract holds from a later instant on; prices change with notice."""

import msgspec
import pytest

from entrepot.catalog.contents import Catalog
from entrepot.catalog.contract_rules import Used
from entrepot.catalog.difference import merged
from entrepot.catalog.file import read
from entrepot.catalog.issues import CatalogBroken
from entrepot.kernel import instants
from entrepot.pricing.publication import check

NOW = instants.parse("2026-11-21T12:00:00Z")
HOUSE = """\
format = 1
vendor.maker = { name = "Maker" }
upstream.maker = { vendor = "maker", endpoint = { dialect = "openai", url = "https://maker.example/v1" } }
model.m = { routes = ["maker/m"], context = 100 }
[[book.list]]
currency = "USD"
valid_from = 2026-01-01T00:00:00Z
prices = [{ model = "m", input = 2.50, output = 10.00 }]
[[book.vip]]
currency = "USD"
valid_from = 2026-01-01T00:00:00Z
prices = [{ model = "m", input = 2.00, output = 9.00 }]
"""
SIGNED = '{ id = "K-1", book = "list", discount_percent = 8, notice_days = 30, from = 2026-01-01T00:00:00Z }'
USED: Used = {"acme": (instants.parse("2026-11-01T10:00:00Z"), instants.parse("2026-11-21T11:00:00Z"))}


def house(contract: str) -> Catalog:
    file = read(HOUSE + f"[customer.acme]\ncontract = {contract}\n", "house.toml")
    check(file, Catalog(), NOW)
    numbers: dict[str, int] = {}
    versions = []
    for each in file.catalog.versions:
        numbers[each.book] = numbers.get(each.book, 0) + 1
        versions.append(msgspec.structs.replace(each, number=numbers[each.book], published_at=1))
    return msgspec.structs.replace(file.catalog, versions=tuple(versions))


def said(text: str, existing: Catalog | None = None, used: Used = USED) -> str:
    try:
        check(read("format = 1\n" + text, "new.toml"), existing or house(SIGNED), NOW, used)
    except CatalogBroken as broken:
        return broken.message
    return ""


def contract(text: str, existing: Catalog | None = None, used: Used = USED) -> str:
    return said(f"[customer.acme]\ncontract = {text}\n", existing, used)


def test_a_contract_as_it_was_signed_changes_nothing() -> None:
    assert contract(SIGNED) == ""
    assert contract(SIGNED.replace("= 8", "= 8.00")) == ""


@pytest.mark.parametrize(
    ("before", "after", "what"),
    [
        ("percent = 8", "percent = 10", "discount_percent is 8 there and 10 here"),
        ("days = 30", "days = 0", "notice_days is 30 there and 0 here"),
        ('"list"', '"vip"', "book is list there and vip here"),
        ("2026-01-01", "2026-02-01", "from is 2026-01-01T00:00:00Z there and 2026-02-01T00:00:00Z here"),
        ("from", 'prices = [{ model = "m", input = 1.0 }], from', "prices is 0 rows there and 1 row here"),
    ],
)
def test_a_signed_contract_never_changes(before: str, after: str, what: str) -> None:
    text = contract(SIGNED.replace(before, after))
    assert f"K-1 is signed and never changes: {what}." in text
    then = "2026-11-21T13:00:00Z"
    assert f"give it until = {then} and write the next contract below it with from = {then}." in text


def test_a_signed_contract_that_is_missing_is_named() -> None:
    text = contract('{ id = "K-2", book = "list" }')
    assert "K-1 of acme is signed and missing here." in text
    assert 'It stands as: { id = "K-1", book = "list", discount_percent = 8.0, notice_days = 30' in text


@pytest.mark.parametrize(
    ("until", "fine"),
    [("2026-11-21T12:00:00Z", True), ("2026-12-31T00:00:00Z", True), ("2026-11-21T11:00:00Z", False)],
)
def test_a_signed_contract_may_end_earlier_but_not_in_the_past(until: str, fine: bool) -> None:
    text = contract(SIGNED.replace(" }", f", until = {until} }}"), used={})
    if fine:
        assert text == ""
    else:
        assert "K-1 is signed: it may end earlier, from now on, and not later or in the past." in text


def test_a_signed_contract_is_not_prolonged_but_followed() -> None:
    until = SIGNED.replace(" }", ", until = 2027-01-01T00:00:00Z }")
    existing = house(until)
    text = contract(until.replace("2027", "2028"), existing)
    assert "write the next contract below it with from = 2027-01-01T00:00:00Z." in text
    after = '{ id = "K-2", book = "vip", from = 2027-01-01T00:00:00Z }'
    assert contract(f"[{until}, {after}]", existing) == ""


@pytest.mark.parametrize(
    ("second", "why"),
    [
        ('{ book = "vip", from = 2027-02-01T00:00:00Z }',
         "No contract holds from 2027-01-01T00:00:00Z until 2027-02-01T00:00:00Z."),
        ('{ book = "vip", from = 2026-12-01T00:00:00Z }',
         "Two contracts hold from 2026-12-01T00:00:00Z until 2027-01-01T00:00:00Z."),
        ('{ book = "vip" }', "from is missing: the contract before it ends at 2027-01-01T00:00:00Z."),
    ],
)  # fmt: skip
def test_contracts_follow_each_other_without_a_gap(second: str, why: str) -> None:
    first = SIGNED.replace(" }", ", until = 2027-01-01T00:00:00Z }")
    assert why in contract(f"[{first}, {second}]")


def test_a_contract_ends_on_the_hour_so_that_the_calls_of_an_hour_are_of_one_contract() -> None:
    text = contract('{ book = "list", until = 2026-12-01T09:30:00Z }', used={})
    assert "A contract ends on the hour" in text
    assert "Write until = 2026-12-01T10:00:00Z." in text


def test_only_the_last_contract_is_open() -> None:
    text = contract(f'[{SIGNED}, {{ book = "vip", from = 2027-02-01T00:00:00Z }}]')
    assert "The contract before this one has no end: give it an until." in text


def test_a_start_does_not_move_past_usage() -> None:
    plain = house('{ book = "list" }')
    text = contract('{ book = "list", from = 2026-11-02T00:00:00Z }', plain)
    assert "acme has used since 2026-11-01T10:00:00Z: no contract would hold for that." in text
    assert "Write from = 2026-11-01T10:00:00Z or earlier, or leave it out." in text
    assert contract('{ book = "list", from = 2026-11-01T10:30:00Z }', plain) == ""
    assert contract('{ book = "list", from = 2026-11-02T00:00:00Z }', plain, used={}) == ""


def test_an_end_does_not_move_before_usage() -> None:
    plain = house('{ book = "list" }')
    text = contract('{ book = "list", from = 2026-01-01T00:00:00Z, until = 2026-11-21T11:00:00Z }', plain)
    assert "acme has used until 2026-11-21T12:00:00Z" in text


def test_terms_stay_as_they_are_for_what_was_used() -> None:
    plain = house('{ book = "list" }')
    text = contract('{ book = "vip" }', plain)
    assert "acme has used since 2026-11-01T10:00:00Z under other terms: book is list there and vip here." in text
    assert "with until = 2026-11-21T13:00:00Z, and write the next one below it with from = 2026-11-21" in text
    change = '[{ book = "list", until = 2026-11-21T13:00:00Z }, { book = "vip", from = 2026-11-21T13:00:00Z }]'
    assert contract(change, plain) == ""
    assert "under other terms" in contract(change.replace("T13", "T12"), plain)
    assert contract('{ book = "vip" }', plain, used={}) == ""
    assert contract('{ book = "list", notice_days = 5 }', plain) == ""


def version(valid_from: str, rows: str) -> str:
    return f'[[book.list]]\ncurrency = "USD"\nvalid_from = {valid_from}\nprices = [{rows}]\n'


def test_a_dearer_price_starts_after_the_notice_of_the_contracts_it_is_dearer_for() -> None:
    dearer = '{ model = "m", output = 11.00 }'
    text = said(version("2026-12-01T00:00:00Z", dearer))
    assert "acme has 30 days' notice of a dearer price (K-1): m output 9.2 → 10.12." in text
    assert "Write valid_from = 2026-12-21T12:05:00Z or later." in text
    assert said(version("2026-12-21T12:00:00Z", dearer)) == ""
    assert said(version("2026-12-01T00:00:00Z", '{ model = "m", output = 9.00 }')) == ""
    own = house(SIGNED.replace("discount_percent = 8", 'prices = [{ model = "m", output = 7.00 }]'))
    assert said(version("2026-12-01T00:00:00Z", dearer), own) == ""


@pytest.mark.parametrize(
    ("rows", "what"),
    [
        ('{ model = "m", tier = "batch", output = 5.00 }', "m output (tier batch)"),
        ('{ model = "m", tier = "batch", percent_of_matching_standard = 50 }',
         "m input (tier batch), m output (tier batch)"),
        ('{ model = "m", request_over = 50, input = 5.00 }', "m input (requests over 50)"),
        ('{ model = "m", reasoning = 20.00 }', "m reasoning"),
    ],
)  # fmt: skip
def test_a_row_that_calls_already_pay_otherwise_is_a_change_too(rows: str, what: str) -> None:
    text = said(version("2026-06-01T00:00:00Z", rows))
    assert f"This changes {what}, in force since 2026-01-01 (list/1)." in text
    assert "unless it is re-rated: entrepot book rerate --help" in text


def test_what_nothing_was_sold_at_may_have_its_first_price_in_the_past() -> None:
    assert said(version("2026-06-01T00:00:00Z", '{ model = "m", cached = 0.25 }')) == ""


def cost(valid_from: str, prices: str) -> str:
    row = f'{{ model = "m", {prices} }}'
    return f'[[book.cost]]\nbuys_from = "maker"\ncurrency = "USD"\nvalid_from = {valid_from}\nprices = [{row}]\n'


def test_what_a_vendor_charges_is_not_changed_for_the_past_either() -> None:
    first = read("format = 1\n" + cost("2026-01-01T00:00:00Z", "input = 1.00"), "cost.toml").catalog.versions
    standing = house(SIGNED)
    existing = msgspec.structs.replace(
        standing, versions=(*standing.versions, msgspec.structs.replace(first[0], number=1, published_at=1))
    )
    text = said(cost("2026-06-01T00:00:00Z", "input = 1.10"), existing)
    assert "This changes m input, in force since 2026-01-01 (cost/1)." in text
    assert said(cost("2026-11-21T12:15:00Z", "input = 1.10"), existing) == ""


def test_a_dearer_price_of_a_vendor_is_dearer_for_who_pays_on_it() -> None:
    first = cost("2026-01-01T00:00:00Z", "input = 1.00, output = 4.00")
    on_cost = HOUSE.replace("input = 2.50, output = 10.00", "cost_plus_percent = 20") + first
    file = read(on_cost + f"[customer.acme]\ncontract = {SIGNED}\n", "house.toml")
    check(file, Catalog(), NOW)
    existing = merged(Catalog(), file.catalog, NOW)
    text = said(cost("2026-12-01T00:00:00Z", "output = 5.00"), existing)
    assert "acme has 30 days' notice of a dearer price (K-1): m output 4.416 → 5.52." in text
    assert said(cost("2026-12-01T00:00:00Z", "output = 3.00"), existing) == ""


def test_all_contracts_of_a_customer_are_in_one_currency() -> None:
    row = "{ model = \"m\", input = 1.0 }"
    euros = f'[[book.euros]]\ncurrency = "EUR"\nvalid_from = 2026-01-01T00:00:00Z\nprices = [{row}]\n'
    first = '{ book = "list", until = 2027-01-01T00:00:00Z }'
    both = f'[{first}, {{ book = "euros", from = 2027-01-01T00:00:00Z }}]'
    text = said(euros + f"[customer.new]\ncontract = {both}\n")
    assert "The balance of new is in USD; this book is in EUR." in text
