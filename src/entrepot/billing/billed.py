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


class _Head(NamedTuple):
    """What is needed of an invoice of usage."""

    customer: str
    country: str
    currency: str


class _When(msgspec.Struct, frozen=True, gc=False):
    zone: str = ""


class _Rated(msgspec.Struct, frozen=True, gc=False):
    """What is needed of a rated line."""

    model: str = ""
    product: str = ""
    project: str = ""
    when: _When = _When()


class _Address(msgspec.Struct, frozen=True, gc=False):
    country: str = ""


class _Party(msgspec.Struct, frozen=True, gc=False):
    address: _Address = _Address()


class _Buyer(msgspec.Struct, frozen=True, gc=False):
    party: _Party = _Party()


class _Sealed(msgspec.Struct, frozen=True, gc=False):
    """What is needed of the inputs of an invoice."""

    buyer: _Buyer = _Buyer()


#: Rows read at a time: a year of documents does not lie in memory at once.
_IN_TURN = {"yield_per": 2000}
_rated = msgspec.json.Decoder(_Rated).decode
_sealed = msgspec.json.Decoder(_Sealed).decode
_credited = msgspec.json.Decoder(CreditedLine).decode
#: Of a line: document, month, product, model, project, zone.
_Key = tuple[str, str, str, str, str, str]


def billed_things(conn: Connection, first: str, until: str) -> Billed:
    """Of the months ["2026-09", "2026-10")."""
    heads, notes, hashes = _documents(conn)
    credited = set(notes.values())
    sums: dict[_Key, int] = {}
    of_line: dict[tuple[str, str], _Key] = {}
    query = select(lines.c.number, lines.c.line, lines.c.month, lines.c.net, lines.c.rated).where(
        lines.c.month >= first, lines.c.month < until
    )
    for number, line, month, net, data in conn.execute(query, execution_options=_IN_TURN):
        if number not in heads:
            continue  # of credit that was bought, or a credit note
        row = _rated(data) if data else _Rated()
        key = (number, month, row.product or TOKENS, row.model, row.project, row.when.zone)
        if number in credited:
            of_line[number, line] = key
        sums[key] = sums.get(key, 0) + net
    things = {_thing(heads[key[0]], key): net for key, net in sums.items()}
    _take_off(conn, things, {place: _thing(heads[key[0]], key) for place, key in of_line.items()}, notes)
    used = {thing.number for thing in things}
    return Billed(things, {number: hashes[number] for number in sorted(used)})


def _thing(head: _Head, key: _Key) -> BilledThing:
    number, month, product, model, project, zone = key
    return BilledThing(number, head.customer, head.country, month, head.currency, product, model, project, zone)


def _take_off(
    conn: Connection,
    things: dict[BilledThing, int],
    of_line: Mapping[tuple[str, str], BilledThing],
    notes: Mapping[str, str],
) -> None:
    if not of_line:
        return
    query = (
        select(lines.c.number, lines.c.net, lines.c.rated)
        .join(invoices, invoices.c.number == lines.c.number)
        .where(invoices.c.purpose == "credit note")
    )
    for number, net, data in conn.execute(query, execution_options=_IN_TURN):
        about = of_line.get((notes[number], _credited(data).credits)) if data else None
        if about is not None:  # else of another month, or of credit that was bought
            thing = about._replace(number=number)
            things[thing] = things.get(thing, 0) - net


def _documents(conn: Connection) -> tuple[dict[str, _Head], dict[str, str], dict[str, str]]:
    """Invoices of usage by number; number of a credit note → what it credits; number → SHA-256, of all documents."""
    heads, notes, hashes = {}, {}, {}
    columns = invoices.c
    query = select(
        columns.number, columns.purpose, columns.customer, columns.currency, columns.credits, columns.sha256,
        columns.inputs,
    )  # fmt: skip
    for number, purpose, customer, currency, credits, sha256, inputs in conn.execute(query, execution_options=_IN_TURN):
        hashes[number] = sha256
        if purpose == "usage":
            heads[number] = _Head(customer, _sealed(inputs).buyer.party.address.country, currency)
        elif purpose == "credit note":
            notes[number] = credits
    return heads, notes, hashes
