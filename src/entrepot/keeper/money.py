"""The commands that move money: each once per id, however often it is sent; the same id with other content is refused.

`dry_run` does everything and takes it back, so that it says exactly what the command would.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine

from entrepot.catalog.issues import did_you_mean
from entrepot.customers import tables as customer_tables
from entrepot.customers.tables import StoredCustomer
from entrepot.keeper.arguments import (
    BOOKING_MOST,
    Args,
    CommandRefused,
    Facts,
    amount_of,
    end_of,
    exact,
    name_of,
    text_of,
    whole,
)
from entrepot.keeper.bills.tax import bought
from entrepot.keeper.thresholds import after_change
from entrepot.keeper.under_way import OpenCall, held_before
from entrepot.kernel.instants import Instant, show
from entrepot.kernel.money import minor_digits, scale_of
from entrepot.kernel.text import plain
from entrepot.ledger import grant_tables
from entrepot.ledger.grants import PRIORITY, Grant, Kind
from entrepot.ledger.tables import balance_of, owes, prepaid_of
from entrepot.limits.tables import leases_of, outstanding
from entrepot.metering.tables import last_ended
from entrepot.storage.database import write
from entrepot.storage.folder import Folder

_PRIORITY_MOST = 1_000


class _OnlyTried(Exception):
    """Take the transaction back."""


def top_up(engine: Engine, folder: Folder, args: Args, now: Instant) -> Facts:
    """{customer, amount, currency, id, dry_run}: money that came in. Where the customer's purchases are taxed, the tax
    is in it and what is left of it is added to the balance."""
    with _moving(engine, args, now, "a top-up") as (connection, customer, amount, currency, booking):
        net, tax = bought(connection, customer, amount, currency, now)
        at = _after_usage(connection, now)
        posted = grant_tables.top_up(connection, customer, amount, currency, booking, at, net=net, tax=tax)
        facts = _facts(connection, args, posted, currency=currency, amount=amount, moved=net)
        facts |= _purchase(connection, customer, booking, currency)
    return facts


def grant(engine: Engine, folder: Folder, args: Args, now: Instant) -> Facts:
    """{customer, amount, currency?, kind, until?, priority?, id, dry_run}: credit that is given, or paid for with terms
    of its own. Its unused rest is taken back when it ends."""
    said = text_of(args, "kind", "promo")
    if said not in PRIORITY:
        raise CommandRefused(f'kind is "paid" or "promo", not "{plain(said)}"')
    kind: Kind = said
    priority = whole(args, "priority", PRIORITY[kind], most=_PRIORITY_MOST)
    with _moving(engine, args, now, "a grant") as (connection, customer, amount, currency, booking):
        made_at = grant_tables.made_at(connection, customer, booking)
        now = _after_usage(connection, now) if made_at is None else made_at  # 90d, sent again, are days from then
        ends_at = end_of(args.get("until"), now, default=0, name="until")
        net, tax = bought(connection, customer, amount, currency, now) if kind == "paid" else (amount, None)
        given = Grant(
            id=booking, kind=kind, amount=net, priority=priority, ends_at=ends_at, created_at=now,
            **grant_tables.tax_fields(tax),
        )  # fmt: skip
        posted = grant_tables.add(connection, customer, currency, given, tax=tax, received=amount)
        facts = _facts(connection, args, posted, currency=currency, amount=amount, moved=net)
        if kind == "paid":
            facts |= _purchase(connection, customer, booking, currency)
    return {
        **facts, "kind": kind, "priority": priority, "until": show(ends_at) if ends_at else None
    }  # fmt: skip


def refund(engine: Engine, folder: Folder, args: Args, now: Instant) -> Facts:
    """{customer, amount, currency?, of?, id, dry_run}: money that went back, of what was paid and is unused."""
    payment = name_of(args, "of", BOOKING_MOST, "")
    with _moving(engine, args, now, "a refund") as (connection, customer, amount, currency, booking):
        places = minor_digits(currency)
        if amount % 10 ** (scale_of(currency) - places):
            said = f"{exact(amount, currency)} {currency}"
            raise CommandRefused(f"{said} has more than {places} places: give an amount that can be paid back")
        paid_out = grant_tables.give_back(
            connection, customer, currency, amount, booking, now, free=free_of(connection, customer), payment=payment
        )
        facts = _facts(connection, args, paid_out is not None, currency=currency, amount=amount, moved=-amount)
    tax = None if paid_out is None else exact(paid_out - amount, currency)
    return {**facts, "of": payment or None, "tax": tax}


def expire(engine: Engine, now: Instant, calls: list[OpenCall] | None = None) -> list[str]:
    """Take back what has ended and neither a lease nor a call under way may need; the balances where more is to be
    taken. `calls` are those under way; None: all that is leased may be theirs."""
    with write(engine) as connection:
        waiting = []
        stored = customer_tables.read_stored(connection)
        for balance in grant_tables.ended(connection, now):
            left = prepaid_of(connection, balance, lock=True)
            free = free_of(connection, balance)

            def held(end: Instant, name: str = balance, out: int = left - free) -> int:
                return out if calls is None else min(out, held_before(calls, name, end))

            if grant_tables.expire(connection, balance, stored[balance].currency, now, free=free, held=held):
                waiting.append(balance)
            after_change(connection, (balance,), now)
    return waiting


def _after_usage(connection: Connection, now: Instant) -> Instant:
    """When a new grant begins: after every call whose charge is booked, also where a clock was set back. What is booked
    burned the grants before it."""
    return max(now, last_ended(connection) + 1)


def free_of(connection: Connection, balance: str) -> int:
    """What of a balance's prepaid credit is in no lease, in ledger units. Who pays by invoice draws on none of it."""
    left = prepaid_of(connection, balance, lock=True)
    if owes(connection, balance):
        return left
    return left - sum(map(outstanding, leases_of(connection, balance, lock=True).values()))


