"""The price books of a catalog file: versions and whose they are."""

from collections.abc import Mapping

from entrepot.catalog.fields import Fields, Report, good_name
from entrepot.catalog.lines import Path
from entrepot.catalog.price_rows import PriceRows
from entrepot.catalog.prices import BookVersion
from entrepot.kernel.money import SCALES


class Books:
    """Reads the books of one file."""

    def __init__(self, report: Report, rows: PriceRows) -> None:
        self.report, self.rows = report, rows

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
        rows = self.rows.rows(fields, required=True, of_vendor=bool(buys_from))
        if fields.has("valid_until"):
            fields.raw("valid_until")
            why = "A book has no gap: a version holds until a later valid_from names the same things."
            self.report.add(fields.at("valid_until"), why, "Remove valid_until, and write the next version below.")
        fields.done("copies", "rounding")
        return BookVersion(book=book, buys_from=buys_from, currency=currency, valid_from=valid_from, rows=rows)


def read_currency(report: Report, fields: Fields) -> str:
    """The currency of a book or of the operator's own."""
    currency = fields.text("currency", required=True)
    if currency and currency not in SCALES:
        report.add(fields.at("currency"), f"No account is kept in it. Known are {', '.join(sorted(SCALES))}.")
    return currency
