"""What takes an issued invoice back, in whole or in part: credit notes, and the mark of a dispute."""

import re
from collections.abc import Callable, Mapping
from datetime import date
from decimal import Decimal
from fractions import Fraction

import msgspec
from msgspec.structs import replace
from sqlalchemy import Connection, Engine, func, select

from entrepot.billing import crediting, drafting, tables
from entrepot.billing.crediting import CreditNote, CreditTooLarge, Right
from entrepot.billing.document.canonical import digest
from entrepot.billing.drafting import by_product, units_of
from entrepot.billing.inputs import UsageInputs, usage_from_bytes
from entrepot.billing.invoice import Invoice, numbered
from entrepot.billing.tables import Draft, InvoiceUnknown, Issued, Leaves
from entrepot.catalog import parties
from entrepot.catalog.tables import read_operator
from entrepot.keeper.arguments import BOOKING_MOST, Args, CommandRefused, Facts, name_of, text_of
from entrepot.keeper.bills import burning
from entrepot.keeper.bills.invoices import book, of_issued, rounding_most
from entrepot.keeper.bills.standing import as_left, notes_on
from entrepot.keeper.changing import changing
from entrepot.kernel.instants import Instant, to_datetime
from entrepot.kernel.money import round_half_away, show_minor, split
from entrepot.ledger import grant_tables, postings
from entrepot.ledger.postings import Event, tax_name
from entrepot.ledger.transfer import TransactionConflict
from entrepot.rating.correction import Thing, thing_of
from entrepot.rating.line import product_of
from entrepot.storage.folder import Folder

REASON_MOST = 400
_NUMBER = r"-?[0-9]{1,18}(\.[0-9]{1,18})?"


def credit_note(engine: Engine, folder: Folder, args: Args, now: Instant) -> Facts:
    """{customer, number, lines | all, reason, id, dry_run}: credit an invoice line against line, once per id. `lines`
    is line → {quantity, price?}, as they are right."""
    id, number = name_of(args, "id", BOOKING_MOST), text_of(args, "number")
    reason, wanted = name_of(args, "reason", REASON_MOST), _wanted(args)
    with changing(engine, args, now) as connection:
        of = invoice_of(connection, args)
        before = tables.read_issued(connection, id=_name(id))
        if before:
            _same(connection, before[0], number, args)
            return {**of_issued(before[0], _day(now)), "known": True, "dry_run": bool(args.get("dry_run"))}
        invoice = tables.document_of(connection, number)
        lines = crediting.standing(invoice, notes_on(connection, of.customer, number))
        bought = of.purpose == "top-up"
        note = crediting.credit(invoice, lines, wanted, on=_day(now), reason=reason, purchase=bought)
        _may_be_credited(of, note, whole=wanted is None)
        if wanted is not None and not bought:
            _not_corrected(connection, of, note)
        series = parties.seller(read_operator(connection)).invoice.credit_notes
        made = numbered(note.invoice, tables.next_number(connection, series, _day(now).year), _day(now), _day(now))
        kept = Draft(
            id=_name(id), purpose="credit note", customer=of.customer, month=of.month, invoice=note.invoice,
            inputs=_asked(args), made_at=now,
        )  # fmt: skip
        about = {line: msgspec.json.encode(each) for line, each in note.about.items()}
        leaves = _post(connection, of, invoice, replace(note, invoice=made), now)
        tables.put_issued(connection, kept, made, now, about, leaves=leaves)
        (issued,) = tables.read_issued(connection, number=made.facts.number)
        (after,) = tables.read_issued(connection, number=number)
    return {
        **of_issued(issued, _day(now)), "known": False, "dry_run": bool(args.get("dry_run")),
        "credited": of_issued(after, _day(now)),
    }  # fmt: skip


def dispute(engine: Engine, folder: Folder, args: Args, now: Instant) -> Facts:
    """{customer, number, reason, end?, dry_run}: mark an invoice as disputed, or (`end`) no longer."""
    number, disputed = text_of(args, "number"), not args.get("end")
    reason = name_of(args, "reason", REASON_MOST, "" if not disputed else None)
    with changing(engine, args, now) as connection:
        of = invoice_of(connection, args)
        changed = of.standing.disputed != disputed
        if changed:
            rows = tables.marks
            last = connection.execute(select(func.max(rows.c.seq)).where(rows.c.number == number)).scalar() or 0
            connection.execute(rows.insert().values(
                number=number, seq=last + 1, disputed=int(disputed), reason=reason, at=now
            ))  # fmt: skip
        (after,) = tables.read_issued(connection, number=number)
    return {**of_issued(after, _day(now)), "changed": changed, "dry_run": bool(args.get("dry_run"))}


