"""Months that are billed, and the stretches in which a step counts. All UTC."""

from datetime import UTC, datetime

from entrepot.catalog.prices import Period as StepPeriod
from entrepot.kernel.errors import EntrepotError, Fault
from entrepot.kernel.instants import HOUR, Instant, from_datetime, parse, to_datetime
from entrepot.limits.budget import Period, period_of


class NoMonth(EntrepotError):
    """Text that names no month."""

    code = "no_month"
    fault = Fault.CALLER


def month(name: str) -> Period:
    """The month `2026-10`. Raises NoMonth."""
    try:
        found = period_of("month", parse(f"{name}-01"))
    except ValueError:
        found = None
    if found is None or found.name != name:
        raise NoMonth(f"{name!r} is not a month; write it as 2026-10")
    return found


def counted_from(period: StepPeriod, at: Instant, contract_from: Instant) -> Instant:
    """When the count of steps began that holds at `at`. A contract year begins on the day and hour of the contract's
    beginning, on 29 February's on the 28th where there is none; without a beginning it is the calendar year."""
    day = to_datetime(at)
    first = day.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    if period == "month":
        return from_datetime(first)
    if period == "quarter":
        return from_datetime(first.replace(month=first.month - (first.month - 1) % 3))
    if not contract_from:
        return from_datetime(first.replace(month=1))
    return max(each for each in _anniversaries(contract_from, day.year) if each <= at)


def anniversaries(contract_from: Instant, starts_at: Instant, until: Instant) -> list[Instant]:
    """Beginnings of contract years in [starts_at, until)."""
    if not contract_from:
        return []
    return [each for each in _anniversaries(contract_from, to_datetime(until).year) if starts_at <= each < until]


def _anniversaries(contract_from: Instant, year: int) -> list[Instant]:
    """Those of this year and the one before it, and the beginning itself; whole hours."""
    began = to_datetime(contract_from - contract_from % HOUR)
    found = {from_datetime(began)}
    for each in (year - 1, year):
        if each > began.year:
            day = 28 if (began.month, began.day) == (2, 29) and not _leap(each) else began.day
            found.add(from_datetime(began.replace(year=each, day=day)))
    return sorted(found)


def _leap(year: int) -> bool:
    return (datetime(year, 3, 1, tzinfo=UTC) - datetime(year, 2, 1, tzinfo=UTC)).days == 29
