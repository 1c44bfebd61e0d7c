"""What one customer pays: its book, changed by the prices or the discount of its contract. Pure.

In the one order of calculation this is its beginning: list price with its conditions → contract price or discount, on
the unit price → included → steps, whose rank rating knows. The gateway's rates are made of the same prices.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal, Inexact
from fractions import Fraction

import msgspec
from msgspec.structs import replace

from entrepot.catalog.contents import Contract
from entrepot.catalog.prices import (
    ALWAYS,
    METERS,
    MINIMUM,
    SHARE,
    BookVersion,
    ByPeriod,
    PeriodPrice,
    PriceRow,
    Steps,
    When,
)
from entrepot.catalog.standing import everything
from entrepot.kernel.buckets import BUCKETS, INHERITS
from entrepot.kernel.instants import HOUR, Instant
from entrepot.pricing.book import EXACT, PriceInForce, Standing

#: The contract's own prices stand in a book of their own, which has no versions: a signed contract does not change.
_CONTRACT = "contract"


class Agreement(msgspec.Struct, frozen=True, kw_only=True):
    """The book that a contract names, the cost books of the vendors, and what the contract changes within its term
    [starts_at, ends_at); 0 is not given."""

    book: tuple[BookVersion, ...]
    costs: Mapping[str, tuple[BookVersion, ...]] = {}  # vendor → its cost book
    discount_percent: Decimal = Decimal(0)
    rows: tuple[PriceRow, ...] = ()
    starts_at: Instant = 0
    ends_at: Instant = 0

    def in_term(self, at: Instant) -> bool:
        return self.starts_at <= at and (not self.ends_at or at < self.ends_at)

    @property
    def currency(self) -> str:
        return self.book[0].currency if self.book else ""

    @property
    def own(self) -> tuple[BookVersion, ...]:
        """The contract's own prices as a book."""
        if not self.rows:
            return ()
        return (BookVersion(book=_CONTRACT, currency=self.currency, valid_from=self.starts_at, rows=self.rows),)


def agreement_of(contract: Contract, versions: Iterable[BookVersion]) -> Agreement:
    """What a contract comes to with the books of the house, cost books among them."""
    books = tuple(versions)
    vendors = dict.fromkeys(each.buys_from for each in books if each.buys_from)
    return Agreement(
        book=tuple(each for each in books if each.book == contract.book and not each.buys_from),
        costs={vendor: tuple(each for each in books if each.buys_from == vendor) for vendor in vendors},
        discount_percent=contract.discount_percent, rows=contract.rows, starts_at=contract.starts_at,
        ends_at=contract.ends_at,
    )  # fmt: skip


class AgreedPrice(msgspec.Struct, frozen=True, kw_only=True):
    """What one of a meter costs a customer: `price` per `per`, exact.

    `list_price` is what the book says, over the same `per`; None where it says nothing, or nothing that can be written
    over it. `steps` makes the price one of several: `price` is the dearest of them. A `reason` is given if and only if
    nothing is paid because it is included. `version` is the newest of the book that contributes (0: none), `when` the
    conditions under which this is the price, and `basis` says in words where it comes from.
    """

    price: Decimal
    per: int
    list_price: Decimal | None
    version: int
    steps: Steps | None = None
    reason: str = ""
    when: When = ALWAYS
    basis: str = ""

    @property
    def exact(self) -> Fraction:
        """Currency units for one."""
        return Fraction(self.price) / self.per


def agreed(
    agreement: Agreement, model: str, at: Instant, when: When, vendor: str, *, pinned: str = ""
) -> dict[str, AgreedPrice]:
    """Meter → price for calls admitted at `at` of which `when` is true, served by `vendor`; {} outside of the term.

    `pinned` is the price version of a usage record (`list/3`, `list/3+aurora-cost/2`), and `at` then its hour: the
    prices are those that this version had in that hour, also when its worker had not heard of a newer one. A bucket
    that inherits its price (reasoning: output) is there under its own name. Nothing is agreed by another book.
    """
    if pinned:
        pins = pins_of(pinned)
        if pins.keys() - {each.book for each in _books(agreement, vendor)}:
            return {}
        agreement = _as_of(agreement, pins, vendor)
        at = _moment(agreement, model, at, vendor, pinned)
    return Quote(agreement, model, at, vendor).prices(when)


