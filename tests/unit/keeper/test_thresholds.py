"""What is told about money: once each time it becomes true, in the transaction that makes it so."""

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, select

from entrepot.catalog.contents import Contract, Customer, DeclaredBudget, Pays, Webhook
from entrepot.catalog.webhook_tables import put_webhooks
from entrepot.keeper import state
from entrepot.keeper.thresholds import after_change, after_charges
from entrepot.kernel.instants import parse
from entrepot.ledger import grant_tables
from entrepot.ledger.grants import Grant
from entrepot.ledger.tables import post_charges
from entrepot.limits import event_tables
from entrepot.limits.event_tables import Event
from entrepot.limits.tables import charge_budgets
from entrepot.storage.database import read, write

USD = 10**9
NOW = parse("2026-11-22T10:00:00Z")
STUDIO = Customer(
    id="studio", contracts=(Contract(book="list"),), projects=("app",), pays=Pays(warn_below=Decimal(20)),
    budgets=(
        DeclaredBudget(id="app-day", project="app", per="day", amount=Decimal(50), warn_at=(80, 95)),
        DeclaredBudget(id="soft", per="month", amount=Decimal(10), hard=False, warn_at=(100,)),
    ),
)  # fmt: skip
BANK = Customer(id="bank", contracts=(Contract(book="list"),), pays=Pays(by="invoice", credit_limit=Decimal(100)))


@pytest.fixture
def conn(engine: Engine) -> Iterator[Connection]:
    with write(engine) as connection:
        state.put_customer(connection, STUDIO, "USD", NOW)
        state.put_customer(connection, BANK, "USD", NOW)
        put_webhooks(connection, [
            Webhook(name="all", url="https://a.example/"),
            Webhook(name="low", url="https://b.example/", events=("balance.low",)),
        ])  # fmt: skip
        yield connection


def top_up(conn: Connection, id: str, amount: int) -> list[Event]:
    grant = Grant(id=id, kind="paid", amount=amount * USD, priority=100, ends_at=0, created_at=NOW)
    grant_tables.add(conn, "studio", "USD", grant, top_up=True)
    return after_change(conn, ("studio",), NOW)


def charge(conn: Connection, id: str, customer: str, amount: int, **budgets: int) -> list[str]:
    post_charges(conn, id, NOW, {(customer, "USD", "m"): amount * USD}, {})
    lease = {
        "day": f"{customer}/budget/app-day/2026-11-22", "next": f"{customer}/budget/app-day/2026-11-23",
        "soft": f"{customer}/budget/soft/2026-11",
    }  # fmt: skip
    used = {lease[name]: units * USD for name, units in budgets.items()}
    charge_budgets(conn, used)
    return [each.about for each in after_charges(conn, {customer}, used, NOW)]


def test_a_balance_is_told_each_time_that_it_falls_below_its_threshold(conn: Connection) -> None:
    assert [each.kind for each in after_change(conn, ("studio",), NOW)] == ["balance.low"]  # it starts at nothing
    assert top_up(conn, "P-1", 25) == []
    assert charge(conn, "u1", "studio", 5) == []
    said = charge(conn, "u2", "studio", 1)
    assert said == ["19.00 USD of the balance of studio is left, less than 20.00 USD"]
    assert charge(conn, "u3", "studio", 1) == []
    assert top_up(conn, "P-2", 5) == []
    assert len(charge(conn, "u4", "studio", 5)) == 1


def test_a_customer_that_pays_by_invoice_is_told_at_the_last_tenth(conn: Connection) -> None:
    assert charge(conn, "u1", "bank", 90) == []
    assert charge(conn, "u2", "bank", 1) == ["9.00 USD of the credit limit of bank is left, less than 10.00 USD"]
    assert charge(conn, "u3", "bank", 1) == []


def test_a_budget_is_told_at_each_percent_once_in_a_period(conn: Connection) -> None:
    top_up(conn, "P-1", 1000)
    assert charge(conn, "u1", "studio", 39, day=39) == []
    assert charge(conn, "u2", "studio", 1, day=1) == [
        "80 % of budget app-day of studio (project 'app', hard, 2026-11-22) is used: 40.00 USD of 50.00 USD"
    ]
    assert charge(conn, "u3", "studio", 1, day=1) == []
    assert len(charge(conn, "u4", "studio", 9, day=9)) == 1
    assert len(charge(conn, "u5", "studio", 50, next=50)) == 2


def test_a_soft_budget_is_told_and_a_lowered_one_at_once(conn: Connection) -> None:
    top_up(conn, "P-1", 1000)
    assert charge(conn, "u1", "studio", 9, soft=9) == []
    lower = STUDIO.budgets[1]
    changed = Customer(
        id="studio", contracts=STUDIO.contracts, projects=("app",), pays=STUDIO.pays,
        budgets=(DeclaredBudget(id=lower.id, per="month", amount=Decimal(5), hard=False, warn_at=(100,)),),
    )  # fmt: skip
    state.put_customer(conn, changed, "USD", NOW)
    assert [each.kind for each in after_change(conn, ("studio",), NOW)] == ["budget.threshold"]
    assert after_change(conn, ("studio",), NOW) == []


def test_every_webhook_that_wants_a_kind_gets_a_delivery_with_the_event(conn: Connection) -> None:
    top_up(conn, "P-1", 100)
    charge(conn, "u1", "studio", 90, day=40)
    rows = event_tables.due(conn, NOW, 10)
    assert sorted((row.webhook, event.kind) for row, event in rows) == [
        ("all", "balance.low"), ("all", "budget.threshold"), ("low", "balance.low"),
    ]  # fmt: skip
    data: dict[str, Any] = next(json.loads(event.data) for _, event in rows if event.kind == "budget.threshold")
    assert data == {
        "customer": "studio", "budget": "app-day", "project": "app", "key": "", "period": "2026-11-22", "percent": 80,
        "hard": True, "currency": "USD", "used": "40.00", "amount": "50.00",
    }  # fmt: skip


def test_an_attempt_is_noted_until_it_is_delivered_or_given_up(conn: Connection) -> None:
    top_up(conn, "P-1", 100)
    charge(conn, "u1", "studio", 90)
    (row, event), _ = event_tables.due(conn, NOW, 10)
    assert event_tables.tried(conn, event.id, row.webhook, NOW, "500", "pending", NOW + 5)
    assert len(event_tables.due(conn, NOW, 10)) == 1
    assert len(event_tables.due(conn, NOW + 5, 10)) == 2
    assert event_tables.tried(conn, event.id, row.webhook, NOW, "204", "delivered", 0)
    assert not event_tables.tried(conn, event.id, row.webhook, NOW, "500", "pending", NOW + 5)
    event_tables.forget(conn, ["all", "low"])
    assert event_tables.due(conn, NOW + 10, 10) == []


def test_what_is_taken_back_is_not_told(engine: Engine) -> None:
    with write(engine) as conn:
        state.put_customer(conn, STUDIO, "USD", NOW)
        top_up(conn, "P-1", 100)
    with engine.connect() as conn, conn.begin() as transaction:
        assert charge(conn, "u1", "studio", 90)
        transaction.rollback()
    with read(engine) as conn:
        assert conn.execute(select(event_tables.events)).all() == []
