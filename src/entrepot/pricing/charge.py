"""The one function that turns quantities into money."""

from operator import mul
from typing import NamedTuple

from entrepot.kernel.buckets import Quantities

UNPRICED = -1


class Rates(NamedTuple):
    """Integer rates per bucket over one denominator: an amount in ledger units is Σ quantity × rate / den.

    A rate of -1 means that the book has no price for the bucket.
    """

    den: int
    per_bucket: Quantities


def charge(quantities: Quantities, den: int, rates: Quantities) -> int:
    """Ledger units for `quantities`, rounded up once (money-rules §1: a call takes its price rounded up).

    Buckets without a price add nothing here: the caller puts them on the unrated list with `unrated`.
    """
    if -1 in rates:
        total = sum(q * r for q, r in zip(quantities, rates, strict=True) if r > 0)
    else:
        total = sum(map(mul, quantities, rates))
    return -(-total // den)


def unrated(quantities: Quantities, rates: Quantities) -> tuple[int, ...]:
    """Indexes of the buckets that were used and have no price."""
    if -1 not in rates:
        return ()
    return tuple(i for i, (q, r) in enumerate(zip(quantities, rates, strict=True)) if q and r < 0)
