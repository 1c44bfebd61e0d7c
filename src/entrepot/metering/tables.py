"""Usage in the database: stream positions, the rollup, the unrated list, refusals, the manifest of the lake."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ColumnElement,
    Connection,
    Integer,
    LargeBinary,
    Select,
    Table,
    Text,
    func,
    select,
    update,
)

from entrepot.kernel.buckets import BUCKETS, Quantities
from entrepot.kernel.errors import EntrepotError, Fault
from entrepot.kernel.instants import DAY, HOUR, Instant
from entrepot.metering.rollup import Batch, RollupKey, RollupSums, Unrated
from entrepot.storage.database import metadata, put_rows, upsert

_DIMENSIONS = tuple(name for name in RollupKey._fields if name != "hour")
_NUMBERS = ("requests", "attempts", *BUCKETS, *(f"billed_{name}" for name in BUCKETS), "charge", "cost", "uncosted",
            "unrated", "calls", "overrun")  # fmt: skip
_SPLIT = 10**9  # sums of money in SQL go in two halves, so that no sum leaves 64 bits

rollup = Table(
    "usage_rollup", metadata,
    *(Column(name, Text, primary_key=True) for name in _DIMENSIONS),
    Column("hour", BigInteger, primary_key=True, index=True),
    *(Column(name, BigInteger, nullable=False) for name in _NUMBERS),
    # beyond 64 bits SQLite goes on with floats: refuse instead
    CheckConstraint(
        "typeof(charge) = 'integer' AND typeof(cost) = 'integer' AND typeof(overrun) = 'integer'",
        name="usage_rollup_whole",
    ).ddl_if(dialect="sqlite"),
)  # fmt: skip

streams = Table(
    "stream_position", metadata,
    Column("slot", Integer, primary_key=True),
    Column("epoch", Integer, primary_key=True),
    Column("segment", Integer, nullable=False),
    Column("offset", BigInteger, nullable=False),
    Column("records", BigInteger, nullable=False),
    Column("endings", BigInteger, nullable=False),
    Column("last_at", BigInteger, nullable=False),  # latest end of an attempt so far
    Column("sealed", Boolean, nullable=False),
)  # fmt: skip

unrated_list = Table(
    "unrated", metadata,
    Column("slot", Integer, primary_key=True),
    Column("epoch", Integer, primary_key=True),
    Column("seq", BigInteger, primary_key=True),
    Column("request", Text, nullable=False),
    Column("customer", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("price_version", Text, nullable=False),
    Column("admitted_at", BigInteger, nullable=False),
    Column("buckets", Text, nullable=False),  # names, comma-separated
    Column("quantities", Text, nullable=False),  # JSON
)  # fmt: skip

refusals = Table(
    "refusal", metadata,
    Column("hour", BigInteger, primary_key=True),
    Column("name", Text, primary_key=True),  # "key reason"
    Column("requests", BigInteger, nullable=False),
)  # fmt: skip

lake_files = Table(
    "lake_file", metadata,
    Column("slot", Integer, primary_key=True),
    Column("epoch", Integer, primary_key=True),
    Column("segment", Integer, primary_key=True),
    Column("path", Text, nullable=False),  # below DATA/lake
    Column("rows", BigInteger, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("sha256", LargeBinary, nullable=False),
    Column("first_at", BigInteger, nullable=False),  # earliest admission in the file; 0: no row
    Column("last_at", BigInteger, nullable=False),
)  # fmt: skip


class PositionMoved(EntrepotError):
    """Somebody else ingested this stream in the meantime; the batch must be read again."""

    code = "position_moved"
    retryable = True


class UsageQuestion(EntrepotError):
    """A dimension or state that usage is not kept by."""

    code = "usage_question"
    fault = Fault.CALLER


class StreamPosition(msgspec.Struct, frozen=True, kw_only=True):
    """How far one stream is ingested: everything before (segment, offset) is in rollup, leases and ledger."""

    slot: int
    epoch: int
    segment: int
    offset: int
    records: int
    endings: int
    last_at: Instant
    sealed: bool


class LakeFile(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the manifest: a Parquet file that counts."""

    slot: int
    epoch: int
    segment: int
    path: str
    rows: int
    size: int
    sha256: bytes
    first_at: Instant
    last_at: Instant


class UsageRow(msgspec.Struct, frozen=True, kw_only=True):
    """Sums of one group. `costs` in ledger units per currency of cost."""

    by: dict[str, str | int]
    currency: str
    requests: int
    attempts: int
    charged: Quantities
    billed: Quantities
    charge: int
    costs: dict[str, int]
    uncosted: int
    unrated: int


