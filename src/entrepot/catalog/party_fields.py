"""What a catalog file says of the parties to an invoice, checked field by field; kept as given.

A slip in the name of a field would put a wrong tax or no address on a document, so none is passed over.
"""

import re
from collections.abc import Mapping
from datetime import date, datetime

from entrepot.catalog.books import read_currency
from entrepot.catalog.fields import Fields, exact
from entrepot.catalog.issues import did_you_mean
from entrepot.catalog.series import CREDIT_NOTES, LONGEST, SERIES, common, is_series
from entrepot.catalog.tax_ids import iban_fault, vat_id_fault
from entrepot.catalog.webhooks import check_webhooks
from entrepot.kernel.countries import COUNTRIES

#: Languages that documents are written in (`billing.document.language`).
LANGUAGES = ("de", "en")
_CONTACT = ("contact", "phone", "email")
#: Facts of a customer that reports tell apart and no document bears.
_FREE = ("industry", "control_group")
_MONTH_DAY = re.compile(r"(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])", re.ASCII)


def read_address(fields: Fields) -> dict[str, object]:
    """`address = { street, postcode, city, country }`; empty where there is none."""
    address = fields.inner("address")
    if address is None:
        return {}
    for name in ("street", "postcode", "city"):
        address.text(name)
    _country(address, "country")
    address.done()
    return dict(address.table)


def read_about(fields: Fields) -> dict[str, object]:
    """Who a customer is: name, tax numbers, whom to write to, what its own bookkeeping wants to read."""
    about = fields.inner("about")
    if about is None:
        return {}
    for name in ("name", "vat_id", "tax_number", "register", *_CONTACT, "buyer_reference", "order", *_FREE):
        about.text(name)
    _email(about)
    address = fields.table.get("address")
    _vat_id(about, address if isinstance(address, Mapping) else {}, "address")
    about.done()
    return dict(about.table)


def read_language(fields: Fields) -> str:
    """"" where none is said."""
    return fields.choice("language", "", LANGUAGES) if fields.has("language") else ""


def check_operator(fields: Fields) -> None:
    """Report every mistake of `[operator]`; what is missing for an invoice is said when one is drafted."""
    fields.text("name", required=True)
    fields.text("register")
    read_address(fields)
    contact = fields.inner("contact")
    if contact is not None:
        for name in ("name", "phone", "email"):
            contact.text(name)
        _email(contact)
        contact.done()
    tax = fields.inner("tax")
    if tax is not None:
        _tax(tax, fields)
    books = fields.inner("books")
    if books is not None:
        _books(books)
    invoice = fields.inner("invoice")
    if invoice is not None:
        _invoice(invoice)
    check_webhooks(fields)
    fields.done()


def _tax(tax: Fields, operator: Fields) -> None:
    address = operator.table.get("address")
    tax.text("vat_id")
    tax.text("tax_number")
    _vat_id(tax, address if isinstance(address, Mapping) else {}, "operator.address")
    for path, country in tax.texts("registered"):
        if country not in COUNTRIES:
            tax.report.add(path, _no_country(country))
    _rates(tax)
    tax.choice("rounding", "half-away-from-zero", ("half-away-from-zero",))
    small, reason = tax.flag("small", False), tax.text("small_reason")
    if small and not reason:
        why = 'small_reason is missing: the words that the law asks for, for example "§ 19 UStG".'
        tax.report.add(tax.at("small"), why)
    tax.done()


def _rates(tax: Fields) -> None:
    """`rates = [{ country, from, percent }]`: standard rates in the place of those that ship with a version."""
    seen: set[tuple[object, object]] = set()
    for each in tax.rows("rates"):
        _country(each, "country")
        starts_on, percent = each.raw("from"), exact(each.raw("percent"))
        if not isinstance(starts_on, date) or isinstance(starts_on, datetime):
            each.report.add(each.path, "from is missing or no day: the first on which the rate holds, 2027-01-01.")
        if percent is None or percent > 100:
            each.report.add(each.path, "percent is missing or no number from 0 to 100.")
        if (each.table.get("country"), starts_on) in seen:
            each.report.add(each.path, "Another rate of this country begins on this day.")
        seen.add((each.table.get("country"), starts_on))
        if not each.has("country"):
            each.report.add(each.path, "country is missing: whose standard rate it is.")
        each.done()


def _books(books: Fields) -> None:
    if books.has("currency"):
        read_currency(books.report, books)
    starts = books.text("fiscal_year_starts", "01-01")
    if not _MONTH_DAY.fullmatch(starts):
        books.report.add(books.at("fiscal_year_starts"), 'fiscal_year_starts is a month and day: "07-01".')
    books.choice("fx", "ecb", ("ecb",))
    if books.whole("close_after_days") > 28:
        books.report.add(books.at("close_after_days"), "close_after_days is at most 28: a month is closed in the next.")
    books.done()


def _invoice(invoice: Fields) -> None:
    ours, theirs = _series(invoice, "series", SERIES), _series(invoice, "credit_notes", CREDIT_NOTES)
    if ours and theirs and (number := common(ours, theirs)):
        invoice.report.add(
            invoice.at("credit_notes" if invoice.has("credit_notes") else "series"),
            f'Credit notes have a series of their own: invoices ("{ours}") and they ("{theirs}") would both write '
            f'{number}. Begin one with letters that the other lacks, as in "{CREDIT_NOTES}".',
        )
    invoice.whole("due_days", least=1)
    read_language(invoice)
    iban = invoice.text("iban")
    fault = iban_fault(iban) if iban else ""
    if fault:
        invoice.report.add(invoice.at("iban"), f"{fault[:1].upper()}{fault[1:]}.")
    invoice.text("bic")
    invoice.done()


def _series(invoice: Fields, name: str, default: str) -> str:
    """`R-{year}-{n:05}`: numbers of a series count from 1 and are never given twice."""
    text = invoice.text(name) or default
    if not is_series(text):
        why = (
            f"{name} is a pattern of at most {LONGEST} letters, with {{n}} once and {{year}} if it begins anew: "
            f'"{SERIES}"; beside them stand letters, digits, - . _ and /.'
        )
        invoice.report.add(invoice.at(name), why)
        return ""
    return text


def _country(fields: Fields, name: str) -> None:
    country = fields.text(name)
    if country and country not in COUNTRIES:
        fields.report.add(fields.at(name), _no_country(country))


def _no_country(country: str) -> str:
    hint = did_you_mean(country.upper(), COUNTRIES) if len(country) == 2 else ""
    return f'No country is "{country}": write its two letters of ISO 3166-1, such as "DE" or "US".{hint}'


def _vat_id(fields: Fields, address: Mapping[str, object], section: str) -> None:
    """Check digits, and the country that the address names: which tax is due depends on both."""
    vat_id, country = fields.table.get("vat_id"), address.get("country")
    if not isinstance(vat_id, str) or not vat_id:
        return
    if not isinstance(country, str) or not country:
        fields.report.add(fields.at("vat_id"), f"A VAT id belongs to a country: give {section}.country.")
        return
    fault = vat_id_fault(vat_id, country) if country in COUNTRIES else ""
    if fault:
        fields.report.add(fields.at("vat_id"), f"{fault[:1].upper()}{fault[1:]}.")


def _email(fields: Fields) -> None:
    email = fields.table.get("email")
    if isinstance(email, str) and email and (email.count("@") != 1 or any(each.isspace() for each in email)):
        fields.report.add(fields.at("email"), "email is an address with one @.")
