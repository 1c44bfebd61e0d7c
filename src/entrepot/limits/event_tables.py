"""Events in the database: what an operator wanted to be told, once each, and how far each webhook has heard of it.

An event is written in the transaction that makes it true, with one delivery per webhook that wants its kind: a crash
loses none. Its id is made of what it says, so that the same event is never two. Takes a connection and opens none.
"""

import json
from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Any, Literal

import msgspec
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    ForeignKey,
    Integer,
    Row,
    Table,
    Text,
    delete,
    func,
    select,
    update,
)

from entrepot.kernel.instants import Instant
from entrepot.storage.database import execute_rows, metadata, upsert

Kind = Literal["balance.low", "credit.low", "budget.threshold"]
DeliveryState = Literal["pending", "delivered", "failed"]
_AT_ONCE = 500  # names in one query

events = Table(
    "event", metadata,
    Column("id", Text, primary_key=True),  # "evt_" and 26 letters made of the mark
    Column("mark", Text, nullable=False, unique=True),  # what is told only once
    Column("at", BigInteger, nullable=False, index=True),
    Column("kind", Text, nullable=False),
    Column("customer", Text, nullable=False),
    Column("about", Text, nullable=False),  # one sentence for a person
    Column("data", Text, nullable=False),  # JSON for a program
)  # fmt: skip

#: Whether a balance was below its threshold when it was looked at last, and how often it went there.
thresholds = Table(
    "threshold", metadata,
    Column("subject", Text, primary_key=True),
    Column("below", Boolean, nullable=False),
    Column("crossings", Integer, nullable=False),
)  # fmt: skip

deliveries = Table(
    "webhook_delivery", metadata,
    Column("event", Text, ForeignKey("event.id"), primary_key=True),
    Column("webhook", Text, primary_key=True),
    Column("state", Text, nullable=False, index=True),
    Column("attempts", Integer, nullable=False),
    Column("next_at", BigInteger, nullable=False),  # of a pending one
    Column("tried_at", BigInteger, nullable=False),  # 0: never
    Column("answer", Text, nullable=False),  # "" or what the last attempt met: "204", "500", "timeout"
)  # fmt: skip


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """`mark` says what is told once: `budget/acme/app-day/2026-11-22/80`."""

    mark: str
    at: Instant
    kind: Kind
    customer: str
    about: str
    data: Mapping[str, object]

    @property
    def id(self) -> str:
        return f"evt_{sha256(self.mark.encode()).hexdigest()[:26]}"


def known(conn: Connection, marks: Iterable[str]) -> set[str]:
    """Which of these have been told."""
    wanted = sorted(set(marks))
    found: set[str] = set()
    for start in range(0, len(wanted), _AT_ONCE):
        query = select(events.c.mark).where(events.c.mark.in_(wanted[start : start + _AT_ONCE]))
        found.update(conn.execute(query).scalars())
    return found


def add(conn: Connection, found: Iterable[Event], webhooks: Mapping[str, Iterable[str]]) -> list[Event]:
    """Write down those that are not yet known, with a delivery for each webhook (name → kinds it wants, none for all).
    Those that are new."""
    rows = list(found)
    told = known(conn, (each.mark for each in rows))
    new = list({each.mark: each for each in rows if each.mark not in told}.values())
    for each in new:
        conn.execute(events.insert().values(
            id=each.id, mark=each.mark, at=each.at, kind=each.kind, customer=each.customer, about=each.about,
            data=json.dumps(each.data, ensure_ascii=False),
        ))  # fmt: skip
        due = [
            {
                "event": each.id, "webhook": name, "state": "pending", "attempts": 0, "next_at": each.at, "tried_at": 0,
                "answer": "",
            }
            for name, kinds in webhooks.items()
            if not (wanted := frozenset(kinds)) or each.kind in wanted
        ]  # fmt: skip
        if due:
            conn.execute(deliveries.insert(), due)
    return new


