"""Who may spend how much: the answers to workers' wants.

`decide` is the rule, pure; `answer` carries it out for many questions in one transaction, which is committed before a
reply is sent. What a lease is cut from: a balance, or the amount of a budget less what its period was charged.
"""

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from sqlalchemy import Connection

from entrepot.kernel.instants import DAY, Instant
from entrepot.ledger.tables import BalanceUnknown, all_funds, funds_of
from entrepot.limits import tables
from entrepot.limits.budget import budget_of, following
from entrepot.limits.declared import read_budget, read_budgets
from entrepot.limits.message import Granted, Want
from entrepot.metering.record import LeaseTotals

#: A slice should last this long: what a customer can still spend while the keeper is down.
SLICE_SECONDS = 900
#: No slice takes more than this part of what is available, per slot: the last money stays divisible.
SHARE = 4


class Decision(NamedTuple):
    """`amount` to grant now; `short` what stands behind too little. A short answer is worth a recall first."""

    amount: int
    short: Literal["", "held", "spent"]


class Question(NamedTuple):
    """One want of one slot; `exact` after a recall: then nobody gets more than it needs."""

    slot: int
    want: Want
    exact: bool = False


class Answer(NamedTuple):
    """What to reply, and how much of the lease's source each slot has: whom to ask to give back, and what it was ever
    granted."""

    granted: Granted
    outstanding: dict[int, int]
    totals: dict[int, int]


def decide(
    want: Want,
    *,
    slot: int,
    granted: int,
    funds: int,
    outstanding: Mapping[int, int],
    slots: int,
    returned: int = 0,
    exact: bool = False,
) -> Decision:
    """The slice for one want (protocol §1).

    `granted` and `returned` are the slot's totals, `funds` the ledger balance (a budget's amount less what was
    charged), `outstanding` what each slot has of it, `slots` how many may ask.
    """
    holds = want.holds or (max(want.hold, want.need),)
    free = want.free if want.holds else holds[0] - want.need
    # with what was granted before and not heard of by the worker, without what went back since it asked
    in_hand = free + granted - want.granted_seen - (max(0, returned - want.returned) if want.holds else 0)
    available = funds - sum(outstanding.values())
    needed, missed = 0, []
    for hold in holds:  # in their order, whoever fits: as the worker serves them
        if needed + hold <= in_hand + max(0, available):
            needed += hold
        else:
            missed.append(hold)
    short: Literal["", "held", "spent"] = ""
    if missed:
        short = "spent" if min(missed) > funds else "held"
        if not exact:
            return Decision(0, short)
    if exact:
        return Decision(max(0, needed - in_hand), short)
    if granted > want.granted_seen and needed <= in_hand:
        return Decision(0, "")
    aim = want.pace * SLICE_SECONDS - outstanding.get(slot, 0)
    return Decision(max(0, needed - in_hand, min(aim, available // (SHARE * max(1, slots)))), "")


def answer(conn: Connection, questions: Sequence[Question], *, slots: int, at: Instant) -> list[Answer]:
    """Decide on locked rows, one after the other, and write the grants down."""
    return [_answer(conn, question, slots, at) for question in questions]


def _answer(conn: Connection, question: Question, slots: int, at: Instant) -> Answer:
    slot, want, exact = question
    leases = tables.leases_of(conn, want.balance, lock=True)
    mine = leases.get(slot) or LeaseTotals(want.balance, 0, 0, 0)
    budget = budget_of(want.balance)
    # A slot that has used a lease and says that it was granted nothing has forgotten it, if its period is long over;
    # else its question is older than its grant, and calls have used that before the question was decided.
    old = budget is not None and at > following(want.balance)[1] + DAY
    forgotten = old and not want.granted_seen and mine.returned + mine.charged > 0
    funds = None if forgotten else _funds(conn, want.balance)
    if funds is None:
        short: Literal["held", "spent"] = "held" if budget and not forgotten else "spent"
        left = max((want.hold, want.need, *want.holds)) if short == "held" else 0
        word = Granted(balance=want.balance, total=want.granted_seen, short=short, left=left, number=want.number)
        return Answer(word, {}, {})
    if want.granted_seen > mine.granted:  # the database is older than the slot: a restored backup
        tables.move(conn, slot, granted={want.balance: want.granted_seen})
        leases = tables.leases_of(conn, want.balance)
        mine = leases[slot]
    outstanding = {number: tables.outstanding(totals) for number, totals in leases.items()}
    amount, short_of = decide(
        want, slot=slot, granted=mine.granted, returned=mine.returned, funds=funds, slots=slots, exact=exact,
        outstanding=outstanding,
    )  # fmt: skip
    total = mine.granted
    if amount:
        total = tables.grant(conn, want.balance, slot, amount, funds) or total
        outstanding[slot] = outstanding.get(slot, 0) + total - mine.granted
    room = max(0, funds - sum(outstanding.values()))
    word = Granted(
        balance=want.balance, total=total, short=short_of, left=max(0, funds), room=room, number=want.number
    )  # fmt: skip
    return Answer(word, outstanding, {number: totals.granted for number, totals in leases.items()})


def _funds(conn: Connection, lease: str) -> int | None:
    """What all slots together may have of it now; None: there is no such balance, or no such budget any more."""
    budget = budget_of(lease)
    if budget is None:
        try:
            return funds_of(conn, lease, lock=True)
        except BalanceUnknown:
            return None
    declared = read_budget(conn, budget[0], budget[1])
    if declared is None or not declared.hard:
        return None
    return declared.amount - tables.budget_charged(conn, [lease], lock=True).get(lease, 0)


def overdrawn(conn: Connection) -> dict[str, dict[int, int]]:
    """Leases of which more is out than may be, with what each slot was ever granted: a budget or a credit limit was
    lowered. Calls under way end normally; what is free is to be recalled."""
    out: dict[str, int] = {}
    granted: dict[str, dict[int, int]] = {}
    for slot, totals in tables.all_leases(conn):
        out[totals.balance] = out.get(totals.balance, 0) + tables.outstanding(totals)
        granted.setdefault(totals.balance, {})[slot] = totals.granted
    funds = all_funds(conn)
    amounts = {
        f"{customer}/budget/{b.id}": b.amount for customer, all_ in read_budgets(conn).items() for b in all_ if b.hard
    }
    charged = tables.budget_charged(conn)
    for name in out:
        if budget := budget_of(name):
            funds[name] = amounts.get(f"{budget[0]}/budget/{budget[1]}", 0) - charged.get(name, 0)
    return {name: granted[name] for name, amount in out.items() if amount and amount > funds.get(name, 0)}
