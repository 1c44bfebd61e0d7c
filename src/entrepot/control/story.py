"""Why one request cost what it cost: the records of its attempts, told as plain facts. Pure.

A record comes with its place in the journal, or without one where the segment has gone and the lake remembers.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec

from entrepot.catalog.prices import REQUEST
from entrepot.control.amount import exact, line_amount, per_million
from entrepot.kernel.buckets import BUCKETS, INPUT_SIDE, OUTPUT_SIDE
from entrepot.kernel.ids import AttemptId
from entrepot.kernel.instants import Instant, show
from entrepot.metering.record import Ending, Intent, Terms
from entrepot.pricing.charge import charge


class Place(NamedTuple):
    """Where a record lies."""

    slot: int
    epoch: int
    segment: int
    offset: int
    seq: int


class Placed(NamedTuple):
    """A record and its place; None: only the lake has it."""

    record: Intent | Ending
    place: Place | None


def tell(request: str, records: Iterable[Placed]) -> dict[str, Any] | None:
    """Facts about the request; None where no record speaks of it."""
    intents: dict[int, Placed] = {}
    endings: dict[int, Placed] = {}
    for placed in records:
        if placed.record.request == request:
            kind = intents if isinstance(placed.record, Intent) else endings
            kind.setdefault(placed.record.attempt, placed)
    numbers = sorted({*intents, *endings})
    if not numbers:
        return None
    attempts = [_attempt(intents.get(n), endings.get(n)) for n in numbers]
    newest = endings.get(numbers[-1]) or intents[numbers[-1]]
    terms = newest.record.terms
    return {
        "kind": "request",
        "request": request,
        "operation": newest.record.operation,
        "stream": newest.record.stream,
        "key": terms.key,
        "customer": terms.customer,
        "project": terms.project,
        "deployment": terms.deployment,
        "model": terms.model,
        **{name: attempts[-1][name] for name in ("state", "source", "reason", "status")},
        "attempts": attempts,
    }


def _attempt(opened: Placed | None, ended: Placed | None) -> dict[str, Any]:
    first = ended or opened
    assert first is not None
    record, terms = first.record, first.record.terms
    facts: dict[str, Any] = {
        "attempt": record.attempt,
        "id": _id_of(opened, ended),
        "admitted_at": show(record.admitted_at),
        "hold": exact(record.hold, terms.currency),
        "currency": terms.currency,
        "hold_is": _hold_is(record, terms),
        "upstream": terms.upstream,
        "vendor": terms.vendor,
        "zone": terms.zone,
        "intent": _place(opened.place if opened else None),
        "ending": None,
        "state": "open",
        "source": "",
        "reason": "",
        "status": 0,
        "price_version": terms.price_version,
    }
    if ended is not None and isinstance(ended.record, Ending):
        facts.update(_ended(ended.record, ended.place))
    return facts


def _ended(ending: Ending, place: Place | None) -> dict[str, Any]:
    terms, currency = ending.terms, ending.terms.currency
    return {
        "ending": _place(place),
        "sent_at": _at(ending.sent_at),
        "first_at": _at(ending.first_at),
        "ended_at": _at(ending.ended_at),
        "state": ending.state,
        "source": ending.source,
        "reason": ending.reason,
        "status": ending.status,
        "vendor_model": ending.vendor_model,
        "vendor_request": ending.vendor_request,
        "service_tier": ending.service_tier,
        "bracket": terms.bracket,
        "vendor_said": said(ending.usage),
        "quantities": dict(zip(BUCKETS, ending.quantities, strict=True)),
        "lines": _lines(ending),
        "charge": exact(ending.charge, currency),
        "released": exact(ending.hold - ending.charge, currency),
        "overrun": exact(ending.overrun, currency),
        "cost": exact(ending.cost, terms.cost_currency) if ending.cost >= 0 and terms.cost_currency else None,
        "cost_currency": terms.cost_currency,
        "cost_version": terms.cost_version,
        "unrated": [BUCKETS[i] for i in ending.unrated],
        "bytes": ending.size,
        "events": ending.events,
    }


def _lines(ending: Ending) -> list[dict[str, Any]]:
    terms = ending.terms
    once = terms.request_rate if any(ending.charged) else 0
    request = {
        "bucket": REQUEST, "quantity": 1, "price": line_amount(1, once, terms.den, terms.currency),
        "amount": line_amount(1, once, terms.den, terms.currency),
    }  # fmt: skip
    return [
        {
            "bucket": bucket,
            "quantity": quantity,
            "price": per_million(rate, terms.den, terms.currency) if rate >= 0 else None,
            "amount": line_amount(quantity, rate, terms.den, terms.currency) if rate >= 0 else None,
        }
        for bucket, quantity, rate in zip(BUCKETS, ending.charged, terms.rates, strict=True)
        if quantity
    ] + ([request] if once else [])


def _hold_is(record: Intent | Ending, terms: Terms) -> dict[str, Any] | None:
    """The hold taken apart: bound × dearest input + cap × dearest output; None where that is not how it was made."""
    dearest_in = max(terms.rates[i] for i in INPUT_SIDE)
    dearest_out = max(terms.rates[i] for i in OUTPUT_SIDE)
    quantities = [0] * len(BUCKETS)
    rates = [0] * len(BUCKETS)
    quantities[0], rates[0] = record.input_bound, max(0, dearest_in)
    quantities[3], rates[3] = record.output_cap, max(0, dearest_out)
    if charge(tuple(quantities), terms.den, tuple(rates), terms.request_rate) != record.hold:  # type: ignore[arg-type]
        return None
    facts: dict[str, Any] = {"input": record.input_bound, "output": record.output_cap}
    facts["input_price"] = per_million(max(0, dearest_in), terms.den, terms.currency)
    facts["output_price"] = per_million(max(0, dearest_out), terms.den, terms.currency)
    return facts


def said(usage: bytes) -> dict[str, Any] | None:
    """The vendor's own numbers, as it sent them; None where there are none or they are not an object."""
    try:
        found = msgspec.json.decode(usage) if usage else None
    except msgspec.DecodeError:
        return None
    return found if isinstance(found, dict) else None


def _id_of(opened: Placed | None, ended: Placed | None) -> str:
    if opened is not None and opened.place is not None:
        return str(AttemptId(opened.place.slot, opened.place.epoch, opened.place.seq))
    if ended is not None and ended.place is not None and isinstance(ended.record, Ending):
        return str(AttemptId(ended.place.slot, ended.place.epoch, ended.record.attempt_seq))
    return ""


def _place(place: Place | None) -> dict[str, Any] | None:
    if place is None:
        return None
    return {"stream": f"w{place.slot}-{place.epoch:06d}", "segment": place.segment, "offset": place.offset}


def _at(at: Instant) -> str | None:
    return show(at) if at else None
