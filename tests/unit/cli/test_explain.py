"""The screen of `entrepot explain`: from the records of a call to the text."""

from typing import Any

from entrepot.cli.explain import explain_text
from entrepot.control.story import Place, Placed, tell
from entrepot.kernel.buckets import NOTHING, Quantities
from entrepot.kernel.instants import parse
from entrepot.metering.record import Ending, Intent, Terms

REQUEST = "req_01M7YZX0A6E3B9KD2RTN5W8V4C"
USAGE = (
    b'{"prompt_tokens":2332,"prompt_tokens_details":{"cached_tokens":1024},"completion_tokens":212,"total_tokens":2544}'
)
SPENT: Quantities = (1308, 1024, 0, 212, 0, 0, 0, 0)
TERMS = Terms(
    key="7Hd2Qk1mZz", customer="acme", project="default", deployment="gpt-4o", model="gpt-4o", upstream="openai",
    vendor="openai", zone="eu", balance="acme", currency="USD", price_version="eu-2026/3", den=1,
    rates=(2500, 1250, -1, 10000, 10000, -1, -1, -1), cost_version="", cost_currency="", cost_den=1, cost_rates=NOTHING,
)  # fmt: skip
INTENT = Intent(
    request=REQUEST, attempt=1, admitted_at=parse("2026-11-21T12:07:31.007Z"), operation="chat", stream=True,
    hold=28_610_000, input_bound=9444, output_cap=500, terms=TERMS,
)  # fmt: skip
PLACE = Place(slot=1, epoch=7, segment=4, offset=81_920, seq=40)
LATER = Place(slot=1, epoch=7, segment=4, offset=82_411, seq=43)


def _ending(**changed: Any) -> Ending:
    given: dict[str, Any] = {
        "attempt_seq": 40, "request": REQUEST, "attempt": 1, "admitted_at": INTENT.admitted_at,
        "sent_at": parse("2026-11-21T12:07:31.010Z"), "first_at": parse("2026-11-21T12:07:31.402Z"),
        "ended_at": parse("2026-11-21T12:07:31.618Z"), "operation": "chat", "stream": True, "state": "final",
        "source": "vendor", "status": 200, "reason": "", "quantities": SPENT, "charged": SPENT, "charge": 6_670_000,
        "cost": -1, "hold": 28_610_000, "overrun": 0, "unrated": (), "input_bound": 9444, "output_cap": 500,
        "service_tier": "", "vendor_model": "gpt-4o-2024-08-06", "vendor_request": "chatcmpl-1", "usage": USAGE,
        "events": 214, "size": 40_112, "terms": TERMS,
    }  # fmt: skip
    return Ending(**{**given, **changed})


def _shown(*records: Placed, **beside: Any) -> str:
    facts = tell(REQUEST, records)
    assert facts is not None
    for attempt in facts["attempts"]:
        attempt.update(beside)
    return explain_text(facts)


SCREEN = """\
chat on gpt-4o for acme, key ep_live_7Hd2…: final, numbers from the vendor

  12:07:31.007  admitted    hold 0.02861 USD   = at most 9,444 input × 2.50 + max_tokens 500 × 10.00 per million
                intent      on disk: stream w1-000007, segment 000004, offset 81,920
  12:07:31.010  sent        upstream openai (zone eu), attempt 1 of 1
  12:07:31.402  first token
  12:07:31.618  ending      on disk: segment 000004, offset 82,411; then the client's last byte

  vendor said   prompt 2,332 (of which cached 1,024), completion 212
  we bill       1,308 input      × 2.50  =  0.00327
                1,024 cached     × 1.25  =  0.00128
                  212 output     × 10.00 =  0.00212
                                            0.00667 USD     price list eu-2026, version 3, valid from 2026-10-01
  posted 0.00667, released 0.02194."""


def test_a_final_call_as_in_the_first_minutes() -> None:
    shown = _shown(Placed(INTENT, PLACE), Placed(_ending(), LATER), valid_from="2026-10-01T00:00:00Z")
    assert shown == SCREEN


def test_a_call_under_way_has_no_ending() -> None:
    shown = _shown(Placed(INTENT, PLACE))
    assert shown.startswith("chat on gpt-4o for acme, key ep_live_7Hd2…: under way")
    assert "no ending yet" in shown


def test_an_estimate_bills_nothing_and_releases_all() -> None:
    cut = _ending(state="estimated", source="estimate", reason="crash", charged=NOTHING, charge=0, usage=b"", status=0)
    shown = _shown(Placed(INTENT, PLACE), Placed(cut, LATER))
    assert "estimated (crash), an estimate" in shown
    assert "vendor said   nothing about tokens" in shown
    assert "we bill       nothing" in shown
    assert "posted 0, released 0.02861." in shown
    assert "client's last byte" not in shown


def test_an_unpriced_bucket_is_named_and_an_overrun_is_ours() -> None:
    written: Quantities = (1308, 0, 9, 212, 0, 0, 0, 0)
    shown = _shown(Placed(INTENT, PLACE), Placed(_ending(charged=written, unrated=(2,), overrun=5), LATER))
    assert "9 cache write × no price" in shown
    assert "not rated     cache_write" in shown
    assert "overrun       0.000000005 USD beyond the hold" in shown


def test_two_attempts_are_told_in_order() -> None:
    first = _ending(attempt=1, state="estimated", source="estimate", reason="upstream_reset", charge=0, charged=NOTHING)
    second = _ending(attempt=2, attempt_seq=44)
    shown = _shown(Placed(second, LATER), Placed(first, PLACE))
    assert shown.index("attempt 1 of 2") < shown.index("attempt 2 of 2")
    assert "final, numbers from the vendor" in shown.splitlines()[0]


def test_records_of_other_requests_are_not_told() -> None:
    assert tell("req_00000000000000000000000000", [Placed(INTENT, PLACE)]) is None


def test_a_refusal_says_what_was_refused_and_that_nothing_was_charged() -> None:
    facts = {"kind": "refusal", "request": REQUEST, "at": "2026-11-21T12:04:58.001Z", "customer": "demo",
             "key": "Ky9Pf34qY6", "model": "gpt-5", "status": 503, "code": "model_not_priced",
             "message": "no price for cached input on 2026-11-21"}  # fmt: skip
    shown = explain_text(facts)
    assert shown.startswith("call on gpt-5 for demo, key ep_live_Ky9P…: refused with 503 model_not_priced")
    assert "12:04:58.001  refused     no price for cached input" in shown
    assert "nothing was charged" in shown
