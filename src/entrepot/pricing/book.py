"""A book at an instant: which price is in force for what. Pure, and exact: nothing here is rounded.

A row for a model by name goes before one for a pattern, and of two patterns the longer one. Then the row with more
conditions (service tier, zone, bracket of the request, hours of the day) wins, and of two brackets the higher; two that
are equal are refused before they are published (`catalog.standing.ties`). A percentage is of the price that would be
paid without its tier, unless a price of its own stands for that tier.
"""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Context, Decimal, Inexact, InvalidOperation
from fractions import Fraction
from itertools import product
from math import lcm

import msgspec

from entrepot.catalog.prices import (
    ALWAYS,
    METERS,
    PERCENT,
    BookVersion,
    CostPlus,
    Free,
    Graduated,
    OnCost,
    Steps,
    Thing,
    Unit,
    When,
    covers,
    exactness,
)
from entrepot.catalog.standing import InForce, in_force
from entrepot.kernel.buckets import BUCKETS, INPUT, OUTPUT
from entrepot.kernel.errors import EntrepotError, Fault
from entrepot.kernel.instants import Instant, show

#: Without a price for these a model is not for sale.
NEEDED = (INPUT, OUTPUT)
#: Embeddings have no output, so a model that only does them needs no price for it.
NEEDED_BY_EMBEDDINGS = (INPUT,)
#: Prices and percentages have 18 places at the most: what is made of them fits, or is an error and never a rounding.
EXACT = Context(prec=200, traps=[Inexact, InvalidOperation])


class PriceTie(EntrepotError):
    """Two rows are equally good for one call."""

    code = "price_tie"
    fault = Fault.CALLER


class PriceInForce(msgspec.Struct, frozen=True, kw_only=True):
    """The price of one meter of one model for a call, and where it comes from.

    With `steps` the price is the dearest of them. A `reason` is given where nothing is paid. `version` is the newest
    one of the book that made it, `cost_version` that of the vendor's book; `when` are the conditions of its row.
    """

    price: Decimal
    per: int
    version: int
    when: When = ALWAYS
    steps: Steps | None = None
    reason: str = ""
    cost_version: int = 0

    @property
    def exact(self) -> Fraction:
        """Currency units for one."""
        return Fraction(self.price) / self.per

    def times(self, percent: Decimal) -> "PriceInForce":
        """So many percent of it."""
        return msgspec.structs.replace(self, price=_percent(self.price, percent), steps=_scaled(self.steps, percent))


Prices = dict[str, PriceInForce]


def prices_at(
    versions: Sequence[BookVersion],
    model: str,
    at: Instant,
    when: When = ALWAYS,
    *,
    cost: Sequence[BookVersion] = (),
    under: Sequence[BookVersion] = (),
) -> Prices:
    """Meter → price in force at `at` in one book for calls of which `when` is true, in the hour of the day of `at`.

    `cost` is the book of the vendor who serves the call, for rows on its price: in another currency it gives none.
    `under` is the book that this one changes prices of: percentages of this one may be of its prices. The latest
    `valid_from` that is not after `at` wins; of versions with the same `valid_from` (they name different things) the
    order does not matter. Raises PriceTie, which publication keeps out.
    """
    if cost and versions and cost[0].currency != versions[0].currency:
        cost = ()
    return Standing(in_force(versions, model, at), model, at).prices(when, cost, under)


