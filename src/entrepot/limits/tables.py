"""Leases in the database: what each slot may spend of each balance. Three totals that only grow.

Invariant: outstanding = granted - returned - charged ≥ 0, and a grant is made only while Σ outstanding + x ≤ what the
ledger has; the caller reads that in the same transaction, locked.
"""

from collections.abc import Iterable, Mapping

from sqlalchemy import Column, Connection, Integer, Table, Text, select, update

from entrepot.limits.lease import LeaseBroken
from entrepot.metering.record import LeaseTotals
from entrepot.storage.database import Amount, metadata, upsert

leases = Table(
    "lease", metadata,
    Column("balance", Text, primary_key=True),
    Column("slot", Integer, primary_key=True),
    Column("granted", Amount, nullable=False),
    Column("returned", Amount, nullable=False),
    Column("charged", Amount, nullable=False),
)  # fmt: skip


def leases_of(conn: Connection, balance: str, *, lock: bool = False) -> dict[int, LeaseTotals]:
    """Totals per slot; `lock` keeps the rows until the transaction ends."""
    query = select(leases).where(leases.c.balance == balance).order_by(leases.c.slot)
    rows = conn.execute(query.with_for_update() if lock else query)
    return {row.slot: LeaseTotals(row.balance, row.granted, row.returned, row.charged) for row in rows}


def all_leases(conn: Connection) -> list[tuple[int, LeaseTotals]]:
    """(slot, totals) of every lease."""
    rows = conn.execute(select(leases).order_by(leases.c.balance, leases.c.slot))
    return [(row.slot, LeaseTotals(row.balance, row.granted, row.returned, row.charged)) for row in rows]


def outstanding(totals: LeaseTotals) -> int:
    """Ledger units that the slot may still spend or holds; raises LeaseBroken below zero."""
    left = totals.granted - totals.returned - totals.charged
    if left < 0:
        raise LeaseBroken(
            f"lease on {totals.balance}: granted {totals.granted}, returned {totals.returned}, "
            f"charged {totals.charged}"
        )
    return left


def grant(conn: Connection, balance: str, slot: int, amount: int, funds: int) -> int | None:
    """Grant `amount` more iff Σ outstanding + amount ≤ `funds`, the ledger balance (locked by this transaction).

    The new total ever granted, or None: nothing changed.
    """
    known = leases_of(conn, balance, lock=True)
    if amount < 0 or sum(map(outstanding, known.values())) + amount > funds:
        return None
    total = amount + (known[slot].granted if slot in known else 0)
    _store(conn, balance, slot, LeaseTotals(balance, total, *_spent(known.get(slot))))
    return total


def returned(conn: Connection, balance: str, slot: int, total: int) -> None:
    """The slot has given back `total` in all; an older or repeated message changes nothing."""
    move(conn, slot, returned={balance: total})


def move(
    conn: Connection,
    slot: int,
    *,
    granted: Mapping[str, int] | None = None,
    returned: Mapping[str, int] | None = None,
    charged: Mapping[str, int] | None = None,
) -> None:
    """What a slot's journal says: totals granted and returned (the larger one counts), amounts newly charged (added).

    Raises LeaseBroken if a slot spent or gave back more than it was ever granted.
    """
    granted, returned, charged = granted or {}, returned or {}, charged or {}
    names = sorted({*granted, *returned, *charged})
    for known, name in _locked(conn, slot, names):
        now = LeaseTotals(
            name,
            max(known.granted, granted.get(name, 0)),
            max(known.returned, returned.get(name, 0)),
            known.charged + charged.get(name, 0),
        )
        if now != known:
            outstanding(now)
            _store(conn, name, slot, now)


def _locked(conn: Connection, slot: int, names: list[str]) -> Iterable[tuple[LeaseTotals, str]]:
    query = select(leases).where(leases.c.slot == slot, leases.c.balance.in_(names)).order_by(leases.c.balance)
    rows = {row.balance: row for row in conn.execute(query.with_for_update())}
    for name in names:
        row = rows.get(name)
        yield (LeaseTotals(name, row.granted, row.returned, row.charged) if row else LeaseTotals(name, 0, 0, 0)), name


def _store(conn: Connection, balance: str, slot: int, totals: LeaseTotals) -> None:
    values = {"granted": totals.granted, "returned": totals.returned, "charged": totals.charged}
    here = (leases.c.balance == balance, leases.c.slot == slot)
    if conn.execute(update(leases).where(*here).values(**values)).rowcount == 0:
        conn.execute(upsert(conn, leases).values(balance=balance, slot=slot, **values))


def _spent(totals: LeaseTotals | None) -> tuple[int, int]:
    return (totals.returned, totals.charged) if totals else (0, 0)
