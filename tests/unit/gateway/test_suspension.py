"""A customer that is suspended while it calls, and a contract that is not in force."""

import asyncio
from pathlib import Path

import msgspec
import pytest
from test_exchange import ANSWER, LIMIT, USAGE, Bench, head, limited, run

from desks import KEY, KEY_ID, PEPPER
from entrepot.gateway.desk import Offer
from entrepot.limits.message import Ask, Share, ToKeeper
from entrepot.snapshot import CustomerEntry, Snapshot
from entrepot.snapshot.files import write_delta
from entrepot.wire.http1 import parse_response_head

STREAM = parse_response_head(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n")
EVENT = b'data: {"choices":[{"delta":{"content":"x"}}]}\n\n'
LAST = b'data: {"choices":[],' + USAGE + b"}\n\ndata: [DONE]\n\n"


def suspend(bench: Bench, where: Path) -> None:
    entry = bench.desk.snapshot.customer("acme")
    assert entry is not None
    changed: CustomerEntry = msgspec.structs.replace(entry, state="suspended")
    version = bench.desk.snapshot.version + 1
    write_delta(where, version, {"customer": {"acme": msgspec.msgpack.encode(changed)}})
    snapshot = bench.desk.snapshot.refresh(where)
    assert snapshot.version == version
    bench.desk.renew(snapshot)
    bench.gateway.renew()


def test_a_stream_ends_for_its_client_at_once_and_is_read_to_its_usage(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        exchange = bench.call(b'"max_tokens":100,"stream":true')
        bench.disk()
        assert exchange.wants_stream(STREAM)
        exchange.stream_data(EVENT)
        suspend(bench, tmp_path)
        assert b'"code":"account_suspended"' in bench.wire.got
        assert bench.wire.got.endswith(b"0\r\n\r\n")
        assert bench.client.answering is None
        got = len(bench.wire.got)
        exchange.stream_data(LAST)
        bench.disk()
        assert len(bench.wire.got) == got
        assert [(e.state, e.source, e.reason, e.charge) for e in bench.endings] == [
            ("aborted", "drained", "suspended", 10 * 2500 + 20 * 10_000)
        ]

    run(tmp_path, work)


@pytest.mark.long
def test_where_the_vendor_is_not_waited_for_the_call_is_counted_and_over(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        bench.gateway.drained = 10**6  # nobody else may be drained
        exchange = bench.call(b'"max_tokens":100,"stream":true')
        bench.disk()

        class Line:
            abandoned = False

            def abandon(self) -> None:
                self.abandoned = True

        exchange.connection = Line()
        exchange.wants_stream(STREAM)
        exchange.stream_data(EVENT * 3)
        suspend(bench, tmp_path)
        for _ in range(500):
            if bench.endings:
                break
            await asyncio.sleep(0.01)
        bench.disk()
        bench.gateway.drained = 0
        (ending,) = bench.endings
        assert (ending.state, ending.source, ending.reason) == ("aborted", "counted", "suspended")
        assert ending.charge > 0

    run(tmp_path, work)


def test_a_whole_answer_under_way_is_refused_and_metered(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        exchange = bench.call()
        bench.disk()
        suspend(bench, tmp_path)
        assert b"HTTP/1.1 403" in bench.wire.got
        exchange.answer(head(len(ANSWER)), ANSWER)
        bench.disk()
        assert ANSWER not in bench.wire.got
        assert [(e.state, e.reason) for e in bench.endings] == [("aborted", "suspended")]

    run(tmp_path, work)


def test_a_call_whose_intent_is_not_yet_on_disk_is_never_sent(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        bench.call()
        suspend(bench, tmp_path)
        bench.disk()
        bench.disk()
        assert bench.sent == []
        assert [(e.state, e.reason, e.charge) for e in bench.endings] == [("void", "suspended", 0)]

    run(tmp_path, work)


def test_the_next_call_on_the_same_connection_is_refused(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        suspend(bench, tmp_path)
        assert bench.call() is None
        assert b'"code":"account_suspended"' in bench.wire.got

    run(tmp_path, work)


@pytest.mark.parametrize(("event", "status"), [("suspended", 403), ("revoked", 401), ("nothing", 0)])
def test_a_call_that_waited_for_its_share_is_judged_anew(tmp_path: Path, event: str, status: int) -> None:
    async def work(bench: Bench) -> None:
        asked: list[ToKeeper] = []
        rates = bench.gateway.rates
        assert rates is not None
        rates.linked(asked.append)
        bench.call()
        assert not bench.wire.got
        if event == "suspended":
            suspend(bench, tmp_path)
        elif event == "revoked":
            bench.desk.deny([KEY_ID])
        for ask in [each for each in asked if isinstance(each, Ask)]:
            rates.hear(Share(meter=ask.held.meter, life=ask.held.life, given=ask.held.most))
        bench.disk()
        if status:
            assert bench.wire.got.startswith(b"HTTP/1.1 %d " % status)
            assert bench.sent == bench.records == []
            assert limited(bench) == {"requests": 1, "tokens": 0, "calls": 0}
        else:
            bench.client.answering.answer(head(len(ANSWER)), ANSWER)  # type: ignore[union-attr]
            bench.disk()
            assert bench.wire.got.endswith(ANSWER)

    run(tmp_path, work, key={"limit": LIMIT})


def test_calls_of_a_customer_that_is_not_suspended_go_on(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        exchange = bench.call()
        bench.disk()
        bench.desk.renew(bench.desk.snapshot)
        bench.gateway.renew()
        exchange.answer(head(len(ANSWER)), ANSWER)
        bench.disk()
        assert bench.wire.got.endswith(ANSWER)
        assert [e.state for e in bench.endings] == ["final"]

    run(tmp_path, work)


@pytest.mark.parametrize(
    ("at", "refused"), [(99, "begins at 1970-01-01T00:00:00.000100Z"), (100, ""), (199, ""), (200, "ended at")]
)
def test_a_call_outside_the_contracts_interval_is_refused(tmp_path: Path, at: int, refused: str) -> None:
    from desks import desk

    desk, _ = desk(tmp_path, customer={"starts_at": 100, "ends_at": 200})
    snapshot: Snapshot = desk.snapshot
    key, customer = snapshot.key(KEY[8:18]), snapshot.customer("acme")
    assert key is not None
    assert customer is not None
    assert desk.pepper == PEPPER
    found = desk.offer(key, customer, "gpt-4o", at)
    if refused:
        assert not isinstance(found, Offer)
        assert (found.status, found.code) == (403, "contract_not_in_force")
        assert refused in found.message
    else:
        assert isinstance(found, Offer)
        assert found.valid_until == 200
