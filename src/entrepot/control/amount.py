"""Money and prices as JSON: exact decimal digits in a string, without separators."""

from decimal import Decimal

from entrepot.kernel.money import scale_of, show

MILLION = 1_000_000


def exact(scaled: int, currency: str) -> str:
    """Ledger units as `0.0000133`; no trailing zeros."""
    return show(scaled, currency).replace(",", "")


def per_million(rate: int, den: int, currency: str) -> str:
    """A compiled rate as the price of a million tokens, at least two decimals: `2.50`, `0.075`."""
    price = Decimal(rate * MILLION) / (Decimal(den) * Decimal(10) ** scale_of(currency))
    text = f"{price.normalize():f}"
    whole, _, part = text.partition(".")
    return f"{whole}.{part:<02}" if len(part) < 2 else text


def line_amount(quantity: int, rate: int, den: int, currency: str) -> str:
    """Quantity × price, exact: it may be finer than a ledger unit."""
    value = Decimal(quantity * rate) / (Decimal(den) * Decimal(10) ** scale_of(currency))
    return f"{value.normalize():f}"
