"""Are the issued documents whole? Each against its hash and against what it was made of, and all of them against the
ledger and the series that they are numbered in."""

import hashlib

import msgspec
from sqlalchemy import Connection, select

from entrepot.billing import numbers, tables
from entrepot.billing.document.canonical import to_json
from entrepot.billing.drafting import units_of
from entrepot.billing.inputs import from_bytes
from entrepot.billing.making import made_of
from entrepot.billing.tables import Issued
from entrepot.kernel.errors import EntrepotError
from entrepot.ledger.account import Account
from entrepot.ledger.tables import account_of


class BillCheck(msgspec.Struct, frozen=True, kw_only=True):
    """How many documents there are, and where something parts: (what, found, expected)."""

    documents: int
    differences: list[tuple[str, str, str]]


def check_bills(connection: Connection) -> BillCheck:
    """Reads every issued document once."""
    issued = tables.read_issued(connection)
    differences = [found for each in issued for found in _document(connection, each)]
    differences += _numbers(connection, {each.number for each in issued})
    differences += _receivable(connection, issued)
    return BillCheck(documents=len(issued), differences=differences)


def _document(connection: Connection, each: Issued) -> list[tuple[str, str, str]]:
    """Its bytes against the hash that was posted with it; made again of its inputs; no more credited than billed."""
    rows = tables.invoices.c
    row = connection.execute(select(rows.document, rows.inputs).where(rows.number == each.number)).one()
    found = hashlib.sha256(bytes(row.document)).hexdigest()
    differences = [(f"{each.number}: SHA-256", found, each.sha256)] if found != each.sha256 else []
    if each.kind != "381":
        try:
            again = to_json(made_of(from_bytes(bytes(row.inputs)), each.issued_on, each.number))
        except EntrepotError as error:
            differences.append((f"{each.number}: made again of its inputs", error.message, "the same document"))
        else:
            if again != bytes(row.document):
                differences.append((f"{each.number}: made again of its inputs", _sha256(again), each.sha256))
    standing = each.standing
    if standing.credited_minor > standing.total_minor:
        differences.append((f"{each.number}: credited", str(standing.credited_minor), f"≤ {standing.total_minor}"))
    return differences


def _numbers(connection: Connection, known: set[str]) -> list[tuple[str, str, str]]:
    """Each series is used up to its last number, without a gap."""
    expected = {
        numbers.written(row.series, row.year, n)
        for row in connection.execute(select(tables.series))
        for n in range(1, row.last + 1)
    }
    lacking, beyond = sorted(expected - known), sorted(known - expected)
    return [(f"number {each}", "missing", "issued") for each in lacking] + [
        (f"number {each}", "issued", "not given by any series") for each in beyond
    ]


def _receivable(connection: Connection, issued: list[Issued]) -> list[tuple[str, str, str]]:
    """What is open of a customer's documents is what the ledger has as receivable."""
    sums: dict[tuple[str, str], int] = {}
    for each in issued:
        owed = 0 if each.kind == "381" else each.standing.open_minor
        where = (each.customer, each.currency)
        sums[where] = sums.get(where, 0) + units_of(owed, each.currency)
    differences = []
    for (customer, currency), owed in sorted(sums.items()):
        has = account_of(connection, Account(kind="receivable", currency=currency, party=customer))
        if has != owed:
            differences.append((f"receivable of {customer} in {currency}", str(has), str(owed)))
    return differences


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
