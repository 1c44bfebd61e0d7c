"""The ledger in the database, on SQLite and on PostgreSQL."""

from collections.abc import Callable

import pytest
from msgspec.structs import replace
from sqlalchemy import Engine, Select, event, select, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import DatabaseError

from entrepot.ledger import tables
from entrepot.ledger.account import Account
from entrepot.ledger.grant_tables import top_up
from entrepot.ledger.tables import (
    BalanceCurrency,
    BalanceUnknown,
    account_balances,
    balance_of,
    money_moved,
    open_balance,
    post,
    post_charges,
)
from entrepot.ledger.transfer import Transaction, TransactionConflict, Transfer
from entrepot.storage.database import read, write

USD = 10**9


def filled(engine: Engine) -> None:
    with write(engine) as conn:
        open_balance(conn, "demo", "USD")
        top_up(conn, "demo", 5 * USD, "USD", "first-start", 1)


def test_a_top_up_counts_once_however_often_repeated(engine: Engine) -> None:
    filled(engine)
    for at in (2, 3):
        with write(engine) as conn:
            assert top_up(conn, "demo", 5 * USD, "USD", "first-start", at) is False
    with read(engine) as conn:
        assert balance_of(conn, "demo") == 5 * USD
        assert len(conn.execute(select(tables.transactions)).all()) == 1


def test_the_same_id_with_another_amount_is_refused_and_changes_nothing(engine: Engine) -> None:
    filled(engine)
    with pytest.raises(TransactionConflict), write(engine) as conn:
        top_up(conn, "demo", 6 * USD, "USD", "first-start", 1)
    with read(engine) as conn:
        assert balance_of(conn, "demo") == 5 * USD


def test_charges_and_costs_of_a_batch_move_in_one_balanced_transaction(engine: Engine) -> None:
    filled(engine)
    with write(engine) as conn:
        charges = {("demo", "USD", "small"): 700, ("demo", "USD", "large"): 300, ("demo", "USD", "free"): 0}
        assert post_charges(conn, "w1-000001/0:24", 5, charges, {("aurora", "EUR", "small"): 411})
        assert post_charges(conn, "w1-000001/0:24", 9, charges, {("aurora", "EUR", "small"): 411}) is False
        assert post_charges(conn, "nothing", 9, {}, {("aurora", "EUR", "small"): 0}) is False
    with read(engine) as conn:
        lines = conn.execute(select(tables.transfers.c.line, tables.transfers.c.amount).where(
            tables.transfers.c.transaction == 2
        ).order_by(tables.transfers.c.line)).all()  # fmt: skip
        assert [tuple(each) for each in lines] == [(1, 300), (2, 700), (3, 411)]
        assert balance_of(conn, "demo") == 5 * USD - 1000
        assert {account.id: amount for account, amount in account_balances(conn)} == {
            "USD:cash": 5 * USD,
            "USD:prepaid credit:demo": 5 * USD - 1000,
            "USD:revenue::small": 700,
            "USD:revenue::large": 300,
            "EUR:cost of goods:aurora:small": 411,
            "EUR:vendor payable:aurora": 411,
        }


@pytest.mark.parametrize("table", ["ledger_transaction", "ledger_transfer"])
@pytest.mark.parametrize("verb", ["UPDATE {} SET amount = '1'", "UPDATE {} SET about = 'x'", "DELETE FROM {}"])
def test_what_is_posted_cannot_be_changed_or_removed(engine: Engine, table: str, verb: str) -> None:
    filled(engine)
    with pytest.raises(DatabaseError), write(engine) as conn:
        conn.execute(text(verb.format(table)))
    with read(engine) as conn:
        assert conn.execute(select(tables.transfers.c.amount)).scalars().all() == [5 * USD]


def test_amounts_beyond_64_bits_are_exact(engine: Engine) -> None:
    huge = 3 * 10**30 + 1
    with write(engine) as conn:
        open_balance(conn, "demo", "USD")
        for n in range(3):
            top_up(conn, "demo", huge, "USD", f"PAY-{n}", 1)
        assert balance_of(conn, "demo") == 3 * huge


def test_balances_keep_their_currency_and_must_be_open(engine: Engine) -> None:
    with write(engine) as conn:
        open_balance(conn, "demo", "USD")
        open_balance(conn, "demo", "USD")
        with pytest.raises(BalanceCurrency):
            open_balance(conn, "demo", "EUR")
        with pytest.raises(BalanceCurrency):
            top_up(conn, "demo", 1, "EUR", "PAY-1", 1)
        with pytest.raises(BalanceUnknown):
            top_up(conn, "nobody", 1, "USD", "PAY-1", 1)
        with pytest.raises(BalanceUnknown):
            balance_of(conn, "nobody")


def test_money_has_moved_where_it_came_in_or_went_out(engine: Engine) -> None:
    filled(engine)
    with write(engine) as conn:
        for name in ("debited", "idle"):
            open_balance(conn, name, "USD")
        post_charges(conn, "usage/1", 2, {("debited", "USD", "m"): 3}, {})
        assert [money_moved(conn, name) for name in ("demo", "debited", "idle")] == [True, True, False]


def test_a_transaction_is_posted_once(engine: Engine) -> None:
    move = Transfer(Account(kind="cash", currency="USD"), Account(kind="suspense", currency="USD"), 7)
    with write(engine) as conn:
        assert post(conn, Transaction(id="x", kind="test", at=1, transfers=(move,))) is True
        assert post(conn, Transaction(id="x", kind="test", at=9, transfers=(move,))) is False
        for other in ({"kind": "t"}, {"about": "words"}, {"transfers": (move, move)}, {"transfers": ()}):
            with pytest.raises(TransactionConflict, match="'x' was posted before with other content"):
                post(conn, replace(Transaction(id="x", kind="test", at=1, transfers=(move,)), **other))
        assert [units for _, units in account_balances(conn)] == [7, -7]


def test_only_who_will_change_a_row_locks_it(engine: Engine) -> None:
    """SQLite has one writer and leaves the words out, so it is what was asked for that counts."""
    locked: list[str] = []

    def seen(_conn: object, statement: object, *_: object) -> None:
        if isinstance(statement, Select) and "FOR UPDATE" in str(statement.compile(dialect=postgresql.dialect())):
            locked.append(next(iter(statement.selected_columns)).table.name)  # type: ignore[attr-defined]

    def locks(ask: Callable[[], object]) -> list[str]:
        locked.clear()
        ask()
        return locked

    filled(engine)
    event.listen(engine, "before_execute", seen)
    with write(engine) as conn:
        assert locks(lambda: tables.all_funds(conn)) == []
        for ask in (tables.funds_of, tables.prepaid_of, tables.balance_of):
            assert locks(lambda ask=ask: ask(conn, "demo")) == []  # type: ignore[misc]
            assert locks(lambda ask=ask: ask(conn, "demo", lock=True)) == ["ledger_account"]  # type: ignore[misc]
        charges = {("demo", "USD", "m"): 1}
        assert locks(lambda: post_charges(conn, "u", 2, charges, {})) == ["ledger_head", *["ledger_account"] * 2]


def test_a_failed_transaction_leaves_no_trace(engine: Engine) -> None:
    filled(engine)
    move = Transfer(Account(kind="cash", currency="USD"), Account(kind="suspense", currency="USD"), 7)

    def post_and_fail() -> None:
        with write(engine) as conn:
            post(conn, Transaction(id="x", kind="test", at=1, transfers=(move,)))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        post_and_fail()
    with read(engine) as conn:
        assert len(account_balances(conn)) == 2
        assert conn.execute(select(tables.head.c.seq)).scalar() == 1
