"""Seller and buyer as typed facts; what is wrong or missing in them is said at its place."""

import pytest

from entrepot.billing.document.language import languages
from entrepot.catalog.contents import Catalog
from entrepot.catalog.file import read
from entrepot.catalog.issues import CatalogBroken
from entrepot.catalog.parties import InvoiceSettings, PartyFacts, PartyIncomplete, PostalAddress, buyer, seller
from entrepot.catalog.party_fields import LANGUAGES
from entrepot.kernel import instants
from entrepot.pricing.publication import check

NOW = instants.parse("2026-11-21T12:00:00Z")
OPERATOR = """\
[operator]
name = "Nordlicht KI GmbH"
register = "HRB 1234"
address = { street = "Hafenstraße 7", postcode = "20457", city = "Hamburg", country = "DE" }
contact = { name = "Rechnungsstelle", phone = "+49 40 5550100", email = "rechnung@nordlicht.example" }
tax = { vat_id = "DE 123456788", registered = ["DE", "AT"], rounding = "half-away-from-zero" }
books = { currency = "EUR", fiscal_year_starts = "07-01", fx = "ecb", close_after_days = 3 }
[operator.invoice]
series = "R-{year}-{n:05}"
credit_notes = "G-{year}-{n:05}"
due_days = 30
language = "de"
iban = "DE89 3704 0044 0532 0130 00"
"""
CUSTOMER = """\
[customer.kontor]
about = { name = "Kontor Nord AG", vat_id = "DE812345673", contact = "Buchhaltung", order = "B-7" }
address = { street = "Am Wall 1", postcode = "28195", city = "Bremen", country = "DE" }
contract = { id = "KN-1", book = "list" }
pays = { by = "invoice", credit_limit = 90_000.00, language = "en", due_days = 10 }
"""
BOOK = """\
[[book.list]]
currency = "EUR"
valid_from = 2026-01-01T00:00:00Z
prices = [{ model = "m", input = 2.50, output = 10.00 }]
"""
SUPPLY = """\
format = 1
vendor.maker = { name = "Maker" }
upstream.maker = { vendor = "maker", endpoint = { dialect = "openai", url = "https://maker.example/v1" } }
model.m = { routes = ["maker/m"], context = 100 }
"""
WHOLE = SUPPLY + OPERATOR + BOOK + CUSTOMER


def catalog(text: str) -> Catalog:
    file = read(text, "shop.toml")
    check(file, Catalog(), NOW)
    return file.catalog


def refused(text: str) -> str:
    with pytest.raises(CatalogBroken) as caught:
        catalog(text)
    return caught.value.message


def test_the_seller_is_what_the_operator_says() -> None:
    found = seller(catalog(WHOLE).operator)
    assert found.party == PartyFacts(
        name="Nordlicht KI GmbH", vat_id="DE123456788", register="HRB 1234", contact="Rechnungsstelle",
        address=PostalAddress(street="Hafenstraße 7", postcode="20457", city="Hamburg", country="DE"),
        phone="+49 40 5550100", email="rechnung@nordlicht.example",
    )  # fmt: skip
    assert (found.registered, found.small, found.currency) == (("DE", "AT"), False, "EUR")
    assert found.invoice == InvoiceSettings(
        series="R-{year}-{n:05}", credit_notes="G-{year}-{n:05}", due_days=30, language="de",
        iban="DE89370400440532013000",
    )  # fmt: skip


def test_a_seller_is_registered_at_home_unless_it_says_so_itself_or_sells_exempt() -> None:
    at_home = WHOLE.replace('registered = ["DE", "AT"], ', "")
    assert seller(catalog(at_home).operator).registered == ("DE",)
    small = at_home.replace("rounding =", 'small = true, small_reason = "§ 19 UStG", rounding =')
    assert seller(catalog(small).operator).registered == ()


def test_a_standard_rate_may_be_replaced_from_a_day_on() -> None:
    text = WHOLE.replace("rounding =", 'rates = [{ country = "DE", from = 2027-01-01, percent = 20.5 }], rounding =')
    (rate,) = seller(catalog(text).operator).rates
    assert (rate.country, str(rate.starts_on), str(rate.percent)) == ("DE", "2027-01-01", "20.5")


def test_the_buyer_is_what_its_customer_says() -> None:
    found = buyer(catalog(WHOLE).customers["kontor"])
    assert found.party.address.city == "Bremen"
    assert (found.party.vat_id, found.party.contact, found.order) == ("DE812345673", "Buchhaltung", "B-7")
    assert (found.due_days, found.language, found.format, found.currency) == (10, "en", "pdf", "")


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        (SUPPLY, "name, address.street, address.postcode, address.city, address.country and tax.vat_id"),
        (WHOLE.replace('city = "Hamburg", ', ""), "address.city: write it under [operator]"),
        (WHOLE.replace('vat_id = "DE 123456788", ', ""), "tax.vat_id or tax.tax_number: write it under [operator]"),
    ],
)
def test_what_a_document_needs_of_the_seller_is_named(text: str, missing: str) -> None:
    with pytest.raises(PartyIncomplete) as caught:
        seller(catalog(text).operator)
    assert missing in caught.value.message


