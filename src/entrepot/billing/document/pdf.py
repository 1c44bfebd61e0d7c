"""An invoice as PDF/A, laid out by Typst from `invoice.typ`.

Everything that is counted, rounded or translated is worked out here and handed over as text, so the template holds no
rule. The fonts are those inside Typst and the date inside the file is that of issue, so a document made again is the
same; the one that was issued is kept all the same.
"""

import json
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from importlib.resources import files
from typing import Any, Final

from entrepot.billing.document.language import Language, language
from entrepot.billing.invoice import Invoice, Line, Party
from entrepot.kernel.money import minor_digits

_STANDARD: Final = "a-2b"
_PLACES = Decimal("0.01")


def to_pdf(invoice: Invoice, *, draft: bool = False) -> bytes:
    """The document's bytes; a draft bears its name across every page. Raises InvoiceBroken for an unknown language."""
    import typst  # 80 MB of typesetting, loaded when a page is made and not before

    template = files("entrepot.billing.document").joinpath("invoice.typ").read_bytes()
    issued_at = datetime.combine(invoice.facts.issued_on, time(12), UTC)
    made: bytes = typst.compile(
        template, sys_inputs={"data": json.dumps(page_data(invoice, draft=draft))}, ignore_system_fonts=True,
        pdf_standards=_STANDARD, timestamp=int(issued_at.timestamp()), format="pdf",
    )  # fmt: skip
    return made


def page_data(invoice: Invoice, *, draft: bool = False) -> dict[str, Any]:
    """What the template shows, as text."""
    facts, totals = invoice.facts, invoice.totals
    speech = language(facts.language)
    words = speech.words
    credit = facts.kind == "381"
    heading = words["credit_note"] if credit else words["invoice"]
    seller = facts.seller
    return {
        "language": facts.language, "words": words, "draft": words["draft"] if draft else "",
        "title": f"{heading} {facts.number}".strip(), "heading": f"{heading} {facts.number}".strip(),
        "seller": {"name": seller.name, "sender": " · ".join(_address(seller))},
        "buyer": _letter(facts.buyer, speech, abroad=facts.buyer.address.country != seller.address.country),
        "facts": _facts(invoice, speech), "notes": list(facts.notes),
        "lines": [_line(each, facts.currency, speech) for each in invoice.lines],
        "sums": _sums(invoice, speech),
        "due": [words["credited"] if credit else words["payable"], speech.amount(totals.payable_minor, facts.currency)],
        "taxes": [
            [
                f"{each.tax.category}  {speech.reason(each.tax)}".strip(),
                f"{speech.exact(each.tax.percent)} %" if each.tax.category == "S" else words["no_tax"],
                speech.amount(each.base_minor, facts.currency), speech.amount(each.amount_minor, facts.currency),
            ]
            for each in invoice.taxes
        ],
        "accounting": _accounting(invoice, speech), "terms": facts.payment.terms,
        "transfer": _transfer(invoice, speech) if asks_for_money(invoice) else [],
        "footer": _footer(seller, speech),
    }  # fmt: skip


def _address(party: Party, *, contact: str = "", country: str = "") -> list[str]:
    place = f"{party.address.postcode} {party.address.city}".strip()
    return [each for each in (party.name, contact, party.address.street, place, country) if each]


def _letter(party: Party, speech: Language, *, abroad: bool) -> list[str]:
    """The address window; the country stands there only when the letter crosses a border, in capitals as posts ask."""
    country = speech.country(party.address.country).upper() if abroad else ""
    return _address(party, contact=party.contact, country=country)


