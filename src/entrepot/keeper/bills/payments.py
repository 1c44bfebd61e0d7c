"""Payments of invoices: money of a customer, what of it pays what, and what goes back to it. Once per id."""

from collections.abc import Callable
from datetime import date

from msgspec.structs import replace
from sqlalchemy import Connection, Engine

from entrepot.billing import payment_tables, tables
from entrepot.billing.drafting import minor_of, units_of
from entrepot.billing.payment_tables import Payment, Source
from entrepot.billing.states import state_of
from entrepot.billing.tables import Issued
from entrepot.catalog.issues import did_you_mean
from entrepot.keeper.arguments import BOOKING_MOST, Args, CommandRefused, Facts, amount_of, name_of, text_of
from entrepot.keeper.bills.losses import recover
from entrepot.keeper.changing import changing
from entrepot.keeper.money import customer_of
from entrepot.kernel.errors import EntrepotError, Fault
from entrepot.kernel.instants import Instant, show, to_datetime
from entrepot.kernel.money import minor_digits, show_minor
from entrepot.ledger import postings
from entrepot.ledger.account import Account
from entrepot.ledger.postings import Event
from entrepot.ledger.tables import account_of, post
from entrepot.storage.folder import Folder


class PaymentRefused(EntrepotError):
    """A payment that cannot be: of nothing, for a document that asks for nothing, beyond the credit there is."""

    code = "payment_refused"
    fault = Fault.CALLER


def record(engine: Engine, folder: Folder, args: Args, now: Instant) -> Facts:
    """{customer, amount, currency?, invoice?, source?, paid_on?, reference?, id, dry_run}: money that came in, or
    (`source` credit) what the customer has with us. It pays the invoice named, else the open ones, oldest first, then
    what was written off; what is left over is the customer's credit."""
    customer, id = text_of(args, "customer"), name_of(args, "id", BOOKING_MOST)
    said = text_of(args, "source", "bank")
    if said not in ("bank", "credit"):
        raise CommandRefused(f'source is "bank" or "credit", not {said!r}')
    with changing(engine, args, now) as connection:
        payment = _payment(connection, args, now, "credit" if said == "credit" else "bank")
        known = payment_tables.recorded(connection, payment)
        if known:
            parts = payment_tables.read_payments(connection, id=id)[0][1]
        else:
            claims = _claims(connection, payment)
            parts = {each.number: part for each, part in claims}
            lost = {each.number for each, _ in claims if not each.standing.open_minor}
            _post(connection, payment, claims, now)
            payment_tables.put_payment(connection, payment, parts, now, recovered=lost)
        pays = [_paid(each, parts[each.number]) for number in parts for each in _issued(connection, number)]
        credit = customer_credit(connection, customer, payment.currency)
    return {
        "customer": customer, "id": id, "amount": show_minor(payment.amount_minor, payment.currency),
        "currency": payment.currency, "source": payment.source, "pays": pays,
        "left_over": show_minor(payment.amount_minor - sum(parts.values()), payment.currency),
        "customer_credit": show_minor(credit, payment.currency), "known": known, "dry_run": bool(args.get("dry_run")),
    }  # fmt: skip


def refund(engine: Engine, folder: Folder, args: Args, now: Instant) -> Facts:
    """{customer, amount, currency?, paid_on?, reference?, id, dry_run}: what a customer has with us, of an invoice paid
    too much or credited after it was paid, went back as money."""
    with changing(engine, args, now) as connection:
        payment = _payment(connection, args, now, "refund")
        known = payment_tables.recorded(connection, payment)
        if not known:
            _there(connection, payment)
            post(connection, postings.credit_refunded(
                _event(payment, now, f"credit of {payment.customer} paid back"),
                amount=units_of(payment.amount_minor, payment.currency),
            ))  # fmt: skip
            payment_tables.put_payment(connection, payment, {}, now)
        credit = customer_credit(connection, payment.customer, payment.currency)
    return {
        "customer": payment.customer, "id": payment.id, "currency": payment.currency,
        "amount": show_minor(payment.amount_minor, payment.currency),
        "customer_credit": show_minor(credit, payment.currency), "known": known, "dry_run": bool(args.get("dry_run")),
    }  # fmt: skip


def customer_credit(connection: Connection, customer: str, currency: str) -> int:
    """What a customer has with us in minor units: paid too much, or credited after it was paid."""
    account = Account(kind="customer credit", currency=currency, party=customer)
    return minor_of(account_of(connection, account), currency)


def _payment(connection: Connection, args: Args, now: Instant, source: Source) -> Payment:
    customer, id = text_of(args, "customer"), name_of(args, "id", BOOKING_MOST)
    kept_in = customer_of(connection, customer).currency
    currency = text_of(args, "currency", kept_in)
    if currency != kept_in:
        raise CommandRefused(f"{customer} is billed in {kept_in}, not in {currency}")
    units = amount_of(args, currency, "a payment")
    if units != units_of(minor_of(units, currency), currency):
        raise CommandRefused(f"a payment in {currency} has at most {minor_digits(currency)} digits after the point")
    return Payment(
        id=id, customer=customer, currency=currency, amount_minor=minor_of(units, currency), source=source,
        paid_on=_paid_on(args, now, before=payment_tables.read_payments(connection, id=id)),
        reference=name_of(args, "reference", BOOKING_MOST, ""), wanted=name_of(args, "invoice", BOOKING_MOST, ""),
    )  # fmt: skip


