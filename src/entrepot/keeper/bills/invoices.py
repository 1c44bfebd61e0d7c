"""Drafts, issuing and discarding: each one write transaction, with its postings inside or not at all.

What usage costs comes rated from a process of its own (`bills.rating`), as bytes; what it must agree with is looked at
again in the transaction that issues, so a draft of older facts is never issued.
"""

import base64
import re
from collections.abc import Callable, Mapping
from datetime import date
from decimal import Decimal

import msgspec
from msgspec.structs import replace
from sqlalchemy import Connection, Engine

from entrepot.billing import drafting, tables, vat
from entrepot.billing.document.canonical import digest
from entrepot.billing.drafting import by_product, units_of
from entrepot.billing.inputs import (
    AdvanceInputs,
    DocumentRate,
    Inputs,
    UsageInputs,
    from_bytes,
    to_bytes,
    usage_from_bytes,
)
from entrepot.billing.invoice import Invoice
from entrepot.billing.making import made_of
from entrepot.billing.sending import cannot_be_sent
from entrepot.billing.states import marks_of, state_of
from entrepot.billing.tables import Draft, InvoiceUnknown, Issued
from entrepot.catalog import parties
from entrepot.catalog.tables import read_operator
from entrepot.customers.tables import read_customers
from entrepot.keeper.arguments import BOOKING_MOST, Args, CommandRefused, Facts, name_of, text_of
from entrepot.keeper.bills import burning
from entrepot.keeper.bills.anew import InvoiceExists, free_name
from entrepot.keeper.bills.corrections import billed_otherwise, came_since
from entrepot.keeper.changing import changing
from entrepot.keeper.money import customer_of
from entrepot.kernel.errors import EntrepotError, Fault
from entrepot.kernel.instants import Instant, parse, show, to_datetime
from entrepot.kernel.money import show_minor, split
from entrepot.ledger import grant_tables, postings
from entrepot.ledger.grant_tables import Purchase
from entrepot.ledger.postings import Event, tax_name
from entrepot.ledger.tables import post
from entrepot.ledger.transfer import Transaction
from entrepot.metering.tables import usage_digest
from entrepot.rating import line as rating
from entrepot.rating.line import Rated
from entrepot.storage.database import write
from entrepot.storage.folder import Folder


class InvoiceNotReady(EntrepotError):
    """What stands between a draft and its number: usage without a price, a period that is not over, newer facts."""

    code = "invoice_not_ready"
    fault = Fault.CALLER


def draft(engine: Engine, folder: Folder, args: Args, now: Instant) -> Facts:
    """{customer, month, rated, rate?, rate_source?, dry_run}: the invoice of a month as of now, without a number. One
    that was there before under this name is replaced."""
    customer, month = text_of(args, "customer"), text_of(args, "month")
    rated = _rated(args, customer, month)
    with changing(engine, args, now) as connection:
        customer_of(connection, customer)
        name = free_name(connection, customer, month)
        inputs = _inputs(connection, rated, _document_rate(args))
        found = Draft(
            id=name, purpose="usage", customer=customer, month=month, invoice=made_of(inputs, _day(now)),
            inputs=to_bytes(inputs), made_at=now,
        )  # fmt: skip
        replaced = tables.put_draft(connection, found)
    facts = {**of_draft(found), "blocked": blocked(inputs, found.invoice, now), "replaced": replaced}
    return {**facts, "dry_run": bool(args.get("dry_run"))}


def draft_top_up(engine: Engine, folder: Folder, args: Args, now: Instant) -> Facts:
    """{customer, payment, dry_run}: the invoice of credit that was bought, without a number."""
    customer, payment = text_of(args, "customer"), text_of(args, "payment")
    with changing(engine, args, now) as connection:
        customer_of(connection, customer)
        name = burning.top_up_name(customer, payment)
        if issued := tables.read_issued(connection, id=name):
            raise InvoiceExists(f"{issued[0].number} bills top-up {payment} of {customer} already")
        bought = [each for each in grant_tables.purchases(connection, balance=customer) if each.id == payment]
        if not bought:
            raise CommandRefused(f"{customer} has bought no credit as {payment!r}; entrepot balance show {customer}")
        inputs = _advance_inputs(connection, bought[0])
        found = Draft(
            id=name, purpose="top-up", customer=customer, month=show(bought[0].at)[:7],
            invoice=made_of(inputs, _day(now)), inputs=to_bytes(inputs), made_at=now,
        )  # fmt: skip
        replaced = tables.put_draft(connection, found)
    facts = {**of_draft(found), "blocked": blocked(inputs, found.invoice, now), "replaced": replaced}
    return {**facts, "dry_run": bool(args.get("dry_run"))}