def positions(conn: Connection) -> dict[tuple[int, int], StreamPosition]:
    """Every stream known so far, by (slot, epoch)."""
    rows = conn.execute(select(streams))
    return {(row.slot, row.epoch): StreamPosition(**row._mapping) for row in rows}


def advance(conn: Connection, before: StreamPosition | None, after: StreamPosition) -> None:
    """Compare and set: raises PositionMoved unless the stream still stands at `before` (None: not known)."""
    values = msgspec.structs.asdict(after)
    if before is None:
        insert = upsert(conn, streams).values(**values).on_conflict_do_nothing()
        moved = conn.execute(insert.returning(streams.c.slot)).first() is not None
    else:
        change = (
            update(streams)
            .where(streams.c.slot == before.slot, streams.c.epoch == before.epoch)
            .where(streams.c.segment == before.segment, streams.c.offset == before.offset)
        )
        moved = conn.execute(change.values(**values)).rowcount == 1
    if not moved:
        raise PositionMoved(f"stream w{after.slot}-{after.epoch:06d} is no longer at {before}")


def add(conn: Connection, slot: int, epoch: int, batch: Batch) -> None:
    """Add a batch to the rollup, the unrated list and the refusals."""
    put_rows(
        conn, rollup, (*RollupKey._fields, *_NUMBERS),
        [(*key, *s[:2], *s.charged, *s.billed, *s[4:]) for key, s in sorted(batch.groups.items())], adds=True,
    )  # fmt: skip
    if batch.unrated:
        conn.execute(
            upsert(conn, unrated_list).on_conflict_do_nothing(), [_unrated_row(slot, epoch, u) for u in batch.unrated]
        )
    if batch.refused:
        insert = upsert(conn, refusals)
        conn.execute(
            insert.on_conflict_do_update(
                index_elements=[refusals.c.hour, refusals.c.name],
                set_={"requests": refusals.c.requests + insert.excluded.requests},
            ),
            [{"hour": hour, "name": name, "requests": n} for (hour, name), n in sorted(batch.refused.items())],
        )


def usage(
    conn: Connection,
    by: Sequence[str] = (),
    from_: Instant | None = None,
    until: Instant | None = None,
    state: str | None = None,
    *,
    filters: Mapping[str, str] | None = None,
) -> list[UsageRow]:
    """Sums per group of `by` (dimensions, "hour" or "day") and currency, hours in [from_, until), sorted by `by`."""
    groups = [_dimension(name) for name in by]
    currencies = (rollup.c.currency.label("_currency"), rollup.c.cost_currency.label("_cost"))
    query: Select[Any] = select(*groups, *currencies, *_totals())
    query = _narrow(query, from_, until, {**(filters or {}), **({"state": state} if state else {})})
    query = query.group_by(*groups, rollup.c.currency, rollup.c.cost_currency)
    found: dict[tuple[Any, ...], UsageRow] = {}
    for row in conn.execute(query):
        key = (*row[: len(by)], row._currency)
        now = _usage_row(dict(zip(by, row, strict=False)), row)
        found[key] = _merge(found[key], now) if key in found else now
    return [found[key] for key in sorted(found)]


def used_between(conn: Connection) -> dict[str, tuple[Instant, Instant]]:
    """Customer → the first and the last hour of its usage."""
    hour = rollup.c.hour
    query = select(rollup.c.customer, func.min(hour), func.max(hour)).group_by(rollup.c.customer)
    return {customer: (int(first), int(last)) for customer, first, last in conn.execute(query)}


def state_counts(conn: Connection, from_: Instant | None = None, until: Instant | None = None) -> dict[str, int]:
    """Attempts by state."""
    query = _narrow(select(rollup.c.state, func.sum(rollup.c.attempts)), from_, until, {}).group_by(rollup.c.state)
    return {state: int(n) for state, n in conn.execute(query)}


def last_ended(conn: Connection) -> Instant:
    """End of the latest attempt that was ingested; 0: none."""
    return int(conn.execute(select(func.max(streams.c.last_at))).scalar() or 0)


def unrated(conn: Connection, limit: int = 1000) -> list[dict[str, Any]]:
    """The unrated list, latest first."""
    query = select(unrated_list).order_by(unrated_list.c.admitted_at.desc()).limit(limit)
    return [
        {
            **row._mapping,
            "buckets": row.buckets.split(","),
            "quantities": dict(zip(BUCKETS, msgspec.json.decode(row.quantities), strict=True)),
        }
        for row in conn.execute(query)
    ]


def refused(conn: Connection, from_: Instant = 0, key: str = "") -> list[tuple[Instant, str, int]]:
    """(hour, "key reason", requests) since `from_`, of all keys or one."""
    query = select(refusals).where(refusals.c.hour >= from_ - from_ % HOUR).order_by(refusals.c.hour, refusals.c.name)
    if key:
        query = query.where(refusals.c.name.startswith(f"{key} ", autoescape=True))
    return [(row.hour, row.name, row.requests) for row in conn.execute(query)]


