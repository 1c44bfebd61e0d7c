"""A book at an instant: which price is in force for what, and the integer rates that it compiles to. Pure."""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from fractions import Fraction
from math import lcm

import msgspec

from entrepot.catalog.contents import BookVersion
from entrepot.kernel.buckets import BUCKETS, INHERITS, INPUT, OUTPUT, Quantities
from entrepot.kernel.instants import Instant, show
from entrepot.kernel.money import scale_of
from entrepot.pricing.charge import UNPRICED, Rates

#: Without a price for these a model is not for sale.
NEEDED = (INPUT, OUTPUT)
#: Embeddings have no output, so a model that only does them needs no price for it.
NEEDED_BY_EMBEDDINGS = (INPUT,)


class PriceInForce(msgspec.Struct, frozen=True, kw_only=True):
    """The price of one bucket of one model, and the version that set it."""

    price: Decimal
    per: int
    version: int


def prices_at(versions: Sequence[BookVersion], model: str, at: Instant) -> dict[str, PriceInForce]:
    """Bucket name → price in force at `at` in one book. The latest `valid_from` that is not after `at` wins; of
    versions with the same `valid_from` (they name different things) the order does not matter."""
    found: dict[str, PriceInForce] = {}
    for version in sorted(versions, key=lambda each: (each.valid_from, each.number)):
        if version.valid_from > at:
            break
        for row in version.rows:
            if row.model == model:
                for bucket, price in row.prices.items():
                    found[bucket] = PriceInForce(price=price, per=row.per, version=version.number)
    return found


def changes_of(versions: Iterable[BookVersion], model: str) -> list[Instant]:
    """Instants at which a price of the model begins, in order."""
    return sorted({each.valid_from for each in versions if any(row.model == model for row in each.rows)})


def models_of(versions: Iterable[BookVersion]) -> list[str]:
    """Every model that the versions name."""
    return sorted({row.model for each in versions for row in each.rows})


def version_of(prices: dict[str, PriceInForce]) -> int:
    """The number that, with the instant, says which prices these are: the newest version that contributes."""
    return max(price.version for price in prices.values())


def rates(prices: dict[str, PriceInForce], currency: str) -> Rates:
    """Exact integer rates over the smallest common denominator, in ledger units of the currency per token.

    A bucket that the book does not name takes the rate of the one it is a part of (`buckets.INHERITS`), else it is
    unpriced. 2.50 USD per million tokens is 2500 nano-USD a token over denominator 1.
    """
    scale = 10 ** scale_of(currency)
    exact: list[Fraction | None] = [None] * len(BUCKETS)
    for bucket, price in prices.items():
        exact[BUCKETS.index(bucket)] = Fraction(price.price) * scale / price.per
    for bucket_index, source in INHERITS.items():
        if exact[bucket_index] is None:
            exact[bucket_index] = exact[source]
    den = lcm(*(each.denominator for each in exact if each is not None))
    whole = tuple(UNPRICED if each is None else int(each * den) for each in exact)
    return Rates(den, _eight(whole))


def not_for_sale(prices: dict[str, PriceInForce], at: Instant, operations: Sequence[str] = ("chat",)) -> str:
    """Why a model that serves `operations` cannot be sold at `at`, or "": `no price for input on 2026-11-21`."""
    needed = NEEDED_BY_EMBEDDINGS if tuple(operations) == ("embedding",) else NEEDED
    missing = [BUCKETS[bucket] for bucket in needed if BUCKETS[bucket] not in prices]
    return f"no price for {' and '.join(missing)} on {show(at)[:10]}" if missing else ""


def _eight(values: tuple[int, ...]) -> Quantities:
    a, b, c, d, e, f, g, h = values
    return (a, b, c, d, e, f, g, h)
