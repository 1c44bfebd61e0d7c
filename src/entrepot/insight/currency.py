"""How do figures of several currencies come to one?"""

from collections.abc import Iterable
from fractions import Fraction

import msgspec

from entrepot.insight.facts import Facts, InsightError, Sale, Standing
from entrepot.kernel.money import round_half_away


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


def converted(facts: Facts, into: str, scale: int, rates: Iterable[ExchangeRate]) -> Facts:
    """The same sales in another currency, in units of 10^-scale of it.

    Formula: amount × rate of its month, each sale rounded half away from zero once; costs the same.
    Unit: units of the currency asked for.
    Bad input: RateMissing names currency and month; InsightError for a rate not above zero, or two for one month.
    Source: IAS 21.40: an average rate for the period; the rates are entered with their source.
    """
    base = facts.base
    stated = msgspec.structs.replace(base, currency=into, scale=scale)
    shift = Fraction(10) ** (scale - base.scale)
    if base.currency == into:
        by_month = dict.fromkeys(facts.months(), shift)
    else:
        entered = _by_month(base.currency, into, rates)
        by_month = {month: _of(entered, month, (base.currency, into)) * shift for month in facts.months()}
    sales = tuple(_sale(sale, by_month[sale.month]) for sale in facts.sales)
    return Facts(base=stated, sales=sales, names=facts.names, inputs=facts.inputs)


def _by_month(currency: str, into: str, rates: Iterable[ExchangeRate]) -> dict[str, Fraction]:
    found: dict[str, Fraction] = {}
    for each in rates:
        if (each.currency, each.into) != (currency, into):
            continue
        if each.rate <= 0:
            raise InsightError(
                f"the rate from {currency} into {into} is {each.rate} ({each.source}); it must be above 0"
            )
        if found.setdefault(each.month, each.rate) != each.rate:
            raise InsightError(f"two rates from {currency} into {into} for {each.month or 'all months'}: keep one")
    return found


def _of(entered: dict[str, Fraction], month: str, pair: tuple[str, str]) -> Fraction:
    rate = entered.get(month, entered.get(""))
    if rate is None:
        raise RateMissing(f"no rate from {pair[0]} into {pair[1]} for {month}; enter one with its source")
    return rate


def _sale(sale: Sale, rate: Fraction) -> Sale:
    cost = None if sale.cost is None else round_half_away(sale.cost * rate)
    return msgspec.structs.replace(sale, amount=round_half_away(sale.amount * rate), cost=cost)
