"""What does the service depend on its vendors for, and what could it do without them?"""

from collections.abc import Mapping
from datetime import date
from fractions import Fraction
from operator import attrgetter

import msgspec

from entrepot.insight.concentration import hhi
from entrepot.insight.facts import BESIDE_USAGE, UNNAMED, Base, Facts, InsightError, NothingSold, Standing

#: What stands in place of a vendor for the operator's own models.
OWN = "own"


class VendorTerms(msgspec.Struct, frozen=True, kw_only=True):
    """What was agreed with a vendor, or is reported to be. Dates are the first day on which it no longer holds.
    `committed` is what is to be bought from it in the period of the facts, in units of their base; None: nothing."""

    vendor: str
    exclusive_until: date | None = None
    licence_until: date | None = None
    committed: int | None = None
    committed_until: date | None = None
    standing: Standing = "assumed"
    source: str = ""


class TermsLeft(msgspec.Struct, frozen=True, kw_only=True):
    """`exclusive` and `licence` in whole months and days from the day asked for, (0, 0) when over, None if there is no
    such date; `shortfall` is what of the commitment is not used, None where that cannot be told: a cost is not known,
    or a net view leaves out what agents' customers had of the vendor."""

    terms: VendorTerms
    exclusive: tuple[int, int] | None
    licence: tuple[int, int] | None
    shortfall: int | None


class VendorPart(msgspec.Struct, frozen=True, kw_only=True):
    """One vendor, `own` for the operator's own models. `share` is of the revenue of the whole, `cost_share` of the
    known cost; `switchable` is of its own traffic (tokens), `switchable_revenue` of its own revenue. `price_exposure`:
    points of gross margin of the whole for each point by which it raises its prices; `exposed` the same without what
    is switchable. None where nothing is known to divide by."""

    vendor: str
    revenue: int
    share: Fraction
    cost: int
    uncosted: int
    cost_share: Fraction | None
    quantity: int
    switchable: Fraction | None
    switchable_revenue: Fraction | None
    price_exposure: Fraction
    exposed: Fraction
    models: tuple[str, ...]
    terms: tuple[TermsLeft, ...] = ()


class Dependence(msgspec.Struct, frozen=True, kw_only=True):
    """`vendors` by revenue; `hhi` over cost by vendor, None without any known cost; `switchable` of all traffic of
    vendors, `unplaced` are substitutes of which no vendor is known, so that they count for nothing."""

    base: Base
    on: date
    whole: int
    cost: int
    uncosted: int
    vendors: tuple[VendorPart, ...]
    hhi: Fraction | None
    switchable: Fraction | None
    unplaced: tuple[str, ...] = ()


class _Bought(msgspec.Struct, frozen=True, kw_only=True):
    """All sales of one model of one vendor."""

    vendor: str
    model: str
    revenue: int
    cost: int
    uncosted: int
    quantity: int


def dependence(
    facts: Facts,
    substitutes: Mapping[str, tuple[str, ...]],
    terms: tuple[VendorTerms, ...],
    on: date,
    made_by: Mapping[str, str] | None = None,
) -> Dependence:
    """What rides on each vendor, how much of it could go elsewhere, and until when terms bind.

    Formula: share = R_v / ΣR; HHI = Σ (C_v / ΣC)² over cost of goods; switchable share = tokens of models that another
    vendor serves as well, or that have an approved substitute of another vendor (or an own one) / tokens of the vendor;
    price exposure = C_v / ΣR, the points of gross margin that each point of a price rise takes while customers' prices
    stay; shortfall = committed - C_v.
    Unit: of 1; amounts of the base. `made_by` names the vendors of substitutes that sold nothing ("own" for own ones).
    Bad input: NothingSold where the whole is not above zero; InsightError for a vendor called "own". A substitute of no
    known vendor counts for nothing and is named. Where a cost is not known, it is in no sum, and `uncosted` says so.
    Source: ours; HHI as for customers. IFRS 8 asks for customers only, ASC 275-10-50-18 also for suppliers.
    """
    whole = facts.total()
    if whole <= 0:
        raise NothingSold(
            f"{facts.base.money(whole)} was sold from {facts.base.starts_on} until {facts.base.until}: nothing depends "
            "on it"
        )
    rows = _rows(facts)
    places = _places(rows, made_by or {})
    away = {
        (row.vendor, row.model)
        for row in rows
        if _elsewhere(row.vendor, (row.model, *substitutes.get(row.model, ())), places)
    }
    by_vendor: dict[str, list[_Bought]] = {each.vendor: [] for each in terms}
    for row in rows:
        by_vendor.setdefault(row.vendor, []).append(row)
    cost = sum(row.cost for row in rows)
    parts = [
        _bound(_part(vendor, own, away, (whole, cost)), terms, facts.base, on) for vendor, own in by_vendor.items()
    ]
    costs = [part.cost for part in parts if part.cost > 0]
    bought = [row for row in rows if row.vendor != OWN]
    return Dependence(
        base=facts.base, on=on, whole=whole, cost=cost, uncosted=sum(part.uncosted for part in parts),
        vendors=tuple(sorted(parts, key=lambda part: (-part.revenue, part.vendor))),
        hhi=hhi(costs) if costs else None,
        switchable=_of(
            sum(row.quantity for row in bought if (row.vendor, row.model) in away), sum(row.quantity for row in bought)
        ),
        unplaced=tuple(sorted({each for others in substitutes.values() for each in others if each not in places})),
    )  # fmt: skip


