"""Sums of usage over some hours, without the versions of prices: what other prices would have made of it."""

from typing import Any

from sqlalchemy import ColumnElement, Connection, func, select

from entrepot.kernel.buckets import BUCKETS
from entrepot.kernel.instants import DAY, Instant
from entrepot.metering.rollup import NO_SUMS, RollupKey, RollupSums
from entrepot.metering.tables import rollup

#: What a price may depend on, beside the hour of the day.
_KEPT = ("customer", "project", "model", "vendor", "zone", "service_tier", "bracket")
_SUMS = ("attempts", "calls", *BUCKETS, *(f"billed_{name}" for name in BUCKETS))


def sums_between(
    conn: Connection, from_: Instant, until: Instant, *, hours: bool = False
) -> dict[RollupKey, RollupSums]:
    """Groups of the rollup in [from_, until), each at the first hour; with `hours` at the hour of the first day that
    their hour of the day is. Amounts, versions and everything else that no price depends on are left out."""
    hour: ColumnElement[Any] = rollup.c.hour % DAY
    columns = [rollup.c[name] for name in _KEPT] + ([hour.label("of_day")] if hours else [])
    query = select(*columns, *(func.sum(rollup.c[name]).label(name) for name in _SUMS))
    query = query.where(rollup.c.hour >= from_, rollup.c.hour < until).group_by(*columns)
    return dict(_group(row, from_ - from_ % DAY + row.of_day if hours else from_) for row in conn.execute(query))


def _group(row: Any, hour: Instant) -> tuple[RollupKey, RollupSums]:
    kept = {name: getattr(row, name) for name in _KEPT}
    key = RollupKey(**{**dict.fromkeys(RollupKey._fields, ""), **kept, "hour": hour})
    return key, NO_SUMS._replace(
        attempts=int(row.attempts), calls=int(row.calls), charged=_counts(row, ""), billed=_counts(row, "billed_")
    )


def _counts(row: Any, prefix: str) -> Any:
    return tuple(int(getattr(row, f"{prefix}{name}")) for name in BUCKETS)
