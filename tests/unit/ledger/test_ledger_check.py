"""What the books of a small house say of themselves, and what is told where a row of them is another one."""

import sqlite3
from contextlib import closing
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, text

from entrepot.kernel.instants import HOUR, parse
from entrepot.ledger import postings
from entrepot.ledger.account import Account
from entrepot.ledger.check import LedgerCheck, check_ledger
from entrepot.ledger.grant_tables import add, cuts_of, settle, top_up
from entrepot.ledger.grants import Grant
from entrepot.ledger.postings import Event
from entrepot.ledger.tables import (
    BalanceUnknown,
    account_of,
    all_balances,
    all_funds,
    balance_of,
    funds_of,
    money_moved,
    open_balance,
    owes,
    post,
    post_charges,
    prepaid_of,
    set_credit,
)
from entrepot.ledger.taken_tables import charged_sums
from entrepot.ledger.transfer import Transaction, Transfer
from entrepot.storage.database import open_database, prepare, read, write

AT = parse("2026-11-02T10:00:00Z")


@pytest.fixture
def books(tmp_path: Any) -> Engine:
    """Studio paid 1000, was given 300 that end on the third, and used 450 in two batches, of which 50 came back; bank
    has a credit limit of 5000, used 700, and was billed 200 and tax of 40 of it. Idle has a balance and nothing else.
    Without the guards that refuse to change a row."""
    engine = open_database(tmp_path / "books.sqlite")
    prepare(engine)
    with write(engine) as conn:
        for name in ("studio", "bank", "idle"):
            open_balance(conn, name, "USD")
        set_credit(conn, "bank", 5000)
        top_up(conn, "studio", 1000, "USD", "PAY-1", AT)
        gift = Grant(id="GIFT", kind="promo", amount=300, priority=50, ends_at=AT + 20 * HOUR, created_at=AT + 1)
        add(conn, "studio", "USD", gift)
        first = {("studio", "USD", "large"): 250, ("bank", "USD", "large"): 700}
        post_charges(conn, "usage/1", AT + HOUR, first, {("maker", "EUR", "large"): 90})
        second = {("studio", "USD", "large"): 150, ("studio", "USD", "small"): 50}
        post_charges(conn, "usage/2", AT + HOUR, second, {("maker", "EUR", "large"): 10, ("maker", "EUR", "small"): 5})
        event = Event(id="studio:2026-11", customer="studio", currency="USD", at=AT + 9 * HOUR)
        post(conn, postings.settled(event, charged={"large": 400}, rated={"large": 350}, prepaid=True))
        settle(conn, "studio", "2026-11", 50)
        bill = Event(id="R-1", customer="bank", currency="USD", at=AT + 9 * HOUR)
        post(conn, postings.issued(bill, payable=240, unbilled=200, taxes={"US S 20": 40}, rounding_most=0))
        for name in ("ledger_transaction", "ledger_transfer"):
            for verb in ("update", "delete"):
                conn.execute(text(f"DROP TRIGGER {name}_no_{verb}"))
    return engine


