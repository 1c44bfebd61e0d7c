"""Budgets: whom they cover, and which period an instant falls into."""

import pytest

from entrepot.kernel.instants import parse
from entrepot.limits.budget import NEVER, Budget, budget_of, period_of


@pytest.mark.parametrize(
    ("per", "at", "name", "starts", "ends"),
    [
        ("day", "2026-11-22T00:00:00Z", "2026-11-22", "2026-11-22", "2026-11-23"),
        ("day", "2026-11-22T23:59:59.999999Z", "2026-11-22", "2026-11-22", "2026-11-23"),
        ("day", "2026-12-31T12:00:00Z", "2026-12-31", "2026-12-31", "2027-01-01"),
        ("month", "2026-11-01T00:00:00Z", "2026-11", "2026-11-01", "2026-12-01"),
        ("month", "2026-12-31T23:59:59Z", "2026-12", "2026-12-01", "2027-01-01"),
        ("month", "2028-02-29T12:00:00Z", "2028-02", "2028-02-01", "2028-03-01"),
        ("month", "2026-11-22T01:00:00+02:00", "2026-11", "2026-11-01", "2026-12-01"),
    ],
)
def test_a_period_is_half_open_and_utc(per: str, at: str, name: str, starts: str, ends: str) -> None:
    assert period_of(per, parse(at)) == (name, parse(starts), parse(ends))  # type: ignore[arg-type]


def test_a_total_has_one_period_without_end() -> None:
    assert period_of("total", parse("2026-11-22")) == ("total", 0, NEVER)


@pytest.mark.parametrize("per", ["day", "month"])
def test_periods_follow_each_other_without_gap(per: str) -> None:
    at = parse("2027-12-30")
    for _ in range(40):
        period = period_of(per, at)  # type: ignore[arg-type]
        assert period_of(per, period.ends_at - 1) == period  # type: ignore[arg-type]
        assert period_of(per, period.ends_at).starts_at == period.ends_at  # type: ignore[arg-type]
        at = period.ends_at


@pytest.mark.parametrize(
    ("project", "key", "covered"),
    [("", "", True), ("app", "", True), ("other", "", False), ("", "K1", True), ("app", "K2", False)],
)
def test_a_budget_covers_its_project_and_key(project: str, key: str, covered: bool) -> None:
    budget = Budget(id="b", project=project, key=key, per="day", amount=1, hard=True)
    assert budget.covers("app", "K1") is covered


def test_a_lease_id_leads_back_to_its_budget() -> None:
    budget = Budget(id="app-day", project="app", per="day", amount=1, hard=True)
    lease = budget.lease_id("studio", parse("2026-11-22T10:00:00Z"))
    assert lease == "studio/budget/app-day/2026-11-22"
    assert budget_of(lease) == ("studio", "app-day", "2026-11-22")
    assert budget_of("studio") is None
