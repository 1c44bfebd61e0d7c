"""The gateway process: routes, calls, and the once-a-second work; carries out what `admit` decides."""

import asyncio
import time
import zlib
from collections.abc import Callable

import msgspec

from entrepot.gateway import problem
from entrepot.gateway.admit import Need, admit
from entrepot.gateway.attempt import Attempt
from entrepot.gateway.caller import caller_of, credential
from entrepot.gateway.clients import Server
from entrepot.gateway.count import Counter
from entrepot.gateway.desk import Desk, Offer
from entrepot.gateway.ending import Bill, Verdict
from entrepot.gateway.heads import CUSTOM_LIMIT, cors_head, custom_headers, id_lines
from entrepot.gateway.leases import Leases
from entrepot.gateway.limiting import limit
from entrepot.gateway.live import Live
from entrepot.gateway.models import one_model, usable_models
from entrepot.gateway.overload import Overload, rest
from entrepot.gateway.problem import Dialect, Problem
from entrepot.gateway.ratelines import Taken
from entrepot.gateway.relay import Exchange
from entrepot.gateway.routes import Route
from entrepot.gateway.server import Connection
from entrepot.gateway.shortage import short_of_money
from entrepot.gateway.status import Refusals
from entrepot.gateway.suspension import end_calls
from entrepot.gateway.ticker import Ticker
from entrepot.gateway.upstream import Upstream
from entrepot.kernel.buckets import NOTHING
from entrepot.kernel.ids import RequestIds
from entrepot.limits.message import Granted
from entrepot.metering.record import Tally, to_bytes
from entrepot.snapshot import KeyEntry, UpstreamEntry
from entrepot.upstream.client import Pool
from entrepot.wire.builtin import check_builtin
from entrepot.wire.http1 import RequestHead
from entrepot.wire.openai import BadField, Call, read_call

DRAINING_LIMIT = 1_000  # answers read to their end for clients that have gone
INFLATED_LIMIT = 16 * 1024 * 1024
Append = Callable[[bytes, Callable[[], None] | None], int]


_OVERLOADED = problem.overloaded()


