"""From what documents bill to sales with everything a cut may ask of them. Pure.

An invoice names the model and neither vendor nor region: a model's lines of a month are spread over them by what its
calls were charged there, by largest remainder, so that every cut adds up to the documents. What is measured (tokens,
calls, cost) stands once, on the sales of the first document that bills the model.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from entrepot.kernel.money import split


class Place(NamedTuple):
    """Where usage happened."""

    vendor: str
    zone: str
    project: str
    deployment: str


class Measured(NamedTuple):
    """What was measured there. `charge` and `cost` in one currency each; cost None: not known."""

    charge: int
    quantity: int
    calls: int
    cost: int | None

    def plus(self, more: "Measured") -> "Measured":
        cost = None if self.cost is None or more.cost is None else self.cost + more.cost
        return Measured(self.charge + more.charge, self.quantity + more.quantity, self.calls + more.calls, cost)


#: (customer, model, month) → what was used of it, by place.
Usage = Mapping[tuple[str, str, str], Mapping[Place, Measured]]
NOWHERE = Place("", "", "", "")


def spread(amount: int, places: Mapping[Place, Measured], *, zone: str = "", project: str = "") -> dict[Place, int]:
    """An amount over the places of its usage: only those of the zone or project that its price names, if there are any.

    Weights are what calls were charged there; where nothing was, tokens, then calls, then one each.
    """
    if len(places) == 1:
        return dict.fromkeys(places, amount)
    fitting: Sequence[Place] = [
        each for each in sorted(places) if zone in ("", each.zone) and project in ("", each.project)
    ] or sorted(places)
    if not fitting:
        return {NOWHERE._replace(zone=zone, project=project): amount}
    for weights in _weights([places[each] for each in fitting]):
        if any(weights):
            return dict(zip(fitting, split(amount, weights), strict=True))
    return dict(zip(fitting, split(amount, [1] * len(fitting)), strict=True))


def _weights(measured: Sequence[Measured]) -> Iterable[list[int]]:
    yield [each.charge for each in measured]
    yield [each.quantity for each in measured]
    yield [each.calls for each in measured]
