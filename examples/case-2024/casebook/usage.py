"""From amounts to calls: tokens whose price is the amount to the cent, spread over the month. Pure, the same each time.

A record stands for all calls of a deployment in an hour (a day, of the small ones): the four billion calls of a month,
at two cents each, would take half a day to ingest and say nothing more. Tokens, prices and money are whole; the number
of records is not the number of calls.
"""

from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction

import msgspec

from casebook.loading import Amount, Habits, Use
from entrepot.kernel.errors import EntrepotError, Fault
from entrepot.kernel.instants import DAY, HOUR, Instant, to_datetime
from entrepot.kernel.money import round_half_away, split
from entrepot.rating.period import month as month_of

#: Exact price of one token read and one written, in cents.
Price = tuple[Fraction, Fraction]
#: How busy an hour of the day is (UTC; the day of North America), and Saturday and Sunday in percent of the others.
_HOURS = (9, 8, 7, 6, 5, 4, 4, 5, 6, 8, 10, 13, 16, 19, 20, 20, 20, 19, 18, 16, 14, 13, 11, 10)
_WEEKEND_PERCENT = 60


class NotExact(EntrepotError):
    """No whole number of tokens costs this amount to the cent."""

    code = "case_amount"
    fault = Fault.CALLER


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """The calls of one deployment that begin at `at`, together."""

    at: Instant
    customer: str
    project: str
    deployment: str
    given: int  # tokens read
    made: int  # tokens written
    calls: int


class Sold(msgspec.Struct, frozen=True, kw_only=True):
    """A deployment as the catalog has it: its model, and what that costs."""

    model: str
    price: Price


def batches(
    amount: Amount, habits: Habits, place: int, sold: Callable[[str], Sold], hours: int = 1
) -> Iterator[Batch]:  # fmt: skip
    """What a customer called in a month, in the order of the deployments. `place`: of the month in the loading;
    `sold`: by deployment; `hours` that one record stands for."""
    uses = [use for use in habits.of(amount.customer) if use.percent[place]]
    parts = split(amount.cents, [use.percent[place] for use in uses])
    by_model: dict[str, list[tuple[Use, int]]] = {}
    for use, cents in zip(uses, parts, strict=True):
        by_model.setdefault(sold(use.deployment).model, []).append((use, cents))
    for rows in by_model.values():
        yield from _of_model(amount, habits, rows, sold(rows[0][0].deployment).price, hours)


def tokens_for(cents: int, price: Fraction) -> int:
    """As many tokens as cost this to the cent once their line is rounded. Raises NotExact."""
    found = round_half_away(Fraction(cents) / price)
    if round_half_away(found * price) != cents:
        raise NotExact(f"no whole number of tokens at {price} cents each comes to {cents} cents")
    return found


def _of_model(
    amount: Amount, habits: Habits, rows: Sequence[tuple[Use, int]], price: Price, hours: int
) -> Iterator[Batch]:  # fmt: skip
    """One line of tokens read and one of tokens written on the invoice, whatever deployments they came from."""
    written = round_half_away(Fraction(sum(cents for _, cents in rows) * habits.output_percent, 100))
    read = sum(cents for _, cents in rows) - written
    places = [(use, at, cents * weight) for use, cents in rows for at, weight in _moments(amount.month, use, hours)]
    weights = [weight for *_, weight in places]
    given = split(tokens_for(read, price[0]), weights)
    made = split(tokens_for(written, price[1]), weights)
    for (use, at, _), tokens, answer in zip(places, given, made, strict=True):
        yield Batch(
            at=at, customer=amount.customer, project=use.project, deployment=use.deployment, given=tokens, made=answer,
            calls=max(1, tokens // habits.tokens_per_call),
        )  # fmt: skip


def _moments(name: str, use: Use, hours: int) -> Iterator[tuple[Instant, int]]:
    """When records are written, and how much of the month's traffic comes then."""
    period = month_of(name)
    for at in range(max(period.starts_at, use.starts_at), period.ends_at, hours * HOUR):
        ends_at = min(at + hours * HOUR, period.ends_at)
        yield at, sum(_busy(hour) for hour in range(at, ends_at, HOUR))


def _busy(at: Instant) -> int:
    weight = _HOURS[at % DAY // HOUR]
    return weight * (_WEEKEND_PERCENT if to_datetime(at).weekday() >= 5 else 100)
