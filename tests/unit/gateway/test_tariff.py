"""Calls of deployments whose books tell conditions apart: the dearest is held, what the answer says is charged."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from test_exchange import Bench, head, run

from desks import KEY, RATES, desk, upstream
from endings import terms as some_terms
from entrepot.gateway.tariff import Tariff, in_zone
from entrepot.kernel.buckets import Quantities
from entrepot.limits.lease import Lease
from entrepot.limits.message import Granted
from entrepot.metering.closing import ending_after_crash
from entrepot.pricing.charge import charge
from entrepot.snapshot import PriceVersion, Variant
from entrepot.wire.http1 import parse_response_head

UNPRICED = -1


def rates(given: int, made: int) -> Quantities:
    return (given, given // 2, UNPRICED, made, made, UNPRICED, UNPRICED, UNPRICED)


def variant(tier: str, zone: str, over: int, given: int, made: int) -> Variant:
    return Variant(tier=tier, zone=zone, over=over, rates=rates(given, made))


PLAIN, LONG = (2500, 10_000), (5000, 15_000)
#: Standard, batch at half, priority dearer; requests over 1,000 input tokens dearer; the zone eu a little dearer.
VERSION = PriceVersion(
    id="list/1", valid_from=0, currency="USD", den=1, rates=RATES,
    variants=tuple(
        variant(tier, zone, over, given * factor // 100 + extra, made * factor // 100 + extra)
        for tier, factor in (("", 100), ("batch", 50), ("priority", 200))
        for zone, extra in (("", 0), ("eu", 10))
        for over, (given, made) in ((0, PLAIN), (1000, LONG))
    ),
)  # fmt: skip


def tariff(zone: str) -> Tariff:
    return Tariff(some_terms(), in_zone(VERSION, zone), None)


@pytest.mark.parametrize(
    ("zone", "tier", "tokens", "expected"),
    [
        ("us", "", 10, (2500, 10_000)),
        ("eu", "", 10, (2510, 10_010)),
        ("us", "default", 10, (2500, 10_000)),
        ("us", "priority", 10, (5000, 20_000)),
        ("us", "priority", 1000, (5000, 20_000)),
        ("us", "priority", 1001, (10_000, 30_000)),
        ("us", "batch", 5000, (2500, 7500)),
        ("us", "scale", 10, (2500, 10_000)),  # a tier that the book does not name is the standard one
    ],
)
def test_an_answer_is_charged_by_its_tier_zone_and_bracket(
    zone: str, tier: str, tokens: int, expected: tuple[int, int]
) -> None:
    terms, raw = tariff(zone).applied(tier, tokens)
    assert (terms.rates[0], terms.rates[3]) == expected
    assert terms.bracket == ("1000" if tokens > 1000 else "")
    assert msgspec.msgpack.decode(raw, type=type(terms)) == terms


@pytest.mark.parametrize(
    ("asked", "bound", "expected"),
    [
        ("", 1000, (5000, 20_000)),  # without a word the vendor may choose priority
        ("", 1001, (10_000, 30_000)),
        ("batch", 1000, (2500, 10_000)),  # it may fall back to the standard
        ("priority", 1001, (10_000, 30_000)),
    ],
)
def test_the_dearest_that_can_be_reached_is_held(asked: str, bound: int, expected: tuple[int, int]) -> None:
    assert tariff("us").held(asked, bound) == (*expected, 0)


def answer(tier: str, prompt: int = 10) -> bytes:
    said = b"" if tier is None else b',"service_tier":"%b"' % tier.encode()
    return b'{"id":"c","model":"m"%b,"usage":{"prompt_tokens":%d,"completion_tokens":20,"total_tokens":%d}}' % (
        said, prompt, prompt + 20
    )  # fmt: skip


@pytest.mark.parametrize(
    ("asked", "said", "charged"),
    [
        (b"", "default", 10 * 2510 + 20 * 10_010),
        (b',"service_tier":"batch"', "batch", 10 * 1260 + 20 * 5010),
        (b',"service_tier":"priority"', "default", 10 * 2510 + 20 * 10_010),  # downgraded: standard
        (b',"service_tier":"priority"', "priority", 10 * 5010 + 20 * 20_010),
    ],
)
def test_a_call_pays_the_tier_of_its_answer(tmp_path: Path, asked: bytes, said: str, charged: int) -> None:
    async def work(bench: Bench) -> None:
        exchange = bench.call(b'"max_tokens":100' + asked)
        hold = exchange.hold
        bench.disk()
        body = answer(said)
        exchange.answer(head(len(body)), body)
        bench.disk()
        (ending,) = bench.endings
        assert (ending.state, ending.charge, ending.service_tier) == ("final", charged, said)
        assert ending.charge <= hold
        assert asked in bench.sent[0]

    run(tmp_path, work, versions=(VERSION,))


@pytest.mark.parametrize(("tier", "prompt"), [("priority", 10), ("default", 1001), ("default", 10)])
def test_what_a_crash_leaves_is_charged_as_the_ending_would_have_been(tmp_path: Path, tier: str, prompt: int) -> None:
    async def work(bench: Bench) -> None:
        exchange = bench.call(b'"max_tokens":100,"stream":true')
        bench.disk()
        head_ = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
        assert exchange.wants_stream(parse_response_head(head_))
        exchange.stream_data(b'data: {"choices":[{"delta":{"content":"x"}}]}\n\n')
        exchange.stream_data(b"data: " + answer(tier, prompt).replace(b'"model"', b'"choices":[],"model"') + b"\n\n")
        left, point = exchange.intent(), exchange.checkpoint()
        assert (point.terms is None) == (prompt == 10 and tier == "default")  # 400 bytes only where prices differ
        exchange.stream_data(b"data: [DONE]\n\n")
        exchange.stream_end()
        bench.disk()
        (ending,) = bench.endings
        sealed = ending_after_crash(exchange.seq, left, point, bench.at, charge)
        assert (sealed.charge, sealed.cost, sealed.terms, sealed.service_tier) == (
            ending.charge, ending.cost, ending.terms, ending.service_tier
        )  # fmt: skip

    run(tmp_path, work, versions=(VERSION,))


def test_a_tier_without_a_price_is_refused_and_those_with_one_are_named(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        assert bench.call(b'"max_tokens":100,"service_tier":"flex"') is None
        assert b"use batch or priority, or leave it out" in bench.wire.got

    run(tmp_path, work, versions=(VERSION,))


def next_route(bench: Bench, tier: str) -> Any:
    exchange = bench.call(b'"max_tokens":100,"service_tier":"%b"' % tier.encode())
    bench.disk()
    exchange.lost("connect", answered=False, reused=False)
    bench.disk()
    return exchange


#: The second route is in a zone where all costs twice as much and where no batch is sold.
TWICE = PriceVersion(
    id="list/1", valid_from=0, currency="USD", den=1, rates=RATES,
    variants=(
        variant("", "", 0, *PLAIN), variant("batch", "", 0, 1250, 5000), variant("priority", "", 0, 2500, 10_000),
        variant("", "far", 0, 5000, 20_000), variant("priority", "far", 0, 5000, 20_000),
    ),
)  # fmt: skip
NEAR_AND_FAR = (upstream("openai", zone=""), upstream("second", zone="far"))


def test_the_hold_of_another_route_is_made_of_its_own_prices(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        exchange = next_route(bench, "priority")
        body = answer("priority").replace(b'"completion_tokens":20,"total_tokens":30', b'"completion_tokens":100')
        exchange.answer(head(len(body)), body)
        bench.disk()
        first, second = bench.endings
        assert (first.state, second.state, second.charge, second.overrun) == (
            "void", "final", 10 * 5000 + 100 * 20_000, 0
        )  # fmt: skip
        assert second.hold == 2 * first.hold

    run(tmp_path, work, versions=(TWICE,), upstreams=NEAR_AND_FAR)


def test_a_route_that_is_not_sold_in_the_tier_of_a_call_is_none_for_it(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        next_route(bench, "batch")
        assert bench.wire.got.startswith(b"HTTP/1.1 502 ")
        assert [each.state for each in bench.endings] == ["void"]

    run(tmp_path, work, versions=(TWICE,), upstreams=NEAR_AND_FAR)


class Asked:
    """What was asked of the keeper, who answers when the test says so."""

    def __init__(self, bench: Bench) -> None:
        self.holds: list[int] = []
        self.bench = bench
        bench.gateway.leases.need = self.need  # type: ignore[method-assign]

    def need(self, leases: Sequence[Lease], hold: int, then: Callable[[Granted | str | None], None]) -> None:
        self.holds.append(hold)
        self.leases, self.then = leases, then

    def grants(self) -> None:
        self.bench.lease.grant(self.bench.lease.granted + self.holds[-1])
        assert all(each.take(self.holds[-1]) for each in self.leases)
        self.then(None)


def dear_route(bench: Bench) -> tuple[Any, Asked, int]:
    """A call whose lease has what the first route could cost, and not what the second could; the hold of the first."""
    exchange = bench.call(b'"max_tokens":100,"service_tier":"priority"')
    hold, asked = exchange.hold, Asked(bench)
    bench.lease.give_back(bench.lease.free)
    bench.disk()
    exchange.lost("connect", answered=False, reused=False)
    assert asked.holds == [2 * hold]
    return exchange, asked, hold


def test_a_dearer_route_that_finds_too_little_in_hand_asks_the_keeper(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        exchange, asked, hold = dear_route(bench)
        assert bench.lease.held == 0
        asked.grants()
        bench.disk()
        body = answer("priority")
        exchange.answer(head(len(body)), body)
        bench.disk()
        assert [(each.state, each.hold, each.attempt) for each in bench.endings] == [
            ("void", hold, 1), ("final", 2 * hold, 2)
        ]  # fmt: skip
        assert bench.wire.got.startswith(b"HTTP/1.1 200 ")

    run(tmp_path, work, versions=(TWICE,), upstreams=NEAR_AND_FAR)


@pytest.mark.parametrize(
    ("word", "status", "code"),
    [
        (Granted(balance="acme", total=0, short="spent", left=5), b"429", b"insufficient_quota"),
        (Granted(balance="acme", total=0, short="held", left=5, room=5), b"429", b"balance_held"),
        ("lease_unavailable", b"503", b"lease_unavailable"),
    ],
)
def test_what_the_keeper_says_of_a_dearer_route_is_what_the_client_hears(
    tmp_path: Path, word: Granted | str, status: bytes, code: bytes
) -> None:
    async def work(bench: Bench) -> None:
        _, asked, _ = dear_route(bench)
        asked.then(word)
        bench.disk()
        assert bench.wire.got.startswith(b"HTTP/1.1 %b " % status)
        assert b'"code":"%b"' % code in bench.wire.got
        assert [each.state for each in bench.endings] == ["void"]

    run(tmp_path, work, versions=(TWICE,), upstreams=NEAR_AND_FAR)


def test_nobody_is_called_for_a_client_that_left_while_the_keeper_was_asked(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        _, asked, _ = dear_route(bench)
        sent = len(bench.sent)
        bench.client.connection_lost(None)
        asked.grants()
        bench.disk()
        assert len(bench.sent) == sent
        assert [each.state for each in bench.endings] == ["void", "void"]

    run(tmp_path, work, versions=(TWICE,), upstreams=NEAR_AND_FAR)


#: 2.50 and 10 a million, and 0.000005 a request; in batch half of that.
EACH = PriceVersion(
    id="list/1", valid_from=0, currency="USD", den=1, rates=RATES, request=5000,
    variants=(
        msgspec.structs.replace(variant("", "", 0, *PLAIN), request=5000),
        msgspec.structs.replace(variant("batch", "", 0, 1250, 5000), request=2500),
    ),
)  # fmt: skip


@pytest.mark.parametrize(
    ("version", "asked", "said", "due"),
    [
        (msgspec.structs.replace(EACH, variants=()), b"", "default", 10 * 2500 + 20 * 10_000 + 5000),
        (EACH, b"", "default", 10 * 2500 + 20 * 10_000 + 5000),
        (EACH, b',"service_tier":"batch"', "batch", 10 * 1250 + 20 * 5000 + 2500),
    ],
)
def test_a_price_per_request_is_held_and_charged_once_a_call(
    tmp_path: Path, version: PriceVersion, asked: bytes, said: str, due: int
) -> None:
    async def work(bench: Bench) -> None:
        exchange = bench.call(b'"max_tokens":20' + asked)
        assert exchange.hold == exchange.bounds[0] * 2500 + 20 * 10_000 + 5000
        bench.disk()
        body = answer(said)
        exchange.answer(head(len(body)), body)
        bench.disk()
        (ending,) = bench.endings
        assert (ending.charge, ending.overrun, ending.terms.request_rate) == (due, 0, 5000 if said != "batch" else 2500)

    run(tmp_path, work, versions=(version,))


def test_a_call_that_used_nothing_pays_nothing_for_being_one(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        exchange = bench.call(b'"max_tokens":20')
        bench.disk()
        body = answer("default", 0).replace(b'"completion_tokens":20,"total_tokens":20', b'"completion_tokens":0')
        exchange.answer(head(len(body)), body)
        bench.disk()
        (ending,) = bench.endings
        assert (ending.state, ending.quantities, ending.charge) == ("final", (0,) * 8, 0)

    run(tmp_path, work, versions=(msgspec.structs.replace(EACH, variants=()),))


def test_on_another_route_the_price_is_on_its_own_vendors(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        exchange = bench.call(b'"max_tokens":100')
        bench.disk()
        exchange.lost("connect", answered=False, reused=False)
        bench.disk()
        body = answer("default")
        exchange.answer(head(len(body)), body)
        bench.disk()
        first, second = bench.endings
        assert (first.terms.price_version, second.terms.price_version) == ("list/1+one/1", "list/1+two/1")
        assert second.charge == 10 * 5000 + 20 * 20_000
        assert second.hold == 2 * first.hold

    one = PriceVersion(id="list/1+one/1", valid_from=0, currency="USD", den=1, rates=RATES)
    two = PriceVersion(id="list/1+two/1", valid_from=0, currency="USD", den=1, rates=rates(5000, 20_000))
    routes = (upstream("openai", vendor="one"), upstream("second", vendor="two"))
    run(tmp_path, work, versions=(one,), by_vendor={"two": (two,)}, upstreams=routes)


def test_without_conditions_there_is_no_tariff(tmp_path: Path) -> None:
    found: Any = desk(tmp_path)[0]
    key, customer = found.authenticate(KEY.encode(), 1)
    assert found.offer(key, customer, "gpt-4o", 1).tariff is None
