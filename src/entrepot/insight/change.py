"""Why is the revenue another one than before: more sold, dearer, or something else sold?"""

from collections.abc import Mapping
from fractions import Fraction

import msgspec

from entrepot.insight.facts import Base, Dimension, Facts, label
from entrepot.kernel.money import round_half_away


class ChangePart(msgspec.Struct, frozen=True, kw_only=True):
    """One name: volume + price + mix + new + gone + unsplit = after - before, to the unit. `unsplit` is the change of
    what has no quantity (a minimum fee, an entered figure): no price per token can be told from it."""

    name: str
    before: int
    after: int
    volume: int = 0
    price: int = 0
    mix: int = 0
    new: int = 0
    gone: int = 0
    unsplit: int = 0

    @property
    def change(self) -> int:
        return self.after - self.before


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """`parts` by the size of their change, largest first, ties by name; `whole` adds them up."""

    before: Base
    after: Base
    by: Dimension
    parts: tuple[ChangePart, ...]
    whole: ChangePart


#: What was sold: a thing that has a price per token.
_Thing = tuple[str, str, bool]


def change(before: Facts, after: Facts, by: Dimension) -> Change:
    """The change of revenue from one period to the next, split into volume, price and mix, new and gone names.

    Formula: over things i (product and model) of names that are in both periods, with Q = Σq and g = Q1/Q0:
    volume = (g - 1) p0 q0, price = (p1 - p0) q1, mix = p0 (q1 - g q0); a thing that a name begins or ends to buy is
    mix. Names that were not there before are `new`, those that are no longer there `gone`, with all their amount.
    Unit: units of the base; volume and price are rounded half away from zero, mix is the rest, so that the parts add
    up to the change exactly. Quantities are tokens.
    Bad input: BasesMixed for two bases or periods of unequal length. What has an amount and no quantity is `unsplit`.
    Source: Horngren, Datar, Rajan, Cost Accounting, ch. 14: sales-quantity, sales-mix and selling-price variance.
    """
    before.base.before(after.base)
    first, then = _things(before, by), _things(after, by)
    both = first.keys() & then.keys()
    measured = {name: _measured(first[name], then[name]) for name in both}
    sold_first = sum(first[name].get(thing, _NONE)[1] for name, things in measured.items() for thing in things)
    sold_then = sum(then[name].get(thing, _NONE)[1] for name, things in measured.items() for thing in things)
    growth = Fraction(sold_then, sold_first) if sold_first else Fraction(1)
    parts = []
    for name in first.keys() | then.keys():
        was = sum(amount for amount, _ in first.get(name, {}).values())
        now = sum(amount for amount, _ in then.get(name, {}).values())
        if name not in first:
            parts.append(ChangePart(name=name, before=0, after=now, new=now))
        elif name not in then:
            parts.append(ChangePart(name=name, before=was, after=0, gone=-was))
        else:
            parts.append(_split(name, first[name], then[name], growth))
    parts.sort(key=lambda part: (-abs(part.change), part.name))
    return Change(before=before.base, after=after.base, by=by, parts=tuple(parts), whole=_sum(parts))


_NONE = (0, 0)
_Sold = Mapping[_Thing, tuple[int, int]]  # amount, quantity


def _things(facts: Facts, by: Dimension) -> dict[str, dict[_Thing, tuple[int, int]]]:
    found: dict[str, dict[_Thing, tuple[int, int]]] = {}
    for sale in facts.sales:
        things = found.setdefault(label(sale, by), {})
        thing = (sale.product, sale.model, sale.own)
        amount, quantity = things.get(thing, _NONE)
        things[thing] = (amount + sale.amount, quantity + sale.quantity)
    return found


def _measured(first: _Sold, then: _Sold) -> list[_Thing]:
    """Things with a quantity wherever they have an amount, so that a price per token can be told."""
    return [
        thing
        for thing in first.keys() | then.keys()
        if all(quantity > 0 or (amount, quantity) == _NONE for amount, quantity in _pair(first, then, thing))
    ]


def _pair(first: _Sold, then: _Sold, thing: _Thing) -> tuple[tuple[int, int], tuple[int, int]]:
    return first.get(thing, _NONE), then.get(thing, _NONE)


def _split(name: str, first: _Sold, then: _Sold, growth: Fraction) -> ChangePart:
    was = now = sold = 0
    price = Fraction(0)
    for thing in _measured(first, then):
        (amount_first, quantity_first), (amount_then, quantity_then) = _pair(first, then, thing)
        was, now = was + amount_first, now + amount_then
        if quantity_first and quantity_then:
            price += amount_then - Fraction(amount_first * quantity_then, quantity_first)
        sold += amount_first
    all_was, all_now = sum(amount for amount, _ in first.values()), sum(amount for amount, _ in then.values())
    volume, dearer = round_half_away((growth - 1) * sold), round_half_away(price)
    return ChangePart(
        name=name, before=all_was, after=all_now, volume=volume, price=dearer, mix=now - was - volume - dearer,
        unsplit=(all_now - all_was) - (now - was),
    )  # fmt: skip


def _sum(parts: list[ChangePart]) -> ChangePart:
    fields = ("before", "after", "volume", "price", "mix", "new", "gone", "unsplit")
    return ChangePart(name="", **{field: sum(getattr(part, field) for part in parts) for field in fields})
