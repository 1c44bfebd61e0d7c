"""Counters of this worker by customer and model, for `entrepot top`: they only grow, and whoever looks subtracts.

A call adds a few integers here. What it adds is nobody's truth: money and usage are in the journal.
"""

from typing import Any

from entrepot.kernel.buckets import INPUT_SIDE, OUTPUT_SIDE, Quantities
from entrepot.kernel.money import show

METERS_LIMIT = 1_000  # more pairs than that share one meter, until the quiet ones have gone
SPANS = 21  # of a call's milliseconds: below 1, 2, 4, … and 2^20 (17 minutes) and more
OTHERS = ("(others)", "")
_QUIET_S = 60.0

_IN_A, _IN_B, _IN_C, _IN_D, _IN_E = INPUT_SIDE
_OUT_A, _OUT_B, _OUT_C = OUTPUT_SIDE


class Meter:
    """One customer's calls of one model since the meter was made."""

    __slots__ = ("before", "calls", "charge", "input", "output", "refused", "spans")

    def __init__(self) -> None:
        self.calls = self.refused = self.input = self.output = 0
        self.charge: dict[str, int] = {}
        self.spans = [0] * SPANS  # calls by the length of their milliseconds in bits
        self.before = 0  # calls and refusals when the quiet were last looked for


class Live:
    """The meters of one worker."""

    def __init__(self) -> None:
        self._meters: dict[tuple[str, str], Meter] = {}
        self._looked_at = 0.0

    def ended(self, pair: tuple[str, str], quantities: Quantities, charge: int, currency: str, us: int) -> None:
        """An attempt of `pair` (customer, model as the customer names it) has ended after `us` microseconds."""
        meter = self._meters.get(pair) or self._new(pair)
        q = quantities
        meter.calls += 1
        meter.input += q[_IN_A] + q[_IN_B] + q[_IN_C] + q[_IN_D] + q[_IN_E]
        meter.output += q[_OUT_A] + q[_OUT_B] + q[_OUT_C]
        meter.charge[currency] = meter.charge.get(currency, 0) + charge
        meter.spans[min((us // 1000).bit_length(), SPANS - 1)] += 1

    def refused(self, customer: str, model: str) -> None:
        """A request of a known customer was refused. `model` is whatever it asked for, so a name that never led to a
        call gets no meter of its own."""
        meter = self._meters.get((customer, model))
        if meter is None:
            pair = (customer, "")
            meter = self._meters.get(pair) or self._new(pair)
        meter.refused += 1

    def tick(self, now: float) -> None:
        """Once a minute: where there are many meters, those that did not move since the last time go."""
        if now - self._looked_at < _QUIET_S:
            return
        self._looked_at = now
        if len(self._meters) > METERS_LIMIT // 2:
            self._meters = {pair: m for pair, m in self._meters.items() if m.calls + m.refused != m.before}
        for meter in self._meters.values():
            meter.before = meter.calls + meter.refused

    def rows(self, open_calls: dict[tuple[str, str], int]) -> list[dict[str, Any]]:
        """Every meter, and how many calls of its pair are under way."""
        quiet = Meter()
        pairs = [*self._meters, *(pair for pair in open_calls if pair not in self._meters)]
        return [_row(pair, self._meters.get(pair, quiet), open_calls.get(pair, 0)) for pair in pairs]

    def _new(self, pair: tuple[str, str]) -> Meter:
        if len(self._meters) >= METERS_LIMIT:
            pair = OTHERS
        return self._meters.setdefault(pair, Meter())


def _row(pair: tuple[str, str], meter: Meter, under_way: int) -> dict[str, Any]:
    return {
        "customer": pair[0], "model": pair[1], "open": under_way, "calls": meter.calls, "refused": meter.refused,
        "input": meter.input, "output": meter.output, "spans": meter.spans,
        "charge": {currency: show(amount, currency).replace(",", "") for currency, amount in meter.charge.items()},
    }  # fmt: skip
