"""What other prices or contracts would have made of usage that there was: money by customer, and what we pay vendors.

The same rating as that of a bill, twice: with the prices that hold at one instant before the change and after it, as if
they had held for the whole period. Pure.
"""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Literal

import msgspec
from msgspec.structs import replace

from entrepot.catalog.contents import Catalog, Contract
from entrepot.catalog.prices import METERS, BookVersion
from entrepot.catalog.standing import models_of
from entrepot.kernel.instants import Instant
from entrepot.limits.budget import Period
from entrepot.pricing.agreement import Agreement, agreement_of
from entrepot.rating.line import Rated, RatedLine, product_of
from entrepot.rating.order import rate
from entrepot.rating.usage import Used

Kind = Literal["customer", "vendor"]
Pair = tuple[Agreement | None, Agreement | None]
#: Usage of one model where nothing was used yet: a thousand calls of 1,000 tokens in, a fifth of them cached, 250 out.
SAMPLE: Mapping[str, int] = {"input": 800_000, "cached": 200_000, "output": 250_000, "request": 1_000}


class LineEffect(msgspec.Struct, frozen=True, kw_only=True):
    """One price that changes, in words; "": there is no such line."""

    name: str
    quantity: Decimal
    before: str
    after: str
    change_minor: int


class Effect(msgspec.Struct, frozen=True, kw_only=True):
    """What one customer would have paid, or we one vendor. `unpriced` is what was used and would lose its price."""

    kind: Kind
    name: str
    currency: str
    before_minor: int
    after_minor: int
    lines: tuple[LineEffect, ...] = ()
    unpriced: tuple[str, ...] = ()

    @property
    def change_minor(self) -> int:
        return self.after_minor - self.before_minor


def effects(
    before: Catalog, after: Catalog, at: Instant, usage: Mapping[str, Sequence[Used]], period: Period
) -> list[Effect]:
    """For every customer with usage whose prices at `at` are others in `after`: largest change first."""
    pairs = {
        name: (_still(_customers(before, name, at), at), _still(_customers(after, name, at), at)) for name in usage
    }
    return _effects("customer", pairs, usage, period)


def costs(
    before: Catalog, after: Catalog, at: Instant, bought: Mapping[str, Sequence[Used]], period: Period
) -> list[Effect]:
    """For every vendor whose prices at `at` are others in `after`."""
    pairs = {name: (_still(_vendors(before, name), at), _still(_vendors(after, name), at)) for name in bought}
    return _effects("vendor", pairs, bought, period)


def sample(catalog: Catalog, customer: str, period: Period) -> list[Used]:
    """Some usage of every model that the customer may call."""
    buyer = catalog.customers[customer]
    book = catalog.book(buyer.contract(period.ends_at).book)
    names = {each.model for each in buyer.deployments} or {*models_of(book, catalog.models)}
    return [_sample(catalog, model, period) for model in sorted(names & {*catalog.models})]


def _sample(catalog: Catalog, model: str, period: Period) -> Used:
    upstream = catalog.upstreams[catalog.models[model].routes[0][0]]
    return Used(
        project="default", model=model, vendor=upstream.vendor, zone=upstream.zone, tier="", bracket="",
        price_version="", currency="", first_hour=period.starts_at, last_hour=period.starts_at, charge=0, overrun=0,
        attempts=SAMPLE["request"], counts=tuple(SAMPLE.get(meter, 0) for meter in METERS), unrated=0,
    )  # fmt: skip


def _customers(catalog: Catalog, name: str, at: Instant) -> Agreement | None:
    customer = catalog.customers.get(name)
    return agreement_of(customer.contract(at), catalog.versions) if customer is not None else None


def _vendors(catalog: Catalog, vendor: str) -> Agreement | None:
    book = tuple(each for each in catalog.versions if each.buys_from == vendor)
    return replace(agreement_of(Contract(book=""), ()), book=book) if book else None


def _still(agreement: Agreement | None, at: Instant) -> Agreement | None:
    """What holds at `at`, always: versions keep their order and begin before everything."""
    if agreement is None or not any(each.valid_from <= at for each in agreement.book):
        return None
    costs = {vendor: _always(versions, at) for vendor, versions in agreement.costs.items()}
    return replace(agreement, book=_always(agreement.book, at), costs=costs, starts_at=0, ends_at=0)


def _always(versions: Iterable[BookVersion], at: Instant) -> tuple[BookVersion, ...]:
    kept = sorted((each for each in versions if each.valid_from <= at), key=lambda each: (each.valid_from, each.number))
    return tuple(replace(each, valid_from=place) for place, each in enumerate(kept))


def _effects(
    kind: Kind, agreements: Mapping[str, Pair], usage: Mapping[str, Sequence[Used]], period: Period
) -> list[Effect]:
    found = [
        _effect(kind, name, old, new, (usage[name], period))
        for name, (old, new) in agreements.items()
        if new is not None and new != old
    ]
    changed = [each for each in found if each.lines or each.unpriced]
    return sorted(changed, key=lambda each: (-abs(each.change_minor), each.name))


def _effect(
    kind: Kind, name: str, was: Agreement | None, new: Agreement, used: tuple[Sequence[Used], Period]
) -> Effect:
    rows, period = used
    usage = [row._replace(price_version="", currency=new.currency, charge=0, overrun=0, unrated=0) for row in rows]
    old = rate(name, usage, (was,), period) if was is not None else None
    return difference_of(kind, old, rate(name, usage, (new,), period))


def difference_of(kind: Kind, old: Rated | None, now: Rated) -> Effect:
    """Between two bills of the same usage."""
    return Effect(
        kind=kind, name=now.customer, currency=now.currency, before_minor=_sum(old), after_minor=_sum(now),
        lines=tuple(_lines(old, now)), unpriced=() if old is None else tuple(sorted(_unpriced(now) - _unpriced(old))),
    )  # fmt: skip


def _unpriced(rated: Rated) -> set[str]:
    return {f"{group.model} {group.meter}" for group in rated.unrated}


def _sum(rated: Rated | None) -> int:
    return sum(each.net_minor(rated.currency) for each in rated.lines) if rated is not None else 0


def _lines(old: Rated | None, now: Rated) -> list[LineEffect]:
    """What is priced otherwise, largest change first; lines of one thing at several prices are put together."""
    groups: dict[str, tuple[list[RatedLine], list[RatedLine]]] = {}
    for place, rated in enumerate((old, now)):
        for line in rated.lines if rated is not None else ():
            groups.setdefault(_named(line), ([], []))[place].append(line)
    found = []
    for name, (was, will_be) in groups.items():
        before, after = (sum(each.net_minor(now.currency) for each in lines) for lines in (was, will_be))
        said = [" then ".join(_price(each) for each in lines) for lines in (was, will_be)]
        if before != after or said[0] != said[1]:
            quantity = sum((each.quantity for each in will_be or was), Decimal(0))
            change = after - before
            found.append(LineEffect(name=name, quantity=quantity, before=said[0], after=said[1], change_minor=change))
    return sorted(found, key=lambda each: (-abs(each.change_minor), each.name))


def _named(line: RatedLine) -> str:
    if line.kind != "usage":
        return f"{product_of(line)} {line.kind}"
    return f"{line.model} {line.meter}" + (f" ({line.when})" if line.when.count else "")


def _price(line: RatedLine) -> str:
    return f"{line.price.normalize():f}" if line.per == 1 else f"{line.price.normalize():f} per {line.per:,}"
