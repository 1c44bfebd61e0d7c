"""Who may spend how much: cases in money, then properties over any number of slots."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine

import entrepot.customers.tables  # noqa: F401 - budgets name customers
from entrepot.keeper.authority import SLICE_SECONDS, Question, answer, decide
from entrepot.ledger.grant_tables import top_up
from entrepot.ledger.tables import balance_of, open_balance
from entrepot.limits import tables
from entrepot.limits.message import Granted, Want
from entrepot.storage.database import open_database, prepare, write


def want(need: int, seen: int = 0, pace: int = 0, hold: int = 0) -> Want:
    return Want(balance="demo", granted_seen=seen, need=need, pace=pace, hold=hold)


def ask(conn: Connection, slot: int, wanted: Want, *, slots: int = 1) -> Granted:
    (found,) = answer(conn, [Question(slot, wanted)], slots=slots, at=0)
    return found.granted


@pytest.mark.parametrize(
    ("ask", "granted", "funds", "outstanding", "exact", "expected"),
    [
        # a slice lasts 900 s of the pace, but takes at most a quarter of what is available
        (want(5, pace=1), 0, 100_000, {}, False, (900, "")),
        (want(5, pace=1), 0, 2_000, {}, False, (500, "")),
        # what the slot has already is part of its 900 s; never less than the need
        (want(5, pace=1, seen=800), 800, 100_000, {1: 800}, False, (100, "")),
        (want(300, pace=1, seen=800), 800, 100_000, {1: 800}, False, (300, "")),
        (want(900), 0, 1_000, {}, False, (900, "")),
        # others' slices are not available; after a recall nobody gets more than it needs
        (want(200, pace=9), 0, 1_000, {2: 700}, False, (200, "")),
        (want(200, pace=9), 0, 1_000, {2: 500}, True, (200, "")),
        # too little is left: held while the ledger could pay, spent when it could not with nothing held
        (want(400), 0, 1_000, {2: 700}, False, (0, "held")),
        (want(1_001), 0, 1_000, {2: 700}, False, (0, "spent")),
        (want(400, hold=1_001, seen=601), 601, 1_000, {1: 601}, False, (0, "spent")),
        (want(400, hold=1_000, seen=601), 601, 1_000, {1: 601}, False, (0, "held")),
        # the worker has not heard of the last grant: the same total again
        (want(400, seen=0), 400, 1_000, {1: 400}, False, (0, "")),
        (want(500, seen=100), 400, 1_000, {1: 400}, False, (200, "")),
        # nothing needed: taken ahead
        (want(0, pace=1), 0, 100_000, {}, False, (900, "")),
        (want(0, pace=1, seen=5_000), 5_000, 100_000, {1: 5_000}, False, (0, "")),
        # a restored backup: leases beyond the funds grant nothing
        (want(1), 0, 500, {2: 900}, False, (0, "held")),
    ],
)
def test_the_slice(
    ask: Want, granted: int, funds: int, outstanding: dict[int, int], exact: bool, expected: tuple[int, str]
) -> None:
    found = decide(ask, slot=1, granted=granted, funds=funds, outstanding=outstanding, slots=1, exact=exact)
    assert tuple(found) == expected


@given(
    need=st.integers(0, 10**6), seen=st.integers(0, 10**6), missed=st.integers(0, 10**6), pace=st.integers(0, 10**5),
    funds=st.integers(0, 10**7), others=st.lists(st.integers(0, 10**6), max_size=4), mine=st.integers(0, 10**6),
    slots=st.integers(1, 8), exact=st.booleans(), extra=st.integers(0, 10**6),
)  # fmt: skip
def test_no_decision_goes_beyond_the_funds(
    need: int, seen: int, missed: int, pace: int, funds: int, others: list[int], mine: int, slots: int, exact: bool,
    extra: int,
) -> None:  # fmt: skip
    outstanding = {1: mine, **dict(enumerate(others, 2))}
    ask = want(need, seen, pace, need + extra)
    amount, short = decide(
        ask, slot=1, granted=seen + missed, funds=funds, outstanding=outstanding, slots=slots, exact=exact
    )
    available = funds - sum(outstanding.values())
    assert amount >= 0
    assert amount <= max(0, available)
    if short:
        assert amount == 0
        assert need - missed > available
    else:
        assert amount + missed >= need or amount >= need - missed
        assert amount <= max(need, pace * SLICE_SECONDS)
    if short == "spent":
        assert funds < need + extra


@pytest.mark.long
@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.integers(1, 4), st.integers(0, 400), st.integers(0, 3), st.booleans()), max_size=25))
def test_over_any_number_of_slots_the_leases_stay_within_the_balance(
    house: Engine, steps: list[tuple[int, int, int, bool]]
) -> None:
    held: dict[int, int] = dict.fromkeys(range(1, 5), 0)
    with house.connect() as conn, conn.begin() as transaction:
        for slot, need, pace, back in steps:
            if back:
                tables.returned(conn, "demo", slot, held[slot])
                continue
            granted = ask(conn, slot, want(need, held[slot], pace), slots=4)
            assert granted.total >= held[slot]
            held[slot] = granted.total
            total = sum(map(tables.outstanding, tables.leases_of(conn, "demo").values()))
            assert total <= balance_of(conn, "demo") == 1000
        transaction.rollback()


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    engine = open_database(tmp_path_factory.mktemp("authority") / "entrepot.sqlite")
    prepare(engine)
    with write(engine) as conn:
        open_balance(conn, "demo", "USD")
        top_up(conn, "demo", 1000, "USD", "PAY-1", 1)
    return engine


def test_a_slot_that_was_granted_more_than_the_database_knows_is_believed(engine: Engine) -> None:
    with write(engine) as conn:
        open_balance(conn, "demo", "USD")
        top_up(conn, "demo", 1000, "USD", "PAY-1", 1)
        granted = ask(conn, 1, want(100, seen=600))
        assert (granted.total, granted.short, granted.left) == (700, "", 1000)
        assert ask(conn, 2, want(301)).short == "held"
        assert ask(conn, 3, Want(balance="nobody", granted_seen=5, need=1, pace=0)).short == "spent"
