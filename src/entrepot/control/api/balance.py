"""`/admin/balances`: what customers have left, and topping it up."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import select
from sqlalchemy.engine import Connection

from entrepot.control.amount import exact
from entrepot.control.house import House, house
from entrepot.control.problem import AMOUNT, CURRENCY, NotFound
from entrepot.kernel.instants import show
from entrepot.ledger import tables as ledger
from entrepot.limits.tables import all_leases, outstanding
from entrepot.storage.database import read

router = APIRouter(tags=["balance"])
_RECENT = 20


class TopUp(BaseModel):
    """Money that moved outside and is booked here, once per id."""

    model_config = ConfigDict(extra="forbid")
    amount: Annotated[str, Field(pattern=AMOUNT)]
    currency: Annotated[str, Field(pattern=CURRENCY)]
    id: Annotated[str, Field(min_length=1, max_length=128)]
    dry_run: bool = False


@router.get("/balances", name="balance.list")
def list_balances(where: Annotated[House, Depends(house)]) -> dict[str, Any]:
    """Every balance: left in the ledger, and what of it gateways hold in leases."""
    with read(where.engine) as connection:
        return {"balances": _balances(connection)}


@router.get("/balances/{balance}", name="balance.show")
def show_balance(balance: str, where: Annotated[House, Depends(house)]) -> dict[str, Any]:
    """One balance with its latest postings."""
    with read(where.engine) as connection:
        found = [each for each in _balances(connection) if each["balance"] == balance]
        if not found:
            raise NotFound(f"there is no balance {balance!r}; entrepot balance list shows them")
        return {**found[0], "postings": _postings(connection, balance, str(found[0]["currency"]))}


@router.post("/balances/{customer}/top-ups", name="balance.top-up")
async def top_up(customer: str, body: TopUp, where: Annotated[House, Depends(house)]) -> dict[str, Any]:
    """Once however often it is repeated: same id and content changes nothing, other content is refused."""
    return await where.keeper.execute("balance.top_up", {"customer": customer, **body.model_dump()})


def _balances(connection: Connection) -> list[dict[str, Any]]:
    leased: dict[str, int] = {}
    for _slot, totals in all_leases(connection):
        leased[totals.balance] = leased.get(totals.balance, 0) + outstanding(totals)
    return [
        {
            "balance": balance,
            "currency": currency,
            "left": exact(left, currency),
            "leased": exact(leased.get(balance, 0), currency),
        }
        for balance, currency, left in ledger.all_balances(connection)
    ]


def _postings(connection: Connection, balance: str, currency: str) -> list[dict[str, Any]]:
    account = ledger.prepaid(balance, currency).id
    moves, heads = ledger.transfers.c, ledger.transactions.c
    rows = connection.execute(
        select(heads.seq, heads.id, heads.kind, heads.at, heads.about, moves.debit, moves.amount)
        .join(ledger.transactions, heads.seq == moves.transaction)
        .where((moves.debit == account) | (moves.credit == account))
        .order_by(heads.seq.desc(), moves.line)
        .limit(_RECENT)
    )
    return [
        {
            "at": show(row.at),
            "id": row.id,
            "kind": row.kind,
            "about": row.about,
            "amount": exact(-row.amount if row.debit == account else row.amount, currency),
        }
        for row in rows
    ]
