"""What the operator's screen hears: each call, or above 20 a second one summary a second."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from entrepot.gateway.ending import Bill, Verdict
from entrepot.gateway.problem import Problem
from entrepot.kernel.buckets import INPUT_SIDE, OUTPUT_SIDE
from entrepot.kernel.instants import SECOND, Instant
from entrepot.kernel.money import show

if TYPE_CHECKING:
    from entrepot.gateway.attempt import Attempt

CALLS_A_SECOND = 20
_NAME_MOST = 200  # of what a customer called a model that is not there


class Ticker:
    """Collects facts; tells them when `flush` is called, a few times a second."""

    def __init__(self, tell: Callable[[dict[str, Any]], None]) -> None:
        self._tell = tell
        self._facts: list[dict[str, Any]] = []
        self._second = 0
        self._calls = self._refused = self._tokens = 0
        self._charges: dict[str, int] = {}

    def call(self, exchange: "Attempt", verdict: Verdict, billed: Bill, now: Instant) -> None:
        """An attempt has ended."""
        if now // SECOND != self._second:
            self._turn(now // SECOND)
        self._calls += 1
        quantities = verdict.quantities
        self._tokens += sum(quantities)
        terms = exchange.offer.terms
        self._charges[terms.currency] = self._charges.get(terms.currency, 0) + billed.charge
        if self._calls + self._refused <= CALLS_A_SECOND:
            self._facts.append({
                "at": now, "status": exchange.facts.status or 502, "customer": terms.customer,
                "model": terms.deployment,
                "input": sum(quantities[b] for b in INPUT_SIDE), "output": sum(quantities[b] for b in OUTPUT_SIDE),
                "charge": f"{show(billed.charge, terms.currency)} {terms.currency}", "state": verdict.state,
                "ms": (now - exchange.admitted_at) // 1000, "request": exchange.request_id,
            })  # fmt: skip

    def refused(self, now: Instant, customer: str, model: str, trouble: Problem, request_id: str) -> None:
        """A request of a known key was refused."""
        if now // SECOND != self._second:
            self._turn(now // SECOND)
        self._refused += 1
        if self._calls + self._refused <= CALLS_A_SECOND:
            self._facts.append({
                "at": now, "status": trouble.status, "customer": customer, "model": model[:_NAME_MOST] or "-",
                "refused": trouble.code, "ms": 0, "request": request_id,
            })  # fmt: skip

    def _turn(self, second: int) -> None:
        """A second is over: was it one that folds into a line?"""
        if self._calls + self._refused > CALLS_A_SECOND:
            for fact in self._facts:
                self._tell({"call": fact})
            self._facts = []
            money = "  ".join(f"{show(charge, currency)} {currency}" for currency, charge in self._charges.items())
            self._tell({
                "second": {"at": self._second * SECOND, "calls": self._calls, "refused": self._refused,
                           "tokens": self._tokens, "charge": money}
            })  # fmt: skip
        self._second = second
        self._calls = self._refused = self._tokens = 0
        self._charges = {}

    def flush(self, now: Instant) -> None:
        """Tell what has come together."""
        if now // SECOND != self._second and self._calls + self._refused:
            self._turn(now // SECOND)
        facts, self._facts = self._facts, []
        for fact in facts:
            self._tell({"call": fact})
