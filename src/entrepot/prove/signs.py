"""The trial `signs`: early signs put into real clients of a trace; how soon are they seen, and how often is there none?

Watched are the clients of a ServeGen trace that call on each day of the first week. False alarms are counted on the
trace as it is: a sign is false if the client was back at 90 % of its usual by the end (or the trace ends too early to
say), else it really fell. Signs are put in at the beginning of each of four days after the first week; a client that
really fell is left out there. No client of the traces uses two models: for pivots, two of like size are taken as the
two models of one.

Two weeks are few. So the method's numbers are also chosen on every other client and tried on the rest; and ten weeks
are made of each client's own days, weekday by weekday in chance order, in which nobody falls: every alarm is false.
"""

import math
from collections.abc import Callable, Iterable
from datetime import date, timedelta
from pathlib import Path
from statistics import median

import msgspec

from entrepot.insight.signs import Kind, Sign, Used, signs
from entrepot.insight.watch import Watch
from entrepot.prove.neighbour import TraceBroken
from entrepot.prove.sign_rules import (
    BACK,
    BASELINE,
    MADE_WEEKS,
    MONTH_DAYS,
    STARTS,
    Ruled,
    made_weeks,
    rules_side_by_side,
)
from entrepot.prove.traced import TracedClient, read_clients

Say = Callable[[str], None]
FIRST = date(2026, 11, 2)  # a Monday; the trace does not say
_TRAFFIC: tuple[Kind, ...] = ("falling share", "split traffic")
#: What is put in: name, kinds that see it, (day since the start) → what is left.
_Left = Callable[[int], float]
_Models = dict[str, TracedClient]  # what each model of a customer is used like
INJECTED: tuple[tuple[str, str, tuple[Kind, ...], _Left], ...] = (
    ("share falls 5 % a day", "calls", _TRAFFIC, lambda day: 0.95 ** (day + 1)),
    ("share falls 10 % a day", "calls", _TRAFFIC, lambda day: 0.9 ** (day + 1)),
    ("20 % of the traffic split off", "calls", _TRAFFIC, lambda day: 0.8),
    ("30 % of the traffic split off", "calls", _TRAFFIC, lambda day: 0.7),
    ("50 % of the traffic split off", "calls", _TRAFFIC, lambda day: 0.5),
    ("30 % of a model's calls to another", "model", ("pivot",), lambda day: 0.7),
    ("50 % of a model's calls to another", "model", ("pivot",), lambda day: 0.5),
    ("a model's calls 10 % less a day", "model", ("pivot",), lambda day: 0.9 ** (day + 1)),
    ("output 20 % shorter", "output", ("shrinking output",), lambda day: 0.8),
    ("output 50 % shorter", "output", ("shrinking output",), lambda day: 0.5),
    ("output 10 % shorter each day", "output", ("shrinking output",), lambda day: 0.9 ** (day + 1)),
)


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """Of one thing put in: how many times, in how many it was seen, and after how many days (the first is 1)."""

    what: str
    kinds: tuple[Kind, ...]
    times: int
    delays: tuple[int, ...]
    named: int  # as what it is, where two kinds can see it

    @property
    def part(self) -> float:
        return len(self.delays) / self.times if self.times else 0.0


class Alarms(msgspec.Struct, frozen=True, kw_only=True):
    """Signs on clients as they are, over the client-months after the baseline."""

    kind: str
    months: float
    really: int
    false: int

    def bounds(self) -> tuple[float, float]:
        """95 % of false alarms per client-month, if they come at random (Poisson, exact: Garwood 1936)."""
        return _garwood(self.false, 0.975) / self.months, _garwood(self.false + 1, 0.025) / self.months


class SignsReport(msgspec.Struct, frozen=True, kw_only=True):
    clients: int
    days: int
    alarms: tuple[Alarms, ...]
    seen: tuple[Seen, ...]
    rules: tuple[Ruled, ...]
    made: tuple[tuple[str, int, float], ...]  # of the ten weeks: what, false alarms, client-months

    def failures(self) -> list[str]:
        """What the choice of the method promised; the figures themselves are what is to be read."""
        found = [
            f"{each.kind}: {each.false} false alarms in {each.months:.1f} client-months"
            for each in self.alarms
            if each.false > each.months / 2
        ]
        halves = [each for each in self.seen if each.what.startswith("50 %")]
        return found + [f"{each.what}: seen {each.part:.0%} of the time" for each in halves if each.part < 0.5]


def run_signs(rates: Path, tokens: Path, *, least: float = 0.0, watch: Watch | None = None) -> SignsReport:
    """Of clients with at least the part `least` of all calls."""
    watch = watch or Watch()
    every = read_clients(rates, tokens)
    whole = sum(each.whole() for each in every)
    clients = [each for each in every if min(each.calls[:BASELINE]) >= 1 and each.whole() >= least * whole]
    if len(clients) < 4 or len(every[0].calls) < 2 * BASELINE:
        raise TraceBroken(
            f"{rates}: needs four clients that call on each day of two weeks, at least; has {len(clients)}"
        )
    days = len(clients[0].calls)
    single = {each.name: {"one": each} for each in clients}
    pairs = list(zip(clients[::2], clients[1::2], strict=False))
    double = {f"{a.name}+{b.name}": {"one": a, "other": b} for a, b in pairs}
    alarms, seen = [], []
    for houses, put_into, kinds in (
        (single, "calls", _TRAFFIC), (double, "model", ("pivot",)), (single, "output", ("shrinking output",)),
    ):  # fmt: skip
        watched = {
            name: models for name, models in houses.items()
            if put_into != "output" or None not in models["one"].output[:BASELINE]
        }  # fmt: skip
        as_is = {name: _signs(name, models, watch, kinds) for name, models in watched.items()}
        alarms.append(_alarms(" or ".join(kinds), as_is, days))
        quiet = {name: models for name, models in watched.items() if not as_is[name]}
        for what, where, of, left in INJECTED:
            if where == put_into:
                seen.append(_put_in(what, of, quiet, left, watch))
    return SignsReport(
        clients=len(clients),
        days=days,
        alarms=tuple(alarms),
        seen=tuple(seen),
        rules=tuple(rules_side_by_side(clients, watch)),
        made=tuple(made_weeks(clients, watch)),
    )


