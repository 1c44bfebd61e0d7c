"""Usage in piles: everything of one period that has one price, whatever hour, project or key it came from."""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple

from msgspec.structs import replace

from entrepot.catalog.prices import METERS, REQUEST, Steps, When
from entrepot.kernel.instants import Instant
from entrepot.kernel.money import split
from entrepot.limits.budget import Period
from entrepot.pricing.agreement import AgreedPrice
from entrepot.rating.covered import plain
from entrepot.rating.line import StalePrice, UnratedGroup
from entrepot.rating.prices import LATE, NO_PRICE, Priced, PriceList
from entrepot.rating.usage import Used

_PLACE = {meter: place for place, meter in enumerate(METERS)}


class PileKey(NamedTuple):
    """What makes one price one line. Of a price with steps `price` is the dearest."""

    contract: int
    model: str
    meter: str
    project: str  # only where a step counts by project
    when: When
    price: Decimal
    per: int
    list_price: Decimal | None
    steps: Steps | None
    reason: str


class Turn(NamedTuple):
    """The place of some usage in the count of its steps: since when they are counted, whether it is of the period that
    is rated or of an earlier one, and the version it was sold at."""

    counted_from: Instant
    now: bool
    stretch: int
    version: int


class Pile:
    """Usage of one price."""

    __slots__ = ("bases", "charged", "ends_at", "quantity", "starts_at", "turns", "versions")

    def __init__(self) -> None:
        self.quantity = 0  # of the period
        self.charged = 0
        self.turns: dict[Turn, int] = {}  # only of a price with steps; earlier periods too
        self.versions: set[tuple[str, int]] = set()
        self.bases: set[str] = set()
        self.starts_at: Instant = 1 << 62
        self.ends_at: Instant = 0


class _Class:
    """Rows whose prices are all the same."""

    __slots__ = ("charge", "counts")

    def __init__(self) -> None:
        self.charge = 0
        self.counts = [0] * len(METERS)


