"""Usage as a bill needs it: by everything that a price depends on, over stretches of hours in which no price changes.

A hundred million attempts are some ten thousand groups then, where the rollup has millions. The same sums come from
the rollup (`from_rollup`), from groups of a journal's tail (`from_groups`) and from the lake (`storage.billable.sql`).
"""

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from sqlalchemy import Connection, and_, case, func, literal, select

from entrepot.kernel.buckets import BUCKETS, Quantities
from entrepot.kernel.instants import HOUR, Instant
from entrepot.metering.rollup import RollupKey, RollupSums
from entrepot.metering.tables import rollup

_SPLIT = 10**9  # sums of money in SQL go in two halves, so that no sum leaves 64 bits


class Cut(NamedTuple):
    """How the time before `until` is cut: at these beginnings (the first is where it starts), for some customers, in
    whose contracts more happens, at every hour. `by_hour`: hours of the day stay apart for everybody."""

    starts: tuple[Instant, ...]
    until: Instant
    hourly: frozenset[str] = frozenset()
    by_hour: bool = False

    def of(self, customer: str, hour: Instant) -> tuple[Instant, int]:
        """(beginning of the stretch, hour of the day or 0) for one hour."""
        of_day = hour // HOUR % 24 if self.by_hour else 0
        start = hour if customer in self.hourly else self.starts[bisect_right(self.starts, hour) - 1]
        return start, of_day

    def covers(self, hour: Instant) -> bool:
        return self.starts[0] <= hour < self.until


class StretchKey(NamedTuple):
    """What a price may depend on."""

    customer: str
    project: str
    model: str
    vendor: str
    zone: str
    service_tier: str
    bracket: str
    price_version: str
    currency: str
    stretch: Instant
    hour_of_day: int


class StretchSums(NamedTuple):
    """What is added up; the first and last hour that had any."""

    first_hour: Instant
    last_hour: Instant
    attempts: int
    charged: Quantities
    calls: int
    charge: int
    overrun: int
    unrated: int

    def plus(self, other: "StretchSums") -> "StretchSums":
        charged: Quantities = tuple(map(sum, zip(self.charged, other.charged, strict=True)))  # type: ignore[assignment]
        return StretchSums(
            min(self.first_hour, other.first_hour), max(self.last_hour, other.last_hour),
            self.attempts + other.attempts, charged, self.calls + other.calls, self.charge + other.charge,
            self.overrun + other.overrun, self.unrated + other.unrated,
        )  # fmt: skip


Stretches = dict[StretchKey, StretchSums]


def add(found: Stretches, more: Iterable[tuple[StretchKey, StretchSums]]) -> None:
    for key, sums in more:
        found[key] = found[key].plus(sums) if key in found else sums


def from_groups(groups: Mapping[RollupKey, RollupSums], cut: Cut, customer: str = "") -> Stretches:
    """Of groups by the hour; of one customer, or of all."""
    found: Stretches = {}
    for key, sums in groups.items():
        if cut.covers(key.hour) and customer in ("", key.customer):
            add(found, [(
                StretchKey(
                    key.customer, key.project, key.model, key.vendor, key.zone, key.service_tier, key.bracket,
                    key.price_version, key.currency, *cut.of(key.customer, key.hour),
                ),
                StretchSums(
                    key.hour, key.hour, sums.attempts, sums.charged, sums.calls, sums.charge, sums.overrun, sums.unrated
                ),
            )])  # fmt: skip
    return found


def from_lake(rows: Iterable[tuple[Any, ...]]) -> Stretches:
    """Rows of `billable.sql`."""
    found: Stretches = {}
    named = len(StretchKey._fields)
    for row in rows:
        first, last, attempts, *numbers = map(int, row[named:])
        charged: Quantities = tuple(numbers[: len(BUCKETS)])  # type: ignore[assignment]
        calls, charge, overrun, unrated = numbers[len(BUCKETS) :]
        found[StretchKey._make(row[:named])] = StretchSums(
            first - first % HOUR, last - last % HOUR, attempts, charged, calls, charge, overrun, unrated
        )
    return found


def from_rollup(conn: Connection, cut: Cut, customer: str = "", *, billed: bool = False) -> Stretches:
    """What the rollup has; of one customer, or of all. With `billed`, what vendors may bill in the place of what
    customers pay for."""
    column = rollup.c
    counted = [*(column[f"billed_{name}" if billed else name] for name in BUCKETS),
               column.attempts if billed else column.calls]  # fmt: skip
    inside = and_(column.hour >= cut.starts[0], column.hour < cut.until)
    if customer:
        inside = and_(inside, column.customer == customer)
    start = case(*((column.hour >= each, literal(each)) for each in reversed(cut.starts)), else_=literal(cut.starts[0]))
    if cut.hourly:
        start = case((column.customer.in_(sorted(cut.hourly)), column.hour), else_=start)
    of_day = column.hour // HOUR % 24 if cut.by_hour else literal(0)
    by = [*(column[name] for name in StretchKey._fields[:-2]), start.label("stretch"), of_day.label("hour_of_day")]
    query = select(
        *by, func.min(column.hour), func.max(column.hour), func.sum(column.attempts),
        *map(func.sum, counted),
        *(func.sum(part) for name in ("charge", "overrun") for part in (column[name] // _SPLIT, column[name] % _SPLIT)),
        func.sum(column.unrated),
    ).where(inside).group_by(*by)  # fmt: skip
    names, found = len(by), {}
    for row in conn.execute(query):
        first, last, attempts, *numbers = map(int, row[names:])
        calls, high, low, over_high, over_low, unrated = numbers[len(BUCKETS) :]
        sums = StretchSums(
            first, last, attempts, tuple(numbers[: len(BUCKETS)]), calls, high * _SPLIT + low,  # type: ignore[arg-type]
            over_high * _SPLIT + over_low, unrated,
        )  # fmt: skip
        found[StretchKey._make((*row[: names - 2], int(row[names - 2]), int(row[names - 1])))] = sums
    return found
