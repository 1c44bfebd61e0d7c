"""Grants as rows: what is said of them, what may go back or end to the last unit, and what calls took of a balance."""

import pytest
from sqlalchemy import Connection, Engine, select

from entrepot.ledger import grant_tables
from entrepot.ledger.check import check_ledger
from entrepot.ledger.grant_tables import PurchaseTax, RefundHeld
from entrepot.ledger.grants import Grant, RefundTooLarge
from entrepot.ledger.tables import BalanceCurrency, balance_of, open_balance, post_charges, transactions
from entrepot.ledger.taken_tables import all_taken, charged_sums, take, taken_of
from entrepot.storage.database import read, write

USD = 10**9
DAY = 24 * 3600 * 10**6
JANUARY, FEBRUARY = 20 * DAY, 40 * DAY


def grant(id: str, amount: int, **given: object) -> Grant:
    facts = {"kind": "paid", "priority": 100, "ends_at": 0, "created_at": 1, **given}
    return Grant(id=id, amount=amount, **facts)  # type: ignore[arg-type]


def nothing(_end: int) -> int:
    """No call is under way."""
    return 0


def _said(conn: Connection) -> list[tuple[str, str]]:
    return [(row.id, row.about) for row in conn.execute(select(transactions).order_by(transactions.c.seq))]


@pytest.fixture
def acme(engine: Engine) -> Engine:
    with write(engine) as conn:
        open_balance(conn, "acme", "USD")
    return engine


def test_what_is_left_of_a_grant_is_neither_used_nor_refunded_nor_expired() -> None:
    assert grant("A", 100, used=1, refunded=10, expired=30).left == 59


def test_the_books_say_in_words_what_was_paid_given_refunded_and_ended(acme: Engine) -> None:
    with write(acme) as conn:
        grant_tables.top_up(conn, "acme", 100 * USD, "USD", "T", 1)
        grant_tables.add(conn, "acme", "USD", grant("P", 5 * USD))
        grant_tables.add(conn, "acme", "USD", grant("G", 2 * USD, kind="promo", priority=50, ends_at=DAY))
        grant_tables.give_back(conn, "acme", "USD", USD, "R-1", 2, free=107 * USD)
        grant_tables.give_back(conn, "acme", "USD", USD, "R-2", 2, free=106 * USD, payment="P")
        assert grant_tables.expire(conn, "acme", "USD", DAY, free=105 * USD, held=nothing) == 0
        assert _said(conn) == [
            ("top-up/T", "top-up of acme by 100.00 USD"),
            ("grant/P", "paid grant of acme by 5.00 USD, priority 100, ends never"),
            ("grant/G", "promo grant of acme by 2.00 USD, priority 50, ends 1970-01-02T00:00:00Z"),
            ("refund/R-1", "refund of 1.00 USD to acme"),
            ("refund/R-2", "refund of 1.00 USD to acme, of P"),
            ("expiry/acme/G/0", "unused rest of promo grant G of acme"),
        ]


def test_what_was_paid_without_tax_leaves_no_rest_and_never_ends(acme: Engine) -> None:
    with write(acme) as conn:
        grant_tables.top_up(conn, "acme", 5 * USD, "USD", "A", 10)
        grant_tables.top_up(conn, "acme", 7 * USD, "USD", "B", 11)
        assert [(each.id, each.rest) for each in grant_tables.purchases(conn)] == [("A", 0), ("B", 0)]
        assert [each.id for each in grant_tables.purchases(conn, from_=10, until=11)] == ["A"]
        assert [each.id for each in grant_tables.purchases(conn, from_=11, until=12)] == ["B"]
        assert {each.ends_at for each in grant_tables.read_grants(conn, "acme")} == {0}
        assert grant_tables.ended(conn, 1 << 62) == []


def test_a_decided_tax_of_nothing_is_remembered_and_has_no_account(acme: Engine) -> None:
    free = PurchaseTax(country="DE", category="AE", percent="0", reason="reverse charge", code="VATEX-EU-AE")
    with write(acme) as conn:
        grant_tables.top_up(conn, "acme", 5 * USD, "USD", "A", 1, tax=free)
        assert [each.tax for each in grant_tables.purchases(conn)] == [free]
        assert [(each.tax, each.tax_name) for each in grant_tables.read_grants(conn, "acme")] == [(0, "")]


