"""From two looks at the workers' counters to what happened between them, and how that is shown. Pure."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import msgspec

from entrepot.cli.amount import grouped
from entrepot.cli.table import Column, lay_out
from entrepot.kernel.text import plain

_NUMBERS = ("calls", "refused", "input", "output")
_PLACES = Decimal("0.000001")
Pair = tuple[str, str, str, str]  # worker, epoch, customer, model


class Counters(msgspec.Struct, frozen=True, kw_only=True):
    """Of one worker, customer and model, since the worker began."""

    open: int = 0
    calls: int = 0
    refused: int = 0
    input: int = 0
    output: int = 0
    spans: tuple[int, ...] = ()
    charge: dict[str, Decimal] = {}


_ZERO = Counters()


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """One look. `at` is a monotonic clock's seconds."""

    at: float
    clock: str
    workers: frozenset[tuple[str, str]]  # name and epoch of those that answered
    silent: frozenset[str] = frozenset()  # names of those that are there and did not
    counters: dict[Pair, Counters]

    @classmethod
    def of(cls, facts: dict[str, Any], at: float) -> "Sample":
        """What `/admin/live` said."""
        found: dict[Pair, Counters] = {}
        for worker in facts["workers"]:
            for row in worker["rows"]:
                charge = {currency: Decimal(amount) for currency, amount in row["charge"].items()}
                found[(worker["name"], str(worker["epoch"]), row["customer"], row["model"])] = Counters(
                    open=row["open"], spans=tuple(row["spans"]), charge=charge, **{n: row[n] for n in _NUMBERS}
                )
        workers = frozenset((str(worker["name"]), str(worker["epoch"])) for worker in facts["workers"])
        silent = frozenset(map(str, facts["silent"]))
        return cls(at=at, clock=str(facts["at"])[11:19], workers=workers, silent=silent, counters=found)

    def after(self, before: "Sample") -> "Sample":
        """With what was known before of workers that did not answer this time; those that have gone have no calls."""
        silent = {pair: counters for pair, counters in before.counters.items() if pair[0] in self.silent}
        return msgspec.structs.replace(self, counters={**silent, **self.counters})


class Flow(msgspec.Struct, kw_only=True):
    """What one line of the screen adds up: a customer, a model, or both; numbers between the two looks."""

    names: tuple[str, ...]
    open: int = 0
    calls: int = 0
    refused: int = 0
    input: int = 0
    output: int = 0
    spans: list[int] = []
    charge: dict[str, Decimal] = {}

    def add(self, before: Counters, now: Counters) -> None:
        """A counter that shrank began again: then all of it is new."""
        if now.calls < before.calls or now.refused < before.refused:
            before = _ZERO
        self.open += now.open
        for name in _NUMBERS:
            setattr(self, name, getattr(self, name) + getattr(now, name) - getattr(before, name))
        old = before.spans or (0,) * len(now.spans)
        new = [a - b for a, b in zip(now.spans, old, strict=True)]
        self.spans = [a + b for a, b in zip(self.spans, new, strict=True)] if self.spans else new
        for currency, amount in now.charge.items():
            gained = amount - before.charge.get(currency, Decimal(0))
            self.charge[currency] = self.charge.get(currency, Decimal(0)) + gained

    def below_ms(self, share: float) -> int:
        """So many milliseconds, a power of two, that at least `share` of the calls were shorter than; 0: no calls."""
        due = share * sum(self.spans)
        for bits, calls in enumerate(self.spans):
            due -= calls
            if calls and due <= 0:
                return 1 << bits
        return 0


