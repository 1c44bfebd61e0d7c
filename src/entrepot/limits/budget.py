"""A budget: how much money of its balance a customer, a project or a key may use in a day, a month, or in all."""

from datetime import timedelta
from typing import NamedTuple

import msgspec

from entrepot.catalog.contents import Per
from entrepot.kernel.instants import DAY, Instant, day_of, from_datetime, parse, to_datetime

#: A period without an end ends here: after every instant that a clock will show.
NEVER: Instant = 1 << 62


class Budget(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """`id` is unique in its customer and stays when the amount changes. Without project and key it is the customer's.

    A hard budget refuses what would exceed it; a soft one only tells. `warn_at` are percents of the amount, ascending.
    Fields are only ever appended: it stands in snapshots as it is.
    """

    id: str
    project: str = ""
    key: str = ""
    per: Per
    amount: int  # ledger units of the customer's currency
    hard: bool
    warn_at: tuple[int, ...] = ()

    def covers(self, project: str, key: str) -> bool:
        """Whether a call of this project and key counts against it."""
        return self.project in ("", project) and self.key in ("", key)

    def lease_id(self, customer: str, at: Instant) -> str:
        """What a call admitted at `at` draws on: no customer, budget or period has a slash in its name."""
        return f"{customer}/budget/{self.id}/{period_of(self.per, at).name}"


class Period(NamedTuple):
    """One period of a budget, [starts_at, ends_at), and its name: `2026-11-22`, `2026-11` or `total`."""

    name: str
    starts_at: Instant
    ends_at: Instant


def period_of(per: Per, at: Instant) -> Period:
    """The UTC period that holds `at`."""
    if per == "total":
        return Period("total", 0, NEVER)
    start = day_of(at)
    day = to_datetime(start)
    if per == "day":
        return Period(f"{day:%Y-%m-%d}", start, start + DAY)
    first = day.replace(day=1)
    following = (first + timedelta(days=32)).replace(day=1)
    return Period(f"{day:%Y-%m}", from_datetime(first), from_datetime(following))


def budget_of(lease: str) -> tuple[str, str, str] | None:
    """(customer, budget, period) of a budget's lease id; None: it is a balance's."""
    customer, mark, rest = lease.partition("/budget/")
    budget, _, period = rest.partition("/")
    return (customer, budget, period) if mark else None


def following(lease: str) -> tuple[str, Instant]:
    """(lease id of the next period, when this one ends); ("", NEVER) for a balance and for a period without an end."""
    found = budget_of(lease)
    if found is None or found[2] == "total":
        return "", NEVER
    customer, budget, name = found
    per: Per = "day" if len(name) == len("2026-11-22") else "month"
    period = period_of(per, parse(name if per == "day" else f"{name}-01"))
    return f"{customer}/budget/{budget}/{period_of(per, period.ends_at).name}", period.ends_at
