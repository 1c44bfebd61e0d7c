"""Figures that do not come from our books, as values: exchange rates, what was expected, what others report, what is
assumed. Every one says whether it is reported or assumed, and where it is from; none ever counts as billed. Pure."""

from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Literal

import msgspec

from entrepot.insight.currency import ExchangeRate, exchanged
from entrepot.insight.facts import Standing

#: Who expected it: the operator itself, or those who follow it.
Expecter = Literal["guidance", "consensus"]
Direction = Literal["in", "out"]
Per = Literal["month", "year"]


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """What every entered figure says of itself."""

    standing: Standing
    source: str


class Expectation(Entry, frozen=True, kw_only=True):
    """What was expected of a measure in a period ("2024-06", "2024-Q2", "2024"), and what it came to where that is not
    in our books. A range has a `least` and a `most`; of one figure they are equal."""

    of: str
    period: str
    by: Expecter
    least: Decimal
    most: Decimal
    unit: str = ""
    actual: Decimal | None = None

    @property
    def middle(self) -> Decimal:
        return (self.least + self.most) / 2


class StatedSale(Entry, frozen=True, kw_only=True):
    """What somebody says that was sold in a month, in units of 10^-scale of the currency."""

    month: str
    customer: str
    amount: int
    currency: str
    name: str = ""
    group: str = ""
    industry: str = ""
    country: str = ""
    product: str = ""
    model: str = ""
    vendor: str = ""
    region: str = ""
    own: bool = False
    cost: int | None = None
    quantity: int = 0


class Stream(Entry, frozen=True, kw_only=True):
    """Money between us and a counterparty, in a month or (month "") a year: resale, share, rent, seats, investment."""

    counterparty: str
    stream: str
    direction: Direction
    amount: int
    currency: str
    month: str = ""


class Terms(Entry, frozen=True, kw_only=True):
    """Of a vendor's contract: dates, the first day on which it no longer holds (None: none is known), and what is to be
    bought from it a month or a year, in units of 10^-scale of the currency, used or not."""

    vendor: str
    exclusive_until: date | None = None
    licence_until: date | None = None
    committed: int | None = None
    committed_per: Per = "year"
    committed_until: date | None = None
    currency: str = ""


class Substitute(Entry, frozen=True, kw_only=True):
    """Models that could serve in the place of another one."""

    model: str
    by: tuple[str, ...]


class Agent(Entry, frozen=True, kw_only=True):
    """Sales in which we are the vendor's agent: net, only the fee is ours. Customer "" or vendor "": all."""

    customer: str = ""
    vendor: str = ""
    fee_percent: Decimal


class Loaded(Entry, frozen=True, kw_only=True):
    """What books were loaded with instead of calls of customers: usage made so that amounts come out which somebody
    reported or assumed. Of a customer and a month; "" is every one that has no entry of its own. `whole`: what the
    shares of these books are shares of, in words."""

    customer: str = ""
    month: str = ""
    whole: str = ""


class Figure(Entry, frozen=True, kw_only=True):
    """A single figure by its name: capital spent, a discount rate, the hours to redeploy capacity."""

    name: str
    value: Decimal
    unit: str = ""
    period: str = ""


class Entered(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that was entered."""

    exchange: tuple[ExchangeRate, ...] = ()
    expectation: tuple[Expectation, ...] = ()
    sale: tuple[StatedSale, ...] = ()
    stream: tuple[Stream, ...] = ()
    terms: tuple[Terms, ...] = ()
    substitute: tuple[Substitute, ...] = ()
    agent: tuple[Agent, ...] = ()
    figure: tuple[Figure, ...] = ()
    loaded: tuple[Loaded, ...] = ()

    def exchanged(self, units: int | Fraction, of: str, to: str, month: str) -> Fraction:
        """Ledger units of one currency in those of another, at the rates that were entered. Raises RateMissing."""
        return exchanged(units, (of, to), month, self.exchange)

    def loaded_with(self, customer: str, month: str) -> Loaded | None:
        """What stands behind a customer's sales of a month, where that is no customer's call."""
        wanted = ((customer, month), (customer, ""), ("", month), ("", ""))
        rows = {(each.customer, each.month): each for each in self.loaded}
        return next((rows[each] for each in wanted if each in rows), None)

    def figure_of(self, name: str) -> Figure | None:
        """The last one of this name."""
        return next((each for each in reversed(self.figure) if each.name == name), None)


def merged(parts: Iterable[Entered]) -> Entered:
    """Of several files, in their order."""
    found = list(parts)
    names = Entered.__struct_fields__
    return Entered(**{name: tuple(each for part in found for each in getattr(part, name)) for name in names})
