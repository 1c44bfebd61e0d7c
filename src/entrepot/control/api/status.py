"""`/admin/status`: what runs, what is wrong, what needs you. Answers with everything else down."""

import asyncio
import shutil
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

import entrepot
from entrepot.control import needs
from entrepot.control.amount import exact
from entrepot.control.house import House, house
from entrepot.journal.files import RealDisk, segments, streams
from entrepot.keeper.state import standing
from entrepot.kernel.errors import EntrepotError
from entrepot.kernel.instants import DAY, SECOND, day_of, show
from entrepot.ledger.tables import all_balances, all_funds
from entrepot.limits import event_tables
from entrepot.metering import tables as metering
from entrepot.storage.database import read

router = APIRouter(tags=["status"])
_KEEPER_S = 1.0
_EVENTS_SHOWN = 10


@router.get("/status", name="status.read")
async def status(where: Annotated[House, Depends(house)]) -> dict[str, Any]:
    """Asks every process at once, each with a bound."""
    keeper, gateways, parent, disk = await asyncio.gather(
        _keeper(where), where.ask_gateways({"ask": "status"}), where.ask_parent("processes"),
        asyncio.to_thread(_disk, where),
    )  # fmt: skip
    database = await asyncio.to_thread(_database, where)
    facts = {
        "version": entrepot.__version__,
        "data": str(where.folder.root),
        "at": show(where.now()),
        "parent": {"answers": parent is not None, **(parent or {})},
        "keeper": keeper,
        "gateways": [{"name": name, "answers": facts is not None, **(facts or {})} for name, facts in gateways.items()],
        "database": database,
        **disk,
    }
    return {**facts, "needs_you": needs.of(facts, where.now())}


async def _keeper(where: House) -> dict[str, Any]:
    try:
        facts = await where.keeper.execute("status", {}, patience_s=_KEEPER_S)
        return {"answers": True, "behind_s": _behind(where, facts), **facts}
    except EntrepotError as error:
        return {"answers": False, "why": error.message}


def _behind(where: House, facts: dict[str, Any]) -> float | None:
    """Seconds since the keeper last had everything that the journals held."""
    looked_at = facts.get("looked_at")
    return round((where.now() - looked_at) / SECOND, 1) if looked_at else None


def _database(where: House) -> dict[str, Any]:
    try:
        with read(where.engine) as connection:
            return {"answers": True, "size": _size(where), **_kept(connection, where)}
    except (SQLAlchemyError, EntrepotError) as error:
        return {"answers": False, "why": str(getattr(error, "orig", None) or error)}


def _kept(connection: Connection, where: House) -> dict[str, Any]:
    last, funds = metering.last_ended(connection), all_funds(connection)
    catalog = standing(connection)
    counts = metering.state_counts(connection, day_of(where.now()))
    return {
        "last_ended": show(last) if last else None,
        "last_ended_age_s": round((where.now() - last) / SECOND, 1) if last else None,
        "today": counts,
        "unrated": len(metering.unrated(connection)),
        "streams": len(metering.positions(connection)),
        "balances": [
            {"balance": name, "left": exact(funds[name], currency), "currency": currency}
            for name, currency, _ in all_balances(connection)
        ],
        "events": [
            {"id": row.id, "at": show(row.at), "kind": row.kind, "customer": row.customer, "about": row.about}
            for row in event_tables.standing(connection, where.now() - DAY)[:_EVENTS_SHOWN]
        ],
        "webhooks": [
            {
                "webhook": row.webhook, "state": row.state, "count": row.count, "since": show(row.since),
                "attempts": row.attempts, "answer": row.answer,
            }
            for row in event_tables.backlog(connection)
        ],
        "missing_prices": needs.missing_prices(catalog, where.now()),
        "retiring": needs.retiring(catalog.models, where.now()),
    }


def _size(where: House) -> int:
    return sum(path.stat().st_size for path in where.folder.root.glob(f"{where.folder.database.name}*"))


def _disk(where: House) -> dict[str, Any]:
    real = RealDisk()
    found = streams(where.folder.journal) if where.folder.journal.exists() else []
    quarantined = [path.parent.name for path in where.folder.journal.glob("w*/quarantine")]
    usage = shutil.disk_usage(where.folder.root)
    return {
        "journal": {
            "streams": len(found),
            "open": sum(not stream.sealed for stream in found),
            "segments": sum(len(segments(real, stream.path)) for stream in found),
            "quarantined": quarantined,
        },
        "disk": {"free": usage.free, "total": usage.total},
    }
