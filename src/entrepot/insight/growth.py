"""How fast does it grow, how much of it stays, and was that more than expected?"""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from fractions import Fraction
from typing import Final, Literal

import msgspec

from entrepot.insight.facts import Base, Dimension, Facts, InsightError, NothingSold, as_date
from entrepot.insight.fiscal import CALENDAR, Period, month_period, months_between, whole_quarters
from entrepot.insight.roots import root
from entrepot.kernel.money import round_half_away

#: `month`: the last whole month × 12. `quarter`: the last three × 4. `days`: all of the period × 365 / its days.
Window = Literal["month", "quarter", "days"]
_MONTHS: Final[dict[str, int]] = {"month": 1, "quarter": 3}
YEAR_DAYS: Final = 365


class ExpectationMissing(InsightError):
    """A surprise was asked for and nobody entered what was expected."""

    code = "expectation_missing"


class RunRate(msgspec.Struct, frozen=True, kw_only=True):
    """`amount` a year at the pace of `sold` in the window; `base` is of kind run-rate and says the window; `method` in
    words: "last month × 12"."""

    base: Base
    amount: int
    sold: int
    method: str


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """One customer of a cohort, before and after."""

    name: str
    before: int
    after: int


class Retention(msgspec.Struct, frozen=True, kw_only=True):
    """Amounts of the base: start + expansion - contraction - churned is what the cohort pays now. `new` paid nothing
    before; `below_zero` were below zero before and belong to no cohort. `customers` are the cohort, by size."""

    base: Base
    nrr: Fraction
    grr: Fraction
    start: int
    expansion: int
    contraction: int
    churned: int
    new: int
    customers: tuple[Kept, ...] = ()
    newcomers: tuple[Kept, ...] = ()
    below_zero: tuple[Kept, ...] = ()


class Surprise(msgspec.Struct, frozen=True, kw_only=True):
    """`points` in the unit of what was expected (of rates: 1/100 is a percentage point), `relative` of 1. What cannot
    be had is None, and `why` says the reason."""

    actual: Fraction
    expected: Fraction
    points: Fraction
    relative: Fraction | None
    sue: Fraction | None
    why: str = ""


class RangeSurprise(msgspec.Struct, frozen=True, kw_only=True):
    """Against guidance from `low` to `high`: `from_low` and `from_high` are actual less either end."""

    actual: Fraction
    low: Fraction
    high: Fraction
    from_low: Fraction
    from_high: Fraction
    place: Literal["below", "within", "above"]


class Required(msgspec.Struct, frozen=True, kw_only=True):
    """What must be grown to get from `now` to `target`: in all, and each of `months` months."""

    now: int
    target: int
    months: int
    total: Fraction
    monthly: Fraction


class Grown(msgspec.Struct, frozen=True, kw_only=True):
    """One period of a series; `growth` on the one before, `yearly` on the same of the year before, None where there is
    none above zero."""

    period: Period
    amount: int
    growth: Fraction | None
    yearly: Fraction | None


