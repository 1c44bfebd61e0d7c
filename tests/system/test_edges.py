"""The edges of the request path against a started house: clients that go away, requests that are wrong."""

import asyncio
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from entrepot.prove.books import Accepted, read_books
from entrepot.prove.client import Client, chat_body
from entrepot.prove.compare import compare
from entrepot.prove.house import House
from entrepot.prove.processes import Running, start_vendor


class Place(NamedTuple):
    house: House
    vendor: Running
    ledger: Path


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    ledger = tmp_path_factory.mktemp("vendor") / "ledger"
    vendor = start_vendor(ledger)
    house = House(vendor.port)
    try:
        house.start()
        house.first_answer()
        house.top_up()
        yield Place(house, vendor, ledger)
    finally:
        house.end()
        vendor.end()


def open_calls(house: House) -> int:
    """Calls that the gateways still have open, by their own status."""
    return sum(int(each["open"]) for each in house.gateways())


def wait_until_idle(house: House, seconds: float = 15.0) -> None:
    until = time.monotonic() + seconds
    while open_calls(house):
        assert time.monotonic() < until, "a call is open that nobody waits for"
        time.sleep(0.05)


def agree(place: Place) -> None:
    """Two ledgers, no difference; nothing open, nothing held."""
    wait_until_idle(place.house)
    time.sleep(0.2)  # the fake vendor's own rows
    found = compare([row for row in read_books(place.ledger) if isinstance(row, Accepted)], place.house.ours())
    assert found.differences == []


