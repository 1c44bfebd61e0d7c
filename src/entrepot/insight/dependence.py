"""What does the service depend on its vendors for, and what could it do without them?"""

from collections.abc import Mapping
from datetime import date
from fractions import Fraction

import msgspec

from entrepot.insight.concentration import hhi
from entrepot.insight.facts import UNNAMED, Base, Facts, NothingSold, Sale, Standing

#: What stands in place of a vendor for the operator's own models.
OWN = "own"


class VendorTerms(msgspec.Struct, frozen=True, kw_only=True):
    """What was agreed with a vendor, or is reported to be. Dates are the first day on which it no longer holds.
    `committed` is what is to be bought from it in the period of the facts, in units of their base."""

    vendor: str
    exclusive_until: date | None = None
    licence_until: date | None = None
    committed: int | None = None
    standing: Standing = "assumed"
    source: str = ""


class TermsLeft(msgspec.Struct, frozen=True, kw_only=True):
    """`exclusive` and `licence` in whole months and days from the day asked for, (0, 0) when over, None if there is no
    such date; `shortfall` is what of the commitment is not used, None where that cannot be told."""

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


class _Sums:
    """Of one vendor while its sales are added up."""

    def __init__(self) -> None:
        self.revenue = self.cost = self.uncosted = self.quantity = 0
        self.free_quantity = self.free_revenue = self.free_cost = 0
        self.models: set[str] = set()

    def add(self, sale: Sale, free: bool) -> None:
        self.revenue += sale.amount
        self.quantity += sale.quantity
        self.cost += sale.cost or 0
        self.uncosted += sale.amount if sale.cost is None else 0
        if free:
            self.free_quantity += sale.quantity
            self.free_revenue += sale.amount
            self.free_cost += sale.cost or 0
        if sale.model:
            self.models.add(sale.model)


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
    Bad input: NothingSold where the whole is not above zero. A substitute of no known vendor counts for nothing and is
    named. Where a cost is not known, it is in no sum, and `uncosted` says so.
    Source: ours; HHI as for customers. IFRS 8 asks for customers only, ASC 275-10-50-18 also for suppliers.
    """
    whole = facts.total()
    if whole <= 0:
        raise NothingSold(
            f"{whole} was sold from {facts.base.starts_on} until {facts.base.until}: nothing depends on it"
        )
    places = _places(facts, made_by or {})
    unplaced = sorted({other for others in substitutes.values() for other in others if other not in places})
    free: dict[tuple[str, str], bool] = {}
    sums: dict[str, _Sums] = {vendor: _Sums() for vendor in {each.vendor for each in terms}}
    for sale in facts.sales:
        vendor = _vendor(sale)
        key = (sale.model, vendor)
        if key not in free:
            free[key] = _elsewhere(vendor, (sale.model, *substitutes.get(sale.model, ())), places)
        sums.setdefault(vendor, _Sums()).add(sale, free[key])
    cost = sum(each.cost for each in sums.values())
    bought = [each for vendor, each in sums.items() if vendor != OWN]
    costs = [each.cost for each in sums.values() if each.cost > 0]
    parts = [_part(vendor, each, (whole, cost), tuple(_left(own, each, on) for own in terms if own.vendor == vendor))
             for vendor, each in sums.items()]  # fmt: skip
    return Dependence(
        base=facts.base, on=on, whole=whole, cost=cost, uncosted=sum(each.uncosted for each in sums.values()),
        vendors=tuple(sorted(parts, key=lambda part: (-part.revenue, part.vendor))),
        hhi=hhi(costs) if costs else None,
        switchable=_of(sum(each.free_quantity for each in bought), sum(each.quantity for each in bought)),
        unplaced=tuple(unplaced),
    )  # fmt: skip


def _vendor(sale: Sale) -> str:
    return OWN if sale.own else sale.vendor or UNNAMED


def _places(facts: Facts, made_by: Mapping[str, str]) -> dict[str, set[str]]:
    """Who serves each model; several may."""
    places = {model: {vendor} for model, vendor in made_by.items()}
    for sale in facts.sales:
        if sale.model:
            places.setdefault(sale.model, set()).add(_vendor(sale))
    return places


def _elsewhere(vendor: str, models: tuple[str, ...], places: Mapping[str, set[str]]) -> bool:
    """Whether another vendor serves one of these models."""
    return any(places.get(model, {vendor}) - {vendor} for model in models)


def _part(vendor: str, sums: _Sums, whole: tuple[int, int], terms: tuple[TermsLeft, ...]) -> VendorPart:
    revenue, cost = whole
    return VendorPart(
        vendor=vendor, revenue=sums.revenue, share=Fraction(sums.revenue, revenue), cost=sums.cost,
        uncosted=sums.uncosted, cost_share=_of(sums.cost, cost), quantity=sums.quantity,
        switchable=_of(sums.free_quantity, sums.quantity), switchable_revenue=_of(sums.free_revenue, sums.revenue),
        price_exposure=Fraction(sums.cost, revenue), exposed=Fraction(sums.cost - sums.free_cost, revenue),
        models=tuple(sorted(sums.models)), terms=terms,
    )  # fmt: skip


def _left(terms: VendorTerms, sums: _Sums, on: date) -> TermsLeft:
    known = terms.committed is not None and not sums.uncosted
    return TermsLeft(
        terms=terms, exclusive=_until(on, terms.exclusive_until), licence=_until(on, terms.licence_until),
        shortfall=max(0, (terms.committed or 0) - sums.cost) if known else None,
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
