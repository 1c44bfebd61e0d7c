"""When two ledgers agree, and every way in which they may not."""

import pytest

from entrepot.kernel.buckets import NOTHING, Quantities
from entrepot.metering.record import Ending, Terms
from entrepot.prove.books import Accepted
from entrepot.prove.compare import Ours, compare

TERMS = Terms(
    key="k", customer="demo", project="default", deployment="m", model="m", upstream="u", vendor="v", zone="EU",
    balance="demo", currency="USD", price_version="list/1", den=1, rates=NOTHING, cost_version="", cost_currency="",
    cost_den=1, cost_rates=NOTHING,
)  # fmt: skip
USED: Quantities = (6, 4, 0, 5, 3, 0, 0, 0)  # 10 prompt, 8 completion


def row(attempt: str = "w1-000001-1", *, prompt: int = 10, completion: int = 8, billed: bool = True) -> Accepted:
    return Accepted(
        n=1,
        at=0.0,
        attempt=attempt,
        model="m",
        stream=False,
        prompt=prompt,
        completion=completion,
        billed=billed,
        fault="",
    )


def ending(state: str = "final", source: str = "vendor", *, used: Quantities = USED, charge: int = 5) -> Ending:
    return Ending(
        attempt_seq=1, request="req", attempt=1, admitted_at=0, sent_at=0, first_at=0, ended_at=0, operation="chat",
        stream=False, state=state, source=source, status=200, reason="", quantities=used, charged=used, charge=charge,
        cost=0, hold=9, overrun=0, unrated=(), input_bound=9, output_cap=9, service_tier="", vendor_model="",
        vendor_request="", usage=b"", events=0, size=0, terms=TERMS,
    )  # type: ignore[arg-type]  # fmt: skip


def ours(*records: Ending, attempt: str = "w1-000001-1", unended: tuple[str, ...] = ()) -> Ours:
    return Ours(endings={attempt: list(records)} if records else {}, unended=frozenset(unended))


@pytest.mark.parametrize(
    ("state", "source", "used"),
    [
        ("final", "vendor", USED),
        ("aborted", "vendor", USED),
        ("aborted", "drained", USED),
        ("aborted", "counted", (1, 0, 0, 0, 0, 0, 0, 0)),
        ("estimated", "estimate", NOTHING),
    ],
)
def test_ledgers_that_agree(state: str, source: str, used: Quantities) -> None:
    found = compare([row()], ours(ending(state, source, used=used)))
    assert found.differences == []
    assert found.equal + found.marked == 1


def test_a_void_record_agrees_with_a_call_that_is_not_billed_only() -> None:
    void = ending("void", "vendor", used=NOTHING, charge=0)
    assert compare([row(prompt=0, completion=0, billed=False)], ours(void)).differences == []
    assert len(compare([row()], ours(void)).differences) == 1


@pytest.mark.parametrize("state", ["final", "aborted"])
def test_one_token_apart_is_a_difference(state: str) -> None:
    assert len(compare([row(completion=9)], ours(ending(state, "vendor"))).differences) == 1


def test_a_call_without_a_record_is_a_difference() -> None:
    assert len(compare([row()], ours()).differences) == 1


def test_a_call_with_two_records_is_a_difference() -> None:
    assert compare([row()], ours(ending(), ending())).differences


def test_two_calls_of_one_attempt_are_a_difference() -> None:
    assert len(compare([row(), row()], ours(ending())).differences) == 1


def test_an_intent_that_was_never_sent_may_be_estimated_but_not_charged() -> None:
    unsent = ending("estimated", "estimate", used=NOTHING, charge=0)
    found = compare([], ours(unsent))
    assert (found.differences, found.unsent) == ([], 1)
    assert len(compare([], ours(ending("estimated", "estimate", charge=1))).differences) == 1


def test_a_final_record_without_a_call_is_a_difference() -> None:
    assert len(compare([], ours(ending())).differences) == 1


def test_a_charge_beyond_its_hold_is_a_difference() -> None:
    assert len(compare([row()], ours(ending(charge=10))).differences) == 1


def test_an_intent_without_an_ending_is_a_difference() -> None:
    assert len(compare([], ours(unended=("w1-000001-3",))).differences) == 1
