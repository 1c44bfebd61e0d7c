"""What a scenario rests on: figures that somebody entered, and the sentences that are printed of them."""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Final

import msgspec

from entrepot.insight.facts import Facts, Standing
from entrepot.insight.given import Assumption, Given
from entrepot.insight.obligation import ENDLESS, Capacity, Commitment, LeftOut, Minimum, months_of
from entrepot.insight.turns import AnyTurn, Dearer, FeeLowered, Leaves
from entrepot.insight.who import Who, chosen, names_of

MONTHS_AHEAD = 12
_NAMED = 3
#: The source of what is a rule of reckoning and no figure.
RULES: Final = "how scenarios are worked out"
_RULE: Standing = "assumed"


class Assumptions(msgspec.Struct, frozen=True, kw_only=True):
    """What a scenario needs that no book says. `growth`: a month, of the revenue that is left (0.02). `costs`: of
    revenue whose cost is not known, the share it is taken to cost. `fixed`, `cash`: in the currency; a month, and in
    hand. `left_out`: what was entered and could not be reckoned with."""

    months: int = MONTHS_AHEAD
    growth: Given | None = None
    costs: Given | None = None
    fixed: Given | None = None
    cash: Given | None = None
    minima: tuple[Minimum, ...] = ()
    commitments: tuple[Commitment, ...] = ()
    capacities: tuple[Capacity, ...] = ()
    left_out: tuple[LeftOut, ...] = ()


def rests_on(
    facts: Facts, turns: Sequence[AnyTurn], given: Assumptions, growth: Fraction | None
) -> tuple[Assumption, ...]:
    """Every figure that entered, and the rules that no figure shows, in the order of the file. `growth` is what was
    reckoned with."""
    return tuple(_lines(facts, turns, given, growth))


def _lines(facts: Facts, turns: Sequence[AnyTurn], given: Assumptions, growth: Fraction | None) -> Iterator[Assumption]:
    for number, turn in enumerate(turns, 1):
        yield from _turn(facts, f"turn {number}: {_who(facts, turn.who)}", turn)
    months = months_of(facts.base)
    window = "that month" if months == 1 else f"a mean month of {months}"
    yield _rule("a month is", f"{window}, {facts.base.kind}, {facts.base.starts_on} until {facts.base.until}")
    yield _rule("costs follow traffic", "what is not used costs nothing, but for commitments and capacity named here")
    if given.costs:
        yield _line("cost where none is known", _percent(given.costs.value) + " of revenue", given.costs)
    for minimum in given.minima:
        name = f"minimum of {_who(facts, minimum.who)}"
        yield _entered(facts, name, minimum.amount, minimum.part, _left(minimum.months_left))
        if minimum.used:
            yield _line(f"{name}: worth of its usage", _percent(minimum.used.value), minimum.used)
    for commitment in given.commitments:
        name = f"we owe {commitment.name}"
        yield _entered(
            facts, name, commitment.amount, commitment.part, _left(commitment.months_left), of="it costs now"
        )
    for owed in given.left_out:
        why = "no cost of its sales is known" if owed.bought else "nothing was bought of it"
        value = f"{owed.amount.value:,f} {facts.base.currency} a month, left out: {why}"
        yield _line(f"we owe {owed.name}", value, owed.amount)
    for capacity in given.capacities:
        name = f"capacity {capacity.name} for {_who(facts, capacity.who)}"
        until = "never redeployed" if capacity.redeployed_after >= ENDLESS else (
            f"idle for {_left(capacity.redeployed_after)}")  # fmt: skip
        yield _entered(facts, name, capacity.amount, capacity.part, until)
        if capacity.redeployed:
            yield _line(f"{name}: redeployed then", _percent(capacity.redeployed.value), capacity.redeployed)
    if given.growth:
        yield _line("growth of what is left", _percent(given.growth.value) + " a month", given.growth)
    elif growth is None:
        yield _rule("growth of what is left", "not entered, and too few months to see one: no months to recover")
    else:
        name, value = (
            "growth of what is left",
            f"{Decimal(round(growth * 10_000)).scaleb(-2)} % a month, as the window grew",
        )
        yield Assumption(name=name, value=value, standing="books", source=f"{facts.base.kind}, first month to last")
    for name, figure in (("fixed costs", given.fixed), ("cash in hand", given.cash)):
        if figure:
            each = " a month" if name == "fixed costs" else ""
            yield _line(name, f"{figure.value:,f} {facts.base.currency}{each}", figure)


def _turn(facts: Facts, name: str, turn: AnyTurn) -> Iterator[Assumption]:
    when = f"from month {turn.start}" + (f" over {turn.over} months" if turn.over > 1 else " at once")
    if isinstance(turn, Leaves):
        yield _line(name, f"{_percent(turn.share.value)} of the traffic goes {when}", turn.share)
        if turn.received:
            yield _line(f"{name}: comes back of it, from the vendor", _percent(turn.received.value), turn.received)
    elif isinstance(turn, Dearer):
        for what, figure in turn.rise:
            yield _line(f"{name}: {what}", f"{_percent(figure.value)} {when}", figure)
        for what, given in (
            ("of the extra cost, handed on to customers", turn.handed_on),
            ("of the traffic, lost because of it", turn.lost),
            ("of our capacity's cost, the same supply", turn.capacity),
        ):
            if given:
                yield _line(f"{name}: {what}", _percent(given.value), given)
    elif isinstance(turn, FeeLowered):
        yield _line(name, f"the minimum is lowered by {_percent(turn.cut.value)} {when}", turn.cut)
    else:
        yield _rule(name, f"usage falls to the minimum {when}")


def _entered(
    facts: Facts, name: str, amount: Given | None, part: Given | None, more: str, *, of: str = "is paid now"
) -> Assumption:
    figure = amount or part
    assert figure is not None  # the file's reader asks for one of them
    value = f"{amount.value:,f} {facts.base.currency}" if amount else f"{_percent(figure.value)} of what {of}"
    return _line(name, f"{value} a month, {more}", figure)


def _who(facts: Facts, who: Who) -> str:
    """`the largest customer (tiktok)`: a rank says whom it found."""
    if not who.largest:
        return who.words()
    found = names_of(facts, chosen(facts, who), who.largest[-1][0])
    listed = ", ".join(facts.names.get(each, each) for each in found[:_NAMED])
    more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
    return f"{who.words()} ({listed}{more})"


def _line(name: str, value: str, figure: Given) -> Assumption:
    return Assumption(name=name, value=value, standing=figure.standing, source=figure.source)


def _rule(name: str, value: str) -> Assumption:
    return Assumption(name=name, value=value, standing=_RULE, source=RULES)


def _percent(value: Decimal) -> str:
    shown = value * 100
    return f"{shown.normalize():f} %" if shown else "0 %"


def _left(months: int) -> str:
    if months >= ENDLESS:
        return "without end"
    return "1 month" if months == 1 else f"{months} months"
