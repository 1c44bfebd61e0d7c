"""Money as integers in an account's scale, prices as Decimal.

Balances, leases, ledger entries and the charges of calls are integers in the scale of their currency; the scale is
fixed when an account is opened. Sums are Python integers and cannot overflow.
"""

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from math import lcm

from entrepot.kernel.errors import EntrepotError, Fault

#: Decimal places of one unit of the ledger, per currency: int64 then holds at least 3 bn USD of each.
SCALES = {
    "USD": 9, "EUR": 9, "GBP": 9, "CHF": 9, "AUD": 9, "CAD": 9, "NZD": 9, "SGD": 9, "SEK": 9, "NOK": 9, "DKK": 9,
    "PLN": 9, "CZK": 9, "BRL": 9, "MXN": 9, "CNY": 9, "INR": 9, "AED": 9, "KWD": 9,
    "JPY": 7, "HUF": 7, "KRW": 5, "IDR": 5, "VND": 5,
}  # fmt: skip

#: Decimal places on a document (ISO 4217), where they are not two. One table per release: CLDR differs for some.
_MINOR = {"JPY": 0, "KRW": 0, "VND": 0, "KWD": 3}


class MoneyError(EntrepotError):
    """A currency we do not keep, or an amount finer than its scale."""

    code = "money_not_representable"
    fault = Fault.CALLER


def scale_of(currency: str) -> int:
    """Decimal places of the ledger unit of `currency`. Raises MoneyError for a currency we do not keep."""
    try:
        return SCALES[currency]
    except KeyError:
        raise MoneyError(f"currency {currency!r} is not kept here; known are {', '.join(sorted(SCALES))}") from None


def to_scaled(amount: Decimal, currency: str) -> int:
    """Exact integer of `amount`; raises MoneyError where the scale cannot hold it."""
    scale = scale_of(currency)
    if not amount.is_finite():
        raise MoneyError(f"{amount} is not an amount of money")
    sign, digits, exponent = amount.as_tuple()
    assert isinstance(exponent, int)
    shift, number = exponent + scale, int(Decimal((0, digits, 0)))
    if shift >= 0:
        if shift > 60:
            raise MoneyError(f"{amount} {currency} is beyond what an account can hold")
        scaled: int = number * 10**shift
    else:  # by no more than its own digits: 1E-99999999 is not to be worked out to see that it is too fine
        scaled, rest = divmod(number, 10 ** min(-shift, len(digits)))
        if rest:
            raise MoneyError(f"{amount} {currency} is finer than the ledger unit, 10^-{scale} {currency}")
    return -scaled if sign else scaled


def from_scaled(scaled: int, currency: str) -> Decimal:
    """The exact Decimal of a ledger integer."""
    return Decimal(f"{scaled}E-{scale_of(currency)}")


def show(scaled: int, currency: str, *, places: int = 0) -> str:
    """Exact plain digits without trailing zeros, at least `places` after the point: `0.0000133`, `5.00`."""
    scale = scale_of(currency)
    sign = "-" if scaled < 0 else ""
    whole, part = divmod(abs(scaled), 10**scale)
    fraction = f"{part:0{scale}d}".rstrip("0").ljust(places, "0")
    return f"{sign}{whole:,}.{fraction}" if fraction else f"{sign}{whole:,}"


def minor_digits(currency: str) -> int:
    """Decimal places of an amount in this currency on a document. Raises MoneyError."""
    scale_of(currency)
    return _MINOR.get(currency, 2)


def round_half_away(exact: Fraction) -> int:
    """The nearest integer; halves go away from zero, as commerce rounds."""
    whole, rest = divmod(abs(exact), 1)
    rounded = int(whole) + (2 * rest >= 1)
    return -rounded if exact < 0 else rounded


def tax_on(net_minor: int, percent: Decimal) -> int:
    """The tax of a document's rate on what it taxes, in minor units, rounded once."""
    return round_half_away(Fraction(net_minor) * Fraction(percent) / 100)


def net_of(gross_minor: int, percent: Decimal) -> int:
    """The largest net amount that with its tax, rounded as on a document, is not above `gross_minor` (at least 0).

    Not every gross amount can be reached: at 19 % there is no net to 1.03, 0.86 makes 1.02 and 0.87 makes 1.04.
    """
    fits = int(Fraction(gross_minor) * 100 / (100 + Fraction(percent)))  # one more may, its tax rounded down
    return fits + (fits + 1 + tax_on(fits + 1, percent) <= gross_minor)


def show_minor(minor: int, currency: str) -> str:
    """Plain digits of a document's amount, no grouping: `1234.50`, `-0.05`, `1234` for yen."""
    digits = minor_digits(currency)
    whole, part = divmod(abs(minor), 10**digits)
    return f"{'-' if minor < 0 else ''}{whole}" + (f".{part:0{digits}d}" if digits else "")


def split(whole: int, weights: Sequence[Fraction | int]) -> list[int]:
    """`whole` in parts as these weights, whole numbers that add up to it: each its share rounded down, and what is left
    to the largest remainders, of equal ones to the first. Without any weight the first gets everything."""
    total = sum(weights)
    if not total:
        return [whole, *([0] * (len(weights) - 1))] if weights else []
    if isinstance(total, Fraction):  # the same weights as whole numbers
        common = lcm(*(weight.denominator for weight in weights))
        weights = [int(weight * common) for weight in weights]
        total = sum(weights)
    parts = [whole * weight // total for weight in weights]
    order = sorted(range(len(parts)), key=lambda i: (-abs(whole * weights[i] % total), i))
    for i in order[: whole - sum(parts)]:
        parts[i] += 1
    return parts
