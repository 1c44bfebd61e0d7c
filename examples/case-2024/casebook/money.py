"""What the service takes, and what part of it is one customer's."""

from fractions import Fraction

from casebook.book import Book, of_month
from casebook.words import NONE, Section, millions, percent, row, same
from entrepot.insight.concentration import Part, concentration, ten_percent
from entrepot.insight.entries import Figure
from entrepot.insight.facts import Base
from entrepot.insight.growth import run_rate
from entrepot.kernel.money import round_half_away

_MILLION = 1_000_000


def money(books: tuple[Book, ...]) -> Section:
    said = books[0].entered
    month, rate, part = (
        _reported(said.figure_of(name))
        for name in ("revenue of a month at the reported run-rate", "run-rate", "share of the largest customer")
    )
    return Section(
        title="Money of the service, in the month whose whole a report gives",
        rows=(
            row("month", books, lambda book: book.month, rests=""),
            row("revenue of the month", books, lambda book: millions(_whole(book), _base(book)),
                reported=f"{month}; or 20 M / {part}", rests="I r"),
            row("the same in the ledger: revenue of usage", books, lambda book: millions(_earned(book), _base(book)),
                rests="L r"),
            row("run-rate: the month × 12", books, lambda book: millions(_rate(book), _base(book), 0),
                reported=f"{rate}; or 960 M", rests="I r"),
            row("the same of whole millions, as reports round", books,
                lambda book: millions(12 * _rounded(book), _base(book), 0), reported="83 M × 12 = 996 M", rests="I r"),
            row("largest customer", books, _paying, reported="TikTok: almost 20 M", rests="I r"),
            row("its share of the service", books, lambda book: percent(_largest(book).share),
                reported=f"close to {part}", rests="I r"),
            row("the same of whole millions", books, _rounded_share, reported="20 / 83 = 24.1 %", rests="I r"),
            same("its share of the AI business", books, NONE, reported=f"or: close to {part} of it", rests="nothing"),
            same("its share of the cloud division", books, NONE, reported=f"or: close to {part} of it",
                 rests="nothing"),
            row("10 % list: of the service, as if it reported", books, _majors, rests="I r"),
            row("open invoices at the end", books, lambda book: millions(book.owed, _base(book)), rests="L"),
        ),
        notes=(
            "By the share: 20 M is almost 25 %, so the whole is 80 M. By the rate: 1 bn a year is 83.3 M a month; that "
            "March had it no report says.",
            "A share is of the service. Some reports say the AI business, others the cloud division: those wholes are "
            "not known here, so there is no share of them. 10 % list: ASC 280-10-50-42, IFRS 8.34.",
        ),
    )  # fmt: skip


def _base(book: Book) -> Base:
    return book.billed.base


def _whole(book: Book) -> int:
    return book.of(book.month).total()


def _earned(book: Book) -> int:
    return of_month(book.earned, book.month).total()


def _rate(book: Book) -> int:
    return run_rate(book.of(book.month), "month").amount


def _rounded(book: Book) -> int:
    """The month in whole millions of the currency, in units of the base."""
    step: int = _MILLION * 10**book.billed.base.scale
    return round_half_away(Fraction(_whole(book), step)) * step


def _largest(book: Book) -> Part:
    return concentration(book.of(book.month), "group").parts[0]


def _majors(book: Book) -> str:
    return ", ".join(f"{each.name} {percent(each.share)}" for each in ten_percent(book.of(book.month))) or NONE


def _paying(book: Book) -> str:
    largest = _largest(book)
    return f"{largest.name}: {millions(largest.amount, _base(book))}"


def _rounded_share(book: Book) -> str:
    rounded = _rounded(book)
    return percent(Fraction(_largest(book).amount, rounded)) if rounded else NONE


def _reported(figure: Figure | None) -> str:
    """As it was entered: `25 %`, `83 M USD`."""
    if figure is None:
        return NONE
    for name, size in (("bn", 1000 * _MILLION), ("M", _MILLION)):
        if figure.value >= size:
            return f"{(figure.value / size).normalize():f} {name} {figure.unit}"
    return f"{figure.value.normalize():f} {figure.unit}"