def crossings(conn: Connection, subjects: Mapping[str, bool]) -> dict[str, int]:
    """Note for each subject whether it is below now; of those that were not before, how often they went there."""
    before: dict[str, tuple[bool, int]] = {}
    names = sorted(subjects)
    for start in range(0, len(names), _AT_ONCE):
        query = select(thresholds).where(thresholds.c.subject.in_(names[start : start + _AT_ONCE]))
        before.update({row.subject: (row.below, row.crossings) for row in conn.execute(query)})
    crossed, rows = {}, []
    for name, below in subjects.items():
        was, times = before.get(name, (False, 0))
        if below == was:
            continue
        if below:
            times += 1
            crossed[name] = times
        rows.append({"subject": name, "below": below, "crossings": times})
    if rows:
        statement = upsert(conn, thresholds)
        new = {"below": statement.excluded.below, "crossings": statement.excluded.crossings}
        execute_rows(conn, statement.on_conflict_do_update(index_elements=[thresholds.c.subject], set_=new), rows)
    return crossed


def due(conn: Connection, at: Instant, most: int) -> list[tuple[Row[Any], Row[Any]]]:
    """(delivery, event) of what has to be sent now, oldest first."""
    query = (
        select(deliveries).where(deliveries.c.state == "pending", deliveries.c.next_at <= at)
        .order_by(deliveries.c.next_at, deliveries.c.event).limit(most)
    )  # fmt: skip
    rows = conn.execute(query).all()
    if not rows:
        return []
    told = {row.id: row for row in conn.execute(select(events).where(events.c.id.in_({row.event for row in rows})))}
    return [(row, told[row.event]) for row in rows]


def tried(  # noqa: PLR0917  the facts of one attempt
    conn: Connection, event: str, webhook: str, at: Instant, answer: str, state: DeliveryState, next_at: Instant
) -> bool:
    """Note an attempt; False where the delivery is not waiting any more."""
    where = (deliveries.c.event == event, deliveries.c.webhook == webhook, deliveries.c.state == "pending")
    values = {
        "attempts": deliveries.c.attempts + 1, "tried_at": at, "answer": answer, "state": state, "next_at": next_at,
    }  # fmt: skip
    return conn.execute(update(deliveries).where(*where).values(values)).rowcount > 0


def forget(conn: Connection, webhooks: Iterable[str]) -> None:
    """These are not declared any more: what waits for them is not sent."""
    where = (deliveries.c.webhook.in_(list(webhooks)), deliveries.c.state == "pending")
    conn.execute(delete(deliveries).where(*where))


def standing(conn: Connection, since: Instant) -> list[Row[Any]]:
    """Events since then that still say how it is: balances that are below their threshold now, and the highest percent
    of each budget's period. Newest first."""
    below = set(conn.execute(select(thresholds.c.subject).where(thresholds.c.below)).scalars())
    found: dict[str, Row[Any]] = {}
    query = select(events).order_by(events.c.at.desc(), events.c.id)
    for row in conn.execute(query.where(events.c.kind != "budget.threshold", events.c.customer.in_(
        [subject.removeprefix("balance/") for subject in sorted(below)]
    )).limit(_AT_ONCE)):  # fmt: skip
        found.setdefault(row.mark.rpartition("/")[0], row)
    for row in conn.execute(query.where(events.c.kind == "budget.threshold", events.c.at >= since).limit(_AT_ONCE)):
        period, _, percent = row.mark.rpartition("/")
        before = found.get(period)
        if before is None or int(percent) > int(before.mark.rpartition("/")[2]):
            found[period] = row
    return sorted(found.values(), key=lambda row: (-row.at, row.id))


def latest(conn: Connection, most: int) -> list[Row[Any]]:
    """Newest first."""
    return list(conn.execute(select(events).order_by(events.c.at.desc(), events.c.id).limit(most)))


def of_events(conn: Connection, ids: Iterable[str]) -> list[Row[Any]]:
    """The deliveries of these events."""
    return list(conn.execute(select(deliveries).where(deliveries.c.event.in_(list(ids)))))


def backlog(conn: Connection) -> list[Row[Any]]:
    """Webhook, state, how many, and since when, of what is not delivered."""
    column = deliveries.c
    query = (
        select(column.webhook, column.state, func.count().label("count"), func.min(events.c.at).label("since"),
               func.max(column.attempts).label("attempts"), func.max(column.answer).label("answer"))
        .join(events, events.c.id == column.event).where(column.state != "delivered")
        .group_by(column.webhook, column.state).order_by(column.webhook, column.state)
    )  # fmt: skip
    return list(conn.execute(query))
