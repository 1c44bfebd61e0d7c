"""From what the books say to facts on one base: billed lines, usage that posted revenue, figures of others. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from fractions import Fraction
from functools import lru_cache

import msgspec
from msgspec.structs import replace

from entrepot.billing.billed import TOKENS, BilledThing
from entrepot.customers.described import Described
from entrepot.insight.entries import Entered, Loaded, StatedSale
from entrepot.insight.facts import WHOLE, Base, BaseKind, Facts, InsightError, Sale, View
from entrepot.insight.spread import NOWHERE, Measured, Place, spread
from entrepot.kernel.instants import Instant, show
from entrepot.kernel.money import minor_digits, round_half_away, scale_of
from entrepot.metering.sold import Sold

_YEAR_DAYS = 365
_FREE, _UNKNOWN = Measured(0, 0, 0, 0), Measured(0, 0, 0, None)
_UNDESCRIBED = Described()


class CurrencyOpen(InsightError):
    """Sales in several currencies, and nothing says in which one the figures are wanted."""

    code = "currency_open"


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What facts are wanted: UTC dates, `until` excluded. `currency` "": the only one there is, else the operator's."""

    kind: BaseKind
    starts_on: str
    until: str
    view: View = "gross"
    currency: str = ""


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """What catalog and entered figures say of those who buy and sell. `own`: vendors that are the operator itself."""

    customers: Mapping[str, Described]
    own: frozenset[str]
    vendors: Mapping[str, tuple[str, ...]]  # model → who serves it
    currency: str  # of the operator's books; "" where none is said
    entered: Entered


def billed_sales(things: Mapping[BilledThing, int], sold: Sold, known: Known, currency: str) -> list[Sale]:
    """A sale per document, thing and place of its usage. Adds up to the documents. What usage cost stands with the
    first document of its model; where it is not known, it is not known of the amounts of any other either."""
    usage = _by_model(sold, known, currency)
    told: set[tuple[str, str, str]] = set()
    found = []
    for thing in sorted(things):
        units: int = things[thing] * 10 ** (scale_of(thing.currency) - minor_digits(thing.currency))
        amount = _exchanged(units, thing.currency, currency, thing.month, known.entered)
        of = (thing.customer, thing.model, thing.month)
        places = usage.get(of, {}) if thing.product == TOKENS else {}
        first = bool(places) and of not in told
        parts = spread(amount, places, zone=thing.zone, project=thing.project)
        if first:
            told.add(of)
            parts = {**dict.fromkeys(places, 0), **parts}
        found += [
            _sale(
                known, of, place, _of_line(thing, places.get(place, _UNKNOWN), first=first), amount=part,
                country=thing.country, product=thing.product, source=thing.number,
            )
            for place, part in parts.items()
        ]  # fmt: skip
    return found


def earned_sales(sold: Sold, known: Known, currency: str) -> list[Sale]:
    """A sale per customer, model and place in a stretch of time."""
    return [
        _sale(known, what, place, measured, amount=measured.charge, source="ledger")
        for what, places in _by_model(sold, known, currency).items()
        for place, measured in places.items()
    ]


def stated_sales(rows: Iterable[StatedSale], known: Known, asked: Asked, currency: str) -> list[Sale]:
    """What others report and what is assumed, never mixed with what the books say: a base of its own."""
    found = []
    for each in rows:
        if not asked.starts_on[:7] <= each.month < month_until(asked.until):
            continue
        amount, cost = (
            None if units is None else _exchanged(units, each.currency, currency, each.month, known.entered)
            for units in (each.amount, each.cost)
        )
        assert amount is not None
        found.append(Sale(
            month=each.month, customer=each.customer, group=each.group, industry=each.industry, country=each.country,
            product=each.product or TOKENS, model=each.model, own=each.own, vendor=each.vendor, region=each.region,
            amount=amount, cost=cost, quantity=each.quantity, standing=each.standing,
            source=f"{each.standing}: {each.source}",
        ))  # fmt: skip
    return found


def facts(asked: Asked, sales: Iterable[Sale], known: Known, currency: str, inputs: Iterable[tuple[str, str]]) -> Facts:
    """The sales on their base, net where that is asked for, at the pace of a year where a run-rate is."""
    days = 0
    if asked.kind == "run-rate":
        days = (date.fromisoformat(asked.until) - date.fromisoformat(asked.starts_on)).days
        sales = (_yearly(each, days) for each in sales)
    rows = tuple(_net(each, known.entered) for each in sales) if asked.view == "net" else tuple(sales)
    whole = ""
    if known.entered.loaded and asked.kind != "stated":
        rows = _loaded(rows, known.entered)
        whole = next((each.whole for each in known.entered.loaded if each.whole), "")
    names = {each.customer: known.customers[each.customer].name for each in rows if each.customer in known.customers}
    stated = {each.customer: each.name for each in known.entered.sale if asked.kind == "stated" and each.name}
    return Facts(
        base=Base(
            kind=asked.kind, view=asked.view, currency=currency, scale=scale_of(currency), starts_on=asked.starts_on,
            until=asked.until, window_days=days, whole=whole or WHOLE,
        ),
        sales=rows, names={name: said for name, said in sorted({**names, **stated}.items()) if said},
        inputs=tuple(inputs),
    )  # fmt: skip


