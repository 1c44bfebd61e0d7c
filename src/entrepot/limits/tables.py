"""Leases in the database: what each slot may spend of each balance and budget. Three totals that only grow.

Invariant: outstanding = granted - returned - charged ≥ 0, and a grant is made only while Σ outstanding + x ≤ what the
ledger has; the caller reads that in the same transaction, locked.
"""

from collections.abc import Iterable, Mapping

from sqlalchemy import Column, Connection, Integer, Table, Text, bindparam, select

from entrepot.limits.lease import LeaseBroken
from entrepot.metering.record import LeaseTotals
from entrepot.storage.database import Amount, metadata, put_rows

leases = Table(
    "lease", metadata,
    Column("balance", Text, primary_key=True),
    Column("slot", Integer, primary_key=True),
    Column("granted", Amount, nullable=False),
    Column("returned", Amount, nullable=False),
    Column("charged", Amount, nullable=False),
)  # fmt: skip
#: What was charged in each period of a budget, hard or soft, by the id that a hard one's leases bear.
budget_charges = Table(
    "budget_charged", metadata,
    Column("period", Text, primary_key=True),
    Column("charged", Amount, nullable=False),
)  # fmt: skip
_AT_ONCE = 500  # names in one query; SQLite's default bound is 32,766 parameters

# Every grant runs these. Made once: to put one together costs six times what SQLite needs to answer it.
_OF_BALANCE = select(leases).where(leases.c.balance == bindparam("name")).order_by(leases.c.slot)
_OF_BALANCE_LOCKED = _OF_BALANCE.with_for_update()
_OF_SLOT_LOCKED = (
    select(leases)
    .where(leases.c.slot == bindparam("mine"), leases.c.balance.in_(bindparam("names", expanding=True)))
    .order_by(leases.c.balance)
    .with_for_update()
)
_CHARGED = (
    select(budget_charges)
    .where(budget_charges.c.period.in_(bindparam("names", expanding=True)))
    .order_by(budget_charges.c.period)
)
_CHARGED_LOCKED = _CHARGED.with_for_update()


def leases_of(conn: Connection, balance: str, *, lock: bool = False) -> dict[int, LeaseTotals]:
    """Totals per slot; `lock` keeps the rows until the transaction ends."""
    rows = conn.execute(_OF_BALANCE_LOCKED if lock else _OF_BALANCE, {"name": balance})
    return {row.slot: LeaseTotals(row.balance, row.granted, row.returned, row.charged) for row in rows}


def all_leases(conn: Connection) -> list[tuple[int, LeaseTotals]]:
    """(slot, totals) of every lease."""
    rows = conn.execute(select(leases).order_by(leases.c.balance, leases.c.slot))
    return [(row.slot, LeaseTotals(row.balance, row.granted, row.returned, row.charged)) for row in rows]


def lease_sums(conn: Connection) -> dict[str, LeaseTotals]:
    """By balance or budget's period, over all slots. To the ledger these are transfers in two steps: granted is what
    was ever pending, charged what was posted of it, returned what was voided; `outstanding` is pending now."""
    found: dict[str, LeaseTotals] = {}
    for _slot, t in all_leases(conn):
        sums = found.get(t.balance) or LeaseTotals(t.balance, 0, 0, 0)
        found[t.balance] = LeaseTotals(
            t.balance, sums.granted + t.granted, sums.returned + t.returned, sums.charged + t.charged
        )
    return found


def leases_at(conn: Connection, slot: int) -> list[LeaseTotals]:
    """Totals of the slot's leases that have something out."""
    rows = conn.execute(select(leases).where(leases.c.slot == slot).order_by(leases.c.balance))
    found = [LeaseTotals(row.balance, row.granted, row.returned, row.charged) for row in rows]
    return [totals for totals in found if outstanding(totals)]


def outstanding(totals: LeaseTotals) -> int:
    """Ledger units that the slot may still spend or holds; raises LeaseBroken below zero."""
    left = totals.granted - totals.returned - totals.charged
    if left < 0:
        raise LeaseBroken(
            f"lease on {totals.balance}: granted {totals.granted}, returned {totals.returned}, charged {totals.charged}"
        )
    return left


def grant(conn: Connection, balance: str, slot: int, amount: int, funds: int) -> int | None:
    """Grant `amount` more iff Σ outstanding + amount ≤ `funds`, the ledger balance (locked by this transaction).

    The new total ever granted, or None: nothing changed.
    """
    known = leases_of(conn, balance, lock=True)
    if amount < 0 or sum(map(outstanding, known.values())) + amount > funds:
        return None
    mine = known.get(slot) or LeaseTotals(balance, 0, 0, 0)
    _store(conn, slot, [LeaseTotals(balance, mine.granted + amount, mine.returned, mine.charged)])
    return mine.granted + amount


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
    changed = []
    for known in _locked(conn, slot, names):
        name = known.balance
        now = LeaseTotals(
            name,
            max(known.granted, granted.get(name, 0)),
            max(known.returned, returned.get(name, 0)),
            known.charged + charged.get(name, 0),
        )
        if now != known:
            outstanding(now)
            changed.append(now)
    _store(conn, slot, changed)


def charge_budgets(conn: Connection, amounts: Mapping[str, int]) -> None:
    """Add charges to the sums of budget periods."""
    now = budget_charged(conn, amounts, lock=True)
    rows = [(name, now.get(name, 0) + more) for name, more in sorted(amounts.items()) if more]
    put_rows(conn, budget_charges, ("period", "charged"), rows)


def budget_charged(conn: Connection, periods: Iterable[str] | None = None, *, lock: bool = False) -> dict[str, int]:
    """Charged so far in these periods of budgets, or in all; one without a charge is not there."""
    if periods is None:
        return {row.period: row.charged for row in conn.execute(select(budget_charges))}
    names, found = sorted(periods), {}
    for start in range(0, len(names), _AT_ONCE):
        some = {"names": names[start : start + _AT_ONCE]}
        for row in conn.execute(_CHARGED_LOCKED if lock else _CHARGED, some):
            found[row.period] = row.charged
    return found


def _locked(conn: Connection, slot: int, names: list[str]) -> Iterable[LeaseTotals]:
    for start in range(0, len(names), _AT_ONCE):
        some = names[start : start + _AT_ONCE]
        rows = conn.execute(_OF_SLOT_LOCKED, {"mine": slot, "names": some})
        known = {balance: LeaseTotals(balance, *totals) for balance, _, *totals in rows}
        for name in some:
            yield known.get(name) or LeaseTotals(name, 0, 0, 0)


def _store(conn: Connection, slot: int, changed: list[LeaseTotals]) -> None:
    rows = [(t.balance, slot, t.granted, t.returned, t.charged) for t in changed]
    put_rows(conn, leases, ("balance", "slot", "granted", "returned", "charged"), rows)