def test_the_sums_are_those_of_the_transfers(books: Engine) -> None:
    with read(books) as conn:
        found = check_ledger(conn)
    assert found.differences == []
    assert (found.transactions, found.transfers) == (6, 12)
    assert found.revenue == {("USD", "large"): 1100, ("USD", "small"): 50}
    assert found.costs == {("maker", "EUR", "large"): 100, ("maker", "EUR", "small"): 5}
    assert found.charged == {"studio": 450, "bank": 700}
    assert found.funds == {"studio": 900, "idle": 0}
    assert found.ahead == {"studio", "idle"}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("UPDATE ledger_account SET debits = '401' WHERE id = 'USD:prepaid credit:studio'",
         [("running debits of account USD:prepaid credit:studio", "401", "450"),
          ("left of the grants of studio", "900", "949"), ("debits and credits in USD", "2691", "2740")]),
        ("UPDATE ledger_account SET credits = '7' WHERE id = 'EUR:vendor payable:maker'",
         [("running credits of account EUR:vendor payable:maker", "7", "105"),
          ("debits and credits in EUR", "105", "7")]),
        ("DELETE FROM ledger_transfer WHERE \"transaction\" = 3; DELETE FROM ledger_transaction WHERE seq = 3",
         [("transaction 3 of the chain", "missing", "it goes on with 4"), ("transaction 4 (usage/2): hash", ..., ...),
          ("running credits of account USD:revenue::large", "1100", "150")]),
        ("UPDATE ledger_account SET credits = '5' WHERE id = 'USD:cash'",
         [("running credits of account USD:cash", "5", "0"), ("debits and credits in USD", "2740", "2745")]),
        ("UPDATE ledger_account SET debits = '5' WHERE id = 'USD:revenue::small'",
         [("running debits of account USD:revenue::small", "5", "0"), ("debits and credits in USD", "2745", "2740")]),
        ("UPDATE ledger_transaction SET about = 'x' WHERE seq = 1",
         [("transaction 1 (top-up/PAY-1): hash", ..., ...)]),
        ("UPDATE ledger_head SET seq = 5", [("head of the chain", "5", "6")]),
        ("DELETE FROM ledger_head", [("head of the chain", "0", "6")]),
        ("UPDATE balance_taken SET amount = '451' WHERE balance = 'studio'",
         [("taken of balance studio by calls", "401", "400"), ("left of the grants of studio", "899", "900")]),
        ("INSERT INTO balance_taken VALUES ('idle', 0, '7', '0')",
         [("taken of balance idle by calls", "7", "0"),
          ("left of the grants of idle", "-7 and 7 that none covers", "0")]),
        ("UPDATE balance_grant SET amount = '301' WHERE id = 'GIFT'",
         [("left of the grants of studio", "901", "900")]),
        ("UPDATE balance_grant SET refunded = '1' WHERE id = 'PAY-1'",
         [("left of the grants of studio", "899", "900")]),
    ],
)  # fmt: skip
def test_a_row_that_was_changed_is_told_by_name_with_both_sums(
    books: Engine, change: str, told: list[tuple[Any, Any, Any]]
) -> None:
    with write(books) as conn:
        for statement in change.split("; "):
            conn.execute(text(statement))
    with read(books) as conn:
        found = check_ledger(conn).differences
    for what, stored, summed in told:
        assert any(
            each[0] == what and stored in (..., each[1]) and summed in (..., each[2]) for each in found
        ), found  # fmt: skip
    if "; " not in change:
        assert len(found) == len(told)


def test_accounts_that_are_gone_are_told_though_what_is_left_is_even(books: Engine) -> None:
    def after(statement: str) -> LedgerCheck:
        with closing(sqlite3.connect(str(books.url.database))) as unguarded, unguarded:
            unguarded.execute(statement)
        with read(books) as conn:
            return check_ledger(conn)

    found = after("DELETE FROM ledger_account WHERE currency = 'EUR' OR party = 'idle'")
    assert found.funds == {"studio": 900, "idle": 0}
    assert found.differences == [
        ("account EUR:cost of goods:maker:large", "missing", "debits of 100, credits of 0"),
        ("account EUR:cost of goods:maker:small", "missing", "debits of 5, credits of 0"),
        ("account EUR:vendor payable:maker", "missing", "debits of 0, credits of 105"),
    ]
    found = after("DELETE FROM ledger_account WHERE id = 'USD:prepaid credit:studio'")
    assert ("left of the grants of studio", "900", "0") in found.differences


def test_a_transaction_that_moves_nothing_and_accounts_without_usage_are_part_of_it(books: Engine) -> None:
    revenue, cost = (Account(kind="revenue", currency="USD", product="minimum"),
                     Account(kind="cost of goods", currency="USD", party="maker", product="rent"))  # fmt: skip
    clearing = Account(kind="suspense", currency="USD")
    with write(books) as conn:
        post(conn, Transaction(id="nothing", kind="note", at=AT, transfers=()))
        moves = Transfer(clearing, revenue, 7), Transfer(cost, clearing, 3)
        post(conn, Transaction(id="by hand", kind="note", at=AT, transfers=moves))
    with read(books) as conn:
        found = check_ledger(conn)
    assert found.differences == []
    assert (found.transactions, found.transfers) == (8, 14)
    assert (found.revenue["USD", "minimum"], found.costs["maker", "USD", "rent"]) == (0, 0)
    assert (sum(found.revenue.values()), sum(found.costs.values())) == (1150, 105)


