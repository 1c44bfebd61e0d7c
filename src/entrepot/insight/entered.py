"""The file of entered figures: TOML of format 1, a table per figure, every mistake with its line. Pure.

Each figure says whether it is `reported` or `assumed`, and its source; what the kinds are is said in `entries`.
"""

import re
import tomllib
from datetime import date, datetime
from decimal import Decimal
from fractions import Fraction
from typing import cast, get_args

from entrepot.catalog.fields import Fields, Report, numbers_out_of_range
from entrepot.catalog.issues import Issue, show
from entrepot.catalog.lines import Places
from entrepot.insight.currency import ExchangeRate
from entrepot.insight.entries import (
    Agent,
    Direction,
    Entered,
    Expectation,
    Expecter,
    Figure,
    Loaded,
    Per,
    StatedSale,
    Stream,
    Substitute,
    Terms,
)
from entrepot.insight.facts import InsightError, Standing
from entrepot.kernel.money import MoneyError, scale_of, to_scaled

LARGEST = 1024 * 1024
_MONTH = re.compile(r"20\d\d-(0[1-9]|1[0-2])", re.ASCII)
_PERIOD = re.compile(r"20\d\d(-(0[1-9]|1[0-2])|-Q[1-4])?", re.ASCII)
_STANDINGS = ("reported", "assumed")


class EnteredBroken(InsightError):
    """A file of entered figures has mistakes; nothing was changed."""

    code = "entered_broken"


def read_entered(text: str, name: str) -> Entered:
    """Raises EnteredBroken with every mistake and its line."""
    text = text.removeprefix("\ufeff").replace("\r\n", "\n")
    if len(text) > LARGEST:
        raise EnteredBroken(show(name, [Issue(line=1, text="", why=("A file of figures has at most 1 MiB.",))]))
    try:
        data = tomllib.loads(text, parse_float=Decimal)
    except (ValueError, RecursionError) as error:
        raise EnteredBroken(f"{name} is not TOML: {error}; nothing was changed") from None
    report = Report(Places(text))
    for path in numbers_out_of_range(data):
        report.add(path, "A number here is finite and has at most 60 digits.")
    entered = _Reader(Fields(report, (), data)).entered()
    if report.issues:
        raise EnteredBroken(show(name, report.issues))
    return entered


