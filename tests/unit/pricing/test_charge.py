"""Quantities into money: exact, rounded up once, and what has no price adds nothing and is listed."""

from fractions import Fraction
from math import ceil

from hypothesis import given
from hypothesis import strategies as st

from entrepot.kernel.buckets import NOTHING
from entrepot.pricing.charge import UNPRICED, charge, unrated

_QUANTITIES = st.tuples(*[st.integers(0, 10**6)] * len(NOTHING))
_RATES = st.tuples(*[st.integers(-1, 10**6)] * len(NOTHING))


@given(_QUANTITIES, st.integers(1, 10**6), _RATES, st.integers(0, 10**9))
def test_a_charge_is_the_exact_amount_rounded_up_once(
    used: tuple[int, ...], den: int, rates: tuple[int, ...], request: int
) -> None:
    exact = sum(Fraction(n * rate, den) for n, rate in zip(used, rates, strict=True) if rate >= 0)
    exact += Fraction(request, den) if any(used) else 0
    assert charge(used, den, rates, request) == ceil(exact)  # type: ignore[arg-type]
    missing = [i for i, (n, rate) in enumerate(zip(used, rates, strict=True)) if n and rate == UNPRICED]
    assert list(unrated(used, rates)) == missing  # type: ignore[arg-type]


def test_a_call_that_used_nothing_pays_nothing_also_not_for_being_one() -> None:
    rates = (3,) * len(NOTHING)
    one = (1, *NOTHING[1:])
    assert charge(NOTHING, 2, rates, 5) == 0
    assert charge(one, 2, rates, 5) == 4
    assert charge(one, 2, rates) == 2
    assert unrated(one, rates) == ()
    assert unrated(one, (-1,) * len(NOTHING)) == (0,)
