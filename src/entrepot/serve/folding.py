"""Many calls a second become one line on the screen, summed over the workers that told of them. Pure."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from entrepot.kernel.instants import SECOND, Instant

CALLS_A_SECOND = 20  # a worker tells this many one by one as well; more and it tells a sum of its second
SETTLED = SECOND // 2  # a worker tells the sum of a second at most 0.1 s after its end
_SECONDS_KEPT = 10


class _Second:
    """What each worker told of one second: a sum of everything, or the calls one by one."""

    def __init__(self) -> None:
        self.sums: dict[str, Mapping[str, Any]] = {}
        self.calls: dict[str, list[Mapping[str, Any]]] = {}
        self.shown = 0


class Folding:
    """Which calls the screen shows one by one, and the sums of the seconds that had too many."""

    def __init__(self) -> None:
        self._seconds: dict[int, _Second] = {}

    def call(self, worker: str, call: Mapping[str, Any]) -> bool:
        """Whether this call is a line of its own."""
        second = self._second(int(call["at"]) // SECOND)
        second.calls.setdefault(worker, []).append(call)
        second.shown += 1
        return second.shown <= CALLS_A_SECOND

    def sum(self, worker: str, total: Mapping[str, Any]) -> None:
        """A worker had too many calls in a second to tell them all."""
        self._second(int(total["at"]) // SECOND).sums[worker] = total

    def due(self, now: Instant) -> list[dict[str, Any]]:
        """Sums of the seconds that are over, oldest first, each told once."""
        over = sorted(at for at in self._seconds if (at + 1) * SECOND + SETTLED <= now)
        done = [(at, self._seconds.pop(at)) for at in over]
        return [_summed(at, each) for at, each in done if each.sums or each.shown > CALLS_A_SECOND]

    def _second(self, at: int) -> _Second:
        if at not in self._seconds and len(self._seconds) >= _SECONDS_KEPT:  # a clock that jumped: nobody asks for it
            self._seconds.pop(min(self._seconds))
        return self._seconds.setdefault(at, _Second())


def _summed(at: int, second: _Second) -> dict[str, Any]:
    calls = refused = tokens = 0
    charges: dict[str, Decimal] = {}
    for worker in {**second.sums, **second.calls}:
        total = second.sums.get(worker)
        if total is not None:
            calls += int(total["calls"])
            refused += int(total.get("refused", 0))
            tokens += int(total.get("tokens", 0))
            _add(charges, str(total.get("charge", "")).split("  "))
            continue
        for call in second.calls[worker]:
            if call.get("refused"):
                refused += 1
            else:
                calls += 1
                tokens += int(call.get("input", 0)) + int(call.get("output", 0))
                _add(charges, [str(call.get("charge", ""))])
    charge = "  ".join(f"{_plain(amount)} {currency}" for currency, amount in charges.items())
    return {"at": at * SECOND, "calls": calls, "refused": refused, "tokens": tokens, "charge": charge or "0"}


def _add(charges: dict[str, Decimal], amounts: list[str]) -> None:
    for amount in amounts:
        number, _, currency = amount.partition(" ")
        if currency:
            charges[currency] = charges.get(currency, Decimal()) + Decimal(number.replace(",", ""))


def _plain(amount: Decimal) -> str:
    text = f"{amount:,f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
