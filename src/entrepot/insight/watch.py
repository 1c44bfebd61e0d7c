"""When does a series of daily figures fall, and stay fallen? A CUSUM on robust residuals.

Of each day: z = -ln(x / m) / s, with m the median of the quiet days before, times what its weekday usually is of it,
and s = 1.4826 × the median of |ln(x / m)| over them, at least `floor`. Then
C = max(0, C + min(z, clip) - allowance), and C > decision is a fall (Page 1954, Biometrika 41; median and MAD instead
of mean and deviation: Huber, Robust Statistics). Days with C > 0 do not enter the baseline, so that a slow fall is not
learnt as the usual. That `clip - allowance` is at most half of `decision` lets no two days alone be a fall: real
customers have holes of a day or two, and come back (`docs/decisions/insight.md` has the figures).
"""

import math
from collections.abc import Sequence
from statistics import median
from typing import Final

import msgspec

#: Fewer are no weekday's usual: with two, one holiday halves it. They can be a reason not to wonder at a quiet Sunday.
LEAST_OF_A_WEEKDAY: Final = 3
#: So many days like the old baseline end a fall.
_BACK: Final = 3
#: A day without any traffic is taken as a thousandth of the usual: the logarithm needs something, and `clip` bounds it.
_NOTHING: Final = 1e-3


class Watch(msgspec.Struct, frozen=True, kw_only=True):
    """`allowance`, `decision` and `clip` in units of the spread s; `floor` is the least s, as a part (0.1: 10 %).
    `weekdays`: whether a quiet Sunday is compared with Sundays."""

    baseline_days: int = 28
    least_days: int = 7
    allowance: float = 0.5
    decision: float = 5.0
    clip: float = 3.0
    floor: float = 0.1
    weekdays: bool = True


class Fall(msgspec.Struct, frozen=True, kw_only=True):
    """Places in the series: it began at `since`, was known at `seen` (that day included), and lasted to `until`, the
    first day that is not of it; None: to the end. `usual` is the median before; `left` of each day since, of 1."""

    since: int
    seen: int
    until: int | None
    usual: float
    spread: float
    left: tuple[float, ...]


def falls(values: Sequence[float | None], watch: Watch, first_weekday: int = 0) -> list[Fall]:
    """Every fall, in order. None is a day that says nothing. `first_weekday` is that of the first value, 0..6."""
    run = _Run(values, watch, first_weekday)
    for place, value in enumerate(values):
        if value is not None:
            run.day(place, value)
    run.end(None)
    return run.found


class _Run:
    """One pass over a series."""

    def __init__(self, values: Sequence[float | None], watch: Watch, first_weekday: int) -> None:
        self.values, self.watch, self.first = values, watch, first_weekday
        self.found: list[Fall] = []
        self.quiet: list[int] = []  # places of the baseline, oldest first
        self.usual = _Usual(level=0.0, spread=watch.floor, weekdays=(1.0,) * 7)
        self.below: list[tuple[int, float]] = []
        self.score, self.seen, self.back = 0.0, -1, 0

    def day(self, place: int, value: float) -> None:
        watch = self.watch
        if len(self.quiet) < watch.least_days:
            self.quiet.append(place)
            return
        if not self.below:
            self.usual = _usual([((each + self.first) % 7, self.values[each] or 0.0) for each in self.quiet], watch)
        expected = self.usual.level * self.usual.weekdays[(place + self.first) % 7]
        if expected <= 0:  # away, or not on this weekday: what it does now becomes the usual
            self.quiet = [*self.quiet, place][-watch.baseline_days :]
            return
        part = value / expected
        z = -math.log(max(part, _NOTHING)) / self.usual.spread
        self.score = max(0.0, self.score + max(-watch.clip, min(z, watch.clip)) - watch.allowance)
        if not self.below and not self.score:
            self.quiet = [*self.quiet, place][-watch.baseline_days :]
            return
        self.below.append((place, part))
        self.back = self.back + 1 if z < 1 else 0
        if self.score > watch.decision and self.seen < 0:
            self.seen = place
        if self.seen >= 0 and len(self.below) >= watch.baseline_days:
            self._learn()
        elif not self.score or (self.seen >= 0 and self.back >= _BACK):
            self._return()

    def end(self, until: int | None) -> None:
        """Write down what was seen; nothing where nothing was."""
        days = [part for place, part in self.below if until is None or place < until]
        if self.seen >= 0:
            since = self.below[0][0]
            self.found.append(
                Fall(since=since, seen=self.seen, until=until, usual=self.usual.level, spread=self.usual.spread,
                     left=tuple(days))
            )  # fmt: skip
        self._calm()

    def _calm(self) -> None:
        self.below, self.score, self.seen, self.back = [], 0.0, -1, 0

    def _learn(self) -> None:
        """After a whole baseline the new level is the usual."""
        self.quiet = [place for place, _ in self.below]
        self.end(self.below[-1][0] + 1)

    def _return(self) -> None:
        """The days in which it was back belong to the baseline; those of a fall that was seen do not."""
        back = [place for place, _ in self.below][-self.back :] if self.back else []
        again = back if self.seen >= 0 else [place for place, _ in self.below]
        until = back[0] if back else self.below[-1][0] + 1
        self.end(until)
        self.quiet = [*self.quiet, *again][-self.watch.baseline_days :]


class _Usual(msgspec.Struct, frozen=True, kw_only=True):
    """Median and spread of a baseline, and what each weekday is of the usual day (0: nothing comes then)."""

    level: float
    spread: float
    weekdays: tuple[float, ...]


def _usual(days: Sequence[tuple[int, float]], watch: Watch) -> _Usual:
    """Of (weekday, value)."""
    weekdays = _weekdays(days, median(value for _, value in days)) if watch.weekdays else (1.0,) * 7
    flat = [value / weekdays[day] for day, value in days if weekdays[day]]
    level = median(flat) if flat else 0.0
    if level <= 0:
        return _Usual(level=0.0, spread=watch.floor, weekdays=weekdays)
    away = median(abs(math.log(max(each / level, _NOTHING))) for each in flat)
    return _Usual(level=level, spread=max(watch.floor, 1.4826 * away), weekdays=weekdays)


def _weekdays(days: Sequence[tuple[int, float]], level: float) -> tuple[float, ...]:
    """Medians by weekday, of 1. One seen fewer than LEAST_OF_A_WEEKDAY times only excuses: it may be below 1, never
    above."""
    by: list[list[float]] = [[] for _ in range(7)]
    for day, value in days:
        by[day].append(value)
    if level <= 0 or not all(by):
        return (1.0,) * 7
    parts = tuple(median(each) / level for each in by)
    return parts if min(map(len, by)) >= LEAST_OF_A_WEEKDAY else tuple(min(1.0, each) for each in parts)
