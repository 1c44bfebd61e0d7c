"""The two sides of an ending: what the vendor may bill, what the customer pays."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from entrepot.gateway.ending import Facts, Verdict, bill, ending_bytes, intent_bytes
from entrepot.kernel.buckets import NOTHING, Quantities
from entrepot.metering.record import Ending, Intent, Terms, from_bytes

TERMS = Terms(
    key="k", customer="c", project="p", deployment="d", model="m", upstream="u", vendor="v", zone="", balance="c",
    currency="USD", price_version="list/1", den=10, rates=(25, 12, -1, 100, 100, -1, -1, -1),
    cost_version="cost/1", cost_currency="EUR", cost_den=1, cost_rates=(2, 1, -1, 8, 8, -1, -1, -1),
)  # fmt: skip
RAW = msgspec.Raw(msgspec.msgpack.encode(TERMS))


def verdict(quantities: Quantities, *, billed: bool = True) -> Verdict:
    return Verdict("final", "vendor", "", quantities, billed)


def test_a_charge_is_rounded_up_once_and_a_cost_has_its_own_book() -> None:
    found = bill(verdict((1, 1, 0, 1, 0, 0, 0, 0)), TERMS, 1000)
    assert (found.charge, found.cost, found.overrun, found.unrated) == (14, 11, 0, ())  # ceil(137 / 10)


def test_a_bucket_without_a_price_is_unrated_and_the_known_ones_are_charged() -> None:
    found = bill(verdict((10, 0, 7, 0, 0, 0, 0, 0)), TERMS, 1000)
    assert (found.charge, found.unrated) == (25, (2,))


def test_what_exceeds_the_hold_is_overrun() -> None:
    found = bill(verdict((100, 0, 0, 0, 0, 0, 0, 0)), TERMS, 200)
    assert (found.charge, found.overrun) == (200, 50)


def test_what_is_not_billed_still_costs_us() -> None:
    found = bill(verdict((10, 0, 0, 10, 0, 0, 0, 0), billed=False), TERMS, 1000)
    assert (found.charge, found.cost, found.unrated) == (0, 100, ())


def test_nothing_used_is_nothing_charged() -> None:
    assert bill(verdict(NOTHING), TERMS, 10).charge == 0


def test_no_cost_book_is_an_unknown_cost_not_zero() -> None:
    assert bill(verdict((1, 0, 0, 0, 0, 0, 0, 0)), msgspec.structs.replace(TERMS, cost_version=""), 100).cost == -1


@given(st.tuples(*(st.integers(0, 10**6) for _ in range(8))), st.integers(0, 10**9))
def test_charge_and_overrun_together_are_the_price_and_never_above_the_hold(quantities: Quantities, hold: int) -> None:
    found = bill(verdict(quantities), TERMS, hold)
    priced = sum(q * r for q, r in zip(quantities, TERMS.rates, strict=True) if r > 0)
    assert found.charge + found.overrun == -(-priced // 10)
    assert 0 <= found.charge <= hold


def test_records_written_with_pre_encoded_terms_read_back_as_records() -> None:
    intent = from_bytes(intent_bytes("req_1", 2, 3, "chat", True, 4, 5, 6, RAW))
    assert intent == Intent(
        request="req_1", attempt=2, admitted_at=3, operation="chat", stream=True, hold=4, input_bound=5, output_cap=6,
        terms=TERMS,
    )  # fmt: skip
    found = verdict((1, 0, 0, 2, 0, 0, 0, 0))
    facts = Facts(status=200, vendor_model="m-1", vendor_request="x", usage=b"{}", events=3, size=4)
    ending = from_bytes(
        ending_bytes(
            9, "req_1", 2, (3, 4, 5, 6), "embedding", True, found, bill(found, TERMS, 99), 99, (5, 6), facts, RAW
        )
    )
    assert isinstance(ending, Ending)
    assert (ending.attempt_seq, ending.quantities, ending.charge, ending.hold) == (9, found.quantities, 23, 99)
    assert (ending.status, ending.vendor_model, ending.events, ending.size, ending.terms) == (200, "m-1", 3, 4, TERMS)


def test_a_huge_usage_object_is_cut_to_its_limit() -> None:
    found = verdict(NOTHING)
    facts = Facts(usage=b"x" * 10_000, vendor_model="m" * 999)
    data = ending_bytes(1, "r", 1, (1, 2, 3, 4), "chat", False, found, bill(found, TERMS, 1), 1, (1, 1), facts, RAW)
    assert len(data) < 6 * 1024
