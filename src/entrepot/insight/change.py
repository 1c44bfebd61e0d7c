"""Why is the revenue another one than before: more sold, dearer, or something else sold?"""

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from operator import attrgetter
from typing import Final

import msgspec

from entrepot.insight.facts import Base, Dimension, Facts, named


class ChangePart(msgspec.Struct, frozen=True, kw_only=True, gc=False):
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
_Thing = tuple[object, ...]


def change(before: Facts, after: Facts, by: Dimension) -> Change:
    """The change of revenue from one period to the next, split into volume, price and mix, new and gone names.

    Formula: over things i (product and model) of names that are in both periods, with Q = Σq and g = Q1/Q0:
    volume = (g - 1) p0 q0, price = (p1 - p0) q1, mix = p0 (q1 - g q0); a thing that a name begins or ends to buy is
    mix. Names that were not there before are `new`, those that are no longer there `gone`, with all their amount.
    Unit: units of the base; volume of a name and price of a thing are rounded half away from zero, mix is the rest, so
    that the parts add up to the change exactly. Quantities are tokens.
    Bad input: BasesMixed for two bases or periods of unequal length. What has an amount and no quantity is `unsplit`.
    Source: Horngren, Datar, Rajan, Cost Accounting, ch. 14: sales-quantity, sales-mix and selling-price variance.
    """
    before.base.before(after.base)
    first, then = _things(before, by), _things(after, by)
    growth = _growth(first, then)
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


#: Amount and quantity of each thing that one name bought.
_Sold = Mapping[_Thing, Sequence[int]]
_NONE: Final = (0, 0)


def _things(facts: Facts, by: Dimension) -> dict[str, dict[_Thing, list[int]]]:
    sums: dict[tuple[object, ...], list[int]] = {}
    keys = attrgetter(by, "customer", "product", "model", "own", "beside_usage", "amount", "quantity")
    for key, customer, product, model, own, beside, amount, quantity in map(keys, facts.sales):
        place = (key or customer if by == "group" else key, beside, product, model, own)
        row = sums.get(place)
        if row is None:
            sums[place] = [amount, quantity]
        else:
            row[0] += amount
            row[1] += quantity
    found: dict[str, dict[_Thing, list[int]]] = {}
    for (key, beside, *thing), row in sums.items():
        same = found.setdefault(named(key, by, beside_usage=bool(beside)), {}).setdefault(tuple(thing), [0, 0])
        same[0] += row[0]
        same[1] += row[1]
    return found


def _growth(first: Mapping[str, _Sold], then: Mapping[str, _Sold]) -> Fraction:
    """Of the quantity of all names that are in both periods."""
    sold_first = sold_then = 0
    for name in first.keys() & then.keys():
        for _, (_, quantity_first), (_, quantity_then) in _measured(first[name], then[name]):
            sold_first, sold_then = sold_first + quantity_first, sold_then + quantity_then
    return Fraction(sold_then, sold_first) if sold_first else Fraction(1)


def _measured(first: _Sold, then: _Sold) -> Iterator[tuple[_Thing, Sequence[int], Sequence[int]]]:
    """Things with a quantity wherever they have an amount, so that a price per token can be told."""
    for thing in first.keys() | then.keys():
        was, now = first.get(thing, _NONE), then.get(thing, _NONE)
        if (was[1] > 0 or not (was[0] or was[1])) and (now[1] > 0 or not (now[0] or now[1])):
            yield thing, was, now


def _split(name: str, first: _Sold, then: _Sold, growth: Fraction) -> ChangePart:
    was = now = price = 0
    for _, (amount_first, quantity_first), (amount_then, quantity_then) in _measured(first, then):
        was, now = was + amount_first, now + amount_then
        if quantity_first and quantity_then:
            price += amount_then - _rounded(amount_first * quantity_then, quantity_first)
    all_was, all_now = sum(amount for amount, _ in first.values()), sum(amount for amount, _ in then.values())
    volume = _rounded((growth.numerator - growth.denominator) * was, growth.denominator)
    return ChangePart(
        name=name, before=all_was, after=all_now, volume=volume, price=price, mix=now - was - volume - price,
        unsplit=(all_now - all_was) - (now - was),
    )  # fmt: skip


def _rounded(part: int, whole: int) -> int:
    """part / whole, halves away from zero; integers all the way, as there may be ten thousand things."""
    nearest = (2 * abs(part) + whole) // (2 * whole)
    return -nearest if part < 0 else nearest


def _sum(parts: list[ChangePart]) -> ChangePart:
    fields = ("before", "after", "volume", "price", "mix", "new", "gone", "unsplit")
    return ChangePart(name="", **{field: sum(getattr(part, field) for part in parts) for field in fields})
