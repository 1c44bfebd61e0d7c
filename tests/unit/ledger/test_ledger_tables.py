"""The ledger in the database, on SQLite and on PostgreSQL."""

import pytest
from sqlalchemy import Engine, select, text
from sqlalchemy.exc import DatabaseError

from entrepot.ledger import tables
from entrepot.ledger.account import Account
from entrepot.ledger.grant_tables import top_up
from entrepot.ledger.tables import (
    BalanceCurrency,
    BalanceUnknown,
    account_balances,
    balance_of,
    open_balance,
    post,
    post_charges,
)
from entrepot.ledger.transfer import Transaction, TransactionConflict, Transfer, TransferBroken
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
        assert not post_charges(conn, "w1-000001/0:24", 9, charges, {("aurora", "EUR", "small"): 411})
        assert not post_charges(conn, "nothing", 9, {}, {("aurora", "EUR", "small"): 0})
    with read(engine) as conn:
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


@pytest.mark.parametrize("amount", [0, -1, 10**38])
def test_an_amount_that_is_none_is_refused(amount: int) -> None:
    cash, credit = Account(kind="cash", currency="USD"), Account(kind="prepaid credit", currency="USD", party="x")
    with pytest.raises(TransferBroken):
        Transfer(cash, credit, amount)


def test_two_currencies_cannot_meet_in_one_transfer() -> None:
    with pytest.raises(TransferBroken):
        Transfer(Account(kind="cash", currency="USD"), Account(kind="prepaid credit", currency="EUR", party="x"), 1)


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
