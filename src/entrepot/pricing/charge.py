"""The one function that turns quantities into money."""

from functools import lru_cache
from operator import mul
from typing import NamedTuple

from entrepot.kernel.buckets import Quantities

UNPRICED = -1


class Rates(NamedTuple):
    """Integer rates per bucket over one denominator: an amount in ledger units is (Σ quantity × rate + request) / den.

    A rate of -1 means that the book has no price for the bucket.
    """

    den: int
    per_bucket: Quantities
    request: int = 0


def charge(quantities: Quantities, den: int, rates: Quantities, request: int = 0) -> int:
    """Ledger units for `quantities`, rounded up once (money-rules §1: a call takes its price rounded up). A call that
    used nothing pays nothing, also not for being one.

    Buckets without a price add nothing here: the caller puts them on the unrated list with `unrated`.
    """
    total: int = sum(map(mul, quantities, _priced(rates)[0]))
    if request and any(quantities):
        total += request
    return -(-total // den)


def unrated(quantities: Quantities, rates: Quantities) -> tuple[int, ...]:
    """Indexes of the buckets that were used and have no price."""
    unpriced = _priced(rates)[1]
    return tuple([i for i in unpriced if quantities[i]]) if unpriced else ()


@lru_cache(maxsize=4096)  # rates of the versions in force: few, and asked for on every call
def _priced(rates: Quantities) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The rates with 0 where there is no price, and where that is."""
    return tuple(max(rate, 0) for rate in rates), tuple(i for i, rate in enumerate(rates) if rate < 0)
