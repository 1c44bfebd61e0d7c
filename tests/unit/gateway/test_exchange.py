"""One attempt against a hand-driven journal, upstream and client: it ends exactly once, whatever comes first."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from desks import KEY, KEY_ID, desk, price
from entrepot.gateway.app import Gateway
from entrepot.gateway.leases import Leases
from entrepot.gateway.server import Connection
from entrepot.gateway.ticker import Ticker
from entrepot.gateway.upstream import Upstream
from entrepot.kernel.ids import RequestIds
from entrepot.limits.lease import Lease
from entrepot.metering.record import Ending, Intent, Record, from_bytes
from entrepot.snapshot import LimitEntry
from entrepot.upstream.client import Budget
from entrepot.wire.http1 import ResponseHead, parse_response_head

USAGE = b'"usage":{"prompt_tokens":10,"completion_tokens":20,"total_tokens":30}'
ANSWER = b'{"id":"c","model":"m","choices":[{"message":{"content":"x"}}],' + USAGE + b"}"


class Wire(asyncio.Transport):
    """A client's transport that keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.got = b""
        self.closed = False

    def write(self, data: Any) -> None:
        self.got += data

    def is_closing(self) -> bool:
        return self.closed

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None: ...

    def can_write_eof(self) -> bool:
        return False

    def close(self) -> None:
        self.closed = True

    abort = close


class Bench:
    """A gateway whose journal is a list and whose pools only note what they were asked to send."""

    def __init__(self, where: Path, **given: Any) -> None:
        loop = asyncio.get_running_loop()
        self.lease: Lease
        self.desk, self.lease = desk(where, **given)
        self.records: list[Record] = []
        self.waiting: list[Callable[[], None]] = []
        self.sent: list[bytes] = []
        self.at = 1_800_000_000_000_000
        leases = Leases(loop, [], self.append)
        self.gateway = Gateway(
            loop, self.desk, leases, RequestIds(os.urandom(32)), (1, 1), self.append, lambda _open: True,
            lambda: self.at, lambda entry: Upstream(loop, entry, b"", "", Budget(), None),
            Ticker(lambda _facts: None),
        )  # fmt: skip
        self.gateway.renew()
        for upstream in self.gateway.upstreams.values():
            upstream.pool.send = self.note  # type: ignore[method-assign]
        self.client = Connection(self.gateway.server)
        self.wire = Wire()
        self.client.connection_made(self.wire)

    def note(self, request: bytes, sink: Any, *, fresh: bool = False) -> None:
        self.sent.append(request)

    def append(self, record: bytes, durable: Callable[[], None] | None = None) -> int:
        self.records.append(from_bytes(record))
        if durable is not None:
            self.waiting.append(durable)
        return len(self.records)

    def disk(self) -> None:
        """Everything appended so far is durable."""
        while self.waiting:
            self.waiting.pop(0)()

    def call(self, fields: bytes = b'"max_tokens":100', model: bytes = b"gpt-4o") -> Any:
        body = b'{"model":"' + model + b'",' + fields + b',"messages":[{"role":"user","content":"hi"}]}'
        head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer %b\r\n" % KEY.encode()
        head += b"content-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body)
        self.client.data_received(head + body)
        return self.client.answering

    @property
    def endings(self) -> list[Ending]:
        return [r for r in self.records if isinstance(r, Ending)]


def head(size: int, status: int = 200, more: bytes = b"") -> ResponseHead:
    return parse_response_head(b"HTTP/1.1 %d X\r\n%bcontent-length: %d\r\n\r\n" % (status, more, size))


def run(where: Path, work: Callable[[Bench], Awaitable[None]], **given: Any) -> None:
    async def main() -> None:
        bench = Bench(where, **given)
        await work(bench)
        assert not bench.gateway.open
        assert not bench.gateway.ending
        intents = sum(isinstance(r, Intent) for r in bench.records)
        assert len(bench.endings) == intents
        assert bench.lease.held == 0
        assert bench.lease.charged == sum(e.charge for e in bench.endings)
        assert bench.gateway.drained == 0

    asyncio.run(main())


