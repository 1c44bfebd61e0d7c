"""Budgets as the database holds them, in ledger units. Takes a connection and opens none."""

import json
from typing import Any

from sqlalchemy import Connection, Row, bindparam, select

from entrepot.customers.limit_tables import budget_table
from entrepot.limits.budget import Budget

_ONE = select(budget_table).where(budget_table.c.customer == bindparam("buyer"), budget_table.c.id == bindparam("name"))


def read_budgets(conn: Connection) -> dict[str, tuple[Budget, ...]]:
    """Customer → its budgets: declared ones in the file's order, then those of its keys by id."""
    columns = budget_table.c
    found: dict[str, list[Budget]] = {}
    for row in conn.execute(select(budget_table).order_by(columns.key, columns.position, columns.id)):
        found.setdefault(row.customer, []).append(_budget(row))
    return {customer: tuple(rows) for customer, rows in found.items()}


def read_budget(conn: Connection, customer: str, budget: str) -> Budget | None:
    """One budget by its name; None: it is not declared, or no longer."""
    row = conn.execute(_ONE, {"buyer": customer, "name": budget}).first()
    return _budget(row) if row is not None else None


def _budget(row: Row[Any]) -> Budget:
    return Budget(
        id=row.id, project=row.project, key=row.key, per=row.per, amount=row.amount, hard=bool(row.hard),
        warn_at=tuple(json.loads(row.warn_at)),
    )  # fmt: skip
