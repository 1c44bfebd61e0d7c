"""Budgets against a started house with two gateways: never exceeded, never short of what is free, whatever dies."""

import asyncio
import json
import os
import signal
import time
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest

from entrepot.ledger.tables import balance_of
from entrepot.limits.tables import all_leases, budget_charged, leases_of, outstanding
from entrepot.prove.client import Client, Outcome, chat_body
from entrepot.prove.house import House
from entrepot.prove.processes import start_vendor
from entrepot.storage.database import read
from entrepot.wire.openai import read_chat
from trial_house import INPUT, OUTPUT, Customer, Trial, with_customers

BUDGET = 4_000_000  # 0.004 USD of a balance of 0.005


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trial]:
    ledger = tmp_path_factory.mktemp("vendor") / "ledger"
    vendor = start_vendor(ledger)
    house = House(vendor.port, workers=2)
    try:
        with_customers(house, budget="0.004")
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


def used(trial: Trial, customer: Customer) -> int:
    """What the budget was charged, and what its leases say."""
    with read(trial.engine) as conn:
        sums = budget_charged(conn)
        leases = [totals for _, totals in all_leases(conn) if totals.balance.startswith(f"{customer.id}/budget/")]
    charged = sum(amount for period, amount in sums.items() if period in {totals.balance for totals in leases})
    assert sum(totals.charged for totals in leases) == charged
    assert min(map(outstanding, leases), default=0) >= 0
    return charged


def quiet(trial: Trial, customer: Customer) -> int:
    """Nothing is open and everything is posted; the budget's charge then."""
    trial.agree()
    due = sum(record.charge for record in customer.records())
    trial.wait(lambda: used(trial, customer) == due, f"{customer.id}: {used(trial, customer)} instead of {due}")
    return due


def spend_budget(trial: Trial, customer: Customer) -> None:
    """One call that holds all that is left of the budget but less than a token, whichever gateway hears of it."""
    left = BUDGET - quiet(trial, customer)
    time.sleep(1.0)
    cap = left // OUTPUT
    while (more := _hold(trial, cap) - left) > 0:
        cap -= -(-more // OUTPUT)
    outcome = customer.told(max_tokens=cap, completion=1, events=1)
    assert outcome.status == 200, outcome
    assert left - _hold(trial, cap) < 2 * OUTPUT


def _hold(trial: Trial, cap: int) -> int:
    call = read_chat(chat_body(trial.house.model, max_tokens=cap, completion=1, events=1))
    return call.input_bound * INPUT + cap * OUTPUT


async def crowd(trial: Trial, customer: Customer, calls: int, seed: int) -> list[Outcome]:
    """Calls at once over connections of their own, so that both gateways have some."""
    chance = Random(seed)

    async def one() -> Outcome:
        client = Client(trial.house.port, customer.key, timeout=30)
        try:
            return await client.chat(
                chat_body(trial.house.model, max_tokens=chance.randrange(300, 900), completion=300, delay_ms=20)
            )
        finally:
            client.close()

    return await asyncio.gather(*(one() for _ in range(calls)))


def test_a_crowd_over_two_gateways_spends_the_budget_and_not_more(trial: Trial) -> None:
    customer = trial.customer()
    outcomes = [outcome for seed in range(4) for outcome in asyncio.run(crowd(trial, customer, 30, seed))]
    assert {outcome.status for outcome in outcomes} <= {200, 429, 503}
    refused = [error(outcome) for outcome in outcomes if outcome.status == 429]
    assert refused
    assert any(" of your account, budget '" in each["message"] for each in refused), refused[0]
    charged = quiet(trial, customer)
    assert 0.75 * BUDGET <= charged <= BUDGET  # the last calls of a few hundred units each do not fit
    with read(trial.engine) as conn:
        assert balance_of(conn, customer.id) == 5_000_000 - charged
    last = customer.told(max_tokens=5_000)
    assert error(last)["code"] == "insufficient_quota"
    assert "or ask for a higher budget." in error(last)["message"]
    explained = trial.admin("GET", f"explain/{last.request}")
    assert explained["details"]["hold"].endswith(" USD")
    assert "of your account, budget '" in explained["details"]["left"]


def test_a_killed_gateway_takes_nothing_of_a_budget_with_it(trial: Trial) -> None:
    customer = trial.customer()

    async def under_fire() -> None:
        calls = asyncio.create_task(crowd(trial, customer, 12, 9))
        await asyncio.sleep(0.15)
        victim = trial.house.pids("gateway")[0]
        os.kill(victim, signal.SIGKILL)
        await calls

    for _ in range(2):
        asyncio.run(under_fire())
        trial.wait(lambda: len(trial.house.pids("gateway")) == 2 and trial.connected(), "no replacement")
    spend_budget(trial, customer)
    trial.agree()


def test_a_keeper_that_dies_between_two_calls_knows_the_budget_again(trial: Trial) -> None:
    customer = trial.customer()
    asyncio.run(crowd(trial, customer, 8, 3))
    before = trial.house.pids("keeper")
    os.kill(before[0], signal.SIGKILL)
    asyncio.run(crowd(trial, customer, 8, 4))
    trial.wait(lambda: trial.house.pids("keeper") not in ([], before) and trial.connected(), "no keeper")
    spend_budget(trial, customer)
    with read(trial.engine) as conn:
        out = sum(map(outstanding, leases_of(conn, customer.id).values()))
        assert out <= balance_of(conn, customer.id)
