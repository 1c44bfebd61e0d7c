"""Drafts and issued documents as facts for lists and pages, and what there is to be drafted."""

import asyncio
import json
from datetime import date
from typing import Any

import msgspec
from sqlalchemy import Connection

from entrepot.billing import payment_tables, tables
from entrepot.billing.document.canonical import plain_decimal
from entrepot.billing.inputs import from_bytes
from entrepot.billing.invoice import Invoice
from entrepot.control.house import House
from entrepot.control.problem import NotFound
from entrepot.keeper.bills.burning import top_up_name
from entrepot.keeper.bills.invoices import blocked, of_draft, of_issued
from entrepot.kernel.instants import Instant, parse, show, to_datetime
from entrepot.kernel.money import show_minor
from entrepot.ledger.grant_tables import purchases
from entrepot.storage.database import read


def documents(connection: Connection, now: Instant, *, customer: str = "", month: str = "") -> list[dict[str, Any]]:
    """Drafts by name, then issued documents in the order of issue."""
    on = _day(now)
    found = [of_draft(each) for each in tables.read_drafts(connection, customer=customer)]
    found += [of_issued(each, on) for each in tables.read_issued(connection, customer=customer)]
    return [each for each in found if month in ("", each["month"], str(each["issued_on"])[:7])]


def document_facts(connection: Connection, name: str, now: Instant) -> dict[str, Any]:
    """A draft by its name or an issued document by its number. Raises NotFound."""
    draft = tables.read_draft(connection, name)
    if draft is not None:
        why = blocked(from_bytes(draft.inputs), draft.invoice, now)
        return {**of_draft(draft), **_written(draft.invoice), "blocked": why}
    issued = tables.read_issued(connection, number=name)
    if not issued:
        raise NotFound(f"there is no invoice and no draft {name!r}; entrepot invoice list shows them")
    facts = issued[0]
    paid = payment_tables.read_payments(connection, customer=facts.customer)
    notes = [each.number for each in tables.read_issued(connection, customer=facts.customer) if each.credits == name]
    return {
        **of_issued(facts, _day(now)), **_written(tables.document_of(connection, name)), "credit_notes": notes,
        "issued_at": show(facts.issued_at),
        "payments": [
            {
                "id": payment.id, "paid_on": str(payment.paid_on), "source": payment.source,
                "amount": show_minor(parts[name], facts.currency),
            }
            for payment, parts, _ in paid
            if name in parts
        ],
    }  # fmt: skip


def _written(invoice: Invoice) -> dict[str, Any]:
    """What stands on the document."""
    facts, currency, totals = invoice.facts, invoice.facts.currency, invoice.totals
    return {
        "seller": facts.seller.name, "buyer": facts.buyer.name, "starts_on": str(facts.starts_on),
        "until": str(facts.until), "terms": facts.payment.terms, "notes": list(facts.notes),
        "contract": facts.contract, "preceding": [each.number for each in facts.preceding],
        "lines": [
            {
                "line": line.id, "name": line.name, "about": line.about, "quantity": plain_decimal(line.quantity),
                "unit": line.unit, "price": plain_decimal(line.price), "per": line.per,
                "list_price": None if line.list_price is None else plain_decimal(line.list_price),
                "starts_on": str(line.starts_on), "until": str(line.until), "tax": line.tax.category,
                "amount": show_minor(line.net_minor, currency),
            }
            for line in invoice.lines
        ],
        "allowances": [
            {"reason": each.reason, "amount": show_minor(each.amount_minor, currency)} for each in invoice.allowances
        ],
        "taxes": [
            {
                "category": row.tax.category, "percent": plain_decimal(row.tax.percent),
                "reason": row.tax.reason or row.tax.code, "base": show_minor(row.base_minor, currency),
                "amount": show_minor(row.amount_minor, currency),
            }
            for row in invoice.taxes
        ],
        "sums": {
            name.removesuffix("_minor"): show_minor(minor, currency)
            for name, minor in msgspec.structs.asdict(totals).items()
        },
        "inputs": [{"name": each.name, "sha256": each.sha256} for each in facts.inputs],
    }  # fmt: skip


async def to_be_drafted(where: House, rated: list[str], month: str, customer: str = "") -> list[dict[str, Any]]:
    """Arguments of the drafts of a month: credit bought in it that has no invoice yet, then usage."""
    found: list[dict[str, Any]] = await asyncio.to_thread(_bought, where, month, customer)
    for text in rated:
        facts = json.loads(text)
        if facts["lines"] or facts["customer"] == customer:
            found.append({"customer": facts["customer"], "month": month, "rated": text})
    return found


def _bought(where: House, month: str, customer: str) -> list[dict[str, Any]]:
    year, number = map(int, month.split("-"))
    from_, until = parse(f"{month}-01"), parse(f"{year + number // 12}-{number % 12 + 1:02}-01")
    with read(where.engine) as connection:
        return [
            {"customer": each.balance, "payment": each.id}
            for each in purchases(connection, balance=customer, from_=from_, until=until)
            if each.tax is not None and not tables.read_issued(connection, id=top_up_name(each.balance, each.id))
        ]


def _day(at: Instant) -> date:
    return to_datetime(at).date()
