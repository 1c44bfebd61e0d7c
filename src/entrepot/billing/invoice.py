"""An invoice as a value: what stands on it, and how its amounts follow from its lines.

Amounts on a document are integers in the minor unit of its currency (`_minor`); quantities and prices are exact
decimals. The order is that of EN 16931 (BR-CO-10 to BR-CO-17): each line is rounded once, tax is taken per category and
rate of the rounded lines less allowances, and every total is a sum of numbers that stand on the paper.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Literal

import msgspec

from entrepot.kernel.errors import EntrepotError, Fault
from entrepot.kernel.money import minor_digits, round_half_away, tax_on
from entrepot.rating.line import Unit

#: Invoice and credit note of UNTDID 1001; self-billed ones come with the settlement of vendors.
Kind = Literal["380", "381"]
#: The tax categories (UNTDID 5305) that a seller of services needs: standard, reverse charge, free export, outside the
#: scope, exempt, zero.
Category = Literal["S", "AE", "G", "O", "E", "Z"]


class InvoiceBroken(EntrepotError):
    """What cannot stand on an invoice; says which line and what would do."""

    code = "invoice_broken"
    fault = Fault.CALLER


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """`country` is ISO 3166-1 alpha-2."""

    street: str
    postcode: str
    city: str
    country: str


class Party(msgspec.Struct, frozen=True, kw_only=True):
    """Seller or buyer as the document names it."""

    name: str
    address: Address
    vat_id: str = ""
    tax_number: str = ""  # of the tax office, where there is no VAT id
    register: str = ""  # number in the register of companies
    contact: str = ""
    phone: str = ""
    email: str = ""


class Tax(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """The tax of one line. `reason` and `code` (VATEX) say why there is none."""

    category: Category
    percent: Decimal
    reason: str = ""
    code: str = ""


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One price of one thing in one period: quantity × price ÷ per, rounded once.

    `list_price` is the price before a discount that is already in `price`, for the same `per`; None: there is none.
    Quantities may be negative (a correction), prices may not. `until` is the first day after the period.
    """

    id: str
    name: str
    about: str = ""
    quantity: Decimal
    unit: Unit
    price: Decimal
    per: int
    list_price: Decimal | None = None
    starts_on: date
    until: date
    tax: Tax
    net_minor: int


class Allowance(msgspec.Struct, frozen=True, kw_only=True):
    """What the whole document is reduced by, in one tax category: promotional credit, goodwill. Positive."""

    reason: str
    code: str = "95"  # UNTDID 5189: discount
    amount_minor: int
    tax: Tax