def test_a_client_that_leaves_while_no_connection_is_there_voids_the_call_and_nothing_is_sent(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        exchange = bench.call()
        bench.disk()
        bench.gateway.drained = 10**6  # nobody else may be drained
        bench.client.connection_lost(None)
        bench.gateway.drained = 0
        assert not exchange.wanted()
        exchange.answer(head(len(ANSWER)), ANSWER)  # a pool that wrote all the same
        bench.disk()
        assert [e.state for e in bench.endings] == ["void"]

    run(tmp_path, work)


def test_a_client_that_leaves_before_the_intent_is_durable_is_void(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        exchange = bench.call()
        bench.client.connection_lost(None)
        exchange.tick(10**9)
        bench.disk()
        assert bench.sent == []
        assert [(e.state, e.charge) for e in bench.endings] == [("void", 0)]

    run(tmp_path, work)


def test_an_answer_twice_and_a_loss_after_it_are_one_ending(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        exchange = bench.call()
        bench.disk()
        exchange.answer(head(len(ANSWER)), ANSWER)
        exchange.answer(head(len(ANSWER)), ANSWER)
        exchange.lost("reset", answered=True, reused=False)
        exchange.failed()
        bench.disk()
        assert [(e.state, e.charge) for e in bench.endings] == [("final", 10 * 2500 + 20 * 10_000)]
        assert bench.wire.got.endswith(ANSWER)

    run(tmp_path, work)


def test_the_next_route_gets_the_callers_body_rewritten_for_it(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        exchange = bench.call()
        bench.disk()
        assert b'"model":"gpt-4o-2024"' in bench.sent[0]
        exchange.lost("connect", answered=False, reused=False)
        bench.disk()
        assert b'"model":"gpt-4o-2024"' in bench.sent[1]
        exchange.answer(head(len(ANSWER)), ANSWER)
        bench.disk()
        assert [(e.state, e.attempt, e.terms.upstream) for e in bench.endings] == [
            ("void", 1, "openai"), ("final", 2, "second"),
        ]  # fmt: skip

    run(tmp_path, work)


def test_a_cap_above_the_models_is_forwarded_as_the_models(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        exchange = bench.call(b'"max_tokens":100000')
        bench.disk()
        assert b'"max_tokens":16000' in bench.sent[0]
        exchange.lost("timeout", answered=False, reused=False)
        bench.disk()

    run(tmp_path, work)


def test_many_choices_are_not_absurd(tmp_path: Path) -> None:
    usage = b'{"id":"c","usage":{"prompt_tokens":10,"completion_tokens":400000,"total_tokens":400010}}'

    async def work(bench: Bench) -> None:
        exchange = bench.call(b'"max_tokens":4000,"n":128')
        bench.disk()
        exchange.answer(head(len(usage)), usage)
        bench.disk()
        assert [(e.state, e.charge) for e in bench.endings] == [("final", 10 * 2500 + 400_000 * 10_000)]

    run(tmp_path, work)


def test_a_vendors_names_are_cut_to_what_a_record_holds(tmp_path: Path) -> None:
    body = b'{"id":"c","service_tier":"' + b"t" * 3_000_000 + b'","model":"a\\u0000b",' + USAGE + b"}"

    async def work(bench: Bench) -> None:
        exchange = bench.call()
        bench.disk()
        exchange.answer(head(len(body)), body)
        bench.disk()
        (ending,) = bench.endings
        assert (ending.state, len(ending.service_tier), ending.vendor_model) == ("final", 200, "ab")

    run(tmp_path, work)


def test_a_usage_that_came_before_the_client_left_counts(tmp_path: Path) -> None:
    usage = b'data: {"choices":[{"delta":{"content":"x"}}],"usage":{"prompt_tokens":10,"completion_tokens":20}}\n\n'

    class Line:
        """A connection to a vendor that may be given up."""

        def abandon(self) -> None: ...

    async def work(bench: Bench) -> None:
        exchange = bench.call(b'"max_tokens":100,"stream":true')
        bench.disk()
        exchange.connection = Line()
        stream = parse_response_head(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
        )
        assert exchange.wants_stream(stream)
        exchange.stream_data(usage)
        bench.gateway.drained = 10**6
        bench.client.connection_lost(None)
        bench.gateway.drained = 0
        bench.disk()
        (ending,) = bench.endings
        assert (ending.state, ending.source, sum(ending.quantities)) == ("aborted", "vendor", 30)

    run(tmp_path, work)


def embed(bench: Bench, body: bytes) -> Any:
    head_ = b"POST /v1/embeddings HTTP/1.1\r\nhost: x\r\nauthorization: Bearer %b\r\n" % KEY.encode()
    bench.client.data_received(head_ + b"content-length: %d\r\n\r\n" % len(body) + body)
    return bench.client.answering


def test_an_embedding_needs_and_pays_input_only(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        exchange = embed(bench, b'{"model":"gpt-4o","input":["a","b"]}')
        bench.disk()
        assert bench.sent[0].startswith(b"POST /v1/embeddings HTTP/1.1\r\n")
        assert bench.sent[0].endswith(b'{"model":"gpt-4o-2024","input":["a","b"]}')
        body = b'{"object":"list","data":[],"model":"e","usage":{"prompt_tokens":8,"total_tokens":8}}'
        exchange.answer(head(len(body)), body)
        bench.disk()
        assert bench.wire.got.endswith(body)
        (ending,) = bench.endings
        assert (ending.operation, ending.state, ending.charge, ending.output_cap) == ("embedding", "final", 20_000, 0)
        assert ending.quantities == (8, 0, 0, 0, 0, 0, 0, 0)

    only_input = (2500, -1, -1, -1, -1, -1, -1, -1)
    run(tmp_path, work, versions=(price("list/1", 0, only_input),), operations=("embedding",))


def test_a_model_is_asked_only_for_what_it_does(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        bench.call()
        assert b"404 Not Found" in bench.wire.got
        assert b"operation_not_supported" in bench.wire.got
        assert b"Did you mean to use /embeddings?" in bench.wire.got
        assert bench.sent == []

    run(tmp_path, work, operations=("embedding",))


def limited(bench: Bench) -> dict[str, int]:
    """What the key's limit counts now."""
    key = bench.desk.snapshot.key(KEY_ID)
    customer = bench.desk.snapshot.customer("acme")
    assert key is not None
    assert customer is not None
    allowance = bench.desk.allowance(key, customer)
    assert allowance is not None
    return {meter.name.partition(":")[2].partition("/")[0]: meter.used for meter in allowance.every}


def give_shares(bench: Bench) -> None:
    """A keeper that has said yes to everything."""
    assert bench.gateway.rates is not None
    key = bench.desk.snapshot.key(KEY_ID)
    customer = bench.desk.snapshot.customer("acme")
    assert key is not None
    assert customer is not None
    allowance = bench.desk.allowance(key, customer)
    assert allowance is not None
    for meter in allowance.every:
        meter.grant(meter.life, meter.most)


LIMIT = LimitEntry(id="l", scope="key", requests=3, tokens=1000, concurrent=1)


def test_a_call_takes_of_its_limits_and_its_ending_corrects_them(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        give_shares(bench)
        exchange = bench.call()
        assert limited(bench)["requests"] == 1
        assert limited(bench)["tokens"] == 100 + -(-exchange.call.text_bytes // 4)
        assert limited(bench)["calls"] == 1
        bench.disk()
        exchange.answer(head(len(ANSWER)), ANSWER)
        bench.disk()
        assert limited(bench) == {"requests": 1, "tokens": 30, "calls": 0}
        assert b"x-ratelimit-limit-requests: 3\r\nx-ratelimit-remaining-requests: 2\r\n" in bench.wire.got
        assert b"x-ratelimit-limit-tokens: 1000\r\nx-ratelimit-remaining-tokens: 970\r\n" in bench.wire.got

    run(tmp_path, work, key={"limit": LIMIT})


def test_a_call_that_a_limit_refuses_writes_no_record_and_takes_no_money(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        give_shares(bench)
        bench.call(b'"max_tokens":2000')
        assert bench.wire.got.startswith(b"HTTP/1.1 429 ")
        assert b"x-should-retry: false" in bench.wire.got
        for _ in range(2):
            bench.call(b'"n":200')  # no call at all: it counts as a request
        bench.call()
        assert bench.wire.got.count(b"HTTP/1.1 429 ") == 2
        assert b"retry-after-ms: 6" in bench.wire.got
        assert b"x-ratelimit-remaining-requests: 0\r\n" in bench.wire.got
        assert bench.records == []
        assert limited(bench) == {"requests": 3, "tokens": 0, "calls": 0}

    run(tmp_path, work, key={"limit": LIMIT})


def test_a_call_that_has_no_money_gives_back_all_but_its_request(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        give_shares(bench)
        bench.call()
        await asyncio.sleep(0.01)
        assert bench.wire.got.startswith(b"HTTP/1.1 503 ")  # no keeper to ask
        assert limited(bench) == {"requests": 1, "tokens": 0, "calls": 0}

    run(tmp_path, work, key={"limit": LIMIT}, free=0)


def test_a_call_that_fails_upstream_counts_as_a_request_only(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        give_shares(bench)
        exchange = bench.call()
        bench.disk()
        exchange.lost("connect", answered=False, reused=False)
        bench.disk()
        exchange.lost("connect", answered=False, reused=False)
        bench.disk()
        assert bench.wire.got.startswith(b"HTTP/1.1 502 ")
        assert limited(bench) == {"requests": 1, "tokens": 0, "calls": 0}

    run(tmp_path, work, key={"limit": LIMIT})


def streamed(bench: Bench, *, before_the_end: Callable[[], None] = lambda: None) -> bytes:
    """A whole stream on the one connection: what the client got of it."""
    bench.wire.got = b""
    exchange = bench.call(b'"max_tokens":100,"stream":true')
    bench.disk()
    head_ = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    assert exchange.wants_stream(parse_response_head(head_))
    exchange.stream_data(b'data: {"choices":[{"delta":{"content":"x"}}]}\n\n')
    before_the_end()
    exchange.stream_data(b'data: {"choices":[],%b}\n\ndata: [DONE]\n\n' % USAGE)
    exchange.stream_end()
    bench.disk()
    return bench.wire.got


def test_a_drain_ends_no_connection_whose_last_answer_did_not_say_so(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        met = streamed(bench, before_the_end=bench.gateway.server.drain)
        assert b"connection: close" not in met
        assert met.endswith(b"0\r\n\r\n")
        assert not bench.wire.closed  # the client does not know, and may send its next request now
        following = streamed(bench)
        assert following.partition(b"\r\n\r\n")[0].endswith(b"connection: close")
        assert following.endswith(b"0\r\n\r\n")
        assert bench.wire.closed

    run(tmp_path, work)
