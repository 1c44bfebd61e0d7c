"""Budgets as the database holds them, in ledger units. Takes a connection and opens none."""

import json
from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, Row, bindparam, select

from entrepot.customers.limit_tables import budget_table
from entrepot.limits.budget import Budget

_ONE = select(budget_table).where(budget_table.c.customer == bindparam("buyer"), budget_table.c.id == bindparam("name"))
_AT_ONCE = 500  # names in one query; SQLite's default bound is 32,766 parameters


def read_budgets(conn: Connection, customers: Iterable[str] | None = None) -> dict[str, tuple[Budget, ...]]:
    """Customer → its budgets, of all or of these: declared ones in the file's order, then those of its keys by id."""
    columns = budget_table.c
    found: dict[str, list[Budget]] = {}
    query = select(budget_table).order_by(columns.key, columns.position, columns.id)
    names = None if customers is None else sorted(set(customers))
    parts = [query] if names is None else [
        query.where(columns.customer.in_(names[start : start + _AT_ONCE])) for start in range(0, len(names), _AT_ONCE)
    ]  # fmt: skip
    for part in parts:
        for row in conn.execute(part):
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
