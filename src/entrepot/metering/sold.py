"""Usage as measures of the business need it: what was sold to whom, through whom, over stretches of time.

The same sums come from groups of a journal's tail (`from_groups`) and from the lake (`storage.sold.sql`).
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from entrepot.kernel.instants import Instant
from entrepot.metering.rollup import RollupKey, RollupSums
from entrepot.metering.stretches import Cut


class SoldKey(NamedTuple):
    """By what it is told apart."""

    customer: str
    project: str
    deployment: str
    model: str
    vendor: str
    zone: str
    currency: str
    cost_currency: str
    stretch: Instant


class SoldSums(NamedTuple):
    """What is added up. `calls` are attempts of which the customer pays for something, `quantity` the tokens that it
    pays for, `uncosted` attempts whose cost is not known."""

    calls: int
    quantity: int
    charge: int
    cost: int
    uncosted: int

    def plus(self, other: "SoldSums") -> "SoldSums":
        return SoldSums(*(a + b for a, b in zip(self, other, strict=True)))


Sold = dict[SoldKey, SoldSums]


def add(found: Sold, more: Iterable[tuple[SoldKey, SoldSums]]) -> None:
    for key, sums in more:
        found[key] = found[key].plus(sums) if key in found else sums


def from_groups(groups: Mapping[RollupKey, RollupSums], cut: Cut) -> Sold:
    """Of groups by the hour."""
    found: Sold = {}
    for key, sums in groups.items():
        stretch, _ = cut.of(key.customer, key.hour)
        add(found, [(
            SoldKey(
                key.customer, key.project, key.deployment, key.model, key.vendor, key.zone, key.currency,
                key.cost_currency, stretch,
            ),
            SoldSums(sums.calls, sum(sums.charged), sums.charge, sums.cost, sums.uncosted),
        )])  # fmt: skip
    return found


def from_lake(rows: Iterable[tuple[Any, ...]]) -> Sold:
    """Rows of `sold.sql`."""
    return {
        SoldKey._make((*names, int(stretch))): SoldSums(
            int(calls), int(quantity), int(charge), int(cost), int(uncosted)
        )
        for *names, stretch, calls, quantity, charge, cost, uncosted in rows
    }
