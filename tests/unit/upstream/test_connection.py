"""The HTTP client towards vendors, with a clock that is moved by hand: framing, reuse, bounds, deadlines."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrepot.upstream import client
from entrepot.upstream.client import Target, UpstreamUnusable, checked_address
from entrepot.upstream.connection import (
    BETWEEN_BYTES_S,
    BODY_LIMIT,
    FIRST_BYTE_S,
    HEAD_LIMIT,
    IDLE_S,
    UpstreamConnection,
)
from entrepot.wire.http1 import ResponseHead
from hand_driven import Wire
from upstream_rig import ANSWER, STREAM, Caller, Rig


@pytest.fixture
def rig() -> Rig:
    return Rig()


def test_a_connection_is_used_again_for_the_next_call_last_in_first_out(rig: Rig) -> None:
    (one, first), (two, second) = rig.call(), rig.call()
    first.feed(ANSWER)
    second.feed(ANSWER)
    assert (one.ends, two.ends) == ([(200, b"hello")], [(200, b"hello")])
    rig.again()
    assert (first.take(), second.take()) == (b"POST", b"POSTAGAIN")


@given(cuts=st.lists(st.integers(0, 200), max_size=8), stream=st.booleans())
def test_an_answer_is_the_same_however_it_is_cut(cuts: list[int], stream: bool) -> None:
    whole = STREAM + b"5\r\nhello\r\n3;x=y\r\n wo\r\n0\r\nx-trailer: ignored\r\n\r\n"
    caller, wire = Rig().call(stream=stream)
    ends = sorted(min(cut, len(whole)) for cut in cuts)
    for start, end in zip([0, *ends], [*ends, len(whole)], strict=True):
        if start < end:
            wire.feed(whole[start:end])
    assert caller.streamed + b"".join(e[1] for e in caller.ends if isinstance(e, tuple)) == b"hello wo"
    assert len(caller.ends) == 1
    assert not wire.closed


@pytest.mark.parametrize(
    ("answer", "ends"),
    [
        (b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" * 50 + ANSWER, [(200, b"hello")]),
        (b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n", [("garbage", True, False)]),
        (b"HTTP/1.1 204 No Content\r\n\r\n", [(204, b"")]),
        (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", [("garbage", True, False)]),
        (STREAM + b"zz\r\n", [("garbage", True, False)]),
        (b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % (BODY_LIMIT + 1), [("too_large", True, False)]),
        (b"HTTP/1.1 200 OK\r\nx: " + b"y" * HEAD_LIMIT, [("garbage", True, False)]),
    ],
    ids=["1xx are skipped", "101", "204", "not HTTP", "broken chunk", "too large", "endless head"],
)
def test_how_an_answer_ends(rig: Rig, answer: bytes, ends: list[object]) -> None:
    caller, wire = rig.call()
    wire.feed(answer)
    assert caller.ends == ends
    assert wire.closed == (ends[0][0] in ("garbage", "too_large"))  # type: ignore[index]


def test_only_a_clean_end_ends_a_body_without_framing(rig: Rig) -> None:
    for clean in (True, False):
        caller, wire = rig.call(stream=True)
        wire.feed(b"HTTP/1.1 200 OK\r\n\r\npart")
        assert caller.streamed == b"part"
        if clean:
            wire.hang_up()
        else:
            wire.reset()
        assert caller.ends == (["end"] if clean else [("reset", True, False)])
    assert rig.pool.idle == []


@pytest.mark.parametrize("stream", [False, True])
def test_an_end_within_a_framed_body_is_no_end(rig: Rig, stream: bool) -> None:
    for head in (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhello", STREAM + b"5\r\nhello\r\n"):
        caller, wire = rig.call(stream=stream)
        wire.feed(head)
        wire.hang_up()
        assert caller.ends == [("reset", True, False)]


def test_an_answer_that_came_before_the_request_was_sent_is_given_and_its_connection_never_used_again(rig: Rig) -> None:
    caller, wire = rig.call()
    wire.unsent = 70_000
    wire.feed(b"HTTP/1.1 413 Content Too Large\r\ncontent-length: 0\r\n\r\n")
    assert caller.ends == [(413, b"")]
    assert wire.closed
    assert rig.pool.idle == []


@pytest.mark.parametrize("head", [b"connection: close\r\n", b""], ids=["it says close", "bytes follow"])
def test_a_connection_that_is_not_clean_is_closed(rig: Rig, head: bytes) -> None:
    caller, wire = rig.call()
    wire.feed(b"HTTP/1.1 200 OK\r\n%bcontent-length: 5\r\n\r\nhello%b" % (head, b"" if head else b"HTTP/1.1 200"))
    assert caller.ends == [(200, b"hello")]
    assert wire.closed
    assert rig.pool.idle == []


def test_bytes_on_an_idle_connection_close_it_and_the_next_call_has_another(rig: Rig) -> None:
    _, wire = rig.call()
    wire.feed(ANSWER)
    wire.feed(b"HTTP/1.1 408 Request Timeout\r\n\r\n")
    assert wire.aborted
    assert rig.again().ends == []
    assert wire.take() == b"POST"
    assert rig.pool.opening == 1
    rig.loop.close()


@pytest.mark.parametrize(("said", "kept"), [(b"", IDLE_S), (b"keep-alive: timeout=30\r\n", 29.0)])
def test_an_idle_connection_is_kept_as_long_as_the_host_says(rig: Rig, said: bytes, kept: float) -> None:
    _, wire = rig.call()
    wire.feed(b"HTTP/1.1 200 OK\r\n%bcontent-length: 0\r\n\r\n" % said)
    rig.loop.pass_time(kept - 0.5)
    rig.pool.sweep(rig.loop.now)
    assert not wire.closed
    rig.loop.pass_time(0.5)
    rig.pool.sweep(rig.loop.now)
    assert wire.closed


def test_a_reset_says_whether_the_connection_was_used_before_and_whether_a_byte_had_come(rig: Rig) -> None:
    fresh, wire = rig.call()
    wire.reset()
    assert fresh.ends == [("reset", False, False)]
    _, wire = rig.call()
    wire.feed(ANSWER)
    stale = rig.again()
    wire.reset()
    assert stale.ends == [("reset", False, True)]
    _, wire = rig.call()
    wire.feed(ANSWER)
    begun = rig.again()
    wire.feed(b"H")
    wire.reset()
    assert begun.ends == [("reset", True, True)]


def test_silence_ends_a_call_before_the_first_byte_and_between_two(rig: Rig) -> None:
    silent, wire = rig.call()
    rig.loop.pass_time(FIRST_BYTE_S - 1)
    rig.pool.sweep(rig.loop.now)
    assert silent.ends == []
    rig.loop.pass_time(1)
    rig.pool.sweep(rig.loop.now)
    assert silent.ends == [("timeout", False, False)]
    assert wire.closed
    slow, wire = rig.call(stream=True)
    wire.feed(STREAM)
    for _ in range(5):
        rig.loop.pass_time(BETWEEN_BYTES_S - 1)
        rig.pool.sweep(rig.loop.now)
        wire.feed(b"1\r\nx\r\n")
    assert (slow.ends, slow.streamed) == ([], b"xxxxx")
    rig.loop.pass_time(BETWEEN_BYTES_S)
    rig.pool.sweep(rig.loop.now)
    assert slow.ends == [("timeout", True, False)]


def test_a_pool_has_a_bound_and_who_waits_for_it_has_a_deadline(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "OPEN_LIMIT", 1)
    monkeypatch.setattr(client, "WAIT_LIMIT", 2)
    _, wire = rig.call()
    served, late, too_many = rig.again(), rig.again(), rig.again()
    rig.loop.turn()
    assert too_many.ends == [("busy", False, False)]
    assert rig.loop.coroutines == []
    wire.feed(ANSWER)
    assert wire.take() == b"POSTAGAIN"
    rig.loop.pass_time(client.WAIT_S)
    rig.pool.sweep(rig.loop.now)
    assert late.ends == [("busy", False, False)]
    wire.feed(ANSWER)
    assert served.ends == [(200, b"hello")]


def test_a_call_that_is_not_wanted_any_more_is_never_written_and_its_connection_serves_the_next(rig: Rig) -> None:
    gone = Caller()
    gone.there = False
    wire = Wire(UpstreamConnection(rig.pool))
    wire.protocol.start(b"GONE", gone, rig.loop.now)
    assert (gone.ends, gone.connection, wire.written) == ([], None, b"")
    assert rig.pool.active == set()
    caller = rig.again()
    assert wire.take() == b"AGAIN"
    wire.feed(ANSWER)
    assert caller.ends == [(200, b"hello")]
    rig.pool.send(b"GONE", gone)
    assert (gone.ends, gone.connection, wire.written) == ([], None, b"")
    assert rig.pool.idle == [wire.protocol]


@pytest.mark.parametrize("clean", [True, False])
def test_of_those_that_wait_the_first_that_still_wants_its_call_gets_it(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, clean: bool
) -> None:
    monkeypatch.setattr(client, "OPEN_LIMIT", 1)
    _, wire = rig.call()
    gone, waits = rig.again(), rig.again()
    gone.there = False
    wire.feed(ANSWER + (b"" if clean else b"more"))
    assert wire.take() == (b"POSTAGAIN" if clean else b"POST")
    assert rig.pool.opening == (not clean)
    wire.feed(ANSWER) if clean else rig.loop.close()
    assert waits.ends == ([(200, b"hello")] if clean else [])
    assert gone.ends == []
    assert not rig.pool.waiting


@pytest.mark.parametrize("retired", [False, True])
def test_a_connection_that_was_made_for_a_call_that_has_gone_is_kept_unless_the_pool_is_closed(
    rig: Rig, retired: bool
) -> None:
    gone = rig.again()
    assert not rig.pool.empty
    wire = Wire(UpstreamConnection(rig.pool))

    async def connect() -> UpstreamConnection:
        return wire.protocol  # type: ignore[no-any-return]

    rig.pool._connect = connect  # type: ignore[method-assign]
    gone.there = False
    if retired:
        rig.pool.close()
    asyncio.run(rig.loop.coroutines.pop())
    assert (gone.ends, wire.written, wire.closed) == ([], b"", retired)
    assert rig.pool.empty
    assert len(rig.pool.idle) == (not retired)


def test_a_pool_that_closes_gives_up_who_waits_and_is_empty_when_its_last_call_ends(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "OPEN_LIMIT", 1)
    caller, wire = rig.call()
    waits = rig.again()
    rig.pool.close()
    rig.loop.turn()
    assert waits.ends == [("connect", False, False)]
    assert not rig.pool.empty
    wire.feed(ANSWER)
    assert caller.ends == [(200, b"hello")]
    assert wire.closed
    assert rig.pool.empty


def test_a_fault_in_who_hears_of_a_loss_ends_its_call_alone(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Caller):
        def lost(self, reason: str, *, answered: bool, reused: bool) -> None:
            raise RuntimeError("a fault of ours")

    broken, other = Broken(), Caller()
    for caller in (broken, other):
        Wire(UpstreamConnection(rig.pool)).protocol.start(b"POST", caller, rig.loop.now)
    rig.loop.pass_time(FIRST_BYTE_S)
    rig.pool.sweep(rig.loop.now)
    assert (broken.ends, other.ends) == (["failed"], [("timeout", False, False)])

    async def connect() -> UpstreamConnection:
        raise OSError("no way")

    rig.pool._connect = connect  # type: ignore[method-assign]
    rig.pool.send(b"POST", broken)
    asyncio.run(rig.loop.coroutines.pop())
    assert broken.ends == ["failed", "failed"]
    assert "a fault of ours" in caplog.text
    assert rig.pool.empty


def test_whole_answers_share_a_budget_and_reading_goes_on_when_there_is_room() -> None:
    rig = Rig(budget=100)
    head = b"HTTP/1.1 200 OK\r\ncontent-length: 90\r\n\r\n"
    (one, first), (two, second) = rig.call(), rig.call()
    first.feed(head + bytes(80))
    second.feed(head + bytes(50))
    assert (first.reading, second.reading) == (True, False)
    rig.pool.sweep(rig.loop.now)
    assert not second.reading
    first.feed(bytes(10))
    rig.pool.sweep(rig.loop.now)
    assert second.reading
    second.feed(bytes(40))
    assert [len(caller.ends[0][1]) for caller in (one, two)] == [90, 90]  # type: ignore[index]
    assert rig.pool.budget.used == 0


def test_a_fault_in_who_receives_ends_its_call_alone(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Caller):
        def answer(self, head: ResponseHead, body: bytes) -> None:
            raise RuntimeError("a fault of ours")

    caller = Broken()
    wire = Wire(UpstreamConnection(rig.pool))
    wire.protocol.start(b"POST", caller, rig.loop.now)
    wire.feed(ANSWER)
    assert caller.ends == ["failed"]
    assert "a fault of ours" in caplog.text
    assert not wire.closed


@pytest.mark.parametrize(
    "address",
    ["169.254.169.254", "::ffff:169.254.169.254", "fe80::1", "fe80::1%eth0", "224.0.0.1", "ff02::1", "0.0.0.0", "::"],
)
def test_no_upstream_has_such_an_address(address: str) -> None:
    with pytest.raises(UpstreamUnusable):
        checked_address(address)


@pytest.mark.parametrize("address", ["127.0.0.1", "10.1.2.3", "93.184.216.34", "2001:db8::1", "::1"])
def test_an_address_of_a_vendor_or_of_the_own_network_is_called(address: str) -> None:
    assert checked_address(address) == address


@pytest.mark.parametrize("url", ["ftp://x/v1", "https:///v1", "https://user:pw@x/v1", "https://x/v1?y=z", "x", ""])
def test_what_is_no_base_address_is_refused(url: str) -> None:
    with pytest.raises(UpstreamUnusable):
        Target(url)


def test_a_base_address_is_read_once() -> None:
    target = Target("https://vendor.example:8443/openai/v1/")
    assert (target.tls, target.host, target.port, target.path) == (True, "vendor.example", 8443, "/openai/v1")
