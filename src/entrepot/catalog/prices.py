"""What a price book says, as values: whom a row is for, under which conditions, and how its price is made."""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from functools import cached_property
from typing import Literal, NamedTuple

import msgspec

from entrepot.kernel.buckets import BUCKETS
from entrepot.kernel.instants import HOUR, Instant

PER_DEFAULT = 1_000_000
#: What is counted once a call that has used anything; its price is per call, whatever `per` says of tokens.
REQUEST = "request"
#: Whatever a price of usage can be for, in the order in which it is shown.
METERS = (*BUCKETS, REQUEST)
#: Under these names stands among the things of a version what is no price of a meter.
PERCENT, MINIMUM, SHARE = "percent", "minimum", "percentage of lines"
ANY = "*"

Scope = Literal["customer", "contract", "project"]
Period = Literal["month", "quarter", "contract year"]


class When(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The conditions of a row; what is not given holds always. A request is over a bracket with more input tokens than
    that, and then wholly. `hours` are those of a day (UTC): `08-20`, or `22-06` across midnight."""

    tier: str = ""
    zone: str = ""
    request_over: int = 0
    hours: str = ""

    @property
    def count(self) -> int:
        return bool(self.tier) + bool(self.zone) + bool(self.request_over) + bool(self.hours)

    def holds_at(self, at: Instant) -> bool:
        """Whether the hour of `at` is one of its hours."""
        return not self.hours or at // HOUR % 24 in hours_of(self.hours)

    def __str__(self) -> str:
        over = f"requests over {self.request_over:,}" if self.request_over else ""
        said = (f"tier {self.tier}" if self.tier else "", f"zone {self.zone}" if self.zone else "", over,
                f"{self.hours} h UTC" if self.hours else "")  # fmt: skip
        return ", ".join(each for each in said if each)


ALWAYS = When()


def hours_of(hours: str) -> frozenset[int]:
    """The hours of the day that `22-06` names: its first, and those up to the one at which it ends."""
    first, until = (int(each) for each in hours.split("-"))
    return frozenset((first + each) % 24 for each in range((until - first) % 24 or 24))


class Thing(NamedTuple):
    """What a price is for."""

    model: str  # a name, a pattern (`aurora-*`), or the product of a row that is not per usage
    bucket: str  # a meter, PERCENT, MINIMUM or SHARE
    when: When = ALWAYS

    def __str__(self) -> str:
        return f"{self.model} {self.bucket}" + (f" ({self.when})" if self.when.count else "")


class Steps(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A graduated price: what is counted in a period has the price of the step that its rank falls into.

    `rows` are (first, price): the first so many, counted from the period's beginning, then None for whatever follows.
    `counts` are the meters that share the rank: one, and what inherits its price.
    """

    scope: Scope = "customer"
    period: Period = "month"
    counts: tuple[str, ...] = ()
    rows: tuple[tuple[int | None, Decimal], ...]

    @property
    def dearest(self) -> Decimal:
        """What a call is charged: its rank is known when the period is rated."""
        return max(price for _, price in self.rows)


class CostPlus(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The vendor's price for the same call at the same instant, `percent` more, and `amount` on top."""

    percent: Decimal = Decimal(0)
    amount: Decimal = Decimal(0)

    def __str__(self) -> str:
        amount = f" and {self.amount:f}" if self.amount else ""
        return f"{self.percent:f} % on the vendor's price{amount}"


class PeriodPrice(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a month costs beside its usage: at least `minimum` for the lines that `of` names, or `percent` of them and
    at least `minimum`. Of names models, patterns, and for a percentage also products with a minimum."""

    of: tuple[str, ...] = (ANY,)
    minimum: Decimal = Decimal(0)
    percent: Decimal | None = None


class PriceRow(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Prices of a model, or of those that a pattern names, under some conditions. One of these:

    `prices` and `steps` by meter, per `per` tokens (a request: each); `percent` of what would be paid without the row's
    tier; `cost_plus` or `included` (free, for this reason) for `meters`, none: all of them; a `product` by the period.
    """

    model: str = ""
    prices: Mapping[str, Decimal] = {}
    per: int = PER_DEFAULT
    when: When = ALWAYS
    percent: Decimal | None = None
    steps: Mapping[str, Steps] = {}
    cost_plus: CostPlus | None = None
    included: str = ""
    meters: tuple[str, ...] = ()
    product: str = ""
    period: PeriodPrice | None = None

    def says(self) -> "dict[Thing, Said]":
        """Each thing that it prices, and how."""
        found: dict[Thing, Said] = {
            Thing(self.model, meter, self.when): Unit(price, self.per_of(meter)) for meter, price in self.prices.items()
        }
        for meter, steps in self.steps.items():
            found[Thing(self.model, meter, self.when)] = Graduated(steps, self.per_of(meter))
        if self.percent is not None:
            found[Thing(self.model, PERCENT, self.when)] = Unit(self.percent, 100)
        for meter in self.meters or METERS:
            if self.cost_plus is not None:
                found[Thing(self.model, meter, self.when)] = OnCost(self.cost_plus, self.per_of(meter))
            elif self.included:
                found[Thing(self.model, meter, self.when)] = Free(self.included)
        if self.period is not None:
            kind = MINIMUM if self.period.percent is None else SHARE
            found[Thing(self.product, kind)] = ByPeriod(self.period)
        return found

    def per_of(self, meter: str) -> int:
        return 1 if meter == REQUEST else self.per


class Unit(NamedTuple):
    """A price per so many; of PERCENT it is a percentage."""

    price: Decimal
    per: int

    def __str__(self) -> str:
        return f"{self.price:f}" if self.per == 1 else f"{self.price:f} per {self.per:,}"


class Graduated(NamedTuple):
    steps: Steps
    per: int

    def __str__(self) -> str:
        steps = [f"{price:f}" + (f" for the first {first:,}" if first else "") for first, price in self.steps.rows]
        return f"{', then '.join(steps)} (per {self.per:,}; {self.steps.scope}, {self.steps.period})"


class OnCost(NamedTuple):
    plus: CostPlus
    per: int  # of its amount

    def __str__(self) -> str:
        return str(self.plus)


class Free(NamedTuple):
    reason: str

    def __str__(self) -> str:
        return f"included: {self.reason}"


class ByPeriod(NamedTuple):
    period: PeriodPrice

    def __str__(self) -> str:
        least = f"at least {self.period.minimum:f}" if self.period.minimum or self.period.percent is None else ""
        share = f"{self.period.percent:f} %" if self.period.percent is not None else ""
        return f"{', '.join(each for each in (share, least) if each)} of {', '.join(self.period.of)}"


Said = Unit | Graduated | OnCost | Free | ByPeriod


def covers(pattern: str, model: str) -> bool:
    """Whether a row for `pattern` is one for the model: its name, or what it begins with before the star."""
    return model.startswith(pattern[:-1]) if pattern.endswith(ANY) else pattern == model


def exactness(pattern: str) -> int:
    """A name goes before a pattern, and of two patterns that cover one model the longer one."""
    return len(pattern) - 1 if pattern.endswith(ANY) else 1_000


class BookVersion(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """One version of a book: it names only what changes, and a published one never changes.

    `buys_from` is a vendor for a cost book, "" for a list book. `number` counts publications from 1, 0 = not published.
    """

    book: str
    currency: str
    valid_from: Instant
    rows: tuple[PriceRow, ...]
    buys_from: str = ""
    number: int = 0
    published_at: Instant = 0

    @property
    def id(self) -> str:
        return f"{self.book}/{self.number}"

    def things(self) -> Mapping[Thing, Said]:
        """Everything that this version names, and what it says of it."""
        return self._things

    def of(self, model: str) -> Iterator[tuple[Thing, Said]]:
        """What it says of a model, by name and by pattern."""
        yield from self._by_model.get(model, ())
        for pattern in self._patterns:
            if covers(pattern, model):
                yield from self._by_model[pattern]

    def names(self, model: str) -> bool:
        """Whether it says anything of a model."""
        return model in self._by_model or any(covers(each, model) for each in self._patterns)

    @cached_property
    def _things(self) -> dict[Thing, Said]:
        return {thing: said for row in self.rows for thing, said in row.says().items()}

    @cached_property
    def _by_model(self) -> dict[str, list[tuple[Thing, Said]]]:
        found: dict[str, list[tuple[Thing, Said]]] = {}
        for thing, said in self._things.items():
            if not isinstance(said, ByPeriod):
                found.setdefault(thing.model, []).append((thing, said))
        return found

    @cached_property
    def _patterns(self) -> list[str]:
        return [each for each in self._by_model if each.endswith(ANY)]

    def says_the_same(self, other: "BookVersion") -> bool:
        """Equal in everything a customer or vendor could see; row order and 2.5 against 2.50 do not count."""
        return (self.book, self.currency, self.valid_from, self.buys_from, self.things()) == (
            other.book, other.currency, other.valid_from, other.buys_from, other.things()
        )  # fmt: skip
