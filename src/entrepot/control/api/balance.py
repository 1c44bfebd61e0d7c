"""`/admin/balances`: what customers have left, and the money that moved."""

import asyncio
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import select
from sqlalchemy.engine import Connection

from entrepot.control.amount import exact
from entrepot.control.house import House, house
from entrepot.control.problem import AMOUNT, CURRENCY, NotFound
from entrepot.kernel.instants import Instant, show
from entrepot.ledger import tables as ledger
from entrepot.ledger.grant_tables import read_grants
from entrepot.ledger.grants import Grant as StoredGrant
from entrepot.limits.tables import lease_sums, outstanding
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


class Grant(BaseModel):
    """Credit that is given (`promo`), or paid for with an end or a priority of its own (`paid`), once per id."""

    model_config = ConfigDict(extra="forbid")
    amount: Annotated[str, Field(pattern=AMOUNT)]
    currency: Annotated[str, Field(pattern=CURRENCY)] | None = None
    kind: Literal["paid", "promo"] = "promo"
    until: Annotated[str, Field(max_length=40)] | None = None
    priority: Annotated[int, Field(ge=0, le=1_000)] | None = None
    id: Annotated[str, Field(min_length=1, max_length=128)]
    dry_run: bool = False


class Refund(BaseModel):
    """Money that went back, of what was paid and is unused: of one payment, else of the newest first; once per id."""

    model_config = ConfigDict(extra="forbid")
    amount: Annotated[str, Field(pattern=AMOUNT)]
    currency: Annotated[str, Field(pattern=CURRENCY)] | None = None
    of: Annotated[str, Field(max_length=128)] | None = None
    id: Annotated[str, Field(min_length=1, max_length=128)]
    dry_run: bool = False


@router.get("/balances", name="balance.list")
def list_balances(where: Annotated[House, Depends(house)]) -> dict[str, Any]:
    """Every balance: left in the ledger or of the credit limit, and what of it gateways hold in leases."""
    with read(where.engine) as connection:
        return {"balances": _balances(connection)}


@router.get("/balances/{balance}", name="balance.show")
async def show_balance(balance: str, where: Annotated[House, Depends(house)]) -> dict[str, Any]:
    """One balance: its grants, what calls under way hold, its latest postings."""
    answers = await where.ask_gateways({"ask": "held", "customer": balance})
    held = sum(answer["held"] for answer in answers.values() if answer is not None and "held" in answer)
    facts = await asyncio.to_thread(_shown, where, balance)
    return {**facts, "held": exact(held, str(facts["currency"]))}


def _shown(where: House, balance: str) -> dict[str, Any]:
    with read(where.engine) as connection:
        found = [each for each in _balances(connection) if each["balance"] == balance]
        if not found:
            raise NotFound(f"there is no balance {balance!r}; entrepot balance list shows them")
        currency = str(found[0]["currency"])
        return {
            **found[0],
            "grants": [_grant(each, currency, where.now()) for each in read_grants(connection, balance)],
            "postings": _postings(connection, balance, currency),
        }


@router.post("/balances/{customer}/top-ups", name="balance.top-up")
async def top_up(customer: str, body: TopUp, where: Annotated[House, Depends(house)]) -> dict[str, Any]:
    """Once however often it is repeated: same id and content changes nothing, other content is refused."""
    return await where.keeper.execute("balance.top_up", {"customer": customer, **body.model_dump()})


@router.post("/balances/{customer}/grants", name="balance.grant")
async def grant(customer: str, body: Grant, where: Annotated[House, Depends(house)]) -> dict[str, Any]:
    """Once however often it is repeated; what is unused when it ends is taken back."""
    args = {"customer": customer, **body.model_dump(exclude_none=True)}
    return await where.keeper.execute("balance.grant", args)


@router.post("/balances/{customer}/refunds", name="balance.refund")
async def refund(customer: str, body: Refund, where: Annotated[House, Depends(house)]) -> dict[str, Any]:
    """Once however often it is repeated; never more than is paid, unused and in no lease."""
    args = {"customer": customer, **body.model_dump(exclude_none=True)}
    return await where.keeper.execute("balance.refund", args)


def _grant(grant: StoredGrant, currency: str, now: Instant) -> dict[str, Any]:
    return {
        "id": grant.id,
        "kind": grant.kind,
        "amount": exact(grant.amount, currency),
        "used": exact(grant.used, currency),
        "refunded": exact(grant.refunded, currency),
        "expired": exact(grant.expired, currency),
        "left": exact(grant.left, currency),
        "priority": grant.priority,
        "until": show(grant.ends_at) if grant.ends_at else None,
        "ended": 0 < grant.ends_at <= now,
        "at": show(grant.created_at),
    }


def _balances(connection: Connection) -> list[dict[str, Any]]:
    leased = {name: outstanding(sums) for name, sums in lease_sums(connection).items()}
    funds = ledger.all_funds(connection)
    return [
        {
            "balance": row.id,
            "currency": row.currency,
            "left": exact(funds[row.id], row.currency),
            "leased": exact(leased.get(row.id, 0), row.currency),
            "credit_limit": None if row.credit_limit is None else exact(row.credit_limit, row.currency),
        }
        for row in connection.execute(select(ledger.balances).order_by(ledger.balances.c.id))
    ]


def _postings(connection: Connection, balance: str, currency: str) -> list[dict[str, Any]]:
    account = connection.execute(select(ledger.balances.c.account).where(ledger.balances.c.id == balance)).scalar()
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
