"""Which price each group of usage has: that of the version which its calls pinned, under the contract of its hour."""

from bisect import bisect_right
from collections.abc import Sequence
from typing import NamedTuple

from msgspec.structs import replace

from entrepot.catalog.prices import METERS, BookVersion, PriceRow, Steps
from entrepot.kernel.instants import HOUR, Instant, show
from entrepot.pricing.agreement import AgreedPrice, Agreement, agreed, pins_of, version_name
from entrepot.pricing.book import changes_of
from entrepot.rating.period import anniversaries, counted_from
from entrepot.rating.usage import UsageBroken, Used, stretches

_OTHER_BOOK = "its price version is not of the contract's book"
NO_PRICE = "no price"
#: What stands behind the price of something that was used before its first price was published.
LATE = "first price published after its use"


class Rerating(NamedTuple):
    """An approved change of prices already in force: usage of [starts_at, ends_at) is priced as by this version."""

    version: str  # "list/6"
    starts_at: Instant
    ends_at: Instant


class Priced(NamedTuple):
    """The prices of a group: by meter, why others have none, and the newer version it should have known of."""

    contract: int  # place of its agreement
    prices: tuple[tuple[str, AgreedPrice], ...]
    missing: tuple[tuple[str, str], ...]  # (meter, reason)
    newer: str


class PriceList:
    """The agreements of one customer, one after the other, asked for the prices of its usage."""

    def __init__(self, agreements: Sequence[Agreement], until: Instant, reratings: Sequence[Rerating] = ()) -> None:
        self.agreements = agreements
        self._reratings = reratings
        self._until = until
        self._cuts = stretches(changes(agreements, until, reratings), 0, until)
        self._models: dict[str, list[Instant]] = {}
        self._by_hour = [hours_matter(each) for each in agreements]
        self._known: dict[tuple[object, ...], Priced] = {}

    def stretch_of(self, model: str, hour: Instant) -> int:
        """The place in time of an hour among the changes of this model's prices."""
        return bisect_right(self._cuts_of(model), hour)

    def span_of(self, model: str, hour: Instant) -> tuple[Instant, Instant]:
        """The hours around this one in which no price of the model changes."""
        cuts, place = self._cuts_of(model), self.stretch_of(model, hour)
        return cuts[place - 1], cuts[place] if place < len(cuts) else self._until

    def counted_from(self, steps: Steps, contract: int, hour: Instant) -> Instant:
        return counted_from(steps.period, hour, self.agreements[contract].starts_at)

    def version_of(self, contract: int, price: AgreedPrice) -> tuple[str, int]:
        """(book, number); a contract's own price is of the contract."""
        return (self.agreements[contract].book[0].book, price.version) if price.version else ("contract", 0)

    def _cuts_of(self, model: str) -> list[Instant]:
        found = self._models.get(model)
        if found is None:
            instants = {each.starts_at for each in self.agreements}
            for each in self.agreements:
                instants.update(changes_of(_versions(each), model))
            self._models[model] = found = sorted({0, *(each - each % HOUR for each in instants if each < self._until)})
        return found

    def of(self, row: Used) -> Priced:
        """Raises UsageBroken where no contract covers the hour."""
        place = self._place(row)
        hour = row.first_hour
        of_day = hour // HOUR % 24 if self._by_hour[place] else 0
        which = (row.model, row.vendor, row.zone, row.tier, row.bracket, row.price_version)
        key = (place, *which, bisect_right(self._cuts, hour), of_day)
        found = self._known.get(key)
        if found is None:
            self._known[key] = found = self._priced(row, place)
        return found

    def _place(self, row: Used) -> int:
        """Of the contract in whose term the hour lies: one at most, since contracts end on the hour."""
        for place, each in enumerate(self.agreements):
            if each.starts_at < row.last_hour + HOUR and (not each.ends_at or row.first_hour < each.ends_at):
                return place
        raise UsageBroken(f"{row}: {row.attempts:,} calls outside of every contract ({self._terms()}); {_WAY_OUT}")

    def _terms(self) -> str:
        return ", ".join(
            f"{show(each.starts_at) if each.starts_at else 'ever'} to {show(each.ends_at) if each.ends_at else 'ever'}"
            for each in self.agreements
        )

    def _priced(self, row: Used, place: int) -> Priced:
        agreement, hour = self.agreements[place], row.first_hour
        rerated = next((each.version for each in self._reratings if each.starts_at <= hour < each.ends_at), "")
        pinned = rerated or row.price_version
        if rerated:
            agreement = _brought_forward(agreement, rerated, hour)
        at_pinned = agreed(agreement, row.model, hour, row.when, row.vendor, pinned=pinned)
        if pinned and not {each.book for each in agreement.book} & {*pins_of(pinned)}:
            return Priced(place, (), tuple((meter, _OTHER_BOOK) for meter in METERS), "")
        moment = max(hour, min(agreement.starts_at, hour + HOUR - 1))
        current = version_name(agreement, row.model, moment, row.vendor)
        # a version that names nothing newer says the same now as when it was pinned
        now = at_pinned if current == pinned else agreed(agreement, row.model, moment, row.when, row.vendor)
        late = {meter: replace(each, basis=f"{each.basis}, {LATE}") for meter, each in now.items()
                if meter not in at_pinned}  # fmt: skip
        missing = tuple((meter, NO_PRICE) for meter in METERS if meter not in at_pinned and meter not in now)
        newer = ""
        if not rerated and any(_differ(each, now.get(meter)) for meter, each in at_pinned.items()):
            known, standing = pins_of(pinned), pins_of(current)
            if any(known.get(book, 0) < number for book, number in standing.items()):
                newer = current
        return Priced(place, tuple(sorted({**at_pinned, **late}.items())), missing, newer)


