"""When has an investment earned itself back?"""

from collections.abc import Iterable, Sequence
from decimal import Decimal, localcontext
from fractions import Fraction
from typing import Final

import msgspec

from entrepot.insight.facts import InsightError
from entrepot.kernel.money import round_half_away

#: 50 years of months: longer than any machine, short enough to compute.
MOST_PERIODS: Final = 600


class Payback(msgspec.Struct, frozen=True, kw_only=True):
    """`periods` and `discounted` in periods of the flows, within a period by straight line; None if these flows never
    reach it. `npv` in the units of the flows. `irr` per period, None where there is none or more than one; `why` says
    what is missing and why."""

    outlay: int
    rate: Fraction
    periods: Fraction | None
    discounted: Fraction | None
    npv: int
    irr: Fraction | None
    why: str = ""


def payback(outlay: int, flows: Sequence[int], rate: Fraction | int = 0) -> Payback:
    """Payback, discounted payback, net present value and internal rate of return of one outlay now and a flow at the
    end of each period.

    Formula: payback is the least t with Σ_{k<=t} CF_k = outlay; discounted: Σ CF_k / (1+r)^k; NPV = Σ CF_k / (1+r)^k -
    outlay; IRR: the r with NPV = 0.
    Unit: periods of the flows; r per period; NPV rounded half away from zero to the unit, IRR to 10^-9.
    Bad input: InsightError for an outlay not above zero, no flows, more than 600, or a rate of -1 or less. What is
    never reached is None and said in words.
    Source: Brealey, Myers, Allen, Principles of Corporate Finance, ch. 5.
    """
    if outlay <= 0:
        raise InsightError("an outlay that is not above zero needs no payback")
    if not flows or len(flows) > MOST_PERIODS:
        raise InsightError(f"payback needs 1 to {MOST_PERIODS} periods of flows, {len(flows)} given")
    if rate <= -1:
        raise InsightError(f"a discount rate of {rate} is not above -1")
    present = _present(flows, Fraction(rate))
    periods, discounted = _reached(outlay, flows), _reached(outlay, present)
    irr = _irr(outlay, flows)
    missing = [
        reason
        for reason, absent in (
            (f"{len(flows)} periods do not earn the outlay back", periods is None),
            (f"discounted at {rate} they do not", discounted is None),
            ("there is no single rate at which the flows are worth the outlay", irr is None),
        )
        if absent
    ]
    return Payback(
        outlay=outlay, rate=Fraction(rate), periods=periods, discounted=discounted,
        npv=round_half_away(sum(present, Fraction(0)) - outlay), irr=irr, why="; ".join(missing),
    )  # fmt: skip


def even(outlay: int, each: int) -> Fraction:
    """Periods until an outlay is earned back by the same contribution each period.

    Formula: outlay / contribution.
    Unit: periods.
    Bad input: InsightError where the contribution is not above zero: it is never earned back.
    Source: Brealey, Myers, Allen, ch. 5.
    """
    if outlay <= 0 or each <= 0:
        raise InsightError("an outlay is never earned back unless it and what each period brings are above zero")
    return Fraction(outlay, each)


def needed(outlay: int, periods: int, rate: Fraction | int = 0) -> int:
    """The contribution a period that earns an outlay back in so many periods.

    Formula: outlay × r / (1 - (1+r)^-n), outlay / n at r = 0.
    Unit: that of the outlay, rounded up.
    Bad input: InsightError for an outlay or periods not above zero, or a rate of -1 or less.
    Source: the annuity formula, Brealey, Myers, Allen, ch. 2.
    """
    if outlay <= 0 or not 1 <= periods <= MOST_PERIODS or rate <= -1:
        raise InsightError(
            f"{periods} periods at {rate}: outlay and periods must be above zero, periods at most {MOST_PERIODS}"
        )
    worth = sum(_present([1] * periods, Fraction(rate)), Fraction(0))
    return -int(-outlay / worth // 1)


def _present(flows: Sequence[int], rate: Fraction) -> list[Fraction]:
    factor, step, present = Fraction(1), 1 / (1 + rate), []
    for flow in flows:
        factor *= step
        present.append(flow * factor)
    return present


def _reached(outlay: int, flows: Iterable[int | Fraction]) -> Fraction | None:
    """Periods until the sum first reaches the outlay."""
    left = Fraction(outlay)
    for number, flow in enumerate(flows):
        if flow > 0 and flow >= left:
            return number + left / flow
        left -= flow
    return None


def _irr(outlay: int, flows: Sequence[int]) -> Fraction | None:
    """By halving, where the signs change once (one outlay, then flows that do not turn below zero again): then there is
    one rate at most (Descartes)."""
    signs = [flow > 0 for flow in flows if flow]
    if not signs or sum(before != after for before, after in zip([False, *signs], signs, strict=False)) != 1:
        return None
    with localcontext() as context:
        context.prec = 40
        low, high = Decimal("-0.999999"), Decimal(1)
        while _worth(flows, high) > outlay:
            high *= 10
            if high > 10**9:
                return None
        if _worth(flows, low) < outlay:
            return None
        for _ in range(120):
            middle = (low + high) / 2
            low, high = (middle, high) if _worth(flows, middle) > outlay else (low, middle)
        return Fraction(low.quantize(Decimal("1E-9")))


def _worth(flows: Sequence[int], rate: Decimal) -> Decimal:
    worth = Decimal(0)
    for flow in reversed(flows):
        worth = (worth + flow) / (1 + rate)
    return worth
