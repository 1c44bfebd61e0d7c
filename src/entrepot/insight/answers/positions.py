"""`positions`: what goes both ways between us and each counterparty, our books and entered streams apart."""

from fractions import Fraction
from typing import Any

from entrepot.insight.answers.question import Answer, Question, Room
from entrepot.insight.answers.words import amount, base_figures, base_text, inputs, label, short, signed
from entrepot.insight.drawing.chart import Bars
from entrepot.insight.drawing.marks import Bar
from entrepot.insight.entries import Entered
from entrepot.insight.exposure import Flow, Position, positions
from entrepot.insight.facts import Facts, InsightError, Standing, weakest
from entrepot.insight.fiscal import months_between
from entrepot.kernel.money import round_half_away

_PARTIES = 8


def answer(question: Question, room: Room) -> Answer:
    facts = room.facts(question)
    base = facts.base
    found = positions([*_of_books(facts, _named(room.entered)), *_of_entered(facts, room.entered)])
    figures = {
        "measure": "positions", "base": base_figures(facts), "inputs": inputs(facts),
        "parts": [_figures(each, facts) for each in found],
    }  # fmt: skip
    bars = [bar for each in found[:_PARTIES] for bar in _sides(each, facts)]
    most = found[0]
    chart = Bars(
        title="Both sides with each counterparty", bars=tuple(bars),
        whole=f"left what we pay, right what they pay: {base_text(base)}",
        note=f"net with {label(most.counterparty, facts.names)}: {signed(most.net, base)}; a bar stands as its least "
        "certain part",
    )  # fmt: skip
    return Answer(figures=figures, chart=chart)


def _sides(position: Position, facts: Facts) -> list[Bar]:
    name = label(position.counterparty, facts.names)
    sides = []
    for direction, said, units in (("in", "pays us", position.received), ("out", "is paid", -position.paid)):
        standings = [flow.standing for flow in position.flows if flow.direction == direction]
        if standings:
            sides.append(Bar(
                name=f"{name} {said}", value=units, shown=short(units, facts.base), standing=weakest(standings)
            ))  # fmt: skip
    return sides


def _named(entered: Entered) -> set[str]:
    return {each.counterparty for each in entered.stream}


def _of_books(facts: Facts, named: set[str]) -> list[Flow]:
    """What vendors cost, and what of them or of other counterparties we sold to: a supplier may be a customer."""
    bought = facts.where(lambda sale: bool(sale.cost) and not sale.own)
    costs, standing = bought.costs("vendor"), bought.standings("vendor")
    flows = [_flow(facts, vendor, "cost of goods", cost, standing[vendor], out=True) for vendor, cost in costs.items()]
    both, standing = named | costs.keys(), facts.standings("group")
    flows += [_flow(facts, who, "sales", sold, standing[who]) for who, sold in facts.by("group").items() if who in both]
    return [each for each in flows if each.amount]


def _flow(facts: Facts, who: str, stream: str, units: int, standing: Standing, *, out: bool = False) -> Flow:
    """An amount below zero goes the other way: what was credited to a customer is paid to it."""
    loaded = "" if standing == "books" or facts.base.kind == "stated" else f" of books loaded with {standing} amounts"
    return Flow(
        counterparty=who, stream=stream, direction="out" if out == (units >= 0) else "in", amount=abs(units),
        standing=standing, source=f"{facts.base.kind} figures{loaded}", currency=facts.base.currency,
        scale=facts.base.scale,
    )  # fmt: skip


def _of_entered(facts: Facts, entered: Entered) -> list[Flow]:
    """Entered streams of the period: those of its months, and of a year as many twelfths as it has months."""
    base = facts.base
    if not (base.starts_on.endswith("-01") and base.until.endswith("-01")):
        raise InsightError(f"positions are of whole months; {base.starts_on} until {base.until} is not")
    months = months_between(base.starts_on[:7], base.until[:7])
    flows = []
    for each in entered.stream:
        if each.month and each.month not in months:
            continue
        part = Fraction(1) if each.month else Fraction(len(months), 12)
        units = entered.exchanged(each.amount * part, each.currency, base.currency, each.month or months[-1])
        flows.append(Flow(
            counterparty=each.counterparty, stream=each.stream, direction=each.direction, standing=each.standing,
            amount=round_half_away(units), source=each.source, currency=base.currency,
            scale=base.scale,
        ))  # fmt: skip
    return flows


def _figures(found: Position, facts: Facts) -> dict[str, Any]:
    base = facts.base
    return {
        "name": found.counterparty, "label": label(found.counterparty, facts.names),
        **{name: amount(getattr(found, name), base) for name in ("received", "paid", "net", "gross")},
        "standings": [
            {"standing": standing, "received": amount(received, base), "paid": amount(paid, base)}
            for standing, received, paid in found.standings
        ],
        "flows": [
            {"stream": each.stream, "direction": each.direction, "amount": amount(each.amount, base),
             "standing": each.standing, "source": each.source}
            for each in found.flows
        ],
    }  # fmt: skip