class TaxLine(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the tax table."""

    tax: Tax
    base_minor: int
    amount_minor: int


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    """BT-106, BT-107, BT-109, BT-110, BT-112, BT-113, BT-115."""

    lines_minor: int
    allowances_minor: int
    without_tax_minor: int
    tax_minor: int
    with_tax_minor: int
    paid_minor: int
    payable_minor: int


class Payment(msgspec.Struct, frozen=True, kw_only=True):
    """How to pay. Without an IBAN the document says the terms only."""

    terms: str
    iban: str = ""
    bic: str = ""
    reference: str = ""  # what the payer should write; empty: the invoice's number


class Reference(msgspec.Struct, frozen=True, kw_only=True):
    """An earlier document."""

    number: str
    issued_on: date


class Input(msgspec.Struct, frozen=True, kw_only=True):
    """One sealed input: its name, and the SHA-256 of its bytes in hexadecimal."""

    name: str
    sha256: str


class Accounting(msgspec.Struct, frozen=True, kw_only=True):
    """The seller's own currency, where it is another: the tax once more, at the rate of the tax date (BT-6, BT-111)."""

    currency: str
    rate: Decimal  # units of `currency` for one of the document's
    source: str
    tax_minor: int


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """Everything on an invoice but its lines and sums. Number and dates are given when it is issued."""

    number: str
    kind: Kind
    issued_on: date
    due_on: date
    starts_on: date
    until: date
    currency: str
    seller: Party
    buyer: Party
    payment: Payment
    language: str = "en"
    customer: str = ""  # our name of the buyer
    contract: str = ""
    buyer_reference: str = ""  # BT-10; in Germany's public sector the Leitweg-ID
    order: str = ""
    preceding: tuple[Reference, ...] = ()
    notes: tuple[str, ...] = ()
    inputs: tuple[Input, ...] = ()


class Invoice(msgspec.Struct, frozen=True, kw_only=True):
    """Facts, lines and what follows from them. Only `make` builds one."""

    facts: Facts
    lines: tuple[Line, ...]
    allowances: tuple[Allowance, ...]
    taxes: tuple[TaxLine, ...]
    totals: Totals
    accounting: Accounting | None = None


def net_minor(quantity: Decimal, price: Decimal, per: int, currency: str) -> int:
    """quantity × price ÷ per in minor units, divided once and rounded once, half away from zero."""
    return round_half_away(Fraction(quantity) * Fraction(price) / per * 10 ** minor_digits(currency))


def make(
    facts: Facts,
    lines: Iterable[Line],
    allowances: Iterable[Allowance] = (),
    *,
    paid_minor: int = 0,
    accounting: tuple[str, Decimal, str] | None = None,
    credited: Mapping[Tax, int] | None = None,
) -> Invoice:
    """Put an invoice together and work out its sums. Raises InvoiceBroken.

    `paid_minor` is what is paid already (BT-113), positive; `accounting` is (currency, rate, source). `credited` is the
    tax of a credit note where that is a difference of two rounded taxes: at most one minor unit from its base × rate.
    """
    rows, reductions = tuple(lines), tuple(allowances)
    _check(facts, rows, reductions)
    taxes = _taxes(rows, reductions)
    if credited is not None:
        taxes = _credited(facts, taxes, credited)
    lines_minor = sum(each.net_minor for each in rows)
    allowed = sum(each.amount_minor for each in reductions)
    tax = sum(each.amount_minor for each in taxes)
    with_tax = lines_minor - allowed + tax
    if not 0 <= paid_minor <= max(with_tax, 0):
        raise InvoiceBroken(f"{paid_minor} minor units are said to be paid of an invoice over {with_tax}")
    totals = Totals(
        lines_minor=lines_minor, allowances_minor=allowed, without_tax_minor=lines_minor - allowed, tax_minor=tax,
        with_tax_minor=with_tax, paid_minor=paid_minor, payable_minor=with_tax - paid_minor,
    )  # fmt: skip
    return Invoice(
        facts=facts, lines=rows, allowances=reductions, taxes=taxes, totals=totals,
        accounting=_accounting(accounting, tax, facts.currency),
    )  # fmt: skip


def numbered(draft: Invoice, number: str, issued_on: date, due_on: date) -> Invoice:
    """The draft as the document that is issued: the same lines and sums under its number and dates."""
    own = draft.accounting
    return make(
        msgspec.structs.replace(draft.facts, number=number, issued_on=issued_on, due_on=due_on), draft.lines,
        draft.allowances, paid_minor=draft.totals.paid_minor,
        accounting=None if own is None else (own.currency, own.rate, own.source),
        credited={row.tax: row.amount_minor for row in draft.taxes} if draft.facts.kind == "381" else None,
    )  # fmt: skip


def _check(facts: Facts, lines: Sequence[Line], allowances: Sequence[Allowance]) -> None:
    if not lines:
        raise InvoiceBroken("an invoice has at least one line")
    if facts.until <= facts.starts_on:
        raise InvoiceBroken(f"the period ends on {facts.until}, which is not after its start on {facts.starts_on}")
    if facts.kind == "381" and not facts.preceding:
        raise InvoiceBroken("a credit note names the invoice that it credits")
    seen = set()
    for line in lines:
        if line.id in seen:
            raise InvoiceBroken(f"line {line.id} stands twice")
        seen.add(line.id)
        if line.price < 0 or not line.price.is_finite() or not line.quantity.is_finite() or line.per < 1:
            given = f"{line.quantity} at {line.price} per {line.per}"
            raise InvoiceBroken(f"line {line.id}: a price is at least 0 and per at least 1, not {given}")
        if line.list_price is not None and line.list_price < line.price:
            raise InvoiceBroken(f"line {line.id}: the list price {line.list_price} is below the price {line.price}")
        if line.until <= line.starts_on:
            raise InvoiceBroken(f"line {line.id}: its period ends on {line.until}, not after {line.starts_on}")
        expected = net_minor(line.quantity, line.price, line.per, facts.currency)
        if line.net_minor != expected:
            raise InvoiceBroken(f"line {line.id}: {line.net_minor} minor units, but quantity × price is {expected}")
    if any(each.amount_minor <= 0 for each in allowances):
        raise InvoiceBroken("an allowance is a positive amount")
    reasons: dict[tuple[str, Decimal], Tax] = {}
    for tax in [*(line.tax for line in lines), *(each.tax for each in allowances)]:
        _check_tax(tax)
        if reasons.setdefault((tax.category, tax.percent), tax) != tax:
            raise InvoiceBroken(f"tax category {tax.category} at {tax.percent} % is explained in two ways")
    if {"O"} < {tax.category for tax in reasons.values()}:
        raise InvoiceBroken("what is outside the scope of tax (O) stands on an invoice of its own (BR-O-11)")


def _check_tax(tax: Tax) -> None:
    if (tax.category == "S") != (tax.percent > 0):
        raise InvoiceBroken(f"tax category {tax.category} does not go with {tax.percent} %")
    if tax.category in ("AE", "G", "O", "E") and not (tax.reason or tax.code):
        raise InvoiceBroken(f"tax category {tax.category} needs the reason why no tax is charged")
    if tax.category in ("S", "Z") and (tax.reason or tax.code):
        raise InvoiceBroken(f"tax category {tax.category} has no reason of exemption")


def _taxes(lines: Sequence[Line], allowances: Sequence[Allowance]) -> tuple[TaxLine, ...]:
    """One row per category and rate, in their order."""
    bases: dict[Tax, int] = {}
    for line in lines:
        bases[line.tax] = bases.get(line.tax, 0) + line.net_minor
    for each in allowances:
        bases[each.tax] = bases.get(each.tax, 0) - each.amount_minor
    return tuple(
        TaxLine(tax=tax, base_minor=base, amount_minor=tax_on(base, tax.percent))
        for tax, base in sorted(bases.items())
    )


def _credited(facts: Facts, taxes: tuple[TaxLine, ...], credited: Mapping[Tax, int]) -> tuple[TaxLine, ...]:
    """The tax table of a credit note with the amounts that its invoice leaves for it."""
    if facts.kind != "381" or {row.tax for row in taxes} != set(credited):
        raise InvoiceBroken("taxes are given for each category of a credit note, and for no other document")
    for row in taxes:
        if abs(row.amount_minor - credited[row.tax]) > 1:
            what = f"{credited[row.tax]} minor units of tax {row.tax.category}"
            raise InvoiceBroken(f"{what} are not {row.tax.percent} % of {row.base_minor}")
    return tuple(msgspec.structs.replace(row, amount_minor=credited[row.tax]) for row in taxes)


def _accounting(own: tuple[str, Decimal, str] | None, tax_minor: int, currency: str) -> Accounting | None:
    if own is None or own[0] == currency:
        return None
    name, rate, source = own
    exact = Fraction(tax_minor) / 10 ** minor_digits(currency) * Fraction(rate) * 10 ** minor_digits(name)
    return Accounting(currency=name, rate=rate, source=source, tax_minor=round_half_away(exact))
