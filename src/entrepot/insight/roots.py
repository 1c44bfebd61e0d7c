"""Roots without floating point, for the few measures that are not fractions: spreads and growth a month."""

from fractions import Fraction
from math import isqrt
from typing import Final

#: Decimal places of a root; a share of 10^-12 of a billion is a tenth of a cent.
PLACES: Final = 12


def root(value: Fraction, degree: int = 2) -> Fraction:
    """The root rounded down to 10^-12, exactly where it has no more places. Of `value` >= 0 only."""
    if value < 0 or degree < 1:
        raise ValueError(f"there is no root of degree {degree} of {value} here")
    scaled = int(value * 10 ** (PLACES * degree))
    return Fraction(_whole_root(scaled, degree), 10**PLACES)


def _whole_root(value: int, degree: int) -> int:
    """The largest integer whose power is not above `value`."""
    if degree == 2:
        return isqrt(value)
    if value < 2 or degree == 1:
        return value
    guess = 1 << -(-value.bit_length() // degree)  # never below the root, so Newton's steps come down to it
    while True:
        closer = ((degree - 1) * guess + value // guess ** (degree - 1)) // degree
        if closer >= guess:
            return guess
        guess = closer
