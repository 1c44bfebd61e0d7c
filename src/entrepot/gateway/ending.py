"""From what happened to the one usage record of an attempt: the state table of protocol §1, and its bytes."""

from typing import Literal

import msgspec

from entrepot.kernel.buckets import NOTHING, Quantities
from entrepot.kernel.instants import Instant
from entrepot.metering.record import Kind, Source, State, Terms
from entrepot.pricing.charge import charge, unrated

_RAW_USAGE_LIMIT = 4_096
_encode = msgspec.msgpack.Encoder().encode
_INTENT = bytes((Kind.INTENT,))
_ENDING = bytes((Kind.ENDING,))

Billing = Literal["price", "nothing"]


class Verdict(msgspec.Struct, frozen=True):
    """How an attempt ended."""

    state: State
    source: Source
    reason: str  # "" or a stable code
    quantities: Quantities  # what the vendor may bill
    billed: bool  # the customer pays for them


class Bill(msgspec.Struct, frozen=True):
    """What a verdict costs both sides. `charge` ≤ the hold; `cost` is -1 where no cost book names the model."""

    charge: int
    cost: int
    overrun: int
    unrated: tuple[int, ...]


VOID = Verdict("void", "vendor", "", NOTHING, False)


def bill(verdict: Verdict, terms: Terms, hold: int) -> Bill:
    """Charge by the budget price, never above the hold; what exceeds it is overrun: cost without charge."""
    quantities = verdict.quantities
    if quantities is NOTHING or quantities == NOTHING:
        return _FREE if terms.cost_version else _FREE_UNKNOWN_COST
    cost = -1
    if terms.cost_version:
        cost = charge(quantities, terms.cost_den, terms.cost_rates, terms.cost_request_rate)
    if not verdict.billed:
        return Bill(0, cost, 0, ())
    amount = charge(quantities, terms.den, terms.rates, terms.request_rate)
    missing = unrated(quantities, terms.rates)
    if amount > hold:
        return Bill(hold, cost, amount - hold, missing)
    return Bill(amount, cost, 0, missing)


_FREE = Bill(0, 0, 0, ())
_FREE_UNKNOWN_COST = Bill(0, -1, 0, ())


def intent_bytes(  # noqa: PLR0917 the fields of a record, in order
    request: str,
    attempt: int,
    admitted_at: Instant,
    operation: str,
    stream: bool,
    hold: int,
    input_bound: int,
    output_cap: int,
    raw_terms: msgspec.Raw,
) -> bytes:
    """An `Intent` as `metering.record.to_bytes` writes it, with its terms encoded once per offer."""
    return _INTENT + _encode(
        (request, attempt, admitted_at, operation, stream, hold, input_bound, output_cap, raw_terms)
    )


class Facts(msgspec.Struct):
    """What was seen of the answer."""

    status: int = 0
    service_tier: str = ""
    vendor_model: str = ""
    vendor_request: str = ""
    usage: bytes = b""
    events: int = 0
    size: int = 0


def ending_bytes(  # noqa: PLR0917 the fields of a record, in order
    seq: int,
    request: str,
    attempt: int,
    moments: tuple[Instant, Instant, Instant, Instant],
    operation: str,
    stream: bool,
    verdict: Verdict,
    billed: Bill,
    hold: int,
    bounds: tuple[int, int],
    facts: Facts,
    raw_terms: msgspec.Raw,
) -> bytes:
    """An `Ending` as `metering.record.to_bytes` writes it. `moments`: admitted, sent, first byte, ended."""
    quantities = verdict.quantities
    return _ENDING + _encode((
        seq, request, attempt, *moments, operation, stream, verdict.state, verdict.source, facts.status, verdict.reason,
        quantities, quantities if verdict.billed else NOTHING, billed.charge, billed.cost, hold, billed.overrun,
        billed.unrated, *bounds, facts.service_tier, facts.vendor_model[:200], facts.vendor_request[:200],
        facts.usage[:_RAW_USAGE_LIMIT], facts.events, facts.size, raw_terms,
    ))  # fmt: skip
