"""Is the ledger whole? Recomputes the chain and every running balance from the transfers, and what calls took and
grants have left from the balances."""

from itertools import groupby
from operator import attrgetter
from typing import Any

import msgspec
from sqlalchemy import Connection, select

from entrepot.ledger.attribution import burned
from entrepot.ledger.chain import START, link
from entrepot.ledger.grant_tables import all_grants
from entrepot.ledger.tables import accounts, balances, head, prepaid, transactions, transfers, unbilled
from entrepot.ledger.taken_tables import all_taken

#: Kinds of transactions by which usage comes back to the balance that it was taken from.
_BACK = ("settlement", "credit-note")


class LedgerCheck(msgspec.Struct, frozen=True, kw_only=True):
    """Sums of the transfers, and where they part from what is stored: (what, stored, recomputed)."""

    transactions: int
    transfers: int
    revenue: dict[tuple[str, str], int]  # (currency, product) → credits by usage
    costs: dict[tuple[str, str, str], int]  # (vendor, currency, product) → debits
    charged: dict[str, int]  # balance → what usage took from it
    funds: dict[str, int]  # prepaid balance → what is left
    differences: list[tuple[str, str, str]]
    ahead: frozenset[str]  # balances that never used anything on credit


def check_ledger(conn: Connection) -> LedgerCheck:
    """Reads every transaction once, in order."""
    differences: list[tuple[str, str, str]] = []
    debits: dict[str, int] = {}
    credits: dict[str, int] = {}
    used: dict[str, int] = {}  # by account, debits by usage
    sold: dict[str, int] = {}  # credits by usage
    back: dict[str, int] = {}  # by account, what came back of usage: it was too much, or credited
    count = lines_read = 0
    previous = START
    query = (
        select(transactions, transfers)
        .join(transfers, transfers.c.transaction == transactions.c.seq, isouter=True)
        .order_by(transactions.c.seq, transfers.c.line)
    )
    rows = conn.execute(query, execution_options={"yield_per": 5000})
    for seq, group in groupby(rows, key=attrgetter("seq")):
        moves = list(group)
        first = moves[0]
        count += 1
        if seq != count:
            differences.append((f"transaction {count} of the chain", "missing", f"it goes on with {seq}"))
            count = seq
        lines = [[row.debit, row.credit, str(row.amount)] for row in moves if row.line is not None]
        expected = link(previous, seq, (first.id, first.kind, first.at, first.about), lines)
        previous = bytes(first.hash)
        if previous != expected:
            differences.append((f"transaction {seq} ({first.id}): hash", previous.hex(), expected.hex()))
        for row in moves:
            if row.line is not None:
                lines_read += 1
                debits[row.debit] = debits.get(row.debit, 0) + row.amount
                credits[row.credit] = credits.get(row.credit, 0) + row.amount
                if first.kind == "usage":
                    used[row.debit] = used.get(row.debit, 0) + row.amount
                    sold[row.credit] = sold.get(row.credit, 0) + row.amount
                elif first.kind in _BACK:
                    back[row.credit] = back.get(row.credit, 0) + row.amount
    stored = conn.execute(select(head.c.seq, head.c.hash)).first()
    if (stored.seq, bytes(stored.hash)) != (count, previous) if stored else count:
        differences.append(("head of the chain", str(stored.seq if stored else 0), str(count)))
    known = list(conn.execute(select(accounts)))
    differences += _running(known, debits, credits)
    names, funds, on_credit, running = {}, {}, set(), {row.id: row.credits - row.debits for row in known}
    for row in conn.execute(select(balances)):  # one that changed its way of paying has used both accounts
        for account in (prepaid(row.id, row.currency), unbilled(row.id, row.currency)):
            names[account.id] = row.id
        if unbilled(row.id, row.currency).id in used:
            on_credit.add(row.id)
        if row.credit_limit is None:
            funds[row.id] = running.get(row.account, 0)
    differences += _burned(conn, {account: n - back.get(account, 0) for account, n in used.items()}, running)
    charged: dict[str, int] = {}
    for account_id, amount in used.items():
        if account_id in names:
            charged[names[account_id]] = charged.get(names[account_id], 0) + amount
    return LedgerCheck(
        transactions=count, transfers=lines_read, differences=differences,
        revenue={(row.currency, row.product): sold.get(row.id, 0) for row in known if row.kind == "revenue"},
        costs={
            (row.party, row.currency, row.product): used.get(row.id, 0)
            for row in known if row.kind == "cost of goods"
        },
        charged=charged,
        funds=funds,
        ahead=frozenset(names.values()) - on_credit,
    )  # fmt: skip


def _burned(conn: Connection, used: dict[str, int], running: dict[str, int]) -> list[tuple[str, str, str]]:
    """What calls took of each balance, and what its grants have left, against its account."""
    found = []
    grants, taken = all_grants(conn), all_taken(conn)
    for row in conn.execute(select(balances).order_by(balances.c.id)):
        account = prepaid(row.id, row.currency).id
        sums = taken.get(row.id, [])
        if (total := sum(each.amount for each in sums)) != used.get(account, 0):
            found.append((f"taken of balance {row.id} by calls", str(total), str(used.get(account, 0))))
        mine = grants.get(row.id, [])
        attributed = burned(mine, sums)
        left = sum(each.amount - each.refunded - each.expired for each in mine) - total
        if left != running.get(account, 0) or attributed.uncovered:
            words = f" and {attributed.uncovered} that none covers" if attributed.uncovered else ""
            found.append((f"left of the grants of {row.id}", f"{left}{words}", str(running.get(account, 0))))
    return found


def _running(known: list[Any], debits: dict[str, int], credits: dict[str, int]) -> list[tuple[str, str, str]]:
    """Running balances against the sums of the transfers; debits against credits per currency."""
    found = [
        (f"account {id}", "missing", f"debits of {debits.get(id, 0)}, credits of {credits.get(id, 0)}")
        for id in sorted({*debits, *credits} - {row.id for row in known})
    ]
    totals: dict[str, list[int]] = {}
    for row in known:
        for side, stored, summed in (("debits", row.debits, debits), ("credits", row.credits, credits)):
            if stored != summed.get(row.id, 0):
                found.append((f"running {side} of account {row.id}", str(stored), str(summed.get(row.id, 0))))
        total = totals.setdefault(row.currency, [0, 0])
        total[0] += row.debits
        total[1] += row.credits
    for currency, (left, right) in sorted(totals.items()):
        if left != right:
            found.append((f"debits and credits in {currency}", str(left), str(right)))
    return found
