"""What customers may use at most, in the database: budgets, limits and quota. Takes a connection and opens none.

A key's own budget stands among its customer's, with the key's id: whoever asks for a budget by its name finds either.
"""

import json
from decimal import Decimal
from typing import Any, cast

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    ForeignKey,
    Integer,
    Row,
    Select,
    Table,
    Text,
    delete,
    insert,
    select,
)

from entrepot.catalog.contents import Customer, DeclaredBudget, DeclaredLimit, Per, Quota, Rates
from entrepot.kernel.money import show, to_scaled
from entrepot.storage.database import Amount, metadata

#: Position of what is not declared in the catalog file.
UNDECLARED = -1


def rates_columns() -> tuple[Column[Any], ...]:
    """Of every table whose rows may be limited; 0: not."""
    return (
        Column("tpm", BigInteger, nullable=False),
        Column("rpm", BigInteger, nullable=False),
        Column("window_s", Integer, nullable=False),
        Column("concurrent", BigInteger, nullable=False),
    )


budget_table = Table(
    "budget",
    metadata,
    Column("customer", Text, ForeignKey("customer.id"), primary_key=True),
    Column("id", Text, primary_key=True),
    Column("position", Integer, nullable=False),
    Column("project", Text, nullable=False),  # "": all
    Column("key", Text, nullable=False),  # "": declared in the file
    Column("per", Text, nullable=False),
    Column("amount", Amount, nullable=False),
    Column("hard", Boolean, nullable=False),
    Column("warn_at", Text, nullable=False),  # JSON list of percents
)

limit_table = Table(
    "customer_limit",
    metadata,
    Column("customer", Text, ForeignKey("customer.id"), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("project", Text, nullable=False),
    Column("each_key", Boolean, nullable=False),
    *rates_columns(),
)

quota_table = Table(
    "quota",
    metadata,
    Column("customer", Text, ForeignKey("customer.id"), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("model", Text, ForeignKey("model.id"), nullable=False),
    Column("zone", Text, nullable=False),
    *rates_columns(),
)


def rates_to_row(rates: Rates) -> dict[str, int]:
    return {"tpm": rates.tpm, "rpm": rates.rpm, "window_s": rates.window, "concurrent": rates.concurrent}


def rates_from_row(row: Row[Any]) -> Rates:
    return Rates(tpm=row.tpm, rpm=row.rpm, window=row.window_s, concurrent=row.concurrent)


def amount_from_row(scaled: int, currency: str) -> Decimal:
    """As a person would write it: 20.00, 0.0005."""
    return Decimal(show(scaled, currency, places=2).replace(",", ""))


def of(query: Select[Any], column: Column[str], customer: str) -> Select[Any]:
    """The rows of one customer, or with "" of all."""
    return query.where(column == customer) if customer else query


def read_budgets(
    connection: Connection, currencies: dict[str, str], only: str = ""
) -> dict[str, tuple[DeclaredBudget, ...]]:
    """Customer → the budgets that its catalog file declares, in its order."""
    found: dict[str, list[DeclaredBudget]] = {}
    query = of(select(budget_table), budget_table.c.customer, only).where(budget_table.c.position != UNDECLARED)
    for row in connection.execute(query.order_by(budget_table.c.position)):
        amount = amount_from_row(row.amount, currencies[row.customer])
        found.setdefault(row.customer, []).append(
            DeclaredBudget(
                id=row.id, project=row.project, per=cast("Per", row.per), amount=amount, hard=row.hard,
                warn_at=tuple(json.loads(row.warn_at)),
            )
        )  # fmt: skip
    return {customer: tuple(rows) for customer, rows in found.items()}


def read_limits(connection: Connection, only: str = "") -> dict[str, tuple[DeclaredLimit, ...]]:
    found: dict[str, list[DeclaredLimit]] = {}
    query = of(select(limit_table), limit_table.c.customer, only)
    for row in connection.execute(query.order_by(limit_table.c.position)):
        limit = DeclaredLimit(project=row.project, each_key=row.each_key, rates=rates_from_row(row))
        found.setdefault(row.customer, []).append(limit)
    return {customer: tuple(rows) for customer, rows in found.items()}


def read_quota(connection: Connection, only: str = "") -> dict[str, tuple[Quota, ...]]:
    found: dict[str, list[Quota]] = {}
    query = of(select(quota_table), quota_table.c.customer, only)
    for row in connection.execute(query.order_by(quota_table.c.position)):
        quota = Quota(model=row.model, zone=row.zone, rates=rates_from_row(row))
        found.setdefault(row.customer, []).append(quota)
    return {customer: tuple(rows) for customer, rows in found.items()}


def put_declared(connection: Connection, customer: Customer, currency: str) -> None:
    """What the file says takes the place of what it said before; budgets of keys stay."""
    mine = budget_table.c.customer == customer.id
    connection.execute(delete(budget_table).where(mine, budget_table.c.position != UNDECLARED))
    for place, budget in enumerate(customer.budgets):
        put_budget(connection, customer.id, budget, currency, position=place)
    for table in (limit_table, quota_table):
        connection.execute(delete(table).where(table.c.customer == customer.id))
    limits = [
        {
            "customer": customer.id, "position": place, "project": each.project, "each_key": each.each_key,
            **rates_to_row(each.rates),
        }
        for place, each in enumerate(customer.limits)
    ]  # fmt: skip
    quotas = [
        {
            "customer": customer.id, "position": place, "model": each.model, "zone": each.zone,
            **rates_to_row(each.rates),
        }
        for place, each in enumerate(customer.quota)
    ]  # fmt: skip
    for table, rows in ((limit_table, limits), (quota_table, quotas)):
        if rows:
            connection.execute(insert(table), rows)


def put_budget(
    connection: Connection, customer: str, budget: DeclaredBudget, currency: str, *, position: int, key: str = ""
) -> None:
    """Add one; a key's own has its id and no position."""
    connection.execute(
        insert(budget_table).values(
            customer=customer, id=budget.id, position=position, project=budget.project, key=key, per=budget.per,
            amount=to_scaled(budget.amount, currency), hard=budget.hard, warn_at=json.dumps(budget.warn_at),
        )
    )  # fmt: skip
