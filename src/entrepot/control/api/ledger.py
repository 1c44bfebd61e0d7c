"""`/admin/ledger`: accounts, transactions, and the export that an auditor can work out again."""

from operator import attrgetter
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query
from sqlalchemy import select

from entrepot.control.amount import exact
from entrepot.control.house import House, house
from entrepot.control.period import period_of
from entrepot.kernel.instants import show
from entrepot.ledger import entries as ledger
from entrepot.ledger.tables import balances
from entrepot.limits.tables import lease_sums, outstanding
from entrepot.metering.record import LeaseTotals
from entrepot.storage.database import read

router = APIRouter(tags=["ledger"])
_From = Annotated[str, Query(alias="from", max_length=40, description="included, UTC; default the beginning")]
_Until = Annotated[str, Query(max_length=40, description="excluded, UTC; default now")]
_Customer = Annotated[str, Query(max_length=200, description="only accounts of this customer or vendor")]
_Account = Annotated[str, Query(max_length=400, description="an account id, or what ids begin with: `EUR:output tax`")]
_After = Annotated[int, Query(ge=0, le=2**62, description="the last seq of the page before")]


@router.get("/ledger/balance", name="ledger.balance")
def balance(
    where: Annotated[House, Depends(house)], from_: _From = "", until: _Until = "", account: _Account = "",
    customer: _Customer = "",
) -> dict[str, Any]:  # fmt: skip
    """Each account over a period: opening, debits, credits, closing, on the side where it grows. Of balances also what
    leases have pending now; `leases` says what was ever pending, and what of it was posted and voided."""
    since, ends = period_of(from_, until)
    with read(where.engine) as connection:
        rows = ledger.over_period(connection, from_=since, until=ends, account=account, customer=customer)
        sums = lease_sums(connection)
        owned = {row.account: row for row in connection.execute(select(balances))}
    pending = {id: outstanding(sums[row.id]) for id, row in owned.items() if row.id in sums}
    leased = sorted((row for row in owned.values() if row.id in sums), key=attrgetter("id"))
    return {
        "from": show(since) if since is not None else None,
        "until": show(ends) if ends is not None else None,
        "accounts": [_account(row, pending.get(row.account.id)) for row in rows],
        "leases": [
            _leases(sums[row.id], row.currency)
            for row in leased
            if customer in ("", row.id) and str(row.account).startswith(account)
        ],
    }  # fmt: skip


@router.get("/ledger/entries", name="ledger.entries")
def entries(  # noqa: PLR0917  the filters of the query string
    where: Annotated[House, Depends(house)], from_: _From = "", until: _Until = "", account: _Account = "",
    customer: _Customer = "", kind: Annotated[str, Query(max_length=40)] = "", after: _After = 0,
    limit: Annotated[int, Query(ge=1, le=ledger.PAGE)] = 100,
) -> dict[str, Any]:  # fmt: skip
    """Transactions in the order of the chain; `next` is the `after` of the next page, null on the last."""
    since, ends = period_of(from_, until)
    asked = ledger.Asked(after=after, from_=since, until=ends, account=account, customer=customer, kind=kind)
    with read(where.engine) as connection:
        found = ledger.entries(connection, asked, limit + 1)
    return {"entries": [_entry(each) for each in found[:limit]], "next": _next(found, limit)}


@router.get("/ledger/export", name="ledger.export")
def export(  # noqa: PLR0917  the filters of the query string
    where: Annotated[House, Depends(house)], from_: _From = "", until: _Until = "",
    format: Annotated[Literal["json", "csv"], Query()] = "json", after: _After = 0,
    limit: Annotated[int, Query(ge=1, le=ledger.PAGE)] = ledger.PAGE,
) -> dict[str, Any]:  # fmt: skip
    """A page of the chain as a file has it: `text` is JSON lines or CSV (its header on the first page). The instant is
    in microseconds and amounts are in ledger units, as they are hashed."""
    since, ends = period_of(from_, until)
    asked = ledger.Asked(after=after, from_=since, until=ends)
    with read(where.engine) as connection:
        found = ledger.entries(connection, asked, limit + 1)
    page = found[:limit]
    text = ledger.to_csv(page, header=not after) if format == "csv" else ledger.to_lines(page)
    return {"format": format, "text": text, "transactions": len(page), "next": _next(found, limit)}


def _account(row: ledger.AccountPeriod, pending: int | None) -> dict[str, Any]:
    account = row.account
    names = ("opening", "debits", "credits", "closing")
    amounts = {name: exact(getattr(row, name), account.currency) for name in names}
    return {
        "account": account.id, "kind": account.kind, "party": account.party, "product": account.product,
        "currency": account.currency, **amounts,
        "pending": None if pending is None else exact(pending, account.currency),
    }  # fmt: skip


def _leases(sums: LeaseTotals, currency: str) -> dict[str, Any]:
    return {
        "balance": sums.balance, "currency": currency, "granted": exact(sums.granted, currency),
        "posted": exact(sums.charged, currency), "voided": exact(sums.returned, currency),
        "pending": exact(outstanding(sums), currency),
    }  # fmt: skip


def _entry(entry: ledger.Entry) -> dict[str, Any]:
    return {
        "seq": entry.seq, "at": show(entry.at), "id": entry.id, "kind": entry.kind, "about": entry.about,
        "transfers": [
            {"debit": debit, "credit": credit, "amount": exact(int(amount), debit[:3]), "currency": debit[:3]}
            for debit, credit, amount in entry.lines
        ],
        "hash": entry.hash,
    }  # fmt: skip


def _next(found: list[ledger.Entry], limit: int) -> int | None:
    return found[limit - 1].seq if len(found) > limit else None