class Standing:
    """What a book says of one model at one instant."""

    def __init__(self, said: Mapping[Thing, InForce], model: str, at: Instant) -> None:
        self.model, self.at = model, at
        self.said = {thing: each for thing, each in said.items() if thing.when.holds_at(at)}
        self._theirs: dict[When, Prices] = {}

    def prices(self, when: When, cost: Sequence[BookVersion], under: Sequence[BookVersion]) -> Prices:
        share = self._best(PERCENT, when) if when.tier else None
        without = msgspec.structs.replace(when, tier="")
        beneath = prices_at(under, self.model, self.at, without, cost=cost) if share and under else {}
        found: Prices = {}
        for meter in METERS:
            thing = self._best(meter, when)
            if share is not None and _yields(thing, share):
                thing = self._best(meter, without)
                base = self._price(thing, meter, without, cost) if thing else beneath.get(meter)
                price = self._share(base, share)
            else:
                price = self._price(thing, meter, when, cost) if thing else None
            if price is not None:
                found[meter] = price
        return found

    def _best(self, meter: str, when: When) -> Thing | None:
        """The row that wins for a call of which `when` is true."""
        fitting = [each for each in self.said if each.bucket == meter and _holds(each.when, when)]
        if not fitting:
            return None
        first, *rest = sorted(fitting, key=_rank, reverse=True)
        if rest and _rank(rest[0]) == _rank(first):
            raise PriceTie(f"{first} and {rest[0]} are equally good for one call: give a price for both together")
        return first

    def _share(self, base: PriceInForce | None, share: Thing) -> PriceInForce | None:
        if base is None:
            return None
        by, version = self.said[share]
        assert isinstance(by, Unit)
        when = msgspec.structs.replace(base.when, tier=share.when.tier)
        return msgspec.structs.replace(base.times(by.price), version=max(base.version, version), when=when)

    def _price(
        self, thing: Thing, meter: str, when: When, cost: Sequence[BookVersion]
    ) -> PriceInForce | None:
        said, version = self.said[thing]
        match said:
            case Unit(price, per):
                return PriceInForce(price=price, per=per, version=version, when=thing.when)
            case Graduated(steps, per):
                steps = msgspec.structs.replace(steps, counts=(meter,))
                return PriceInForce(price=steps.dearest, per=per, version=version, when=thing.when, steps=steps)
            case Free(reason):
                return PriceInForce(price=Decimal(0), per=1, version=version, when=thing.when, reason=reason)
            case OnCost(plus, per):
                if when not in self._theirs:
                    self._theirs[when] = prices_at(cost, self.model, self.at, when)
                theirs = self._theirs[when].get(meter)
                if theirs is None:
                    return None
                price, per = _on(theirs, plus, per)
                both = {field: max(getattr(thing.when, field), getattr(theirs.when, field)) for field in _CONDITIONS}
                return PriceInForce(
                    price=price, per=per, version=version, when=When(**both), cost_version=theirs.version
                )  # fmt: skip
            case _:
                raise AssertionError(f"{said} is no price of a call")


_CONDITIONS = When.__struct_fields__


def _yields(thing: Thing | None, share: Thing) -> bool:
    """Whether a percentage decides: no price of its own stands for its tier, or only one for a wider pattern."""
    return thing is None or not thing.when.tier or exactness(share.model) > exactness(thing.model)


def _rank(thing: Thing) -> tuple[int, int, int]:
    return exactness(thing.model), thing.when.count, thing.when.request_over


def _holds(row: When, when: When) -> bool:
    return row.tier in ("", when.tier) and row.zone in ("", when.zone) and row.request_over <= when.request_over


def _on(theirs: PriceInForce, plus: CostPlus, per: int) -> tuple[Decimal, int]:
    """The vendor's price, so many percent more, and an amount, exact: over a quantity that both can be said for."""
    over = lcm(theirs.per, per) if plus.amount else theirs.per
    price = EXACT.multiply(_percent(theirs.price, 100 + plus.percent), Decimal(over // theirs.per))
    return EXACT.add(price, EXACT.multiply(plus.amount, Decimal(over // per))) if plus.amount else price, over


def _percent(price: Decimal, percent: Decimal) -> Decimal:
    return price if percent == 100 else EXACT.multiply(price, percent).scaleb(-2, EXACT)


def _scaled(steps: Steps | None, percent: Decimal) -> Steps | None:
    if steps is None:
        return None
    rows = tuple((first, _percent(price, percent)) for first, price in steps.rows)
    return msgspec.structs.replace(steps, rows=rows)


def conditions_of(versions: Iterable[BookVersion], model: str) -> list[When]:
    """Every combination of tier, zone and bracket that the books tell apart for a model, the plain one first."""
    named = [row.when for each in versions for row in each.rows if row.model and covers(row.model, model)]
    tiers, zones, brackets = ({"", *(w.tier for w in named)}, {"", *(w.zone for w in named)},
                              {0, *(w.request_over for w in named)})  # fmt: skip
    return [
        When(tier=tier, zone=zone, request_over=over)
        for tier, zone, over in product(sorted(tiers), sorted(zones), sorted(brackets))
    ]


def changes_of(versions: Iterable[BookVersion], model: str) -> list[Instant]:
    """Instants at which a price of the model begins, in order."""
    return sorted({
        each.valid_from for each in versions if any(row.model and covers(row.model, model) for row in each.rows)
    })  # fmt: skip


def version_of(prices: Mapping[str, PriceInForce]) -> int:
    """The number that, with the instant, says which prices these are: the newest version that contributes."""
    return max(price.version for price in prices.values())


def not_for_sale(prices: Mapping[str, object], at: Instant, operations: Sequence[str] = ("chat",)) -> str:
    """Why a model that serves `operations` cannot be sold at `at`, or "": `no price for input on 2026-11-21`."""
    needed = NEEDED_BY_EMBEDDINGS if tuple(operations) == ("embedding",) else NEEDED
    missing = [BUCKETS[bucket] for bucket in needed if BUCKETS[bucket] not in prices]
    return f"no price for {' and '.join(missing)} on {show(at)[:10]}" if missing else ""
