"""A crash leaves intents; closing gives each of them exactly one ending, and a carry says where a stream stands."""

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_record import ending, intent, terms

from entrepot.kernel.buckets import NOTHING
from entrepot.metering.closing import Standing, StreamBroken, carry_part, close_open
from entrepot.metering.record import (
    Checkpoint,
    Ending,
    Grant,
    LeaseTotals,
    Return,
    Tally,
    from_bytes,
    to_bytes,
)
from entrepot.pricing.charge import charge


def standing_of(*records: Any) -> Standing:
    return Standing.of([(seq, to_bytes(record)) for seq, record in enumerate(records, 1)])


def closed(*records: Any, at: int = 9_000_000) -> list[Ending]:
    endings = [from_bytes(data) for data in close_open(standing_of(*records), at, charge)]
    assert all(isinstance(found, Ending) for found in endings)
    return endings  # type: ignore[return-value]


def mark(tokens: int = 0, **more: Any) -> Checkpoint:
    return Checkpoint(attempt_seq=1, at=2_000_000, events=4, size=120, tokens=tokens, **more)


USED = (10, 0, 0, 5, 0, 0, 0, 0)

# name, intent's changes, checkpoint, (state, source, quantities, charged, charge, cost)
AFTER_CRASH = [
    ("unary, nothing known: the hold's quantities at cost, no charge",
     {"stream": False}, None, ("estimated", "estimate", (400, 0, 0, 100, 0, 0, 0, 0), NOTHING, 0, 2000)),
    ("stream that never moved: no charge",
     {}, None, ("estimated", "estimate", (400, 0, 0, 100, 0, 0, 0, 0), NOTHING, 0, 2000)),
    ("stream that moved: the output delivered",
     {}, mark(7), ("estimated", "estimate", (400, 0, 0, 7, 0, 0, 0, 0), (0, 0, 0, 7, 0, 0, 0, 0), 70, 1070)),
    ("stream with usage: the vendor's word",
     {}, mark(7, usage=b'{"x":1}', quantities=USED), ("aborted", "vendor", USED, USED, 75, 75)),
    ("unary with usage: cost without charge",
     {"stream": False}, mark(0, usage=b"{}", quantities=USED), ("aborted", "vendor", USED, NOTHING, 0, 75)),
    ("a price per request is paid by a call that is paid for",
     {"terms": terms(request_rate=600, cost_request_rate=300)}, mark(7, usage=b"{}", quantities=USED),
     ("aborted", "vendor", USED, USED, 81, 78)),
    ("no cost book: cost unknown",
     {"terms": terms(cost_version="", cost_den=1)}, None,
     ("estimated", "estimate", (400, 0, 0, 100, 0, 0, 0, 0), NOTHING, 0, -1)),
]  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "point", "expected"), [c[1:] for c in AFTER_CRASH], ids=[c[0] for c in AFTER_CRASH]
)
def test_an_open_intent_ends_by_the_state_table(
    changes: dict[str, Any], point: Checkpoint | None, expected: tuple[Any, ...]
) -> None:
    [end] = closed(intent(**changes), *([point] if point else []))
    assert (end.state, end.source, end.quantities, end.charged, end.charge, end.cost) == expected
    assert (end.attempt_seq, end.reason, end.hold, end.ended_at) == (1, "crash", 10_000, 9_000_000)


def test_charge_never_exceeds_the_hold_and_the_rest_is_overrun() -> None:
    [end] = closed(intent(hold=50), mark(7))
    assert (end.charge, end.overrun) == (50, 20)


def test_the_prices_are_those_of_the_tier_that_the_vendor_named_with_its_usage() -> None:
    named = terms(rates=(0, 20, 0, 0, 0, 0, 0, 0), bracket="200000")
    point = mark(7, usage=b"{}", quantities=(0, 10, 0, 0, 0, 0, 0, 0), service_tier="priority", terms=named)
    [end] = closed(intent(), point)
    assert (end.service_tier, end.terms, end.charge) == ("priority", named, 2)


def test_an_ending_is_never_before_its_admission() -> None:
    [end] = closed(intent(), at=5)
    assert end.ended_at == 1_000_000


def test_the_last_checkpoint_counts() -> None:
    [end] = closed(intent(), mark(7), mark(9))
    assert end.charged[3] == 9


def test_an_attempt_that_has_ended_is_not_closed_again() -> None:
    assert closed(intent(), ending(1)) == []
    assert closed(intent(), ending(1), mark(3)) == []


