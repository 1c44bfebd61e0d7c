"""May this call go out, and what is held for it?

A plain function of (offer, counters, request): it waits for nothing and returns a Plan, a Problem or a Need, which the
gateway carries out.
"""

import msgspec

from entrepot.gateway import problem
from entrepot.gateway.desk import Offer
from entrepot.gateway.problem import Problem
from entrepot.limits.lease import take_all
from entrepot.wire.openai import Call


class Plan(msgspec.Struct, frozen=True):
    """The call goes out: `hold` is already taken from the offer's leases."""

    offer: Offer
    hold: int
    input_bound: int
    output_cap: int  # all choices together


class Need(msgspec.Struct, frozen=True):
    """One of the leases has `hold` not free: ask the keeper once, then decide again."""

    offer: Offer
    hold: int
    input_bound: int
    output_cap: int


def admit(offer: Offer, call: Call) -> Plan | Need | Problem:
    """Decide on a call whose deployment is known. A Plan has taken its hold."""
    if call.operation not in offer.model.operations:
        return problem.wrong_operation(call.operation, offer.deployment.name, offer.model.operations)
    if not offer.output_priced and call.operation != "embedding":
        return problem.not_priced(offer.deployment.name, "")
    tariff = offer.tariff
    if call.service_tier and (tariff is None or call.service_tier not in tariff.tiers):
        return _not_sold(call.service_tier, sorted(tariff.tiers) if tariff else [])
    input_bound = call.input_bound
    most = offer.context if call.inputs == 1 else offer.context * call.inputs
    if input_bound > most or call.grounded:
        input_bound = most
    cap = call.output_cap
    if cap is None:
        cap = min(call.default_cap or offer.output_cap, offer.output_cap)
    elif cap > offer.output_max:
        cap = offer.output_max
    cap *= call.n
    given, made, once = offer.held(call.service_tier, input_bound)
    hold = -(-(input_bound * given + cap * made + once) // offer.den)
    if take_all(offer.leases, hold):
        return Plan(offer, hold, input_bound, cap)
    return Need(offer, hold, input_bound, cap)


def _not_sold(tier: str, sold: list[str]) -> Problem:
    """A service tier without a price of its own."""
    instead = f"use {' or '.join(sold)}, or leave it out" if sold else "leave service_tier out or use 'auto'"
    message = f"The service tier '{tier}' is not for sale here; {instead}."
    return problem.bad_request(message, param="service_tier", code="unsupported_value")