def test_an_empty_ledger_has_nothing_to_tell(tmp_path: Any) -> None:
    engine = open_database(tmp_path / "books.sqlite")
    prepare(engine)
    with read(engine) as conn:
        found = check_ledger(conn)
    assert (found.transactions, found.transfers, found.differences, found.charged) == (0, 0, [], {})


def test_what_may_be_spent_is_credit_or_the_limit_less_what_is_out(books: Engine) -> None:
    with write(books) as conn:
        for lock in (False, True):
            assert (funds_of(conn, "studio", lock=lock), funds_of(conn, "idle", lock=lock)) == (900, 0)
            assert funds_of(conn, "bank", lock=lock) == 5000 - 500 - 240
            assert (balance_of(conn, "studio", lock=lock), prepaid_of(conn, "studio", lock=lock)) == (900, 900)
            assert (balance_of(conn, "bank", lock=lock), prepaid_of(conn, "bank", lock=lock)) == (-500, 0)
        assert all_funds(conn) == {"studio": 900, "idle": 0, "bank": 4260}
        assert all_funds(conn, ["bank", "nobody"]) == {"bank": 4260}
        assert all_balances(conn) == [("bank", "USD", -500), ("idle", "USD", 0), ("studio", "USD", 900)]
        assert [owes(conn, name) for name in ("bank", "studio", "nobody")] == [True, False, False]
        assert [money_moved(conn, name) for name in ("bank", "studio", "idle", "nobody")] == [True, True, False, False]
        set_credit(conn, "bank", 100)
        assert funds_of(conn, "bank") == 100 - 740
        set_credit(conn, "bank", None)  # what it owes for an invoice is not taken out of what it pays ahead
        set_credit(conn, "idle", 30)  # nothing was posted to its receivables yet
        assert all_funds(conn) == {"studio": 900, "idle": 30, "bank": 0}
        assert [funds_of(conn, name) for name in ("studio", "idle", "bank")] == [900, 30, 0]
        for ask in (funds_of, balance_of, prepaid_of):
            with pytest.raises(BalanceUnknown, match="there is no balance 'nobody'"):
                ask(conn, "nobody")


@pytest.mark.parametrize(
    ("kind", "party", "product", "amount"),
    [("receivable", "bank", "", 240), ("unbilled", "bank", "", 500), ("prepaid credit", "studio", "", 900),
     ("revenue", "", "large", 1050), ("cash", "", "", 1000), ("promotional", "", "", -300),
     ("output tax", "", "US S 20", 40), ("cash", "nobody", "", 0)],
)  # fmt: skip
def test_an_account_is_shown_on_the_side_where_it_grows(
    books: Engine, kind: str, party: str, product: str, amount: int
) -> None:
    with read(books) as conn:
        assert account_of(conn, Account(kind=kind, currency="USD", party=party, product=product)) == amount


def test_what_calls_took_is_kept_by_stretch_whatever_came_back(books: Engine) -> None:
    with read(books) as conn:
        assert charged_sums(conn) == {("studio", AT + HOUR): 450}


def test_grants_cut_the_days_that_they_begin_or_end_in(books: Engine) -> None:
    def cuts(conn: Connection, *hours: tuple[str, int]) -> dict[str, list[int]]:
        return {name: sorted(at) for name, at in cuts_of(conn, hours).items()}

    begins, ends = [AT, AT + 1], AT + 20 * HOUR
    with read(books) as conn:
        assert cuts(conn) == {}
        assert cuts(conn, ("studio", AT + 3 * HOUR)) == {"studio": sorted([*begins, ends])}
        assert cuts(conn, ("bank", AT), ("idle", AT)) == {}
        assert cuts(conn, ("studio", AT - 48 * HOUR)) == {}
        assert cuts(conn, ("studio", AT - 48 * HOUR), ("bank", AT)) == {"studio": sorted([*begins, ends])}
        assert cuts(conn, ("studio", AT), ("bank", AT + 48 * HOUR)) == {"studio": sorted([*begins, ends])}
        assert cuts(conn, ("studio", ends - HOUR)) == {"studio": sorted([AT + 1, ends])}
        assert cuts(conn, ("studio", ends)) == {"studio": sorted([AT + 1, ends])}
