"""The rig itself, then the promises' own trials in small: real processes, real sockets, real disk."""

import http.client
import json
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from entrepot.prove.books import Accepted, Ended, read_books
from entrepot.prove.budget import run_budget
from entrepot.prove.client import chat_body
from entrepot.prove.compare import compare
from entrepot.prove.crash import run_crash
from entrepot.prove.house import House
from entrepot.prove.load import Order, chat_request
from entrepot.prove.outage import run_outage
from entrepot.prove.processes import Running, load, start_canned, start_vendor
from entrepot.prove.script import FAULTS


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    return tmp_path / "vendor.ledger"


@pytest.fixture
def vendor(ledger: Path) -> Iterator[Running]:
    running = start_vendor(ledger)
    yield running
    running.end()


def post(port: int, body: bytes, attempt: str = "a-1") -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("POST", "/v1/chat/completions", body, {"x-client-request-id": attempt})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def _again(connection: http.client.HTTPConnection) -> None:
    connection.request("POST", "/v1/chat/completions", chat_body("m"), {})
    connection.getresponse()


def test_the_vendor_books_a_call_before_it_answers(vendor: Running, ledger: Path) -> None:
    status, text = post(vendor.port, chat_body("m", prompt=7, completion=9), "w1-000001-4")
    row = read_books(ledger)[0]
    assert isinstance(row, Accepted)
    assert (status, json.loads(text)["usage"]["total_tokens"]) == (200, 16)
    assert (row.attempt, row.prompt, row.completion, row.billed) == ("w1-000001-4", 7, 9, True)


def test_the_vendor_books_calls_whose_caller_never_hears_of_it(vendor: Running, ledger: Path) -> None:
    with pytest.raises((ConnectionError, http.client.HTTPException)):
        post(vendor.port, chat_body("m", fault="reset@0"))
    vendor.end()
    accepted, ended = read_books(ledger)
    assert isinstance(accepted, Accepted)
    assert isinstance(ended, Ended)
    assert (accepted.billed, ended.how, ended.sent) == (True, "cut", 0)


def test_a_stale_connection_is_reset_without_taking_the_call(vendor: Running, ledger: Path) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", vendor.port, timeout=10)
    connection.request("POST", "/v1/chat/completions", chat_body("m", fault="stale"), {})
    assert connection.getresponse().read()
    with pytest.raises((ConnectionError, http.client.HTTPException)):
        _again(connection)  # the reset may meet the request's head, its body, or the wait for the answer
    assert sum(isinstance(row, Accepted) for row in read_books(ledger)) == 1


def test_the_load_counts_every_answer_and_none_twice() -> None:
    canned = start_canned()
    try:
        request = chat_request("127.0.0.1", b'{"stream": true, "x": "@burst"}')
        report = load(Order(host="127.0.0.1", port=canned.port, requests=(request,), connections=4, seconds=0.5))
    finally:
        canned.end()
    assert report.calls > 20
    assert (report.failed, report.statuses) == (0, {"200": report.calls})


def test_open_loop_latency_includes_the_wait_for_a_free_connection() -> None:
    canned = start_canned(delay_ms=20.0)
    try:
        request = chat_request("127.0.0.1", b"{}")
        order = Order(
            host="127.0.0.1",
            port=canned.port,
            requests=(request,),
            connections=1,
            seconds=1.0,
            warm_seconds=0.1,
            rate=200,
        )
        report = load(order)
    finally:
        canned.end()
    assert report.p99_us > 200_000  # one connection answers 50 a second: the queue grows for the whole second


def test_every_fault_of_a_vendor_ends_in_a_valid_answer_and_one_record(vendor: Running, ledger: Path) -> None:
    arguments = {"trickle": "trickle@1", "slow_first": "slow_first@300", "informational": "informational@50"}
    house = House(vendor.port)
    try:
        house.start()
        house.first_answer()
        house.top_up()
        for fault in FAULTS:
            for stream in (False, True):
                body = chat_body(house.model, stream=stream, prompt=7, completion=9, fault=arguments.get(fault, fault))
                began = time.monotonic()
                try:
                    status, text = house.post(body)
                except (OSError, http.client.HTTPException):
                    assert stream, f"{fault}: a unary call gets an answer, not a cut"  # a begun stream may be cut
                    continue
                assert time.monotonic() - began < 10, fault
                if status != 200:
                    error = json.loads(text)["error"]
                    assert error["message"], fault
                    assert error["code"], fault
                    assert "secret" not in text.decode(), fault
        status, text = house.post(chat_body(house.model, prompt=7, completion=9))
        assert (status, json.loads(text)["usage"]["total_tokens"]) == (200, 16)
        house.stop()
        vendor.end()
        found = compare([row for row in read_books(ledger) if isinstance(row, Accepted)], house.ours())
        assert found.differences == []
        assert found.records >= 2 * len(FAULTS)
    finally:
        house.end()


def test_kills_under_load_lose_and_double_nothing() -> None:
    said: list[str] = []
    report = run_crash(kills=8, seed=3, say=said.append)
    assert report.failures(within=15) == [], "\n".join(said)  # other tests take the cores meanwhile
    assert report.comparison.equal > 50
    assert {kill.target for kill in report.kills} == {"worker", "keeper", "parent", "all"}


def test_calls_go_on_without_keeper_and_control() -> None:
    report = run_outage(minutes=0.2, seed=3, say=lambda _line: None)
    assert report.failures() == []
    assert all(phase.calls > 50 for phase in report.phases)


def test_callers_at_once_never_spend_more_than_there_is() -> None:
    report = run_budget(
        rounds=2, connections=600, workers=(1,), balance=Decimal("0.20"), kills=0, seed=3, say=lambda _line: None
    )
    assert report.failures() == []
    (run,) = report.runs
    assert all(each.rushed > each.limit * 9 // 10 for each in run.rounds), "too few calls to tempt anybody"
    assert all(each.refused for each in run.rounds)
