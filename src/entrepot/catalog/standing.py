"""What stands in a book at an instant, before any call is looked at. Pure."""

from collections.abc import Iterable, Sequence
from itertools import combinations
from typing import NamedTuple

import msgspec

from entrepot.catalog.prices import ANY, MINIMUM, SHARE, BookVersion, Said, Thing, When, covers, hours_of
from entrepot.kernel.instants import Instant

#: Of these no call has one: they are prices of a month.
BY_PERIOD = (MINIMUM, SHARE)


class InForce(NamedTuple):
    """What a book says of a thing, and the version that said it."""

    said: Said
    version: int


def in_force(versions: Sequence[BookVersion], model: str, at: Instant) -> dict[Thing, InForce]:
    """Everything that the book says of the model at `at`, by name and by pattern: the latest word on each thing."""
    return {
        thing: InForce(said, version.number)
        for version in _begun(versions, at)
        for thing, said in version.of(model)
    }


def everything(versions: Sequence[BookVersion], at: Instant) -> dict[Thing, InForce]:
    """Whatever the book says at `at`: the latest word on each thing."""
    return {
        thing: InForce(said, version.number)
        for version in _begun(versions, at)
        for thing, said in version.things().items()
    }


def _begun(versions: Sequence[BookVersion], at: Instant) -> list[BookVersion]:
    """Those that have begun at `at`, the latest last."""
    return sorted((each for each in versions if each.valid_from <= at), key=lambda each: (each.valid_from, each.number))


def models_of(versions: Iterable[BookVersion], known: Iterable[str] = ()) -> list[str]:
    """Every model that the versions name, and those of `known` that a pattern of theirs covers."""
    named = {row.model for each in versions for row in each.rows if row.model}
    patterns = [each for each in named if each.endswith(ANY)]
    covered = {model for model in known if any(covers(each, model) for each in patterns)}
    return sorted({*(named - {*patterns}), *covered})


def ties(versions: Sequence[BookVersion], at: Instant) -> list[tuple[Thing, Thing]]:
    """Pairs of rows in force at `at` between which no call could decide: the same number of conditions, both may hold,
    and no row stands for both together. Rows of different patterns never tie: the more exact one goes before."""
    standing = everything(versions, at)
    groups: dict[tuple[str, str], list[Thing]] = {}
    for thing in standing:
        groups.setdefault((thing.model, thing.bucket), []).append(thing)
    return [
        (one, other)
        for group in groups.values()
        for one, other in combinations(group, 2)
        if (both := _both(one.when, other.when)) is not None and one._replace(when=both) not in standing
    ]


def _both(a: When, b: When) -> When | None:
    """The conditions of both together, if they rank the same, are different and can hold at once."""
    if a.count != b.count or a == b:
        return None
    if (a.tier and b.tier and a.tier != b.tier) or (a.zone and b.zone and a.zone != b.zone):
        return None
    if a.hours and b.hours and not hours_of(a.hours) & hours_of(b.hours):
        return None
    if a.request_over and b.request_over and _without_bracket(a) == _without_bracket(b):
        return None  # of two brackets the higher wins
    over = max(a.request_over, b.request_over)
    hours = a.hours if a.hours == b.hours or not b.hours else b.hours if not a.hours else f"{a.hours} and {b.hours}"
    return When(tier=a.tier or b.tier, zone=a.zone or b.zone, request_over=over, hours=hours)


def _without_bracket(when: When) -> When:
    return msgspec.structs.replace(when, request_over=0)
