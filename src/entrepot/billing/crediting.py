"""Credit notes: an issued invoice, line against line, as it was billed and as it is right (money-rules §8). Pure.

What is credited of a line is its rounded amount as it stands less the rounded right one, so the credit notes on an
invoice never come to more than the invoice: not in a line, not in a tax category (whose tax is the difference of two
rounded taxes as well), not in the total.
"""

from collections.abc import Iterable, Mapping
from datetime import date
from decimal import Decimal
from fractions import Fraction

import msgspec

from entrepot.billing.document.language import language
from entrepot.billing.invoice import (
    Invoice,
    InvoiceBroken,
    Line,
    Payment,
    Reference,
    Tax,
    make,
    net_minor,
)
from entrepot.kernel.errors import EntrepotError, Fault
from entrepot.kernel.money import round_half_away, scale_of, show_minor


class CreditTooLarge(EntrepotError):
    """More would be credited than is billed, or in the other direction."""

    code = "credit_too_large"
    fault = Fault.CALLER


class Right(msgspec.Struct, frozen=True, kw_only=True):
    """What a line should have said; None: the price as it stands."""

    quantity: Decimal
    price: Decimal | None = None


class CreditedLine(msgspec.Struct, frozen=True, kw_only=True):
    """Which line of the invoice a line of the credit note is about: as it was billed, or (`right`) as it is right."""

    credits: str
    right: bool = False


class CreditNote(msgspec.Struct, frozen=True, kw_only=True):
    """The document and, by its lines, what each is about. `net` is what is credited of each line of the invoice, in
    ledger units, before it was rounded. `whole`: nothing of the invoice is left, and what it billed is free for a new
    one."""

    invoice: Invoice
    about: Mapping[str, CreditedLine]
    net: Mapping[str, int]
    whole: bool


def standing(invoice: Invoice, before: Iterable[tuple[Invoice, Mapping[str, CreditedLine]]]) -> dict[str, Line]:
    """The lines of an invoice as the credit notes so far, in their order, have left them; one that is credited in full
    stands at quantity 0."""
    found = {line.id: line for line in invoice.lines}
    for note, about in before:
        for line in note.lines:
            said = about[line.id]
            old = found[said.credits]
            quantity = -line.quantity if said.right else Decimal(0)
            price = line.price if said.right else old.price
            found[said.credits] = _at(old, quantity, price, invoice.facts.currency)
    return found


def credit(
    invoice: Invoice, lines: Mapping[str, Line], wanted: Mapping[str, Right] | None, *, on: date, reason: str,
    purchase: bool = False,
) -> CreditNote:
    """The credit note that makes `lines` (the invoice as it stands) right: those of `wanted`, or None: all of them to
    nothing. It bears no number yet. `purchase`: the invoice was of credit that was bought. Raises CreditTooLarge,
    InvoiceBroken.
    """
    facts, speech = invoice.facts, language(invoice.facts.language)
    if facts.kind == "381":
        raise InvoiceBroken(f"{facts.number} is a credit note itself: bill what it took too much in a new invoice")
    if wanted is None:
        wanted = {id: Right(quantity=Decimal(0)) for id, line in lines.items() if line.net_minor}
    rights = {}
    for id, right in wanted.items():
        if id not in lines:
            raise InvoiceBroken(f"{facts.number} has no line {id}; its lines are {', '.join(lines)}")
        rights[id] = _right(invoice, lines[id], right)
    rows: list[Line] = []
    about: dict[str, CreditedLine] = {}
    for id, line in lines.items():
        if id not in rights:
            continue
        said = speech.words["as_billed"].format(line=id)
        rows.append(msgspec.structs.replace(line, id=str(len(rows) + 1), about=_joined(said, line.about)))
        about[rows[-1].id] = CreditedLine(credits=id)
        if rights[id].quantity:
            said = speech.words["as_right"].format(line=id)
            taken = _at(rights[id], -rights[id].quantity, rights[id].price, facts.currency)
            rows.append(msgspec.structs.replace(taken, id=str(len(rows) + 1), about=_joined(said, line.about)))
            about[rows[-1].id] = CreditedLine(credits=id, right=True)
    if not rows:
        raise CreditTooLarge(f"nothing of {facts.number} is left to be credited")
    after = {**lines, **rights}
    old, new = _categories(invoice, lines), _categories(invoice, after)
    touched = {row.tax for row in rows}
    allowances = [
        msgspec.structs.replace(each, amount_minor=part)
        for each in invoice.allowances
        if each.tax in touched and (part := old[each.tax].allowance - new[each.tax].allowance)
    ]
    own = invoice.accounting
    terms = "terms_paid_back" if purchase else "terms_credited_ahead" if invoice.totals.paid_minor else "terms_credited"
    lowered = _asked(invoice, old) - _asked(invoice, new)
    with_tax = sum(each.base_minor + each.tax_minor for each in old.values())
    with_tax -= sum(each.base_minor + each.tax_minor for each in new.values())
    made = make(
        msgspec.structs.replace(
            facts, number="", kind="381", issued_on=on, due_on=on, notes=(reason,) if reason else (), inputs=(),
            preceding=(Reference(number=facts.number, issued_on=facts.issued_on),),
            payment=Payment(terms=speech.words[terms]),
        ),
        rows, allowances, paid_minor=max(0, with_tax - lowered),
        accounting=None if own is None else (own.currency, own.rate, own.source),
        credited={tax: old[tax].tax_minor - new[tax].tax_minor for tax in touched},
    )  # fmt: skip
    _within(invoice, made, old)
    scale = 10 ** scale_of(facts.currency)
    net = {id: round_half_away((_exact(lines[id]) - _exact(right)) * scale) for id, right in rights.items()}
    return CreditNote(invoice=made, about=about, net=net, whole=not any(line.net_minor for line in after.values()))


