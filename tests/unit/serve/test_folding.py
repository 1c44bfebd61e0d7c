"""Calls of several workers on one screen."""

from typing import Any

from entrepot.kernel.instants import SECOND
from entrepot.serve.folding import CALLS_A_SECOND, Folding

AT = 1_800_000_000 * SECOND


def _call(at: int = AT, **given: Any) -> dict[str, Any]:
    return {"at": at, "input": 10, "output": 5, "charge": "0.0000015 USD", **given}


def _total(**given: Any) -> dict[str, Any]:
    return {"at": AT, "calls": 1_000, "refused": 3, "tokens": 40_000, "charge": "1,234.5 USD  2 EUR", **given}


def test_few_calls_are_lines_of_their_own_and_no_sum() -> None:
    folding = Folding()
    assert all(folding.call(f"gateway-{n % 2}", _call()) for n in range(CALLS_A_SECOND))
    assert folding.due(AT + 10 * SECOND) == []


def test_calls_that_are_few_for_each_worker_and_many_together_fold() -> None:
    folding = Folding()
    shown = [folding.call(f"gateway-{n % 2}", _call(AT + n)) for n in range(CALLS_A_SECOND + 4)]
    assert shown.count(True) == CALLS_A_SECOND
    (total,) = folding.due(AT + 2 * SECOND)
    assert total == {"at": AT, "calls": 24, "refused": 0, "tokens": 360, "charge": "0.000036 USD"}


def test_a_sum_counts_all_of_its_workers_second_and_the_single_calls_of_the_others() -> None:
    folding = Folding()
    folding.call("gateway-1", _call())  # told before that worker saw that they were many: contained in its sum
    folding.sum("gateway-1", _total())
    folding.call("gateway-2", _call(AT + 5))
    folding.call("gateway-2", _call(AT + 6, refused="insufficient_quota", charge="0 USD"))
    folding.sum("gateway-3", _total(calls=1, refused=0, tokens=0, charge="0 USD"))
    (total,) = folding.due(AT + 2 * SECOND)
    assert total["calls"] == 1_002
    assert total["refused"] == 4
    assert total["tokens"] == 40_015
    assert total["charge"] == "1,234.5000015 USD  2 EUR"


def test_a_second_is_told_once_and_only_when_its_sums_can_have_arrived() -> None:
    folding = Folding()
    folding.sum("gateway-1", _total())
    assert folding.due(AT + SECOND) == []
    assert len(folding.due(AT + 2 * SECOND)) == 1
    assert folding.due(AT + 3 * SECOND) == []


def test_seconds_of_a_clock_that_jumps_do_not_pile_up() -> None:
    folding = Folding()
    for n in range(1_000):
        folding.sum("gateway-1", _total(at=AT + n * 3600 * SECOND))
    assert len(folding.due(AT + 10_000 * 3600 * SECOND)) <= 10
