"""Early signs: each of the four is seen and named with its evidence; what comes back, rests or grows is none."""

from collections.abc import Callable
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrepot.insight.signs import Sign, Used, at_once, signs
from entrepot.insight.watch import Watch, falls

DAYS = 42
FIRST = date(2026, 9, 7)  # a Monday
FROM, UNTIL = str(FIRST), str(FIRST + timedelta(DAYS))
#: A usual scatter of some per cent, without chance.
SCATTER = (1.0, 0.96, 1.03, 0.99, 1.05, 0.97, 1.01, 1.02, 0.98, 1.04, 0.95)


def on(day: int) -> str:
    return str(FIRST + timedelta(day))


def used(
    customer: str, calls: Callable[[int], float], output: Callable[[int], float] = lambda day: 100.0,
    models: Callable[[int], dict[str, float]] = lambda day: {"large": 1.0},
) -> list[Used]:  # fmt: skip
    rows = []
    for day in range(DAYS):
        for model, part in models(day).items():
            count = round(1_000 * calls(day) * SCATTER[day % 11] * part)
            tokens = round(count * output(day) * SCATTER[day % 7])
            rows.append(Used(customer=customer, on=on(day), model=model, calls=count, output_tokens=tokens))
    return rows


def found(*customers: list[Used], watch: Watch | None = None) -> list[Sign]:
    return signs([each for rows in customers for each in rows], FROM, UNTIL, watch)


STEADY = used("steady", lambda day: 3.0)


def test_steady_customers_growing_ones_and_new_ones_give_no_sign() -> None:
    growing = used("growing", lambda day: 1.03**day)
    new = used("new", lambda day: 0.0 if day < 20 else 2.0)
    weekend = used("office", lambda day: 0.3 if day % 7 >= 5 else 1.0)
    never_on_sunday = used("closed", lambda day: 0.0 if day % 7 == 6 else 1.0)
    assert found(STEADY, growing, new, weekend, never_on_sunday) == []


@pytest.mark.parametrize("hole", [range(20, 21), range(20, 22)])
def test_a_hole_of_one_or_two_days_is_no_sign_however_deep(hole: range) -> None:
    assert found(STEADY, used("holed", lambda day: 0.0 if day in hole else 1.0)) == []


def test_traffic_that_is_split_drops_at_once_in_the_shape_it_had() -> None:
    [sign] = found(STEADY, used("leaving", lambda day: 1.0 if day < 30 else 0.6))
    assert (sign.customer, sign.kind, sign.open, sign.since) == ("leaving", "split traffic", True, on(30))
    assert on(31) < sign.seen_on <= on(33)
    assert sign.change == pytest.approx(-0.4, abs=0.03)
    assert sign.share == pytest.approx(0.25, abs=0.01)
    assert sign.evidence[0].startswith("calls a day 1,0")
    assert "at once, and level since" in sign.evidence


def test_a_falling_share_falls_further_each_day() -> None:
    [sign] = found(STEADY, used("leaving", lambda day: 1.0 if day < 30 else 0.9 ** (day - 29)))
    assert (sign.kind, sign.open) == ("falling share", True)
    assert on(30) <= sign.since < sign.seen_on <= on(35)


def test_a_pivot_is_seen_by_the_part_of_the_calls_and_names_the_other_model() -> None:
    def pivot(day: int) -> dict[str, float]:
        return {"large": 0.8, "small": 0.2} if day < 30 else {"large": 0.4, "small": 0.6}

    [sign] = found(STEADY, used("leaving", lambda day: 1.0, models=pivot))
    assert (sign.kind, sign.what, sign.since) == ("pivot", "large", on(30))
    assert sign.evidence[1] == "to small: 20% → 60%"


def test_shrinking_output_is_seen_while_the_calls_stay() -> None:
    [sign] = found(STEADY, used("leaving", lambda day: 1.0, output=lambda day: 100.0 if day < 30 else 60.0))
    assert (sign.kind, sign.unit, sign.since) == ("shrinking output", "tokens a call", on(30))
    assert (sign.before, sign.after) == (pytest.approx(100, rel=0.05), pytest.approx(60, rel=0.05))


def test_what_came_back_is_told_and_not_open() -> None:
    [sign] = found(STEADY, used("back", lambda day: 0.5 if 20 <= day < 30 else 1.0))
    assert (sign.open, sign.since) == (False, on(20))


def test_a_new_level_that_lasted_a_whole_baseline_is_the_usual() -> None:
    low = [1.0] * 10 + [0.5] * 40
    [fall] = falls(low, Watch(baseline_days=14))
    assert (fall.since, fall.seen, fall.until) == (10, 12, 24)
    assert falls([*low, *[0.2] * 5], Watch(baseline_days=14))[1].since == 50


def test_few_calls_few_days_and_days_without_a_figure_say_nothing() -> None:
    few = [
        Used(customer="few", on=on(day), model="m", calls=20 if day < 30 else 2, output_tokens=9) for day in range(42)
    ]
    assert found(few) == []
    assert signs([], FROM, UNTIL) == []
    assert signs(STEADY, FROM, FROM) == []
    assert falls([None, 1.0, 1.0], Watch()) == []
    assert falls([0.0] * 30, Watch()) == []
    assert falls([1.0] * 20 + [None] * 10 + [1.0] * 10, Watch()) == []


@given(st.lists(st.none() | st.floats(0, 1e12), max_size=80), st.integers(0, 6))
def test_any_series_is_read_and_falls_lie_in_it_one_after_the_other(series: list[float | None], first: int) -> None:
    last = 0
    for fall in falls(series, Watch(), first):
        assert last <= fall.since <= fall.seen < (fall.until or len(series) + 1) <= len(series) + 1
        last = fall.until or len(series)


@given(st.lists(st.floats(1, 1e6), min_size=8, max_size=60), st.integers(-9, 9).map(lambda power: 2.0**power))
def test_the_unit_does_not_matter(series: list[float], unit: float) -> None:
    ours = falls(series, Watch())
    scaled = falls([each * unit for each in series], Watch())
    assert [(each.since, each.seen, each.until) for each in ours] == [
        (each.since, each.seen, each.until) for each in scaled
    ]


def test_a_step_and_a_decline_are_told_apart() -> None:
    assert at_once([0.6, 0.58, 0.62])
    assert not at_once([0.9, 0.8, 0.7, 0.6])
