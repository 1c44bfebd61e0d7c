"""When the trial `budget` fails: each way in which money could be wrong is named."""

from typing import Any

import pytest

from entrepot.prove.books import Accepted, Ended, Tail
from entrepot.prove.budget import BudgetReport, Run
from entrepot.prove.compare import Comparison
from entrepot.prove.rush import Refusal, RoundReport, price_of

USD = 10**9
FALSE = Refusal(at=100.0, hold=5, left=6, code="insufficient_quota", when="quiet")


def failures(*, kills: tuple[float, ...] = (), verify: int = 0, **round_: Any) -> list[str]:
    fields = {"tag": "r1", "limit": USD, "spent": USD - 5, "usable": USD - 1, **round_}
    run = Run(
        workers=2, rounds=[RoundReport(**fields)], seconds=1.0, comparison=Comparison(), kills=list(kills),
        verify_code=verify, verify_text="",
    )  # fmt: skip
    return BudgetReport(seed=1, runs=[run]).failures()


def test_a_run_in_which_all_is_right_passes() -> None:
    assert failures() == []


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"spent": USD + 1}, "2 workers: round r1: 0.000000001 USD more was spent than there was"),
        ({"unsure": 6}, "more was spent"),
        ({"usable": USD * 99 // 100 - 1}, "only 99.00 % could be spent"),
        ({"false": [FALSE]}, "quiet: insufficient_quota for a hold of 5, and 6 was left"),
        ({"cut": 1}, "1 connections broke"),
        ({"other": "500"}, "an answer that should not be: 500"),
        ({"trouble": "a call that held 7 of 6 left was admitted"}, "of 6 left was admitted"),
        ({"verify": 7}, "verify exits 7"),
    ],
)
def test_what_is_wrong_is_named(wrong: dict[str, Any], said: str) -> None:
    (found,) = failures(**wrong)
    assert said in found


@pytest.mark.parametrize(("at", "counts"), [(99.0, False), (100.5, True), (80.0, True)])
def test_only_a_refusal_just_after_a_kill_is_excused(at: float, counts: bool) -> None:
    assert bool(failures(kills=(at,), false=[FALSE])) is counts


def test_a_kill_excuses_what_was_cut_and_nothing_that_was_answered() -> None:
    assert failures(kills=(1.0,), cut=3, unsure=6) == []
    assert "more was spent" in failures(kills=(1.0,), spent=USD + 1)[0]


def test_a_call_costs_what_the_vendor_says_times_the_price(tmp_path: Any) -> None:
    import msgspec

    row = Accepted(
        n=1, at=0.0, attempt="a", model="m", stream=False, prompt=10, completion=8, billed=True, fault="", cached=4,
        tag="r1/7",
    )  # fmt: skip
    assert price_of(row, (100, 50, 400)) == 6 * 100 + 4 * 50 + 8 * 400
    assert price_of(msgspec.structs.replace(row, billed=False), (100, 50, 400)) == 0
    path = tmp_path / "ledger"
    tail = Tail(path)
    path.write_bytes(msgspec.json.encode(row) + b"\n" + b'{"row":"en')
    tail.look()
    assert (tail.rows("r1"), tail.unended("r1"), tail.rows("r")) == ([row], 1, [])
    path.write_bytes(
        msgspec.json.encode(row) + b"\n" + msgspec.json.encode(Ended(n=1, how="done", sent=1, pieces=1)) + b"\n"
    )
    tail.look()
    assert tail.unended("r1") == 0
