"""Admission: who calls, what is for sale, what is held."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from desks import KEY, KEY_ID, PEPPER, RATES, desk, price
from entrepot.customers.key import hmac_of, make
from entrepot.gateway.admit import Need, Plan, admit
from entrepot.gateway.desk import Desk, Offer
from entrepot.gateway.problem import Dialect, Problem, body_of
from entrepot.gateway.shortage import short_of_money
from entrepot.limits.message import Granted
from entrepot.pricing.charge import charge
from entrepot.snapshot import DeploymentEntry, KeyEntry, KeySecret
from entrepot.wire.openai import Call, read_chat

NOW = 1_800_000_000_000_000


def call(**fields: Any) -> Call:
    messages = [{"role": "user", "content": "Name three ports."}]
    return read_chat(json.dumps({"model": "gpt-4o", "messages": messages, **fields}).encode())


def offer_of(d: Desk, name: str = "gpt-4o", at: int = NOW) -> Offer | Problem:
    found = d.authenticate(KEY.encode(), at)
    assert not isinstance(found, Problem)
    return d.offer(*found, name, at)


def good_offer(d: Desk, name: str = "gpt-4o", at: int = NOW) -> Offer:
    offer = offer_of(d, name, at)
    assert isinstance(offer, Offer)
    return offer


def test_a_damaged_key_is_refused_by_its_checksum_in_the_words_of_the_first_minutes(tmp_path: Path) -> None:
    d, _ = desk(tmp_path)
    refused = d.authenticate(KEY[:49].encode(), NOW)
    assert isinstance(refused, Problem)
    assert refused.status == 401
    assert json.loads(body_of(refused, Dialect.OPENAI)) == {
        "error": {
            "message": "This API key is incomplete: 41 characters follow 'ep_live_', a whole key has 48. "
            "It was probably cut when it was copied.",
            "type": "authentication_error",
            "param": None,
            "code": "invalid_api_key",
        }
    }


@pytest.mark.parametrize("presented", [b"", b"sk-123", KEY.encode() + b"\xff", make("A" * 10, "B" * 32).encode()])
def test_an_unknown_credential_is_401_and_names_nobody(tmp_path: Path, presented: bytes) -> None:
    d, _ = desk(tmp_path)
    refused = d.authenticate(presented, NOW)
    assert isinstance(refused, Problem)
    assert refused.status == 401
    assert "acme" not in refused.message


def test_a_right_id_with_a_wrong_secret_is_refused(tmp_path: Path) -> None:
    d, _ = desk(tmp_path)
    assert isinstance(d.authenticate(make(KEY_ID, "C" * 32).encode(), NOW), Problem)


def test_two_secrets_overlap_and_each_ends_at_its_own_instant(tmp_path: Path) -> None:
    old, new = "O" * 32, "N" * 32
    secrets = (KeySecret(hmac_of(PEPPER, old), NOW + 10), KeySecret(hmac_of(PEPPER, new), 0))
    d, _ = desk(tmp_path, key={"secrets": secrets})
    for at, expected in ((NOW, [True, True]), (NOW + 10, [False, True])):
        found = [not isinstance(d.authenticate(make(KEY_ID, s).encode(), at), Problem) for s in (old, new)]
        assert found == expected


def test_an_expired_key_says_so(tmp_path: Path) -> None:
    d, _ = desk(tmp_path, key={"expires_at": NOW})
    assert not isinstance(d.authenticate(KEY.encode(), NOW - 1), Problem)
    refused = d.authenticate(KEY.encode(), NOW)
    assert isinstance(refused, Problem)
    assert refused.code == "expired_api_key"


def test_a_denied_key_is_refused_although_the_snapshot_knows_it(tmp_path: Path) -> None:
    d, _ = desk(tmp_path)
    assert not isinstance(d.authenticate(KEY.encode(), NOW), Problem)
    d.deny([KEY_ID])
    assert isinstance(d.authenticate(KEY.encode(), NOW), Problem)


def test_an_unknown_model_is_404_with_what_the_key_can_use(tmp_path: Path) -> None:
    d, _ = desk(tmp_path)
    refused = offer_of(d, "gpt4o")
    assert isinstance(refused, Problem)
    assert (refused.status, refused.code) == (404, "model_not_found")
    assert refused.message == (
        "The model 'gpt4o' does not exist or you do not have access to it. Did you mean 'gpt-4o'? "
        "This key can use: gpt-4o."
    )


def test_a_model_outside_the_keys_scope_answers_as_one_that_does_not_exist(tmp_path: Path) -> None:
    scoped, _ = desk(tmp_path, key={"models": ("other",)})
    known, unknown = offer_of(scoped, "gpt-4o"), offer_of(scoped, "gpt-9z")
    assert isinstance(known, Problem)
    assert isinstance(unknown, Problem)
    assert known.message.replace("gpt-4o", "X") == unknown.message.replace("gpt-9z", "X")


@pytest.mark.parametrize("rates", [(-1, *RATES[1:]), (*RATES[:3], -1, *RATES[4:])])
def test_a_model_without_a_price_is_never_free(tmp_path: Path, rates: tuple[int, ...]) -> None:
    declared = DeploymentEntry(customer="acme", project="default", name="d", model="gpt-4o", output_cap=0)
    d, _ = desk(tmp_path, versions=(price("list/1", 0, rates),), customer={"open": False}, deployments=(declared,))
    refused = offer_of(d, "d")
    assert isinstance(refused, Problem)
    assert (refused.status, refused.code, refused.retry) == (503, "model_not_priced", False)


def test_the_price_of_the_instant_of_admission_counts(tmp_path: Path) -> None:
    dearer = tuple(2 * r for r in RATES)
    d, _ = desk(tmp_path, versions=(price("list/1", 0), price("list/2", NOW + 5, dearer)))
    assert good_offer(d, at=NOW + 4).terms.price_version == "list/1"
    assert good_offer(d, at=NOW + 5).terms.price_version == "list/2"


def test_the_hold_is_the_dearest_input_and_every_choice_up_to_the_cap(tmp_path: Path) -> None:
    d, lease = desk(tmp_path)
    asked = call(max_tokens=500, n=2)
    plan = admit(good_offer(d), asked)
    assert isinstance(plan, Plan)
    assert (plan.input_bound, plan.output_cap) == (asked.input_bound, 1000)
    assert plan.hold == asked.input_bound * 2500 + 1000 * 10_000 == lease.held


def test_without_a_cap_the_models_maximum_is_held(tmp_path: Path) -> None:
    d, _ = desk(tmp_path)
    plan = admit(good_offer(d), call())
    assert isinstance(plan, Plan)
    assert plan.output_cap == 16_000


def test_a_cap_beyond_the_model_holds_no_more_than_the_model_can_write(tmp_path: Path) -> None:
    d, _ = desk(tmp_path)
    plan = admit(good_offer(d), call(max_tokens=2_000_000_000))
    assert isinstance(plan, Plan)
    assert plan.output_cap == 16_000


def test_a_service_tier_that_is_not_for_sale_is_refused(tmp_path: Path) -> None:
    d, lease = desk(tmp_path)
    refused = admit(good_offer(d), call(service_tier="priority"))
    assert isinstance(refused, Problem)
    assert (refused.param, lease.held) == ("service_tier", 0)


def test_too_little_in_hand_is_a_need_and_holds_nothing(tmp_path: Path) -> None:
    d, lease = desk(tmp_path, free=1000)
    need = admit(good_offer(d), call(max_tokens=100))
    assert isinstance(need, Need)
    assert lease.held == 0


def test_the_refusal_names_the_cap_that_would_fit_and_it_does(tmp_path: Path) -> None:
    d, lease = desk(tmp_path, free=41_200_000)  # 0.0412 USD
    asked = call(max_tokens=5780)
    need = admit(good_offer(d), asked)
    assert isinstance(need, Need)
    word = Granted(balance="acme", total=0, short="spent", left=41_200_000)
    refused = short_of_money(need, asked, word)
    assert (refused.status, refused.code, refused.retry, refused.param) == (
        429,
        "insufficient_quota",
        False,
        "max_tokens",
    )
    assert f"({asked.input_bound:,} input tokens, max_tokens 5,780) and 0.0412 USD is left" in refused.message
    fits = int(refused.message.split("Lower max_tokens to ")[1].split(" ")[0].replace(",", ""))
    assert isinstance(admit(good_offer(d), call(max_tokens=fits)), Plan)
    lease.end(lease.held, 0)
    assert isinstance(admit(good_offer(d), call(max_tokens=fits + 1)), Need)


@pytest.mark.long
@given(
    given_tokens=st.integers(0, 200),
    cached=st.integers(0, 200),
    made=st.integers(0, 400),
    reasoning=st.integers(0, 400),
    rates=st.tuples(*(st.integers(0, 10**6) for _ in range(8))),
    den=st.integers(1, 1000),
)
def test_no_usage_within_the_bounds_costs_more_than_its_hold(
    tmp_path_factory: pytest.TempPathFactory,
    given_tokens: int,
    cached: int,
    made: int,
    reasoning: int,
    rates: tuple[int, ...],
    den: int,
) -> None:
    version = price("list/1", 0, rates)
    d, _ = desk(tmp_path_factory.mktemp("house"), free=10**18, versions=(version,))
    offer = good_offer(d)
    offer.den = den
    plan = admit(offer, call(max_tokens=800))
    assert isinstance(plan, Plan)
    used = (min(given_tokens, plan.input_bound - cached), cached, 0, made, reasoning, 0, 0, 0)
    if cached <= plan.input_bound:
        assert charge(used, den, rates) <= plan.hold  # type: ignore[arg-type]


def test_key_entries_are_what_the_snapshot_holds(tmp_path: Path) -> None:
    d, _ = desk(tmp_path)
    found = d.authenticate(KEY.encode(), NOW)
    assert not isinstance(found, Problem)
    assert isinstance(found[0], KeyEntry)
    assert found[0].id == KEY_ID


def test_whatever_changes_about_keys_ends_every_earlier_judgement(tmp_path: Path) -> None:
    d, _ = desk(tmp_path, key={"expires_at": NOW + 7})
    before = d.generation
    assert not isinstance(d.authenticate(KEY.encode(), NOW), Problem)
    assert d.good_until(KEY.encode()) == NOW + 7
    d.deny(["SomebodyEl"])
    d.renew(d.snapshot)
    assert d.generation == before + 2
    assert d.good_until(KEY.encode()) == 0


def test_texts_that_the_vendor_finds_may_fill_the_context(tmp_path: Path) -> None:
    d, _ = desk(tmp_path, free=10**12)
    offer = good_offer(d)
    plan = admit(offer, call(max_tokens=1, data_sources=[{"type": "azure_search", "parameters": {}}]))
    assert isinstance(plan, Plan)
    assert plan.input_bound == offer.context
    assert plan.hold >= offer.context * offer.input_rate
