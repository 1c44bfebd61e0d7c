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
    if call.service_tier:
        return problem.bad_request(
            f"The service tier '{call.service_tier}' is not for sale here; leave service_tier out or use 'auto'.",
            param="service_tier",
            code="unsupported_value",
        )
    input_bound = call.input_bound
    most = offer.context if call.inputs == 1 else offer.context * call.inputs
    if input_bound > most:
        input_bound = most
    cap = call.output_cap
    if cap is None:
        cap = min(call.default_cap or offer.output_cap, offer.output_cap)
    elif cap > offer.output_max:
        cap = offer.output_max
    cap *= call.n
    hold = -(-(input_bound * offer.input_rate + cap * offer.output_rate) // offer.den)
    if take_all(offer.leases, hold):
        return Plan(offer, hold, input_bound, cap)
    return Need(offer, hold, input_bound, cap)
