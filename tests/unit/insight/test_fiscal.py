"""Periods by the calendar and by the fiscal year of whoever reports."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrepot.insight.facts import InsightError
from entrepot.insight.fiscal import (
    calendar_name,
    fiscal_name,
    month_period,
    months_between,
    quarter,
    whole_quarters,
    year,
)  # fmt: skip

MONTHS = st.builds(lambda of, month: f"{of}-{month:02d}", st.integers(2000, 2099), st.integers(1, 12))
STARTS = st.integers(1, 12).map(lambda month: f"{month:02d}-01")


def test_the_second_quarter_of_2024_is_the_fourth_fiscal_one_of_a_year_from_july() -> None:
    """Microsoft, press release of 30 July 2024: "the quarter ended June 30, 2024", FY24 Q4."""
    assert [fiscal_name(month, "07-01") for month in ("2024-04", "2024-06", "2024-07", "2023-07")] == [
        "FQ4 2024", "FQ4 2024", "FQ1 2025", "FQ1 2024",
    ]  # fmt: skip
    assert calendar_name("2024-06") == "Q2 2024"
    both = quarter("2024-05", "07-01")
    assert (both.calendar, both.fiscal, both.months) == ("Q2 2024", "FQ4 2024", ("2024-04", "2024-05", "2024-06"))
    whole = year("2024-03", "07-01")
    assert (whole.calendar, whole.fiscal, len(whole.months)) == ("2023-07 to 2024-06", "FY2024", 12)
    assert month_period("2024-06", "07-01").fiscal == "FM12 2024"


def test_a_calendar_year_has_one_name_and_a_quarter_across_the_calendar_is_named_by_its_months() -> None:
    assert fiscal_name("2024-06") == "FQ2 2024"
    assert (year("2024-06").calendar, year("2024-06").fiscal) == ("2024", "FY2024")
    assert quarter("2024-12", "02-01").calendar == "2024-11 to 2025-01"


@pytest.mark.parametrize("starts", ["07-15", "7-01", "13-01", "", "2024-07-01"])
def test_a_year_that_begins_within_a_month_is_refused(starts: str) -> None:
    with pytest.raises(InsightError, match="begins with a month"):
        fiscal_name("2024-06", starts)


@pytest.mark.parametrize("month", ["2024-13", "2024-6", "June", "2024-06-01", ""])
def test_what_is_no_month_is_refused(month: str) -> None:
    with pytest.raises(InsightError, match="is not a month"):
        fiscal_name(month)


@given(MONTHS, STARTS)
def test_every_month_is_in_the_quarter_and_the_year_that_it_names(month: str, starts: str) -> None:
    assert month in quarter(month, starts).months
    assert month in year(month, starts).months
    assert year(month, starts).months[0][5:] == starts[:2]
    assert {fiscal_name(each, starts) for each in quarter(month, starts).months} == {fiscal_name(month, starts)}
    quarters = whole_quarters(year(month, starts).months, starts)
    assert [each.fiscal for each in quarters] == [f"FQ{n} {year(month, starts).fiscal[2:]}" for n in (1, 2, 3, 4)]
    assert tuple(each for period in quarters for each in period.months) == year(month, starts).months


def test_half_a_quarter_is_none() -> None:
    months = months_between("2024-02", "2024-09")
    assert months == ("2024-02", "2024-03", "2024-04", "2024-05", "2024-06", "2024-07", "2024-08")
    assert [each.calendar for each in whole_quarters(months)] == ["Q2 2024"]
    assert months_between("2024-02", "2024-02") == ()
