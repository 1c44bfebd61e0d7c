"""Money and keys against a started house: spent, held, topped up, rotated, revoked."""

import asyncio
import http.client
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from entrepot.metering.record import Ending
from entrepot.prove.client import Outcome, chat_body
from entrepot.prove.house import House
from entrepot.prove.processes import start_vendor
from trial_house import FUNDS, PRICE, Customer, Trial, with_customers


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trial]:
    ledger = tmp_path_factory.mktemp("vendor") / "ledger"
    vendor = start_vendor(ledger)
    house = House(vendor.port)
    try:
        with_customers(house)
        house.start()
        house.first_answer()
        trial = Trial(house, ledger)
        yield trial
        trial.let_go()
    finally:
        house.end()
        vendor.end()


def error(outcome: Outcome) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(outcome.body)["error"]
    return found


def heads(trial: Trial, customer: Customer, body: bytes) -> dict[str, str]:
    line = http.client.HTTPConnection("127.0.0.1", trial.house.port, timeout=10)
    line.request(
        "POST", "/v1/chat/completions", body,
        {"Authorization": f"Bearer {customer.key}", "Content-Type": "application/json"},
    )  # fmt: skip
    answer = line.getresponse()
    answer.read()
    line.close()
    return {name.lower(): value for name, value in answer.getheaders()}


def test_a_spent_balance_says_what_would_fit_and_a_top_up_heals_within_a_second(trial: Trial) -> None:
    customer = trial.customer()
    refused = customer.told(max_tokens=16_000)  # 0.0064 USD and more, of 0.005
    assert refused.status == 429
    said = error(refused)
    assert (said["type"], said["code"], said["param"]) == ("insufficient_quota", "insufficient_quota", "max_tokens")
    assert said["message"].startswith("This call could cost up to 0.0064")
    assert "max_tokens 16,000) and 0.005 USD is left of your balance. Lower max_tokens to " in said["message"]
    fits = int(said["message"].partition("Lower max_tokens to ")[2].split(" or less")[0].replace(",", ""))
    assert customer.told(max_tokens=fits).status == 200
    head = heads(trial, customer, chat_body(trial.house.model, max_tokens=16_000))
    assert head["x-should-retry"] == "false"
    assert "retry-after" not in head
    paid = {"amount": "0.01", "currency": "USD", "id": "PAY-more"}
    trial.admin("POST", f"balances/{customer.id}/top-ups", paid)
    began = time.monotonic()
    while customer.call(max_tokens=16_000).status != 200:
        assert time.monotonic() - began < 5
    assert time.monotonic() - began < 2
    before = trial.admin("GET", f"balances/{customer.id}")["left"]
    again = trial.admin("POST", f"balances/{customer.id}/top-ups", paid)
    assert again["posted"] is False
    trial.agree()
    left = trial.admin("GET", f"balances/{customer.id}")
    assert [p["id"] for p in left["postings"] if "PAY-more" in p["id"]] != []
    assert float(left["left"]) <= float(before)
    assert sum(e.charge for e in customer.records()) == 2 * PRICE
    customer.spend_all()


def test_money_under_calls_is_held_not_spent_and_comes_back(trial: Trial) -> None:
    customer = trial.customer()

    async def both() -> tuple[Outcome, Outcome]:
        long = asyncio.create_task(customer.calling(stream=True, max_tokens=10_000, events=30, delay_ms=100))
        await asyncio.sleep(1)
        other = await customer.calling(max_tokens=10_000)
        return other, await long

    other, long = asyncio.run(both())
    assert (other.status, error(other)["code"]) == (429, "balance_held")
    assert "free of your balance at the moment: calls under way hold the rest." in error(other)["message"]
    assert long.how == "answered"
    assert customer.told(max_tokens=10_000).status == 200
    trial.agree()
    customer.spend_all()


def test_many_at_once_on_one_balance_never_spend_more_than_it_has(trial: Trial) -> None:
    customer = trial.customer()

    async def crowd() -> list[Outcome]:
        return await asyncio.gather(*(customer.calling(max_tokens=2_000, completion=2_000) for _ in range(30)))

    outcomes = asyncio.run(crowd())
    assert {outcome.status for outcome in outcomes} <= {200, 429, 503}
    answered = sum(outcome.status == 200 for outcome in outcomes)
    assert answered >= 5
    trial.agree()
    spent = sum(e.charge for e in customer.records())
    assert spent == answered * (1000 + 2_000 * 400) <= FUNDS


def test_a_rotated_key_works_beside_the_old_one_until_that_ends(trial: Trial) -> None:
    customer = trial.customer()
    old, id_ = customer.key, customer.key[8:18]
    customer.key = trial.admin("POST", f"keys/{id_}/rotate", {"overlap_seconds": 4})["key"]
    began = time.monotonic()
    new = customer.key
    assert new != old
    assert customer.told().status == 200
    customer.key = old
    assert customer.told().status == 200
    while customer.call().status == 200:
        assert time.monotonic() - began < 15
        time.sleep(0.1)
    assert time.monotonic() - began > 3
    assert customer.call().status == 401
    customer.key = new
    assert customer.told().status == 200


def test_a_revoked_key_is_refused_within_a_second_with_the_keeper_down_and_its_streams_finish(trial: Trial) -> None:
    house, customer = trial.house, trial.customer()
    while not all(customer.lease(slot).granted for slot in (1, 2)):  # both gateways have some of it before the outage
        customer.answered()
    house.hold("keeper")
    house.kill("keeper")
    try:
        trial.wait(lambda: not trial.connected(), "the keeper lives on")

        async def revoke() -> tuple[Outcome, float]:
            long = asyncio.create_task(customer.calling(stream=True, events=50, delay_ms=100))
            await asyncio.sleep(0.5)
            done = await asyncio.to_thread(house.command, "key", "revoke", customer.key[8:18])
            assert done.returncode == 0, done.stdout + done.stderr
            began = time.monotonic()
            while (await customer.calling()).status != 401:
                assert time.monotonic() - began < 10
                await asyncio.sleep(0.02)
            seconds = time.monotonic() - began
            return await long, seconds

        long, seconds = asyncio.run(revoke())
        assert seconds < 1.5  # one second, and what a busy machine adds
        assert long.how == "answered"
    finally:
        house.release("keeper")
    trial.agree()
    assert customer.call().status == 401
    assert all(isinstance(e, Ending) and e.state == "final" for e in customer.records())
