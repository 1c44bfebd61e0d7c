"""What a period is called: by the calendar, and by the year of whoever reports."""

import re
from collections.abc import Iterable

import msgspec

from entrepot.insight.facts import InsightError

CALENDAR = "01-01"
_MONTH = re.compile(r"(\d{4})-(0[1-9]|1[0-2])\Z")
_STARTS = re.compile(r"(0[1-9]|1[0-2])-01\Z")


class Period(msgspec.Struct, frozen=True, kw_only=True):
    """A stretch of whole months with both its names: "Q2 2024" and "FQ4 2024"; of a month "2024-06" and "FM12 2024"."""

    calendar: str
    fiscal: str
    months: tuple[str, ...]


def fiscal_name(month: str, year_starts: str = CALENDAR) -> str:
    """The fiscal quarter of a month, the year named by the calendar year in which it ends.

    Formula: months since the year began, by three.
    Unit: "FQ4 2024"; `month` as "2024-06", `year_starts` as "07-01".
    Bad input: InsightError for what is no month, or a year that begins within one.
    Source: Form 10-K of a registrant whose year ends on 30 June: the quarter ended 2024-06-30 is the fourth of fiscal
    year 2024.
    """
    year, position = _fiscal(month, year_starts)
    return f"FQ{position // 3 + 1} {year}"


def calendar_name(month: str) -> str:
    """The calendar quarter: "Q2 2024" of "2024-06". Raises InsightError."""
    year, number = _parsed(month)
    return f"Q{(number - 1) // 3 + 1} {year}"


def month_period(month: str, year_starts: str = CALENDAR) -> Period:
    year, position = _fiscal(month, year_starts)
    return Period(calendar=month, fiscal=f"FM{position + 1} {year}", months=(month,))


def quarter(month: str, year_starts: str = CALENDAR) -> Period:
    """The fiscal quarter that holds this month, with the calendar's name beside it. A fiscal quarter that is no
    calendar quarter is called by its months there: "2024-05 to 2024-07"."""
    _, position = _fiscal(month, year_starts)
    months = _run(month, -(position % 3), 3)
    calendar = {calendar_name(each) for each in months}
    plain = calendar_name(month) if len(calendar) == 1 else f"{months[0]} to {months[-1]}"
    return Period(calendar=plain, fiscal=fiscal_name(month, year_starts), months=months)


def year(month: str, year_starts: str = CALENDAR) -> Period:
    """The fiscal year that holds this month: "FY2024", and in the calendar "2024" or "2023-07 to 2024-06"."""
    ends, position = _fiscal(month, year_starts)
    months = _run(month, -position, 12)
    plain = months[0][:4] if months[0][:4] == months[-1][:4] else f"{months[0]} to {months[-1]}"
    return Period(calendar=plain, fiscal=f"FY{ends}", months=months)


def whole_quarters(months: Iterable[str], year_starts: str = CALENDAR) -> tuple[Period, ...]:
    """The quarters of which every month is among these, in order."""
    given = set(months)
    found = {quarter(month, year_starts).months[0]: quarter(month, year_starts) for month in given}
    return tuple(period for _, period in sorted(found.items()) if given.issuperset(period.months))


def months_between(starts: str, until: str) -> tuple[str, ...]:
    """Months from one to the other, the last excluded: "2026-09", "2026-11" → ("2026-09", "2026-10")."""
    (year_first, first), (year_last, last) = _parsed(starts), _parsed(until)
    return _run(starts, 0, max(0, 12 * (year_last - year_first) + last - first))


def _fiscal(month: str, year_starts: str) -> tuple[int, int]:
    """(the year in which the fiscal year ends, months since it began: 0 to 11)."""
    match = _STARTS.match(year_starts)
    if match is None:
        raise InsightError(f"a fiscal year begins with a month, written as 07-01; {year_starts!r} is not that")
    year_number, number = _parsed(month)
    first = int(match[1])
    begins = year_number if number >= first else year_number - 1
    return begins + (first > 1), (number - first) % 12


def _parsed(month: str) -> tuple[int, int]:
    match = _MONTH.match(month)
    if match is None:
        raise InsightError(f"{month!r} is not a month; write it as 2024-06")
    return int(match[1]), int(match[2])


def _run(month: str, offset: int, count: int) -> tuple[str, ...]:
    year_number, number = _parsed(month)
    first = 12 * year_number + number - 1 + offset
    return tuple(f"{each // 12:04d}-{each % 12 + 1:02d}" for each in range(first, first + count))
