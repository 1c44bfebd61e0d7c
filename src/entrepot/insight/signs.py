"""Early signs that a customer leaves, with what they were seen by.

Four of them, each a fall of one daily series (`watch`): calls that fall day by day ("falling share"); calls that drop
at once and stay there, in the shape they had ("split traffic": a part goes to somebody else); of its calls the part
that goes to a model ("pivot"); output tokens of a call ("shrinking output"). A sign is a reason to ask, not a finding.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from statistics import median
from typing import Final, Literal

import msgspec

from entrepot.insight.watch import Fall, Watch, falls

Kind = Literal["falling share", "split traffic", "pivot", "shrinking output"]
#: A model that has less of a customer's calls is not what it leaves with.
MAIN: Final = 0.2
#: Below so many calls a day a median says little: the counts themselves scatter by a fifth.
LEAST_CALLS: Final = 25


class Used(msgspec.Struct, frozen=True, kw_only=True):
    """What a customer used of a model on one UTC day. `customer` is the control group where there is one."""

    customer: str
    on: str  # "2026-10-31"
    model: str
    calls: int
    output_tokens: int
    input_tokens: int = 0


class Sign(msgspec.Struct, frozen=True, kw_only=True):
    """`since`: the first day of the fall; `seen_on`: the day with which it was known. `open`: it lasts. `before` and
    `after` are medians, in `unit`; `change` is after / before - 1. `share` of all calls was the customer's before.
    `course`: of each of `days`, from its first call on, what was left of the usual."""

    customer: str
    kind: Kind
    what: str
    since: str
    seen_on: str
    open: bool
    before: float
    after: float
    unit: str
    change: float
    share: float
    evidence: tuple[str, ...]
    days: tuple[str, ...] = ()
    course: tuple[float | None, ...] = ()


def signs(used: Iterable[Used], from_: str, until: str, watch: Watch | None = None) -> list[Sign]:
    """Of the days in [from_, until), the customer with the largest share first, then by day. A day without calls is
    one; days before a customer's first call are not its own."""
    watch = watch or Watch()
    found = [sign for each in _customers(used, from_, until) for sign in each.signs(watch)]
    return sorted(found, key=lambda sign: (-sign.share, sign.customer, sign.since, sign.kind, sign.what))


def judged(used: Iterable[Used], from_: str, until: str, watch: Watch | None = None) -> set[str]:
    """Of whom a sign could be seen: more than `least_days` since the first call, LEAST_CALLS a day at first."""
    return {each.customer for each in _customers(used, from_, until) if each.enough(watch or Watch())}


def _customers(used: Iterable[Used], from_: str, until: str) -> list["_Customer"]:
    days = [str(date.fromisoformat(from_) + timedelta(each)) for each in range(_length(from_, until))]
    place = {on: each for each, on in enumerate(days)}
    by: dict[str, dict[str, list[tuple[int, int]]]] = {}
    for each in used:
        if each.on in place:
            models = by.setdefault(each.customer, {})
            rows = models.setdefault(each.model, [(0, 0)] * len(days))
            calls, tokens = rows[place[each.on]]
            rows[place[each.on]] = (calls + each.calls, tokens + each.output_tokens)
    whole = [sum(rows[n][0] for models in by.values() for rows in models.values()) for n in range(len(days))]
    return [_Customer(customer, models, days, whole) for customer, models in by.items()]


