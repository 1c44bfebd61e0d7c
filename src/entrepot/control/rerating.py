"""What a change of prices for the past comes to, customer by customer and month by month, before it is approved."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection

from entrepot.billing.tables import billed
from entrepot.catalog.contents import Catalog, Customer
from entrepot.control.effect import effect_facts
from entrepot.control.problem import Mistaken, NotFound
from entrepot.keeper.state import standing
from entrepot.kernel.instants import HOUR, Instant, hour_of, show
from entrepot.limits.budget import Period, period_of
from entrepot.metering.stretches import Cut, from_rollup
from entrepot.pricing.agreement import agreement_of
from entrepot.rating.effect import Effect, difference_of
from entrepot.rating.order import rate
from entrepot.rating.prices import Rerating, counted_since, hours_matter
from entrepot.rating.tables import reratings
from entrepot.rating.usage import used

#: Customers times months of one question: each takes some milliseconds.
MOST = 2_000


class Asked(NamedTuple):
    """Which version, for whom (nobody: everybody who pays by the book), from when until when."""

    book: str
    number: int
    customers: tuple[str, ...]
    starts_at: Instant
    ends_at: Instant

    @property
    def change(self) -> Rerating:
        return Rerating(f"{self.book}/{self.number}", self.starts_at, self.ends_at)


def effect(connection: Connection, asked: Asked, now: Instant) -> list[dict[str, Any]]:
    """Each customer and month whose bill would be another one, billed months with their invoices. Raises Mistaken where
    nobody may decide so: a prepaid customer would owe."""
    catalog = standing(connection)
    customers = _customers(catalog, asked, now)
    months = list(_months(asked))
    if len(customers) * len(months) > MOST:
        raise Mistaken(f"{len(customers)} customers times {len(months)} months are more than {MOST:,}: name some")
    found = []
    for customer in customers:
        for month in months:
            one = _effect(connection, catalog, customer, asked.change, month)
            if one.lines:
                invoices = sorted({each.number for each in billed(connection, customer.id, month.name)})
                found.append({**effect_facts(one), "month": month.name, "billed": invoices})
    dearer = [each["name"] for each in found if not each["change"].startswith("-")
              and catalog.customers[each["name"]].pays.by == "prepaid" and each["change"].strip("0.")]  # fmt: skip
    if dearer:
        raise Mistaken(
            f"{', '.join(dict.fromkeys(dearer))} paid ahead and would owe: what was used on credit that was bought is "
            "never made dearer; name the other customers"
        )
    return found


def _customers(catalog: Catalog, asked: Asked, now: Instant) -> list[Customer]:
    versions = catalog.book(asked.book)
    if not any(each.number == asked.number for each in versions):
        known = ", ".join(str(each.number) for each in versions)
        raise NotFound(f"book {asked.book!r} has versions {known}" if known else f"there is no book {asked.book!r}")
    if versions[0].buys_from:
        raise Mistaken(f"{asked.book} is what {versions[0].buys_from} charges us; only customers' prices are re-rated")
    if not asked.starts_at < asked.ends_at <= hour_of(now) + HOUR:
        raise Mistaken(
            f"{show(asked.starts_at)} to {show(asked.ends_at)} is no time that has passed: until is after from and not "
            "after now; what is to come is published"
        )
    if asked.starts_at % HOUR or asked.ends_at % HOUR:
        raise Mistaken("usage is kept by the hour: from and until are whole hours")
    for name in asked.customers:
        if name not in catalog.customers:
            raise NotFound(f"there is no customer {name!r}; entrepot customer list shows them")
    wanted = [each for each in catalog.customers.values() if not asked.customers or each.id in asked.customers]
    mine = [each for each in wanted if any(contract.book == asked.book for contract in each.contracts)]
    if not mine:
        raise Mistaken(f"none of these customers has ever paid by {asked.book}")
    return mine


def _months(asked: Asked) -> Iterable[Period]:
    at = asked.starts_at
    while at < asked.ends_at:
        period = period_of("month", at)
        yield period
        at = period.ends_at


def _effect(connection: Connection, catalog: Catalog, customer: Customer, change: Rerating, month: Period) -> Effect:
    """The month as it is rated now, and with the change decided last."""
    agreements = [agreement_of(each, catalog.versions) for each in customer.contracts]
    since = counted_since(agreements, month.starts_at)
    by_hour = any(map(hours_matter, agreements))
    cut = Cut(starts=(since,), until=month.ends_at, hourly=frozenset({customer.id}), by_hour=by_hour)
    rows = used(from_rollup(connection, cut, customer.id).items())
    before = reratings(connection).get(customer.id, ())
    changes: tuple[Sequence[Rerating], ...] = (before, (change, *before))
    old, new = (rate(customer.id, rows, agreements, month, reratings=each) for each in changes)
    return difference_of("customer", old, new)