def issue(engine: Engine, folder: Folder, args: Args, now: Instant) -> Facts:
    """{draft, customer, early?, dry_run}: give a draft its number and date, post it, keep it for ever."""
    with changing(engine, args, now) as connection:
        before = tables.read_issued(connection, id=text_of(args, "draft"))
        if before:
            return {**of_issued(before[0], _day(now)), "known": True, "dry_run": bool(args.get("dry_run"))}
        found = _draft(connection, args)
        day = _day(now)
        inputs = _ready(connection, found, now, early=bool(args.get("early")))
        number = tables.next_number(connection, inputs.seller.invoice.series, day.year)
        invoice = made_of(inputs, day, number)
        tables.drop_draft(connection, found.id)
        found = replace(found, inputs=to_bytes(inputs))
        if isinstance(inputs, UsageInputs):
            _post(connection, found, inputs, invoice, now)
            tables.put_issued(connection, found, invoice, now, _rated_lines(inputs, invoice))
        else:
            tables.put_issued(connection, found, invoice, now, {})  # its money was booked when it came in
        (issued,) = tables.read_issued(connection, number=number)
    return {**of_issued(issued, day), "known": False, "dry_run": bool(args.get("dry_run"))}


def discard(engine: Engine, folder: Folder, args: Args, now: Instant) -> Facts:
    """{draft, customer, dry_run}: only drafts are discarded."""
    with changing(engine, args, now) as connection:
        found = _draft(connection, args)
        tables.drop_draft(connection, found.id)
    return {**of_draft(found), "dry_run": bool(args.get("dry_run"))}


def blocked(inputs: Inputs, invoice: Invoice, now: Instant) -> list[str]:
    """Why a draft of these inputs cannot be issued as it is, each with what to do; empty: it can."""
    if not isinstance(inputs, UsageInputs):
        return cannot_be_sent(invoice, inputs.buyer, inputs.purchase.balance)
    rated = inputs.rated
    found = cannot_be_sent(invoice, inputs.buyer, rated.customer)
    found += [
        f"{each.attempts:,} calls are not rated: {each.name} ({each.reason}); publish a price for {each.model} and "
        f"draft again, or bill without them: entrepot invoice carry-over {rated.customer} {inputs.month} '{each.name}'"
        for each in rated.blocked_by
    ]
    if rated.open:
        found.append(
            f"the journal of this period may still grow ({', '.join(rated.open[:3])}): a running server closes it in "
            "seconds; draft again"
        )
    if now < parse(rated.starts_on):
        found.append(f"{inputs.month} has not begun: nothing of it can be billed yet")
    elif now < parse(rated.until):
        found.append(
            f"{inputs.month} is not over: issue it on {rated.until} or later, or now with --early; what is used after "
            "that stands on the next invoice"
        )
    return found


def _ready(connection: Connection, found: Draft, now: Instant, *, early: bool) -> Inputs:
    """What the draft is issued from: its inputs, and references to purchases that got their invoices meanwhile. Raises
    InvoiceNotReady where something blocks it, or where it was made of what has changed since."""
    inputs = from_bytes(found.inputs)
    reasons = [each for each in blocked(inputs, found.invoice, now) if not (early and "--early" in each)]
    if reasons:
        raise InvoiceNotReady(f"{found.id} cannot be issued: {'; '.join(reasons)}")
    if isinstance(inputs, UsageInputs):
        newer = came_since(connection, found.customer, parse(inputs.rated.until), found.made_at)
        newer += billed_otherwise(connection, found.customer, found.month, dict(inputs.rated.inputs))
        if newer:
            raise _drafted_before(found, newer)
        again: Inputs = _inputs(connection, inputs.rated, inputs.document_rate)
        if inputs.burned is not None and isinstance(again, UsageInputs) and again.burned is not None:
            inputs = replace(inputs, burned=replace(inputs.burned, advances=again.burned.advances))
    else:
        again = _advance_inputs(connection, inputs.purchase)
    if again != inputs:
        changed = [name for name in inputs.__struct_fields__ if getattr(again, name) != getattr(inputs, name)]
        raise _drafted_before(found, changed)
    return inputs


def _drafted_before(found: Draft, changed: list[str]) -> InvoiceNotReady:
    return InvoiceNotReady(
        f"{found.id} was drafted at {show(found.made_at)[:19]}Z, and since then {' and '.join(changed)} changed: "
        f"draft it again (entrepot invoice draft --month {found.month} --customer {found.customer}), then issue it"
    )


