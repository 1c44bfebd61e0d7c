"""How long until what was lost has grown again, and whether the cash lasts."""

from collections.abc import Sequence
from fractions import Fraction
from typing import Final

#: A hundred years: beyond it "never" is the truer word.
LONGEST_MONTHS: Final = 1200


def months_to_recover(now: Fraction, before: Fraction, growth: Fraction) -> int | None:
    """The least n with now·(1 + growth)ⁿ ≥ before: months of growth at `growth` a month (a share: 0.02) that make up
    for a loss. 0 where nothing was lost; None where they never do: nothing is left, no growth, or beyond
    LONGEST_MONTHS. Exact; the closed form ⌈ln(before/now)/ln(1+growth)⌉ errs by one where the power hits the target."""
    if now >= before:
        return 0
    if now <= 0 or growth <= 0:
        return None
    need, pace = before / now, 1 + growth
    if pace**LONGEST_MONTHS < need:
        return None
    low, high = 0, LONGEST_MONTHS  # pace**low < need ≤ pace**high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if pace**middle < need else (low, middle)
    return high


def runway_months(cash: Fraction, results: Sequence[Fraction]) -> int | None:
    """Whole months that `cash` lasts when each month adds its result (negative: takes); after the last one given, that
    one goes on. None: it lasts, or longer than LONGEST_MONTHS."""
    for month, result in enumerate(results, 1):
        cash += result
        if cash < 0:
            return month - 1
    last = results[-1] if results else Fraction(0)
    if last >= 0:
        return None
    more = len(results) + int(cash // -last)
    return more if more <= LONGEST_MONTHS else None
