"""The usage of one customer as rating takes it: sums under everything that a price may depend on."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from entrepot.catalog.prices import When
from entrepot.kernel.errors import EntrepotError
from entrepot.kernel.instants import HOUR, Instant, show
from entrepot.metering.stretches import StretchKey, StretchSums

#: One number for each of METERS: the buckets, then the calls that are paid for.
Counts = tuple[int, ...]


class UsageBroken(EntrepotError):
    """Usage that no bill can be made of: negative, in another currency, outside of the contract."""

    code = "usage_broken"


class Used(NamedTuple):
    """Sums of some hours in which every price was the same: one hour, or many of one stretch (`stretches`).

    `charge` and `overrun` are ledger units: what calls took, and what they would have taken beyond their holds.
    """

    project: str
    model: str
    vendor: str
    zone: str
    tier: str
    bracket: str
    price_version: str
    currency: str
    first_hour: Instant
    last_hour: Instant
    attempts: int
    counts: Counts
    charge: int
    overrun: int
    unrated: int  # attempts with something that their price version does not name

    @property
    def when(self) -> When:
        """The conditions of these calls; their hour is said by the instant."""
        return When(tier=self.tier, zone=self.zone, request_over=int(self.bracket or 0))

    def __str__(self) -> str:
        hours = show(self.first_hour) + (f" to {show(self.last_hour)}" if self.last_hour != self.first_hour else "")
        return f"{self.model} at {self.price_version}, hour {hours}"


def used(found: Iterable[tuple[StretchKey, StretchSums]]) -> list[Used]:
    """Sums of stretches as rating takes them."""
    return [
        Used(
            project=key.project, model=key.model, vendor=key.vendor, zone=key.zone, tier=key.service_tier,
            bracket=key.bracket, price_version=key.price_version, currency=key.currency, first_hour=sums.first_hour,
            last_hour=sums.last_hour, attempts=sums.attempts, counts=(*sums.charged, sums.calls), charge=sums.charge,
            overrun=sums.overrun, unrated=sums.unrated,
        )
        for key, sums in found
    ]  # fmt: skip


def stretches(changes: Iterable[Instant], starts_at: Instant, until: Instant) -> list[Instant]:
    """Beginnings of the stretches of whole hours in which no price changes, for changes at these instants. An hour with
    a change inside is a stretch of its own."""
    cuts = {starts_at}
    for change in changes:
        hour = change - change % HOUR
        cuts.update({hour, hour + HOUR} if change % HOUR else {hour})
    return sorted(cut for cut in cuts if starts_at <= cut < until)


def check(rows: Sequence[Used], currency: str) -> None:
    """Raises UsageBroken."""
    for row in rows:
        if min(*row.counts, row.attempts, row.charge, row.overrun, row.unrated) < 0:
            raise UsageBroken(f"{row}: a quantity is negative; usage is corrected by credit notes, never below nothing")
        if row.currency != currency:
            raise UsageBroken(
                f"{row}: charged in {row.currency}, but the contract is in {currency}; one bill has one currency"
            )