def _facts(invoice: Invoice, speech: Language) -> list[list[str]]:
    facts, words = invoice.facts, speech.words
    last = facts.until - timedelta(days=1)
    earlier = ", ".join(f"{each.number} ({speech.short(each.issued_on)})" for each in facts.preceding)
    rows = [
        ("number", facts.number), ("issued", speech.written(facts.issued_on)),
        ("period", f"{speech.short(facts.starts_on)} – {speech.short(last)}"),
        ("due", speech.written(facts.due_on) if asks_for_money(invoice) else ""),
        ("preceding" if facts.kind == "381" else "advances", earlier),
        ("customer", facts.customer), ("contract", facts.contract), ("order", facts.order),
        ("buyer_reference", facts.buyer_reference), ("your_vat_id", facts.buyer.vat_id),
    ]  # fmt: skip
    return [[words[name], value] for name, value in rows if value]


def asks_for_money(invoice: Invoice) -> bool:
    return invoice.facts.kind != "381" and invoice.totals.payable_minor > 0


def _line(line: Line, currency: str, speech: Language) -> dict[str, Any]:
    per = speech.words["per_one"].format(unit=speech.unit(line.unit)) if line.per == 1 else speech.words["per"].format(
        per=speech.number(str(line.per)), unit=speech.units[line.unit]
    )  # fmt: skip
    about = [line.about] if line.about else []
    if line.list_price is not None and line.list_price != line.price:
        percent = ((line.list_price - line.price) / line.list_price * 100).quantize(_PLACES).normalize()
        price = f"{speech.exact(line.list_price, 2)} {currency}"
        about.append(speech.words["discount"].format(percent=speech.exact(percent), price=price))
    places = max(2, minor_digits(currency)) if minor_digits(currency) else 0
    return {
        "id": line.id, "name": line.name, "about": about, "quantity": speech.exact(line.quantity),
        "unit": speech.unit(line.unit, line.quantity),
        "price": f"{speech.exact(line.price, places)} {currency}", "per": per,
        "amount": speech.amount(line.net_minor, currency),
    }  # fmt: skip


def _sums(invoice: Invoice, speech: Language) -> list[list[str]]:
    totals, currency, words = invoice.totals, invoice.facts.currency, speech.words
    rows = []
    if invoice.allowances:
        rows.append([words["subtotal"], speech.amount(totals.lines_minor, currency)])
        rows += [[each.reason, speech.amount(-each.amount_minor, currency)] for each in invoice.allowances]
    rows += [
        [words["without_tax"], speech.amount(totals.without_tax_minor, currency)],
        [words["tax"], speech.amount(totals.tax_minor, currency)],
    ]
    if totals.paid_minor:
        rows.append([words["with_tax"], speech.amount(totals.with_tax_minor, currency)])
        settled = words["paid_back" if invoice.facts.kind == "381" else "paid"]
        rows.append([settled, speech.amount(-totals.paid_minor, currency)])
    return rows


def _accounting(invoice: Invoice, speech: Language) -> str:
    own = invoice.accounting
    if own is None:
        return ""
    values = {
        "currency": own.currency, "amount": speech.amount(own.tax_minor, own.currency),
        "from": invoice.facts.currency, "rate": speech.exact(own.rate), "source": own.source,
    }  # fmt: skip
    return speech.words["accounting"].format(**values)


def _transfer(invoice: Invoice, speech: Language) -> list[list[str]]:
    payment, words = invoice.facts.payment, speech.words
    if not payment.iban:
        return []
    packed = payment.iban.replace(" ", "")
    rows = [
        [words["transfer"], invoice.facts.seller.name],
        ["IBAN", " ".join(packed[at : at + 4] for at in range(0, len(packed), 4))],
    ]
    if payment.bic:
        rows.append(["BIC", payment.bic])
    rows.append([words["payment_reference"], payment.reference or invoice.facts.number])
    return rows


def _footer(seller: Party, speech: Language) -> list[list[str]]:
    words = speech.words
    numbers = [("vat_id", seller.vat_id), ("tax_number", seller.tax_number), ("register", seller.register)]
    return [
        _address(seller, country=speech.country(seller.address.country)),
        [each for each in (seller.contact, seller.phone, seller.email) if each],
        [f"{words[name]} {value}" for name, value in numbers if value],
    ]
