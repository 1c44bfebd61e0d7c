"""`/admin/explain/{id}`: why did this cost that, or why was it refused?"""

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from entrepot.catalog.prices import BookVersion, Said, Unit
from entrepot.control import story, trace
from entrepot.control.amount import exact
from entrepot.control.bill_line import explain_line
from entrepot.control.house import House, house
from entrepot.control.problem import Mistaken, NotFound
from entrepot.journal.disk import JournalDamaged
from entrepot.kernel.ids import RequestIds
from entrepot.kernel.instants import SECOND, Instant, clock, hour_of, show
from entrepot.ledger import tables as ledger
from entrepot.metering.tables import refused
from entrepot.pricing.tables import read_versions
from entrepot.storage.database import read

router = APIRouter(tags=["explain"])


@router.get("/explain/{id_:path}", name="explain.read")
async def explain(id_: str, where: Annotated[House, Depends(house)]) -> dict[str, Any]:
    """A request by its id: its attempts from the journal (else the lake), or its refusal from the gateway's memory; a
    price version (`list/3`); a line of an invoice (`R-2026-00001/3`) or of a draft (`acme:2026-10/3`); a posting
    (`top-up/PAY-7`)."""
    if "/" in id_:
        number, _, line = id_.rpartition("/")
        told = await explain_line(where, number, line) or await asyncio.to_thread(_kept, where, id_)
        if told is None and "+" in id_:
            raise Mistaken(f"{id_!r} is a price on a vendor's: explain {' and '.join(id_.split('+'))}, one by one")
        if told is None:
            raise NotFound(
                f"no price version, invoice line or posting is called {id_!r}; entrepot book, invoice and balance show "
                "them"
            )
        return told
    try:
        at_ms, _slot, _epoch, _counter = RequestIds(where.folder.secret("request-ids")).read(id_)
    except ValueError:
        raise Mistaken(
            f"{id_!r} is not the id of a request ('req_' and 26 characters, as the answer's x-request-id has it), of a "
            "price version (list/3) or of a posting (top-up/PAY-7)"
        ) from None
    facts = await asyncio.to_thread(_recorded, where, id_)
    if facts is None:
        facts = await _refused(where, id_)
    if facts is None:
        raise NotFound(await asyncio.to_thread(_unknown, where, id_, at_ms * 1000))
    return facts


def _recorded(where: House, request: str) -> dict[str, Any] | None:
    try:
        records = trace.find(where.folder, where.engine, request)
    except JournalDamaged as damage:
        raise NotFound(f"the journal cannot be read there: {damage.message}") from damage
    facts = story.tell(request, records)
    if facts is not None:
        since = _valid_from(where)
        for attempt in facts["attempts"]:
            attempt["valid_from"] = since.get(attempt["price_version"].split("+")[0])
    return facts


def _kept(where: House, id_: str) -> dict[str, Any] | None:
    """What the database keeps under a name with a slash."""
    with read(where.engine) as connection:
        for version in read_versions(connection):
            if version.id == id_:
                return _version(version)
        heads, moves = ledger.transactions.c, ledger.transfers.c
        head = connection.execute(select(ledger.transactions).where(heads.id == id_)).first()
        if head is None:
            return None
        rows = connection.execute(select(ledger.transfers).where(moves.transaction == head.seq).order_by(moves.line))
        names = select(ledger.accounts.c.id, ledger.accounts.c.currency)
        currencies = {row.id: row.currency for row in connection.execute(names)}
        lines = [
            {
                "debit": row.debit,
                "credit": row.credit,
                "amount": exact(row.amount, currencies[row.debit]),
                "currency": currencies[row.debit],
            }
            for row in rows
        ]
    facts = {"seq": head.seq, "posting": head.id, "what": head.kind, "at": show(head.at), "about": head.about}
    return {"kind": "posting", **facts, "hash": head.hash.hex(), "transfers": lines}


def _version(version: BookVersion) -> dict[str, Any]:
    return {
        "kind": "price",
        "price_version": version.id,
        "buys_from": version.buys_from,
        "currency": version.currency,
        "valid_from": show(version.valid_from),
        "published_at": show(version.published_at),
        "prices": [
            {"model": thing.model, "bucket": thing.bucket, "when": str(thing.when), **_said(said)}
            for thing, said in version.things().items()
        ],
    }


def _said(said: Said) -> dict[str, Any]:
    """A unit price in its digits, anything else in words."""
    if isinstance(said, Unit):
        return {"price": f"{said.price:f}", "per": said.per}
    return {"price": str(said), "per": None}


def _valid_from(where: House) -> dict[str, str]:
    """Price version → when it began; nothing where the database does not answer, which a call's facts do not need."""
    try:
        with read(where.engine) as connection:
            return {version.id: show(version.valid_from) for version in read_versions(connection)}
    except OperationalError:
        return {}


async def _refused(where: House, request: str) -> dict[str, Any] | None:
    answers = await where.ask_gateways({"ask": "refusal", "id": request})
    for answer in answers.values():
        if answer and answer.get("found"):
            facts = {name: value for name, value in answer.items() if name not in {"found", "id"}}
            return {"kind": "refusal", "request": request, **facts, "at": show(int(answer["at"]))}
    return None


def _unknown(where: House, request: str, at: Instant) -> str:
    """What can still be said: refusals are remembered one by one only while their gateway lives."""
    base = f"no record of {request} ({show(at)[:19]}Z)"
    if not 0 <= where.now() - at < 365 * 24 * 3600 * SECOND:
        return f"{base}: the id is not one that this server made"
    try:
        with read(where.engine) as connection:
            hour = [(name, n) for start, name, n in refused(connection, at) if start == hour_of(at)]
    except OperationalError:
        hour = []
    if not hour:
        return f"{base}: it was not admitted here, and no refusal was counted in that hour"
    reasons: dict[str, int] = {}
    for name, n in hour:
        reason = name.partition(" ")[2]
        reasons[reason] = reasons.get(reason, 0) + n
    listed = ", ".join(f"{n} {reason}" for reason, n in sorted(reasons.items(), key=lambda each: -each[1]))
    return (
        f"{base}: probably one of the refusals of the hour from {clock(hour_of(at))[:5]}, of which only the tally is "
        f"left ({listed}); single refusals are remembered until their gateway ends"
    )