class _Category(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the tax table as an invoice stands: promotional credit is part of it as far as there are lines."""

    allowance: int
    base_minor: int
    tax_minor: int


def _categories(invoice: Invoice, lines: Mapping[str, Line]) -> dict[Tax, _Category]:
    sums: dict[Tax, int] = {row.tax: 0 for row in invoice.taxes}
    for line in lines.values():
        sums[line.tax] += line.net_minor
    allowed: dict[Tax, int] = {}
    for each in invoice.allowances:
        allowed[each.tax] = allowed.get(each.tax, 0) + each.amount_minor
    found = {}
    for tax, whole in sums.items():
        allowance = min(allowed.get(tax, 0), max(0, whole))
        base = whole - allowance
        amount = round_half_away(Fraction(base) * Fraction(tax.percent) / 100)
        found[tax] = _Category(allowance=allowance, base_minor=base, tax_minor=amount)
    return found


def _asked(invoice: Invoice, left: Mapping[Tax, _Category]) -> int:
    """What an invoice of which so much is left would ask for: all of it, or, where credit pays, its part of the tax.
    The rest of a credit note goes back to the credit."""
    totals, tax = invoice.totals, sum(each.tax_minor for each in left.values())
    if not totals.paid_minor:
        return tax + sum(each.base_minor for each in left.values())
    return round_half_away(Fraction(tax * totals.payable_minor, totals.tax_minor)) if totals.tax_minor else 0


def _right(invoice: Invoice, line: Line, right: Right) -> Line:
    """The line as it is right; refused where that is more than it is, or on the other side of zero."""
    price = line.price if right.price is None else right.price
    currency = invoice.facts.currency
    made = _at(line, right.quantity, price, currency)
    least, most = sorted((0, line.net_minor))
    turned = bool(made.quantity) and (made.quantity < 0) != (line.quantity < 0)
    if not least <= made.net_minor <= most or price < 0 or turned:
        stands = f"{show_minor(line.net_minor, currency)} {currency}"
        raise CreditTooLarge(
            f"line {line.id} of {invoice.facts.number} stands at {stands} and would become "
            f"{show_minor(made.net_minor, currency)} {currency}: a credit note takes a line down to nothing at most; "
            "what was billed too little stands on the next invoice"
        )
    if made.net_minor == line.net_minor:
        raise CreditTooLarge(
            f"line {line.id} of {invoice.facts.number} stands at {show_minor(line.net_minor, currency)} {currency} "
            "already: nothing would be credited"
        )
    return made


def _within(invoice: Invoice, note: Invoice, old: Mapping[Tax, _Category]) -> None:
    """What the arithmetic above ensures, looked at once more before it is issued."""
    totals = note.totals
    left = sum(each.base_minor + each.tax_minor for each in old.values())
    for row in note.taxes:
        have = old[row.tax]
        (least, most), (tax_least, tax_most) = sorted((0, have.base_minor)), sorted((0, have.tax_minor))
        if not least <= row.base_minor <= most or not tax_least <= row.amount_minor <= tax_most:
            raise CreditTooLarge(
                f"{row.base_minor} and tax of {row.amount_minor} would be credited in tax category {row.tax.category} "
                f"at {row.tax.percent} %, of which {invoice.facts.number} has {have.base_minor} and {have.tax_minor} "
                "left; credit lines with a positive amount too, or all of it"
            )
    if not 0 <= totals.with_tax_minor <= left:
        what = f"{totals.with_tax_minor} would be credited of {invoice.facts.number}"
        raise CreditTooLarge(f"{what}, of which {left} is left")


def _at(line: Line, quantity: Decimal, price: Decimal, currency: str) -> Line:
    """The line with another quantity or price, rounded anew."""
    list_price = line.list_price if line.list_price is not None and line.list_price >= price else None
    return msgspec.structs.replace(
        line, quantity=quantity, price=price, list_price=list_price,
        net_minor=net_minor(quantity, price, line.per, currency),
    )  # fmt: skip


def _exact(line: Line) -> Fraction:
    return Fraction(line.quantity) * Fraction(line.price) / line.per


def _joined(*parts: str) -> str:
    return "; ".join(filter(None, parts))