def _may_be_credited(of: Issued, note: CreditNote, *, whole: bool) -> None:
    """Raises CommandRefused where the accounts have given the invoice up already, or where no line would be left and
    nobody said so: only then its usage is free for a new invoice."""
    standing, number = of.standing, of.number
    if standing.written_off_minor:
        lost = f"{show_minor(standing.written_off_minor, of.currency)} {of.currency}"
        raise CommandRefused(
            f"{lost} of {number} are written off, with the tax in them: what is given up is not credited as well"
        )
    if note.whole and not whole:
        raise CommandRefused(f"that credits all that is left of {number}: say so with --all")


def _not_corrected(connection: Connection, of: Issued, note: CreditNote) -> None:
    """Raises CreditTooLarge where a later invoice has taken off as a correction what would be credited: money goes back
    once."""
    credited: dict[str, int] = {}
    for line in note.invoice.lines:
        credits = note.about[line.id].credits
        credited[credits] = credited.get(credits, 0) + line.net_minor
    rows = tables.billed(connection, of.customer)
    stands: dict[tuple[str, Thing], int] = {}
    takes: dict[tuple[str, Thing], int] = {}
    named: dict[tuple[str, Thing], set[str]] = {}
    for row, rated in zip(rows, as_left(connection, of.customer, rows)[0], strict=True):
        place, amount = (row.month, thing_of(rated)), rated.net_minor(of.currency)
        stands[place] = stands.get(place, 0) + amount
        if row.number == of.number:
            takes[place] = takes.get(place, 0) + credited.get(row.line, 0)
        elif amount < 0:
            named.setdefault(place, set()).add(row.number)
    for place, amount in takes.items():
        if amount > max(0, stands[place]) and (numbers := named.get(place)):
            would, left = (f"{show_minor(each, of.currency)} {of.currency}" for each in (amount, stands[place]))
            raise CreditTooLarge(
                f"{would} would be credited of {' '.join(filter(None, place[1][:3]))} of {place[0]} on {of.number}, of "
                f"which {left} is left: {' and '.join(sorted(numbers))} has taken the rest off as a correction already"
            )


def _post(connection: Connection, of: Issued, invoice: Invoice, note: CreditNote, now: Instant) -> Leaves:
    """What the accounts say of a credit note, and what it leaves. Of an invoice that credit paid, what is given back
    burns no grant; one that is credited in full at once leaves the usage to a new invoice, which the same credit pays.
    Credited in parts, all of it went back: that usage was given up."""
    totals, currency = note.invoice.totals, of.currency
    event = Event(
        id=note.invoice.facts.number, customer=of.customer, currency=currency, at=now,
        about=f"credit note {note.invoice.facts.number} on {of.number}, sha256 {digest(note.invoice)}",
    )  # fmt: skip
    if of.purpose == "top-up":
        _refunded(connection, of, note)
        return "nothing" if note.whole else "part"
    inputs = usage_from_bytes(tables.inputs_of(connection, of.number))
    now_given, ever = _by_product(invoice, inputs, note.net), by_product(inputs.rated.lines, currency)[1]
    earlier = len(notes_on(connection, of.customer, of.number))
    if inputs.burned is None:
        taxes, back, asked = _taxes_of(inputs, note.invoice), 0, totals.with_tax_minor
        free = sum(ever.values()) if note.whole else 0
        revenue = {p: now_given.get(p, 0) - (ever[p] if note.whole else 0) for p in ever}
    else:
        taxes = tax_share(connection, invoice, totals.payable_minor)
        asked, free = totals.payable_minor, 0
        revenue = now_given if not note.whole or earlier else {}
        back = sum(revenue.values())
        if back:
            grant_tables.settle(connection, of.customer, inputs.month, back)
    receivable = min(asked, of.standing.open_minor)
    book(connection, postings.credited(
        event, revenue={p: amount for p, amount in revenue.items() if amount}, unbilled=free, taxes=taxes,
        receivable=units_of(receivable, currency), customer_credit=units_of(asked - receivable, currency), prepaid=back,
        rounding_most=rounding_most(note.invoice, len(ever)),
    ))  # fmt: skip
    if not note.whole:
        return "part"
    return "nothing" if earlier and inputs.burned is not None else "usage"


