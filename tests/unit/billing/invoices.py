"""Invoices for the tests: one seller, a few buyers, lines of tokens."""

from datetime import date
from decimal import Decimal
from typing import Any

from entrepot.billing.invoice import Address, Allowance, Facts, Line, Party, Payment, Reference, Tax, net_minor

STANDARD = Tax(category="S", percent=Decimal(19))
REVERSE = Tax(category="AE", percent=Decimal(0), code="VATEX-EU-AE", reason="Reverse charge")
EXPORT = Tax(category="G", percent=Decimal(0), code="VATEX-EU-G", reason="Export")
OUTSIDE = Tax(category="O", percent=Decimal(0), code="VATEX-EU-O", reason="Not subject to VAT")
EXEMPT = Tax(category="E", percent=Decimal(0), reason="Small enterprise")
ZERO = Tax(category="Z", percent=Decimal(0))


def party(name: str, country: str = "DE", **given: Any) -> Party:
    home = Address(street="Hafenstraße 7", postcode="20457", city="Hamburg", country=country)
    return Party(name=name, address=home, **given)


SELLER = party(
    "Nordlicht KI GmbH", vat_id="DE123456788", register="HRB 1234", contact="Rechnungsstelle",
    phone="+49 40 5550100", email="rechnung@nordlicht.example",
)  # fmt: skip
BUYER = party("Kontor & Söhne <Nord> AG", vat_id="DE812345673", email="ap@kontor.example")


def line(number: int, quantity: str, price: str, **given: Any) -> Line:
    currency = given.pop("currency", "EUR")
    values = {
        "name": "aurora-large, input", "about": "project app", "unit": "token", "per": 1_000_000,
        "starts_on": date(2026, 11, 1), "until": date(2026, 12, 1), "tax": STANDARD, **given,
    }  # fmt: skip
    net = net_minor(Decimal(quantity), Decimal(price), values["per"], currency)
    return Line(id=str(number), quantity=Decimal(quantity), price=Decimal(price), net_minor=net, **values)


def facts(kind: Any = "380", **given: Any) -> Facts:
    values: dict[str, Any] = {
        "number": "R-2026-00001", "issued_on": date(2026, 12, 3), "due_on": date(2026, 12, 17),
        "starts_on": date(2026, 11, 1), "until": date(2026, 12, 1), "currency": "EUR", "seller": SELLER,
        "buyer": BUYER, "payment": Payment(terms="14 days net", iban="DE89370400440532013000"),
        "buyer_reference": "04011000-12345-67", "contract": "KN-2026", "order": "B-7",
    }  # fmt: skip
    if kind == "381":
        values["preceding"] = (Reference(number="R-2026-00000", issued_on=date(2026, 11, 3)),)
    return Facts(kind=kind, **{**values, **given})


def allowance(amount_minor: int, tax: Tax = STANDARD) -> Allowance:
    return Allowance(reason="Promotional credit", amount_minor=amount_minor, tax=tax)
