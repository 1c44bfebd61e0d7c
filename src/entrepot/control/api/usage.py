"""`/admin/usage`: requests, tokens by kind, charge."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from sqlalchemy import Connection, event

from entrepot.control.amount import exact
from entrepot.control.api.run import key_of_run
from entrepot.control.house import House, house
from entrepot.control.period import instant_of
from entrepot.control.problem import Mistaken
from entrepot.customers.tables import StoredKey
from entrepot.kernel.buckets import BUCKETS
from entrepot.kernel.instants import HOUR, SECOND, Instant, day_of, show
from entrepot.metering import tables as metering
from entrepot.storage.database import read

router = APIRouter(tags=["usage"])
DEFAULT_BY = "customer,model"
STATES = ("final", "aborted", "estimated", "void")


@router.get("/usage", name="usage.read")
async def usage(  # noqa: PLR0917  FastAPI passes query parameters by name
    where: Annotated[House, Depends(house)],
    by: Annotated[str, Query(description="dimensions, comma-separated")] = DEFAULT_BY,
    from_: Annotated[str, Query(alias="from", description="included; default today, UTC")] = "",
    until: Annotated[str, Query(description="excluded; default now")] = "",
    state: Annotated[str, Query(description="final, aborted, estimated or void")] = "",
    customer: Annotated[str, Query(description="only this customer")] = "",
    key: Annotated[str, Query(description="only the key with this id")] = "",
    run: Annotated[str, Query(description="only this run of `entrepot run`; then from is when it began")] = "",
) -> dict[str, Any]:
    """Sums per group and currency, hours in [from, until) by the instant of admission."""
    asked_at = where.now()
    names = [name.strip() for name in by.split(",") if name.strip()]
    filters = {name: value for name, value in (("customer", customer), ("key", key)) if value}
    since = instant_of(from_, "from") or day_of(asked_at)
    if run:
        of_run = await asyncio.to_thread(_run, where, run)
        filters["key"] = of_run.id
        since = instant_of(from_, "from") or of_run.created_at - of_run.created_at % HOUR
    ends = instant_of(until, "until")
    if ends is not None and ends <= since:
        began = "" if from_ else ", which is today without a from"
        start = show(since).removesuffix("T00:00:00Z")
        raise Mistaken(f"until {until} is not after from {start}{began}; nothing is between them")
    if state and state not in STATES:
        raise Mistaken(f"state {state!r} is not one of {', '.join(STATES)}")
    fresh = await where.freshen()
    facts = await asyncio.to_thread(_read, where, names, (since, ends), state, filters)
    up_to = asked_at if fresh else facts.pop("_last_ended")
    facts.pop("_last_ended", None)
    return {
        "by": names,
        "from": show(since),
        "until": show(ends) if ends else None,
        "today": since == day_of(asked_at) and not ends,
        **({"run": run, "key": filters["key"]} if run else {}),
        "fresh": fresh,
        "up_to": show(up_to) if up_to else None,
        "age_s": round((where.now() - up_to) / SECOND, 1) if up_to else None,
        **facts,
    }


def _read(
    where: House, by: list[str], span: tuple[Instant, Instant | None], state: str, filters: dict[str, str]
) -> dict[str, Any]:
    with read(where.engine) as connection:
        with _statements(connection) as sql:
            rows = metering.usage(connection, by, from_=span[0], until=span[1], state=state or None, filters=filters)
        per_state = metering.usage(connection, ["state"], from_=span[0], until=span[1], filters=filters)
        last = metering.last_ended(connection)
    if not {"hour", "day"} & set(by):
        rows.sort(key=lambda row: (row.currency, -row.charge))  # stable: equal charges stay in the order of `by`
    states = dict.fromkeys(STATES, 0)
    for row in per_state:
        states[str(row.by["state"])] += row.attempts
    return {
        "rows": [_row(row) for row in rows],
        "states": states,
        "unrated": sum(row.unrated for row in per_state),
        "sql": sql[0] if sql else "",
        "_last_ended": last,
    }


def _run(where: House, run: str) -> StoredKey:
    with read(where.engine) as connection:
        return key_of_run(connection, run)


def _row(row: metering.UsageRow) -> dict[str, Any]:
    by = {name: show(int(value)) if name in {"hour", "day"} else value for name, value in row.by.items()}
    return {
        **by,
        "requests": row.requests,
        "attempts": row.attempts,
        **dict(zip(BUCKETS, row.charged, strict=True)),
        "charge": exact(row.charge, row.currency),
        "currency": row.currency,
        "billed": dict(zip(BUCKETS, row.billed, strict=True)),
        "costs": {currency: exact(cost, currency) for currency, cost in row.costs.items() if currency},
        "without_cost": row.uncosted,
        "unrated": row.unrated,
    }


@contextmanager
def _statements(connection: Connection) -> Iterator[list[str]]:
    """What is sent to the database in here, with its values in place."""
    found: list[str] = []

    def note(_c: Any, _cursor: Any, statement: str, values: Any, *_: Any) -> None:
        found.append(_filled(statement, values))

    event.listen(connection, "before_cursor_execute", note)
    try:
        yield found
    finally:
        event.remove(connection, "before_cursor_execute", note)


def _filled(statement: str, values: Any) -> str:
    if isinstance(values, dict):
        shown = {name: _literal(value) for name, value in values.items()}
        return statement % shown
    for value in values or ():
        statement = statement.replace("?", _literal(value), 1)
    return statement


def _literal(value: Any) -> str:
    return str(value) if isinstance(value, int) else "'" + str(value).replace("'", "''") + "'"
