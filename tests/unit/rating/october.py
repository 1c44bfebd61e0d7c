"""Books, agreements and usage for the tests of rating: one book, October 2026."""

from decimal import Decimal
from typing import Any

from entrepot.catalog.prices import ALWAYS, METERS, BookVersion, PriceRow, Steps, When
from entrepot.kernel.instants import HOUR, parse
from entrepot.limits.budget import Period
from entrepot.pricing.agreement import Agreement
from entrepot.rating.period import month
from entrepot.rating.usage import Used

OCTOBER: Period = month("2026-10")
START = OCTOBER.starts_at
MIDDLE = parse("2026-10-15")
TIER = When(tier="batch")


def version(number: int, valid_from: int, *rows: PriceRow, book: str = "list", **more: Any) -> BookVersion:
    return BookVersion(
        book=book, currency="EUR", valid_from=valid_from, rows=rows, number=number, published_at=valid_from, **more
    )


def row(model: str = "m", when: When = ALWAYS, **prices: str) -> PriceRow:
    return PriceRow(model=model, prices={name: Decimal(price) for name, price in prices.items()}, when=when)


def stepped(first: int, *prices: str, scope: Any = "customer", period: Any = "month", model: str = "m") -> PriceRow:
    """Input in steps of `first` each, the last without end."""
    ends = [*(first * number for number in range(1, len(prices))), None]
    rows = tuple((end, Decimal(price)) for end, price in zip(ends, prices, strict=True))
    return PriceRow(model=model, steps={"input": Steps(scope=scope, period=period, rows=rows)})


LIST = version(1, 0, row(input="2.50", output="10.00"))


def agreement(*versions: BookVersion, **more: Any) -> Agreement:
    return Agreement(book=versions or (LIST,), **more)


def sold(hour: int = 0, model: str = "m", **given: Any) -> Used:
    """Usage of one hour, counted from the month's first; counts by meter."""
    at = START + hour * HOUR
    counts = tuple(given.pop(meter, 0) for meter in METERS)
    fields: dict[str, Any] = {
        "project": "app", "vendor": "aurora", "zone": "EU", "tier": "", "bracket": "", "price_version": "list/1",
        "currency": "EUR", "first_hour": at, "last_hour": at, "attempts": 1, "charge": 0, "overrun": 0, "unrated": 0,
    }  # fmt: skip
    return Used(model=model, counts=counts, **{**fields, **given})
