"""What of a month lies in the term of one contract: the frame of the lines that are billed under it."""

from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple

from entrepot.kernel.instants import Instant, show
from entrepot.kernel.money import minor_digits, round_half_away
from entrepot.limits.budget import Period
from entrepot.pricing.agreement import Agreement
from entrepot.pricing.book import EXACT


class Covered(NamedTuple):
    """A contract in a period."""

    agreement: Agreement
    period: Period

    @property
    def currency(self) -> str:
        return self.agreement.currency

    @property
    def starts_at(self) -> Instant:
        return max(self.agreement.starts_at, self.period.starts_at)

    @property
    def ends_at(self) -> Instant:
        """Not after `starts_at`: nothing of the period is covered."""
        return min(self.agreement.ends_at or self.period.ends_at, self.period.ends_at)

    @property
    def since(self) -> str:
        """Tells the lines of a contract that begins within the period from those of the one before it; else ""."""
        began = self.agreement.starts_at
        return f"since {show(began)}" if began > self.period.starts_at else ""

    def monthly(self, amount: Decimal) -> int:
        """Minor units of an amount for a whole month, by the part of it that is covered."""
        part = Fraction(self.ends_at - self.starts_at, self.period.ends_at - self.period.starts_at)
        return round_half_away(Fraction(amount) * part * 10 ** minor_digits(self.currency))

    def units(self, minor: int) -> Decimal:
        """Minor units as an amount of the currency."""
        return Decimal(minor).scaleb(-minor_digits(self.currency), EXACT)

    def words(self, minor: int) -> str:
        return f"{self.units(minor):f} {self.currency}"


def plain(number: Decimal) -> Decimal:
    """The one way to write a number: without zeros at the end, without an exponent. Equal ones become the same."""
    short = number.normalize(EXACT)
    _, _, exponent = short.as_tuple()
    return short.quantize(Decimal(1), context=EXACT) if isinstance(exponent, int) and exponent > 0 else short
