"""The ledger as it is read: transactions page by page, and each account over a period. Changes nothing.

A period is [from, until) by the instant of posting. Sums are Python's: amounts are no numbers of the database.
"""

import csv
import io
from collections.abc import Iterable, Iterator
from itertools import groupby
from operator import attrgetter
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, Select, exists, or_, select

from entrepot.kernel.instants import Instant
from entrepot.ledger.account import Account, grows_by_debit
from entrepot.ledger.chain import START
from entrepot.ledger.tables import accounts, transactions, transfers

#: Transactions of one page: each has as many lines as its batch had customers and models.
PAGE = 1_000
CSV_COLUMNS = ("seq", "id", "kind", "at", "about", "line", "debit", "credit", "amount", "previous", "hash")


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One transaction as it stands in the chain; `lines` are [debit, credit, amount in ledger units as text]."""

    seq: int
    id: str
    kind: str
    at: Instant
    about: str
    lines: list[list[str]]
    previous: str  # hexadecimal
    hash: str


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """Which transactions: all that fit everything that is given. `account` is an id or the beginning of one."""

    after: int = 0  # a seq
    from_: Instant | None = None
    until: Instant | None = None
    account: str = ""
    customer: str = ""
    kind: str = ""


class AccountPeriod(msgspec.Struct, frozen=True, kw_only=True):
    """One account over a period. `opening` and `closing` stand on the side where it grows."""

    account: Account
    opening: int
    debits: int
    credits: int
    closing: int


def entries(conn: Connection, asked: Asked, limit: int = PAGE) -> list[Entry]:
    """In the order of the chain, at most `limit` of them; the next page comes after the last one's `seq`."""
    heads = transactions.c
    numbers = _narrowed(select(heads.seq), asked).order_by(heads.seq).limit(limit)
    seqs = list(conn.execute(numbers).scalars())
    if not seqs:
        return []
    query = (
        select(transactions, transfers.c.debit, transfers.c.credit, transfers.c.amount)
        .join(transfers, transfers.c.transaction == heads.seq, isouter=True)
        .where(heads.seq >= seqs[0], heads.seq <= seqs[-1])
        .order_by(heads.seq, transfers.c.line)
    )
    wanted, found = set(seqs), []
    before = conn.execute(select(heads.hash).where(heads.seq == seqs[0] - 1)).scalar()
    previous = bytes(before) if before is not None else START
    for seq, group in groupby(conn.execute(query), key=attrgetter("seq")):
        rows = list(group)
        first = rows[0]
        if seq in wanted:
            lines = [[row.debit, row.credit, str(row.amount)] for row in rows if row.debit is not None]
            found.append(Entry(
                seq=seq, id=first.id, kind=first.kind, at=first.at, about=first.about, lines=lines,
                previous=previous.hex(), hash=bytes(first.hash).hex(),
            ))  # fmt: skip
        previous = bytes(first.hash)
    return found


def over_period(
    conn: Connection, *, from_: Instant | None = None, until: Instant | None = None, account: str = "",
    customer: str = "",
) -> list[AccountPeriod]:  # fmt: skip
    """Every account that has moved, by id: what it had, what moved in the period, what it has.

    Read backwards from the running balances, so only what was posted since `from_` is looked at."""
    since: dict[str, list[int]] = {}  # [debits, credits] from the start of the period on
    later: dict[str, list[int]] = {}  # and after its end
    if from_ is not None or until is not None:
        start = from_ if from_ is not None else until
        query = (
            select(transactions.c.at, transfers.c.debit, transfers.c.credit, transfers.c.amount)
            .join(transfers, transfers.c.transaction == transactions.c.seq)
            .where(transactions.c.at >= start)
        )
        for row in conn.execute(query, execution_options={"yield_per": 5000}):
            sums = later if until is not None and row.at >= until else since
            sums.setdefault(row.debit, [0, 0])[0] += row.amount
            sums.setdefault(row.credit, [0, 0])[1] += row.amount
    found = []
    for row in conn.execute(select(accounts).order_by(accounts.c.id)):
        if not row.id.startswith(account) or (customer and row.party != customer):
            continue
        sign = 1 if grows_by_debit(row.kind) else -1
        after = later.get(row.id, [0, 0])
        ends = (row.debits - after[0], row.credits - after[1])
        debits, credits = since.get(row.id, [0, 0]) if from_ is not None else ends
        if not (ends[0] or ends[1]):
            continue
        closing = sign * (ends[0] - ends[1])
        found.append(AccountPeriod(
            account=Account(kind=row.kind, currency=row.currency, party=row.party, product=row.product),
            opening=closing - sign * (debits - credits), debits=debits, credits=credits, closing=closing,
        ))  # fmt: skip
    return found


def to_lines(found: Iterable[Entry]) -> str:
    """JSON, a line per transaction."""
    return "".join(msgspec.json.encode(each).decode() + "\n" for each in found)


def to_csv(found: Iterable[Entry], *, header: bool) -> str:
    """A row per transfer; what belongs to the transaction stands in each of its rows."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    if header:
        rows.writerow(CSV_COLUMNS)
    for each in found:
        rows.writerows(_rows(each))
    return text.getvalue()


def _rows(entry: Entry) -> Iterator[tuple[Any, ...]]:
    e = entry
    for number, (debit, credit, amount) in enumerate(e.lines or [["", "", ""]], 1 if e.lines else 0):
        yield e.seq, e.id, e.kind, e.at, e.about, number, debit, credit, amount, e.previous, e.hash


def _narrowed(query: Select[Any], asked: Asked) -> Select[Any]:
    heads = transactions.c
    query = query.where(heads.seq > asked.after)
    if asked.from_ is not None:
        query = query.where(heads.at >= asked.from_)
    if asked.until is not None:
        query = query.where(heads.at < asked.until)
    if asked.kind:
        query = query.where(heads.kind == asked.kind)
    if asked.account:
        query = query.where(_touches(accounts.c.id.startswith(asked.account, autoescape=True)))
    if asked.customer:
        query = query.where(_touches(accounts.c.party == asked.customer))
    return query


def _touches(wanted: ColumnElement[bool]) -> ColumnElement[bool]:
    """Whether a transaction has a transfer from or to such an account."""
    ids, moves = select(accounts.c.id).where(wanted), transfers.c
    return exists().where(moves.transaction == transactions.c.seq, or_(moves.debit.in_(ids), moves.credit.in_(ids)))
