"""What applying a file would add or change. Pure: two catalogs in, a list of changes out; empty means nothing to do."""

from collections.abc import Mapping
from typing import Literal

import msgspec

from entrepot.catalog.contents import Catalog, Customer, Model, Operator, Upstream, Vendor
from entrepot.catalog.export import as_written
from entrepot.catalog.prices import BookVersion, ByPeriod, Free, Graduated, PriceRow
from entrepot.catalog.rules import day
from entrepot.kernel.instants import Instant

Noun = Literal["operator", "vendor", "upstream", "model", "book", "customer"]
Declared = Operator | Vendor | Upstream | Model | BookVersion | Customer


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is added or changed; `value` is what it becomes, `notes` say what differs."""

    do: Literal["add", "change"]
    noun: Noun
    name: str
    value: Declared
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        notes = f"   {'; '.join(self.notes)}" if self.notes else ""
        return f"{'+' if self.do == 'add' else '~'} {self.noun} {self.name}{notes}"


def difference(standing: Catalog, wanted: Catalog) -> list[Change]:
    """In the order in which they can be carried out. What `wanted` does not name stays as it stands."""
    changes: list[Change] = []
    if wanted.operator is not None and wanted.operator != standing.operator:
        do: Literal["add", "change"] = "change" if standing.operator else "add"
        name = str(wanted.operator.facts.get("name", ""))
        changes.append(Change(do=do, noun="operator", name=name, value=wanted.operator))
    changes += _section("vendor", standing.vendors, wanted.vendors)
    changes += _section("upstream", standing.upstreams, wanted.upstreams)
    changes += _section("model", standing.models, wanted.models)
    new = [each for each in wanted.versions if not any(each.says_the_same(old) for old in standing.book(each.book))]
    for version in sorted(new, key=lambda each: (each.book, each.valid_from)):
        changes.append(Change(do="add", noun="book", name=version.book, value=version, notes=_prices(version)))
    changes += _section("customer", standing.customers, wanted.customers)
    return changes


def merged(standing: Catalog, wanted: Catalog, now: Instant) -> Catalog:
    """The house as it would be with what `wanted` declares; versions get the numbers that publishing gives them."""
    versions = list(standing.versions)
    for change in difference(standing, wanted):
        if isinstance(change.value, BookVersion):
            number = max((each.number for each in versions if each.book == change.value.book), default=0) + 1
            versions.append(msgspec.structs.replace(change.value, number=number, published_at=now))
    return Catalog(
        operator=wanted.operator or standing.operator, vendors={**standing.vendors, **wanted.vendors},
        upstreams={**standing.upstreams, **wanted.upstreams}, models={**standing.models, **wanted.models},
        versions=tuple(versions), customers={**standing.customers, **wanted.customers},
    )  # fmt: skip


def _section(noun: Noun, standing: Mapping[str, Declared], wanted: Mapping[str, Declared]) -> list[Change]:
    found = []
    for name, value in wanted.items():
        before = standing.get(name)
        if before is None:
            found.append(Change(do="add", noun=noun, name=name, value=value))
        elif before != value:
            found.append(Change(do="change", noun=noun, name=name, value=value, notes=_notes(before, value)))
    return found


def _notes(before: Declared, after: Declared) -> tuple[str, ...]:
    found: list[str] = []
    for name in after.__struct_fields__:
        old, new = getattr(before, name), getattr(after, name)
        if old != new and isinstance(new, tuple) and any(isinstance(each, msgspec.Struct) for each in (*old, *new)):
            found += [f"- {name} {as_written(each)}" for each in old if each not in new]
            found += [f"+ {name} {as_written(each)}" for each in new if each not in old]
        elif old != new:
            found.append(f"{name}: {_short(old)} → {_short(new)}")
    return tuple(found)


def _short(value: object) -> str:
    text = str(value) if isinstance(value, str | int) else as_written(value)
    return text if len(text) <= 60 else f"{text[:58]} …"


def _prices(version: BookVersion) -> tuple[str, ...]:
    return (f"valid from {day(version.valid_from)}, {version.currency}", *(_row(row) for row in version.rows))


def _row(row: PriceRow) -> str:
    """`gpt-4o (tier batch) input 1.25 output 5`, or in words how its price is made."""
    prices = [f"{meter} {price:f}" for meter, price in row.prices.items()]
    steps = [f"{meter} {Graduated(each, row.per)}" for meter, each in row.steps.items()]
    share = [f"{row.percent:f} % of the price without it"] if row.percent is not None else []
    meters = [", ".join(row.meters)] if row.meters else []
    plus = [*meters, str(row.cost_plus)] if row.cost_plus is not None else []
    free = [*meters, str(Free(row.included))] if row.included else []
    period = [str(ByPeriod(row.period))] if row.period is not None else []
    when = [f"({row.when})"] if row.when.count else []
    return " ".join([row.model or row.product, *when, *prices, *steps, *share, *plus, *free, *period])
