"""What stands in a book at an instant, before any call is looked at. Pure."""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from fractions import Fraction
from itertools import combinations

import msgspec

from entrepot.catalog.contents import BookVersion, Thing, When
from entrepot.kernel.instants import Instant


class PriceInForce(msgspec.Struct, frozen=True, kw_only=True):
    """The price of one bucket of one model under some conditions, and the version that set it.

    `percent` is what a row of percentages made of it, 100 where there is none: the price is price × percent ÷ 100.
    """

    price: Decimal
    per: int
    version: int
    percent: Decimal = Decimal(100)

    @property
    def exact(self) -> Fraction:
        """Currency units per token."""
        return Fraction(self.price) * Fraction(self.percent) / 100 / self.per


def in_force(versions: Sequence[BookVersion], model: str, at: Instant) -> dict[Thing, PriceInForce]:
    """Everything that the book says of the model at `at`, each under its own conditions: the latest word counts."""
    found: dict[Thing, PriceInForce] = {}
    for version in sorted(versions, key=lambda each: (each.valid_from, each.number)):
        if version.valid_from > at:
            break
        for thing, (price, per) in version.things().items():
            if thing.model == model:
                found[thing] = PriceInForce(price=price, per=per, version=version.number)
    return found


def models_of(versions: Iterable[BookVersion]) -> list[str]:
    """Every model that the versions name."""
    return sorted({row.model for each in versions for row in each.rows})


def ties(versions: Sequence[BookVersion], at: Instant) -> list[tuple[Thing, Thing]]:
    """Pairs of rows in force at `at` between which no call could decide: the same number of conditions, both may hold,
    and no row stands for both together."""
    found = []
    for model in models_of(versions):
        standing = in_force(versions, model, at)
        for one, other in combinations(standing, 2):
            both = _both(one, other)
            if both is not None and Thing(model, one.bucket, both) not in standing:
                found.append((one, other))
    return found


def _both(one: Thing, other: Thing) -> When | None:
    """The conditions of both together, if they rank the same, are different and can hold at once."""
    if one.bucket != other.bucket or one.when.count != other.when.count or one.when == other.when:
        return None
    a, b = one.when, other.when
    if (a.tier and b.tier and a.tier != b.tier) or (a.zone and b.zone and a.zone != b.zone):
        return None
    if a.request_over and b.request_over and (a.tier, a.zone) == (b.tier, b.zone):
        return None  # of two brackets the higher wins
    over = max(a.request_over, b.request_over)
    return When(tier=a.tier or b.tier, zone=a.zone or b.zone, request_over=over)
