"""Grants of balances in the database, with their postings. Takes a connection and opens none.

Paid money comes from cash and a refund goes back there; promotional money comes from `promotional` (contra revenue) and
its unused rest returns there when it ends; the unused rest of paid money that ends is breakage (money-rules §9). What
is used of a grant is not stored: it follows from what calls took (`ledger.attribution`).
"""

from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any, cast

import msgspec
from msgspec.structs import replace
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    ForeignKey,
    Integer,
    Row,
    Table,
    Text,
    or_,
    select,
    update,
)

from entrepot.kernel.errors import EntrepotError, Fault
from entrepot.kernel.instants import HOUR, Instant, day_of
from entrepot.kernel.instants import show as show_instant
from entrepot.kernel.money import minor_digits, scale_of, show
from entrepot.ledger import postings, taken_tables
from entrepot.ledger.attribution import Attribution, burned
from entrepot.ledger.grants import PRIORITY, Grant, Kind, RefundTooLarge, refund
from entrepot.ledger.postings import Event, tax_name
from entrepot.ledger.tables import BalanceCurrency, currency_of, post, posted_before
from entrepot.ledger.transfer import TransactionConflict
from entrepot.storage.database import Amount, metadata

grants = Table(
    "balance_grant", metadata,
    Column("balance", Text, ForeignKey("balance.id"), primary_key=True),
    Column("id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("amount", Amount, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("ends_at", BigInteger, nullable=False, index=True),  # 0: never
    Column("created_at", BigInteger, nullable=False, index=True),
    Column("refunded", Amount, nullable=False),
    Column("expired", Amount, nullable=False),
    Column("closed", Boolean, nullable=False),  # it has ended and nothing is left to be taken back
    Column("received", Amount, nullable=False),  # the money that came in, tax included; 0: it was given
    Column("tax", Amount, nullable=False),
    Column("tax_name", Text, nullable=False),  # of its account; "": none
    Column("tax_back", Amount, nullable=False),
    Column("tax_terms", Text, nullable=False),  # JSON of PurchaseTax; "": none was decided
)  # fmt: skip


class RefundHeld(EntrepotError):
    """The money is unused, but gateways have it in leases."""

    code = "refund_held"
    fault = Fault.CALLER
    retryable = True


class PurchaseTax(msgspec.Struct, frozen=True, kw_only=True):
    """The tax decision of a purchase as its invoice states it, and `amount` in ledger units."""

    country: str
    category: str
    percent: str
    reason: str = ""
    code: str = ""
    amount: int = 0


class Purchase(msgspec.Struct, frozen=True, kw_only=True):
    """Credit that was paid for, as its own invoice says it. Amounts in ledger units: received = net + tax + rest, where
    `rest` is the cent that no net with its tax reaches, now customer credit."""

    balance: str
    id: str
    currency: str
    at: Instant
    received: int
    net: int
    tax: PurchaseTax | None

    @property
    def rest(self) -> int:
        return self.received - self.net - (self.tax.amount if self.tax else 0)


def add(
    conn: Connection, balance: str, currency: str, grant: Grant, *,
    top_up: bool = False, tax: PurchaseTax | None = None, received: int = 0,
) -> bool:  # fmt: skip
    """Post a grant once per id and list it: True now, False it was there before with the same content.

    `received` is what came in for a paid one, `grant.amount` and tax in it; 0: the amount itself. Sent again it is the
    same grant whatever tax is decided by now. Raises BalanceUnknown, BalanceCurrency, TransferBroken (amount ≤ 0),
    TransactionConflict.
    """
    _kept_in(conn, balance, currency)
    paid = grant.kind == "paid"
    received = (received or grant.amount) if paid else 0
    words = "top-up" if top_up else f"{grant.kind} grant"
    end = show_instant(grant.ends_at) if grant.ends_at else "never"
    terms = "" if top_up else f", priority {grant.priority}, ends {end}"
    about = f"{words} of {balance} by {show(received or grant.amount, currency, places=2)} {currency}{terms}"
    event = Event(id=grant.id, customer=balance, currency=currency, at=grant.created_at, about=about)
    kind = "top-up" if top_up else "grant"
    if posted_before(conn, f"{kind}/{grant.id}", about):
        return False
    if made_at(conn, balance, grant.id) is not None:
        raise TransactionConflict(f"{balance} has a grant or top-up {grant.id!r} already; use another id")
    if paid:
        taxes = {grant.tax_name: grant.tax} if grant.tax else {}
        post(conn, postings.topped_up(event, received=received, net=grant.amount, taxes=taxes, kind=kind))
    else:
        post(conn, postings.granted(event, amount=grant.amount))
    conn.execute(grants.insert().values(
        balance=balance, id=grant.id, kind=grant.kind, amount=grant.amount, priority=grant.priority,
        ends_at=grant.ends_at, created_at=grant.created_at, refunded=0, expired=0, closed=False, received=received,
        tax=grant.tax, tax_name=grant.tax_name, tax_back=0,
        tax_terms=msgspec.json.encode(tax).decode() if tax is not None else "",
    ))  # fmt: skip
    return True


def tax_fields(tax: PurchaseTax | None) -> dict[str, Any]:
    """What a grant keeps of the tax that was paid with it."""
    if tax is None or not tax.amount:
        return {}
    return {"tax": tax.amount, "tax_name": tax_name(tax.country, tax.category, Decimal(tax.percent))}


def top_up(  # noqa: PLR0917  the facts of one payment
    conn: Connection, balance: str, received: int, currency: str, id: str, at: Instant, *, net: int = 0,
    tax: PurchaseTax | None = None,
) -> bool:  # fmt: skip
    """As `add`, of a payment without terms: all of `received` may be spent, or `net` where tax is in it."""
    grant = Grant(
        id=id, kind="paid", amount=net or received, priority=PRIORITY["paid"], ends_at=0, created_at=at,
        **tax_fields(tax),
    )  # fmt: skip
    return add(conn, balance, currency, grant, top_up=True, tax=tax, received=received)


def give_back(  # noqa: PLR0917  the facts of one posting
    conn: Connection, balance: str, currency: str, amount: int, id: str, at: Instant, *, free: int, payment: str = ""
) -> int | None:
    """Prepaid credit → cash, of what was paid and is unused: `payment`'s, else the newest payments first, each with its
    share of the tax. Once per id: the money that goes back; None: it was posted before with the same content.

    `free`: what of the balance is in no lease. Raises RefundTooLarge, RefundHeld, BalanceCurrency, TransactionConflict.
    """
    _kept_in(conn, balance, currency)
    words = f"{show(amount, currency, places=2)} {currency}"
    about = f"refund of {words} to {balance}" + (f", of {payment}" if payment else "")
    event = Event(id=id, customer=balance, currency=currency, at=at, about=about)
    if posted_before(conn, f"refund/{id}", about):
        return None
    known = read_grants(conn, balance)
    if payment and not any(each.id == payment and each.kind == "paid" for each in known):
        raise RefundTooLarge(f"no payment of {balance} has the id {payment!r}; entrepot balance show {balance}")
    paid = sum(each.left for each in known if each.kind == "paid" and payment in ("", each.id))
    if amount > paid:
        left = f"{show(paid, currency, places=2)} {currency}"
        what = f"of {payment}" if payment else f"of what {balance} paid"
        raise RefundTooLarge(f"{words} is more than is unused {what}: {left} is left")
    if amount > free:
        raise RefundHeld(
            f"{words} is unused, but only {show(max(0, free), currency, places=2)} {currency} of it is not set aside "
            f"for calls; repeat the command when they have ended, or suspend {balance} first"
        )
    before = {each.id: each for each in known}
    parts = refund(known, amount, payment, minor=10 ** (scale_of(currency) - minor_digits(currency)))
    taxes: dict[str, int] = {}
    for grant, _ in parts:
        if back := grant.tax_back - before[grant.id].tax_back:
            taxes[grant.tax_name] = taxes.get(grant.tax_name, 0) + back
    post(conn, postings.refunded(event, net=amount, taxes=taxes))
    for grant, _ in parts:
        _store(conn, balance, grant)
    return amount + sum(taxes.values())


def expire(
    conn: Connection, balance: str, currency: str, at: Instant, *, free: int, held: Callable[[Instant], int]
) -> int:
    """Take back the unused rest of grants that have ended; what still waits, in ledger units.

    Left alone is what no lease may lose (`free`: the rest of the balance), and what calls under way may still burn:
    `held(end)` is the holds of those that were admitted before it.
    """
    waiting = 0
    for grant in read_grants(conn, balance):
        if not 0 < grant.ends_at <= at:
            continue
        part = max(0, min(grant.left - held(grant.ends_at), free))
        if grant.left == part:
            where = (grants.c.balance == balance, grants.c.id == grant.id)
            conn.execute(update(grants).where(*where).values(closed=True))
        waiting += grant.left - part
        if not part:
            continue
        free -= part
        about = f"unused rest of {grant.kind} grant {grant.id} of {balance}"
        event = Event(
            id=f"{balance}/{grant.id}/{grant.expired}", customer=balance, currency=currency, at=at, about=about
        )  # fmt: skip
        post(conn, postings.expired(event, amount=part, paid=grant.kind == "paid"))
        _store(conn, balance, replace(grant, expired=grant.expired + part))
    return waiting


def ended(conn: Connection, at: Instant) -> list[str]:
    """Balances with a grant that has ended by then, and of which something may be left to take back."""
    late = (grants.c.ends_at > 0) & (grants.c.ends_at <= at) & grants.c.closed.is_(False)
    return list(conn.execute(select(grants.c.balance).where(late).distinct().order_by(grants.c.balance)).scalars())


def read_grants(conn: Connection, balance: str) -> list[Grant]:
    """In burn order, with what usage has burned of each."""
    known = _known(conn, balance)
    used = burned(known, taken_tables.taken_of(conn, balance)).used()
    return sorted((replace(each, used=used.get(each.id, 0)) for each in known), key=lambda each: each.order)


def all_grants(conn: Connection) -> dict[str, list[Grant]]:
    """By balance, without what usage has burned of them."""
    found: dict[str, list[Grant]] = {}
    for row in conn.execute(select(grants).order_by(grants.c.balance, grants.c.id)):
        found.setdefault(row.balance, []).append(_from_row(row))
    return found


def attribution(conn: Connection, balance: str) -> Attribution:
    """What each month burned of each grant."""
    return burned(_known(conn, balance), taken_tables.taken_of(conn, balance))


def settle(conn: Connection, balance: str, month: str, amount: int) -> None:
    """Calls of this month took `amount` too much, and it has returned to the balance: what they burned last is theirs
    again. Whoever posts it (`postings.settled`) calls this in the same transaction."""
    taken_tables.returned(conn, balance, month, amount)
    conn.execute(update(grants).where(grants.c.balance == balance).values(closed=False))  # a grant may have more left


def cuts_of(conn: Connection, hours: Iterable[tuple[str, Instant]]) -> dict[str, list[Instant]]:
    """By balance, the instants at which its grants change within the days of these (balance, hour)."""
    names = {name for name, _ in hours}
    if not names:
        return {}
    first, last = day_of(min(at for _, at in hours)), max(at for _, at in hours) + HOUR
    query = select(grants.c.balance, grants.c.created_at, grants.c.ends_at).where(or_(
        grants.c.created_at.between(first, last), grants.c.ends_at.between(first, last)
    ))  # fmt: skip
    found: dict[str, list[Instant]] = {}
    for row in conn.execute(query):
        if row.balance in names:
            found.setdefault(row.balance, []).extend(at for at in (row.created_at, row.ends_at) if at)
    return found


def made_at(conn: Connection, balance: str, id: str) -> Instant | None:
    """When a grant or top-up of this id was made; None: there is none."""
    query = select(grants.c.created_at).where(grants.c.balance == balance, grants.c.id == id)
    found: Instant | None = conn.execute(query).scalar()
    return found


def purchases(conn: Connection, *, balance: str = "", from_: Instant = 0, until: Instant = 1 << 62) -> list[Purchase]:
    """Credit that was paid for in [from_, until), in the order of its payments: what its own invoices say."""
    query = select(grants).where(grants.c.kind == "paid", grants.c.created_at >= from_, grants.c.created_at < until)
    if balance:
        query = query.where(grants.c.balance == balance)
    rows = conn.execute(query.order_by(grants.c.created_at, grants.c.balance, grants.c.id)).all()
    return [
        Purchase(
            balance=row.balance, id=row.id, currency=currency_of(conn, row.balance), at=row.created_at,
            received=row.received, net=row.amount,
            tax=msgspec.json.decode(row.tax_terms, type=PurchaseTax) if row.tax_terms else None,
        )
        for row in rows
    ]  # fmt: skip


def _kept_in(conn: Connection, balance: str, currency: str) -> None:
    kept_in = currency_of(conn, balance)
    if kept_in != currency:
        raise BalanceCurrency(f"balance {balance!r} is kept in {kept_in}, not in {currency}")


def _known(conn: Connection, balance: str) -> list[Grant]:
    return [_from_row(row) for row in conn.execute(select(grants).where(grants.c.balance == balance))]


def _store(conn: Connection, balance: str, grant: Grant) -> None:
    where = (grants.c.balance == balance, grants.c.id == grant.id)
    values = {"refunded": grant.refunded, "expired": grant.expired, "tax_back": grant.tax_back}
    conn.execute(update(grants).where(*where).values(values))


def _from_row(row: Row[Any]) -> Grant:
    return Grant(
        id=row.id, kind=cast("Kind", row.kind), amount=row.amount, priority=row.priority, ends_at=row.ends_at,
        created_at=row.created_at, refunded=row.refunded, expired=row.expired, tax=row.tax, tax_name=row.tax_name,
        tax_back=row.tax_back,
    )  # fmt: skip