def run_rate(facts: Facts, window: Window) -> RunRate:
    """A year at the pace of the window.

    Formula: month: R of the last month × 12; quarter: of the last three × 4; days: R × 365 / days of the period.
    Unit: units of the base, rounded half away from zero; the window is stated in the base.
    Bad input: InsightError where the period does not end with a month or is shorter than the window, NothingSold where
    the window is not above zero.
    Source: definitions differ, so the window is printed; ARR = 12 × MRR is the usual one of subscriptions.
    """
    base = facts.base
    starts_on = base.starts_on
    if window == "days":
        sold, days = facts.total(), (as_date(base.until) - as_date(base.starts_on)).days
        if days <= 0:
            raise InsightError(f"the period from {base.starts_on} until {base.until} (excluded) holds no day")
        amount, method = round_half_away(Fraction(sold * YEAR_DAYS, days)), f"last {days} days × {YEAR_DAYS} / {days}"
    elif window in _MONTHS:
        count = _MONTHS[window]
        months = _last_months(base, count)
        starts_on = f"{months[0]}-01"
        sold = sum(sale.amount for sale in facts.sales if sale.month in months)
        amount, method = sold * (12 // count), f"last {'month' if count == 1 else f'{count} months'} × {12 // count}"
    else:
        raise InsightError(f"a run-rate has the window month, quarter or days, not {window!r}")
    if sold <= 0:
        raise NothingSold(
            f"{base.money(sold)} was sold from {starts_on} until {base.until}: there is no pace to go on at"
        )
    days = (as_date(base.until) - as_date(starts_on)).days
    stated = msgspec.structs.replace(base, kind="run-rate", starts_on=starts_on, window_days=days)
    return RunRate(base=stated, amount=amount, sold=sold, method=method)


def retention(before: Facts, after: Facts, by: Dimension = "group") -> Retention:
    """What the customers of the first period pay in the second: net (NRR) and gross (GRR) revenue retention.

    Formula: cohort C = customers with R_start > 0; NRR = Σ_C R_now / Σ_C R_start = (start + expansion - contraction -
    churned) / start; GRR = Σ_C min(R_now, R_start) / Σ_C R_start. Churned are those who pay nothing now (or less).
    Unit: of 1; amounts in units of the base.
    Range: GRR <= 1 and GRR <= NRR.
    Bad input: BasesMixed for two bases or unequal periods; NothingSold where nobody paid before. Customers below zero
    before are left out and named.
    Source: KeyBanc and Sapphire, Private SaaS Company Survey; public definitions differ in cohort and window: here the
    cohort is everybody who paid in the first period, control groups as one.
    """
    before.base.before(after.base)
    first, then = before.by(by), after.by(by)
    cohort = [
        Kept(name=name, before=amount, after=then.get(name, 0)) for name, amount in first.items() if amount > 0
    ]  # fmt: skip
    start = sum(each.before for each in cohort)
    if start <= 0:
        raise NothingSold(
            f"nobody paid from {before.base.starts_on} until {before.base.until}: there is nobody to keep"
        )
    stays = sum(each.after for each in cohort)
    kept = sum(min(each.before, each.after) for each in cohort)
    newcomers = [Kept(name=name, before=0, after=amount) for name, amount in then.items() if not first.get(name)]
    below = [Kept(name=name, before=amount, after=then.get(name, 0)) for name, amount in first.items() if amount < 0]
    return Retention(
        base=after.base, nrr=Fraction(stays, start), grr=Fraction(kept, start), start=start,
        expansion=sum(each.after - each.before for each in cohort if each.after > each.before),
        contraction=sum(each.before - each.after for each in cohort if 0 < each.after < each.before),
        churned=sum(each.before - each.after for each in cohort if each.after <= 0),
        new=sum(each.after for each in newcomers),
        customers=tuple(sorted(cohort, key=lambda each: (-each.before, each.name))),
        newcomers=tuple(sorted(newcomers, key=lambda each: (-each.after, each.name))),
        below_zero=tuple(below),
    )  # fmt: skip


def surprise(actual: Fraction | int, expected: Fraction | int | None, past: Sequence[Fraction | int] = ()) -> Surprise:
    """What came less what was expected, in points, in parts of what was expected, and in usual surprises.

    Formula: points = A - E; relative = (A - E) / |E|; SUE = (A - E) / s, s the sample standard deviation of the past
    surprises (A - E).
    Unit: points in that of A and E; relative and SUE are plain numbers.
    Bad input: ExpectationMissing without E. relative is None of an expected 0; SUE with fewer than two past surprises
    or ones that were all the same; `why` says so.
    Source: Latané and Jones 1977, "Standardized Unexpected Earnings" (SUE); fincyclopedia.net,
    standardized-earnings-surprise.
    """
    if expected is None:
        raise ExpectationMissing(
            "nothing is entered as expected, so there is no surprise; enter a guidance or a consensus with its source"
        )
    points = Fraction(actual) - expected
    reasons = []
    relative = points / abs(Fraction(expected)) if expected else None
    if relative is None:
        reasons.append("of an expectation of 0 there is no part")
    usual = _spread(past)
    if usual is None:
        reasons.append(f"a usual surprise needs two past ones, {len(past)} given")
    elif not usual:
        reasons.append("all past surprises were the same, so there is no spread to measure by")
    return Surprise(
        actual=Fraction(actual), expected=Fraction(expected), points=points, relative=relative,
        sue=points / usual if usual else None, why="; ".join(reasons),
    )  # fmt: skip


def against_range(actual: Fraction | int, low: Fraction | int | None, high: Fraction | int | None) -> RangeSurprise:
    """What came against guidance that names a range.

    Formula: A - low, A - high.
    Unit: that of A.
    Bad input: ExpectationMissing where an end is missing, InsightError where low > high.
    Source: guidance as companies give it, "30 to 31 %".
    """
    if low is None or high is None:
        raise ExpectationMissing("a guidance from … to … needs both ends; enter the missing one with its source")
    if low > high:
        raise InsightError(f"guidance from {low} to {high} is the wrong way round")
    place: Literal["below", "within", "above"] = "below" if actual < low else "above" if actual > high else "within"
    return RangeSurprise(
        actual=Fraction(actual), low=Fraction(low), high=Fraction(high), place=place,
        from_low=Fraction(actual) - low, from_high=Fraction(actual) - high,
    )  # fmt: skip


def required(now: int, target: int, months: int) -> Required:
    """Growth needed to get from one amount to another in so many months, in all and each month.

    Formula: g = (target / now)^(1 / months) - 1.
    Unit: of 1, the root rounded down to 10^-12.
    Bad input: InsightError where now or target is not above zero, or months not at least 1.
    Source: compound growth rate, any textbook (Brealey, Myers, Allen, Principles of Corporate Finance, ch. 2).
    """
    if months < 1:
        raise InsightError(f"growth needs at least one month, not {months}")
    if now <= 0 or target <= 0:
        raise InsightError("there is no rate of growth from or to an amount that is not above zero")
    ratio = Fraction(target, now)
    return Required(now=now, target=target, months=months, total=ratio - 1, monthly=root(ratio, months) - 1)


def replacement(whole: int, lost: int, months: int) -> Required:
    """Growth of the rest that makes up for a loss.

    Formula: whole / (whole - lost) - 1 in all; a month as `required`.
    Unit: of 1.
    Bad input: InsightError where nothing is left to grow, or more is lost than there is.
    Source: arithmetic: a quarter lost needs a third more of the rest.
    """
    if lost < 0 or lost >= whole:
        raise InsightError("a loss of less than nothing, of all or of more leaves nothing that could grow back")
    return required(whole - lost, whole, months)


def growth(before: int, after: int) -> Fraction:
    """The growth from one amount to another.

    Formula: after / before - 1.
    Unit: of 1.
    Bad input: InsightError where `before` is not above zero: from nothing, or from below it, no rate leads anywhere.
    Source: any textbook.
    """
    if before <= 0:
        raise InsightError("there is no growth rate from an amount that is not above zero; say the amounts instead")
    return Fraction(after - before, before)


def series(facts: Facts, year_starts: str = CALENDAR, quarters: bool = False) -> tuple[Grown, ...]:
    """Every month (or whole quarter) of the period with its growth on the one before and on the year before.

    Formula: R_t / R_{t-1} - 1, and R_t / R_{t-12 months} - 1.
    Unit: of 1; amounts of the base.
    Bad input: a month without sales is 0, and growth from 0 or below is None. InsightError for a year that begins
    within a month.
    Source: any textbook.
    """
    amounts = facts.by("month")
    months = months_between(facts.base.starts_on[:7], _after_last(facts.base))
    periods = whole_quarters(months, year_starts) if quarters else [month_period(each, year_starts) for each in months]
    sums = [sum(amounts.get(month, 0) for month in period.months) for period in periods]
    back = 4 if quarters else 12
    return tuple(
        Grown(period=period, amount=sums[i], growth=_on(sums, i, 1), yearly=_on(sums, i, back))
        for i, period in enumerate(periods)
    )


def _on(sums: Sequence[int], i: int, back: int) -> Fraction | None:
    return Fraction(sums[i] - sums[i - back], sums[i - back]) if i >= back and sums[i - back] > 0 else None


def _after_last(base: Base) -> str:
    """The month after the last that the period touches."""
    last = as_date(base.until) - timedelta(days=1)
    return f"{last.year + last.month // 12:04d}-{last.month % 12 + 1:02d}"


def _last_months(base: Base, count: int) -> tuple[str, ...]:
    starts, until = as_date(base.starts_on), as_date(base.until)
    if until.day != 1:
        raise InsightError(f"a run-rate by months needs a period that ends with one; this one ends before {base.until}")
    first = base.starts_on[:7] if starts.day == 1 else (starts.replace(day=28) + timedelta(days=4)).isoformat()[:7]
    months = months_between(first, base.until[:7])
    if len(months) < count:
        raise InsightError(
            f"a run-rate by the last {count} months needs so many; from {base.starts_on} until {base.until} there are "
            f"{len(months)}"
        )
    return months[-count:]


def _spread(values: Iterable[Fraction | int]) -> Fraction | None:
    """The sample standard deviation, None of fewer than two values."""
    found = [Fraction(value) for value in values]
    if len(found) < 2:
        return None
    mean = sum(found, Fraction(0)) / len(found)
    return root(sum(((value - mean) ** 2 for value in found), Fraction(0)) / (len(found) - 1))
