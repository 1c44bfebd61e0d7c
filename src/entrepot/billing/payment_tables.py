"""Payments, and what each of them pays, in the database. Takes a connection and opens none.

A payment is recorded once under its id. What no invoice took of it is the customer's credit; paying an invoice out of
that credit is a payment too, with `credit` as its source. Amounts are integers in the minor unit of their currency.
"""

import hashlib
from collections.abc import Container, Mapping
from datetime import date
from typing import Literal, cast

import msgspec
from sqlalchemy import BigInteger, Column, Connection, ForeignKey, Integer, LargeBinary, Table, Text, func, select

from entrepot.kernel.errors import EntrepotError, Fault
from entrepot.kernel.instants import Instant
from entrepot.storage.database import Amount, append_only, metadata

#: Where the money came from; `refund`: it is the customer's credit, and went back.
Source = Literal["bank", "credit", "refund"]

payments = Table(
    "payment", metadata,
    Column("id", Text, primary_key=True),
    Column("seq", Integer, nullable=False, unique=True),
    Column("customer", Text, nullable=False, index=True),
    Column("currency", Text, nullable=False),
    Column("amount", Amount, nullable=False),
    Column("source", Text, nullable=False),
    Column("paid_on", Text, nullable=False),
    Column("reference", Text, nullable=False),
    Column("content", LargeBinary, nullable=False),  # hash of what was asked for
    Column("recorded_at", BigInteger, nullable=False),
)  # fmt: skip

allocations = Table(
    "payment_allocation", metadata,
    Column("payment", Text, ForeignKey("payment.id"), primary_key=True),
    Column("number", Text, ForeignKey("invoice.number"), primary_key=True, index=True),
    Column("amount", Amount, nullable=False),
    Column("recovered", Amount, nullable=False),  # of it, what had been written off
)  # fmt: skip

append_only(payments)
append_only(allocations)


class PaymentConflict(EntrepotError):
    """The id was used before, with other content."""

    code = "id_used_before"
    fault = Fault.CALLER


class Payment(msgspec.Struct, frozen=True, kw_only=True):
    """Money of a customer for its invoices. `wanted`: what the caller named to be paid, "" for the oldest first."""

    id: str
    customer: str
    currency: str
    amount_minor: int
    paid_on: date
    source: Source = "bank"
    reference: str = ""
    wanted: str = ""


def content_of(payment: Payment) -> bytes:
    """SHA-256 of what was asked for: the same on a repeat."""
    return hashlib.sha256(msgspec.json.encode(payment, order="sorted")).digest()


def recorded(conn: Connection, payment: Payment) -> bool:
    """Whether it was recorded before with the same content. Raises PaymentConflict where the content differs."""
    before = conn.execute(select(payments.c.content).where(payments.c.id == payment.id)).scalar()
    if before is not None and bytes(before) != content_of(payment):
        raise PaymentConflict(f"payment {payment.id!r} was recorded before with other content; use another id")
    return before is not None


def put_payment(
    conn: Connection, payment: Payment, parts: Mapping[str, int], at: Instant, *, recovered: Container[str] = ()
) -> None:
    """Write it down with what it pays, by number; `recovered`: those of which that had been written off."""
    seq = (conn.execute(select(func.max(payments.c.seq))).scalar() or 0) + 1
    conn.execute(payments.insert().values(
        id=payment.id, seq=seq, customer=payment.customer, currency=payment.currency, amount=payment.amount_minor,
        source=payment.source, paid_on=str(payment.paid_on), reference=payment.reference, content=content_of(payment),
        recorded_at=at,
    ))  # fmt: skip
    for number, amount in sorted(parts.items()):
        conn.execute(allocations.insert().values(
            payment=payment.id, number=number, amount=amount, recovered=amount if number in recovered else 0
        ))  # fmt: skip


def read_payments(
    conn: Connection, *, customer: str = "", id: str = ""
) -> list[tuple[Payment, dict[str, int], Instant]]:
    """(payment, what it pays by number, when it was recorded), in the order of recording."""
    query = select(payments).order_by(payments.c.seq)
    if customer:
        query = query.where(payments.c.customer == customer)
    if id:
        query = query.where(payments.c.id == id)
    rows = list(conn.execute(query))
    parts: dict[str, dict[str, int]] = {}
    pays = select(allocations).join(payments, payments.c.id == allocations.c.payment)
    if customer:
        pays = pays.where(payments.c.customer == customer)
    for part in conn.execute(pays.order_by(allocations.c.number)):
        parts.setdefault(part.payment, {})[part.number] = part.amount
    return [
        (
            Payment(
                id=row.id, customer=row.customer, currency=row.currency, amount_minor=row.amount,
                paid_on=date.fromisoformat(row.paid_on), source=cast("Source", row.source), reference=row.reference,
            ),
            parts.get(row.id, {}),
            row.recorded_at,
        )
        for row in rows
    ]  # fmt: skip


def paid_by(conn: Connection, numbers: list[str]) -> dict[str, int]:
    """What of each of these documents is paid, sums by number."""
    return _sums(conn, allocations.c.amount, numbers)


def recovered_by(conn: Connection, numbers: list[str]) -> dict[str, int]:
    """What of each of these documents was paid after it had been written off, sums by number."""
    return _sums(conn, allocations.c.recovered, numbers)


def _sums(conn: Connection, column: Column[int], numbers: list[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for number, amount in conn.execute(select(allocations.c.number, column).where(allocations.c.number.in_(numbers))):
        found[number] = found.get(number, 0) + amount
    return found