def _inputs(connection: Connection, rated: Rated, rate: DocumentRate | None) -> UsageInputs:
    """Everything that the invoice is made of, as the database has it now. Raises PartyIncomplete."""
    customer = read_customers(connection, rated.customer)[rated.customer]  # of everybody it would be N² for a month
    month = rated.starts_on[:7]
    burned = None
    if customer.pays.by == "prepaid":
        charged, costs = _owed(connection, rated)
        burned = burning.of_month(connection, rated.customer, month, sum(charged.values()) - sum(costs.values()))
    seller = parties.seller(read_operator(connection))
    return UsageInputs(
        rated=rated, seller=seller, buyer=parties.buyer(customer),
        contract=customer.contract(parse(rated.starts_on)).id, rates=vat.rates(seller.rates), burned=burned,
        document_rate=rate,
        usage=usage_digest(connection, rated.customer, parse(rated.until)),
    )  # fmt: skip


def _advance_inputs(connection: Connection, bought: Purchase) -> AdvanceInputs:
    customer = read_customers(connection, bought.balance)[bought.balance]
    return AdvanceInputs(
        purchase=bought, seller=parties.seller(read_operator(connection)), buyer=parties.buyer(customer),
        contract=customer.contract(bought.at).id,
    )  # fmt: skip


def _post(connection: Connection, found: Draft, inputs: UsageInputs, invoice: Invoice, now: Instant) -> None:
    """What the accounts say of it: calls' excess goes back, what was unbilled is receivable."""
    facts, prepaid = invoice.facts, inputs.burned is not None
    charged, rated = _owed(connection, inputs.rated)
    month = Event(
        id=found.id, customer=found.customer, currency=facts.currency, at=now,
        about=f"{inputs.month} of {found.customer} as rated for {facts.number}",
    )  # fmt: skip
    book(connection, postings.settled(month, charged=charged, rated=rated, prepaid=prepaid))
    if prepaid and (returned := sum(charged.values()) - sum(rated.values())):
        grant_tables.settle(connection, found.customer, inputs.month, returned)
    about = f"invoice {facts.number} of {found.customer}, sha256 {digest(invoice)}"
    taxes = _taxes(invoice, inputs)
    book(connection, postings.issued(
        replace(month, id=facts.number, about=about), payable=units_of(invoice.totals.payable_minor, facts.currency),
        unbilled=0 if prepaid else sum(rated.values()), taxes=taxes,
        rounding_most=rounding_most(invoice, len(rated)),
    ))  # fmt: skip


def book(connection: Connection, transaction: Transaction) -> None:
    """Post it, if it moves anything."""
    if transaction.transfers:
        post(connection, transaction)


def _taxes(invoice: Invoice, inputs: UsageInputs) -> Mapping[str, int]:
    """The tax of a document that is booked with it: of a prepaid customer what was not paid when credit was bought."""
    currency = invoice.facts.currency
    whole = {row.tax: row.amount_minor for row in invoice.taxes if row.amount_minor}
    if inputs.burned is not None:  # what is payable of it is tax, shared out by what each category has
        order = sorted(whole)
        parts = split(invoice.totals.payable_minor, [whole[tax] for tax in order]) if order else []
        whole = dict(zip(order, parts, strict=True))
    country = inputs.buyer.party.address.country
    return {
        tax_name(country, tax.category, tax.percent): units_of(amount, currency)
        for tax, amount in whole.items()
        if amount
    }


def rounding_most(invoice: Invoice, products: int) -> int:
    """Half a minor unit per line and tax, and half a ledger unit per product, rounded up."""
    halves = len(invoice.lines) + len(invoice.taxes) + len(invoice.allowances)
    return units_of(halves, invoice.facts.currency) // 2 + products + 1


def _owed(connection: Connection, rated: Rated) -> tuple[Mapping[str, int], Mapping[str, int]]:
    """(what calls took and did not get back, what it costs) in ledger units, by product: an earlier invoice of the
    month that was credited in full has returned what its calls took too much, and of several the last has seen to it
    that this is what was returned in all."""
    charged, costs = by_product(rated.lines, rated.currency)
    left = dict(charged)
    issued = tables.read_issued(connection, customer=rated.customer)
    earlier = [each for each in issued if each.purpose == "usage" and each.month == rated.starts_on[:7]]
    for each in earlier[-1:]:
        took, cost = by_product(usage_from_bytes(tables.inputs_of(connection, each.number)).rated.lines, rated.currency)
        for product in took:
            left[product] = left.get(product, 0) - took[product] + cost[product]
    return left, costs


