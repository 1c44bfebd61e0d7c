"""What the operator's screen hears: each call, or above 20 a second one summary a second."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from entrepot.gateway import vendor_words
from entrepot.gateway.ending import Bill, Verdict
from entrepot.gateway.problem import Problem, upstream_failed, upstream_limited
from entrepot.kernel.buckets import INPUT_SIDE, OUTPUT_SIDE
from entrepot.kernel.ids import made_at_ms
from entrepot.kernel.instants import SECOND, Instant
from entrepot.kernel.money import show

if TYPE_CHECKING:
    from entrepot.gateway.attempt import Attempt

CALLS_A_SECOND = 20
_LIMITED = (429, 529)
_NAME_MOST = 200  # of what a customer called a model that is not there


def answered(status: int, reason: str, *, begun: bool) -> int:
    """What the client got: the vendor's `status`, unless that is not for its eyes or there was no answer to pass on."""
    kind, _, word = reason.partition("_")
    if begun or not reason:
        return status or 200
    if kind != "upstream":
        return 500 if reason == "internal_error" else status or 502
    if not word.isdigit():
        return upstream_failed(word).status
    if status in vendor_words.PASSED_ON:
        return status
    return upstream_limited(None).status if status in _LIMITED else upstream_failed("error").status


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
                "at": now, "customer": terms.customer,
                "status": answered(exchange.facts.status, verdict.reason, begun=exchange.begun),
                "model": terms.deployment,
                "input": sum(quantities[b] for b in INPUT_SIDE), "output": sum(quantities[b] for b in OUTPUT_SIDE),
                "charge": f"{show(billed.charge, terms.currency)} {terms.currency}", "state": verdict.state,
                "ms": (now - exchange.admitted_at) // 1000, "request": exchange.request_id,
            })  # fmt: skip

    def refused(  # noqa: PLR0917 the facts of one line
        self, now: Instant, customer: str, model: str, trouble: Problem, request_id: str, currency: str = ""
    ) -> None:
        """A request of a known key was refused; its id says when it was made."""
        if now // SECOND != self._second:
            self._turn(now // SECOND)
        self._refused += 1
        if self._calls + self._refused <= CALLS_A_SECOND:
            self._facts.append({
                "at": now, "status": trouble.status, "customer": customer, "model": model[:_NAME_MOST] or "-",
                "refused": trouble.code, "charge": f"0 {currency}".rstrip(), "request": request_id,
                "ms": max(1, now // 1000 - made_at_ms(request_id)),
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
