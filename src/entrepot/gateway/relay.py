"""One attempt, from its hold to its ending: intent → upstream → client, and what becomes of it when one of them breaks.

admitted ── intent durable ──► sent ──► answering ──► ended ── ending durable ──► last bytes to the client
    └─ client gone: void        └─ no connection: void, next route · stale connection: estimated, once more
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from entrepot.gateway import problem
from entrepot.gateway.admit import Need, Plan
from entrepot.gateway.attempt import Attempt
from entrepot.gateway.desk import Offer
from entrepot.gateway.ending import Facts, Verdict
from entrepot.gateway.heads import retry_after_ms
from entrepot.gateway.problem import Dialect
from entrepot.gateway.reply import Reply
from entrepot.gateway.upstream import forwarded
from entrepot.gateway.vendor_words import is_answer, is_error, passes_on, tells_too_much
from entrepot.kernel.buckets import NOTHING
from entrepot.kernel.instants import SECOND
from entrepot.metering.record import State
from entrepot.upstream.connection import UpstreamConnection
from entrepot.wire.http1 import ResponseHead
from entrepot.wire.openai import Call
from entrepot.wire.sse import EventTooLarge, Relay
from entrepot.wire.usage import Answer, read_event, read_unary

if TYPE_CHECKING:
    from entrepot.gateway.app import Gateway
    from entrepot.gateway.server import Connection

DURABLE_WAIT_S = 5.0  # protocol §3: then the connection is cut and the record stands
_LIMITED = (429, 529)
_TOO_LONG = b"is too large to process"  # the built-in engine about an embedding, with status 500
_DONE = b"data: [DONE]\n\n"


class Exchange(Attempt):
    """One call between its client and the vendor. Every path of an attempt ends in `_end`, exactly once."""

    __slots__ = (
        "_final", "_gone_at", "_gone_for", "connection", "draining", "ended_at", "on_route", "reply",
    )  # fmt: skip

    def __init__(  # noqa: PLR0917 made once, by the app
        self, gateway: "Gateway", client: "Connection", request_id: str, dialect: Dialect, decided: Plan | Need,
        call: Call, body: bytes,
    ) -> None:  # fmt: skip
        super().__init__(gateway, request_id, decided, call, body)
        self.reply = Reply(client, request_id, dialect)
        self.on_route = self.ended_at = 0
        self.connection: UpstreamConnection | None = None
        self.draining = False  # its client has gone and its answer is read to the end
        self._final: Callable[[], None] | None = None
        self._gone_at, self._gone_for = 0.0, "client_gone"

    @property
    def begun(self) -> bool:
        return self.reply.started

    def begin(self, now: int) -> None:
        """The hold is taken: write the intent."""
        self.write_intent(now, self._send)
        self.gateway.open[self.seq] = self

    def _send(self) -> None:
        if self.reply.client is None:
            self._end(Verdict("void", "vendor", self._gone_for, NOTHING, False))
            return
        gateway = self.gateway
        self.sent_at = gateway.now()
        offer = self.offer
        upstream = gateway.upstreams[offer.upstream.id]
        head, body = upstream.head(self.call.operation, offer.vendor_model), forwarded(offer, self.call, self.body)
        upstream.pool.send(
            b"%b%d\r\nx-client-request-id: w%d-%06d-%d\r\n\r\n%b"
            % (head, len(body), gateway.slot, gateway.epoch, self.seq, body),
            self,
            fresh=self.attempt > 1,
        )

    # the upstream's side (upstream.connection.Sink)

    @property
    def payer(self) -> str:  # upstream.connection.Sink
        return self.offer.customer.id

    def wanted(self) -> bool:
        """Whether the request may still be written: a call that ended while it waited for a connection must not go."""
        return self.gateway.open.get(self.seq) is self

    def wants_stream(self, head: ResponseHead) -> bool:
        self.first_at = self.gateway.now()
        self.facts.status = head.status
        if head.status != 200 or not self.call.stream:
            return False
        if not head.headers.get(b"content-type", b"").startswith(b"text/event-stream"):
            return False
        if head.headers.get(b"content-encoding", b"identity") != b"identity":
            return False  # passed on whole, as it is, once its usage is known
        self.relay = Relay(drop_usage=not self.call.include_usage)
        self.reply.begin(self.offer)
        return True

    def stream_data(self, payload: bytes) -> None:
        relay = self.relay
        assert relay is not None
        if self._final is not None:
            return  # behind the end that was already relayed
        try:
            forward, held = relay.feed(payload)
        except EventTooLarge:
            self._break_off("too_large")
            return
        if held and not self.reply.hold(held):
            self._break_off("too_large")
            return
        if forward:
            self.facts.size += len(forward)
            self.reply.pass_on(forward)
        if relay.done and relay.usage_event is not None and self._final is None:
            self._stream_over()

    def stream_end(self) -> None:
        self.connection = None
        if self._final is None:
            self._stream_over()

    def answer(self, head: ResponseHead, body: bytes) -> None:
        self.connection = None
        if self._final is not None:
            return  # it is being ended already
        if not self.first_at:
            self.first_at = self.gateway.now()
        status = self.facts.status = head.status
        if status != 200:
            self._refused(head, body)
            return
        readable = body
        encoding = head.headers.get(b"content-encoding")
        if encoding is not None and encoding != b"identity":
            readable = self.gateway.inflate(encoding, body)
        if self.call.stream:
            self._whole_stream(head, body, readable)
            return
        answer = read_unary(readable)
        self.facts.size = len(body)
        self._final = lambda: self.reply.whole(self.offer, head, body, readable)
        self._judge(answer, readable, broken=answer.broken)

    def lost(self, reason: str, *, answered: bool, reused: bool) -> None:
        """The upstream broke (upstream.client.Sink.lost)."""
        self.connection = None
        if self._final is not None:
            return  # its ending is written; what came after it does not matter
        if reason in ("connect", "busy"):
            self._next_route(reason)
            return
        if reason == "reset" and reused and not answered and self.attempt == 1 and self.reply.client is not None:
            self._once_more()
            return
        relay = self.relay
        if relay is not None and relay.usage_event is not None:
            quantities = self.metered(read_event(relay.usage_event))
            if quantities is not None:
                self._refuse(reason)
                self._end(Verdict("aborted", "vendor", f"upstream_{reason}", quantities, True))
                return
        if answered and relay is not None:
            verdict = Verdict("aborted", "counted", f"upstream_{reason}", self.guessed(relay.events), False)
        else:
            verdict = Verdict("estimated", "estimate", f"upstream_{reason}", self.guessed(0), False)
        self._refuse(reason)
        self._end(verdict)

    def failed(self) -> None:
        """A fault of ours in the middle of an answer (upstream.connection.Sink.failed)."""
        if not self.ended_at:
            reply = self.reply
            self._final = reply.cut if reply.started else lambda: reply.refuse(problem.internal())
            self._end(Verdict("estimated", "estimate", "internal_error", self.guessed(0), False))

    def _next_route(self, reason: str) -> None:
        """No connection was made, so nothing was begun: void, and the next route if there is one."""
        following = None
        if self.reply.client is not None and self.on_route + 1 < len(self.offer.routes):
            following = self.gateway.desk.offer_anew(self.offer, self.admitted_at, self.on_route + 1)
        verdict = Verdict("void", "vendor", f"upstream_{reason}", NOTHING, False)
        if isinstance(following, Offer):
            self.write_ending(verdict, None, self.gateway.now())
            self.offer = following
            self.on_route += 1
            self._again()
            return
        self._refuse(reason)
        self._end(verdict)

    def _once_more(self) -> None:
        """A reused connection was reset before a byte came, so the vendor may have begun. Cost flagged, charge 0, and
        a new attempt with an intent of its own."""
        stale = Verdict("estimated", "estimate", "stale_connection", self.guessed(0), False)
        self.write_ending(stale, None, self.gateway.now())
        self._again()

    def _again(self) -> None:
        self.attempt += 1
        self.facts = Facts()
        trouble = self.take_anew()
        if trouble is None:
            self.begin(self.admitted_at)  # the instant of the request decides its price, whichever attempt serves it
        elif isinstance(trouble, Need):
            self.gateway.ask_keeper(self, trouble, self.reply.refuse)
        else:
            self.free_limits(NOTHING)
            self.reply.refuse(trouble)

    # answers

    def _refused(self, head: ResponseHead, body: bytes) -> None:
        """The vendor answered with an error. OpenAI's dialect bills none of them but the content filter's 400, whose
        prompt was read (reference/wire.md §2.1): final if it names its usage, else counted."""
        status, reply = head.status, self.reply
        if passes_on(head, body):
            trouble = problem.upstream_refused(status)
            silent = not is_error(body) or tells_too_much(body, self._host())
            self._final = lambda: reply.refuse(trouble) if silent else reply.whole(self.offer, head, body, body)
            if status == 400 and b'"content_filter"' in body:
                self._judge(read_unary(body), b"", broken=False)
                return
        elif _TOO_LONG in body and self.offer.upstream.dialect == "builtin":
            most = f"An input has more tokens than the {self.offer.context:,} that this model reads at once."
            trouble = problem.bad_request(most, param="input", code="context_length_exceeded")
            self._final = lambda: reply.refuse(trouble)
        elif status in _LIMITED:
            wait = retry_after_ms(head)
            self._final = lambda: reply.refuse(problem.upstream_limited(wait, self.limit_lines()))
        else:
            self._refuse("error", retry_after_ms(head))
            self.gateway.upstream_trouble(self.offer.upstream.id, status)
        self._end(Verdict("void", "vendor", f"upstream_{status}", NOTHING, False))

    def _whole_stream(self, head: ResponseHead, body: bytes, readable: bytes) -> None:
        """A stream that came as one body: encoded, or not labelled as an event stream."""
        relay = Relay(drop_usage=False)
        try:
            relay.feed(readable)
        except EventTooLarge:
            relay.usage_event, relay.events = None, 0
        self.facts.events, self.facts.size = relay.events, len(body)
        if relay.usage_event is None and not relay.events:
            self._refuse("invalid")
            self._end(Verdict("estimated", "estimate", "upstream_invalid", self.guessed(0), False))
            return
        self._final = lambda: self.reply.whole(self.offer, head, body, readable)
        self._judge(read_event(relay.usage_event or b"{}"), readable, broken=False)

    def _stream_over(self) -> None:
        relay = self.relay
        assert relay is not None
        self.facts.events = relay.events
        tail = relay.end()
        last = b"".join(self.reply.held) + tail
        if not relay.done and not relay.error:
            last += b"\n\n" + _DONE if tail else _DONE  # the SDKs wait for it
        self.facts.size += len(last)
        self._final = lambda: self.reply.finish(last)
        answer = read_event(relay.usage_event or b"{}")
        if relay.error and tells_too_much(last, self._host()):
            self._refuse("error")
        if relay.error and answer.usage is None:
            self._end(Verdict("aborted", "counted", "upstream_error", self.guessed(relay.events), False))
        elif not relay.events:
            self._refuse("invalid")
            self._end(Verdict("estimated", "estimate", "upstream_invalid", self.guessed(0), False))
        else:
            self._judge(answer, b"", broken=False)

    def _judge(self, answer: Answer, body: bytes, *, broken: bool) -> None:
        """A complete answer: final with the vendor's usage; without a usable one it is estimated."""
        quantities = self.metered(answer)
        if quantities is not None:
            if self._gone_at:
                self._end(Verdict("aborted", "drained", self._gone_for, quantities, True))
            else:
                self._end(Verdict("final", "vendor", "", quantities, True))
        elif answer.usage is not None:
            self._end(Verdict("estimated", "estimate", "absurd_usage", self.guessed(self.facts.events), False))
        elif broken or (body and not is_answer(body)):
            self._refuse("invalid")
            self._end(Verdict("estimated", "estimate", "upstream_invalid", self.guessed(0), False))
        else:
            self._count("estimated", "no_usage", body)

    def _count(self, state: State, reason: str, answer: bytes) -> None:
        """The client has, or had, an answer for which the vendor named no usage: count it, outside the loop. A stream's
        output is one token an event, as vendors send them."""
        events = self.facts.events

        def counted(found: list[int]) -> None:
            given, most = self.bounds
            output = min(events or found[1], most)
            self._end(Verdict(state, "counted", reason, (min(found[0], given), 0, 0, output, 0, 0, 0, 0), True))

        self.gateway.counter.count((self.body, answer), counted)

    # the client's side

    def client_gone(self, reason: str = "client_gone") -> None:
        """Nobody waits any more. The vendor bills on, so by default the answer is drained to its usage."""
        self.reply.client, self._gone_for = None, reason
        self._gone_at = self.gateway.loop.time()
        connection = self.connection
        if self._final is not None or not self.sent_at or not self.wanted():
            return
        if self.offer.upstream.client_gone == "cancel" or not self.gateway.may_drain():
            self._cancel(reason)
        else:
            self.draining = True
            self.gateway.drained += 1
            if connection is not None:
                connection.resume()

    def _cancel(self, reason: str) -> None:
        """Nobody waits any more, and the vendor is not to be waited for."""
        connection, self.connection = self.connection, None
        if connection is None:  # it never got one, and `wanted` sees to it that it does not now
            self._end(Verdict("void", "vendor", reason, NOTHING, False))
            return
        connection.abandon()
        relay = self.relay
        self.facts.events = relay.events if relay else 0
        self._final = _nothing
        quantities = self.metered(read_event(relay.usage_event)) if relay and relay.usage_event else None
        if quantities is not None:
            self._end(Verdict("aborted", "vendor", reason, quantities, True))
        else:
            self._count("aborted", reason, b"")

    def pause(self) -> None:
        if self.connection is not None and self.reply.client is not None:
            self.connection.pause()

    def resume(self) -> None:
        if self.connection is not None:
            self.connection.resume()

    def tick(self, now: float) -> None:
        """Once a second: bound what waits, and note how far a stream has come."""
        if self.ended_at:
            if self.gateway.now() - self.ended_at > DURABLE_WAIT_S * SECOND:
                self.reply.cut()
            return
        patience = self.offer.upstream.drain_seconds
        if self._gone_at and self.sent_at and now - self._gone_at > patience and self._final is None:
            self._cancel("drain_timeout" if self._gone_for == "client_gone" else self._gone_for)
            return
        relay = self.relay
        if self.call.stream and self.sent_at and (relay is None or not (relay.events or relay.retained)):
            self.reply.keep_alive(self.offer, self.sent_at, self.gateway.now())
        self.mark()

    def _break_off(self, reason: str) -> None:
        """We stop reading an answer that goes beyond its bounds."""
        connection, self.connection = self.connection, None
        if connection is not None:
            connection.abandon()
        self.lost(reason, answered=True, reused=False)

    def _host(self) -> str:
        return self.gateway.upstreams[self.offer.upstream.id].target.host

    def _refuse(self, reason: str, wait_ms: int | None = None) -> None:
        """What the client hears at the end: the upstream failed."""
        self._final = lambda: self.reply.refuse(problem.upstream_failed(reason, wait_ms))

    def _end(self, verdict: Verdict) -> None:
        """Once, whoever comes first: a count that comes late finds that it is over."""
        if self.gateway.open.get(self.seq) is not self:
            return
        if self.draining:
            self.draining = False
            self.gateway.drained -= 1
        self.ended_at = self.gateway.now()
        self.gateway.ending[self.seq] = self
        self.write_ending(verdict, self._durable, self.ended_at)
        self.free_limits(verdict.quantities)

    def _durable(self) -> None:
        """The ending is on disk: now, and not before, the client gets its last bytes."""
        self.gateway.ending.pop(self.seq, None)
        self._over()

    def _over(self) -> None:
        final, self._final = self._final, _nothing
        if final is not None:
            final()


def _nothing() -> None: ...
