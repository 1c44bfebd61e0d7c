"""What a balance is made of: who burns first, what may go back, what is taken back at its end."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine

from entrepot.ledger import grant_tables
from entrepot.ledger.check import check_ledger
from entrepot.ledger.grant_tables import RefundHeld
from entrepot.ledger.grants import Grant, RefundTooLarge, attribute, refund
from entrepot.ledger.tables import account_balances, balance_of, open_balance, post_charges, prepaid_of, set_credit
from entrepot.ledger.transfer import TransactionConflict
from entrepot.storage.database import read, write

USD = 10**9


def grant(id: str, amount: int, **given: object) -> Grant:
    facts = {"kind": "paid", "priority": 100, "ends_at": 0, "created_at": 1, **given}
    return Grant(id=id, amount=amount, **facts)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (grant("b", 5, kind="promo", priority=50), grant("a", 5)),
        (grant("b", 5, ends_at=9), grant("a", 5)),
        (grant("b", 5, ends_at=8), grant("a", 5, ends_at=9)),
        (grant("b", 5, created_at=1), grant("a", 5, created_at=2)),
        (grant("a", 5), grant("b", 5)),
        (grant("b", 5, priority=1), grant("a", 5, priority=2, ends_at=3)),
    ],
)
def test_the_burn_order_is_priority_then_end_then_creation(first: Grant, second: Grant) -> None:
    after = attribute([second, first], 7)
    assert [(each.id, each.used) for each in after] == [(first.id, 5), (second.id, 2)]


@given(st.lists(st.tuples(st.integers(0, 100), st.integers(0, 3), st.integers(0, 3)), max_size=6), st.data())
def test_attributing_in_parts_is_attributing_at_once(rows: list[tuple[int, int, int]], data: st.DataObject) -> None:
    grants = [grant(f"g{n}", a, priority=p, ends_at=e) for n, (a, p, e) in enumerate(rows)]
    usage, first = data.draw(st.integers(0, 400)), data.draw(st.integers(0, 400))
    total = sum(each.amount for each in grants)
    at_once = attribute(grants, usage + first)
    assert sum(each.used for each in at_once) == min(total, usage + first)
    if first + usage <= total:
        assert attribute(attribute(grants, first), usage) == at_once


def test_a_refund_takes_the_newest_payment_first_and_never_what_was_given_or_used() -> None:
    grants = [
        grant("old", 10, created_at=1),
        grant("new", 10, created_at=2, used=4),
        grant("gift", 50, kind="promo", created_at=3),
    ]
    assert [(each.id, part) for each, part in refund(grants, 9)] == [("new", 6), ("old", 3)]
    assert [(each.id, part) for each, part in refund(grants, 9, "old")] == [("old", 9)]
    with pytest.raises(RefundTooLarge):
        refund(grants, 17)
    with pytest.raises(RefundTooLarge):
        refund(grants, 1, "gift")


def _left(conn: Connection) -> int:
    return balance_of(conn, "acme")


def _books(conn: Connection) -> dict[str, int]:
    return {account.kind: units for account, units in account_balances(conn) if units}


def test_paid_and_given_credit_are_booked_where_they_come_from_and_go_back_there(engine: Engine) -> None:
    with write(engine) as conn:
        open_balance(conn, "acme", "USD")
        assert grant_tables.add(conn, "acme", "USD", grant("PAY-1", 100 * USD), top_up=True)
        gift = grant("START", 10 * USD, kind="promo", priority=50, ends_at=50, created_at=2)
        assert grant_tables.add(conn, "acme", "USD", gift)
        assert grant_tables.add(conn, "acme", "USD", gift) is False
        post_charges(conn, "usage/1", 3, {("acme", "USD", "m"): 4 * USD}, {})
    with write(engine) as conn:
        assert grant_tables.ended(conn, 49) == []
        assert grant_tables.ended(conn, 50) == ["acme"]
        assert grant_tables.expire(conn, "acme", "USD", 50, free=_left(conn)) == 0
        assert grant_tables.ended(conn, 60) == []
        assert grant_tables.expire(conn, "acme", "USD", 60, free=_left(conn)) == 0
        assert _left(conn) == 100 * USD
        args = ("acme", "USD", 30 * USD, "R-1", 60)
        assert grant_tables.give_back(conn, *args, free=_left(conn), payment="PAY-1")
        assert grant_tables.give_back(conn, *args, free=0, payment="PAY-1") is False
    with read(engine) as conn:
        assert _books(conn) == {
            "cash": 70 * USD, "prepaid credit": 70 * USD, "promotional": -4 * USD, "revenue": 4 * USD
        }  # fmt: skip
        states = {each.id: (each.used, each.refunded, each.expired) for each in grant_tables.read_grants(conn, "acme")}
        assert states == {"PAY-1": (0, 30 * USD, 0), "START": (4 * USD, 0, 6 * USD)}
        assert check_ledger(conn).differences == []


def test_the_unused_rest_of_paid_credit_that_ends_is_breakage(engine: Engine) -> None:
    with write(engine) as conn:
        open_balance(conn, "acme", "USD")
        grant_tables.add(conn, "acme", "USD", grant("PAY-1", 5 * USD, ends_at=10))
        assert grant_tables.expire(conn, "acme", "USD", 10, free=5 * USD) == 0
        assert _books(conn) == {"cash": 5 * USD, "breakage": 5 * USD}


def test_what_is_in_leases_is_neither_taken_back_nor_refunded(engine: Engine) -> None:
    with write(engine) as conn:
        open_balance(conn, "acme", "USD")
        grant_tables.add(conn, "acme", "USD", grant("GIFT", 5 * USD, kind="promo", ends_at=10))
        assert grant_tables.expire(conn, "acme", "USD", 10, free=2 * USD) == 3 * USD
        assert _left(conn) == 3 * USD
        assert grant_tables.ended(conn, 10) == ["acme"]
        post_charges(conn, "usage/1", 3, {("acme", "USD", "m"): 1 * USD}, {})
        assert grant_tables.expire(conn, "acme", "USD", 11, free=_left(conn)) == 0
        assert _left(conn) == 0
        grant_tables.add(conn, "acme", "USD", grant("PAY", 5 * USD))
    with pytest.raises(RefundHeld, match=r"only 1\.00 USD of it is not set aside"), write(engine) as conn:
        grant_tables.give_back(conn, "acme", "USD", 2 * USD, "R-1", 12, free=1 * USD)
    with read(engine) as conn:
        assert _left(conn) == 5 * USD


def test_what_is_used_on_credit_burns_no_grant(engine: Engine) -> None:
    with write(engine) as conn:
        open_balance(conn, "acme", "USD")
        grant_tables.add(conn, "acme", "USD", grant("PAY", 5 * USD))
        set_credit(conn, "acme", 100 * USD)
        post_charges(conn, "usage/1", 9, {("acme", "USD", "m"): 4 * USD}, {})
        assert [each.used for each in grant_tables.read_grants(conn, "acme")] == [0]
        assert prepaid_of(conn, "acme") == 5 * USD


def test_a_refund_beyond_what_was_paid_changes_nothing(engine: Engine) -> None:
    with write(engine) as conn:
        open_balance(conn, "acme", "USD")
        grant_tables.add(conn, "acme", "USD", grant("PAY", 5 * USD))
        grant_tables.add(conn, "acme", "USD", grant("GIFT", 50 * USD, kind="promo", priority=200))
    for payment, said in (("", "more than is unused of what acme paid: 5.00 USD"), ("GIFT", "no payment of acme")):
        with pytest.raises(RefundTooLarge, match=said), write(engine) as conn:
            grant_tables.give_back(conn, "acme", "USD", 6 * USD, "R-1", 12, free=55 * USD, payment=payment)
    with read(engine) as conn:
        assert _left(conn) == 55 * USD


def test_one_id_is_one_grant(engine: Engine) -> None:
    with write(engine) as conn:
        open_balance(conn, "acme", "USD")
        grant_tables.add(conn, "acme", "USD", grant("X", 5 * USD))
    for other in (grant("X", 6 * USD), grant("X", 5 * USD, priority=1), grant("X", 5 * USD, ends_at=7)):
        with pytest.raises(TransactionConflict), write(engine) as conn:
            grant_tables.add(conn, "acme", "USD", other)
    with pytest.raises(TransactionConflict, match="already"), write(engine) as conn:
        grant_tables.add(conn, "acme", "USD", grant("X", 5 * USD), top_up=True)
    with read(engine) as conn:
        assert _left(conn) == 5 * USD