class _Reader:
    def __init__(self, root: Fields) -> None:
        self._root = root
        self._report = root.report

    def entered(self) -> Entered:
        if self._root.whole("format", required=True) not in (0, 1):
            self._report.add(("format",), "This version reads format 1.")
        kinds = {
            "exchange": self._exchange, "expectation": self._expectation, "sale": self._sale, "stream": self._stream,
            "terms": self._terms, "substitute": self._substitute, "agent": self._agent, "figure": self._figure,
            "loaded": self._loaded,
        }  # fmt: skip
        found = {}
        for name, read in kinds.items():
            rows = []
            for fields in self._root.rows(name):
                entry = read(fields)
                fields.done()
                rows.append(entry)
            found[name] = tuple(each for each in rows if each is not None)
        self._root.done()
        return Entered(**found)  # type: ignore[arg-type]

    def _exchange(self, fields: Fields) -> ExchangeRate | None:
        of, to = self._currency(fields, "from"), self._currency(fields, "to")
        month, rate = self._month(fields, required=False), self._number(fields, "rate", above=True)
        if of and of == to:
            self._report.add(fields.at("to"), f"A rate is between two currencies; both are {of}.")
        standing, source = self._said(fields, "reported")
        return None if rate is None else ExchangeRate(
            currency=of, into=to, month=month, rate=Fraction(rate), standing=standing, source=source
        )  # fmt: skip

    def _expectation(self, fields: Fields) -> Expectation | None:
        of, period = fields.text("of", required=True), fields.text("period", required=True)
        if period and not _PERIOD.fullmatch(period):
            self._report.add(fields.at("period"), 'period is "2024-06", "2024-Q2" or "2024".')
        by = fields.choice("by", "consensus", get_args(Expecter))
        least = most = None
        if fields.has("value") == (fields.has("least") or fields.has("most")):
            self._report.add(fields.path, "What was expected is a value, or a range: least and most.")
        elif fields.has("value"):
            least = most = self._number(fields, "value")
        else:
            least, most = self._number(fields, "least"), self._number(fields, "most")
        if least is not None and most is not None and most < least:
            self._report.add(fields.at("most"), "most is not less than least.")
        for each in ("value", "least", "most"):
            fields.raw(each)
        actual = self._number(fields, "actual") if fields.has("actual") else None
        unit = fields.text("unit")
        standing, source = self._said(fields, "reported")
        return None if least is None or most is None else Expectation(
            of=of, period=period, by=cast("Expecter", by), least=least, most=most, unit=unit, actual=actual,
            standing=standing, source=source,
        )  # fmt: skip

    def _sale(self, fields: Fields) -> StatedSale | None:
        month, customer = self._month(fields), fields.text("customer", required=True)
        currency = self._currency(fields, "currency")
        amount = self._amount(fields, "amount", currency)
        cost = self._amount(fields, "cost", currency) if fields.has("cost") else None
        texts = {name: fields.text(name) for name in
                 ("name", "group", "industry", "country", "product", "model", "vendor", "region")}  # fmt: skip
        own, quantity = fields.flag("own", False), fields.whole("quantity")
        standing, source = self._said(fields)
        return None if amount is None else StatedSale(
            month=month, customer=customer, amount=amount, currency=currency, cost=cost, own=own, quantity=quantity,
            standing=standing, source=source, **texts,
        )  # fmt: skip

    def _stream(self, fields: Fields) -> Stream | None:
        counterparty, stream = fields.text("counterparty", required=True), fields.text("stream", required=True)
        direction = fields.choice("direction", "in", get_args(Direction))
        currency, month = self._currency(fields, "currency"), self._month(fields, required=False)
        amount = self._amount(fields, "amount", currency)
        standing, source = self._said(fields)
        return None if amount is None else Stream(
            counterparty=counterparty, stream=stream, direction=cast("Direction", direction), amount=amount,
            currency=currency, month=month, standing=standing, source=source,
        )  # fmt: skip

    def _terms(self, fields: Fields) -> Terms:
        vendor = fields.text("vendor", required=True)
        exclusive, licence = self._day(fields, "exclusive_until"), self._day(fields, "licence_until")
        currency, per, committed = "", "year", None
        end = self._day(fields, "committed_until")
        if fields.has("committed"):
            currency = self._currency(fields, "currency")
            committed = self._amount(fields, "committed", currency)
            per = fields.choice("committed_per", "", get_args(Per))
            if not fields.has("committed_per"):
                self._report.add(fields.path, 'committed_per is missing: "month" or "year".')
            if committed is not None and committed < 0:
                self._report.add(fields.at("committed"), "committed is what is to be bought; it is not below 0.")
        elif name := next((each for each in ("committed_per", "committed_until", "currency") if fields.has(each)), ""):
            self._report.add(fields.at(name), f"{name} says more of committed, and committed is missing.")
            fields.raw("committed_per")
            fields.raw("currency")
        standing, source = self._said(fields)
        return Terms(
            vendor=vendor, exclusive_until=exclusive, licence_until=licence, committed=committed,
            committed_per=cast("Per", per), committed_until=end, currency=currency, standing=standing, source=source,
        )  # fmt: skip

    def _substitute(self, fields: Fields) -> Substitute:
        model = fields.text("model", required=True)
        by = tuple(each for _, each in fields.texts("by", required=True))
        standing, source = self._said(fields)
        return Substitute(model=model, by=by, standing=standing, source=source)

    def _agent(self, fields: Fields) -> Agent | None:
        customer, vendor = fields.text("customer"), fields.text("vendor")
        fee = self._number(fields, "fee_percent")
        if fee is not None and not 0 <= fee <= 100:
            self._report.add(fields.at("fee_percent"), "fee_percent is a number from 0 to 100.")
        standing, source = self._said(fields)
        return None if fee is None else Agent(
            customer=customer, vendor=vendor, fee_percent=fee, standing=standing, source=source
        )  # fmt: skip

    def _figure(self, fields: Fields) -> Figure | None:
        name, value = fields.text("name", required=True), self._number(fields, "value")
        unit, period = fields.text("unit"), fields.text("period")
        standing, source = self._said(fields)
        return None if value is None else Figure(
            name=name, value=value, unit=unit, period=period, standing=standing, source=source
        )  # fmt: skip

    def _loaded(self, fields: Fields) -> Loaded:
        customer, whole = fields.text("customer"), fields.text("whole")
        month = self._month(fields, required=False)
        standing, source = self._said(fields)
        return Loaded(customer=customer, month=month, whole=whole, standing=standing, source=source)

    def _said(self, fields: Fields, default: str = "") -> tuple[Standing, str]:
        """Standing and source, of which no entry may lack either."""
        if not default and not fields.has("standing"):
            self._report.add(fields.path, 'standing is missing: "reported" (by whom, in source) or "assumed" (why).')
        standing = fields.choice("standing", default or "assumed", _STANDINGS)
        return cast("Standing", standing), fields.text("source", required=True)

    def _currency(self, fields: Fields, name: str) -> str:
        currency = fields.text(name, required=True)
        if not currency:
            return ""
        try:
            scale_of(currency)
        except MoneyError as error:
            self._report.add(fields.at(name), f"{error.message[:1].upper()}{error.message[1:]}.")
            return ""
        return currency

    def _month(self, fields: Fields, *, required: bool = True) -> str:
        month = fields.text("month", required=required)
        if month and not _MONTH.fullmatch(month):
            self._report.add(fields.at("month"), 'month is a month such as "2024-06".')
        return month

    def _number(self, fields: Fields, name: str, *, above: bool = False) -> Decimal | None:
        value = fields.raw(name)
        if list(numbers_out_of_range(value)):
            return None  # told already, and not to be worked out
        if type(value) is int or isinstance(value, Decimal):
            number = Decimal(value)
            if abs(number) < 10**18 and (number > 0 or not above):
                return number
        what = "a number above 0" if above else "a number"
        self._report.add(fields.at(name) if fields.has(name) else fields.path, f"{name} is {what}.")
        return None

    def _amount(self, fields: Fields, name: str, currency: str) -> int | None:
        number = self._number(fields, name)
        if number is None or not currency:
            return None
        try:
            return to_scaled(number, currency)
        except MoneyError as error:
            self._report.add(fields.at(name), f"{error.message[:1].upper()}{error.message[1:]}.")
            return None

    def _day(self, fields: Fields, name: str) -> date | None:
        value = fields.raw(name)
        if value is None or (isinstance(value, date) and not isinstance(value, datetime)):
            return value
        self._report.add(fields.at(name), f"{name} is a day: {name} = 2030-12-31.")
        return None
