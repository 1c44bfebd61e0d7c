"""What a balance is made of: who burns first, what may go back, what is taken back at its end."""

import pytest
from sqlalchemy import Connection, Engine

from entrepot.ledger import grant_tables
from entrepot.ledger.attribution import Taken, burned
from entrepot.ledger.check import check_ledger
from entrepot.ledger.grant_tables import Purchase, PurchaseTax, RefundHeld
from entrepot.ledger.grants import Grant, RefundTooLarge, refund
from entrepot.ledger.postings import Event, settled
from entrepot.ledger.tables import (
    account_balances,
    balance_of,
    open_balance,
    post,
    post_charges,
    prepaid_of,
    set_credit,
)
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
    used = burned([second, first], [Taken(2, 7)]).used()
    assert used == {first.id: 5, second.id: 2}


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


def nothing(_end: int) -> int:
    """No call is under way."""
    return 0


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
        assert grant_tables.expire(conn, "acme", "USD", 50, free=_left(conn), held=nothing) == 0
        assert grant_tables.ended(conn, 60) == []
        assert grant_tables.expire(conn, "acme", "USD", 60, free=_left(conn), held=nothing) == 0
        assert _left(conn) == 100 * USD
        args = ("acme", "USD", 30 * USD, "R-1", 60)
        assert grant_tables.give_back(conn, *args, free=_left(conn), payment="PAY-1") == 30 * USD
        assert grant_tables.give_back(conn, *args, free=0, payment="PAY-1") is None
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
        assert grant_tables.expire(conn, "acme", "USD", 10, free=5 * USD, held=nothing) == 0
        assert _books(conn) == {"cash": 5 * USD, "breakage": 5 * USD}


def test_what_is_in_leases_is_neither_taken_back_nor_refunded(engine: Engine) -> None:
    with write(engine) as conn:
        open_balance(conn, "acme", "USD")
        grant_tables.add(conn, "acme", "USD", grant("GIFT", 5 * USD, kind="promo", ends_at=10))
        assert grant_tables.expire(conn, "acme", "USD", 10, free=2 * USD, held=nothing) == 3 * USD
        assert _left(conn) == 3 * USD
        assert grant_tables.ended(conn, 10) == ["acme"]
        post_charges(conn, "usage/1", 3, {("acme", "USD", "m"): 1 * USD}, {})
        assert grant_tables.expire(conn, "acme", "USD", 11, free=_left(conn), held=nothing) == 0
        assert _left(conn) == 0
        grant_tables.add(conn, "acme", "USD", grant("PAY", 5 * USD))
    with pytest.raises(RefundHeld, match=r"only 1\.00 USD of it is not set aside"), write(engine) as conn:
        grant_tables.give_back(conn, "acme", "USD", 2 * USD, "R-1", 12, free=1 * USD)
    with read(engine) as conn:
        assert _left(conn) == 5 * USD


def test_an_ended_grant_keeps_what_calls_from_before_its_end_may_burn_though_the_balance_has_more(
    engine: Engine,
) -> None:
    with write(engine) as conn:
        open_balance(conn, "acme", "USD")
        grant_tables.add(conn, "acme", "USD", grant("GIFT", 5 * USD, kind="promo", priority=50, ends_at=10))
        grant_tables.add(conn, "acme", "USD", grant("PAY", 5 * USD, priority=100))
        ends: list[int] = []

        def held(end: int) -> int:
            ends.append(end)
            return 4 * USD

        assert grant_tables.expire(conn, "acme", "USD", 10, free=6 * USD, held=held) == 4 * USD
        assert ends == [10]
        assert grant_tables.ended(conn, 10) == ["acme"]
        post_charges(conn, "usage/1", 9, {("acme", "USD", "m"): 3 * USD}, {})
        assert grant_tables.expire(conn, "acme", "USD", 11, free=_left(conn), held=nothing) == 0
        states = {each.id: (each.used, each.expired, each.left) for each in grant_tables.read_grants(conn, "acme")}
        assert states == {"GIFT": (3 * USD, 2 * USD, 0), "PAY": (0, 0, 5 * USD)}
        assert grant_tables.ended(conn, 10) == []