class _Customer:
    def __init__(
        self, customer: str, models: Mapping[str, Sequence[tuple[int, int]]], days: list[str], whole: list[int]
    ) -> None:
        calls = [sum(rows[n][0] for rows in models.values()) for n in range(len(days))]
        self.began = next((n for n, each in enumerate(calls) if each), len(days))
        self.customer, self.days, self.whole = customer, days[self.began :], whole[self.began :]
        self.models = {model: rows[self.began :] for model, rows in models.items()}
        self.calls = calls[self.began :]
        self.tokens = [sum(rows[n][1] for rows in self.models.values()) for n in range(len(self.days))]

    def enough(self, watch: Watch) -> bool:
        return len(self.calls) > watch.least_days and median(self.calls[: watch.least_days]) >= LEAST_CALLS

    def signs(self, watch: Watch) -> list[Sign]:
        if not self.enough(watch):
            return []
        weekday = date.fromisoformat(self.days[0]).weekday()
        outputs = [tokens / calls if calls else None for calls, tokens in zip(self.calls, self.tokens, strict=True)]
        found = [self._traffic(fall) for fall in falls(self.calls, watch, weekday)]
        found += [self._output(fall, outputs) for fall in falls(outputs, watch, weekday)] if any(self.tokens) else []
        for model, rows in self.models.items():
            parts = [row[0] / calls if calls else None for row, calls in zip(rows, self.calls, strict=True)]
            found += [self._pivot(fall, model, parts) for fall in falls(parts, watch, weekday) if fall.usual >= MAIN]
        return found

    def _traffic(self, fall: Fall) -> Sign:
        kind: Kind = "split traffic" if at_once(fall.left) else "falling share"
        before, after = self._shares(fall)
        evidence = [
            f"calls a day {fall.usual:,.0f} → {fall.usual * median(fall.left):,.0f}",
            f"its share of all calls {before:.1%} → {after:.1%}",
            "at once, and level since" if kind == "split traffic" else "further each day",
            *self._shape(fall),
        ]
        return self._sign(fall, (kind, "calls", "calls a day"), evidence, self.calls)

    def _output(self, fall: Fall, outputs: Sequence[float | None]) -> Sign:
        evidence = [
            f"output tokens of a call {fall.usual:,.1f} → {fall.usual * median(fall.left):,.1f}",
            f"calls a day {self._usual_calls(fall):,.0f} → {median(self._of(fall, self.calls)):,.0f}",
        ]
        return self._sign(fall, ("shrinking output", "output", "tokens a call"), evidence, outputs)

    def _pivot(self, fall: Fall, model: str, parts: Sequence[float | None]) -> Sign:
        gained = []
        for other, rows in self.models.items():
            was, now = self._part(rows, fall, before=True), self._part(rows, fall, before=False)
            if other != model and now > was:
                gained.append((was - now, f"to {other}: {was:.0%} → {now:.0%}"))
        evidence = [
            f"of its calls {model} had {fall.usual:.0%}, now {fall.usual * median(fall.left):.0%}",
            *(words for _, words in sorted(gained)[:3]),
            f"calls a day {self._usual_calls(fall):,.0f} → {median(self._of(fall, self.calls)):,.0f}",
        ]
        return self._sign(fall, ("pivot", model, "of its calls"), evidence, parts)

    def _sign(
        self, fall: Fall, named: tuple[Kind, str, str], evidence: list[str], series: Sequence[float | None]
    ) -> Sign:
        left = median(fall.left)
        kind, what, unit = named
        return Sign(
            customer=self.customer, kind=kind, what=what, since=self.days[fall.since], seen_on=self.days[fall.seen],
            open=fall.until is None, before=fall.usual, after=fall.usual * left, unit=unit, change=left - 1,
            share=self._shares(fall)[0],
            evidence=(*evidence, f"usual scatter of a day {math.expm1(fall.spread):.0%}"), days=tuple(self.days),
            course=tuple(None if each is None else each / fall.usual for each in series),
        )  # fmt: skip

    def _shape(self, fall: Fall) -> list[str]:
        """Whether what is left looks like what there was."""
        was = self._per_call(range(fall.since))
        now = self._per_call(range(fall.since, fall.until or len(self.calls)))
        return [f"output tokens of a call {was:,.1f} → {now:,.1f}"] if was and now else []

    def _per_call(self, places: Iterable[int]) -> float:
        kept = list(places)
        calls = sum(self.calls[each] for each in kept)
        return sum(self.tokens[each] for each in kept) / calls if calls else 0.0

    def _part(self, rows: Sequence[tuple[int, int]], fall: Fall, *, before: bool) -> float:
        places = range(fall.since) if before else range(fall.since, fall.until or len(self.calls))
        calls = sum(self.calls[each] for each in places)
        return sum(rows[each][0] for each in places) / calls if calls else 0.0

    def _shares(self, fall: Fall) -> tuple[float, float]:
        """Of all calls, before and since."""
        before = sum(self.calls[: fall.since]) / max(1, sum(self.whole[: fall.since]))
        since = slice(fall.since, fall.until)
        return before, sum(self.calls[since]) / max(1, sum(self.whole[since]))

    def _usual_calls(self, fall: Fall) -> float:
        return median(self.calls[: fall.since])

    @staticmethod
    def _of(fall: Fall, series: Sequence[int]) -> Sequence[int]:
        return series[fall.since : fall.until]


def at_once(left: Sequence[float]) -> bool:
    """Whether what is left of each day looks more like a step than like a decline: the smaller sum of squares of
    ln(left) about its mean, or about a line through the usual of the day before."""
    logs = [math.log(max(each, 1e-3)) for each in left]
    mean = sum(logs) / len(logs)
    slope = sum((n + 1) * each for n, each in enumerate(logs)) / sum((n + 1) ** 2 for n in range(len(logs)))
    step = sum((each - mean) ** 2 for each in logs)
    line = sum((each - slope * (n + 1)) ** 2 for n, each in enumerate(logs))
    return step <= line


def _length(from_: str, until: str) -> int:
    return max(0, (date.fromisoformat(until) - date.fromisoformat(from_)).days)