def _paid_on(args: Args, now: Instant, before: list[tuple[Payment, dict[str, int], Instant]]) -> date:
    """The day given, else today; sent again without one, the day of then."""
    said, today = text_of(args, "paid_on", ""), to_datetime(now).date()
    if not said:
        return before[0][0].paid_on if before else today
    try:
        day = date.fromisoformat(said)
    except ValueError:
        raise CommandRefused(f"paid_on is a date, 2026-12-14, not {said!r}") from None
    if day > today:
        raise CommandRefused(f"paid_on {day} has not come: a payment is recorded when it is there")
    return day


def _there(connection: Connection, payment: Payment) -> None:
    """Raises PaymentRefused where the customer has less credit than that."""
    have = customer_credit(connection, payment.customer, payment.currency)
    if payment.amount_minor > have:
        raise PaymentRefused(
            f"{payment.customer} has {show_minor(have, payment.currency)} {payment.currency} of credit, which does "
            f"not reach for {show_minor(payment.amount_minor, payment.currency)}"
        )


def _claims(connection: Connection, payment: Payment) -> list[tuple[Issued, int]]:
    """What of the payment pays which document, in minor units: what is open, else what is written off."""
    if payment.source == "credit":
        _there(connection, payment)
    theirs = tables.read_issued(connection, customer=payment.customer)
    if payment.wanted:
        wanted = [_asked_for(theirs, payment)]
    else:
        wanted = [each for each in theirs if each.kind != "381" and _owed(each)]
        wanted.sort(key=lambda each: (
            not each.standing.open_minor, each.standing.due_on, each.issued_at, each.number
        ))  # fmt: skip
    left, claims = payment.amount_minor, []
    for each in wanted:
        part = min(left, _owed(each))
        left -= part
        if part:
            claims.append((each, part))
    if left and payment.source == "credit":
        raise PaymentRefused(
            f"{show_minor(left, payment.currency)} {payment.currency} of it would pay nothing: credit is used for what "
            "is open, at most that much"
        )
    return claims


def _owed(found: Issued) -> int:
    return found.standing.open_minor or found.standing.written_off_minor


def _asked_for(theirs: list[Issued], payment: Payment) -> Issued:
    numbers = [each.number for each in theirs]
    if payment.wanted not in numbers:
        hint = did_you_mean(payment.wanted, [each.number for each in theirs if each.kind != "381" and _owed(each)])
        raise PaymentRefused(f"{payment.customer} has no invoice {payment.wanted!r}.{hint}")
    found = theirs[numbers.index(payment.wanted)]
    if found.kind == "381":
        raise PaymentRefused(f"{found.number} is a credit note: nothing is to be paid of it")
    if not _owed(found):
        raise PaymentRefused(
            f"{found.number} is {state_of(found.standing)}: nothing of it is open; without --invoice the payment goes "
            "to what is, and the rest is credit"
        )
    return found


def _post(connection: Connection, payment: Payment, claims: list[tuple[Issued, int]], now: Instant) -> None:
    for each, part in claims:
        if not each.standing.open_minor:
            again = _event(payment, now, f"{each.number} of {payment.customer} paid after it was written off")
            recover(connection, each, part, replace(again, id=f"{payment.id}/{each.number}"))
    numbers = ", ".join(each.number for each, _ in claims)
    event = _event(payment, now, f"payment {payment.id} of {payment.customer} for {numbers or 'credit'}")
    due = units_of(sum(part for _, part in claims), payment.currency)
    amount = units_of(payment.amount_minor, payment.currency)
    if payment.source == "credit":
        post(connection, postings.credit_applied(event, amount=amount))
    else:
        post(connection, postings.paid(event, received=amount, due=due))


def _event(payment: Payment, now: Instant, about: str) -> Event:
    return Event(id=payment.id, customer=payment.customer, currency=payment.currency, at=now, about=about)


def _issued(connection: Connection, number: str) -> list[Issued]:
    return tables.read_issued(connection, number=number)


def _paid(found: Issued, part: int) -> Facts:
    return {
        "number": found.number, "amount": show_minor(part, found.currency), "state": state_of(found.standing),
        "open": show_minor(found.standing.open_minor, found.currency),
        "written_off": show_minor(found.standing.written_off_minor, found.currency),
    }  # fmt: skip


def in_list(payment: Payment, parts: dict[str, int], recorded_at: Instant) -> Facts:
    """A payment in a list, or what went back."""
    left_over = 0 if payment.source == "refund" else payment.amount_minor - sum(parts.values())
    return {
        "id": payment.id, "customer": payment.customer, "currency": payment.currency, "source": payment.source,
        "amount": show_minor(payment.amount_minor, payment.currency), "paid_on": str(payment.paid_on),
        "reference": payment.reference,
        "pays": {number: show_minor(part, payment.currency) for number, part in parts.items()},
        "left_over": show_minor(left_over, payment.currency),
        "recorded_at": show(recorded_at),
    }  # fmt: skip


COMMANDS: dict[str, Callable[[Engine, Folder, Args, Instant], Facts]] = {
    "payment.record": record,
    "payment.refund": refund,
}
