"""What an operator wants to be told about money, found where it becomes true: in the transaction that makes it so.

A balance below `warn_below`, a credit limit of which less than `warn_below` (or a tenth) is left: once each time it
gets there. A budget, hard or soft, at its percents: once each in a period.
"""

import logging
from collections.abc import Iterable, Mapping

from sqlalchemy import Connection, select

from entrepot.catalog.webhook_tables import read_webhooks
from entrepot.customers.tables import customer_table
from entrepot.kernel.instants import Instant
from entrepot.kernel.money import show
from entrepot.ledger.tables import all_funds, currency_of
from entrepot.limits import event_tables
from entrepot.limits.budget import Budget, budget_of
from entrepot.limits.declared import read_budgets
from entrepot.limits.event_tables import Event
from entrepot.limits.tables import budget_charged

#: Where events are told to people: the log, and the screen.
events = logging.getLogger("entrepot.events")
#: Part of a credit limit whose rest is told where the customer has no `warn_below`.
CREDIT_REST = 10
_AT_ONCE = 500


def after_charges(conn: Connection, balances: Iterable[str], budgets: Mapping[str, int], at: Instant) -> list[Event]:
    """What charges of these balances and budget periods (their lease ids) made true; written down, what is new."""
    return _tell(conn, [*_of_balances(conn, balances, at), *_of_periods(conn, budgets, at)])


def after_change(conn: Connection, customers: Iterable[str], at: Instant) -> list[Event]:
    """As `after_charges`, where terms, amounts or grants of these customers have changed."""
    names = sorted(set(customers))
    budgets = read_budgets(conn, names)
    periods = [each.lease_id(name, at) for name in names for each in budgets.get(name, ())]
    return _tell(conn, [*_of_balances(conn, names, at), *_of_periods(conn, periods, at)])


def _tell(conn: Connection, found: list[Event]) -> list[Event]:
    if not found:
        return []
    webhooks = {each.name: each.events for each in read_webhooks(conn).values()}
    new = event_tables.add(conn, found, webhooks)
    for each in new:
        events.warning("%s", each.about)
    return new


def _of_balances(conn: Connection, names: Iterable[str], at: Instant) -> list[Event]:
    wanted, found, below = sorted(set(names)), {}, {}
    column = customer_table.c
    for start in range(0, len(wanted), _AT_ONCE):
        some = column.id.in_(wanted[start : start + _AT_ONCE])
        watched = (column.warn_below.is_not(None)) | (column.pays_by == "invoice")
        rows = list(conn.execute(select(customer_table).where(some, watched)))
        funds = all_funds(conn, [row.id for row in rows])
        for row in rows:
            least = row.warn_below if row.warn_below is not None else (row.credit_limit or 0) // CREDIT_REST
            left = funds[row.id]
            below[f"balance/{row.id}"] = left < least
            found[f"balance/{row.id}"] = (row, left, least)
    told = []
    for subject, times in event_tables.crossings(conn, below).items():
        row, left, least = found[subject]
        by_invoice = row.pays_by == "invoice"
        what = f"of the credit limit of {row.id}" if by_invoice else f"of the balance of {row.id}"
        amounts = [f"{show(units, row.currency, places=2)} {row.currency}" for units in (left, least)]
        told.append(
            Event(
                mark=f"{subject}/{times}", at=at, kind="credit.low" if by_invoice else "balance.low", customer=row.id,
                about=f"{amounts[0]} {what} is left, less than {amounts[1]}",
                data={
                    "customer": row.id, "currency": row.currency, "left": _exact(left, row.currency),
                    "warn_below": _exact(least, row.currency),
                    **({"credit_limit": _exact(row.credit_limit, row.currency)} if by_invoice else {}),
                },
            )
        )  # fmt: skip
    return told


def _of_periods(conn: Connection, leases: Iterable[str], at: Instant) -> list[Event]:
    wanted = [(lease, found) for lease in leases if (found := budget_of(lease)) is not None]
    if not wanted:
        return []
    customers = {customer for _, (customer, _, _) in wanted}
    declared = {(name, each.id): each for name, rows in read_budgets(conn, customers).items() for each in rows}
    spent = budget_charged(conn, [lease for lease, _ in wanted])
    told = []
    for lease, (customer, name, period) in wanted:
        budget = declared.get((customer, name))
        if budget is None:
            continue
        used = spent.get(lease, 0)
        reached = [percent for percent in budget.warn_at if used * 100 >= percent * budget.amount]
        if reached and used:
            currency = currency_of(conn, customer)
            told += [_of_budget(customer, budget, period, each, used, currency, at) for each in reached]
    return told


def _of_budget(  # noqa: PLR0917  the facts of one sentence
    customer: str, budget: Budget, period: str, percent: int, used: int, currency: str, at: Instant
) -> Event:
    part = f"project {budget.project!r}" if budget.project else f"key {budget.key}" if budget.key else "all projects"
    amounts = [f"{show(units, currency, places=2)} {currency}" for units in (used, budget.amount)]
    kind = "hard" if budget.hard else "soft"
    return Event(
        mark=f"budget/{customer}/{budget.id}/{period}/{percent}", at=at, kind="budget.threshold", customer=customer,
        about=f"{percent} % of budget {budget.id} of {customer} ({part}, {kind}, {period}) is used: "
        f"{amounts[0]} of {amounts[1]}",
        data={
            "customer": customer, "budget": budget.id, "project": budget.project, "key": budget.key,
            "period": period, "percent": percent, "hard": budget.hard, "currency": currency,
            "used": _exact(used, currency), "amount": _exact(budget.amount, currency),
        },
    )  # fmt: skip


def _exact(units: int, currency: str) -> str:
    return show(units, currency, places=2).replace(",", "")
