"""How much hangs on how few, and what is left when the largest go."""

from collections.abc import Callable
from fractions import Fraction
from functools import partial

from casebook.book import Book
from casebook.story import FILES
from casebook.words import NONE, Row, Section, decimal, millions, percent, points, rests_on_invoices, row
from entrepot.insight.concentration import RATIOS, Concentration, concentration
from entrepot.insight.facts import Dimension
from entrepot.insight.growth import replacement
from entrepot.insight.scenario import Outcome, run
from entrepot.insight.scenario_file import read_scenario

SCENARIOS = ("tiktok-leaves", "tiktok-own-model", "tiktok-banned", "openai-sells-direct", "minimum-fee-lowered")


def risk(books: tuple[Book, ...]) -> Section:
    rests = rests_on_invoices(books)

    def of(what: str, value: Callable[[Concentration], str], by: Dimension = "group", said: str = NONE) -> Row:
        return row(what, books, lambda book: value(_cut(book, by)), reported=said, rests=rests)

    return Section(
        title="Concentration of the service's revenue in the month, control groups as one customer",
        rows=(
            *(of(f"share of the {n} largest" if n > 1 else "share of the largest", partial(_ratio, n)) for n in RATIOS),
            of("HHI, in points", lambda found: points(found.hhi)),
            row("the same, whatever the others pay", books, _bounds, rests="I r"),
            of("above 1,800 (DOJ/FTC 2023, made for markets)", lambda found: "yes" if _highly(found) else "no"),
            of("effective number of customers", lambda found: decimal(found.effective, 1)),
            of("Gini", lambda found: decimal(found.gini, 2)),
            of("largest industry", _first, "industry"),
            of("largest country", _first, "country"),
            of("largest model", _first, "model"),
            of("largest vendor", _first, "vendor", "all are the vendor's"),
            of("own models", lambda found: percent(_part(found, "own")), "own", "none"),
        ),
        notes=(
            "Reported of the other customers is who, and of three that they pay millions; their amounts are assumed. "
            "Whatever they pay, nobody pays more than the largest: that bounds the HHI.",
        ),
    )


def leaving(books: tuple[Book, ...]) -> Section:
    """The scenarios of the case on each loading's month; of the first, everything."""
    first, *others = [_Found(name, books) for name in SCENARIOS]
    return Section(
        title="What if: a month after, and the months ahead together",
        rows=(*first.whole(), *(each for other in others for each in other.short())),
        notes=(
            f"{first.name} rests on:",
            *(f"- {each.name}: {each.value} ({each.standing}: {each.source})" for each in first.assumptions),
            "Each of the others says what it rests on: entrepot scenario run FILE.",
        ),
    )


def outcome(book: Book, name: str) -> Outcome:
    """A scenario of the case on a loading's month."""
    path = FILES / "scenarios" / f"{name}.toml"
    scenario, given = read_scenario(path.read_text(encoding="utf-8"), path.name)
    return run(book.of(book.month), scenario, given)


class _Found:
    """One scenario's outcome in every book, and its rows."""

    def __init__(self, name: str, books: tuple[Book, ...]) -> None:
        self._books = books
        self._of = {book.name: outcome(book, name) for book in books}
        first = self._of[books[0].name]
        self.name, self.assumptions = name, first.assumptions

    def whole(self) -> list[Row]:
        return [
            self._row(f"{self.name}: revenue, now", lambda each: _amount(each.now.revenue, each)),
            *self.short()[:1],
            self._row("  the rest must grow by", _regrow),
            *self.short()[1:2],
            self._row("  gross margin, now", lambda each: _amount(each.now.margin, each)),
            *self.short()[2:],
            self._row("  idle commitments, months ahead", lambda each: _amount(each.idle_commitments, each)),
            self._row("  idle capacity, months ahead", lambda each: _amount(each.idle_capacity, each)),
            self._row("  HHI then, in points", _then),
        ]

    def short(self) -> list[Row]:
        return [
            self._row(f"{self.name}: revenue, then", lambda each: _amount(each.then.revenue, each)),
            self._row("  months of growth to recover", _months),
            self._row("  gross margin, then", lambda each: _amount(each.then.margin, each)),
        ]

    def _row(self, what: str, value: Callable[[Outcome], str]) -> Row:
        return row(what, self._books, lambda book: value(self._of[book.name]), rests="I, c s a")


def _amount(units: int, each: Outcome) -> str:
    return millions(units, each.before.base)


def _cut(book: Book, by: Dimension) -> Concentration:
    return concentration(book.of(book.month), by)


def _bounds(book: Book) -> str:
    """Between everybody else being very many and everybody else being as large as the largest."""
    largest = _cut(book, "group").parts[0].share
    equals, rest = divmod(1 - largest, largest)
    most = (1 + int(equals)) * largest**2 + Fraction(rest) ** 2
    return f"{points(largest**2)} to {points(most)}"


def _ratio(n: int, found: Concentration) -> str:
    return percent(found.cr[n])


def _highly(found: Concentration) -> bool:
    return next(each.passed for each in found.thresholds if each.value == Fraction(18, 100))


def _first(found: Concentration) -> str:
    return f"{found.parts[0].name} {percent(found.parts[0].share)}"


def _part(found: Concentration, name: str) -> Fraction:
    return next((each.share for each in found.parts if each.name == name), Fraction(0))


def _then(each: Outcome) -> str:
    _, after = each.concentration
    return NONE if after is None else points(after.hhi)


def _regrow(each: Outcome) -> str:
    lost = each.now.revenue - each.then.revenue
    return percent(replacement(each.now.revenue, lost, 1).total) if 0 < lost < each.now.revenue else NONE


def _months(each: Outcome) -> str:
    return NONE if each.months_to_recover is None else str(each.months_to_recover)