def test_late_records_burn_what_was_in_force_when_their_calls_were_admitted(engine: Engine) -> None:
    with write(engine) as conn:
        open_balance(conn, "acme", "USD")
        grant_tables.add(conn, "acme", "USD", grant("GIFT", 5 * USD, kind="promo", priority=50, ends_at=10))
        grant_tables.add(conn, "acme", "USD", grant("PAY", 9 * USD))
        for n, at in enumerate((11, 9, 10, 3), 1):
            charge = {("acme", "USD", "m"): USD}
            post_charges(conn, f"usage/{n}", 50, charge, {}, taken={("acme", at): USD})
        used = {each.id: each.used for each in grant_tables.read_grants(conn, "acme")}
        assert used == {"GIFT": 2 * USD, "PAY": 2 * USD}
        assert grant_tables.attribution(conn, "acme").of_month("1970-01") == {"promo": 2 * USD, "paid": 2 * USD}


def test_what_returns_at_the_end_of_a_month_was_burned_last_and_a_grant_that_ended_is_looked_at_again(
    engine: Engine,
) -> None:
    with write(engine) as conn:
        open_balance(conn, "acme", "USD")
        grant_tables.add(conn, "acme", "USD", grant("GIFT", 5 * USD, kind="promo", priority=50, ends_at=10))
        grant_tables.add(conn, "acme", "USD", grant("PAY", 9 * USD))
        charge = {("acme", "USD", "m"): 6 * USD}
        post_charges(conn, "usage/1", 50, charge, {}, taken={("acme", 9): 5 * USD, ("acme", 11): USD})
        assert grant_tables.expire(conn, "acme", "USD", 10, free=_left(conn), held=nothing) == 0
        assert grant_tables.ended(conn, 10) == []
        event = Event(id="acme/1970-01", customer="acme", currency="USD", at=60)
        post(conn, settled(event, charged={"m": 6 * USD}, rated={"m": 3 * USD}, prepaid=True))
        grant_tables.settle(conn, "acme", "1970-01", 3 * USD)
        assert grant_tables.ended(conn, 10) == ["acme"]
        states = {each.id: (each.used, each.left) for each in grant_tables.read_grants(conn, "acme")}
        assert states == {"GIFT": (3 * USD, 2 * USD), "PAY": (0, 9 * USD)}
        with pytest.raises(ValueError, match="took 3000000000 ledger units in 1970-01"):
            grant_tables.settle(conn, "acme", "1970-01", 4 * USD)


def test_credit_with_tax_goes_back_with_its_share_of_the_tax(engine: Engine) -> None:
    tax = PurchaseTax(country="DE", category="S", percent="19", amount=19 * USD)
    bought = grant("PAY", 100 * USD, tax=19 * USD, tax_name="DE S 19")
    with write(engine) as conn:
        open_balance(conn, "acme", "USD")
        args = {"top_up": True, "tax": tax, "received": 120 * USD}
        assert grant_tables.add(conn, "acme", "USD", bought, **args)  # type: ignore[arg-type]
        assert grant_tables.add(conn, "acme", "USD", grant("PAY", 120 * USD), top_up=True) is False  # tax since gone
        assert _books(conn) == {
            "cash": 120 * USD, "prepaid credit": 100 * USD, "output tax": 19 * USD, "customer credit": USD
        }  # fmt: skip
        assert grant_tables.purchases(conn) == [
            Purchase(balance="acme", id="PAY", currency="USD", at=1, received=120 * USD, net=100 * USD, tax=tax)
        ]
        assert grant_tables.purchases(conn)[0].rest == USD
        assert grant_tables.purchases(conn, balance="other") == grant_tables.purchases(conn, from_=2) == []
        assert grant_tables.purchases(conn, until=1) == []
        third = grant_tables.give_back(conn, "acme", "USD", 100 * USD // 3, "R-1", 5, free=100 * USD)
        assert third == 100 * USD // 3 + 6_330_000_000  # whole cents of tax
        rest = grant_tables.give_back(conn, "acme", "USD", 100 * USD - 100 * USD // 3, "R-2", 5, free=100 * USD)
        assert third + (rest or 0) == 119 * USD
        assert _books(conn) == {"cash": USD, "customer credit": USD}
        assert check_ledger(conn).differences == []


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
