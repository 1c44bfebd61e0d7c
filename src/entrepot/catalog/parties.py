"""The parties to an invoice as typed facts: what the operator and a customer said of themselves, complete or refused.

The file's tables are kept as given (`Operator.facts`, `Customer.about`); here they get names and types. What a document
cannot do without is asked for here, by the section where it is missing.
"""

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import cast

import msgspec

from entrepot.catalog.contents import Customer, Format, Operator
from entrepot.catalog.series import CREDIT_NOTES, SERIES
from entrepot.catalog.tax_ids import packed
from entrepot.kernel.countries import EU
from entrepot.kernel.errors import EntrepotError, Fault

DUE_DAYS = 14


class PartyIncomplete(EntrepotError):
    """A document needs what the catalog does not say of one of its parties."""

    code = "party_incomplete"
    fault = Fault.CALLER


class PostalAddress(msgspec.Struct, frozen=True, kw_only=True):
    """`country` is ISO 3166-1 alpha-2."""

    street: str
    postcode: str
    city: str
    country: str


class PartyFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a document says of either party; only name and address are sure to be there."""

    name: str
    address: PostalAddress
    vat_id: str = ""
    tax_number: str = ""
    register: str = ""
    contact: str = ""
    phone: str = ""
    email: str = ""


class InvoiceSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`[operator] invoice`: the two series, and what holds for customers who say nothing else."""

    series: str = SERIES
    credit_notes: str = CREDIT_NOTES
    due_days: int = DUE_DAYS
    language: str = "en"
    iban: str = ""
    bic: str = ""


class TaxRate(msgspec.Struct, frozen=True, kw_only=True):
    """A standard rate that the operator knows better than the table of this version."""

    country: str
    starts_on: date
    percent: Decimal


class Seller(msgspec.Struct, frozen=True, kw_only=True):
    """The operator. `registered` are countries; `small`: below the threshold of small enterprises, sells exempt."""

    party: PartyFacts
    registered: tuple[str, ...]
    small: bool = False
    small_reason: str = ""
    currency: str = ""  # of its own books; "": that of each invoice
    invoice: InvoiceSettings
    rates: tuple[TaxRate, ...] = ()


class Buyer(msgspec.Struct, frozen=True, kw_only=True):
    """A customer. `due_days` 0 and `language` "" are the seller's; `currency` "" is the book's."""

    party: PartyFacts
    buyer_reference: str = ""
    order: str = ""
    due_days: int = 0
    format: Format = "pdf"
    language: str = ""
    currency: str = ""


def seller(operator: Operator | None) -> Seller:
    """Raises PartyIncomplete, naming all that is missing."""
    facts = operator.facts if operator is not None else {}
    address, contact, tax, books = (_table(facts, name) for name in ("address", "contact", "tax", "books"))
    missing = [] if _text(facts, "name") else ["name"]
    missing += [f"address.{each}" for each in _incomplete(address)]
    small, country = bool(tax.get("small")), _text(address, "country")
    if not (_text(tax, "vat_id") or _text(tax, "tax_number") or (country not in EU and _text(facts, "register"))):
        missing.append("tax.vat_id or tax.tax_number" + ("" if country in EU else " or register"))
    if missing:
        raise PartyIncomplete(
            f"an invoice names its seller, and the catalog does not say {_and(missing)}: write it under [operator], "
            "then entrepot apply FILE"
        )
    party = PartyFacts(
        name=_text(facts, "name"), address=_address(address), vat_id=packed(_text(tax, "vat_id")),
        tax_number=_text(tax, "tax_number"), register=_text(facts, "register"), contact=_text(contact, "name"),
        phone=_text(contact, "phone"), email=_text(contact, "email"),
    )  # fmt: skip
    registered = cast("list[str] | None", tax.get("registered"))
    return Seller(
        party=party, registered=tuple(registered or ([] if small else [country])),
        small=small, small_reason=_text(tax, "small_reason"), currency=_text(books, "currency"),
        invoice=_settings(_table(facts, "invoice")), rates=_rates(tax),
    )  # fmt: skip


def buyer(customer: Customer) -> Buyer:
    """Raises PartyIncomplete, naming all that is missing."""
    about, pays = customer.about, customer.pays
    missing = [] if _text(about, "name") else ["about.name"]
    missing += [f"address.{each}" for each in _incomplete(customer.address)]
    if pays.format == "xrechnung" and not _text(about, "buyer_reference"):
        missing.append("about.buyer_reference")
    if missing:
        raise PartyIncomplete(
            f"an invoice names its buyer, and the catalog does not say {_and(missing)} of {customer.id}: write it "
            f"under [customer.{customer.id}], then entrepot apply FILE"
        )
    party = PartyFacts(
        name=_text(about, "name"), address=_address(customer.address), vat_id=packed(_text(about, "vat_id")),
        tax_number=_text(about, "tax_number"), register=_text(about, "register"), contact=_text(about, "contact"),
        phone=_text(about, "phone"), email=_text(about, "email"),
    )  # fmt: skip
    return Buyer(
        party=party, buyer_reference=_text(about, "buyer_reference"), order=_text(about, "order"),
        due_days=pays.due_days, format=pays.format, language=pays.language, currency=pays.currency,
    )  # fmt: skip


def _rates(tax: Mapping[str, object]) -> tuple[TaxRate, ...]:
    rows = cast("list[Mapping[str, object]]", tax.get("rates") or [])
    return tuple(
        TaxRate(
            country=_text(each, "country"), starts_on=cast("date", each["from"]), percent=Decimal(str(each["percent"]))
        )
        for each in rows
    )


def numbering(operator: Operator) -> dict[str, str]:
    """The two series of the operator, by the name of their field."""
    found = _settings(_table(operator.facts, "invoice"))
    return {"series": found.series, "credit_notes": found.credit_notes}


def _settings(invoice: Mapping[str, object]) -> InvoiceSettings:
    return InvoiceSettings(
        series=_text(invoice, "series") or SERIES, credit_notes=_text(invoice, "credit_notes") or CREDIT_NOTES,
        due_days=cast("int", invoice.get("due_days", DUE_DAYS)), language=_text(invoice, "language") or "en",
        iban=packed(_text(invoice, "iban")), bic=packed(_text(invoice, "bic")),
    )  # fmt: skip


def _address(address: Mapping[str, object]) -> PostalAddress:
    street, postcode, city, country = (_text(address, name) for name in PostalAddress.__struct_fields__)
    return PostalAddress(street=street, postcode=postcode, city=city, country=country)


def _incomplete(address: Mapping[str, object]) -> list[str]:
    return [name for name in PostalAddress.__struct_fields__ if not _text(address, name)]


def _table(facts: Mapping[str, object], name: str) -> Mapping[str, object]:
    found = facts.get(name)
    return found if isinstance(found, Mapping) else {}


def _text(facts: Mapping[str, object], name: str) -> str:
    found = facts.get(name, "")
    return found if isinstance(found, str) else ""


def _and(names: list[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