def test_a_refund_is_in_the_currency_of_the_balance_and_may_be_all_that_is_free(acme: Engine) -> None:
    with write(acme) as conn:
        grant_tables.top_up(conn, "acme", 5 * USD, "USD", "A", 1)
    with pytest.raises(BalanceCurrency, match="'acme' is kept in USD, not in EUR"), write(acme) as conn:
        grant_tables.give_back(conn, "acme", "EUR", USD, "R", 2, free=5 * USD)
    with pytest.raises(RefundHeld, match=r"only 0\.00 USD of it is not set aside"), write(acme) as conn:
        grant_tables.give_back(conn, "acme", "USD", 2, "R", 2, free=-1)
    with pytest.raises(RefundTooLarge), write(acme) as conn:
        grant_tables.give_back(conn, "acme", "USD", 5 * USD + 1, "R", 2, free=6 * USD)
    with write(acme) as conn:
        assert grant_tables.give_back(conn, "acme", "USD", 2 * USD, "R", 2, free=2 * USD) == 2 * USD
        assert grant_tables.give_back(conn, "acme", "USD", 3 * USD, "S", 2, free=3 * USD) == 3 * USD
        assert balance_of(conn, "acme") == 0


def test_grants_that_end_share_what_is_free_and_nothing_is_posted_for_what_must_wait(acme: Engine) -> None:
    with write(acme) as conn:
        for id in ("A", "B"):
            grant_tables.add(conn, "acme", "USD", grant(id, 5 * USD, kind="promo", ends_at=1))
        assert grant_tables.ended(conn, 0) == []
        assert grant_tables.ended(conn, 1) == ["acme"]
        assert grant_tables.expire(conn, "acme", "USD", 0, free=10 * USD, held=nothing) == 0
        before = _said(conn)
        assert grant_tables.expire(conn, "acme", "USD", 1, free=0, held=nothing) == 10 * USD
        assert _said(conn) == before
        assert grant_tables.expire(conn, "acme", "USD", 1, free=6 * USD, held=nothing) == 4 * USD
        assert {each.id: each.expired for each in grant_tables.read_grants(conn, "acme")} == {"A": 5 * USD, "B": USD}
        assert grant_tables.expire(conn, "acme", "USD", 2, free=4 * USD, held=nothing) == 0
        assert [id for id, _ in _said(conn)][2:] == ["expiry/acme/A/0", "expiry/acme/B/0", f"expiry/acme/B/{USD}"]
        assert (balance_of(conn, "acme"), grant_tables.ended(conn, 2)) == (0, [])
        assert check_ledger(conn).differences == []


def test_what_returns_of_a_month_leaves_the_calls_of_every_other_alone(acme: Engine) -> None:
    with write(acme) as conn:
        grant_tables.top_up(conn, "acme", 50 * USD, "USD", "A", 1)
        sums = {("acme", JANUARY): 3 * USD, ("acme", JANUARY + DAY): 2 * USD, ("acme", FEBRUARY): 7 * USD}
        post_charges(conn, "usage/1", FEBRUARY, {("acme", "USD", "m"): 12 * USD}, {}, taken=sums)
        grant_tables.settle(conn, "acme", "1970-01", 4 * USD)
        left = [(JANUARY, USD), (JANUARY + DAY, 0), (FEBRUARY, 7 * USD)]
        assert taken_of(conn, "acme") == left
        assert all_taken(conn) == {"acme": left}
        assert charged_sums(conn) == sums


def test_sums_of_nothing_are_no_rows(acme: Engine) -> None:
    with write(acme) as conn:
        take(conn, {("acme", 1): 0, ("acme", 2): 5})
        take(conn, {}, {("acme", 3): 0, ("acme", 2): 1})
    with read(acme) as conn:
        assert charged_sums(conn) == {("acme", 2): 5}
        assert taken_of(conn, "acme") == [(2, 4)]