def test_what_a_document_needs_of_the_buyer_is_named() -> None:
    bare = catalog(SUPPLY + BOOK + "[customer.bare]\n").customers["bare"]
    with pytest.raises(PartyIncomplete, match=r"about\.name, address\.street, .* of bare: write it under \[customer"):
        buyer(bare)


def test_every_language_of_documents_may_be_asked_for() -> None:
    assert sorted(LANGUAGES) == languages()


@pytest.mark.parametrize(
    ("before", "after", "why"),
    [
        ("DE812345673", "DE812345674", "The VAT id 'DE812345674' is not right: its check digits do not fit the others"),
        ("DE812345673", "ATU12345675", "does not begin with DE, as those of DE do"),
        ("DE 123456788", "DE123456789", "The VAT id 'DE123456789' is not right: its check digits"),
        ('city = "Bremen", country = "DE"', 'city = "Bremen", country = "Germany"', 'No country is "Germany"'),
        ('["DE", "AT"]', '["DE", "ZZ"]', 'No country is "ZZ"'),
        ("DE89 3704", "DE88 3704", "The IBAN 'DE88 3704 0044 0532 0130 00' is not right: its check digits"),
        ('vat_id = "DE812345673"', 'vatid = "DE812345673"', 'Nothing here is called "vatid". Did you mean "vat_id"?'),
        ('postcode = "28195"', "postcode = 28195", "postcode is a text."),
        ("rechnung@nordlicht.example", "rechnung", "email is an address with one @."),
        ("rounding =", 'rates = [{ country = "DE", from = 2027-01-01, percent = 101 }], rounding =',
         "percent is missing or no number from 0 to 100."),
        ("rounding =", 'rates = [{ country = "DE", from = 2027-01-01T00:00:00Z, percent = 20 }], rounding =',
         "from is missing or no day"),
        ('"half-away-from-zero"', '"half-even"', 'rounding is one of "half-away-from-zero".'),
        ("rounding =", "small = true, rounding =", "small_reason is missing: the words that the law asks for"),
        ('"07-01"', '"1 July"', "fiscal_year_starts is a month and day"),
        ("close_after_days = 3", "close_after_days = 40", "close_after_days is at most 28"),
        ('"R-{year}-{n:05}"', '"R-{year}"', "series is a pattern of at most 40 letters, with {n} once"),
        ('"R-{year}-{n:05}"', '"R-{n:0999999999}"', "series is a pattern of at most 40 letters, with {n} once"),
        ('"R-{year}-{n:05}"', '"{n.__class__}"', "series is a pattern of at most 40 letters, with {n} once"),
        ('"G-{year}-{n:05}"', '"R-{year}-{n:05}"', "Credit notes have a series of their own"),
        ('language = "de"', 'language = "fr"', 'language is one of "de" and "en".'),
        ('language = "en"', 'language = "english"', 'language is one of "de" and "en".'),
        ("due_days = 10", "due_days = 0", "due_days is a whole number of at least 1."),
        ("due_days = 10", 'currency = "USD"', "invoices in another currency are not for sale yet"),
        ("due_days = 10", 'format = "xrechnung"', "An XRechnung names the buyer's reference (BT-10)"),
        ("due_days = 10", 'format = "fax"', 'format is one of "pdf" and "xrechnung".'),
    ],
)  # fmt: skip
def test_a_mistake_in_what_a_party_is_stands_at_its_line(before: str, after: str, why: str) -> None:
    text = WHOLE.replace(before, after, 1)
    assert text != WHOLE
    said = refused(text)
    assert why in said
    line = next(number for number, row in enumerate(text.splitlines(), 1) if row not in WHOLE.splitlines())
    assert f"line {line} " in said


def test_a_currency_with_three_decimal_places_has_no_e_invoice() -> None:
    dinar = WHOLE.replace('currency = "EUR"\nvalid', 'currency = "KWD"\nvalid')
    dinar = dinar.replace("due_days = 10", 'format = "xrechnung"')
    assert "KWD has 3 decimal places; amounts of an e-invoice (EN 16931) have at most 2." in refused(dinar)
    assert 'Write format = "pdf" or leave it out.' in refused(dinar)


def test_a_vat_id_without_a_country_is_refused() -> None:
    said = refused(WHOLE.replace('city = "Bremen", country = "DE"', 'city = "Bremen"'))
    assert "A VAT id belongs to a country: give address.country." in said