class Quote:
    """What an agreement says of a model at an instant, served by a vendor, for calls under any conditions."""

    def __init__(self, agreement: Agreement, model: str, at: Instant, vendor: str) -> None:
        self._agreement = agreement
        self._holds = bool(agreement.book) and agreement.in_term(at)
        self._costs = agreement.costs.get(vendor, ())
        self._cost = Standing(self._costs, model, at)
        self._book = Standing(agreement.book, model, at, cost=self._cost)
        self._own = Standing(agreement.own, model, at, cost=self._cost, under=self._book)

    def prices(self, when: When) -> dict[str, AgreedPrice]:
        """As `agreed`."""
        if not self._holds:
            return {}
        listed = self._book.prices(when)
        found = {meter: self._listed(price) for meter, price in listed.items()}
        found |= {meter: _contracted(price, listed.get(meter)) for meter, price in self._own.prices(when).items()}
        for bucket, source in INHERITS.items():
            _inherit(found, BUCKETS[bucket], BUCKETS[source])
        return {meter: found[meter] for meter in METERS if meter in found}

    @property
    def on_cost(self) -> bool:
        """Whether a price of the model is on the vendor's."""
        return self._book.on_cost or self._own.on_cost

    @property
    def name(self) -> str:
        """As `version_name`."""
        names = [f"{self._agreement.book[0].book}/{self._book.newest}"]
        if self._costs and self.on_cost:
            names.append(f"{self._costs[0].book}/{self._cost.newest}")
        return "+".join(names)

    def _listed(self, price: PriceInForce) -> AgreedPrice:
        """The book's price, less the discount."""
        name = f"{self._agreement.book[0].book}/{price.version}"
        basis = f"{name} on {self._costs[0].book}/{price.cost_version}" if price.cost_version else name
        off = self._agreement.discount_percent
        if price.reason or not off:
            return _agreed(price, price.price, basis)
        return _agreed(price.times(100 - off), price.price, f"{basis} less {off:f} %")


def version_name(agreement: Agreement, model: str, at: Instant, vendor: str) -> str:
    """The newest version of the book that says something of the model at `at`, `list/3`; with prices on the vendor's,
    its newest one too: `list/3+aurora-cost/2`. With the instant this names the prices, whatever is published later."""
    return Quote(agreement, model, at, vendor).name


def pins_of(price_version: str) -> dict[str, int]:
    """Book → number of the version that a usage record names."""
    pairs = (each.rpartition("/") for each in price_version.split("+"))
    return {book: int(number) for book, _, number in pairs}


def minimums(agreement: Agreement, at: Instant) -> dict[str, PeriodPrice]:
    """Product → the least that the lines it names come to in a month. Rows that are not per usage, as at `at`."""
    return _by_period(agreement, at, MINIMUM)


def percentages(agreement: Agreement, at: Instant) -> dict[str, PeriodPrice]:
    """Product → a percentage of the lines that it names (a support plan), and the least that it costs."""
    return _by_period(agreement, at, SHARE)


def _by_period(agreement: Agreement, at: Instant, kind: str) -> dict[str, PeriodPrice]:
    """The contract's goes before the book's of the same name."""
    if not agreement.in_term(at):
        return {}
    found: dict[str, PeriodPrice] = {}
    for book in (agreement.book, agreement.own):
        for thing, (said, _) in everything(book, at).items():
            if isinstance(said, ByPeriod) and thing.bucket == kind:
                found[thing.model] = said.period
    return dict(sorted(found.items()))


def _contracted(price: PriceInForce, listed: PriceInForce | None) -> AgreedPrice:
    """The contract's price, and beside it the book's."""
    return _agreed(price, None if listed is None else _over(listed, price.per), _CONTRACT)


def _over(listed: PriceInForce, per: int) -> Decimal | None:
    """A price per so many, exact."""
    try:
        return EXACT.divide(EXACT.multiply(listed.price, Decimal(per)), Decimal(listed.per))
    except Inexact:
        return None


def _agreed(price: PriceInForce, listed: Decimal | None, basis: str) -> AgreedPrice:
    return AgreedPrice(
        price=price.price, per=price.per, list_price=listed, version=price.version, steps=price.steps,
        reason=price.reason, when=price.when, basis=basis,
    )  # fmt: skip


def _inherit(found: dict[str, AgreedPrice], bucket: str, source: str) -> None:
    """The same price, and the same rank where it has steps: both count."""
    price = found.get(source)
    if price is None or bucket in found:
        return
    if price.steps is not None:
        price = replace(price, steps=replace(price.steps, counts=(source, bucket)))
    found[source] = found[bucket] = price


def _books(agreement: Agreement, vendor: str) -> tuple[BookVersion, ...]:
    return (*agreement.book, *agreement.costs.get(vendor, ()))


def _as_of(agreement: Agreement, pins: Mapping[str, int], vendor: str) -> Agreement:
    """As its books were when these were their newest versions: later ones say nothing."""
    book, cost = (
        tuple(each if each.number <= pins.get(each.book, each.number) else replace(each, rows=()) for each in versions)
        for versions in (agreement.book, agreement.costs.get(vendor, ()))
    )
    return replace(agreement, book=book, costs={vendor: cost})


def _moment(agreement: Agreement, model: str, hour: Instant, vendor: str, name: str) -> Instant:
    """The first instant of the hour at which the prices had this name; else its last change."""
    found = hour
    for instant in (hour, *sorted(i for i in _starts(agreement, vendor) if hour < i < hour + HOUR)):
        found = instant
        if agreement.in_term(instant) and version_name(agreement, model, instant, vendor) == name:
            break
    return found


def _starts(agreement: Agreement, vendor: str) -> set[Instant]:
    return {agreement.starts_at, *(each.valid_from for each in _books(agreement, vendor))}
