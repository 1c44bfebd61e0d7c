"""What a call that lacks money is told: of what, how much, and the cap with which it would go through."""

from pathlib import Path

import pytest

from desks import KEY, KEY_ID, desk
from entrepot.gateway.admit import Need, Plan, admit
from entrepot.gateway.desk import Desk, Offer
from entrepot.gateway.problem import Problem
from entrepot.gateway.shortage import short_of_money
from entrepot.kernel.instants import DAY, HOUR, parse
from entrepot.limits.budget import Budget
from entrepot.limits.lease import Lease
from entrepot.limits.message import Granted
from entrepot.snapshot import Snapshot
from entrepot.wire.openai import Call, read_chat

USD = 10**9
NOW = parse("2026-11-22T10:00:00Z")
BUDGETS = (
    Budget(id="search-month", project="default", per="month", amount=USD, hard=True),
    Budget(id="day", per="day", amount=USD, hard=True),
    Budget(id="watch", per="day", amount=USD, hard=False),
    Budget(id="pilot", per="total", amount=USD, hard=True),
    Budget(id="elsewhere", project="other", per="day", amount=USD, hard=True),
)
KEY_BUDGET = Budget(id="mine", key=KEY_ID, per="day", amount=USD, hard=True)
MONTHLY, DAILY = "acme/budget/search-month/2026-11", "acme/budget/day/2026-11-22"
PILOT, MINE = "acme/budget/pilot/total", "acme/budget/mine/2026-11-22"


def a_desk(path: Path, free: int = USD) -> tuple[Desk, dict[str, Lease]]:
    found = desk(path, customer={"budgets": BUDGETS}, key={"budget": KEY_BUDGET})[0]
    leases: dict[str, Lease] = {}

    def lease_of(name: str) -> Lease:
        return leases.setdefault(name, Lease(name, free))

    return Desk(Snapshot.load(path), found.pepper, lease_of), leases


def offer_at(d: Desk, at: int) -> Offer:
    found = d.authenticate(KEY.encode(), at)
    assert not isinstance(found, Problem)
    offer = d.offer(*found, "gpt-4o", at)
    assert isinstance(offer, Offer)
    return offer


def call(cap: int, **more: object) -> Call:
    extra = "".join(f', "{name}": {value}' for name, value in more.items())
    head = b'{"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}]'
    return read_chat(head + b', "max_tokens": %d%b}' % (cap, extra.encode()))


def test_a_call_draws_on_its_balance_and_every_hard_budget_that_covers_it(tmp_path: Path) -> None:
    d, leases = a_desk(tmp_path)
    offer = offer_at(d, NOW)
    assert offer.terms.budgets == (MONTHLY, DAILY, PILOT, MINE)
    assert offer.terms.watched == ("acme/budget/watch/2026-11-22",)
    assert offer.terms.drawn_on == ("acme", MONTHLY, DAILY, PILOT, MINE)
    plan = admit(offer, call(100))
    assert isinstance(plan, Plan)
    assert {name: lease.held for name, lease in leases.items()} == dict.fromkeys(offer.terms.drawn_on, plan.hold)
    leases[PILOT].give_back(leases[PILOT].free)
    assert isinstance(admit(offer, call(100)), Need)
    assert {lease.held for lease in leases.values()} == {plan.hold}


@pytest.mark.parametrize("step", [-HOUR, HOUR, -DAY, DAY, 40 * DAY])
def test_the_instant_of_the_call_decides_the_period_also_when_the_clock_steps(tmp_path: Path, step: int) -> None:
    d, _ = a_desk(tmp_path)
    late = parse("2026-11-30T23:30:00Z")
    for at in (late, late + step, late, late + step):
        day = offer_at(d, at).terms.budgets
        assert day == (
            BUDGETS[0].lease_id("acme", at), BUDGETS[1].lease_id("acme", at), PILOT, KEY_BUDGET.lease_id("acme", at),
        )  # fmt: skip
    assert offer_at(d, late).valid_until == parse("2026-12-01")
    assert offer_at(d, late).valid_from == parse("2026-11-30")


@pytest.mark.parametrize(
    ("lease", "whose", "more"),
    [
        ("acme", "left of your balance.", "more credit"),
        (MONTHLY, "left of project 'default', budget November.", "a higher budget"),
        (DAILY, "left of your account, budget of 22 November.", "a higher budget"),
        (PILOT, "left of your account, budget 'pilot'.", "a higher budget"),
        (MINE, f"left of key ep_live_{KEY_ID[:4]}…, budget of 22 November.", "a higher budget"),
    ],
)
def test_spent_names_what_is_spent_and_the_cap_that_fits(tmp_path: Path, lease: str, whose: str, more: str) -> None:
    d, _leases = a_desk(tmp_path, free=41_200_000)
    offer, asked = offer_at(d, NOW), call(5780)
    need = admit(offer, asked)
    assert isinstance(need, Need)
    refused = short_of_money(need, asked, Granted(balance=lease, total=0, short="spent", left=41_200_000))
    assert (refused.status, refused.code, refused.retry) == (429, "insufficient_quota", False)
    assert f"0.0412 USD is {whose}" in refused.message
    assert f"or ask for {more}." in refused.message
    fits = int(refused.message.split("Lower max_tokens to ")[1].split(" ")[0].replace(",", ""))
    assert isinstance(admit(offer, call(fits + 1)), Need)
    assert isinstance(admit(offer, call(fits)), Plan)
    assert refused.details is not None
    assert refused.details["would fit"] == f"max_tokens {fits:,}"


def test_held_says_what_is_free_and_is_retried(tmp_path: Path) -> None:
    d, _ = a_desk(tmp_path, free=0)
    asked = call(1000, n=3)
    need = admit(offer_at(d, NOW), asked)
    assert isinstance(need, Need)
    word = Granted(balance=DAILY, total=0, short="held", left=USD, room=20_000_000)
    refused = short_of_money(need, asked, word)
    assert (refused.status, refused.type, refused.retry, refused.retry_after_ms) == (429, "rate_limit_error", True, 500)
    assert "0.02 USD is free of your account, budget of 22 November at the moment" in refused.message
    fits = int(refused.message.split("Lower max_tokens to ")[1].split(" ")[0].replace(",", ""))
    smaller = admit(offer_at(d, NOW), call(fits, n=3))
    assert isinstance(smaller, Need)
    assert smaller.hold <= 20_000_000 < smaller.hold + 3 * 10_000
    nothing = short_of_money(need, asked, Granted(balance="acme", total=0, short="held", left=USD, room=0))
    assert "0 USD is free of your balance" in nothing.message
    assert nothing.message.endswith("Retry when they end.")
