"""Ways to watch calls a day, side by side on the same clients: ours, simpler ones, and one chosen on half of them."""

import math
from collections.abc import Callable, Iterable, Sequence
from itertools import product
from random import Random
from statistics import fmean, median, stdev

import msgspec

from entrepot.insight.watch import Watch, falls
from entrepot.prove.traced import TracedClient

BASELINE = 7
MONTH_DAYS = 365.25 / 12
#: What is put in begins so many days after the baseline.
STARTS = (0, 1, 2, 3)
#: A client at this part of its usual is back.
BACK = 0.9
MADE_WEEKS = 10
#: Of every series: first alarm, or None.
Rule = Callable[[Sequence[float]], int | None]


class Ruled(msgspec.Struct, frozen=True, kw_only=True):
    """A way to watch, on calls of which 30 % are split off. `delay` is the median, of what was seen."""

    name: str
    false: float
    part: float
    delay: float

    def order(self) -> tuple[float, float, float]:
        """The better one first: no false alarms, then what is seen, then how soon."""
        return self.false, -self.part, self.delay


def rules_side_by_side(clients: list[TracedClient], watch: Watch) -> Iterable[Ruled]:
    """Other ways to watch the same calls, on the same clients and the same 30 %."""
    plain = msgspec.structs.replace(watch, clip=math.inf)
    whole = [sum(each.calls[day] for each in clients) for day in range(len(clients[0].calls))]
    rules: tuple[tuple[str, Rule], ...] = (
        ("this one", lambda series: _first(series, watch)),
        ("this one, on shares of all calls",
         lambda series: _first([value / sum_ for value, sum_ in zip(series, whole, strict=True)], watch)),
        ("this one, days never bounded", lambda series: _first(series, plain)),
        ("a day 20 % below the week before", lambda series: _below(series, 0.8)),
        ("a day 3 deviations below the mean", _three_sigma),
    )  # fmt: skip
    for name, rule in rules:
        yield _ruled(name, rule, clients)
    chosen = min((_ruled("", _rule(each), clients[::2]).order(), n, each) for n, each in enumerate(_candidates()))[2]
    words = f"decision {chosen.decision:g}, clip {chosen.clip:g}, floor {chosen.floor:g}"
    yield _ruled(f"chosen on half: {words}", _rule(chosen), clients[::2])
    yield _ruled("  the same, on the other half", _rule(chosen), clients[1::2])
    yield _ruled("  this one, on the other half", _rule(watch), clients[1::2])


def _ruled(name: str, rule: Rule, clients: list[TracedClient]) -> Ruled:
    first = {each.name: rule(each.calls) for each in clients}
    false = sum(1 for each in clients if (at := first[each.name]) is not None and _came_back(each.calls, at))
    delays, times = [], 0
    for each in clients:
        for start in STARTS if first[each.name] is None else ():
            begins = BASELINE + start
            times += 1
            at = rule([value * (0.7 if day >= begins else 1) for day, value in enumerate(each.calls)])
            if at is not None:
                delays.append(at - begins + 1)
    months = len(clients) * (len(clients[0].calls) - BASELINE) / MONTH_DAYS
    return Ruled(name=name, false=false / months, part=len(delays) / times if times else 0.0,
                 delay=median(delays) if delays else math.inf)  # fmt: skip


def _candidates() -> Iterable[Watch]:
    for decision, clip, floor in product((3.0, 4.0, 5.0, 6.0, 8.0), (3.0, 4.0, math.inf), (0.05, 0.1, 0.15)):
        yield Watch(decision=decision, clip=clip, floor=floor)


def _rule(watch: Watch) -> Rule:
    return lambda series: _first(series, watch)


def made_weeks(clients: list[TracedClient], watch: Watch) -> Iterable[tuple[str, int, float]]:
    """False alarms where nobody falls: each weekday of each of ten weeks is one of the client's two of that weekday.
    Weekends as they are, or at 60 %."""
    blind = msgspec.structs.replace(watch, weekdays=False)
    months = len(clients) * (7 * MADE_WEEKS - BASELINE) / MONTH_DAYS
    for weekend, words in ((1.0, "as they are"), (0.6, "weekends at 60 %")):
        for each_watch, how in ((watch, ""), (blind, ", weekdays not told apart")):
            chance = Random(1)
            false = 0
            for client in clients:
                days = [client.calls[day % 7 + 7 * chance.randrange(2)] for day in range(7 * MADE_WEEKS)]
                series = [value * (weekend if day % 7 >= 5 else 1.0) for day, value in enumerate(days)]
                false += len(falls(series, each_watch))
            yield words + how, false, months


def _first(series: Sequence[float], watch: Watch) -> int | None:
    found = falls(series, watch)
    return found[0].seen if found else None


def _below(series: Sequence[float], part: float) -> int | None:
    days = range(BASELINE, len(series))
    return next((day for day in days if series[day] < part * fmean(series[day - BASELINE : day])), None)


def _three_sigma(series: Sequence[float]) -> int | None:
    for day in range(BASELINE, len(series)):
        before = series[day - BASELINE : day]
        if series[day] < fmean(before) - 3 * stdev(before):
            return day
    return None


def _came_back(series: Sequence[float], at: int) -> bool:
    rest = series[at + 1 :]
    return not rest or fmean(rest) >= BACK * median(series[:BASELINE])
