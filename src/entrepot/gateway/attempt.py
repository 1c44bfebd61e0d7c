"""One attempt as the journal knows it: its intent, how far it has come, its ending."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from entrepot.gateway import problem
from entrepot.gateway.admit import Need, Plan, admit
from entrepot.gateway.count import guess
from entrepot.gateway.ending import Facts, Verdict, bill, ending_bytes, intent_bytes
from entrepot.gateway.problem import Problem
from entrepot.gateway.ratelines import Taken
from entrepot.kernel.buckets import INPUT_SIDE, NOTHING, OUTPUT_SIDE, Quantities
from entrepot.kernel.instants import Instant
from entrepot.metering.record import Checkpoint, Intent, Terms, to_bytes
from entrepot.wire.openai import Call
from entrepot.wire.sse import Relay
from entrepot.wire.usage import Answer, read_event

if TYPE_CHECKING:
    from entrepot.gateway.app import Gateway

_NAME_LIMIT = 200


class Attempt:
    """Who asked for what under which offer, what is held, and what was seen of the answer."""

    __slots__ = (
        "_marked",
        "admitted_at", "attempt", "body", "bounds", "call", "facts", "first_at", "gateway", "hold", "offer", "relay",
        "request_id", "sent_at", "seq", "taken",
    )  # fmt: skip

    def __init__(self, gateway: "Gateway", request_id: str, decided: Plan | Need, call: Call, body: bytes) -> None:
        self.gateway = gateway
        self.request_id = request_id
        self.offer = decided.offer
        self.call = call
        self.hold = decided.hold
        self.bounds = (
            decided.input_bound,
            decided.output_cap,
        )  # input tokens at the most; output tokens at the most, all choices together
        self.body = body
        self.attempt = 1
        self.seq = -1
        self.admitted_at = self.sent_at = self.first_at = 0
        self.facts = Facts()
        self.relay: Relay | None = None
        self.taken: Taken | None = None  # of its limits, until the request has ended
        self._marked = 0  # events at the last checkpoint

    @property
    def begun(self) -> bool:
        """Whether a byte of the answer is with the client."""
        return False

    def take_anew(self) -> Problem | Need | None:
        """Take what one more attempt holds under the present offer: another route may have other prices, and then the
        leases may have too little for it (Need)."""
        decided = admit(self.offer, self.call)
        if isinstance(decided, Plan | Need):
            self.hold, self.bounds = decided.hold, (decided.input_bound, decided.output_cap)
            return decided if isinstance(decided, Need) else None
        return problem.upstream_failed("connect")

    def write_intent(self, now: int, durable: Callable[[], None]) -> None:
        """The hold is taken. The vendor is called when the intent is durable, not before."""
        self.admitted_at = now
        self.sent_at = self.first_at = 0
        self.seq = self.gateway.append(
            intent_bytes(
                self.request_id, self.attempt, now, self.call.operation, self.call.stream, self.hold, *self.bounds,
                self.offer.raw_terms,
            ),
            durable,
        )

    def write_ending(self, verdict: Verdict, durable: Callable[[], None] | None, now: Instant) -> None:
        """Hold → charge, and the one usage record of this attempt."""
        gateway, offer = self.gateway, self.offer
        terms, raw_terms = self._terms(verdict.quantities)
        billed = bill(verdict, terms, self.hold)
        record = ending_bytes(
            self.seq, self.request_id, self.attempt, (self.admitted_at, self.sent_at, self.first_at, now),
            self.call.operation, self.call.stream, verdict, billed, self.hold, self.bounds, self.facts, raw_terms,
        )  # fmt: skip
        del gateway.open[self.seq]
        gateway.leases.end(offer.leases, self.hold, billed.charge)
        gateway.append(record, durable)
        gateway.note(self, verdict, billed, now)

    def _terms(self, quantities: Quantities) -> tuple[Terms, msgspec.Raw]:
        """Those of the tier and the bracket that the answer shows, where the books tell them apart."""
        offer = self.offer
        if offer.tariff is None:
            return offer.terms, offer.raw_terms
        return offer.tariff.applied(self.facts.service_tier, sum(quantities[b] for b in INPUT_SIDE))

    def free_limits(self, quantities: Quantities) -> None:
        """Once, when the request has ended: its limits count what it used instead of its estimate."""
        taken, self.taken = self.taken, None
        if taken is not None:
            taken.end(sum(quantities))
            if self.call.output_cap is None and quantities is not NOTHING and self.gateway.rates is not None:
                output = sum(quantities[bucket] for bucket in OUTPUT_SIDE)
                self.gateway.rates.learn(self.offer.model.id, output // self.call.n)

    def limit_lines(self) -> bytes:
        """`x-ratelimit-*` as they are now."""
        return b"" if self.offer.allowance is None else self.offer.allowance.told()

    def mark(self) -> None:
        """Once a second: note how far a stream has come, if it moved and the journal has room to spare."""
        relay = self.relay
        if relay is not None and relay.events != self._marked and self.gateway.has_room():
            self._marked = relay.events
            checkpoint = self.checkpoint()
            if checkpoint is not None:
                self.gateway.append(to_bytes(checkpoint), None)

    def checkpoint(self) -> Checkpoint | None:
        """How far the stream has come; None for what is no stream, or has not begun."""
        relay = self.relay
        if relay is None:
            return None
        quantities = self.metered(read_event(relay.usage_event)) if relay.usage_event is not None else None
        terms = self._terms(quantities)[0] if quantities else self.offer.terms
        return Checkpoint(
            attempt_seq=self.seq, at=self.gateway.now(), events=relay.events, size=self.facts.size,
            tokens=min(relay.events, self.bounds[1]), usage=self.facts.usage if quantities else b"",
            quantities=quantities or NOTHING, service_tier=self.facts.service_tier,
            terms=None if terms is self.offer.terms or terms == self.offer.terms else terms,
        )  # fmt: skip

    def intent(self) -> Intent:
        """This attempt's intent, as a new segment repeats it."""
        return Intent(
            request=self.request_id, attempt=self.attempt, admitted_at=self.admitted_at, operation=self.call.operation,
            stream=self.call.stream, hold=self.hold, input_bound=self.bounds[0], output_cap=self.bounds[1],
            terms=self.offer.terms,
        )  # fmt: skip

    # what the vendor used

    def metered(self, answer: Answer) -> Quantities | None:
        """The vendor's usage, noted with what else the answer says; None if there is none that can be true."""
        facts, usage = self.facts, answer.usage
        facts.vendor_model, facts.vendor_request = _name(answer.model), _name(answer.id)
        facts.service_tier = _name(answer.service_tier)
        if usage is None:
            return None
        facts.usage = usage.raw
        if usage.absurd or usage.total > 2 * (self.offer.context * self.call.inputs + self.bounds[1]):
            return None
        return usage.quantities

    def guessed(self, events: int) -> Quantities:
        """What the vendor may bill, where nobody is charged for it: four bytes a token in, one token an event out."""
        given, most = self.bounds
        return (min(guess(len(self.body)), given), 0, 0, min(events, most), 0, 0, 0, 0)


def _name(text: str) -> str:
    """A name that a vendor gave, as a record can hold it."""
    return text[:_NAME_LIMIT].replace("\0", "")
