"""What a call costs under the conditions that the books tell apart: the dearest that can be reached is held, the one
that the answer shows is charged. A deployment whose books have no conditions has no tariff.
"""

import msgspec

from entrepot.kernel.buckets import INPUT_SIDE, OUTPUT_SIDE
from entrepot.metering.record import Terms
from entrepot.pricing.charge import Rates
from entrepot.snapshot import PriceVersion, Variant

#: What an answer calls the tier that every call gets.
_STANDARD = ("", "auto", "default", "standard")
_encode = msgspec.msgpack.Encoder().encode


class Book(msgspec.Struct, frozen=True):
    """One version of a list or cost book, as the zone of one upstream sees it."""

    tiers: frozenset[str]  # those with a price of their own, without the standard one
    brackets: tuple[int, ...]  # ascending, 0 first
    rates: dict[tuple[str, int], Rates]

    def at(self, tier: str, over: int) -> Rates:
        """Rates of a call in this tier with more than `over` input tokens; a tier that the book does not name is the
        standard one."""
        bracket = max(each for each in self.brackets if each <= over)
        return self.rates[tier if tier in self.tiers else "", bracket]


def in_zone(version: PriceVersion, zone: str) -> Book:
    """The variants of a version that hold in a zone."""
    if not version.variants:
        return Book(frozenset(), (0,), {("", 0): Rates(version.den, version.rates, version.request)})
    named = zone if any(each.zone == zone for each in version.variants) else ""
    found: list[Variant] = [each for each in version.variants if each.zone == named]
    return Book(
        frozenset(each.tier for each in found if each.tier),
        tuple(sorted({each.over for each in found})),
        {(each.tier, each.over): Rates(version.den, each.rates, each.request) for each in found},
    )


class Tariff:
    """The terms of one deployment on one route under each condition, worked out once per snapshot."""

    __slots__ = ("_brackets", "_holds", "_terms", "tiers")

    def __init__(self, plain: Terms, price: Book, cost: Book | None) -> None:
        self.tiers = price.tiers
        others = cost.brackets if cost else ()
        self._brackets = tuple(sorted({*price.brackets, *others}, reverse=True))
        named = {"", *price.tiers, *(cost.tiers if cost else ())}
        self._terms: dict[tuple[str, int], tuple[Terms, msgspec.Raw]] = {}
        for tier in named:
            for over in self._brackets:
                _, rates, request = price.at(tier, over)
                terms = msgspec.structs.replace(plain, rates=rates, request_rate=request, bracket=str(over or ""))
                if cost:
                    _, rates, request = cost.at(tier, over)
                    terms = msgspec.structs.replace(terms, cost_rates=rates, cost_request_rate=request)
                self._terms[tier, over] = terms, msgspec.Raw(_encode(terms))
        # without a word the vendor may choose any tier; with one it may fall back to the standard
        reachable = {"": ["", *price.tiers], **{tier: ["", tier] for tier in price.tiers}}
        self._holds = {
            asked: [self._hold(price, tiers, over) for over in self._brackets] for asked, tiers in reachable.items()
        }

    def _hold(self, price: Book, tiers: list[str], over: int) -> tuple[int, tuple[int, int, int]]:
        """Bracket, and the dearest of these tiers in it and those below it."""
        found = [price.at(tier, each) for tier in tiers for each in self._brackets if each <= over]
        return over, (
            max(row.per_bucket[bucket] for row in found for bucket in INPUT_SIDE),
            max(row.per_bucket[bucket] for row in found for bucket in OUTPUT_SIDE),
            max(row.request for row in found),
        )

    def held(self, tier: str, input_bound: int) -> tuple[int, int, int]:
        """(input, output, request) rates to hold by: the dearest that a call asking for `tier` can come to."""
        for over, dearest in self._holds[tier]:
            if input_bound > over or not over:
                return dearest
        raise AssertionError("the lowest bracket is 0")

    def applied(self, tier: str, input_tokens: int) -> tuple[Terms, msgspec.Raw]:
        """The terms of an answer that says `tier` and took so many input tokens."""
        named = "" if tier in _STANDARD or (tier, 0) not in self._terms else tier
        for over in self._brackets:
            if input_tokens > over or not over:
                return self._terms[named, over]
        raise AssertionError("the lowest bracket is 0")
