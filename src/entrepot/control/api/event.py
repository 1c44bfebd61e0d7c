"""`/admin/events`: what was told, and how far each webhook has heard of it."""

import json
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query

from entrepot.control.house import House, house
from entrepot.kernel.instants import show
from entrepot.limits import event_tables
from entrepot.storage.database import read

router = APIRouter(tags=["event"])


@router.get("/events", name="event.list")
def list_events(
    where: Annotated[House, Depends(house)],
    limit: Annotated[int, Query(ge=1, le=1_000)] = 100,
) -> dict[str, Any]:
    """The latest events, newest first, each with its deliveries to webhooks."""
    with read(where.engine) as connection:
        rows = event_tables.latest(connection, limit)
        told: dict[str, list[dict[str, Any]]] = {}
        for row in event_tables.of_events(connection, (row.id for row in rows)):
            told.setdefault(row.event, []).append({
                "webhook": row.webhook, "state": row.state, "attempts": row.attempts, "answer": row.answer,
                "tried_at": show(row.tried_at) if row.tried_at else None,
                "next_at": show(row.next_at) if row.state == "pending" else None,
            })  # fmt: skip
    return {
        "events": [
            {
                "id": row.id, "at": show(row.at), "kind": row.kind, "customer": row.customer, "about": row.about,
                "data": json.loads(row.data), "webhooks": told.get(row.id, []),
            }
            for row in rows
        ]
    }  # fmt: skip
