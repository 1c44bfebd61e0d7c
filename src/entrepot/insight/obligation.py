"""What binds beyond the month: minima that customers owe us, what we owe vendors, and capacity that is paid for."""

from fractions import Fraction
from typing import Final

import msgspec

from entrepot.insight.facts import Base, BasesMixed, Facts, label
from entrepot.insight.fiscal import months_between
from entrepot.insight.given import Given
from entrepot.insight.who import Who, chosen

#: Months of a term without end.
ENDLESS: Final = 1200


class Minimum(msgspec.Struct, frozen=True, kw_only=True):
    """What each of `who` pays a month at least: `amount` in the currency, or `part` of what it pays now. `used`: the
    part of the minimum that its usage is worth, of one that pays the minimum. It is owed for `months_left` more months,
    also by one who leaves."""

    who: Who
    amount: Given | None = None
    part: Given | None = None
    used: Given | None = None
    months_left: int = 0


class Commitment(msgspec.Struct, frozen=True, kw_only=True):
    """What we owe a vendor a month whatever we use: `amount`, or `part` of what its sales cost us now."""

    name: str
    who: Who
    amount: Given | None = None
    part: Given | None = None
    months_left: int = ENDLESS


class LeftOut(msgspec.Struct, frozen=True, kw_only=True):
    """A commitment that was entered and cannot be reckoned with: no cost of what was bought is known, or nothing was
    `bought` in the window."""

    name: str
    amount: Given
    bought: bool


class Capacity(msgspec.Struct, frozen=True, kw_only=True):
    """Capacity that stands ready for `who` and costs `amount` a month, or `part` of what they pay now; it is not in the
    costs of the sales. As they go it is idle, and paid for, until `redeployed` of it finds other work after
    `redeployed_after` months; others then bear that cost, and no more is earned with it."""

    name: str
    who: Who
    amount: Given | None = None
    part: Given | None = None
    redeployed_after: int = ENDLESS
    redeployed: Given | None = None


class Floor(msgspec.Struct, frozen=True, kw_only=True):
    """A minimum found in facts: of one group, over the window of the facts, in scaled units."""

    group: str
    places: tuple[int, ...]
    amount: Fraction
    used: Fraction
    months_left: int


def floors_of(facts: Facts, minima: tuple[Minimum, ...], months: int) -> list[Floor]:
    """One per group. Raises NameUnknown, and BasesMixed where two minima are said of the same group."""
    found: dict[str, Floor] = {}
    for minimum in minima:
        places: dict[str, list[int]] = {}
        for place in chosen(facts, minimum.who):
            places.setdefault(label(facts.sales[place], "group"), []).append(place)
        for group, own in places.items():
            if group in found:
                raise BasesMixed(f"two minima are said of {group}; say one, or name what each is for")
            now = sum(facts.sales[place].amount for place in own)
            amount = monthly(minimum.amount, minimum.part, Fraction(now), facts) * (months if minimum.amount else 1)
            used = amount * minimum.used.exact() if minimum.used else Fraction(0)
            found[group] = Floor(group=group, places=tuple(own), amount=max(amount, Fraction(0)), used=used,
                                 months_left=minimum.months_left)  # fmt: skip
    return list(found.values())


def monthly(amount: Given | None, part: Given | None, now: Fraction, facts: Facts) -> Fraction:
    """An entered amount in the base's units, or a part of what is now."""
    if amount is not None:
        return amount.exact() * int(10**facts.base.scale)
    return part.exact() * now if part is not None else Fraction(0)


def months_of(base: Base) -> int:
    """Months that the window touches; a part of one counts as one."""
    return max(1, len(months_between(base.starts_on[:7], base.until[:7])) + (base.until[8:] != "01"))
