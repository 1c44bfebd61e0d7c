"""Bad cases that must be right, against a started house with two workers."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest

from entrepot.prove.books import accepted
from entrepot.prove.client import Outcome, chat_body
from entrepot.prove.house import House
from entrepot.prove.lines import Lines, Seen
from entrepot.prove.load import chat_request
from entrepot.prove.processes import start_vendor
from trial_house import FUNDS, INPUT, OUTPUT, Customer, Trial, with_customers

_MODELS = """
[model.unpriced]
routes = ["fake/fake-model"]
context = 128_000
output_max = 16_000
"""
_SHOP = """
[customer.shop]
contract = {{ book = "list" }}
budgets = [{{ per = "total", amount = {budget}, id = "all" }}]
deployments = [ {deployments} ]
"""
_BOTH = '{ project = "default", name = "kept", model = "fake-model" }, '
_BOTH += '{ project = "default", name = "going", model = "fake-model" }'
_ONE = '{ project = "default", name = "kept", model = "fake-model" }'


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trial]:
    ledger = tmp_path_factory.mktemp("vendor") / "ledger"
    vendor = start_vendor(ledger)
    house = House(vendor.port, workers=2)
    try:
        with_customers(house)
        house.catalog.write_text(house.catalog.read_text() + _MODELS)
        declare(house, "0.005", _BOTH, first=True)
        house.start()
        house.first_answer()
        trial = Trial(house, ledger)
        yield trial
        trial.let_go()
    finally:
        house.end()
        vendor.end()


def declare(house: House, budget: str, deployments: str, *, first: bool = False) -> None:
    """The customer `shop` as the file says it now; applied unless the house has not started yet."""
    text = house.catalog.read_text().partition("\n[customer.shop]")[0]
    house.catalog.write_text(text + _SHOP.format(budget=budget, deployments=deployments))
    if not first:
        done = house.command("apply", str(house.catalog), "--yes")
        assert done.returncode == 0, done.stdout + done.stderr


def code(outcome: Outcome) -> Any:
    return json.loads(outcome.body)["error"]["code"]


def served(trial: Trial) -> int:
    return len(accepted(trial.ledger))


def test_an_unknown_price_refuses_the_call_and_the_vendor_hears_nothing(trial: Trial) -> None:
    customer, before = trial.customer(), served(trial)
    outcome = asyncio.run(customer.sending(chat_body("unpriced")))
    assert (outcome.how, code(outcome)) == ("refused", "model_not_priced")
    assert served(trial) == before
    assert customer.records() == []


def test_without_max_tokens_the_models_maximum_is_held(trial: Trial) -> None:
    customer, before = trial.customer(), served(trial)
    body = json.loads(chat_body(trial.house.model))
    del body["max_tokens"]
    outcome = asyncio.run(customer.sending(json.dumps(body).encode()))  # 16,000 tokens are 0.0064 USD of 0.005
    assert (outcome.status, code(outcome)) == (429, "insufficient_quota")
    assert "16,000" in json.loads(outcome.body)["error"]["message"]
    assert served(trial) == before


def test_each_of_several_choices_is_held_and_charged(trial: Trial) -> None:
    customer = trial.customer()
    outcome = customer.told(n=5, max_tokens=100, completion=100)
    assert outcome.status == 200
    trial.wait(lambda: len(customer.records()) == 1, "no record")
    (record,) = customer.records()
    assert record.charge == 10 * INPUT + 5 * 100 * OUTPUT <= record.hold
    too_many = customer.told(n=100, max_tokens=1_000)
    assert (too_many.status, code(too_many)) == (429, "insufficient_quota")
    trial.agree()


def test_a_huge_cap_becomes_the_models_and_no_more_is_served_than_is_held(trial: Trial) -> None:
    customer = trial.customer()
    paid = {"amount": "1", "currency": "USD", "id": f"more-{customer.id}"}
    trial.admin("POST", f"balances/{customer.id}/top-ups", paid)
    outcome = customer.told(max_tokens=2**31, completion=10**6)
    assert outcome.status == 200, outcome
    trial.wait(lambda: len(customer.records()) == 1, "no record")
    (record,) = customer.records()
    assert record.charge == 10 * INPUT + 16_000 * OUTPUT <= record.hold
    assert record.overrun == 0
    trial.agree()


def test_a_budget_lowered_below_what_is_held_lets_the_call_end_and_nothing_new_in(trial: Trial) -> None:
    shop = Customer(trial, "shop")

    async def calls() -> tuple[Outcome, list[Outcome]]:
        body = chat_body("kept", stream=True, max_tokens=10_000, completion=9_000, events=30, delay_ms=100)
        long = asyncio.create_task(shop.sending(body))
        await asyncio.sleep(1)
        await asyncio.to_thread(declare, trial.house, "0.001", _BOTH)
        new = [await shop.sending(chat_body("kept", max_tokens=1)) for _ in range(10)]
        return await long, new

    long, new = asyncio.run(calls())
    assert long.how == "answered"
    assert {outcome.status for outcome in new} == {429}, new
    declare(trial.house, "0.005", _BOTH)
    assert asyncio.run(shop.sending(chat_body("kept", max_tokens=1))).status == 200
    trial.agree()


def test_a_deployment_deleted_with_traffic_ends_nothing_that_runs(trial: Trial) -> None:
    shop = Customer.__new__(Customer)
    shop.trial, shop.id, shop.key = trial, "shop", trial.admin("POST", "keys", {"customer": "shop"})["key"]

    async def calls() -> tuple[list[Outcome], Outcome, Outcome]:
        body = chat_body("going", stream=True, max_tokens=20, events=20, delay_ms=100)
        running = [asyncio.create_task(shop.sending(body)) for _ in range(5)]
        await asyncio.sleep(1)
        await asyncio.to_thread(declare, trial.house, "0.005", _ONE)
        gone = await shop.sending(chat_body("going", max_tokens=1))
        kept = await shop.sending(chat_body("kept", max_tokens=1))
        return [await each for each in running], gone, kept

    running, gone, kept = asyncio.run(calls())
    assert {outcome.how for outcome in running} == {"answered"}
    assert (gone.status, code(gone)) == (404, "model_not_found")
    assert kept.status == 200
    trial.agree()


def test_a_thousand_first_calls_of_a_project_that_nobody_has_seen(trial: Trial) -> None:
    customer = trial.customer()
    body = chat_body(trial.house.model, max_tokens=1, completion=1, prompt=1, events=1)
    request = chat_request("127.0.0.1", body, key=customer.key)

    async def crowd() -> list[Seen]:
        lines = Lines("127.0.0.1", trial.house.port, 1_000)
        await lines.open()

        async def caller() -> Seen:
            for _ in range(40):
                seen = await lines.call(request)
                if not seen.retry_after_ms:
                    break
                await asyncio.sleep(seen.retry_after_ms / 1000)
            return seen

        try:
            return await asyncio.gather(*(caller() for _ in range(1_000)))
        finally:
            lines.close()

    seen = asyncio.run(crowd())
    assert {each.how for each in seen} == {"answered"}, [each for each in seen if each.how != "answered"][:3]
    trial.agree()
    assert sum(record.charge for record in customer.records()) == 1_000 * (INPUT + OUTPUT) <= FUNDS
