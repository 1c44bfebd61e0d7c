"""Records come out as they went in, and a record says its kind in its first byte."""

import msgspec
import pytest

from entrepot.kernel.buckets import NOTHING, Quantities
from entrepot.metering.record import (
    Carry,
    Checkpoint,
    Clock,
    Ending,
    Grant,
    Intent,
    Kind,
    LeaseTotals,
    OpenIntent,
    Record,
    Return,
    Seal,
    Tally,
    Terms,
    from_bytes,
    kind_of,
    only,
    to_bytes,
)

RATES: Quantities = (250, 125, 250, 1000, 1000, -1, -1, -1)


def terms(**changes: object) -> Terms:
    return msgspec.structs.replace(
        Terms(
            key="k1", customer="acme", project="web", deployment="gpt", model="gpt-4o", upstream="openai",
            vendor="openai", zone="eu", balance="acme", currency="USD", price_version="list/3", den=100, rates=RATES,
            cost_version="cost/1", cost_currency="USD", cost_den=100, cost_rates=RATES,
        ),
        **changes,
    )  # fmt: skip


def intent(**changes: object) -> Intent:
    return msgspec.structs.replace(
        Intent(
            request="req_01M7YZZ2Q9C4T8W1X5R0EJ6HVN", attempt=1, admitted_at=1_000_000, operation="chat", stream=True,
            hold=10_000, input_bound=400, output_cap=100, terms=terms(),
        ),
        **changes,
    )  # fmt: skip


def ending(seq: int, **changes: object) -> Ending:
    return msgspec.structs.replace(
        Ending(
            attempt_seq=seq, request="req_01M7YZZ2Q9C4T8W1X5R0EJ6HVN", attempt=1, admitted_at=1_000_000,
            sent_at=1_000_010, first_at=1_000_500, ended_at=1_001_000, operation="chat", stream=True, state="final",
            source="vendor", status=200, reason="", quantities=(10, 0, 0, 5, 0, 0, 0, 0),
            charged=(10, 0, 0, 5, 0, 0, 0, 0), charge=75, cost=75, hold=10_000, overrun=0, unrated=(), input_bound=400,
            output_cap=100, service_tier="", vendor_model="gpt-4o-2024", vendor_request="x", usage=b"{}", events=7,
            size=900, terms=terms(),
        ),
        **changes,
    )  # fmt: skip


CASES: list[tuple[Kind, Record]] = [
    (Kind.INTENT, intent()),
    (Kind.ENDING, ending(1)),
    (Kind.CHECKPOINT, Checkpoint(attempt_seq=1, at=5, events=3, size=70, tokens=9)),
    (Kind.GRANT, Grant("acme", 5)),
    (Kind.RETURN, Return("acme", 5)),
    (Kind.TALLY, Tally(5, {"k1 no_balance": 3})),
    (Kind.CLOCK, Clock(5, -2_000_000)),
    (Kind.CARRY, Carry(0, 1, (LeaseTotals("acme", 3, 2, 1),), (OpenIntent(4, intent(), None),))),
    (Kind.SEAL, Seal(5, "worker")),
]


@pytest.mark.parametrize(("kind", "record"), CASES, ids=[kind.name.lower() for kind, _ in CASES])
def test_a_record_comes_back_as_it_was(kind: Kind, record: Record) -> None:
    data = to_bytes(record)
    assert kind_of(data) == kind
    assert from_bytes(data) == record
    assert from_bytes(memoryview(data)) == record


def test_the_kinds_are_fixed_for_ever() -> None:
    assert [(kind.name, kind.value) for kind in Kind] == [
        ("INTENT", 1), ("ENDING", 2), ("CHECKPOINT", 3), ("GRANT", 4), ("RETURN", 5), ("TALLY", 6), ("CLOCK", 7),
        ("CARRY", 8), ("SEAL", 9),
    ]  # fmt: skip


def test_a_record_of_an_unknown_kind_or_half_a_record_is_refused() -> None:
    with pytest.raises(KeyError):
        from_bytes(b"\x63\x90")
    with pytest.raises(msgspec.DecodeError):
        from_bytes(to_bytes(intent())[:-1])


def test_an_ending_at_its_bounds_fits_into_what_is_kept_free_for_it() -> None:
    name = "x" * 64
    long = terms(key=name, customer=name, project=name, deployment=name, model=name, upstream=name, balance=name)
    largest = ending(2**40, usage=b"u" * 4096, vendor_model=name, vendor_request=name, terms=long)
    assert len(to_bytes(largest)) <= 6 * 1024


def test_an_open_intent_at_its_bounds_fits_into_what_a_carry_is_expected_to_take() -> None:
    name = "x" * 64
    long = terms(key=name, customer=name, project=name, deployment=name, model=name, upstream=name, balance=name)
    mark = Checkpoint(attempt_seq=2**40, at=2**50, events=2**30, size=2**40, tokens=2**30, quantities=(2**30,) * 8)
    assert len(to_bytes(Carry(0, 1, (), (OpenIntent(2**40, intent(terms=long), mark),)))) <= 2 * 1024


def test_only_picks_the_records_of_one_kind_in_order() -> None:
    data = [to_bytes(record) for _, record in CASES]
    assert only([*data, *data], Kind.GRANT) == [data[3], data[3]]
    assert NOTHING == (0,) * 8
