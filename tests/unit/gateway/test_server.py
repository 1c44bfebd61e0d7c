"""The customers' side of HTTP with a clock that is moved by hand: slow clients, budgets, keep-alive, drain."""

import json
import socket

import pytest

from entrepot.gateway.bodies import BODIES_BUDGET, BODIES_SHARE
from entrepot.gateway.server import BODY_LIMIT, PIPELINED_LIMIT
from hand_driven import Wire
from http_rig import Rig, request


@pytest.fixture
def rig() -> Rig:
    return Rig()


def head(size: int, payer: bytes = b"one") -> bytes:
    line = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nuser-agent: %b\r\n" % payer
    return line + b"content-length: %d\r\n\r\n" % size


def status(wire: Wire) -> int:
    return int(wire.written.split()[1]) if wire.written else 0


def test_a_head_that_trickles_in_is_refused_after_30_s(rig: Rig) -> None:
    wire = rig.connect()
    for byte in request()[:29]:
        wire.feed(bytes((byte,)))
        rig.second()
    assert status(wire) == 0
    rig.second()
    assert status(wire) == 408
    assert b"connection: close" in wire.written
    rig.second(2)
    assert wire.closed
    assert rig.server.connections == rig.server.receiving == set()


def test_each_64_kib_of_a_body_buy_one_more_second(rig: Rig) -> None:
    wire = rig.connect()
    wire.feed(head(1 << 20))
    wire.feed(bytes(2 * 64 * 1024 - 3))
    for _ in range(3):
        rig.second(9)
        wire.feed(b"x")
    rig.second(4)
    assert status(wire) == 0
    rig.second()
    assert status(wire) == 408
    assert rig.server.bodies.held == 0
    assert rig.app.asked == []


def test_a_body_that_keeps_its_pace_is_taken(rig: Rig) -> None:
    wire = rig.connect()
    wire.feed(head(60 * 64 * 1024))
    for _ in range(60):
        wire.feed(bytes(64 * 1024))
        rig.second()
    assert len(rig.app.asked) == 1
    rig.second(60)
    assert status(wire) == 0  # the deadline is for receiving, not for answering


def test_a_body_of_which_nothing_comes_for_10_s_is_refused(rig: Rig) -> None:
    begun, not_begun = rig.connect(), rig.connect()
    begun.feed(head(1 << 20) + bytes(1 << 19))
    not_begun.feed(head(1 << 20))
    rig.second(9)
    assert (status(begun), status(not_begun)) == (0, 0)
    begun.feed(b"x")
    rig.second()
    assert (status(begun), status(not_begun)) == (0, 408)
    rig.second(9)
    assert status(begun) == 408
    assert rig.server.bodies.held == 0


def fill(rig: Rig, payer: bytes, size: int) -> list[Wire]:
    """Bodies that lack their last byte, of `size` bytes together."""
    wires = []
    while size:
        part = min(size, BODY_LIMIT - 1)
        wires.append(rig.connect())
        wires[-1].feed(head(part + 1, payer))
        wires[-1].feed(bytes(part))
        size -= part
        rig.loop.pass_time(0.01)
    return wires


def test_one_customer_holds_a_share_of_the_bodies_and_no_more(rig: Rig) -> None:
    greedy = fill(rig, b"greedy", BODIES_SHARE)
    one_more = rig.connect()
    one_more.feed(head(100, b"greedy") + b"x")
    assert status(one_more) == 503
    assert b'"overloaded"' in one_more.written
    assert b"retry-after: 1" in one_more.written
    other = fill(rig, b"other", BODIES_SHARE)
    assert {status(wire) for wire in greedy + other} == {0}
    greedy[0].feed(b"x")
    again = rig.connect()
    again.feed(head(1 << 20, b"greedy"))
    again.feed(bytes(1 << 19))
    again.feed(bytes(1 << 19))
    assert [len(body) for _, body in rig.app.asked] == [BODY_LIMIT, 1 << 20]
    for wire in [*greedy, *other, again]:
        wire.reset()
    assert rig.server.bodies.held == 0