_WAY_OUT = "a contract cannot start after its usage: give it an earlier start"


def changes(agreements: Sequence[Agreement], until: Instant, reratings: Sequence[Rerating] = ()) -> set[Instant]:
    """Every instant before `until` at which a price of one of them may change, or a count of steps begins."""
    found: set[Instant] = set()
    for each in agreements:
        found.update((each.starts_at, each.ends_at))
        found.update(version.valid_from for version in _versions(each))
        if any(steps.period == "contract year" for row in _all_rows(each) for steps in row.steps.values()):
            found.update(anniversaries(each.starts_at, 0, until))
    for rerating in reratings:
        found.update((rerating.starts_at, rerating.ends_at))
    return {change for change in found if change < until}


def counted_since(agreements: Sequence[Agreement], at: Instant) -> Instant:
    """From when usage counts for the steps that hold at `at`, the beginning of a month."""
    rows = [(each, row) for each in agreements for row in _all_rows(each)]
    periods = {(each.starts_at, steps.period) for each, row in rows for steps in row.steps.values()}
    return min((counted_from(period, at, starts_at) for starts_at, period in periods), default=at)


def _brought_forward(agreement: Agreement, version: str, hour: Instant) -> Agreement:
    """As if this version had been the last to begin before the hour."""
    book = tuple(replace(each, valid_from=hour) if each.id == version else each for each in agreement.book)
    return replace(agreement, book=book)


def hours_matter(agreement: Agreement) -> bool:
    """Whether any price depends on the hour of the day."""
    return any(row.when.hours for row in _all_rows(agreement))


def _all_rows(agreement: Agreement) -> list[PriceRow]:
    return [*agreement.rows, *(row for each in _versions(agreement) for row in each.rows)]


def _versions(agreement: Agreement) -> list[BookVersion]:
    return [*agreement.book, *(version for book in agreement.costs.values() for version in book)]


def _differ(one: AgreedPrice, other: AgreedPrice | None) -> bool:
    if other is None:
        return True
    return (one.price, one.per, one.steps, one.reason) != (other.price, other.per, other.steps, other.reason)
