"""What issued documents bill of a service, by the month of the service: without tax, credit notes taken off.

A line counts in the month that its usage belongs to, a correction in that of what it corrects, a line of a credit note
in that of the line it credits. Credit that is paid ahead bills no service: its usage is billed when it burns. Before
promotional credit, which is a discount of the whole document. Takes a connection and opens none.
"""

from collections.abc import Mapping
from typing import NamedTuple

import msgspec
from sqlalchemy import Connection, select

from entrepot.billing.crediting import CreditedLine
from entrepot.billing.tables import invoices, lines

#: What a line of usage is a line of; minimums and percentages have products of their own.
TOKENS = "tokens"


class BilledThing(NamedTuple):
    """What lines are added up by. `number` is the document, `country` that of the buyer as it stands there; `project`
    and `zone` only where the price names one."""

    number: str
    customer: str
    country: str
    month: str
    currency: str
    product: str
    model: str
    project: str
    zone: str


class Billed(NamedTuple):
    """Minor units by thing; document → SHA-256 of each that has a part in it."""

    things: dict[BilledThing, int]
    documents: dict[str, str]


class _When(msgspec.Struct, frozen=True):
    zone: str = ""


class _Rated(msgspec.Struct, frozen=True):
    """What is needed of a rated line."""

    model: str = ""
    product: str = ""
    project: str = ""
    when: _When = _When()


class _Address(msgspec.Struct, frozen=True):
    country: str = ""


class _Party(msgspec.Struct, frozen=True):
    address: _Address = _Address()


class _Buyer(msgspec.Struct, frozen=True):
    party: _Party = _Party()


class _Sealed(msgspec.Struct, frozen=True):
    """What is needed of the inputs of an invoice."""

    buyer: _Buyer = _Buyer()


#: Rows read at a time: a year of documents does not lie in memory at once.
_IN_TURN = {"yield_per": 2000}
_rated = msgspec.json.Decoder(_Rated).decode
_sealed = msgspec.json.Decoder(_Sealed).decode
_credited = msgspec.json.Decoder(CreditedLine).decode


def billed_things(conn: Connection, first: str, until: str) -> Billed:
    """Of the months ["2026-09", "2026-10")."""
    countries, hashes = _invoices(conn)
    things: dict[BilledThing, int] = {}
    of_line: dict[tuple[str, str], BilledThing] = {}
    query = (
        select(lines.c.number, lines.c.line, lines.c.month, lines.c.net, lines.c.rated, invoices.c.customer,
               invoices.c.currency)
        .join(invoices, invoices.c.number == lines.c.number)
        .where(invoices.c.purpose == "usage", lines.c.month >= first, lines.c.month < until)
    )  # fmt: skip
    for number, line, month, net, data, customer, currency in conn.execute(query, execution_options=_IN_TURN):
        row = _rated(data) if data else _Rated()
        thing = BilledThing(
            number, customer, countries.get(number, ""), month, currency, row.product or TOKENS, row.model,
            row.project, row.when.zone,
        )  # fmt: skip
        of_line[number, line] = thing
        things[thing] = things.get(thing, 0) + net
    _take_off(conn, things, of_line)
    used = {thing.number for thing in things}
    return Billed(things, {number: hashes[number] for number in sorted(used)})


def _take_off(
    conn: Connection, things: dict[BilledThing, int], of_line: Mapping[tuple[str, str], BilledThing]
) -> None:
    query = (
        select(lines.c.number, lines.c.net, lines.c.rated, invoices.c.credits)
        .join(invoices, invoices.c.number == lines.c.number)
        .where(invoices.c.purpose == "credit note")
    )
    for number, net, data, of in conn.execute(query, execution_options=_IN_TURN):
        about = of_line.get((of, _credited(data).credits)) if data else None
        if about is not None:  # else of another month, or of credit that was bought
            thing = about._replace(number=number)
            things[thing] = things.get(thing, 0) - net


def _invoices(conn: Connection) -> tuple[dict[str, str], dict[str, str]]:
    """Number → country of the buyer, of invoices of usage; number → SHA-256, of all documents."""
    countries, hashes = {}, {}
    query = select(invoices.c.number, invoices.c.purpose, invoices.c.sha256, invoices.c.inputs)
    for number, purpose, sha256, inputs in conn.execute(query, execution_options=_IN_TURN):
        hashes[number] = sha256
        if purpose == "usage":
            countries[number] = _sealed(inputs).buyer.party.address.country
    return countries, hashes
