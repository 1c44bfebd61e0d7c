"""Endings for tests: one customer, one model, plain rates."""

from typing import Any

from entrepot.kernel.instants import HOUR
from entrepot.metering.record import Ending, Terms
from entrepot.pricing.charge import charge

AT = 1_795_000_000 * 1_000_000 // HOUR * HOUR
RATES = (100, 50, 125, 400, 400, -1, -1, -1)
COSTS = (80, 40, 100, 320, 320, 0, 0, 0)


def terms(customer: str = "demo", **changes: Any) -> Terms:
    fields: dict[str, Any] = {
        "key": "Ky9Pf34qY6", "customer": customer, "project": "default", "deployment": "small", "model": "small",
        "upstream": "aurora-eu", "vendor": "aurora", "zone": "EU", "balance": customer, "currency": "USD",
        "price_version": "list/1", "den": 1, "rates": RATES, "cost_version": "cost/1", "cost_currency": "USD",
        "cost_den": 1, "cost_rates": COSTS,
    }  # fmt: skip
    return Terms(**{**fields, **changes})


def ending(seq: int, tokens: tuple[int, int] = (41, 23), **changes: Any) -> Ending:
    """A final chat answer of `tokens` (input, output); charge and cost follow from the rates."""
    used = changes.pop("quantities", (tokens[0], 0, 0, tokens[1], 0, 0, 0, 0))
    pays = changes.pop("charged", used)
    what = changes.pop("terms", None) or terms()
    price = charge(pays, what.den, what.rates, what.request_rate)
    at = changes.pop("admitted_at", AT + seq)
    fields: dict[str, Any] = {
        "attempt_seq": seq, "request": f"req_{seq:026d}", "attempt": 1, "admitted_at": at, "sent_at": at + 2,
        "first_at": at + 300, "ended_at": at + 612, "operation": "chat", "stream": False, "state": "final",
        "source": "vendor", "status": 200, "reason": "", "quantities": used, "charged": pays, "charge": price,
        "cost": charge(used, what.cost_den, what.cost_rates, what.cost_request_rate),
        "hold": price + 1000, "overrun": 0, "unrated": (),
        "input_bound": 100, "output_cap": 100, "service_tier": "", "vendor_model": "small-2026",
        "vendor_request": "chatcmpl-1", "usage": b'{"prompt_tokens":41}', "events": 1, "size": 800, "terms": what,
    }  # fmt: skip
    return Ending(**{**fields, **changes})
