"""The price books of a catalog file: versions, their rows, and the conditions under which a row holds."""

from collections.abc import Mapping
from decimal import Decimal

from entrepot.catalog.fields import LATER, Fields, Report, exact, good_name
from entrepot.catalog.lines import Path
from entrepot.catalog.prices import ALWAYS, PER_DEFAULT, PERCENT, BookVersion, PriceRow, Thing, When
from entrepot.kernel.buckets import BUCKETS
from entrepot.kernel.money import SCALES

_LATER = (
    "hours", "cost_plus_percent", "cost_plus", "steps", "product", "by", "includes", "tokens", "price", "request",
    "included",
)  # fmt: skip
_MATCHING = "percent_of_matching_standard"
#: What an answer calls the tier that everybody gets; a row without `tier` is its price.
_STANDARD = ("auto", "default", "standard")
_PERCENT_MOST = 1_000


class Books:
    """Reads the books of one file. `priced` is every model that a row names, with its place."""

    def __init__(self, report: Report) -> None:
        self.report = report
        self.priced: list[tuple[Path, str]] = []

    def versions(self, group: Fields | None) -> list[tuple[Path, BookVersion]]:
        """Every version in the order of the file, with its place."""
        found: list[tuple[Path, BookVersion]] = []
        for name in group.table if group else ():
            assert group is not None
            path = group.at(name)
            if isinstance(group.raw(name), Mapping):
                self.report.add(path, f"A book is a list of versions: write [[book.{name}]] with double brackets.")
            elif good_name(self.report, path, name):
                for fields in group.rows(name):
                    found.append((fields.path, self._version(name, fields)))
        return found

    def _version(self, book: str, fields: Fields) -> BookVersion:
        buys_from = fields.text("buys_from")
        currency = read_currency(self.report, fields)
        valid_from = fields.instant("valid_from", required=True)
        rows = self.rows(fields, required=True)
        fields.done("valid_until", "copies", "rounding")
        return BookVersion(
            book=book, buys_from=buys_from, currency=currency, valid_from=valid_from, rows=rows
        )  # fmt: skip

    def rows(self, fields: Fields, *, required: bool = False) -> tuple[PriceRow, ...]:
        """The `prices` of a version or of a contract."""
        seen: dict[Thing, Path] = {}
        return tuple(row for each in fields.rows("prices", required=required) for row in self._row(each, seen))

    def _row(self, fields: Fields, seen: dict[Thing, Path]) -> list[PriceRow]:
        model = fields.text("model", required=not fields.has("product"))
        if "*" in model:
            self.report.add(fields.at("model"), f"A pattern of models is {LATER}; name each model.")
            model = ""
        elif model:
            self.priced.append((fields.at("model"), model))
        later = any(name in fields.table for name in _LATER)
        when = self._when(fields)
        per = PER_DEFAULT
        if isinstance(fields.raw("per"), str):
            self.report.add(fields.at("per"), f'per = "{fields.table["per"]}" is {LATER}; per is a number of tokens.')
        elif fields.has("per"):
            per = fields.whole("per", PER_DEFAULT, least=1)
        prices: dict[str, Decimal] = {}
        for bucket in BUCKETS:
            price = self._price(fields, bucket)
            if price is not None:
                prices[bucket] = price
                if model and not later:
                    self._once(fields, bucket, Thing(model, bucket, when), seen)
        percent = self._percent(fields, when, prices)
        if percent is not None and model and not later:
            self._once(fields, _MATCHING, Thing(model, PERCENT, when), seen)
        fields.done(*_LATER)
        named = any(name in fields.table for name in (*BUCKETS, _MATCHING))
        if not named and not later:
            self.report.add(fields.path, f"This row names no price. Prices are {', '.join(BUCKETS)}.")
        if not model or later or (not prices and percent is None):
            return []
        return [PriceRow(model=model, prices=prices, per=per, when=when, percent=percent)]

    def _price(self, fields: Fields, bucket: str) -> Decimal | None:
        value = fields.raw(bucket)
        if not fields.has(bucket):
            return None
        price = exact(value)
        if isinstance(value, list):
            self.report.add(fields.at(bucket), f"Steps of a price are {LATER}; give one price.")
        elif price is None:
            self.report.add(fields.at(bucket), f"{bucket} is a price: a number of at least 0, at most 18 places.")
        return price

    def _once(self, fields: Fields, name: str, thing: Thing, seen: dict[Thing, Path]) -> None:
        before = seen.setdefault(thing, fields.at(name))
        if before != fields.at(name):
            line = self.report.places.line(before)
            self.report.add(
                fields.at(name),
                f"{thing} has two prices in this version: this one and that of line {line}.",
                "Remove one of them.",
            )

    def _when(self, fields: Fields) -> When:
        tier, zone = fields.text("tier"), fields.text("zone")
        over = fields.whole("request_over", least=1)
        if tier in _STANDARD:
            self.report.add(fields.at("tier"), f'"{tier}" is what every call gets: leave tier out of its price.')
        elif tier and not good_name(self.report, fields.at("tier"), tier):
            tier = ""
        if zone and not good_name(self.report, fields.at("zone"), zone):
            zone = ""
        return When(tier=tier, zone=zone, request_over=over) if tier or zone or over else ALWAYS

    def _percent(self, fields: Fields, when: When, prices: Mapping[str, Decimal]) -> Decimal | None:
        value = fields.raw(_MATCHING)
        if not fields.has(_MATCHING):
            return None
        percent = exact(value)
        if percent is None or percent > _PERCENT_MOST:
            self.report.add(fields.at(_MATCHING), f"{_MATCHING} is a number from 0 to {_PERCENT_MOST:,}.")
            return None
        if not when.tier:
            why = "A percentage is of the price without this row's tier: name the tier, for example batch."
            self.report.add(fields.at(_MATCHING), why)
        if prices:
            self.report.add(fields.at(_MATCHING), "A row has prices or a percentage of the matching one, not both.")
        return percent


def read_currency(report: Report, fields: Fields) -> str:
    """The currency of a book or of the operator's own."""
    currency = fields.text("currency", required=True)
    if currency and currency not in SCALES:
        report.add(fields.at("currency"), f"No account is kept in it. Known are {', '.join(sorted(SCALES))}.")
    return currency
