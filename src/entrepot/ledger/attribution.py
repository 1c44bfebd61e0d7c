"""Which grants usage has burned (money-rules §5): a pure function of the grants and of usage in the order of admission.

Usage arrives as sums between instants: each `Taken` begins where the set of grants changed, or a day or month began,
and reaches to the next one. Within such a stretch every call sees the same grants, so the order (admitted_at, record
id) inside it decides nothing and a sum is enough: replay, late records and the number of workers change nothing.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

from entrepot.kernel.instants import HOUR, Instant, day_of, hour_of, to_datetime
from entrepot.ledger.grants import Grant, Kind

_NEVER: Instant = 1 << 62


class Taken(NamedTuple):
    """`amount` ledger units, taken by calls that were admitted from `since` on, until the next one's `since`."""

    since: Instant
    amount: int


class Burn(NamedTuple):
    """What the usage of one month burned of one grant."""

    grant: str
    kind: Kind
    month: str  # "2026-11"
    amount: int


class Attribution(NamedTuple):
    """`burns` in the order in which they happened, one per grant and month; `uncovered` is what no grant was there
    for."""

    burns: tuple[Burn, ...]
    uncovered: int

    def of_month(self, month: str) -> dict[Kind, int]:
        """What a month burned of what was paid and of what was given."""
        found: dict[Kind, int] = {"paid": 0, "promo": 0}
        for burn in self.burns:
            if burn.month == month:
                found[burn.kind] += burn.amount
        return found

    def used(self) -> dict[str, int]:
        """What is burned of each grant."""
        found: dict[str, int] = {}
        for burn in self.burns:
            found[burn.grant] = found.get(burn.grant, 0) + burn.amount
        return found


def month_of(at: Instant) -> str:
    """`2026-11`, UTC."""
    return f"{to_datetime(at):%Y-%m}"


def boundaries(grants: Iterable[Grant]) -> tuple[Instant, ...]:
    """The instants at which the set of grants changes: usage before and after one is summed apart."""
    return tuple(sorted({at for each in grants for at in (each.created_at, each.ends_at) if at}))


def stretch_of(at: Instant, cuts: Iterable[Instant]) -> Instant:
    """Start of the stretch that holds `at`: its day, or the last cut before it (or at it) where that is later."""
    return max((day_of(at), *(cut for cut in cuts if cut <= at)))


def in_stretches(
    hours: Mapping[tuple[str, Instant], int],
    cuts: Mapping[str, Iterable[Instant]],
    calls: Callable[[set[tuple[str, Instant]]], Iterable[tuple[str, Instant, int]]],
) -> dict[tuple[str, Instant], int]:
    """Charges by (balance, stretch), from charges by (balance, hour).

    `cuts` are the instants at which the grants of a balance change. Where one lies within an hour, that hour is taken
    apart: only then `calls` is asked for (balance, admitted_at, charge) of every call in these (balance, hour); what it
    says of others does not count.
    """
    found: dict[tuple[str, Instant], int] = {}
    parted = set()
    for (balance, hour), amount in hours.items():
        if any(hour < cut < hour + HOUR for cut in cuts.get(balance, ())):
            parted.add((balance, hour))
        else:
            key = balance, stretch_of(hour, cuts.get(balance, ()))
            found[key] = found.get(key, 0) + amount
    for balance, at, charge in calls(parted) if parted else ():
        if (balance, hour_of(at)) in parted:
            key = balance, stretch_of(at, cuts[balance])
            found[key] = found.get(key, 0) + charge
    return found


def burned(grants: Iterable[Grant], taken: Iterable[Taken]) -> Attribution:
    """Attribute usage in the order of admission, to whatever grants are in force, by (priority, earlier end, earlier
    creation).

    Of a grant there is what was neither refunded nor taken back: that has left the balance. What no grant in force
    covers was still paid out of the balance: by a call that drew on money leased before its grant ended, or admitted by
    a clock that was behind. It burns what is left of ended grants, the latest end first, then of those yet to begin.
    """
    order = sorted(grants, key=lambda each: each.order)
    left = {each.id: each.amount - each.refunded - each.expired for each in order}
    sums: dict[tuple[str, str], int] = {}
    kinds = {each.id: each.kind for each in order}
    uncovered = 0
    for since, amount in sorted(taken):
        month, rest = month_of(since), amount
        for grant in _in_turn(order, since):
            part = min(rest, left[grant.id])
            if part > 0:
                left[grant.id] -= part
                rest -= part
                sums[grant.id, month] = sums.get((grant.id, month), 0) + part
            if rest <= 0:
                break
        uncovered += rest
    burns = tuple(Burn(id, kinds[id], month, amount) for (id, month), amount in sums.items())
    return Attribution(burns, uncovered)


def _in_turn(order: list[Grant], at: Instant) -> Iterator[Grant]:
    """Grants in force at an instant in burn order, then those that have ended, then those to come: of what comes up
    again among all of them nothing is left by then."""
    yield from (each for each in order if each.created_at <= at < (each.ends_at or _NEVER))
    yield from sorted((each for each in order if 0 < each.ends_at <= at), key=lambda each: -each.ends_at)
    yield from sorted(order, key=lambda each: each.created_at)