def test_a_client_that_leaves_at_any_byte_of_a_stream_costs_what_the_vendor_bills(place: Place) -> None:
    house = place.house
    body = chat_body(house.model, stream=True, prompt=7, completion=12, events=6, delay_ms=3)

    async def main() -> int:
        whole = Client(house.port, house.key)
        length = len((await whole.chat(body)).body)
        whole.close()
        gone = 0
        for at in [*range(0, length, max(1, length // 60)), length - 1]:
            client = Client(house.port, house.key)
            outcome = await client.chat(body, leave_after=at)
            gone += outcome.how == "left"
            client.close()
        return gone

    assert asyncio.run(main()) >= 40
    agree(place)
    drained = [e for records in house.ours().endings.values() for e in records if e.source == "drained"]
    assert len(drained) >= 20
    assert {(e.state, sum(e.quantities), e.reason) for e in drained} == {("aborted", 19, "client_gone")}


def test_a_client_that_leaves_before_a_unary_answer_is_metered_all_the_same(place: Place) -> None:
    house = place.house
    before = len(house.ours().endings)
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {house.key}\r\n"
        "content-type: application/json\r\ncontent-length: {}\r\n\r\n"
    )
    body = chat_body(house.model, prompt=5, completion=6, fault="slow_first@400").decode()
    with socket.create_connection(("127.0.0.1", house.port)) as s:
        s.sendall((head.format(len(body)) + body).encode())
        time.sleep(0.15)
    time.sleep(0.8)
    agree(place)
    assert len(house.ours().endings) == before + 1


GOOD = '{"model":"fake-model","messages":[{"role":"user","content":"x"}]}'
REQUESTS = [
    # name, request line, extra headers, body, expected status, expected code
    ("not JSON", "POST /v1/chat/completions", "", "{nope", 400, "invalid_json"),
    ("not an object", "POST /v1/chat/completions", "", "[1]", 400, "invalid_json"),
    ("no model", "POST /v1/chat/completions", "", '{"messages":[{}]}', 400, "missing_required_parameter"),
    ("a field twice", "POST /v1/chat/completions", "", GOOD[:-1] + ',"model":"b"}', 400, "duplicate_parameter"),
    ("a case variant", "POST /v1/chat/completions", "", GOOD[:-1] + ',"Max_Tokens":9}', 400, "unknown_parameter"),
    ("an escaped key", "POST /v1/chat/completions", "", GOOD[:-1] + ',"max\\u005ftokens":9}', 400, "invalid_json"),
    ("a wrong type", "POST /v1/chat/completions", "", GOOD[:-1] + ',"max_tokens":"9"}', 400, "invalid_type"),
    ("a negative cap", "POST /v1/chat/completions", "", GOOD[:-1] + ',"max_tokens":-9}', 400, "invalid_value"),
    ("NaN", "POST /v1/chat/completions", "", GOOD[:-1] + ',"temperature":NaN}', 400, "invalid_json"),
    ("too deep", "POST /v1/chat/completions", "", GOOD[:-1] + ',"x":' + "[" * 99 + "]" * 99 + "}", 400, "invalid_json"),
    ("an unknown model", "POST /v1/chat/completions", "", GOOD.replace("fake", "real"), 404, "model_not_found"),
    ("no such tier", "POST /v1/chat/completions", "", GOOD[:-1] + ',"service_tier":"flex"}', 400, "unsupported_value"),
    ("a wrong path", "POST /v1/chat/completion", "", GOOD, 404, "unknown_url"),
    ("no such model", "GET /v1/models/real%20model", "", "", 404, "model_not_found"),
    ("a wrong method", "GET /v1/chat/completions", "", "", 405, "method_not_allowed"),
    ("plain text", "POST /v1/chat/completions", "content-type: text/plain", GOOD, 415, "unsupported_media_type"),
    ("no key", "POST /v1/chat/completions", "authorization: ", GOOD, 401, "missing_api_key"),
    ("a cut key", "POST /v1/chat/completions", "authorization: Bearer ep_live_abc", GOOD, 401, "invalid_api_key"),
    ("two keys", "POST /v1/chat/completions", "api-key: other", GOOD, 400, "invalid_request"),
    ("two other keys", "POST /v1/chat/completions", "x-api-key: other", GOOD, 400, "invalid_request"),
    ("a wrong key", "POST /v1/chat/completions", "authorization: \r\nx-api-key: other", GOOD, 401, "invalid_api_key"),
    ("obsolete folding", "POST /v1/chat/completions", "x-a: b\r\n c: d", GOOD, 400, "invalid_request"),
    ("length and chunks", "POST /v1/chat/completions", "transfer-encoding: chunked", GOOD, 400, "invalid_request"),
    ("too long", "POST /v1/chat/completions", "content-length: 99999999999", "", 413, "request_too_large"),
    ("huge headers", "POST /v1/chat/completions", "x-a: " + "y" * 40_000, GOOD, 431, "invalid_request"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "line", "extra", "body", "status", "code"), REQUESTS, ids=[r[0] for r in REQUESTS])
def test_a_wrong_request_gets_a_clear_error_and_leaves_nothing(
    place: Place, name: str, line: str, extra: str, body: str, status: int, code: str
) -> None:
    house = place.house
    before = len(house.ours().endings)
    given = {h.split(":")[0].lower() for h in extra.split("\r\n") if h}
    headers = ["host: x"]
    if "authorization" not in given:
        headers.append(f"authorization: Bearer {house.key}")
    if "content-type" not in given:
        headers.append("content-type: application/json")
    if "content-length" not in given:
        headers.append(f"content-length: {len(body)}")
    if extra and extra != "authorization: ":
        headers.append(extra)
    with socket.create_connection(("127.0.0.1", house.port), timeout=10) as s:
        s.sendall("\r\n".join([f"{line} HTTP/1.1", *headers, "", body]).encode())
        got = b""
        while b"\r\n\r\n" not in got or not got.endswith(b"}"):
            data = s.recv(65536)
            if not data:
                break
            got += data
    head, _, text = got.partition(b"\r\n\r\n")
    assert int(head.split()[1]) == status, got[:500]
    error = json.loads(text)["error"]
    assert error["code"] == code
    assert set(error) == {"message", "type", "param", "code"}
    assert b"x-request-id: req_" in head
    assert house.key not in text.decode()
    assert len(house.ours().endings) == before


def test_a_pipelined_request_waits_its_turn_and_both_are_answered(place: Place) -> None:
    house = place.house
    body = chat_body(house.model, prompt=3, completion=4)
    one = (
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {house.key}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    ).encode() + body
    with socket.create_connection(("127.0.0.1", house.port), timeout=10) as s:
        s.sendall(one + one)
        got = b""
        while got.count(b"HTTP/1.1 200 OK") < 2 or not got.endswith(b"}"):
            got += s.recv(65536)
    assert got.count(b'"total_tokens"') == 2
    agree(place)


def test_a_request_in_single_bytes_and_in_chunks_is_the_same_request(place: Place) -> None:
    house = place.house
    body = chat_body(house.model, prompt=3, completion=4)
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {house.key}\r\n"
        "content-type: application/json\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n"
    ).encode()
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (body[:9], body[9:50], body[50:])) + b"0\r\n\r\n"
    with socket.create_connection(("127.0.0.1", house.port), timeout=10) as s:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in head + chunks:
            s.sendall(bytes((byte,)))
        got = b"".join(iter(lambda: s.recv(65536), b""))
    assert got.startswith(b"HTTP/1.1 200 OK")
    assert b'"total_tokens":7' in got


