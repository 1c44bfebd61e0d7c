"""Limits over two real workers and a keeper: never above, said truthfully, also when a process is killed."""

import http.client
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from entrepot.prove.client import chat_body
from entrepot.prove.house import House
from entrepot.prove.processes import start_vendor

LIMITS = {"minute": "rpm = 12", "second": "rpm = 300, window = 1", "tokens": "tpm = 1_000", "calls": "concurrent = 2"}


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    vendor = start_vendor(tmp_path_factory.mktemp("vendor") / "ledger")
    house = House(vendor.port, workers=2)
    declared = [
        f'\n[customer.{name}]\ncontract = {{ book = "list" }}\nlimits = [{{ {limit} }}]\n'
        for name, limit in LIMITS.items()
    ]
    house.catalog.write_text(house.catalog.read_text() + "".join(declared))
    try:
        house.start()
        house.first_answer()
        yield house
    finally:
        house.end()
        vendor.end()


def key_of(house: House, customer: str) -> str:
    house.admin("POST", f"balances/{customer}/top-ups", {"amount": "100", "currency": "USD", "id": customer})
    return str(house.admin("POST", "keys", {"customer": customer})["key"])


def call(house: House, key: str, **script: Any) -> tuple[int, dict[str, str]]:
    """One call on a connection of its own, so that both workers are called."""
    connection = http.client.HTTPConnection("127.0.0.1", house.port, timeout=30)
    try:
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        connection.request("POST", "/v1/chat/completions", chat_body(house.model, **script), headers)
        answer = connection.getresponse()
        answer.read()
        return answer.status, {name.lower(): value for name, value in answer.headers.items()}
    finally:
        connection.close()


def test_a_limit_of_requests_holds_over_workers_and_their_deaths_and_the_keepers(house: House) -> None:
    key = key_of(house, "minute")
    began = time.monotonic()
    answers = [call(house, key) for _ in range(20)]
    assert [status for status, _ in answers].count(200) == 12
    _, first = answers[0]
    assert (first["x-ratelimit-limit-requests"], first["x-ratelimit-remaining-requests"]) == ("12", "11")
    assert first["x-ratelimit-reset-requests"] in ("1m0s", "1m1s")
    _, last = answers[-1]
    assert last["x-ratelimit-remaining-requests"] == "0"
    assert int(last["retry-after"]) * 1000 >= int(last["retry-after-ms"]) > 30_000
    house.kill("keeper")
    house.kill_one("worker", Random(1))
    time.sleep(1.5)
    again = []
    while time.monotonic() - began < 12:
        again.append(call(house, key)[0])
        time.sleep(0.2)
    assert 200 not in again
    assert 429 in again


def test_who_waits_as_long_as_told_is_let_through(house: House) -> None:
    key = key_of(house, "second")
    for _ in range(3):
        told = None
        for _ in range(20):
            status, headers = call(house, key)
            if status == 429:
                told = int(headers["retry-after-ms"])
                break
        assert told is not None
        assert told <= 1_018
        time.sleep(told / 1000)
        assert call(house, key)[0] == 200


def test_tokens_are_counted_by_estimate_and_corrected_at_the_end(house: House) -> None:
    key = key_of(house, "tokens")
    status, headers = call(house, key, max_tokens=900, prompt=10, completion=20)
    assert status == 200
    assert headers["x-ratelimit-limit-tokens"] == "1000"
    assert headers["x-ratelimit-remaining-tokens"] == "970"
    status, headers = call(house, key, max_tokens=2_000)
    assert (status, headers["x-should-retry"]) == (429, "false")


def test_calls_at_once_are_bounded_over_both_workers(house: House) -> None:
    key, found = key_of(house, "calls"), []

    def slow() -> None:
        found.append(call(house, key, fault="slow_first@1500")[0])

    threads = [threading.Thread(target=slow) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == [200, 200, *[429] * 6]
    assert call(house, key)[0] == 200


def test_the_shares_lie_in_the_data_folder_for_the_next_keeper(house: House) -> None:
    file: Path = house.folder.root / "run" / "shares"
    assert file.stat().st_mode & 0o077 == 0
    assert b"minute" in file.read_bytes()