def show_signs(report: SignsReport, say: Say) -> None:
    months = (report.days - BASELINE) * report.clients / MONTH_DAYS
    say(f"  {report.clients} clients, {report.days} days, of which {BASELINE} are the first baseline: {months:.1f} "
        "client-months watched")  # fmt: skip
    say("  on the trace as it is:                     really fell   false   false per client-month (95 %)")
    for alarm in report.alarms:
        low, high = alarm.bounds()
        say(f"    {alarm.kind:<40} {alarm.really:>8} {alarm.false:>9}   {alarm.false / alarm.months:.2f} ({low:.2f} to "
            f"{high:.2f}; {alarm.months:.1f} client-months)")  # fmt: skip
    say("  put in, of clients that did not fall:        times    seen   days until seen: median, 9 of 10")
    for each in report.seen:
        late = sorted(each.delays)
        when = f"{median(late):g}, {late[min(len(late) - 1, 9 * len(late) // 10)]}" if late else "never"
        named = (
            f"; {each.named / len(late):.0%} called {_right(each.what, each.kinds)}" if each.kinds[1:] and late else ""
        )
        say(f"    {each.what:<40} {each.times:>8} {each.part:>7.0%}   {when}{named}")
    say("  other rules on calls, 30 % split off:        false per client-month   seen   median days")
    for rule in report.rules:
        say(f"    {rule.name:<40} {rule.false:>14.2f} {rule.part:>18.0%}   {rule.delay:>6g}")
    say(f"  {MADE_WEEKS} weeks made of their days, nobody falls:  false per client-month")
    for name, false, months in report.made:
        say(f"    {name:<40} {false / months:>14.2f} ({false} in {months:.0f} client-months)")


def _signs(name: str, models: _Models, watch: Watch, kinds: Iterable[Kind]) -> list[Sign]:
    days = len(models["one"].calls)
    rows = []
    for model, client in models.items():
        for day, calls in enumerate(client.calls):
            tokens = calls * (client.output[day] or 0.0)
            on = str(FIRST + timedelta(day))
            rows.append(Used(customer=name, on=on, model=model, calls=round(calls), output_tokens=round(tokens)))
    until = str(FIRST + timedelta(days))
    return [each for each in signs(rows, str(FIRST), until, watch) if each.kind in kinds]


def _alarms(kind: str, as_is: dict[str, list[Sign]], days: int) -> Alarms:
    """A sign that is open and was seen before the last day, with what is left below 90 %, really fell."""
    last = str(FIRST + timedelta(days - 1))
    found = [sign for each in as_is.values() for sign in each]
    really = sum(sign.open and sign.seen_on < last and 1 + sign.change < BACK for sign in found)
    months = len(as_is) * (days - BASELINE) / MONTH_DAYS
    return Alarms(kind=kind, months=months, really=really, false=len(found) - really)


def _put_in(
    what: str, kinds: tuple[Kind, ...], quiet: dict[str, dict[str, TracedClient]], left: _Left, watch: Watch
) -> Seen:
    times, named, delays = 0, 0, []
    for name, models in quiet.items():
        for start in STARTS:
            begins = BASELINE + start
            times += 1
            found = _signs(name, _changed(models, kinds, begins, left), watch, kinds)
            caught = [each for each in found if each.seen_on >= str(FIRST + timedelta(begins))]
            if caught:
                first = min(caught, key=lambda each: each.seen_on)
                delays.append((date.fromisoformat(first.seen_on) - FIRST).days - begins + 1)
                named += first.kind == _right(what, kinds)
    return Seen(what=what, kinds=kinds, times=times, delays=tuple(delays), named=named)


def _right(what: str, kinds: tuple[Kind, ...]) -> Kind:
    return kinds[0] if "falls" in what else kinds[-1]


def _changed(
    models: dict[str, TracedClient], kinds: tuple[Kind, ...], begins: int, left: _Left
) -> dict[str, TracedClient]:
    one = models["one"]
    parts = [left(day - begins) if day >= begins else 1.0 for day in range(len(one.calls))]
    if kinds == ("shrinking output",):
        output = tuple(each * part if each is not None else None for each, part in zip(one.output, parts, strict=True))
        return {**models, "one": msgspec.structs.replace(one, output=output)}
    calls = tuple(each * part for each, part in zip(one.calls, parts, strict=True))
    changed = {**models, "one": msgspec.structs.replace(one, calls=calls)}
    if kinds == ("pivot",):
        other = models["other"]
        moved = tuple(b + a * (1 - part) for a, b, part in zip(one.calls, other.calls, parts, strict=True))
        changed["other"] = msgspec.structs.replace(other, calls=moved)
    return changed


def _garwood(count: int, tail: float) -> float:
    """The mean of a Poisson of which `count` or more come with chance 1 - tail; 0 where count is 0."""
    low, high = 0.0, count + 10 * math.sqrt(count + 1) + 20
    if count == 0:
        return 0.0
    for _ in range(80):
        middle = (low + high) / 2
        below = sum(math.exp(-middle + n * math.log(middle) - math.lgamma(n + 1)) for n in range(count))
        low, high = (middle, high) if below > tail else (low, middle)
    return low