def rollup_rows(conn: Connection) -> dict[RollupKey, RollupSums]:
    """The whole rollup, for `verify`."""
    found = {}
    for row in conn.execute(select(rollup)):
        values = row._mapping
        found[RollupKey(**{name: values[name] for name in RollupKey._fields})] = RollupSums(
            requests=row.requests,
            attempts=row.attempts,
            charged=tuple(values[name] for name in BUCKETS),
            billed=tuple(values[f"billed_{name}"] for name in BUCKETS),
            charge=row.charge, cost=row.cost, uncosted=row.uncosted, unrated=row.unrated, calls=row.calls,
            overrun=row.overrun,
        )  # fmt: skip
    return found


def usage_digest(conn: Connection, customer: str, until: Instant) -> str:
    """SHA-256 over what the rollup has of a customer before an instant: another one where anything was added since."""
    columns = [rollup.c[name] for name in (*_DIMENSIONS, "hour", *_NUMBERS)]
    rows = conn.execute(select(*columns).where(rollup.c.customer == customer, rollup.c.hour < until))
    return hashlib.sha256(msgspec.json.encode(sorted(tuple(row) for row in rows))).hexdigest()


def manifest(conn: Connection) -> list[LakeFile]:
    """Every file of the lake that counts, oldest stream first."""
    query = select(lake_files).order_by(lake_files.c.slot, lake_files.c.epoch, lake_files.c.segment)
    return [LakeFile(**row._mapping) for row in conn.execute(query)]


def list_file(conn: Connection, file: LakeFile) -> None:
    """Add a file to the manifest; it was renamed into place and synced before."""
    conn.execute(lake_files.insert().values(**msgspec.structs.asdict(file)))


def _unrated_row(slot: int, epoch: int, u: Unrated) -> dict[str, Any]:
    return {
        **u._asdict(), "slot": slot, "epoch": epoch,
        "buckets": ",".join(BUCKETS[i] for i in u.buckets), "quantities": msgspec.json.encode(u.quantities).decode(),
    }  # fmt: skip


def _dimension(name: str) -> ColumnElement[Any]:
    if name == "day":
        return rollup.c.hour - rollup.c.hour % DAY
    if name in RollupKey._fields:
        return rollup.c[name]
    raise UsageQuestion(f"usage is not kept by {name!r}; known are {', '.join((*_DIMENSIONS, 'hour', 'day'))}")


def _totals() -> Iterable[ColumnElement[Any]]:
    for name in _NUMBERS:
        column = rollup.c[name]
        if name in ("charge", "cost"):
            yield func.sum(column // _SPLIT).label(f"{name}_high")
            yield func.sum(column % _SPLIT).label(f"{name}_low")
        else:
            yield func.sum(column).label(name)


def _narrow(
    query: Select[Any], from_: Instant | None, until: Instant | None, filters: Mapping[str, str]
) -> Select[Any]:
    if from_ is not None:
        query = query.where(rollup.c.hour >= from_)
    if until is not None:
        query = query.where(rollup.c.hour < until)
    for name, value in filters.items():
        query = query.where(_dimension(name) == value)
    return query


def _usage_row(by: dict[str, str | int], row: Any) -> UsageRow:
    values = row._mapping
    cost = int(row.cost_high) * _SPLIT + int(row.cost_low)
    return UsageRow(
        by=by, currency=row._currency, requests=int(row.requests), attempts=int(row.attempts),
        charged=tuple(int(values[name]) for name in BUCKETS),  # type: ignore[arg-type]
        billed=tuple(int(values[f"billed_{name}"]) for name in BUCKETS),  # type: ignore[arg-type]
        charge=int(row.charge_high) * _SPLIT + int(row.charge_low), costs={row._cost: cost} if cost else {},
        uncosted=int(row.uncosted), unrated=int(row.unrated),
    )  # fmt: skip


def _merge(a: UsageRow, b: UsageRow) -> UsageRow:
    return UsageRow(
        by=a.by, currency=a.currency, requests=a.requests + b.requests, attempts=a.attempts + b.attempts,
        charged=tuple(map(sum, zip(a.charged, b.charged, strict=True))),  # type: ignore[arg-type]
        billed=tuple(map(sum, zip(a.billed, b.billed, strict=True))),  # type: ignore[arg-type]
        charge=a.charge + b.charge, costs={**a.costs, **b.costs},
        uncosted=a.uncosted + b.uncosted, unrated=a.unrated + b.unrated,
    )  # fmt: skip
