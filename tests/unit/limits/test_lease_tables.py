"""Leases in the database, on SQLite and on PostgreSQL."""

import pytest
from sqlalchemy import Engine

from entrepot.limits import tables
from entrepot.limits.lease import LeaseBroken
from entrepot.metering.record import LeaseTotals
from entrepot.storage.database import read, write


def test_grants_never_exceed_the_funds_over_all_slots(engine: Engine) -> None:
    with write(engine) as conn:
        assert tables.grant(conn, "demo", 1, 60, 100) == 60
        assert tables.grant(conn, "demo", 2, 41, 100) is None
        assert tables.grant(conn, "demo", 2, 40, 100) == 40
        assert tables.grant(conn, "demo", 1, 1, 100) is None
        assert tables.grant(conn, "acme", 1, 10, 10) == 10
        tables.returned(conn, "demo", 1, 20)
        assert tables.grant(conn, "demo", 2, 20, 100) == 60
    with read(engine) as conn:
        assert tables.leases_of(conn, "demo") == {1: LeaseTotals("demo", 60, 20, 0), 2: LeaseTotals("demo", 60, 0, 0)}


def test_totals_repeated_or_out_of_order_change_nothing(engine: Engine) -> None:
    with write(engine) as conn:
        tables.grant(conn, "demo", 1, 60, 100)
        for total in (20, 5, 20):
            tables.returned(conn, "demo", 1, total)
        tables.move(conn, 1, granted={"demo": 50}, returned={"demo": 1}, charged={"demo": 30})
        assert tables.leases_of(conn, "demo")[1] == LeaseTotals("demo", 60, 20, 30)


def test_after_a_restore_the_slots_own_totals_count(engine: Engine) -> None:
    with write(engine) as conn:
        tables.move(conn, 3, granted={"demo": 500}, returned={"demo": 100}, charged={"demo": 250})
        assert tables.all_leases(conn) == [(3, LeaseTotals("demo", 500, 100, 250))]


def test_a_slot_cannot_spend_more_than_it_was_granted(engine: Engine) -> None:
    with write(engine) as conn:
        tables.grant(conn, "demo", 1, 60, 100)
    with pytest.raises(LeaseBroken), write(engine) as conn:
        tables.move(conn, 1, charged={"demo": 61})