def test_when_all_bodies_together_are_too_many_the_one_silent_for_longest_goes(rig: Rig) -> None:
    wires = []
    for payer in (b"a", b"b", b"c", b"d"):
        wires += fill(rig, payer, BODIES_BUDGET // 4)
        rig.second()
    assert rig.server.bodies.held == BODIES_BUDGET
    small = rig.connect()
    small.feed(head(100, b"e") + b"x")
    assert [status(wire) for wire in wires] == [503] + [0] * (len(wires) - 1)
    small.feed(bytes(99))
    assert len(rig.app.asked) == 1
    for wire in wires:
        wire.reset()
    assert rig.server.bodies.held == 0
    assert rig.server.receiving == set()


def test_small_bodies_do_not_make_room_for_a_large_one(rig: Rig) -> None:
    rig.server.bodies.hold("elsewhere", BODIES_BUDGET - 1000)
    small, large = rig.connect(), rig.connect()
    small.feed(head(1000, b"a") + bytes(900))
    large.feed(head(1000, b"b") + bytes(900))
    assert (status(small), status(large)) == (0, 503)


def test_a_key_that_is_revoked_while_the_body_comes_is_refused(rig: Rig) -> None:
    wire, late = rig.connect(), rig.connect()
    wire.feed(head(10))
    wire.feed(b"12345")
    late.feed(request(b"hello")[:-2])
    rig.app.denied = True
    wire.feed(b"67890")
    late.feed(b"lo")
    assert (status(wire), status(late)) == (401, 401)
    assert rig.app.asked == []
    assert rig.server.bodies.held == 0
    assert wire.eof


def test_a_head_asked_for_alone_has_no_body_and_the_next_answer_follows_it(rig: Rig) -> None:
    wire = rig.connect()
    line = b" /v1/models HTTP/1.1\r\nhost: x\r\n\r\n"
    wire.feed(b"HEAD" + line + b"GET" + line)
    rig.app.answer(b"models")
    rig.loop.turn()
    rig.app.answer(b"models")
    empty, full = b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\n", b"models"
    assert wire.written == empty + empty + full


def test_a_body_beyond_the_limit_is_refused_by_its_length_alone(rig: Rig) -> None:
    wire = rig.connect()
    wire.feed(head(BODY_LIMIT + 1))
    assert status(wire) == 413
    assert rig.server.bodies.held == 0


def test_a_chunked_body_beyond_the_limit_is_refused_where_it_exceeds_it(rig: Rig) -> None:
    wire = rig.connect()
    wire.feed(b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n")
    half = BODY_LIMIT // 2
    chunk = b"%x\r\n%b\r\n" % (half, bytes(half))
    wire.feed(chunk)
    wire.feed(chunk)
    assert status(wire) == 0
    wire.feed(b"1\r\nx\r\n")
    assert status(wire) == 413
    assert rig.server.bodies.held == 0


def test_a_header_block_above_32_kib_is_refused(rig: Rig) -> None:
    wire = rig.connect()
    wire.feed(b"POST /v1/chat/completions HTTP/1.1\r\nx-long: ")
    for _ in range(33):
        if not wire.written:
            wire.feed(b"y" * 1024)
    assert status(wire) == 431
    assert wire.eof


def test_the_key_is_looked_at_before_the_body_is_taken(rig: Rig) -> None:
    wire = rig.connect()
    wire.feed(head(1_000_000).replace(b"host: x", b"host: x\r\napi-key: bad") + bytes(5000))
    assert status(wire) == 401
    assert rig.server.bodies.held == 0
    assert rig.app.refusals == ["invalid_api_key"]
    wire.feed(bytes(100_000))  # on its way already: read and dropped
    assert rig.server.bodies.held == 0
    rig.second(2)
    assert wire.closed


def test_a_client_that_waits_for_100_continue_gets_it_only_if_it_may_send(rig: Rig) -> None:
    good, bad = rig.connect(), rig.connect()
    good.feed(request(b"", b"expect: 100-continue").replace(b"length: 0", b"length: 5"))
    assert good.take() == b"HTTP/1.1 100 Continue\r\n\r\n"
    good.feed(b"hello")
    assert rig.app.asked[0][1] == b"hello"
    bad.feed(request(b"", b"expect: 100-continue", b"api-key: bad").replace(b"length: 0", b"length: 5"))
    assert status(bad) == 401


def test_a_client_that_never_reads_is_cut_after_60_s(rig: Rig) -> None:
    wire = rig.connect()
    wire.feed(request(b"x"))
    connection = rig.app.asked[0][0]
    connection.write(b"much")
    connection.pause_writing()
    rig.second(59)
    assert not wire.aborted
    rig.second(2)
    assert wire.aborted
    assert rig.server.connections == set()


def test_a_client_that_reads_again_in_time_is_not_cut(rig: Rig) -> None:
    wire = rig.connect()
    wire.feed(request(b"x"))
    connection = rig.app.asked[0][0]
    for _ in range(5):
        connection.pause_writing()
        rig.second(50)
        connection.resume_writing()
        rig.second(1)
    assert not wire.closed


def test_an_idle_connection_is_closed_and_a_busy_one_is_not(rig: Rig) -> None:
    fresh, used, busy = rig.connect(), rig.connect(), rig.connect()
    busy.feed(request(b"long"))
    rig.second(60)
    used.feed(request(b"x"))
    rig.app.asked.insert(0, rig.app.asked.pop())
    rig.app.answer(b"done")
    rig.second(20)
    assert (fresh.closed, used.closed, busy.closed) == (True, False, False)
    rig.second(61)
    assert (used.closed, busy.closed) == (True, False)


def test_pipelined_requests_are_answered_one_after_the_other(rig: Rig) -> None:
    wire = rig.connect()
    wire.feed(request(b"one") + request(b"two") + request(b"three")[:30])
    assert [body for _, body in rig.app.asked] == [b"one"]
    wire.feed(request(b"three")[30:])
    rig.app.answer(b"1")
    rig.loop.turn()
    assert [body for _, body in rig.app.asked] == [b"two"]
    rig.app.answer(b"2")
    rig.loop.turn()
    rig.app.answer(b"3")
    assert [part[-1:] for part in wire.written.split(b"HTTP/1.1 200 OK")[1:]] == [b"1", b"2", b"3"]


def test_too_much_ahead_of_its_turn_is_not_read(rig: Rig) -> None:
    wire = rig.connect()
    wire.feed(request(b"one"))
    body = bytes(PIPELINED_LIMIT)
    wire.feed(request(body))
    assert not wire.reading
    rig.app.answer(b"1")
    rig.loop.turn()
    assert wire.reading
    assert rig.app.asked[0][1] == body


def test_who_has_sent_what_was_not_read_yet_is_not_idle(rig: Rig) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        wire = rig.connect()
        wire._extra["socket"] = ours  # as asyncio keeps it
        theirs.send(b"POST /v1/chat")
        rig.server.drain()
        rig.second(10)
        assert not wire.closed
        assert ours.recv(100) == b"POST /v1/chat"
        rig.second(1)
        assert wire.closed


def test_a_drain_says_close_on_each_further_answer(rig: Rig) -> None:
    wire, idle, talking = rig.connect(), rig.connect(), rig.connect()
    wire.feed(request(b"x"))
    rig.server.drain()
    rig.app.answer(b"last")
    assert b"connection: close" in wire.written
    assert wire.eof
    rig.second(2)
    assert wire.closed
    talking.feed(request(b"y"))  # a connection that is open is still answered
    rig.app.answer(b"also")
    assert b"connection: close" in talking.written
    rig.second(4)
    assert idle.closed


def test_a_fault_of_ours_is_a_500_of_one_call(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    wire = rig.connect()
    wire.feed(request(b"raise"))
    assert status(wire) == 500
    assert json.loads(wire.written.partition(b"\r\n\r\n")[2])["error"]["code"] == "internal_error"
    assert "a fault of ours" in caplog.text


def test_a_client_that_goes_away_is_told_to_who_answers(rig: Rig) -> None:
    class Answering:
        gone = 0

        def client_gone(self) -> None:
            self.gone += 1

        def pause(self) -> None:
            raise AssertionError

        resume = pause

    wire = rig.connect()
    wire.feed(request(b"x"))
    rig.app.asked[0][0].answering = answering = Answering()
    wire.hang_up()
    assert answering.gone == 1
    rig.app.answer(b"too late")  # into nothing
    assert answering.gone == 1


def test_a_caller_whose_key_was_denied_meanwhile_is_asked_for_it_again(rig: Rig) -> None:
    wire = rig.connect()
    for body in (b"one", b"two"):
        wire.feed(request(body))
        rig.app.answer(b"yes")
    rig.app.denied = True
    wire.feed(request(b"three"))
    assert rig.app.asked == []
    assert b"401 Unauthorized" in wire.written


def test_a_head_like_the_last_one_but_for_one_header_is_read_anew(rig: Rig) -> None:
    wire = rig.connect()
    wire.feed(request(b"one", b"api-key: good"))
    rig.app.answer(b"yes")
    wire.feed(request(b"two", b"api-key: bad"))
    assert rig.app.asked == []
    assert b"401 Unauthorized" in wire.written
