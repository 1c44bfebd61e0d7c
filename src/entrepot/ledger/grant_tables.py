"""Grants of balances in the database, with their postings. Takes a connection and opens none.

Paid money comes from cash and a refund goes back there; promotional money comes from `promotional` (contra revenue) and
its unused rest returns there when it expires; the unused rest of paid money that expires is breakage (money-rules §9).
"""

from typing import Any, cast

from msgspec.structs import replace
from sqlalchemy import BigInteger, Column, Connection, ForeignKey, Integer, Row, Table, Text, select, update

from entrepot.kernel.errors import EntrepotError, Fault
from entrepot.kernel.instants import Instant
from entrepot.kernel.instants import show as show_instant
from entrepot.kernel.money import show
from entrepot.ledger.account import Account
from entrepot.ledger.grants import Grant, Kind, RefundTooLarge, attribute, refund
from entrepot.ledger.tables import BalanceCurrency, accounts, currency_of, post, prepaid
from entrepot.ledger.transfer import Transaction, TransactionConflict, Transfer
from entrepot.storage.database import Amount, metadata

grants = Table(
    "balance_grant", metadata,
    Column("balance", Text, ForeignKey("balance.id"), primary_key=True),
    Column("id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("amount", Amount, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("ends_at", BigInteger, nullable=False),  # 0: never
    Column("created_at", BigInteger, nullable=False),
    Column("used", Amount, nullable=False),
    Column("refunded", Amount, nullable=False),
    Column("expired", Amount, nullable=False),
)  # fmt: skip


class RefundHeld(EntrepotError):
    """The money is unused, but gateways have it in leases."""

    code = "refund_held"
    fault = Fault.CALLER
    retryable = True


def add(conn: Connection, balance: str, currency: str, grant: Grant, *, top_up: bool = False) -> bool:
    """Post a grant once per id and list it: True now, False it was there before with the same content.

    Raises BalanceUnknown, BalanceCurrency, TransferBroken (amount ≤ 0), TransactionConflict.
    """
    _kept_in(conn, balance, currency)
    source = "cash" if grant.kind == "paid" else "promotional"
    words = "top-up" if top_up else f"{grant.kind} grant"
    end = show_instant(grant.ends_at) if grant.ends_at else "never"
    terms = "" if top_up else f", priority {grant.priority}, ends {end}"
    about = f"{words} of {balance} by {show(grant.amount, currency, places=2)} {currency}{terms}"
    move = Transfer(Account(kind=source, currency=currency), prepaid(balance, currency), grant.amount)
    kind = "top-up" if top_up else "grant"
    known = brought_up_to_date(conn, balance)
    whole = Transaction(id=f"{kind}/{grant.id}", kind=kind, at=grant.created_at, transfers=(move,), about=about)
    if not post(conn, whole):
        return False
    if any(each.id == grant.id for each in known):
        raise TransactionConflict(f"{balance} has a grant or top-up {grant.id!r} already; use another id")
    conn.execute(grants.insert().values(
        balance=balance, id=grant.id, kind=grant.kind, amount=grant.amount, priority=grant.priority,
        ends_at=grant.ends_at, created_at=grant.created_at, used=0, refunded=0, expired=0,
    ))  # fmt: skip
    return True


def give_back(  # noqa: PLR0917  the facts of one posting
    conn: Connection, balance: str, currency: str, amount: int, id: str, at: Instant, *, free: int, payment: str = ""
) -> bool:
    """Prepaid credit → cash, of what was paid and is unused: `payment`'s, else the newest payments first. Once per id.

    `free`: what of the balance is in no lease. Raises RefundTooLarge, RefundHeld, BalanceCurrency, TransactionConflict.
    """
    _kept_in(conn, balance, currency)
    words = f"{show(amount, currency, places=2)} {currency}"
    about = f"refund of {words} to {balance}" + (f", of {payment}" if payment else "")
    move = Transfer(prepaid(balance, currency), Account(kind="cash", currency=currency), amount)
    known = brought_up_to_date(conn, balance)
    if not post(conn, Transaction(id=f"refund/{id}", kind="refund", at=at, transfers=(move,), about=about)):
        return False
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
    for grant, _ in refund(known, amount, payment):
        _store(conn, balance, grant)
    return True


def expire(conn: Connection, balance: str, currency: str, at: Instant, *, free: int) -> int:
    """Take back the unused rest of grants that have ended, as far as it is in no lease; what still waits, in units."""
    waiting = 0
    for grant in brought_up_to_date(conn, balance):
        if not 0 < grant.ends_at <= at or not grant.left:
            continue
        part = min(grant.left, max(0, free))
        waiting += grant.left - part
        if not part:
            continue
        free -= part
        target = Account(kind="breakage" if grant.kind == "paid" else "promotional", currency=currency)
        move = Transfer(prepaid(balance, currency), target, part)
        about = f"unused rest of {grant.kind} grant {grant.id} of {balance}"
        name = f"expiry/{balance}/{grant.id}/{grant.expired}"
        post(conn, Transaction(id=name, kind="expiry", at=at, transfers=(move,), about=about))
        _store(conn, balance, replace(grant, expired=grant.expired + part))
    return waiting


def ended(conn: Connection, at: Instant) -> list[str]:
    """Balances with a grant that has ended and was not all used, as far as is known without attributing."""
    query = select(grants).where(grants.c.ends_at > 0, grants.c.ends_at <= at).order_by(grants.c.balance)
    return list(dict.fromkeys(row.balance for row in conn.execute(query) if _from_row(row).left))


def read_grants(conn: Connection, balance: str) -> list[Grant]:
    """In burn order, with all usage of the ledger attributed; writes nothing."""
    rows = conn.execute(select(grants).where(grants.c.balance == balance))
    known = [_from_row(row) for row in rows]
    attributed = sum(each.used + each.refunded + each.expired for each in known)
    account = prepaid(balance, currency_of(conn, balance)).id  # what is used on credit burns no grant
    taken = conn.execute(select(accounts.c.debits).where(accounts.c.id == account)).scalar()
    return attribute(known, max(0, (taken or 0) - attributed))


def made_at(conn: Connection, balance: str, id: str) -> Instant | None:
    """When a grant or top-up of this id was made; None: there is none."""
    query = select(grants.c.created_at).where(grants.c.balance == balance, grants.c.id == id)
    found: Instant | None = conn.execute(query).scalar()
    return found


def brought_up_to_date(conn: Connection, balance: str) -> list[Grant]:
    """As `read_grants`, and written down: called before the set of grants, or what is left of one, changes."""
    found = read_grants(conn, balance)
    for grant in found:
        _store(conn, balance, grant)
    return found


def _kept_in(conn: Connection, balance: str, currency: str) -> None:
    kept_in = currency_of(conn, balance)
    if kept_in != currency:
        raise BalanceCurrency(f"balance {balance!r} is kept in {kept_in}, not in {currency}")


def _store(conn: Connection, balance: str, grant: Grant) -> None:
    where = (grants.c.balance == balance, grants.c.id == grant.id)
    values = {"used": grant.used, "refunded": grant.refunded, "expired": grant.expired}
    conn.execute(update(grants).where(*where).values(values))


def _from_row(row: Row[Any]) -> Grant:
    return Grant(
        id=row.id, kind=cast("Kind", row.kind), amount=row.amount, priority=row.priority, ends_at=row.ends_at,
        created_at=row.created_at, used=row.used, refunded=row.refunded, expired=row.expired,
    )  # fmt: skip
