"""Where numbers lie on paper: from a range that holds zero, with round steps."""

from decimal import Decimal
from fractions import Fraction

import msgspec

Number = int | Fraction | Decimal
#: About so many steps are read at a glance; more are a ruler.
_STEPS = 5


class Axis(msgspec.Struct, frozen=True, kw_only=True):
    """From `low` to `high`; `ticks` lie within."""

    low: Fraction
    high: Fraction
    ticks: tuple[Fraction, ...] = ()

    def at(self, value: Number) -> float:
        """The place of a number, 0 at the low end and 1 at the high one; what lies beyond is cut off at the end."""
        place = (Fraction(value) - self.low) / (self.high - self.low)
        return float(min(max(place, Fraction(0)), Fraction(1)))


def axis(values: list[Number], *, zero: bool = True, round_ends: bool = False) -> Axis:
    """An axis that holds all values and, unless told otherwise, zero: a bar that does not begin there lies. With
    `round_ends` it ends on ticks. One value, or the same one often, gets room around it."""
    exact = [Fraction(value) for value in values] or [Fraction(0)]
    low, high = min(exact), max(exact)
    if zero:
        low, high = min(low, Fraction(0)), max(high, Fraction(0))
    if low == high:
        low, high = (low - 1, high + 1) if low else (Fraction(0), Fraction(1))
    step = _step(high - low)
    if round_ends:
        low, high = step * (low // step), step * -(-high // step)
    first = -(-low // step)
    ticks = tuple(step * number for number in range(int(first), int(high // step) + 1))
    return Axis(low=low, high=high, ticks=ticks)


def apart(places: list[float], gap: float) -> list[float]:
    """The same order, moved so little that no two are nearer than `gap`, between 0 and 1 as long as they fit."""
    order = sorted(range(len(places)), key=lambda number: places[number])
    moved = [places[number] for number in order]
    for number in range(1, len(moved)):
        moved[number] = max(moved[number], moved[number - 1] + gap)
    above = 1.0
    for number in range(len(moved) - 1, -1, -1):
        moved[number] = min(moved[number], above)
        above = moved[number] - gap
    found = dict(zip(order, moved, strict=True))
    return [found[number] for number in range(len(places))]


def _step(span: Fraction) -> Fraction:
    """The largest of 1, 2, 5 times a power of ten that cuts the span into at least _STEPS - 1 parts."""
    least = _STEPS - 1
    step = Fraction(1)
    while step * least > span:
        step /= 10
    while step * least * 10 <= span:
        step *= 10
    return max(step * each for each in (1, 2, 5) if step * each * least <= span)
