"""Figures as people read them, rounded once and only here."""

from collections.abc import Callable
from fractions import Fraction

import msgspec

from casebook.book import Book
from entrepot.insight.facts import Base, Facts, share
from entrepot.kernel.money import round_half_away

#: What cannot be had of one loading, or was reported of none.
NONE = "–"
#: What a figure rests on: where its numbers are from, and how much of that nobody reported.
LEGEND = (
    "rests on  I issued invoices   L ledger   E entered figures   c the cost book   s the scenario's own figures",
    "          r reported   a assumed   75a: 75 % of the amounts are assumed (of the share's month / of the rate's)",
)


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One figure of each loading, what was reported of it, and what it rests on."""

    what: str
    values: tuple[str, ...]
    reported: str = NONE
    rests: str


class Section(msgspec.Struct, frozen=True, kw_only=True):
    """Rows under a title; `notes` below them."""

    title: str
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()


def row(what: str, books: tuple[Book, ...], value: Callable[[Book], str], *, reported: str = NONE, rests: str) -> Row:
    """The same figure of every book."""
    return Row(what=what, values=tuple(map(value, books)), reported=reported, rests=rests)


def same(what: str, books: tuple[Book, ...], value: str, *, reported: str = NONE, rests: str) -> Row:
    """A figure that no loading changes."""
    return row(what, books, lambda _book: value, reported=reported, rests=rests)


def millions(units: int, base: Base, places: int = 2) -> str:
    """`83.33 M`."""
    return f"{decimal(Fraction(units, 10**base.scale * 1_000_000), places)} M"


def percent(part: Fraction, places: int = 1) -> str:
    return f"{decimal(part * 100, places)} %"


def points(index: Fraction) -> str:
    """An HHI in points of 10,000."""
    return decimal(index * 10_000, 0)


def decimal(value: Fraction, places: int) -> str:
    """Half away from zero, thousands apart, a true minus sign."""
    scaled = round_half_away(value * 10**places)
    whole, rest = divmod(abs(scaled), 10**places)
    return f"{'−' if scaled < 0 else ''}{whole:,}" + (f".{rest:0{places}d}" if places else "")


def signed(value: Fraction, places: int = 1) -> str:
    text = decimal(value, places)
    return text if value < 0 else f"+{text}"


def assumed(facts: Facts) -> Fraction:
    """Which part of the amounts nobody reported."""
    return share(facts.by("standing").get("assumed", 0), facts.total())


def rests_on_invoices(books: tuple[Book, ...]) -> str:
    """`I 75/76a`: of each loading's month."""
    return f"I {'/'.join(decimal(assumed(book.of(book.month)) * 100, 0) for book in books)}a"
