"""What a catalog file or a version of a book would have done to last month's bills: read here, rated by `rating`."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from msgspec.structs import replace
from sqlalchemy import Connection

from entrepot.catalog.contents import Catalog
from entrepot.catalog.difference import difference, merged
from entrepot.catalog.file import CatalogFile, read
from entrepot.catalog.prices import BookVersion
from entrepot.control.problem import NotFound
from entrepot.keeper.state import standing
from entrepot.kernel.instants import Instant, show
from entrepot.kernel.money import show_minor
from entrepot.limits.budget import Period, period_of
from entrepot.metering.stretches import Cut, Stretches, from_rollup
from entrepot.metering.tables import used_between
from entrepot.pricing.publication import check
from entrepot.rating.effect import Effect, costs, effects, sample
from entrepot.rating.usage import Used, used

LINES_SHOWN = 200  # prices of one customer; the sums count all of them


class Basis(NamedTuple):
    """The usage that is looked at: a month's, by customer and by vendor, or a sample."""

    period: Period
    sample: bool
    usage: Mapping[str, list[Used]]
    bought: Mapping[str, list[Used]]


def of_file(connection: Connection, text: str, name: str, now: Instant) -> dict[str, Any]:
    """The effect of a catalog file. Raises CatalogBroken."""
    before = standing(connection)
    file = read(text, name)
    check(file, before, now, used_between(connection))
    after = merged(before, file.catalog, now)
    return _effect(connection, before, after, _instant(before, file, now), now)


def of_version(connection: Connection, book: str, number: int, now: Instant) -> dict[str, Any]:
    """The effect of a version that is published, against the house without it."""
    after = standing(connection)
    version = next((each for each in after.book(book) if each.number == number), None)
    if version is None:
        known = ", ".join(str(each.number) for each in after.book(book))
        why = f"book {book!r} has versions {known}" if known else f"there is no book {book!r}"
        raise NotFound(f"{why}; entrepot book list shows them all")
    before = replace(after, versions=tuple(each for each in after.versions if each.id != version.id))
    return _effect(connection, before, after, version.valid_from, now)


def _instant(before: Catalog, file: CatalogFile, now: Instant) -> Instant:
    """When everything that the file changes holds."""
    changed = [each.value for each in difference(before, file.catalog)]
    starts = [each.valid_from for each in changed if isinstance(each, BookVersion)]
    for customer in file.catalog.customers.values():
        known = before.customers.get(customer.id)
        if known is None or known.contracts != customer.contracts:
            starts += [each.starts_at for each in customer.contracts]
    return max([now, *starts])


def _effect(connection: Connection, before: Catalog, after: Catalog, at: Instant, now: Instant) -> dict[str, Any]:
    basis = _basis(connection, after, now)
    found = [
        *effects(before, after, at, basis.usage, basis.period),
        *costs(before, after, at, basis.bought, basis.period),
    ]
    return {
        "month": basis.period.name,
        "sample": basis.sample,
        "prices_of": show(at),
        "effects": [effect_facts(each) for each in found],
        "customers_looked_at": len(basis.usage),
    }


def _basis(connection: Connection, catalog: Catalog, now: Instant) -> Basis:
    """Last month's usage; where there is none this month's so far, and where nothing was used yet a sample."""
    this = period_of("month", now)
    by_hour = any(row.when.hours for row in _rows(catalog))
    for period in (period_of("month", this.starts_at - 1), this):
        cut = Cut(starts=(period.starts_at,), until=period.ends_at, by_hour=by_hour)
        found = from_rollup(connection, cut)
        if found:
            return Basis(
                period, False, _by("customer", found), _by("vendor", from_rollup(connection, cut, billed=True))
            )
    usage = {name: sample(catalog, name, this) for name in catalog.customers}
    bought: dict[str, list[Used]] = {}
    for row in {each for rows in usage.values() for each in rows}:
        bought.setdefault(row.vendor, []).append(row)
    return Basis(this, True, usage, bought)


def _rows(catalog: Catalog) -> Iterable[Any]:
    yield from (row for each in catalog.versions for row in each.rows)
    yield from (row for each in catalog.customers.values() for contract in each.contracts for row in contract.rows)


def _by(dimension: str, found: Stretches) -> dict[str, list[Used]]:
    groups: dict[str, Stretches] = {}
    for key, sums in found.items():
        groups.setdefault(getattr(key, dimension), {})[key] = sums
    return {name: used(groups[name].items()) for name in sorted(groups) if name}


def effect_facts(effect: Effect) -> dict[str, Any]:
    """Money as plain digits, the lines that do most."""
    amounts = {"before": effect.before_minor, "after": effect.after_minor, "change": effect.change_minor}
    return {
        "kind": effect.kind,
        "name": effect.name,
        "currency": effect.currency,
        **{name: show_minor(minor, effect.currency) for name, minor in amounts.items()},
        "unpriced": list(effect.unpriced),
        "lines": [
            {
                "name": each.name, "quantity": f"{each.quantity:f}", "before": each.before, "after": each.after,
                "change": show_minor(each.change_minor, effect.currency),
            }
            for each in effect.lines[:LINES_SHOWN]
        ],
        "more_lines": max(0, len(effect.lines) - LINES_SHOWN),
    }  # fmt: skip
