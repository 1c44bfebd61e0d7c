"""A number that no book of ours says: somebody reported it, or we assume it; it never goes without saying which."""

from decimal import Decimal
from fractions import Fraction

import msgspec

from entrepot.insight.facts import Standing


class Given(msgspec.Struct, frozen=True, kw_only=True):
    """An entered number. `source` is what a reader could look up: a report with its date, or who assumed it and why."""

    value: Decimal
    standing: Standing
    source: str

    def exact(self) -> Fraction:
        return Fraction(self.value)


class Assumption(msgspec.Struct, frozen=True, kw_only=True):
    """A line of what a result rests on, as it is printed: what, how much in which unit, where from."""

    name: str
    value: str
    standing: Standing
    source: str