def test_closing_what_was_closed_adds_nothing() -> None:
    records: list[Any] = [intent(), intent(), mark(3)]
    endings = closed(*records)
    assert len(endings) == 2
    assert closed(*records, *endings) == []


def test_leases_follow_totals_and_charges() -> None:
    standing = standing_of(
        Grant("acme", 100), Grant("acme", 90), intent(), ending(3, charge=30), Return("acme", 5), Grant("zeta", 7),
        Tally(1, {"k no": 2}),
    )  # fmt: skip
    assert standing.leases == {"acme": LeaseTotals("acme", 100, 5, 30), "zeta": LeaseTotals("zeta", 7, 0, 0)}


def test_a_charge_moves_every_lease_that_the_intent_drew_on() -> None:
    """Also through a carry: what recovery reads is the same."""
    drawn = msgspec.structs.replace(intent().terms, budgets=("b/day", "b/month"), watched=("b/soft",))
    opened = msgspec.structs.replace(intent(), terms=drawn)
    standing = standing_of(Grant("b/day", 50), opened, intent())
    for seq, part in enumerate(standing.carry(limit=100), 4):
        standing.fold(seq, part)
    standing.fold(9, to_bytes(msgspec.structs.replace(ending(2, charge=30), terms=drawn)))
    assert standing.leases["b/day"] == LeaseTotals("b/day", 50, 0, 30)
    assert {name for name, totals in standing.leases.items() if totals.charged == 30} == {
        drawn.balance, "b/day", "b/month",
    }  # fmt: skip


def test_an_ending_without_its_intent_stops_the_fold() -> None:
    with pytest.raises(StreamBroken, match="attempt 7"):
        standing_of(ending(7))
    with pytest.raises(StreamBroken, match="attempt 1"):
        standing_of(intent(), ending(1), ending(1))


def test_a_record_of_a_later_version_is_named() -> None:
    with pytest.raises(StreamBroken, match="record 4 of kind 99"):
        Standing().fold(4, b"\x63\x90")


def test_a_carry_that_is_not_complete_changes_nothing() -> None:
    standing = standing_of(Grant("acme", 100), intent(), intent())
    parts = standing.carry(limit=100)
    assert len(parts) == 3
    assert [carry_part(part) for part in parts] == [(0, 3), (1, 3), (2, 3)]
    for seq, part in enumerate(parts[:-1], 4):
        standing.fold(seq, part)
    standing.fold(9, to_bytes(ending(2)))
    assert set(standing.open) == {3}


def test_parts_of_a_carry_come_in_order() -> None:
    parts = standing_of(Grant("acme", 100), intent(), intent()).carry(limit=100)
    standing = Standing()
    with pytest.raises(StreamBroken, match="part 1"):
        standing.fold(1, parts[1])


def test_an_empty_standing_has_a_carry_too() -> None:
    [part] = Standing().carry()
    assert carry_part(part) == (0, 1)


moves = st.lists(
    st.tuples(st.sampled_from(["intent", "ending", "mark", "grant", "return"]), st.integers(0, 5), st.integers(1, 900)),
    max_size=40,
)


@settings(deadline=None, max_examples=60)
@given(moves, st.integers(60, 3000), st.integers(0, 40))
def test_a_carry_stands_for_everything_before_it(steps: list[tuple[str, int, int]], limit: int, cut: int) -> None:
    records: list[bytes] = []
    open_now: list[int] = []
    for kind, which, amount in steps:
        balance = f"b{which}"
        if kind == "intent":
            records.append(to_bytes(intent(hold=amount, terms=terms(balance=balance))))
            open_now.append(len(records))
        elif kind == "grant":
            records.append(to_bytes(Grant(balance, amount)))
        elif kind == "return":
            records.append(to_bytes(Return(balance, amount)))
        elif open_now and kind == "ending":
            records.append(to_bytes(ending(open_now.pop(which % len(open_now)), charge=amount)))
        elif open_now:
            seq = open_now[which % len(open_now)]
            records.append(to_bytes(Checkpoint(attempt_seq=seq, at=1, events=1, size=1, tokens=amount)))
    whole = Standing.of(list(enumerate(records, 1)))
    cut = min(cut, len(records))
    first = Standing.of(list(enumerate(records[:cut], 1)))
    parts = first.carry(limit)
    later = Standing.of([(0, part) for part in parts] + list(enumerate(records, 1))[cut:])
    assert later.open == whole.open
    assert later.leases == whole.leases
    assert [carry_part(part) for part in parts] == [(n, len(parts)) for n in range(len(parts))]
    assert close_open(later, 7, charge) == close_open(whole, 7, charge)
