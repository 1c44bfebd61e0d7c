"""Where does the business stand with each counterparty, both sides together?"""

from collections.abc import Iterable
from typing import Literal

import msgspec

from entrepot.insight.facts import STANDINGS, BasesMixed, InsightError, NothingSold, Standing

#: `in`: they pay us (resale, rent received, share received). `out`: we pay them (cost, share paid, a host's bill).
Direction = Literal["in", "out"]


class Flow(msgspec.Struct, frozen=True, kw_only=True):
    """Money of one kind between us and a counterparty in one period; `amount` is not below zero, the direction says
    which way. `currency`, `scale` and `period` must be the same for all flows of a position."""

    counterparty: str
    stream: str  # "resale", "rent", "share", "seats", "cost of goods"
    direction: Direction
    amount: int
    standing: Standing
    source: str
    currency: str = ""
    scale: int = 0
    period: str = ""


class Position(msgspec.Struct, frozen=True, kw_only=True):
    """`net` = received - paid, above zero when they pay us more; `gross` = received + paid, what is at stake with them.
    `standings` are (standing, received, paid): books, reported and assumed never silently added."""

    counterparty: str
    received: int
    paid: int
    net: int
    gross: int
    standings: tuple[tuple[Standing, int, int], ...]
    flows: tuple[Flow, ...]


def positions(flows: Iterable[Flow]) -> tuple[Position, ...]:
    """The position with each counterparty over all streams, largest gross first.

    Formula: net = Σ in - Σ out; gross = Σ in + Σ out. A vendor may be a customer as well: both sides stand here.
    Unit: units of the flows' currency.
    Bad input: NothingSold of no flows; BasesMixed for two currencies, scales or periods (convert first, at a rate with
    its source); InsightError for an amount below zero or a flow without a source.
    Source: ours; set-off nets payments, never documents (IAS 32.42), so both sides stay.
    """
    given = list(flows)
    if not given:
        raise NothingSold("no flows are entered, so there is no position with anybody")
    by_party: dict[str, list[Flow]] = {}
    for flow in given:
        _checked(flow, given[0])
        by_party.setdefault(flow.counterparty, []).append(flow)
    found = [_position(party, each) for party, each in by_party.items()]
    return tuple(sorted(found, key=lambda each: (-each.gross, each.counterparty)))


def _checked(flow: Flow, first: Flow) -> None:
    for name in ("currency", "scale", "period"):
        ours, theirs = getattr(first, name), getattr(flow, name)
        if ours != theirs:
            raise BasesMixed(
                f"flows of {name} {ours!r} ({first.counterparty}, {first.stream}) and {theirs!r} ({flow.counterparty}, "
                f"{flow.stream}) cannot be added; bring them to one {name} first"
            )
    if flow.amount < 0:
        raise InsightError(
            f"{flow.counterparty}, {flow.stream}: its amount is below zero; turn its direction round instead"
        )
    if flow.standing not in STANDINGS or not flow.source:
        raise InsightError(
            f"{flow.counterparty}, {flow.stream}: every flow says where it comes from: a standing of "
            f"{', '.join(STANDINGS)} and a source"
        )


def _position(party: str, flows: list[Flow]) -> Position:
    received, paid = _side(flows, "in"), _side(flows, "out")
    standings: list[tuple[Standing, int, int]] = []
    for standing in STANDINGS:
        of_it = [flow for flow in flows if flow.standing == standing]
        if of_it:
            standings.append((standing, _side(of_it, "in"), _side(of_it, "out")))
    return Position(
        counterparty=party, received=received, paid=paid, net=received - paid, gross=received + paid,
        standings=tuple(standings), flows=tuple(sorted(flows, key=lambda flow: (-flow.amount, flow.stream))),
    )  # fmt: skip


def _side(flows: Iterable[Flow], direction: Direction) -> int:
    return sum(flow.amount for flow in flows if flow.direction == direction)