def customer_of(connection: Connection, customer: str) -> StoredCustomer:
    """Raises CommandRefused, with the name that was probably meant."""
    stored = customer_tables.read_stored(connection)
    if customer not in stored:
        raise CommandRefused(f'there is no customer "{customer}".{did_you_mean(customer, stored)}')
    return stored[customer]


COMMANDS: dict[str, Callable[[Engine, Folder, Args, Instant], Facts]] = {
    "balance.top_up": top_up,
    "balance.grant": grant,
    "balance.refund": refund,
}


@contextmanager
def _moving(engine: Engine, args: Args, now: Instant, what: str) -> Iterator[tuple[Connection, str, int, str, str]]:
    """(connection, customer, amount in ledger units, currency, id) of a movement, in one transaction that a dry run
    takes back. The currency is the balance's; where one is given it has to be that."""
    customer, booking = text_of(args, "customer"), name_of(args, "id", BOOKING_MOST)
    try:
        with write(engine) as connection:
            kept_in = customer_of(connection, customer).currency
            currency = text_of(args, "currency", kept_in)
            scale_of(currency)
            if currency != kept_in:
                raise CommandRefused(f"the balance of {customer} is kept in {kept_in}, not in {currency}")
            pays = customer_tables.read_pays(connection, customer)
            if pays is not None and pays.by == "invoice":
                raise CommandRefused(f"{customer} pays by invoice: it has a credit limit and no balance")
            yield connection, customer, amount_of(args, currency, what), currency, booking
            if args.get("dry_run"):
                raise _OnlyTried  # before anybody is told of it
            after_change(connection, (customer,), now)
    except _OnlyTried:
        return


def _facts(
    connection: Connection, args: Args, posted: bool, *, currency: str, amount: int, moved: int
) -> Facts:
    """`balance` is what is left when all is over: after a dry run as before it. `moved` is added to the balance."""
    customer, dry_run = text_of(args, "customer"), bool(args.get("dry_run"))
    left = balance_of(connection, customer) - (moved if dry_run and posted else 0)
    return {
        "customer": customer, "amount": exact(amount, currency), "currency": currency, "id": args["id"],
        "posted": posted and not dry_run, "known": not posted, "dry_run": dry_run, "balance": exact(left, currency),
    }  # fmt: skip


def _purchase(connection: Connection, customer: str, booking: str, currency: str) -> Facts:
    """What the invoice of a purchase states: `net` may be spent, `rest` is what no net with its tax reaches."""
    bought = next(each for each in grant_tables.purchases(connection, balance=customer) if each.id == booking)
    tax = bought.tax
    return {
        "net": exact(bought.net, currency), "rest": exact(bought.rest, currency),
        "tax": exact(tax.amount if tax else 0, currency), "tax_category": tax.category if tax else None,
        "tax_percent": tax.percent if tax else None, "tax_country": tax.country if tax else None,
    }  # fmt: skip
