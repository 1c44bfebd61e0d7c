"""Why a line of an invoice says what it says: every step back, in the one order of calculation, to records."""

import asyncio
import json
import sys
from typing import Any

import msgspec

from entrepot.billing import tables
from entrepot.billing.crediting import CreditedLine
from entrepot.billing.document.canonical import plain_decimal
from entrepot.billing.drafting import in_order
from entrepot.billing.inputs import UsageInputs, from_bytes
from entrepot.billing.invoice import Invoice, Line
from entrepot.control.house import House
from entrepot.control.rating import RatingFailed, RatingRefused
from entrepot.kernel.instants import show
from entrepot.kernel.money import minor_digits, show_minor
from entrepot.rating.line import RatedLine
from entrepot.storage.database import read

LONGEST_S = 300.0


async def explain_line(where: House, number: str, line: str) -> dict[str, Any] | None:
    """Facts of `R-2026-00001/3`, or of a line of a draft, `acme:2026-11/3`; None where there is no such line."""
    found = await asyncio.to_thread(_stored, where, number, line)
    if found is None:
        return None
    invoice, row, stored, issued = found
    facts = {"kind": "invoice line", "number": number, "line": line, **_line(invoice, row)}
    if not stored:
        return {**facts, "steps": _sums(invoice, row), "records": None}
    if invoice.facts.kind == "381":
        said = msgspec.json.decode(stored, type=CreditedLine)
        credits = f"{invoice.facts.preceding[0].number}/{said.credits}"
        words = "as it is right" if said.right else "as it was billed"
        return {**facts, "steps": [("credits", f"{credits}, {words}"), *_sums(invoice, row)], "records": None}
    rated = msgspec.json.decode(stored, type=RatedLine)
    records = await _records(where, number, line) if issued and rated.kind == "usage" else None
    steps = [*_steps(invoice, rated), *_sums(invoice, row)]
    if not issued:
        steps.append(("a draft", f"its records are named once it is issued: entrepot invoice issue {number}"))
    return {**facts, "steps": steps, "records": records}


def _stored(where: House, number: str, line: str) -> tuple[Invoice, Line, bytes, bool] | None:
    """(document, line, JSON of what stands behind it, whether it is issued)."""
    with read(where.engine) as connection:
        draft = tables.read_draft(connection, number)
        if draft is None and not tables.read_issued(connection, number=number):
            return None
        invoice = tables.document_of(connection, number) if draft is None else draft.invoice
        row = next((each for each in invoice.lines if each.id == line), None)
        if row is None:
            return None
        if draft is None:
            return invoice, row, tables.rated_line(connection, number, line), True
    inputs = from_bytes(draft.inputs)
    if not isinstance(inputs, UsageInputs):
        return invoice, row, b"", False
    rated = dict(zip((each.id for each in invoice.lines), in_order(inputs.rated.lines), strict=True))
    return invoice, row, msgspec.json.encode(rated[line]), False


def _line(invoice: Invoice, row: Line) -> dict[str, Any]:
    return {
        "name": row.name, "about": row.about, "customer": invoice.facts.customer, "currency": invoice.facts.currency,
        "starts_on": str(row.starts_on), "until": str(row.until), "quantity": plain_decimal(row.quantity),
        "unit": row.unit, "price": plain_decimal(row.price), "per": row.per,
        "amount": show_minor(row.net_minor, invoice.facts.currency),
    }  # fmt: skip


def _steps(invoice: Invoice, rated: RatedLine) -> list[tuple[str, str]]:
    """From the list price to the price of the line, in the one order (money-rules §4)."""
    currency = invoice.facts.currency
    listed = rated.price if rated.list_price is None else rated.list_price
    conditions = f" ({rated.when})" if rated.when.count else ""
    steps = [("list price", f"{plain_decimal(listed)} {currency} per {rated.per:,}{conditions}")]
    if rated.basis and rated.basis != rated.version:
        steps.append(("agreed", rated.basis))
    if rated.version:
        steps.append(("version", rated.version))
    if rated.list_price is not None and rated.list_price != rated.price:
        steps.append(("contract", f"{plain_decimal(rated.price)} {currency} per {rated.per:,}"))
    if rated.reason:
        name = "included" if not rated.price else "step" if rated.kind == "usage" else "why"
        steps.append((name, rated.reason))
    if rated.kind == "correction":
        steps.append(("corrects", f"{rated.month}: {rated.of}; right as known now less what was billed"))
    return steps


def _sums(invoice: Invoice, row: Line) -> list[tuple[str, str]]:
    """From the price to the document."""
    currency, facts = invoice.facts.currency, invoice.facts
    exact = row.quantity * row.price / row.per
    steps = [(
        "rounded", f"{row.quantity:,f} × {plain_decimal(row.price)} ÷ {row.per:,} = {exact.normalize():f} {currency}, "
        f"to {minor_digits(currency)} digits half away from zero: {show_minor(row.net_minor, currency)} {currency}"
    )]  # fmt: skip
    steps += [
        ("given", f"-{show_minor(each.amount_minor, currency)} on lines of category {row.tax.category}: {each.reason}")
        for each in invoice.allowances
        if each.tax == row.tax
    ]
    steps += [("tax", f"category {tax.tax.category}, {plain_decimal(tax.tax.percent)} % of "
               f"{show_minor(tax.base_minor, currency)} = {show_minor(tax.amount_minor, currency)} {currency}")
              for tax in invoice.taxes if tax.tax == row.tax]  # fmt: skip
    if invoice.totals.paid_minor:
        paid = f"{show_minor(invoice.totals.paid_minor, currency)} {currency} of"
        steps.append(("paid ahead", f"{paid} {facts.number or 'the draft'} paid with credit"))
    return steps


async def _records(where: House, number: str, line: str) -> dict[str, Any]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", "entrepot.keeper.bills.line_records", str(where.folder.root), number, line,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        out, errors = await asyncio.wait_for(process.communicate(), LONGEST_S)
    except BaseException:
        process.kill()
        await process.wait()
        raise
    try:
        found: dict[str, Any] = json.loads(out)
    except ValueError:
        last = errors.decode("utf-8", "replace").strip().splitlines()[-1:] or ["no reason was given"]
        raise RatingFailed(f"the records of {number}/{line} could not be read: {last[0]}") from None
    if process.returncode:
        raise RatingRefused(str(found["message"]), code=str(found["code"]))
    for each in found["uses"]:
        each["day"] = show(each["day"])[:10]
    return found
