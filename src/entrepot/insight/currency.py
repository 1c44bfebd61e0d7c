"""How do figures of several currencies come to one?"""

from collections.abc import Iterable
from fractions import Fraction

import msgspec

from entrepot.insight.facts import InsightError, Standing
from entrepot.kernel.money import scale_of


class RateMissing(InsightError):
    """Figures of two currencies, and no exchange rate entered to bring them to one."""

    code = "exchange_rate_missing"


class ExchangeRate(msgspec.Struct, frozen=True, kw_only=True):
    """One unit of `currency` is `rate` of `into` in this month ("2026-10"; "" for every month that has none of its own:
    a constant-currency view)."""

    currency: str
    into: str
    month: str = ""
    rate: Fraction
    standing: Standing = "assumed"
    source: str = ""


def exchanged(units: int | Fraction, pair: tuple[str, str], month: str, rates: Iterable[ExchangeRate]) -> Fraction:
    """An amount of one currency in another, before it is rounded.

    Formula: amount × rate of its month; a rate that is entered the other way round is turned.
    Unit: ledger units of the first currency, then of the second.
    Bad input: RateMissing names currencies and month; InsightError for two rates of one month, with their sources.
    Source: IAS 21.40: an average rate for the period; the rates are entered with their source.
    """
    of, to = pair
    if of == to:
        return Fraction(units)
    return units * rate(pair, month, rates) * Fraction(10) ** (scale_of(to) - scale_of(of))


def rate(pair: tuple[str, str], month: str, rates: Iterable[ExchangeRate]) -> Fraction:
    """Units of the second currency for one of the first: of the month, else of every month. Raises as `exchanged`."""
    of, to = pair
    if of == to:
        return Fraction(1)
    both = [each for each in rates if {each.currency, each.into} == {of, to}]
    for wanted in (month, ""):
        for way, turned in (((of, to), False), ((to, of), True)):
            found = [each for each in both if each.month == wanted and (each.currency, each.into) == way]
            if len({each.rate for each in found}) > 1:
                told = "; ".join(each.source for each in found)
                raise InsightError(
                    f"two rates from {way[0]} to {way[1]} for {wanted or 'every month'} are entered ({told}): keep one"
                )
            if found:
                return 1 / found[0].rate if turned else found[0].rate
    raise RateMissing(
        f"there are amounts in {of} and in {to}, and no rate between them for {month}: enter one ([[exchange]] "
        f'from = "{of}", to = "{to}", month = "{month}", rate, source), then entrepot insight enter FILE'
    )
