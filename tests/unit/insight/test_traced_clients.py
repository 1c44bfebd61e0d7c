"""Two recorded services as two months of clients: the concentration that is known of them, the largest gone with its
idle capacity, and early signs with their error rates."""

from fractions import Fraction
from pathlib import Path

import pytest

from entrepot.insight.concentration import concentration
from entrepot.insight.facts import Facts, together
from entrepot.insight.scenario import Outcome, run
from entrepot.insight.scenario_file import read_scenario
from entrepot.prove.signs import run_signs
from entrepot.prove.traced import read_clients, sales_of
from shared_data import SHARED

EXAMPLES = Path(__file__).parents[3] / "examples" / "scenarios"


def trace(name: str) -> Path:
    path = SHARED / "data" / "traces" / f"servegen_{name}.csv.gz"
    if not path.exists():
        pytest.skip(f"{path} is missing")
    return path


@pytest.fixture(scope="module")
def months() -> tuple[Facts, Facts]:
    return (
        sales_of(read_clients(trace("m-small_rates")), "2026-09", "m-small"),
        sales_of(read_clients(trace("deepseek-r1_rates")), "2026-10", "deepseek-r1"),
    )


def outcome(facts: Facts, name: str) -> Outcome:
    return run(facts, *read_scenario((EXAMPLES / f"{name}.toml").read_text(), f"{name}.toml"))


def test_the_known_concentration_of_the_traces_comes_out(months: tuple[Facts, Facts]) -> None:
    small, deep = (concentration(each, "group") for each in months)
    assert (len(small.parts), len(deep.parts)) == (43, 73)
    assert [round(float(small.cr[n]), 3) for n in (1, 5)] == [0.299, 0.77]  # known: 30 % and 77 % of requests
    assert round(float(deep.cr[1]), 2) == 0.29
    assert small.parts[0].name == "m-small-5"
    assert Fraction(1, 43) < small.hhi < Fraction(1, 5)
    both = together(months)
    assert both.months() == ["2026-09", "2026-10"]
    assert concentration(both, "group").whole == small.whole + deep.whole


def test_the_largest_leaves_and_its_capacity_is_idle_until_it_finds_other_work(months: tuple[Facts, Facts]) -> None:
    gone = outcome(months[0], "largest-leaves")
    assert gone.leaving == ("m-small-5",)
    lost = Fraction(gone.now.revenue - gone.then.revenue, gone.now.revenue)
    assert round(float(lost), 3) == 0.299
    machines = (gone.now.revenue - gone.then.revenue) // 10  # a tenth of what it pays, says the file
    assert [round(each.idle_capacity / machines, 2) for each in gone.path] == [1] * 9 + [0.5] * 3
    owed = Fraction(8, 10) * gone.now.cost - gone.then.cost  # 80 % of what was bought is committed
    assert gone.path[0].idle_commitments == round(owed)
    before, after = gone.concentration
    assert after is not None
    assert after.hhi < before.hhi
    assert after.parts[0].name == "m-small-38"
    assert gone.months_to_recover == 13  # 1.03^12 = 1.426 < 1 / 0.701 = 1.426… < 1.03^13


def test_both_months_together_lose_the_largest_of_both(months: tuple[Facts, Facts]) -> None:
    both = together(months)
    gone = outcome(both, "largest-leaves")
    assert gone.leaving == ("m-small-5",)
    assert gone.now.revenue == (both.total() + 1) // 2
    assert gone.then.revenue == (both.where(lambda sale: sale.customer != "m-small-5").total() + 1) // 2


@pytest.mark.long
def test_early_signs_are_seen_within_days_and_steady_tenants_give_none() -> None:
    """The error rates of `entrepot prove signs`, to the figures in docs/decisions/insight.md."""
    report = run_signs(trace("m-small_rates"), trace("m-small_tokens"))
    assert (report.clients, report.days, report.failures()) == (24, 14, [])
    alarms = {each.kind: (each.really, each.false, round(each.months, 1)) for each in report.alarms}
    assert alarms == {
        "falling share or split traffic": (5, 0, 5.5),
        "pivot": (7, 1, 2.8),
        "shrinking output": (3, 0, 4.4),
    }
    seen = {
        each.what: (each.times, round(each.part, 2), sorted(each.delays)[len(each.delays) // 2]) for each in report.seen
    }
    assert seen["30 % of the traffic split off"] == (76, 0.54, 3)
    assert seen["share falls 10 % a day"] == (76, 0.47, 4)
    assert seen["50 % of a model's calls to another"] == (16, 0.94, 3)
    assert seen["output 50 % shorter"] == (64, 0.91, 3)
    ours, *others = report.rules
    assert all(ours.false <= each.false for each in others)