def currency_of(asked: Asked, found: Iterable[str], known: Known) -> str:
    """The one that figures are in. Raises CurrencyOpen where there are several and none is chosen."""
    if asked.currency:
        scale_of(asked.currency)
        return asked.currency
    there = sorted(set(found))
    if len(there) == 1:
        return there[0]
    if not there or known.currency:
        return known.currency or "USD"
    raise CurrencyOpen(
        f"there are sales in {' and '.join(there)}: say in which the figures are wanted, --currency {there[0]}"
    )


def _of_line(thing: BilledThing, used: Measured, *, first: bool) -> Measured:
    """A minimum or a percentage costs nothing more. A second document has the same usage, whose cost stands already."""
    if thing.product != TOKENS or (used.cost is not None and not first):
        return _FREE
    return used if first else _UNKNOWN


def month_until(until: str) -> str:
    """The first month that is not asked for any more: of "2026-11-01" November, of "2026-11-15" December."""
    day = date.fromisoformat(until)
    if day.day == 1:
        return until[:7]
    return f"{day.year + day.month // 12}-{day.month % 12 + 1:02d}"


def months_between(starts_on: str, until: str) -> Iterator[str]:
    """The first of each month in [starts_on, until), and `starts_on` itself."""
    day, end = date.fromisoformat(starts_on), date.fromisoformat(until)
    while day < end:
        yield str(day)
        day = date(day.year + day.month // 12, day.month % 12 + 1, 1)


def _by_model(sold: Sold, known: Known, currency: str) -> dict[tuple[str, str, str], dict[Place, Measured]]:
    """In the order of their names: the same usage gives the same facts, however its sums came."""
    found: dict[tuple[str, str, str], dict[Place, Measured]] = {}
    for key in sorted(sold):
        sums, month = sold[key], _month(key.stretch)
        charge = _exchanged(sums.charge, key.currency, currency, month, known.entered)
        cost = None if sums.uncosted else _cost(sums.cost, key.cost_currency, currency, month, known.entered)
        place = Place(key.vendor, key.zone, key.project, key.deployment)
        places = found.setdefault((key.customer, key.model, month), {})
        more = Measured(charge, sums.quantity, sums.calls, cost)
        places[place] = places[place].plus(more) if place in places else more
    return found


def _sale(
    known: Known, what: tuple[str, str, str], place: Place, measured: Measured, *,
    amount: int, source: str, country: str = "", product: str = TOKENS,
) -> Sale:  # fmt: skip
    """Of (customer, model, month)."""
    customer, model, month = what
    said = known.customers.get(customer, _UNDESCRIBED)
    vendor = place.vendor
    if place == NOWHERE:
        served = known.vendors.get(model, ())
        vendor = served[0] if len(served) == 1 else ""
    return Sale(
        month=month, customer=customer, group=said.group, industry=said.industry, country=country or said.country,
        product=product, model=model, own=vendor in known.own, vendor=vendor, region=place.zone, project=place.project,
        deployment=place.deployment, amount=amount, cost=measured.cost, quantity=measured.quantity,
        calls=measured.calls, source=source, beside_usage=product != TOKENS,
    )  # fmt: skip


def _exchanged(units: int, of: str, to: str, month: str, entered: Entered) -> int:
    """Ledger units of one currency in those of another, half away from zero. Raises RateMissing."""
    if of == to or not units:
        return units
    return round_half_away(entered.exchanged(units, of, to, month))


def _cost(units: int, of: str, to: str, month: str, entered: Entered) -> int | None:
    """None where it is not known what was paid, never 0."""
    if not of:
        return None if units else 0
    return _exchanged(units, of, to, month, entered)


def _yearly(sale: Sale, days: int) -> Sale:
    amount, cost = (
        None if units is None else round_half_away(Fraction(units * _YEAR_DAYS, days))
        for units in (sale.amount, sale.cost)
    )
    assert amount is not None
    return replace(sale, amount=amount, cost=cost)


def _net(sale: Sale, entered: Entered) -> Sale:
    """Of what is sold as somebody's agent only the fee, at no cost: what goes on to the vendor was never ours."""
    for each in entered.agent:
        if each.customer in ("", sale.customer) and each.vendor in ("", sale.vendor):
            fee = round_half_away(sale.amount * Fraction(each.fee_percent) / 100)
            return replace(sale, amount=fee, cost=0)
    return sale


def _loaded(rows: Iterable[Sale], entered: Entered) -> tuple[Sale, ...]:
    """With the standing of what the books were loaded with: an invoice over an assumed amount is no proof of it."""
    found: dict[tuple[str, str], Loaded | None] = {}
    result = []
    for sale in rows:
        of = (sale.customer, sale.month)
        if of not in found:
            found[of] = entered.loaded_with(*of)
        said = found[of]
        if said is not None:
            sale = replace(sale, standing=said.standing, source=f"{sale.source}, {said.standing}: {said.source}")
        result.append(sale)
    return tuple(result)


@lru_cache(maxsize=4096)
def _month(at: Instant) -> str:
    return show(at)[:7]