class Rates(msgspec.Struct, frozen=True, kw_only=True):
    """What happened in `seconds`; `flows` the busiest first."""

    clock: str
    seconds: float
    workers: int
    by: tuple[str, ...]
    flows: list[Flow]
    total: Flow

    @classmethod
    def between(cls, before: Sample, now: Sample, by: tuple[str, ...]) -> "Rates":
        flows: dict[tuple[str, ...], Flow] = {}
        total = Flow(names=("",) * len(by))
        for pair, counters in now.counters.items():
            names = tuple(pair[2] if name == "customer" else pair[3] or "–" for name in by)
            # a worker that was not seen before may have counted for long: only from now on
            old = before.counters.get(pair, _ZERO if pair[:2] in before.workers else counters)
            flow = flows.setdefault(names, Flow(names=names))
            flow.add(old, counters)
            total.add(old, counters)
        found = [flow for flow in flows.values() if flow.calls or flow.refused or flow.open]
        found.sort(key=lambda flow: (-flow.calls - flow.refused, -flow.open, flow.names))
        seconds = now.at - before.at
        return cls(clock=now.clock, seconds=seconds, workers=len(now.workers), by=by, flows=found, total=total)

    def per_second(self, number: int) -> float:
        return number / self.seconds if self.seconds else 0.0

    def money(self, flow: Flow) -> dict[str, Decimal]:
        """Currency → charge a second."""
        seconds = Decimal(str(round(self.seconds, 6))) or Decimal(1)
        return {currency: amount / seconds for currency, amount in flow.charge.items() if amount}

    def facts(self) -> dict[str, Any]:
        """The same as data."""
        return {
            "at": self.clock, "seconds": round(self.seconds, 3), "workers": self.workers, **self._of(self.total),
            "rows": [{**dict(zip(self.by, flow.names, strict=True)), **self._of(flow)} for flow in self.flows],
        }  # fmt: skip

    def _of(self, flow: Flow) -> dict[str, Any]:
        numbers = {f"{name}_per_s": round(self.per_second(getattr(flow, name)), 2) for name in _NUMBERS}
        money = {currency: f"{amount.quantize(_PLACES):f}" for currency, amount in self.money(flow).items()}
        return {"open": flow.open, **numbers, "charge_per_s": money,
                "p50_below_ms": flow.below_ms(0.5), "p99_below_ms": flow.below_ms(0.99)}  # fmt: skip


def line_text(rates: Rates) -> str:
    """One second in one line: `12:05:02   1,204/s   12 open   0 refused/s   …`."""
    total = rates.total
    parts = (
        rates.clock, f"{_rate(rates, total.calls)}/s", f"{total.open:,} open",
        f"{_rate(rates, total.refused)} refused/s",
        f"{_tokens(rates, total.input)} in/s", f"{_tokens(rates, total.output)} out/s", f"{_money(rates, total)}/s",
        f"p50 {_below(total, 0.5)}", f"p99 {_below(total, 0.99)}",
    )  # fmt: skip
    return "   ".join(parts)


def screen_lines(rates: Rates, size: tuple[int, int], trouble: str = "") -> list[str]:
    """Head, table and foot, cut to `size` (columns, rows)."""
    width, height = size
    workers = "1 worker" if rates.workers == 1 else f"{rates.workers} workers"
    lines = [f"{line_text(rates)}   {workers}", ""]
    columns = [
        *(Column(name) for name in rates.by), Column("calls/s", "count"), Column("open", "count"),
        Column("refused/s", "count"), Column("in/s", "count"), Column("out/s", "count"),
        Column("charge/s", "count"), Column("p50", "count"), Column("p99", "count"),
    ]  # fmt: skip
    room = max(0, height - 5)
    rows = [_row(rates, flow) for flow in rates.flows[:room]]
    lines += lay_out(columns, rows).split("\n") if rows else ["nothing happens"]
    more = len(rates.flows) - room
    lines += [f"and {more:,} more" if more > 0 else "", plain(trouble) or "q ends"]
    return [line[:width] for line in lines[:height]]


def _row(rates: Rates, flow: Flow) -> Sequence[str]:
    return (
        *(plain(name, 40) for name in flow.names), _rate(rates, flow.calls), f"{flow.open:,}",
        _rate(rates, flow.refused), _tokens(rates, flow.input), _tokens(rates, flow.output), _money(rates, flow),
        _below(flow, 0.5), _below(flow, 0.99),
    )  # fmt: skip


def _rate(rates: Rates, number: int) -> str:
    rate = rates.per_second(number)
    return f"{rate:,.1f}" if 0 < rate < 10 else f"{rate:,.0f}"


def _tokens(rates: Rates, number: int) -> str:
    rate = rates.per_second(number)
    return f"{rate / 1e6:,.1f} M" if rate >= 1e6 else f"{rate / 1e3:,.1f} k" if rate >= 1e4 else f"{rate:,.0f}"


def _money(rates: Rates, flow: Flow) -> str:
    found = rates.money(flow)
    shown = [f"{grouped(f'{amount.quantize(_PLACES).normalize():f}')} {currency}" for currency, amount in found.items()]
    return " ".join(shown) or "0"


def _below(flow: Flow, share: float) -> str:
    ms = flow.below_ms(share)
    if not ms:
        return "–"
    return f"<{ms:,} ms" if ms < 4096 else f"<{ms // 1024:,} s"
