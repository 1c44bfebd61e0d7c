"""What usage has posted, worked out of the running balances: all that accounts have less what other events moved.

The ledger has a transaction for each batch of records and a transfer for each of its customers; invoices, payments and
the rest are few. `check_ledger` shows that the running balances are the sums of all transfers.
"""

import msgspec
from sqlalchemy import Connection, select

from entrepot.ledger.tables import accounts, head, transactions, transfers


class UsagePosted(msgspec.Struct, frozen=True, kw_only=True):
    """In ledger units; `hash` is the head of the chain that it was read at."""

    revenue: dict[tuple[str, str], int]  # (currency, product)
    charged: dict[tuple[str, str], int]  # (currency, balance)
    costs: dict[tuple[str, str, str], int]  # (vendor, currency, product)
    hash: str


def usage_posted(conn: Connection) -> UsagePosted:
    """Of everything that was ever used."""
    debits: dict[str, int] = {}
    credits: dict[str, int] = {}
    others = (
        select(transfers.c.debit, transfers.c.credit, transfers.c.amount)
        .join(transactions, transactions.c.seq == transfers.c.transaction)
        .where(transactions.c.kind != "usage")
    )
    for row in conn.execute(others):
        debits[row.debit] = debits.get(row.debit, 0) + row.amount
        credits[row.credit] = credits.get(row.credit, 0) + row.amount
    revenue: dict[tuple[str, str], int] = {}
    charged: dict[tuple[str, str], int] = {}
    costs: dict[tuple[str, str, str], int] = {}
    for row in conn.execute(select(accounts)):
        if row.kind == "revenue":
            revenue[row.currency, row.product] = row.credits - credits.get(row.id, 0)
        elif row.kind in ("prepaid credit", "unbilled"):
            taken = row.debits - debits.get(row.id, 0)
            charged[row.currency, row.party] = charged.get((row.currency, row.party), 0) + taken
        elif row.kind == "cost of goods":
            costs[row.party, row.currency, row.product] = row.debits - debits.get(row.id, 0)
    last = conn.execute(select(head.c.hash)).scalar()
    return UsagePosted(revenue=revenue, charged=charged, costs=costs, hash=bytes(last or b"").hex())
