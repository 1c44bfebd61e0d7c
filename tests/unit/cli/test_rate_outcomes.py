"""From the workers' counters to rates, and their screen."""

from decimal import Decimal
from typing import Any

from entrepot.cli.rates import Rates, Sample, line_text, screen_lines

BOTH = ("customer", "model")


def _row(
    customer: str, calls: int, *, model: str = "m", open_: int = 0, refused: int = 0, ms: int = 3
) -> dict[str, Any]:
    spans = [0] * 21
    spans[ms.bit_length()] = calls
    return {
        "customer": customer, "model": model, "open": open_, "calls": calls, "refused": refused,
        "input": 100 * calls, "output": 10 * calls, "spans": spans,
        "charge": {"USD": str(Decimal("0.001") * calls)} if calls else {},
    }  # fmt: skip


def _sample(at: float, *workers: tuple[str, int, list[dict[str, Any]]], silent: tuple[str, ...] = ()) -> Sample:
    facts = {
        "at": "2026-11-22T12:05:02Z",
        "silent": list(silent),
        "workers": [{"name": name, "epoch": epoch, "rows": rows} for name, epoch, rows in workers],
    }
    return Sample.of(facts, at)


def test_workers_are_added_and_time_divides() -> None:
    before = _sample(10.0, ("w1", 1, [_row("acme", 100)]), ("w2", 1, [_row("acme", 50)]))
    now = _sample(12.0, ("w1", 1, [_row("acme", 120, open_=3)]), ("w2", 1, [_row("acme", 80, open_=1, refused=4)]))
    rates = Rates.between(before, now, BOTH)
    (facts,) = rates.facts()["rows"]
    assert facts == {
        "customer": "acme", "model": "m", "open": 4, "calls_per_s": 25.0, "refused_per_s": 2.0,
        "input_per_s": 2500.0, "output_per_s": 250.0, "charge_per_s": {"USD": "0.025000"},
        "p50_below_ms": 4, "p99_below_ms": 4,
    }  # fmt: skip
    assert line_text(rates) == (
        "12:05:02   25/s   4 open   2.0 refused/s   2,500 in/s   250 out/s   0.025 USD/s   p50 <4 ms   p99 <4 ms"
    )


def test_a_counter_that_began_again_counts_from_nothing() -> None:
    before, now = _sample(1.0, ("w1", 1, [_row("acme", 100)])), _sample(2.0, ("w1", 1, [_row("acme", 7)]))
    assert Rates.between(before, now, BOTH).total.calls == 7


def test_a_model_that_is_new_counts_whole_and_a_worker_that_is_new_from_now_on() -> None:
    before = _sample(1.0, ("w1", 1, [_row("acme", 100)]))
    now = _sample(2.0, ("w1", 1, [_row("acme", 100), _row("b", 5)]), ("w2", 9, [_row("acme", 10**6)]))
    assert Rates.between(before, now, BOTH).total.calls == 5


def test_a_worker_that_did_not_answer_once_makes_no_spike() -> None:
    first = _sample(1.0, ("w1", 1, [_row("acme", 10)]), ("w2", 1, [_row("acme", 1_000)]))
    second = _sample(2.0, ("w1", 1, [_row("acme", 11)]), silent=("w2",)).after(first)
    assert Rates.between(first, second, BOTH).total.calls == 1
    third = _sample(3.0, ("w1", 1, [_row("acme", 12)]), ("w2", 1, [_row("acme", 1_003)])).after(second)
    assert Rates.between(second, third, BOTH).total.calls in {1, 4}, "its calls are left out, or counted once"


def test_the_calls_of_a_worker_that_has_gone_are_not_under_way_any_more() -> None:
    first = _sample(1.0, ("w1", 1, [_row("acme", 10)]), ("w2", 1, [_row("acme", 5, open_=7)]))
    later = _sample(2.0, ("w1", 1, [_row("acme", 10)]), silent=("w2",)).after(first)
    assert Rates.between(first, later, BOTH).total.open == 7
    gone = _sample(3.0, ("w1", 1, [_row("acme", 10)])).after(later)
    assert Rates.between(later, gone, BOTH).total.open == 0


def test_lines_may_be_by_customer_or_by_model() -> None:
    rows = [_row("acme", 3, model="a"), _row("acme", 4, model="b"), _row("zoo", 2, model="a")]
    before, now = _sample(1.0, ("w1", 1, [])), _sample(2.0, ("w1", 1, rows))
    for by, expected in ("customer", [("acme", 7), ("zoo", 2)]), ("model", [("a", 5), ("b", 4)]):
        assert [(f.names[0], f.calls) for f in Rates.between(before, now, (by,)).flows] == expected


def test_quantiles_come_from_the_calls_of_this_second_only() -> None:
    slow, quick = _row("acme", 10, ms=5_000), _row("acme", 10, ms=5_000)
    quick["calls"], quick["spans"] = 110, [*quick["spans"]]
    quick["spans"][2] = 100
    rates = Rates.between(_sample(1.0, ("w1", 1, [slow])), _sample(2.0, ("w1", 1, [quick])), BOTH)
    assert (rates.total.below_ms(0.5), rates.total.below_ms(0.99)) == (4, 4)


def test_the_screen_fits_whatever_the_size() -> None:
    rows = [_row(f"customer-{n}", n + 1) for n in range(50)]
    rates = Rates.between(_sample(1.0, ("w1", 1, [])), _sample(2.0, ("w1", 1, rows)), BOTH)
    for width, height in ((200, 60), (80, 24), (40, 8), (20, 5)):
        lines = screen_lines(rates, (width, height))
        assert len(lines) <= height
        assert max(map(len, lines)) <= width
    assert screen_lines(rates, (120, 12))[-2:] == ["and 43 more", "q ends"]
    assert "customer-49" in screen_lines(rates, (120, 12))[3], "the busiest first"


def test_nothing_is_said_to_happen_where_nothing_does() -> None:
    quiet = _sample(1.0, ("w1", 1, [_row("acme", 5)]))
    assert "nothing happens" in screen_lines(Rates.between(quiet, quiet, BOTH), (80, 24))
