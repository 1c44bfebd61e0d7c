"""Sums of endings: pure, and in the database on SQLite and PostgreSQL."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine
from sqlalchemy.exc import DatabaseError

from endings import AT, ending, terms
from entrepot.kernel.instants import DAY, HOUR
from entrepot.metering import tables
from entrepot.metering.record import Carry, Ending, Grant, LeaseTotals, Record, Return, Seal, Tally, to_bytes
from entrepot.metering.rollup import NO_SUMS, RollupSums, fold
from entrepot.metering.tables import PositionMoved, StreamPosition, UsageQuestion
from entrepot.storage.database import read, write


def written(*records: Record) -> list[bytes]:
    return [to_bytes(record) for record in records]


@st.composite
def endings(draw: st.DrawFn) -> Ending:
    used = tuple(draw(st.lists(st.integers(0, 10**6), min_size=8, max_size=8)))
    pays = draw(st.sampled_from([used, (0,) * 8]))
    return ending(
        draw(st.integers(0, 10**6)),
        quantities=used,
        charged=pays,
        attempt=draw(st.integers(1, 2)),
        admitted_at=AT + draw(st.integers(0, 3)) * HOUR,
        state=draw(st.sampled_from(["final", "aborted", "estimated"])),
        cost=draw(st.sampled_from([-1, 0, 10**12])),
        overrun=draw(st.sampled_from([0, 3])),
        unrated=draw(st.sampled_from([(), (5,)])),
        terms=terms(draw(st.sampled_from(["demo", "acme"])), key=draw(st.sampled_from(["Ky9Pf34qY6", "7Hd2000000"]))),
    )


@pytest.mark.long
@given(st.lists(endings(), max_size=30), st.integers(0, 30))
def test_split_is_whole_and_order_does_not_matter(records: list[Ending], cut: int) -> None:
    whole = fold(written(*records))
    first, second = fold(written(*records[:cut])), fold(written(*reversed(records[cut:])))
    keys = {*first.groups, *second.groups}
    assert whole.groups == {
        key: first.groups.get(key, NO_SUMS).plus(second.groups.get(key, NO_SUMS)) for key in keys
    }
    for name in ("charged", "charges", "costs"):
        one, two = getattr(first, name), getattr(second, name)
        assert getattr(whole, name) == {k: one.get(k, 0) + two.get(k, 0) for k in {*one, *two}}


@pytest.mark.long
@given(st.lists(endings(), min_size=1, max_size=30))
def test_what_the_ledger_gets_is_what_the_rollup_has(records: list[Ending]) -> None:
    batch = fold(written(*records))
    charge = sum(e.charge for e in records)
    assert charge == sum(s.charge for s in batch.groups.values()) == sum(batch.charges.values())
    assert charge == sum(batch.charged.values())
    assert sum(e.cost for e in records if e.cost > 0) == sum(batch.costs.values())
    assert len(records) == sum(s.attempts for s in batch.groups.values()) == batch.endings
    assert sum(any(e.charged) for e in records) == sum(s.calls for s in batch.groups.values())
    assert sum(e.overrun for e in records) == sum(s.overrun for s in batch.groups.values())


def test_lease_totals_are_the_largest_seen_wherever_they_stand() -> None:
    carry = Carry(part=0, parts=1, leases=(LeaseTotals("demo", 70, 10, 5),), open=())
    returns = Return("demo", 5), Return("demo", 12)
    batch = fold(written(Grant("demo", 50), carry, *returns, Grant("acme", 3), Seal(1, "x")))
    assert (batch.granted, batch.returned, batch.charged) == ({"demo": 70, "acme": 3}, {"demo": 12}, {})
    assert batch.sealed


def test_budgets_sum_their_charges_and_only_hard_ones_have_leases() -> None:
    one = terms("demo", budgets=("d/1", "d/2"), watched=("d/3",))
    two = terms("demo", key="7Hd2000000", watched=("d/1",))
    batch = fold(written(ending(1, terms=one), ending(2, terms=two), ending(3, terms=one, charged=(0,) * 8)))
    charge = ending(1).charge
    assert batch.budgets == {"d/1": 2 * charge, "d/2": charge, "d/3": charge}
    assert batch.charged == {"demo": 2 * charge, "d/1": charge, "d/2": charge}
    assert sum(batch.charges.values()) == 2 * charge


@pytest.mark.long
def test_usage_reads_back_what_batches_added(engine: Engine) -> None:
    records = [
        ending(1), ending(2, (7, 9)), ending(3, terms=terms("acme")),
        ending(4, state="estimated", source="estimate", charged=(0,) * 8, admitted_at=AT + DAY),
        ending(5, attempt=2, terms=terms(cost_currency="EUR"), unrated=(5,)),
    ]  # fmt: skip
    with write(engine) as conn:
        for record in records:
            tables.add(conn, 1, 1, fold(written(record)))
    with read(engine) as conn:
        by_customer = {row.by["customer"]: row for row in tables.usage(conn, ["customer"])}
        assert by_customer["acme"].charge == records[2].charge
        assert by_customer["demo"].charge == sum(e.charge for e in records if e.terms.customer == "demo")
        assert by_customer["demo"].charged[:4] == (41 + 7 + 41, 0, 0, 23 + 9 + 23)
        assert by_customer["demo"].billed[:4] == (41 + 7 + 41 + 41, 0, 0, 23 + 9 + 23 + 23)
        assert (by_customer["demo"].requests, by_customer["demo"].attempts) == (3, 4)
        assert by_customer["demo"].costs == {
            "USD": records[0].cost + records[1].cost + records[3].cost, "EUR": records[4].cost
        }  # fmt: skip
        assert tables.state_counts(conn) == {"final": 4, "estimated": 1}
        assert [row.by["day"] for row in tables.usage(conn, ["day"], state="estimated")] == [AT // DAY * DAY + DAY]
        assert tables.usage(conn, [], from_=AT, until=AT + HOUR)[0].attempts == 4
        assert [u["buckets"] for u in tables.unrated(conn)] == [["audio_input"]]
        total = tables.rollup_rows(conn)
        assert sum(sums.charge for sums in total.values()) == sum(e.charge for e in records)
    with read(engine) as conn, pytest.raises(UsageQuestion):
        tables.usage(conn, ["colour"])


def test_a_sum_beyond_64_bits_is_exact_and_a_row_beyond_is_refused(engine: Engine) -> None:
    huge = 2**63 - 1
    with write(engine) as conn:
        for hour in range(3):
            e = ending(1, charge=huge, hold=huge, admitted_at=AT + hour * HOUR)
            tables.add(conn, 1, 1, fold(written(e)))
    with read(engine) as conn:
        assert tables.usage(conn)[0].charge == 3 * huge
    with pytest.raises(DatabaseError), write(engine) as conn:
        tables.add(conn, 1, 1, fold(written(ending(1, charge=1))))
    with read(engine) as conn:
        assert tables.usage(conn)[0].charge == 3 * huge


def test_refusals_of_an_hour_add_up(engine: Engine) -> None:
    for n in (3, 4):
        with write(engine) as conn:
            tables.add(conn, 1, 1, fold(written(Tally(AT + n, {"Ky9Pf34qY6 model_not_priced": n}))))
    with read(engine) as conn:
        assert tables.refused(conn) == [(AT, "Ky9Pf34qY6 model_not_priced", 7)]


def test_a_position_moves_only_from_where_it_was_read(engine: Engine) -> None:
    def at(offset: int) -> StreamPosition:
        return StreamPosition(slot=1, epoch=1, segment=0, offset=offset, records=0, endings=0, last_at=9, sealed=False)

    with write(engine) as conn:
        tables.advance(conn, None, at(64))
    with write(engine) as conn:
        tables.advance(conn, at(64), at(128))
    for before in (None, at(64)):
        with pytest.raises(PositionMoved), write(engine) as conn:
            tables.advance(conn, before, at(256))
    with read(engine) as conn:
        assert tables.positions(conn) == {(1, 1): at(128)}
        assert tables.last_ended(conn) == 9


def test_no_sums_change_nothing() -> None:
    sums = RollupSums(1, 2, (1,) * 8, (2,) * 8, 3, 4, 5, 6, 7, 8)
    assert sums.plus(NO_SUMS) == sums