class Heap:
    """All piles of a customer, and what belongs on none."""

    def __init__(self, prices: PriceList, period: Period) -> None:
        self._prices, self._period = prices, period
        self.piles: dict[PileKey, Pile] = {}
        self.overrun: dict[tuple[int, str], int] = {}  # (contract, model) → ledger units
        self.charged = 0
        self._classes: dict[tuple[Priced, str, str], _Class] = {}
        self._unrated: dict[tuple[str, str, str, str], list[int]] = {}
        self._stale: dict[tuple[str, str, str], list[int]] = {}

    def add(self, rows: Iterable[Used]) -> None:
        """Rows in any order and any number of parts. Those of earlier periods only move the count of steps."""
        for row in rows:
            priced = self._prices.of(row)
            project = row.project if any(_by_project(each) for _, each in priced.prices) else ""
            now = row.first_hour >= self._period.starts_at
            for meter, price in priced.prices:
                count = row.counts[_PLACE[meter]]
                if count:
                    self._pile(row, priced, project, (meter, price), count)
            if now:
                self._count(row, priced, project)

    def spread(self) -> None:
        """Give every pile its part of what calls took: by what each meter comes to at the price of the call."""
        for (priced, project, model), found in self._classes.items():
            used = [
                (key(priced, project, model, (meter, price)), _budgeted(price, count))
                for meter, price in priced.prices
                if (count := found.counts[_PLACE[meter]])
            ]
            for (pile, _), part in zip(used, split(found.charge, [weight for _, weight in used]), strict=True):
                self.piles[pile].charged += part

    def unrated(self, carried: Mapping[str, str]) -> tuple[UnratedGroup, ...]:
        found = []
        for (model, meter, version, reason), (attempts, quantity, first, last) in sorted(self._unrated.items()):
            name = f"{model} {meter} {version}"
            found.append(UnratedGroup(
                name=name, model=model, meter=meter, price_version=version, attempts=attempts, quantity=quantity,
                starts_at=first, ends_at=last, reason=reason, carried=carried.get(name, ""),
            ))  # fmt: skip
        return tuple(found)

    def stale(self) -> tuple[StalePrice, ...]:
        return tuple(
            StalePrice(
                model=model, price_version=version, newer=newer, attempts=attempts, starts_at=first, ends_at=last
            )
            for (model, version, newer), (attempts, _, first, last) in sorted(self._stale.items())
        )

    def _pile(self, row: Used, priced: Priced, project: str, price: tuple[str, AgreedPrice], count: int) -> None:
        agreed = price[1]
        pile = self.piles.setdefault(key(priced, project, row.model, price), Pile())
        now = row.first_hour >= self._period.starts_at
        if agreed.steps is not None:
            turn = Turn(
                self._prices.counted_from(agreed.steps, priced.contract, row.first_hour), now,
                self._prices.stretch_of(row.model, row.first_hour), agreed.version,
            )  # fmt: skip
            pile.turns[turn] = pile.turns.get(turn, 0) + count
        if not now:
            return
        pile.quantity += count
        pile.versions.add(self._prices.version_of(priced.contract, agreed))
        pile.bases.add(agreed.basis)
        starts_at, ends_at = self._prices.span_of(row.model, row.first_hour)
        pile.starts_at, pile.ends_at = min(pile.starts_at, starts_at), max(pile.ends_at, ends_at)

    def _count(self, row: Used, priced: Priced, project: str) -> None:
        self.charged += row.charge
        found = self._classes.setdefault((priced, project, row.model), _Class())
        found.charge += row.charge
        for place, count in enumerate(row.counts):
            found.counts[place] += count
        if row.overrun:
            where = (priced.contract, row.model)
            self.overrun[where] = self.overrun.get(where, 0) + row.overrun
        starts_at, ends_at = self._prices.span_of(row.model, row.first_hour)
        span = max(starts_at, self._period.starts_at), ends_at
        for meter, reason in priced.missing:
            count = row.counts[_PLACE[meter]]
            if count and meter != REQUEST:  # a request without a price costs nothing itself
                name = (row.model, meter, row.price_version, reason)
                attempts = row.unrated if reason == NO_PRICE else row.attempts
                _note(self._unrated.setdefault(name, [0, 0, *span]), span, attempts, count)
        if priced.newer:
            late = (row.model, row.price_version, priced.newer)
            _note(self._stale.setdefault(late, [0, 0, *span]), span, row.attempts, 0)


def key(priced: Priced, project: str, model: str, of: tuple[str, AgreedPrice]) -> PileKey:
    meter, price = of
    by_project = project if _by_project(price) else ""
    listed = plain(price.list_price) if price.list_price is not None and price.list_price > price.price else None
    steps, unit = price.steps, plain(price.price)
    if steps is not None:
        steps = replace(steps, rows=tuple((first, plain(each)) for first, each in steps.rows))
    return PileKey(
        priced.contract, model, meter, by_project, price.when, unit, price.per, listed, steps, price.reason
    )


def _budgeted(price: AgreedPrice, count: int) -> Fraction:
    """What calls took for it, but for the rounding of each."""
    return Fraction(0) if price.basis.endswith(LATE) else Fraction(price.price) * count / price.per


def _by_project(price: AgreedPrice) -> bool:
    return price.steps is not None and price.steps.scope == "project"


def _note(found: list[int], span: tuple[Instant, Instant], attempts: int, quantity: int) -> None:
    """Add to (attempts, quantity, beginning, end)."""
    found[0] += attempts
    found[1] += quantity
    found[2], found[3] = min(found[2], span[0]), max(found[3], span[1])


def in_order(piles: Sequence[PileKey]) -> list[PileKey]:
    """As they stand on a bill."""
    return sorted(piles, key=lambda each: (
        each.contract, each.project, each.model, _PLACE[each.meter], each.when.count, str(each.when), -each.price,
        each.per, each.list_price or 0, each.reason, str(each.steps),
    ))  # fmt: skip
