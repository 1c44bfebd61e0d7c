"""What is left of the revenue after what it cost?"""

from fractions import Fraction

import msgspec

from entrepot.insight.facts import Base, Dimension, Facts, NothingSold


class Margin(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """`revenue` is all of it, `uncosted` the part whose cost is not known; `margin` = revenue - uncosted - cost, and
    `rate` the margin of the costed revenue, None where that is not above zero."""

    name: str
    revenue: int
    cost: int
    margin: int
    uncosted: int
    rate: Fraction | None


class Margins(msgspec.Struct, frozen=True, kw_only=True):
    """`parts` by margin, largest first, ties by name; `whole` adds them up."""

    base: Base
    by: Dimension
    parts: tuple[Margin, ...]
    whole: Margin


def margins(facts: Facts, by: Dimension) -> Margins:
    """Revenue, cost and margin of each name of a cut.

    Formula: margin = Σ (R_i - C_i) over sales whose cost is known; rate = margin / Σ R_i over the same.
    Unit: units of the base; the rate of 1. An unknown cost is never 0: its revenue is `uncosted`.
    Bad input: NothingSold without any sale. The rate is None where no costed revenue is above zero.
    Source: gross margin, IAS 1.103 (by function) with C as the vendor's cost of these sales, share owed on them and own
    serving cost at measured share; share and rent received from a vendor belong to no customer.
    """
    if not facts.sales:
        raise NothingSold(f"nothing was sold from {facts.base.starts_on} until {facts.base.until}: there is no margin")
    revenue, cost, uncosted = facts.by(by), facts.costs(by), facts.uncosted.by(by)
    parts = [_margin(name, amount, cost[name], uncosted.get(name, 0)) for name, amount in revenue.items()]
    parts.sort(key=lambda part: (-part.margin, part.name))
    whole = _margin("", facts.total(), sum(cost.values()), facts.uncosted.total())
    return Margins(base=facts.base, by=by, parts=tuple(parts), whole=whole)


def _margin(name: str, revenue: int, cost: int, uncosted: int) -> Margin:
    costed = revenue - uncosted
    left = costed - cost
    rate = Fraction(left, costed) if costed > 0 else None
    return Margin(name=name, revenue=revenue, cost=cost, margin=left, uncosted=uncosted, rate=rate)
