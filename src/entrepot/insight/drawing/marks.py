"""What stands in a chart: bars, lines, steps, dots, and the words beside them."""

from decimal import Decimal
from fractions import Fraction

import msgspec

from entrepot.insight.drawing.axis import Number
from entrepot.insight.facts import Standing


class Legend(msgspec.Struct, frozen=True, kw_only=True):
    """What the fills mean; a chart in another language than English brings its own words."""

    books: str = "from the books"
    reported: str = "reported"
    assumed: str = "assumed"


class Ticks(msgspec.Struct, frozen=True, kw_only=True):
    """How the numbers beside an axis are written: `times` 100 and `text` "{} %" for parts of a whole."""

    text: str = "{}"
    times: Number = 1
    decimal: str = "."
    group: str = ","

    def show(self, value: Fraction, step: Fraction) -> str:
        """With as many digits after the mark as a step needs."""
        exact, size = value * Fraction(self.times), step * Fraction(self.times)
        places = 0
        while (size * 10**places).denominator != 1 and places < 9:
            places += 1
        whole, _, part = f"{Decimal(round(abs(exact) * 10**places)).scaleb(-places):,.{places}f}".partition(".")
        number = whole.replace(",", self.group) + (self.decimal + part if part else "")
        return self.text.format(("\u2212" if exact < 0 else "") + number)


class Guide(msgspec.Struct, frozen=True, kw_only=True):
    """A line across the chart that values are read against: a threshold, an expectation."""

    name: str
    value: Number


class Bar(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    value: Number
    shown: str
    standing: Standing = "books"


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """`shown` is the text of its last value."""

    name: str
    values: tuple[Number | None, ...]
    shown: str
    standing: Standing = "books"


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """A total, or a change to the level before it."""

    name: str
    value: Number
    shown: str
    total: bool = False
    standing: Standing = "books"


class Dot(msgspec.Struct, frozen=True, kw_only=True):
    value: Number
    shown: str
    standing: Standing = "books"


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """`band` is empty or two ends."""

    name: str
    dots: tuple[Dot, ...]
    band: tuple[Number, ...] = ()
    band_name: str = ""
