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
    exactness,
)
from entrepot.catalog.standing import in_force
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
) -> Prices:
    """Meter → price in force at `at` in one book for calls of which `when` is true, in the hour of the day of `at`.

    `cost` is the book of the vendor who serves the call, for rows on its price. The latest `valid_from` that is not
    after `at` wins; of versions with the same `valid_from` (they name different things) the order does not matter.
    Raises PriceTie, which publication keeps out.
    """
    return Standing(versions, model, at, cost=Standing(cost, model, at) if cost else None).prices(when)


class Standing:
    """What a book says of one model at one instant, asked for call by call.

    `cost` is the vendor's book: in another currency it gives no price. `under` is the book that this one changes prices
    of: percentages of this one may be of its prices.
    """

    def __init__(
        self, versions: Sequence[BookVersion], model: str, at: Instant, *,
        cost: "Standing | None" = None, under: "Standing | None" = None,
    ) -> None:  # fmt: skip
        self.said = {thing: each for thing, each in in_force(versions, model, at).items() if thing.when.holds_at(at)}
        self.currency = versions[0].currency if versions else ""
        self._cost = cost if cost is not None and cost.currency == self.currency else None
        self._under = under
        self._rows: dict[str, list[tuple[tuple[int, int, int], Thing]]] = {}
        for thing in self.said:
            self._rows.setdefault(thing.bucket, []).append((_rank(thing), thing))
        for rows in self._rows.values():
            rows.sort(key=lambda each: each[0], reverse=True)
        self._known: dict[When, Prices] = {}

    @property
    def newest(self) -> int:
        """The newest version that says something of the model, 0: none."""
        return max((each.version for each in self.said.values()), default=0)

    @property
    def on_cost(self) -> bool:
        """Whether a price is on the vendor's."""
        return any(isinstance(each.said, OnCost) for each in self.said.values())

    def prices(self, when: When) -> Prices:
        found = self._known.get(when)
        if found is None:
            self._known[when] = found = self._prices(when)
        return found

    def _prices(self, when: When) -> Prices:
        share = self._best(PERCENT, when) if when.tier else None
        without = msgspec.structs.replace(when, tier="") if share else when
        beneath = self._under.prices(without) if share and self._under else {}
        found: Prices = {}
        for meter in METERS if beneath else [each for each in METERS if each in self._rows]:
            thing = self._best(meter, when)
            if share is not None and _yields(thing, share):
                thing = self._best(meter, without)
                base = self._price(thing, meter, without) if thing else beneath.get(meter)
                price = self._share(base, share)
            else:
                price = self._price(thing, meter, when) if thing else None
            if price is not None:
                found[meter] = price
        return found

    def _best(self, meter: str, when: When) -> Thing | None:
        """The row that wins for a call of which `when` is true."""
        best: tuple[tuple[int, int, int], Thing] | None = None
        for rank, thing in self._rows.get(meter, ()):
            if best is not None and rank < best[0]:
                break
            if _holds(thing.when, when):
                if best is not None:
                    why = f"{best[1]} and {thing} are equally good for one call: give a price for both together"
                    raise PriceTie(why)
                best = rank, thing
        return best[1] if best else None

    def _share(self, base: PriceInForce | None, share: Thing) -> PriceInForce | None:
        if base is None:
            return None
        by, version = self.said[share]
        assert isinstance(by, Unit)
        when = msgspec.structs.replace(base.when, tier=share.when.tier)
        return msgspec.structs.replace(base.times(by.price), version=max(base.version, version), when=when)

    def _price(self, thing: Thing, meter: str, when: When) -> PriceInForce | None:
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
                theirs = self._cost.prices(when).get(meter) if self._cost else None
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
    """Exact, with as many places as it needs and at least those of the price: half of 2.50 is 1.25, of 10.00 5.00."""
    if percent == 100:
        return price
    found = EXACT.multiply(price, percent).scaleb(-2, EXACT).normalize(EXACT)
    return found.quantize(price, context=EXACT) if _places(found) < _places(price) else found


def _places(number: Decimal) -> int:
    return -int(number.as_tuple().exponent)


def _scaled(steps: Steps | None, percent: Decimal) -> Steps | None:
    if steps is None:
        return None
    rows = tuple((first, _percent(price, percent)) for first, price in steps.rows)
    return msgspec.structs.replace(steps, rows=rows)


def conditions_of(versions: Iterable[BookVersion], model: str) -> list[When]:
    """Every combination of tier, zone and bracket that the books tell apart for a model, the plain one first."""
    named = {thing.when for each in versions for thing, _ in each.of(model)}
    tiers, zones, brackets = ({"", *(w.tier for w in named)}, {"", *(w.zone for w in named)},
                              {0, *(w.request_over for w in named)})  # fmt: skip
    return [
        When(tier=tier, zone=zone, request_over=over)
        for tier, zone, over in product(sorted(tiers), sorted(zones), sorted(brackets))
    ]


def changes_of(versions: Iterable[BookVersion], model: str) -> list[Instant]:
    """Instants at which a price of the model begins, in order."""
    return sorted({each.valid_from for each in versions if each.names(model)})


def version_of(prices: Mapping[str, PriceInForce]) -> int:
    """The number that, with the instant, says which prices these are: the newest version that contributes."""
    return max(price.version for price in prices.values())


def not_for_sale(prices: Mapping[str, object], at: Instant, operations: Sequence[str] = ("chat",)) -> str:
    """Why a model that serves `operations` cannot be sold at `at`, or "": `no price for input on 2026-11-21`."""
    needed = NEEDED_BY_EMBEDDINGS if tuple(operations) == ("embedding",) else NEEDED
    missing = [BUCKETS[bucket] for bucket in needed if BUCKETS[bucket] not in prices]
    return f"no price for {' and '.join(missing)} on {show(at)[:10]}" if missing else ""
