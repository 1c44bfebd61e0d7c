"""Which steps of a price its usage falls into: ranks follow time, within one version only sums are known.

What shares a count: a customer's (or project's, or contract's) usage of the same meters of a model since the count
began, as far as it is priced by steps. A new version goes on at the rank reached. Of several prices in one version (a
tier, a zone) the one whose first step costs least takes the lower ranks, which is in the customer's favour where steps
fall; the order in which usage came decides nothing.
"""

from collections.abc import Mapping
from fractions import Fraction
from typing import NamedTuple

from entrepot.catalog.prices import Steps
from entrepot.kernel.instants import Instant
from entrepot.rating.piles import Pile, PileKey, Turn


class _Count(NamedTuple):
    """What one rank is counted over."""

    scope: tuple[str, str]
    model: str
    meters: tuple[str, ...]
    counted_from: Instant


def by_step(piles: Mapping[PileKey, Pile]) -> dict[PileKey, list[int]]:
    """For each pile with steps the quantity of the period that falls into each of them."""
    counts: dict[_Count, list[tuple[Turn, PileKey, int]]] = {}
    for key, pile in piles.items():
        if key.steps is not None:
            for turn, quantity in pile.turns.items():
                counts.setdefault(_count(key, key.steps, turn), []).append((turn, key, quantity))
    found = {key: [0] * len(key.steps.rows) for key in piles if key.steps is not None}
    for turns in counts.values():
        rank = 0
        for turn, key, quantity in sorted(turns, key=lambda each: _order(each[0], each[1])):
            assert key.steps is not None
            if turn.now:
                for step, part in enumerate(parts(key.steps, rank, quantity)):
                    found[key][step] += part
            rank += quantity
    return found


def parts(steps: Steps, rank: int, quantity: int) -> list[int]:
    """How much of `quantity` after the first `rank` falls into each step: each ends at so many from the beginning."""
    found = []
    for end, _ in steps.rows:
        if end is None:
            found.append(quantity)
            break
        part = min(max(end - rank, 0), quantity)
        found.append(part)
        rank, quantity = rank + part, quantity - part
    return found


def _count(key: PileKey, steps: Steps, turn: Turn) -> _Count:
    whose = {"customer": "", "contract": str(key.contract), "project": key.project}[steps.scope]
    return _Count((steps.scope, whose), key.model, steps.counts or (key.meter,), turn.counted_from)


def _order(turn: Turn, key: PileKey) -> tuple[object, ...]:
    assert key.steps is not None
    first = Fraction(key.steps.rows[0][1]) / key.per
    return (turn.now, turn.stretch, turn.version, first, key.contract, key.meter, str(key.when), str(key))