def _rows(facts: Facts) -> list[_Bought]:
    sums: dict[tuple[bool, str, str], list[int]] = {}
    of = attrgetter("own", "vendor", "model", "amount", "cost", "quantity", "beside_usage")
    for own, vendor, model, amount, cost, quantity, beside in map(of, facts.sales):
        vendor = vendor or (BESIDE_USAGE if beside else UNNAMED)
        row = sums.get((own, vendor, model))
        if row is None:
            row = sums[own, vendor, model] = [0, 0, 0, 0]
        row[0] += amount
        row[1] += cost or 0
        row[2] += amount if cost is None else 0
        row[3] += quantity
    if (False, OWN) in {(own, vendor) for own, vendor, _ in sums}:
        raise InsightError(
            f"a vendor called {OWN!r} cannot be told from the operator's own models; give it another name"
        )
    return [
        _Bought(
            vendor=OWN if own else vendor, model=model, revenue=row[0], cost=row[1], uncosted=row[2],
            quantity=row[3],
        )
        for (own, vendor, model), row in sums.items()
    ]  # fmt: skip


def _places(rows: list[_Bought], made_by: Mapping[str, str]) -> dict[str, set[str]]:
    """Who serves each model; several may. Of a sale that names no vendor nobody knows where it went."""
    places = {model: {vendor} for model, vendor in made_by.items()}
    for row in rows:
        if row.model and row.vendor != UNNAMED:
            places.setdefault(row.model, set()).add(row.vendor)
    return places


def _elsewhere(vendor: str, models: tuple[str, ...], places: Mapping[str, set[str]]) -> bool:
    """Whether another vendor serves one of these models; of a vendor nobody named, one of two is another."""
    enough = 2 if vendor == UNNAMED else 1
    return any(len(places.get(model, {vendor}) - {vendor}) >= enough for model in models)


def _part(vendor: str, rows: list[_Bought], away: set[tuple[str, str]], whole: tuple[int, int]) -> VendorPart:
    revenue, cost = sum(row.revenue for row in rows), sum(row.cost for row in rows)
    quantity = sum(row.quantity for row in rows)
    free = [row for row in rows if (row.vendor, row.model) in away]
    return VendorPart(
        vendor=vendor, revenue=revenue, share=Fraction(revenue, whole[0]), cost=cost,
        uncosted=sum(row.uncosted for row in rows), cost_share=_of(cost, whole[1]), quantity=quantity,
        switchable=_of(sum(row.quantity for row in free), quantity),
        switchable_revenue=_of(sum(row.revenue for row in free), revenue),
        price_exposure=Fraction(cost, whole[0]),
        exposed=Fraction(cost - sum(row.cost for row in free), whole[0]),
        models=tuple(sorted({row.model for row in rows if row.model})),
    )  # fmt: skip


def _bound(part: VendorPart, terms: tuple[VendorTerms, ...], base: Base, on: date) -> VendorPart:
    own = tuple(_left(each, part, base, on) for each in terms if each.vendor == part.vendor)
    return msgspec.structs.replace(part, terms=own)


def _left(terms: VendorTerms, part: VendorPart, base: Base, on: date) -> TermsLeft:
    known = terms.committed is not None and not part.uncosted and base.view == "gross"
    return TermsLeft(
        terms=terms, exclusive=_until(on, terms.exclusive_until), licence=_until(on, terms.licence_until),
        shortfall=max(0, (terms.committed or 0) - part.cost) if known else None,
    )  # fmt: skip


def _until(on: date, end: date | None) -> tuple[int, int] | None:
    """Whole months and days; (0, 0) when it is over."""
    if end is None:
        return None
    if end <= on:
        return 0, 0
    months = 12 * (end.year - on.year) + end.month - on.month
    if _later(on, months) > end:
        months -= 1
    return months, (end - _later(on, months)).days


def _later(on: date, months: int) -> date:
    """The same day so many months later, or the last of a month that has none."""
    number = 12 * on.year + on.month - 1 + months
    for day in (on.day, 30, 29, 28):
        try:
            return date(number // 12, number % 12 + 1, min(day, on.day))
        except ValueError:
            continue
    raise AssertionError("every month has a 28th")


def _of(part: int, whole: int) -> Fraction | None:
    return Fraction(part, whole) if whole > 0 else None
