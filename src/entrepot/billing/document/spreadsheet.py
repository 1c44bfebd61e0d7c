"""An invoice as CSV (RFC 4180, UTF-8): one row per line, the sums below in the same columns.

For a spreadsheet: a cell that one would take for a formula starts with an apostrophe.
"""

import csv
import io

from entrepot.billing.document.canonical import plain_decimal
from entrepot.billing.invoice import Invoice
from entrepot.kernel.money import show_minor

COLUMNS = (
    "kind", "number", "line", "name", "about", "starts_on", "until", "quantity", "unit", "price", "per", "tax_category",
    "tax_percent", "amount", "currency",
)  # fmt: skip
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def to_csv(invoice: Invoice) -> bytes:
    """Rows `line`, `allowance`, `tax`, then `total` rows named as EN 16931 names the sums."""
    facts, totals = invoice.facts, invoice.totals
    out = io.StringIO(newline="")
    rows = csv.DictWriter(out, COLUMNS, lineterminator="\r\n")
    rows.writeheader()

    def row(kind: str, amount_minor: int, **cells: str) -> None:
        safe = {name: _safe(text) for name, text in cells.items()}
        amount = show_minor(amount_minor, facts.currency)
        rows.writerow({"kind": kind, "number": facts.number, "amount": amount, "currency": facts.currency, **safe})

    for line in invoice.lines:
        row(
            "line", line.net_minor, line=line.id, name=line.name, about=line.about, starts_on=str(line.starts_on),
            until=str(line.until), quantity=plain_decimal(line.quantity), unit=line.unit,
            price=plain_decimal(line.price), per=str(line.per), tax_category=line.tax.category,
            tax_percent=plain_decimal(line.tax.percent),
        )  # fmt: skip
    for each in invoice.allowances:
        row("allowance", -each.amount_minor, name=each.reason, tax_category=each.tax.category)
    for tax in invoice.taxes:
        row(
            "tax", tax.amount_minor, name=tax.tax.reason, quantity=show_minor(tax.base_minor, facts.currency),
            tax_category=tax.tax.category, tax_percent=plain_decimal(tax.tax.percent),
        )  # fmt: skip
    sums = {
        "without tax": totals.without_tax_minor, "tax": totals.tax_minor, "with tax": totals.with_tax_minor,
        "paid": -totals.paid_minor, "payable": totals.payable_minor,
    }  # fmt: skip
    for name, amount in sums.items():
        row("total", amount, name=name)
    return out.getvalue().encode()


def _safe(text: str) -> str:
    """The text, with an apostrophe before what a spreadsheet would calculate; numbers stay numbers."""
    number = text.removeprefix("-").replace(".", "", 1).isdigit()
    return f"'{text}" if text.startswith(_FORMULA) and not number else text