class Gateway:
    """Everything one worker knows and does. The loop's thread only."""

    def __init__(  # noqa: PLR0917 made once, by `run`
        self,
        loop: asyncio.AbstractEventLoop,
        desk: Desk,
        leases: Leases,
        ids: RequestIds,
        stream: tuple[int, int],
        append: Append,
        room: Callable[[int], bool],
        now: Callable[[], int],
        make_upstream: Callable[[UpstreamEntry], Upstream],
        ticker: Ticker,
    ) -> None:
        self.loop = loop
        self.desk = desk
        self.rates = desk.rates
        self.overload = Overload(time.monotonic, time.thread_time, loop.call_soon)
        self.leases = leases
        self.slot, self.epoch = stream
        self.append = append
        self.now = now
        self.server = Server(loop, self)
        self.open: dict[int, Exchange] = {}  # attempts without ending, by the number of their intent
        self.ending: dict[int, Exchange] = {}  # ending written, not yet durable
        self.upstreams: dict[str, Upstream] = {}
        self.retired: list[Pool] = []  # of upstreams that have changed: their calls go on under the old address
        self.refusals = Refusals()
        self.counter = Counter(loop)
        self.calls = 0
        self.drained = 0  # open attempts whose client has gone
        self._ids = ids
        self._counter = 0
        self._room = room
        self._make_upstream = make_upstream
        self._ticker = ticker
        self.tally: dict[str, int] = {}  # refusals of this second, by "key reason"
        self.live = Live()

    def has_room(self) -> bool:
        """Whether the journal has prepared space for one more call; without it only endings are written."""
        return self._room(len(self.open))

    def under_way(self) -> bool:
        """Whether a call is not at its end: one without its durable ending, or one that waits for its turn, for a share
        or for money and may begin any moment."""
        waiting = self.overload.waiting or self.leases.waiting or (self.rates is not None and self.rates.waiting)
        return bool(self.open or self.ending or waiting)

    # the server's questions

    def request_id(self, now: int | None = None) -> str:
        """The next id; `now` where the caller has just looked at the clock."""
        self._counter += 1
        return self._ids.make((now or self.now()) // 1000, self.slot, self.epoch, self._counter)

    def allow(self, connection: Connection, route: Route, head: RequestHead) -> Problem | None:
        """Who calls? Asked when the headers are complete, before a byte of the body is kept."""
        if route.public:
            return None
        headers = head.headers
        presented = credential(headers)
        if isinstance(presented, Problem):
            return presented
        found = self.desk.authenticate(presented, self.now())
        if isinstance(found, Problem):
            return found
        connection.caller = found
        connection.payer = found[1].id
        connection.admission = self.desk.generation, self.desk.good_until(presented)
        if found[1].state != "active":
            return problem.suspended()
        if route.dialect is Dialect.AZURE and (count := custom_headers(head)) > CUSTOM_LIMIT:
            return problem.too_many_headers(count, CUSTOM_LIMIT)
        if route.takes_body and b"json" not in headers.get(b"content-type", b"application/json").lower():
            return problem.bad_request(
                "The content type has to be application/json.", status=415, code="unsupported_media_type"
            )
        return None

    def welcome(self, connection: Connection) -> bool:
        """Whether what `allow` said of this connection's last request still holds: nothing about keys has changed
        since, and the credential has not come to its end."""
        generation, until = connection.admission
        return generation == self.desk.generation and self.now() < until

    def refused(self, connection: Connection, route: Route | None, trouble: Problem, request_id: str) -> None:
        """The server refuses a request that is not whole."""
        if route is not None and route.takes_body and isinstance(connection.caller, tuple):
            self._count_refused(connection)
        self._note_refusal(connection, route, trouble, request_id)

    def _note_refusal(self, connection: Connection, route: Route | None, trouble: Problem, request_id: str) -> None:
        """Count a refusal; that of a known key is remembered with its id for a while."""
        caller = connection.caller
        key: KeyEntry | None = None
        currency = ""
        if isinstance(caller, tuple):
            key, currency = caller[0], caller[1].currency
        self._count_refusal(key.id if key else "-", trouble.code)
        if key is not None:
            self.refusals.add(request_id, self.now(), key, route.deployment if route else "", trouble)
            self.live.refused(key.customer, route.deployment if route else "")
            self._ticker.refused(
                self.now(), key.customer, route.deployment if route else "", trouble, request_id, currency
            )

    def _count_refusal(self, key: str, code: str) -> None:
        mark = f"{key} {code}"
        if mark in self.tally or len(self.tally) < 1_000:
            self.tally[mark] = self.tally.get(mark, 0) + 1

    def handle(self, connection: Connection, route: Route, head: RequestHead, body: bytes) -> None:
        """A whole request of a known caller."""
        if route.takes_body:
            self._call(connection, route, body)
        elif route.operation == "models":
            self._models(connection, route)
        elif route.operation == "cors":
            connection.respond(cors_head(), b"")
        else:
            connection.respond(
                b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 15\r\n", b'{"status":"ok"}'
            )

    # the operations

    def _call(self, connection: Connection, route: Route, body: bytes) -> None:
        if self.overload.at_once():
            self._start(connection, route, body)
            return
        key, customer = caller_of(connection)
        generation = self.desk.generation

        def start() -> None:
            connection.answering = None
            trouble = self.desk.turned_away(key, customer) if self.desk.generation != generation else None
            if trouble is not None:
                self._refuse_counted(connection, route, trouble, self.request_id())
            else:
                self._start(connection, route, body)

        place = self.overload.queue(customer.id, lambda: connection.guard(start))
        if place is not None:
            connection.answering = place
            return
        self._count_refusal(key.id, "overloaded")  # no more is kept of it: it has to cost little
        connection.refuse(_OVERLOADED, route.dialect, self.request_id())
        rest(self.loop, connection)

    def _start(self, connection: Connection, route: Route, body: bytes) -> None:
        now = self.now()
        request_id = self.request_id(now)
        key, customer = caller_of(connection)
        try:
            call = read_call(route.operation, body, model_required=not route.deployment)
        except BadField as bad:
            self._refuse_counted(connection, route, problem.bad_field(bad), request_id)
            return
        name = route.deployment or call.model
        offer = self.desk.offer(key, customer, name, now)
        if isinstance(offer, Problem):
            self._refuse_counted(connection, route, offer, request_id, name)
            return
        try:
            if offer.builtin:
                check_builtin(call)
        except BadField as bad:
            self._refuse_counted(connection, route, problem.bad_field(bad), request_id, name)
            return
        if offer.allowance is None or self.rates is None:
            self._admit(connection, route, (request_id, now), (offer, call, body), None)
        else:
            generation = self.desk.generation

            def decided(word: Problem | None, taken: Taken | None) -> None:
                if taken is not None and self.desk.generation != generation:  # it has waited for its share
                    word = self.desk.turned_away(key, customer)
                    if word is not None:
                        taken.end(0)
                self._admit(connection, route, (request_id, now), (offer, call, body), taken if word is None else word)

            limit(self.rates, connection, offer, call, decided)

    def _admit(
        self, connection: Connection, route: Route, made: tuple[str, int], asked: tuple[Offer, Call, bytes],
        taken: Taken | Problem | None,
    ) -> None:  # fmt: skip
        """Limits come before money: what they refuse (`taken`) writes no record and holds nothing."""
        request_id, now = made
        offer, call, body = asked
        if isinstance(taken, Problem):
            self._refuse(connection, route, taken, request_id, offer.deployment.name)
            return
        decided = admit(offer, call) if self.has_room() else problem.journal_full()
        if isinstance(decided, Problem):
            if taken is not None:
                taken.end(0)
            self._refuse(connection, route, decided, request_id, offer.deployment.name)
            return
        exchange = Exchange(self, connection, request_id, route.dialect, decided, call, body)
        exchange.admitted_at = now
        exchange.taken = taken
        connection.answering = exchange
        if isinstance(decided, Need):
            self.ask_keeper(
                exchange, decided,
                lambda trouble: self._refuse(connection, route, trouble, request_id, offer.deployment.name),
            )  # fmt: skip
            return
        exchange.begin(now)

    def ask_keeper(self, exchange: Exchange, need: Need, refuse: Callable[[Problem], None]) -> None:
        """The call goes on once its leases have what it needs, or is refused by the keeper's word."""
        self.leases.need(need.offer.leases, need.hold, lambda word: self._decided(exchange, need, refuse, word))

    def _decided(
        self, exchange: Exchange, need: Need, refuse: Callable[[Problem], None], word: Granted | str | None
    ) -> None:
        """The keeper's word about a hold that was not in hand."""
        offer = need.offer
        trouble: Problem | None
        if word is None:  # it has waited: what was asked before is asked again
            trouble = self.desk.turned_away(offer.key, offer.customer)
            trouble = trouble or (None if self.has_room() else problem.journal_full())
            if trouble is None:
                exchange.begin(exchange.admitted_at)
                return
            self.leases.end(offer.leases, need.hold, 0)
        elif isinstance(word, str):
            trouble = problem.lease_unavailable()
        else:
            trouble = short_of_money(need, exchange.call, word)
        exchange.free_limits(NOTHING)
        if exchange.reply.client is None:
            return
        refuse(msgspec.structs.replace(trouble, lines=exchange.limit_lines()))

    def _models(self, connection: Connection, route: Route) -> None:
        """The list, or the one that the path names."""
        key, _ = caller_of(connection)
        request_id = self.request_id()
        name, now = route.deployment, self.now()
        answer = one_model(self.desk, key, name, now) if name else usable_models(self.desk, key, now)
        if isinstance(answer, Problem):
            self._refuse(connection, route, answer, request_id)
            return
        body = msgspec.json.encode(answer)
        connection.respond(
            b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n%b%b"
            % (len(body), id_lines(request_id, route.dialect), connection.echo()),
            body,
        )

    def _refuse_counted(
        self, connection: Connection, route: Route, trouble: Problem, request_id: str, model: str = ""
    ) -> None:
        """A call that is refused before its limits were looked at counts as a request all the same."""
        self._count_refused(connection)
        self._refuse(connection, route, trouble, request_id, model)

    def _count_refused(self, connection: Connection) -> None:
        allowance = self.desk.allowance(*caller_of(connection))
        if allowance is not None and self.rates is not None:
            self.rates.count_refused(allowance, self.rates.clock())

    def _refuse(self, connection: Connection, route: Route, trouble: Problem, request_id: str, model: str = "") -> None:
        if trouble.code == "model_not_priced":
            trouble = problem.not_priced(model, request_id)
        named = msgspec.structs.replace(route, deployment=model) if model else route
        self._note_refusal(connection, named, trouble, request_id)
        connection.refuse(trouble, route.dialect, request_id)

    # what an exchange asks

    def note(self, exchange: Attempt, verdict: Verdict, billed: Bill, now: int) -> None:
        """One line on the operator's screen."""
        self.calls += 1
        self._ticker.call(exchange, verdict, billed, now)
        terms = exchange.offer.terms
        self.live.ended(
            (terms.customer, terms.deployment), verdict.quantities, billed.charge, terms.currency,
            now - exchange.admitted_at,
        )  # fmt: skip

    def may_drain(self) -> bool:
        """Whether one more answer may be read to its end for a client that has gone."""
        return self.drained < DRAINING_LIMIT

    def upstream_trouble(self, upstream: str, status: int) -> None:
        """A vendor answered with an error that is not the caller's."""
        self.refusals.trouble(upstream, status, self.now())

    @staticmethod
    def inflate(encoding: bytes, body: bytes) -> bytes:
        """An answer that came encoded although we asked for identity; read for its usage only, and bounded."""
        try:
            return zlib.decompressobj(wbits=47 if encoding in (b"gzip", b"deflate") else 0).decompress(
                body, INFLATED_LIMIT
            )
        except zlib.error:
            return b""

    # once a second, and on a new snapshot

    def renew(self) -> None:
        """Answer from the desk's snapshot: upstreams that are new or changed get a pool, and calls under way of
        customers that are suspended end."""
        for entry in self.desk.snapshot.upstreams():
            known = self.upstreams.get(entry.id)
            if known is None or known.entry != entry:
                if known is not None:
                    known.pool.close()
                    self.retired.append(known.pool)
                self.upstreams[entry.id] = self._make_upstream(entry)
        end_calls(self.open.values(), self.desk.snapshot)

    def tick(self) -> None:
        now = self.loop.time()
        self.server.sweep(now)
        for pool in [*self.retired, *(upstream.pool for upstream in self.upstreams.values())]:
            pool.sweep(now)
        self.retired = [pool for pool in self.retired if pool.active or pool.opening or pool.waiting]
        for exchange in [*self.open.values(), *self.ending.values()]:
            exchange.tick(now)
        self.leases.tick(self.now())
        self.live.tick(now)
        if self.tally and self.has_room():
            tally, self.tally = self.tally, {}
            self.append(to_bytes(Tally(self.now(), tally)), None)

    def status(self) -> dict[str, object]:
        """For `entrepot status`; may be lost."""
        return {
            "slot": self.slot,
            "epoch": self.epoch,
            "snapshot": self.desk.snapshot.version,
            "open": len(self.open),
            "drained": self.drained,
            "connections": len(self.server.connections),
            "calls": self.calls,
            "keeper": self.leases.connected,
            "draining": self.server.draining,
            **self.refusals.summary(),
        }
