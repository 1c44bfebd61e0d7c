"""Roots in whole numbers: the largest that is not too large, to twelve places."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrepot.insight.roots import PLACES, root

FINEST = Fraction(1, 10**PLACES)


@pytest.mark.long
@given(st.fractions(min_value=0, max_value=10**30), st.integers(1, 60))
def test_a_root_is_the_last_that_is_not_too_large(value: Fraction, degree: int) -> None:
    found = root(value, degree)
    assert found**degree <= value < (found + FINEST) ** degree


@pytest.mark.parametrize(("value", "degree"), [(0, 2), (1, 7), (0, 5), (Fraction(1, 10**40), 3)])
def test_small_values_have_roots_too(value: Fraction, degree: int) -> None:
    assert 0 <= root(Fraction(value), degree) <= 1


def test_there_is_none_of_a_negative_value() -> None:
    for value, degree in ((-1, 2), (4, 0)):
        with pytest.raises(ValueError, match="no root"):
            root(Fraction(value), degree)