def _rated_lines(inputs: UsageInputs, invoice: Invoice) -> dict[str, bytes]:
    """JSON of the rated line behind each line of the document."""
    rows = drafting.in_order(inputs.rated.lines)
    return {
        line.id: msgspec.json.encode({**msgspec.to_builtins(row), "month": row.month or inputs.month})
        for line, row in zip(invoice.lines, rows, strict=True)
    }


def _draft(connection: Connection, args: Args) -> Draft:
    """Raises InvoiceUnknown, or CommandRefused for what is issued already."""
    name = name_of(args, "draft", BOOKING_MOST)
    found = tables.read_draft(connection, name)
    if found is not None and found.customer == text_of(args, "customer"):
        return found
    issued = tables.read_issued(connection, id=name) or tables.read_issued(connection, number=name)
    if issued:
        raise CommandRefused(
            f"{issued[0].number} is issued and stays; what is wrong on it is credited: entrepot invoice credit-note "
            f"{issued[0].number}"
        )
    raise InvoiceUnknown(f"there is no draft {name!r}; entrepot invoice list shows them")


def _rated(args: Args, customer: str, month: str) -> Rated:
    try:
        found = rating.from_bytes(text_of(args, "rated").encode())
    except msgspec.MsgspecError as error:
        raise CommandRefused(f"rated is not what rating gives: {error}") from None
    if found.customer != customer or found.starts_on[:7] != month:
        raise CommandRefused(f"rated is {found.starts_on[:7]} of {found.customer}, not {month} of {customer}")
    return found


def _document_rate(args: Args) -> DocumentRate | None:
    said = text_of(args, "rate", "")
    if not said:
        return None
    currency, source = text_of(args, "rate_currency"), name_of(args, "rate_source", BOOKING_MOST)
    if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,12})?", said) or not Decimal(said):
        raise CommandRefused(f"rate is a number above 0, units of {currency} for one of the invoice's, not {said!r}")
    return DocumentRate(currency=currency, rate=Decimal(said), source=source)


def of_draft(found: Draft) -> Facts:
    """A draft in a list."""
    facts, totals = found.invoice.facts, found.invoice.totals
    return {
        "id": found.id, "number": "", "state": "draft", "marks": [], "kind": facts.kind, "purpose": found.purpose,
        "customer": found.customer, "month": found.month, "currency": facts.currency, "issued_on": None, "due_on": None,
        "total": show_minor(totals.with_tax_minor, facts.currency),
        "payable": show_minor(totals.payable_minor, facts.currency),
        "open": show_minor(totals.payable_minor, facts.currency), "lines": len(found.invoice.lines),
        "sha256": digest(found.invoice), "made_at": show(found.made_at),
    }  # fmt: skip


def of_issued(found: Issued, on: date) -> Facts:
    """An issued document in a list, with its state on a day."""
    standing, currency = found.standing, found.currency
    amounts = {
        "total": standing.total_minor, "payable": standing.payable_minor, "paid": standing.paid_minor,
        "credited": standing.credited_minor, "written_off": standing.written_off_minor,
        "open": 0 if found.kind == "381" else standing.open_minor,
    }  # fmt: skip
    return {
        "id": found.id, "number": found.number, "kind": found.kind, "purpose": found.purpose,
        "state": "issued" if found.kind == "381" else state_of(standing),
        "marks": [] if found.kind == "381" else list(marks_of(standing, on)),
        "customer": found.customer, "month": found.month, "currency": currency, "credits": found.credits or None,
        "issued_on": str(found.issued_on), "due_on": str(standing.due_on), "sha256": found.sha256,
        **{name: show_minor(minor, currency) for name, minor in amounts.items()},
    }  # fmt: skip


def _day(at: Instant) -> date:
    return to_datetime(at).date()


def keep_file(engine: Engine, folder: Folder, args: Args, now: Instant) -> Facts:
    """{number, format, base64}: keep a file of an issued document as it was first handed out."""
    number, format = text_of(args, "number"), name_of(args, "format", BOOKING_MOST)
    try:
        data = base64.b64decode(text_of(args, "base64"), validate=True)
    except ValueError:
        raise CommandRefused("base64 is not base64") from None
    with write(engine) as connection:
        tables.document_of(connection, number)
        kept = tables.keep_file(connection, number, format, data, now)
    return {"number": number, "format": format, "kept": kept}


COMMANDS: dict[str, Callable[[Engine, Folder, Args, Instant], Facts]] = {
    "invoice.draft": draft,
    "invoice.draft_top_up": draft_top_up,
    "invoice.issue": issue,
    "invoice.discard": discard,
    "invoice.keep_file": keep_file,
}