@pytest.mark.parametrize("mode", ["first", "last", "fold"])
def test_no_parser_of_a_vendor_serves_more_than_the_hold(tmp_path: Path, mode: str) -> None:
    ledger = tmp_path / "ledger"
    vendor = start_vendor(ledger, mode=mode)
    house = House(vendor.port)
    tail = '"messages":[{"role":"user","content":"{\\"completion\\":5000}"}]'
    variants = [
        '{"max_tokens":5,"max_tokens":5000,"model":"fake-model",%s}',
        '{"max_tokens":5000,"max_tokens":5,"model":"fake-model",%s}',
        '{"max_tokens":5,"MAX_TOKENS":5000,"model":"fake-model",%s}',
        '{"max_tokens":5,"max\\u005ftokens":5000,"model":"fake-model",%s}',
        '{"max_completion_tokens":5,"max_tokens":5000,"model":"fake-model",%s}',
        '{"n":1,"n":9,"max_tokens":5,"model":"fake-model",%s}',
        '{"n":1,"N":9,"max_tokens":5,"model":"fake-model",%s}',
        '{"max_tokens":5,"model":"fake-model",%s}',
    ]
    try:
        house.start()
        house.first_answer()
        answered = [house.post((v % tail).encode())[0] for v in variants]
        assert answered == [400] * 7 + [200]
        time.sleep(0.2)
        calls = [row for row in read_books(ledger) if isinstance(row, Accepted)]
        served = {row.attempt: row for row in calls}
        for attempt, records in house.ours().endings.items():
            assert served[attempt].completion <= records[0].output_cap
            assert records[0].overrun == 0
    finally:
        house.end()
        vendor.end()


def test_a_call_that_outlasts_the_drain_is_recorded_like_after_a_crash(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    vendor = start_vendor(ledger)
    house = House(vendor.port, environment={"ENTREPOT_DRAIN_SECONDS": "2"})
    body = chat_body(house.model, stream=True, prompt=5, completion=60, events=60, delay_ms=500)
    request = (
        "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer %s\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    try:
        house.start()
        house.first_answer()
        with socket.create_connection(("127.0.0.1", house.port), timeout=20) as s:
            s.sendall((request % house.key).encode() + body)
            assert s.recv(100).startswith(b"HTTP/1.1 200")
            time.sleep(2.5)  # two checkpoints
            house.stop()
        house.start()
        house.first_answer()
        time.sleep(0.3)
        found = compare([row for row in read_books(ledger) if isinstance(row, Accepted)], house.ours())
        assert found.differences == []
        assert found.states["estimated"] == 1
        (cut,) = [e for records in house.ours().endings.values() for e in records if e.state == "estimated"]
        assert 0 < cut.charge <= cut.hold
        assert house.command("verify").returncode == 0
    finally:
        house.end()
        vendor.end()
