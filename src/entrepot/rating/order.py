"""From usage to lines, in the one order (money-rules §4): list price with its conditions → contract price or discount →
included → steps → round the line → minimum of the period, as a line → percentages of named lines. Pure.

Provisioned throughput, commitments, credit and tax come after, where they are kept.
"""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal, Inexact

from msgspec.structs import replace

from entrepot.catalog.prices import REQUEST, Steps
from entrepot.kernel.instants import show
from entrepot.kernel.money import from_scaled, split
from entrepot.limits.budget import Period
from entrepot.pricing.agreement import Agreement
from entrepot.pricing.book import EXACT
from entrepot.rating.by_period import by_period
from entrepot.rating.covered import Covered, plain
from entrepot.rating.line import Rated, RatedLine
from entrepot.rating.piles import Heap, Pile, PileKey, in_order
from entrepot.rating.prices import PriceList, Rerating
from entrepot.rating.ranks import by_step
from entrepot.rating.usage import UsageBroken, Used, check

_NO_CARRIED: Mapping[str, str] = {}


def rate(
    customer: str,
    rows: Iterable[Used],
    agreements: Sequence[Agreement],
    period: Period,
    *,
    reratings: Sequence[Rerating] = (),
    carried: Mapping[str, str] = _NO_CARRIED,
) -> Rated:
    """A customer's period. Rows of the months before it only move the count of steps; their order, and the parts they
    come in, change nothing. `carried` says by name who carries an unrated group over, and why. Raises UsageBroken."""
    usage = list(rows)
    currency = agreements[0].currency
    heap = Heap(PriceList(agreements, period.ends_at, reratings), period)
    try:
        check(usage, currency)
        heap.add(usage)
    except UsageBroken as error:
        raise UsageBroken(f"{customer}, {error.message}") from None
    heap.spread()
    ranks = by_step(heap.piles)
    lines: list[RatedLine] = []
    for place, agreement in enumerate(agreements):
        covered = Covered(agreement, period)
        mine = _together(
            line
            for key in in_order([key for key, pile in heap.piles.items() if pile.quantity and key.contract == place])
            for line in _usage(key, heap.piles[key], covered, ranks.get(key))
        )
        mine += [_overrun(model, amount, covered) for (owner, model), amount in sorted(heap.overrun.items())
                 if owner == place]  # fmt: skip
        lines += [*mine, *by_period(mine, covered)]
    return Rated(
        customer=customer, currency=currency, starts_on=show(period.starts_at)[:10], until=show(period.ends_at)[:10],
        lines=tuple(lines), unrated=heap.unrated(carried), stale=heap.stale(), charged=heap.charged,
    )  # fmt: skip


def _usage(key: PileKey, pile: Pile, covered: Covered, ranks: list[int] | None) -> Iterable[RatedLine]:
    """The lines of one price: one, or one for each step that is reached."""
    line = RatedLine(
        key="", kind="usage", model=key.model, meter=key.meter, when=key.when, project=key.project,
        version=", ".join(f"{book}/{number}" if number else book for book, number in sorted(pile.versions)),
        basis="; ".join(sorted(pile.bases)), unit="request" if key.meter == REQUEST else "token",
        quantity=Decimal(pile.quantity), price=key.price, per=key.per, list_price=key.list_price,
        starts_at=max(covered.starts_at, pile.starts_at), ends_at=min(covered.ends_at, pile.ends_at),
        reason=key.reason, charged=pile.charged,
    )  # fmt: skip
    if key.steps is None or ranks is None:
        yield replace(line, key=_name(line, covered))
        return
    charges = split(pile.charged, ranks)
    for step, (quantity, charged) in enumerate(zip(ranks, charges, strict=True)):
        if quantity:
            price = key.steps.rows[step][1]
            part = replace(
                line, quantity=Decimal(quantity), price=price, list_price=_listed(key, price), charged=charged,
                reason=step_words(key.steps, step), because=(step_facts(key.steps, step),),
            )  # fmt: skip
            yield replace(part, key=_name(part, covered))


def _name(line: RatedLine, covered: Covered) -> str:
    """The key: what makes it a line of its own, and neither versions nor hours."""
    return " ".join(filter(None, (
        line.model, line.meter, f"({line.when})" if line.when.count else "",
        f"of {line.project}" if line.project else "", f"at {line.price:f}/{line.per}",
        f"listed {line.list_price:f}" if line.list_price is not None else "", covered.since,
    )))  # fmt: skip


def _together(lines: Iterable[RatedLine]) -> list[RatedLine]:
    """One line for one price: two steps, or the steps of two versions, may have the same."""
    found: dict[str, RatedLine] = {}
    for line in lines:
        one = found.get(line.key)
        found[line.key] = line if one is None else replace(
            one, quantity=one.quantity + line.quantity, charged=one.charged + line.charged,
            version=_joined(", ", one.version, line.version), basis=_joined("; ", one.basis, line.basis),
            reason=_joined("; ", one.reason, line.reason),
            because=tuple(dict.fromkeys((*one.because, *line.because))), starts_at=min(one.starts_at, line.starts_at),
            ends_at=max(one.ends_at, line.ends_at),
        )  # fmt: skip
    return list(found.values())


def _joined(between: str, one: str, other: str) -> str:
    return between.join(dict.fromkeys(filter(None, (*one.split(between), *other.split(between)))))


def _overrun(model: str, amount: int, covered: Covered) -> RatedLine:
    """What calls used beyond their holds is never charged: taken off again."""
    return RatedLine(
        key=" ".join(filter(None, (model, "overrun", covered.since))), kind="overrun", model=model, unit="unit",
        quantity=-plain(from_scaled(amount, covered.currency)), price=Decimal(1), per=1, starts_at=covered.starts_at,
        ends_at=covered.ends_at, reason="used beyond what was set aside for the call: not charged",
    )  # fmt: skip


def step_facts(steps: Steps, step: int) -> tuple[str, ...]:
    """("step", number, first, last or "", what counts, period)."""
    before, end = _ends(steps, step)
    return "step", str(step + 1), str(before + 1), str(end or ""), " ".join(steps.counts), steps.period


def step_words(steps: Steps, step: int) -> str:
    """`step 2: above 500,000,000 of input a month (customer)`."""
    before, end = _ends(steps, step)
    which = f"above {before:,}" if end is None else f"{before + 1:,} to {end:,}"
    return f"step {step + 1}: {which} of {' and '.join(steps.counts)} a {steps.period} ({steps.scope})"


def _ends(steps: Steps, step: int) -> tuple[int, int | None]:
    """The rank at which the step before ends, and at which this one does."""
    return (steps.rows[step - 1][0] or 0) if step else 0, steps.rows[step][0]


def _listed(key: PileKey, price: Decimal) -> Decimal | None:
    """The list price of one step, in the proportion of the dearest step's: a discount is the same on all of them."""
    if key.list_price is None or not key.price:
        return None
    try:
        return plain(EXACT.divide(EXACT.multiply(key.list_price, price), key.price))
    except Inexact:
        return None
