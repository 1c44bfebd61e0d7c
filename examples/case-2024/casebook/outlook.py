"""Growth against what was expected, and what changed within the books."""

from fractions import Fraction
from functools import partial

from casebook.book import Book
from casebook.words import (
    NONE,
    Row,
    Section,
    millions,
    percent,
    row,
    same,
    signed,
)
from entrepot.insight.change import change
from entrepot.insight.entries import Expectation
from entrepot.insight.fiscal import Period, quarter
from entrepot.insight.growth import against_range, retention, surprise


def growth(books: tuple[Book, ...]) -> Section:
    """Cloud growth is no figure of the service: it is entered, with its expectations."""
    said = books[0].entered.expectation
    return Section(
        title="Growth of the cloud division against what was expected",
        rows=tuple(each for one in said for each in _expected(books, one)),
        notes=("A surprise has two measures: points (29 − 30.6), and parts of what was expected (−1.6 / 30.6).",),
    )


def within(books: tuple[Book, ...]) -> Section:
    """From the first month of the books to the last."""
    first, last = books[0].billed.months()[0], books[0].billed.months()[-1]
    kept = {book.name: retention(book.of(first), book.of(last)) for book in books}
    moved = {book.name: change(book.of(first), book.of(last), "customer").whole for book in books}
    rests = "I a"

    def part(name: str, book: Book) -> str:
        amount: int = getattr(moved[book.name], name)
        return millions(amount, book.billed.base)

    return Section(
        title=f"Within the books: {_both(first, books[0])} to {_both(last, books[0])}",
        rows=(
            row("net revenue retention", books, lambda book: percent(kept[book.name].nrr), rests=rests),
            row("gross revenue retention", books, lambda book: percent(kept[book.name].grr), rests=rests),
            row("change of a month's revenue", books, partial(part, "change"), rests=rests),
            *(
                row(f"of it {what}", books, partial(part, name), rests=rests)
                for what, name in (("volume (tokens)", "volume"), ("price", "price"), ("mix of models", "mix"))
            ),
        ),
        notes=(
            "The whole is held from month to month, since no report says how it moved; traffic moves to the model of "
            "13 May at half the price, so tokens rise and the mix takes back what the volume brings.",
        ),
    )


def _expected(books: tuple[Book, ...], one: Expectation) -> list[Row]:
    period = _both(_last_month(one.period), books[0], whole=True)
    rests = f"E {one.standing[0]}"
    what = f"{one.of}, {period}, {one.by}"
    expected = f"{one.least.normalize():f}" + ("" if one.least == one.most else f" to {one.most.normalize():f}")
    rows = [same(what, books, f"{expected} {one.unit}", reported=f"{expected} {one.unit}", rests=rests)]
    if one.actual is None:
        return rows
    came = Fraction(one.actual)
    if one.least == one.most:
        found = surprise(came, Fraction(one.least))
        relative = NONE if found.relative is None else f"{signed(found.relative * 100)} %"
        rows += [
            same("  what came", books, f"{one.actual.normalize():f} {one.unit}", reported="29 %", rests=rests),
            same("  surprise, in points", books, signed(found.points), reported="−1.6 points", rests=rests),
            same("  surprise, of what was expected", books, relative, reported="−5.2 %", rests=rests),
        ]
    else:
        beside = against_range(came, Fraction(one.least), Fraction(one.most))
        span = f"{signed(beside.from_low, 0)} to {signed(beside.from_high, 0)} points"
        rows.append(same("  what came against it", books, span, reported="1 to 2 points below", rests=rests))
    return rows


def _both(month: str, book: Book, *, whole: bool = False) -> str:
    """`2024-03 (FQ3 2024)`; of a whole quarter `Q2 2024 = FQ4 2024`."""
    period: Period = quarter(month, book.year_starts)
    return f"{period.calendar} = {period.fiscal}" if whole else f"{month} ({period.fiscal})"


def _last_month(period: str) -> str:
    """`2024-06` of `2024-Q2`."""
    year, _, part = period.partition("-Q")
    return f"{year}-{int(part) * 3:02d}" if part else period