def _refunded(connection: Connection, of: Issued, note: CreditNote) -> None:
    """The invoice of a purchase of credit is credited when the money has gone back, and not beyond that. Raises
    CommandRefused."""
    payment = of.id.removeprefix(burning.top_up_name(of.customer, ""))
    grants = [each for each in grant_tables.read_grants(connection, of.customer) if each.id == payment]
    gone = sum(each.refunded + each.tax_back for each in grants)
    credited = of.standing.credited_minor + note.invoice.totals.with_tax_minor
    if units_of(credited, of.currency) > gone:
        so_far = f"{show_minor(drafting.minor_of(gone, of.currency), of.currency)} {of.currency}"
        raise CommandRefused(
            f"{of.number} was paid and its credit may be used: book first what went back (entrepot balance refund "
            f"{of.customer} AMOUNT --of {payment} --id ID); {so_far} did so far"
        )


def _by_product(invoice: Invoice, inputs: UsageInputs, net: Mapping[str, int]) -> dict[str, int]:
    """What is credited in ledger units, by the product that each line is about."""
    rows = drafting.in_order(inputs.rated.lines)
    sums: dict[str, int] = {}
    for line, row in zip(invoice.lines, rows, strict=True):
        product = product_of(row)
        sums[product] = sums.get(product, 0) + net.get(line.id, 0)
    return sums


def _taxes_of(inputs: UsageInputs, note: Invoice) -> dict[str, int]:
    """The tax that a credit note gives back, by the account it was booked to."""
    country = inputs.buyer.party.address.country
    return {
        tax_name(country, row.tax.category, row.tax.percent): units_of(row.amount_minor, note.facts.currency)
        for row in note.taxes
        if row.amount_minor
    }


def tax_share(connection: Connection, invoice: Invoice, part_minor: int) -> dict[str, int]:
    """The tax within a part of what an invoice asks for, by account."""
    inputs = usage_from_bytes(tables.inputs_of(connection, invoice.facts.number))
    country, currency = inputs.buyer.party.address.country, invoice.facts.currency
    rows = [row for row in invoice.taxes if row.amount_minor > 0]
    whole = sum(row.amount_minor for row in rows)
    asked = invoice.totals.payable_minor
    if not whole or not asked:
        return {}
    tax = min(whole, asked)  # of a prepaid customer the tax is all that is asked for
    share = round_half_away(Fraction(tax * part_minor, asked))
    parts = split(share, [row.amount_minor for row in rows])
    return {
        tax_name(country, row.tax.category, row.tax.percent): units_of(part, currency)
        for row, part in zip(rows, parts, strict=True)
        if part
    }


def invoice_of(connection: Connection, args: Args) -> Issued:
    """Raises InvoiceUnknown."""
    number = text_of(args, "number")
    found = [each for each in tables.read_issued(connection, number=number) if each.customer == args.get("customer")]
    if not found:
        raise InvoiceUnknown(f"no issued document has the number {number!r}; entrepot invoice list shows them")
    return found[0]


def _wanted(args: Args) -> dict[str, Right] | None:
    """Line → what it should have said; None: all of them nothing."""
    lines = args.get("lines")
    if args.get("all"):
        if lines:
            raise CommandRefused("either lines or all")
        return None
    if not isinstance(lines, Mapping) or not lines:
        raise CommandRefused("say which lines are credited, and what is right: --line 3=QUANTITY, or --all")
    return {str(line): _right(str(line), said) for line, said in lines.items()}


def _right(line: str, said: object) -> Right:
    given = said if isinstance(said, Mapping) else {}
    quantity, price = str(given.get("quantity")), str(given.get("price") or "")
    if not re.fullmatch(_NUMBER, quantity) or (price and not re.fullmatch(_NUMBER, price)):
        raise CommandRefused(f"line {line} is credited with its right quantity, 1200 or 1200@2.50, not {said!r}")
    return Right(quantity=Decimal(quantity), price=Decimal(price) if price else None)


def _asked(args: Args) -> bytes:
    """What was asked for, kept beside the credit note."""
    names = ("number", "lines", "all", "reason")
    return msgspec.json.encode({name: args.get(name) for name in names if args.get(name)}, order="sorted")


def _same(connection: Connection, before: Issued, number: str, args: Args) -> None:
    if before.credits != number or tables.inputs_of(connection, before.number) != _asked(args):
        raise TransactionConflict(
            f"{args['id']!r} credited {before.credits} before with other content ({before.number}); use another id"
        )


def _name(id: str) -> str:
    """Under which a credit note is found again; no draft is called so, whatever its customer is."""
    return f"credit note:{id}"


def _day(at: Instant) -> date:
    return to_datetime(at).date()


COMMANDS: dict[str, Callable[[Engine, Folder, Args, Instant], Facts]] = {
    "invoice.credit_note": credit_note,
    "invoice.dispute": dispute,
}
