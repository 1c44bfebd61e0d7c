"""Where the service stands with its vendor and its customers, and what the machines have to earn."""

from collections.abc import Callable
from datetime import date
from fractions import Fraction

from casebook.book import Book
from casebook.words import NONE, Row, Section, decimal, millions, percent, row, same
from entrepot.insight.dependence import Dependence, VendorTerms, dependence
from entrepot.insight.exposure import Flow, Position, positions
from entrepot.insight.facts import InsightError
from entrepot.insight.margin import Margin, margins
from entrepot.insight.payback import even, needed
from entrepot.kernel.money import round_half_away

_YEAR = 12
_VENDOR = "openai"
#: The day of the reports: terms are counted from here.
REPORTED_ON = date(2024, 7, 31)


def supply(books: tuple[Book, ...]) -> Section:
    """The vendor, both sides of its account, and payback."""
    found = {book.name: _dependence(book) for book in books}
    stands = {book.name: _positions(book) for book in books}
    rests = "I, c a"

    def flow(what: str, party: Callable[[Book], str], value: Callable[[Position], int], said: str, rests: str) -> Row:
        return row(what, books, lambda book: millions(
            value(stands[book.name][party(book)]), book.billed.base, 0
        ), reported=said, rests=rests)  # fmt: skip

    assumed = "I, c E a"
    return Section(
        title="Vendor, net positions a year, payback",
        rows=(
            row("revenue of the service on the vendor's models", books,
                lambda book: percent(found[book.name].vendors[0].share), reported="all of it", rests="I r"),
            row("of its tokens with an approved substitute", books,
                lambda book: _or_none(found[book.name].vendors[0].switchable), reported="no other vendor", rests="I r"),
            row("of its revenue with an approved substitute", books,
                lambda book: _or_none(found[book.name].vendors[0].switchable_revenue), rests="I r"),
            row("gross margin of the month", books, lambda book: _or_none(_margin(book).rate), rests=rests),
            row("margin points lost per 1 % of its price", books,
                lambda book: decimal(found[book.name].vendors[0].price_exposure, 2), rests=rests),
            same(f"exclusivity left on {REPORTED_ON}", books, _exclusive(found[books[0].name]), reported="no date",
                 rests="E a"),
            flow("OpenAI pays us: share, rent", lambda _book: _VENDOR, lambda each: each.received, "billions", assumed),
            flow("we pay for OpenAI: resale, servers", lambda _book: _VENDOR, lambda each: each.paid, NONE, assumed),
            flow("net position with OpenAI", lambda _book: _VENDOR, lambda each: each.net, NONE, assumed),
            flow("net position with the largest customer", _largest, lambda each: each.net, "almost 240 M",
                 "I r"),
            same("seats of the writing assistant", books, NONE, reported="doubled in a quarter", rests="nothing"),
            *_entered(books, "direct sales of OpenAI", "the vendor's own sales a year", "about 1 bn"),
            *_entered(books, "investment in OpenAI", "invested in the vendor", "13 bn, 49 % held"),
            *_payback(books),
        ),
        notes=(
            "Costs of resold models, the share, the rent and what the rented servers cost are assumed. Seats are "
            "reported without an amount, so they are no flow here.",
            "Payback asks what this service alone would need: the capital was spent on all of cloud and AI.",
        ),
    )  # fmt: skip


def _dependence(book: Book) -> Dependence:
    substitutes = {each.model: each.by for each in book.entered.substitute}
    terms = tuple(
        VendorTerms(
            vendor=each.vendor, exclusive_until=each.exclusive_until, licence_until=each.licence_until,
            standing=each.standing, source=each.source,
        )
        for each in book.entered.terms
    )  # fmt: skip
    return dependence(book.of(book.month), substitutes, terms, REPORTED_ON)


def _margin(book: Book) -> Margin:
    return margins(book.of(book.month), "model").whole


def _largest(book: Book) -> str:
    found = book.of(book.month).by("group")
    return max(found, key=lambda name: found[name])


def _positions(book: Book) -> dict[str, Position]:
    """By counterparty, of a year: twelve times the month of the books, and the streams that were entered."""
    base, period = book.billed.base, "a year"

    def of(party: str, stream: str, amount: int, source: str, *, out: bool = False) -> Flow:
        return Flow(
            counterparty=party, stream=stream, direction="out" if out else "in", amount=amount, source=source,
            standing="assumed" if out else "books", currency=base.currency, scale=base.scale, period=period,
        )  # fmt: skip

    month = book.of(book.month)
    flows = [of(name, "resale", _YEAR * amount, "invoices") for name, amount in month.by("group").items()]
    flows.append(of(_VENDOR, "cost of goods", _YEAR * _margin(book).cost, "cost book, assumed", out=True))
    for each in book.entered.stream:
        if each.month or each.currency != base.currency:
            raise InsightError(f"{each.counterparty}, {each.stream}: streams of the case are of a year, in USD")
        flows.append(Flow(
            counterparty=each.counterparty, stream=each.stream, direction=each.direction, amount=each.amount,
            standing=each.standing, source=each.source, currency=each.currency, scale=base.scale, period=period,
        ))  # fmt: skip
    return {each.counterparty: each for each in positions(flows)}


def _exclusive(found: Dependence) -> str:
    for each in found.vendors[0].terms:
        if each.exclusive is not None:
            months, days = each.exclusive
            return f"{months} months" + (f" {days} days" if days else "")
    return NONE


def _payback(books: tuple[Book, ...]) -> list[Row]:
    """19 bn against what the service contributes: undiscounted years, and the contribution that 15 years ask for."""
    said = books[0].entered
    capital, years, rate, rise = (
        said.figure_of(name) for name in (
            "capital expenditure", "years to earn capital expenditure back", "discount rate",
            "growth of capital expenditure",
        )
    )  # fmt: skip
    if capital is None or years is None or rate is None or rise is None:
        return []
    base = books[0].billed.base
    outlay = int(capital.value * 10**base.scale)
    before = round_half_away(Fraction(outlay) / (1 + Fraction(rise.value) / 100))
    term, yearly = int(years.value), Fraction(rate.value) / 100

    def alone(book: Book) -> str:
        margin = _margin(book).margin
        return f"{decimal(even(outlay, _YEAR * margin), 1)} years" if margin > 0 else NONE

    return [
        same("capital expenditure of the quarter", books, millions(outlay, base, 0), reported="19 bn USD",
             rests="E r"),
        same("the same quarter a year before", books, millions(before, base, 0), reported="up 77.6 %",
             rests="E r"),
        row("paid back by this service's margin in", books, alone, reported="15 years or more",
            rests="I, c a"),
        same(f"margin a year that pays it back in {term}", books, millions(needed(outlay, term), base, 0),
             rests="E r"),
        same(f"the same, discounted at {rate.value.normalize():f} %", books,
             millions(needed(outlay, term, yearly), base, 0), rests="E r, rate a"),
    ]  # fmt: skip


def _entered(books: tuple[Book, ...], name: str, what: str, reported: str) -> list[Row]:
    """An amount as it was entered."""
    base, figure = books[0].billed.base, books[0].entered.figure_of(name)
    if figure is None:
        return []
    amount = millions(int(figure.value * 10**base.scale), base, 0)
    return [same(what, books, amount, reported=reported, rests=f"E {figure.standing[0]}")]


def _or_none(value: Fraction | None) -> str:
    return NONE if value is None else percent(value)
