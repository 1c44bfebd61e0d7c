"""Who may spend how much: the answer to a worker's `want`.

`decide` is the rule, pure; `answer` carries it out in one transaction, which is committed before the reply is sent.
"""

from collections.abc import Mapping
from typing import Literal, NamedTuple

from sqlalchemy import Connection

from entrepot.ledger.tables import BalanceUnknown, balance_of
from entrepot.limits import tables
from entrepot.limits.message import Granted, Want

#: A slice should last this long: what a customer can still spend while the keeper is down.
SLICE_SECONDS = 900
#: No slice takes more than this part of what is available, per slot: the last money stays divisible.
SHARE = 4


class Decision(NamedTuple):
    """`amount` to grant now; `short` what stands behind too little. A short answer is worth a recall first."""

    amount: int
    short: Literal["", "held", "spent"]


def decide(
    want: Want, *, slot: int, granted: int, funds: int, outstanding: Mapping[int, int], slots: int, exact: bool = False
) -> Decision:
    """The slice for one want (protocol §1).

    `granted` is the slot's total so far, `funds` the ledger balance, `outstanding` what each slot holds of it, `slots`
    how many may ask; `exact` after a recall: then nobody gets more than it needs.
    """
    missed = granted - want.granted_seen
    need = want.need - missed
    if missed > 0 and need <= 0:
        return Decision(0, "")  # granted before, the worker has not heard of it
    available = funds - sum(outstanding.values())
    if need > available:
        return Decision(0, "spent" if funds < max(want.hold, want.need) else "held")
    if exact:
        return Decision(max(0, need), "")
    aim = want.pace * SLICE_SECONDS - outstanding.get(slot, 0)
    return Decision(max(0, need, min(aim, available // (SHARE * max(1, slots)))), "")


def answer(conn: Connection, slot: int, want: Want, *, slots: int, exact: bool = False) -> Granted:
    """Decide on locked rows and write the grant down."""
    try:
        funds = balance_of(conn, want.balance, lock=True)
    except BalanceUnknown:
        return Granted(balance=want.balance, total=want.granted_seen, short="spent", left=0)
    leases = tables.leases_of(conn, want.balance, lock=True)
    mine = leases.get(slot)
    if want.granted_seen > (mine.granted if mine else 0):  # the database is older than the slot: a restored backup
        tables.move(conn, slot, granted={want.balance: want.granted_seen})
        leases = tables.leases_of(conn, want.balance)
        mine = leases[slot]
    total = mine.granted if mine else 0
    decision = decide(
        want, slot=slot, granted=total, funds=funds, slots=slots, exact=exact,
        outstanding={number: tables.outstanding(totals) for number, totals in leases.items()},
    )  # fmt: skip
    if decision.amount:
        total = tables.grant(conn, want.balance, slot, decision.amount, funds) or total
    return Granted(balance=want.balance, total=total, short=decision.short, left=funds)
