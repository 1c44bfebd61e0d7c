"""A book at an instant: which price is in force for what, and the integer rates that it compiles to. Pure.

Rows may have conditions (service tier, zone, bracket of the request). Of the rows whose conditions all hold the one
with more of them wins, and of two brackets the higher; two that are equal are refused before they are published
(`catalog.standing.ties`). A percentage is of the price that would be paid without its tier, unless a price of its own
stands for that tier.
"""

from collections.abc import Iterable, Sequence
from fractions import Fraction
from itertools import product
from math import lcm

import msgspec

from entrepot.catalog.contents import ALWAYS, PERCENT, BookVersion, Thing, When
from entrepot.catalog.standing import PriceInForce, in_force
from entrepot.kernel.buckets import BUCKETS, INHERITS, INPUT, OUTPUT, Quantities
from entrepot.kernel.errors import EntrepotError, Fault
from entrepot.kernel.instants import Instant, show
from entrepot.kernel.money import scale_of
from entrepot.pricing.charge import UNPRICED, Rates

#: Without a price for these a model is not for sale.
NEEDED = (INPUT, OUTPUT)
#: Embeddings have no output, so a model that only does them needs no price for it.
NEEDED_BY_EMBEDDINGS = (INPUT,)


class PriceTie(EntrepotError):
    """Two rows are equally good for one call."""

    code = "price_tie"
    fault = Fault.CALLER


def prices_at(
    versions: Sequence[BookVersion], model: str, at: Instant, when: When = ALWAYS
) -> dict[str, PriceInForce]:
    """Bucket name → price in force at `at` in one book for calls of which `when` is true. The latest `valid_from` that
    is not after `at` wins; of versions with the same `valid_from` (they name different things) the order does not
    matter. Raises PriceTie, which publication keeps out."""
    return _resolved(in_force(versions, model, at), when)


def _resolved(standing: dict[Thing, PriceInForce], when: When) -> dict[str, PriceInForce]:
    own = {thing: price for thing, price in standing.items() if thing.bucket != PERCENT}
    shares = {thing: price for thing, price in standing.items() if thing.bucket == PERCENT}
    share = _best(shares, PERCENT, when) if when.tier else None
    found: dict[str, PriceInForce] = {}
    for bucket in dict.fromkeys(thing.bucket for thing in own):
        thing = _best(own, bucket, when)
        if share is not None and (thing is None or thing.when.tier != when.tier):
            thing = _best(own, bucket, msgspec.structs.replace(when, tier=""))
            if thing is not None:
                base, by = own[thing], standing[share]
                found[bucket] = msgspec.structs.replace(
                    base, percent=by.price, version=max(base.version, by.version)
                )
        elif thing is not None:
            found[bucket] = own[thing]
    return dict(sorted(found.items(), key=lambda each: BUCKETS.index(each[0])))


def _best(standing: Iterable[Thing], bucket: str, when: When) -> Thing | None:
    """The row that wins for a call of which `when` is true."""
    fitting = [each for each in standing if each.bucket == bucket and _holds(each.when, when)]
    if not fitting:
        return None
    first, *rest = sorted(fitting, key=_rank, reverse=True)
    if rest and _rank(rest[0]) == _rank(first):
        raise PriceTie(f"{first} and {rest[0]} are equally good for one call: give a price for both together")
    return first


def _rank(thing: Thing) -> tuple[int, int]:
    return thing.when.count, thing.when.request_over


def _holds(row: When, when: When) -> bool:
    return row.tier in ("", when.tier) and row.zone in ("", when.zone) and row.request_over <= when.request_over


def conditions_of(versions: Iterable[BookVersion], model: str) -> list[When]:
    """Every combination of tier, zone and bracket that the book tells apart for a model, the plain one first."""
    named = [row.when for each in versions for row in each.rows if row.model == model]
    tiers, zones, brackets = ({"", *(w.tier for w in named)}, {"", *(w.zone for w in named)},
                              {0, *(w.request_over for w in named)})  # fmt: skip
    return [
        When(tier=tier, zone=zone, request_over=over)
        for tier, zone, over in product(sorted(tiers), sorted(zones), sorted(brackets))
    ]


def changes_of(versions: Iterable[BookVersion], model: str) -> list[Instant]:
    """Instants at which a price of the model begins, in order."""
    return sorted({each.valid_from for each in versions if any(row.model == model for row in each.rows)})


def version_of(prices: dict[str, PriceInForce]) -> int:
    """The number that, with the instant, says which prices these are: the newest version that contributes."""
    return max(price.version for price in prices.values())


def rates(prices: dict[str, PriceInForce], currency: str) -> Rates:
    """Exact integer rates over the smallest common denominator, in ledger units of the currency per token.

    A bucket that the book does not name takes the rate of the one it is a part of (`buckets.INHERITS`), else it is
    unpriced. 2.50 USD per million tokens is 2500 nano-USD a token over denominator 1.
    """
    (found,) = rates_together([prices], currency)
    return found


def rates_together(several: Sequence[dict[str, PriceInForce]], currency: str) -> list[Rates]:
    """As `rates`, for the prices of several conditions over one denominator, so that they can be compared."""
    exact = [_exact_rates(prices, currency) for prices in several]
    den = lcm(*(each.denominator for row in exact for each in row if each is not None))
    return [
        Rates(den, _eight(tuple(UNPRICED if each is None else int(each * den) for each in row))) for row in exact
    ]


def _exact_rates(prices: dict[str, PriceInForce], currency: str) -> list[Fraction | None]:
    scale = 10 ** scale_of(currency)
    exact: list[Fraction | None] = [None] * len(BUCKETS)
    for bucket, price in prices.items():
        exact[BUCKETS.index(bucket)] = price.exact * scale
    for bucket_index, source in INHERITS.items():
        if exact[bucket_index] is None:
            exact[bucket_index] = exact[source]
    return exact


def not_for_sale(prices: dict[str, PriceInForce], at: Instant, operations: Sequence[str] = ("chat",)) -> str:
    """Why a model that serves `operations` cannot be sold at `at`, or "": `no price for input on 2026-11-21`."""
    needed = NEEDED_BY_EMBEDDINGS if tuple(operations) == ("embedding",) else NEEDED
    missing = [BUCKETS[bucket] for bucket in needed if BUCKETS[bucket] not in prices]
    return f"no price for {' and '.join(missing)} on {show(at)[:10]}" if missing else ""


def _eight(values: tuple[int, ...]) -> Quantities:
    a, b, c, d, e, f, g, h = values
    return (a, b, c, d, e, f, g, h)
