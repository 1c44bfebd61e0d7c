"""From exact prices to the integer rates by which a gateway holds and charges. Pure."""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from math import ceil, lcm
from typing import Protocol

from entrepot.catalog.prices import REQUEST
from entrepot.kernel.buckets import BUCKETS, INHERITS, Quantities
from entrepot.kernel.money import scale_of
from entrepot.pricing.charge import UNPRICED, Rates

#: Rates travel as 64-bit integers. Prices that would need more are taken over a power of ten and rounded up, so that a
#: call is charged at the least what its line will say. 12 places are exact up to 4.6 M USD per million tokens.
_MOST = 1 << 62


class Exact(Protocol):
    """A price of a book, or of an agreement."""

    @property
    def exact(self) -> Fraction:
        """Currency units for one."""
        ...


def rates(prices: Mapping[str, Exact], currency: str) -> Rates:
    """Integer rates over the smallest common denominator, in ledger units of the currency per token and per request.

    A bucket without a price takes the rate of the one it is a part of (`buckets.INHERITS`), else it is unpriced; a
    request without one costs nothing itself. 2.50 USD per million tokens is 2500 nano-USD a token over denominator 1.
    """
    (found,) = rates_together([prices], currency)
    return found


def rates_together(several: Sequence[Mapping[str, Exact]], currency: str) -> list[Rates]:
    """As `rates`, for the prices of several conditions over one denominator, so that they can be compared."""
    exact = [_exact_rates(prices, currency) for prices in several]
    numbers = [each for row in exact for each in row if each is not None]
    den, largest = lcm(*(each.denominator for each in numbers)), max(numbers, default=Fraction(1))
    if max(den, ceil(largest * den)) >= _MOST:
        den = 10**18
        while den > 1 and ceil(largest * den) >= _MOST:
            den //= 10
    whole = [[UNPRICED if each is None else ceil(each * den) for each in row] for row in exact]
    return [Rates(den, _eight(row[:-1]), max(row[-1], 0)) for row in whole]


def _exact_rates(prices: Mapping[str, Exact], currency: str) -> list[Fraction | None]:
    """Of each bucket, then of a request."""
    scale = 10 ** scale_of(currency)
    names = (*BUCKETS, REQUEST)
    exact = [prices[name].exact * scale if name in prices else None for name in names]
    for bucket, source in INHERITS.items():
        if exact[bucket] is None:
            exact[bucket] = exact[source]
    return exact


def _eight(values: Sequence[int]) -> Quantities:
    a, b, c, d, e, f, g, h = values
    return (a, b, c, d, e, f, g, h)
