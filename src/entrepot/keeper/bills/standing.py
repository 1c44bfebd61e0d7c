"""What credit notes have left of the lines that bill usage."""

from collections.abc import Collection, Mapping
from decimal import Decimal

import msgspec
from msgspec.structs import replace
from sqlalchemy import Connection, select

from entrepot.billing import tables
from entrepot.billing.crediting import CreditedLine, standing
from entrepot.billing.invoice import Invoice, Line
from entrepot.billing.tables import BilledLine
from entrepot.rating.covered import plain
from entrepot.rating.line import RatedLine

#: A credit note on an invoice, and what its lines are about.
Note = tuple[Invoice, Mapping[str, CreditedLine]]


def notes_on(connection: Connection, customer: str, number: str) -> list[Note]:
    """The credit notes on an invoice in the order of their issue."""
    return [
        (tables.document_of(connection, each), tables.credited_lines(connection, each))
        for each in _numbers(connection, customer).get(number, ())
    ]


def as_left(
    connection: Connection, customer: str, rows: Collection[BilledLine], only: Collection[str] | None = None
) -> tuple[list[RatedLine], set[str]]:
    """(the rated line of each row as the credit notes on its invoice have left it, the numbers of those notes that are
    about one of these rows). `only`: of these notes, whatever came since."""
    lines: dict[str, dict[str, Line]] = {}
    about: set[str] = set()
    for number, names in _numbers(connection, customer).items():
        mine = {row.line for row in rows if row.number == number}
        notes = []
        for each in names if mine else ():
            said = tables.credited_lines(connection, each)
            if (only is None or each in only) and any(line.credits in mine for line in said.values()):
                about.add(each)
                notes.append((tables.document_of(connection, each), said))
        if notes:
            lines[number] = standing(tables.document_of(connection, number), notes)
    found = []
    for row in rows:
        rated = msgspec.json.decode(row.rated, type=RatedLine)
        line = lines.get(row.number, {}).get(row.line)
        found.append(rated if line is None else _at(rated, line.quantity, plain(line.price)))
    return found, about


def _numbers(connection: Connection, customer: str) -> dict[str, list[str]]:
    """Number of an invoice → those of the credit notes on it, in the order of their issue. By the customer, which has
    an index: of every document it would be N² for a month."""
    rows = tables.invoices.c
    query = select(rows.credits, rows.number).where(rows.customer == customer, rows.purpose == "credit note")
    found: dict[str, list[str]] = {}
    for credits, note in connection.execute(query.order_by(rows.seq)):
        found.setdefault(credits, []).append(note)
    return found


def _at(rated: RatedLine, quantity: Decimal, price: Decimal) -> RatedLine:
    """The line with what it stands at; its key says its price, so that it is laid beside the right line of that."""
    if price == rated.price:
        return replace(rated, quantity=quantity)
    was, now = (f" at {each:f}/{rated.per}" for each in (rated.price, price))
    key, of = (each.replace(was, now) for each in (rated.key, rated.of))
    return replace(rated, quantity=quantity, price=price, key=key, of=of)
