"""Billed amounts over the places of their usage: nothing is lost, whatever the weights."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrepot.insight.spread import NOWHERE, Measured, Place, spread

PLACES = st.dictionaries(
    st.builds(Place, st.sampled_from("ab"), st.sampled_from(["", "EU", "US"]), st.sampled_from("xy"), st.just("d")),
    st.builds(Measured, st.integers(0, 10**15), st.integers(0, 10**12), st.integers(0, 10**6), st.none()),
)


@pytest.mark.long
@given(st.integers(-(10**18), 10**18), PLACES, st.sampled_from(["", "EU", "XX"]), st.sampled_from(["", "x", "z"]))
def test_parts_add_up_to_what_is_billed(
    amount: int, places: dict[Place, Measured], zone: str, project: str
) -> None:
    parts = spread(amount, places, zone=zone, project=project)
    assert sum(parts.values()) == amount
    if places:
        assert parts.keys() <= places.keys()


def test_weights_are_charges_then_tokens_then_calls() -> None:
    a, b = Place("a", "EU", "p", "d"), Place("b", "US", "p", "d")
    assert spread(10, {a: Measured(3, 0, 0, 0), b: Measured(1, 9, 9, 0)}) == {a: 8, b: 2}
    assert spread(10, {a: Measured(0, 1, 9, 0), b: Measured(0, 4, 1, 0)}) == {a: 2, b: 8}
    assert spread(10, {a: Measured(0, 0, 9, 0), b: Measured(0, 0, 1, 0)}) == {a: 9, b: 1}
    assert spread(9, {a: Measured(0, 0, 0, 0), b: Measured(0, 0, 0, 0)}) == {a: 5, b: 4}


def test_a_price_of_a_zone_stays_in_it_and_usage_that_is_unknown_is_nowhere() -> None:
    a, b = Place("a", "EU", "p", "d"), Place("b", "US", "p", "d")
    measured = {a: Measured(3, 0, 0, 0), b: Measured(1, 0, 0, 0)}
    assert spread(10, measured, zone="US") == {b: 10}
    assert spread(10, measured, zone="XX") == {a: 8, b: 2}
    assert spread(10, {}, zone="US") == {NOWHERE._replace(zone="US"): 10}
