"""`scenario`: what would be sold, earned and idle if it came so, before and after."""

from fractions import Fraction
from typing import Any

from entrepot.insight.ahead import Level
from entrepot.insight.answers.question import Answer, Question, Room
from entrepot.insight.answers.words import (
    amount,
    base_figures,
    base_text,
    inputs,
    label,
    number,
    percent,
    short,
    thousands,
)
from entrepot.insight.committed import with_commitments
from entrepot.insight.concentration import Concentration
from entrepot.insight.drawing.chart import Chart, Lines
from entrepot.insight.drawing.marks import Line, Ticks
from entrepot.insight.facts import Base
from entrepot.insight.scenario import Outcome, run
from entrepot.insight.scenario_file import read_scenario

_AMOUNTS = tuple(name for name in Level.__struct_fields__ if name != "month")


def answer(question: Question, room: Room) -> Answer:
    """`question.text` is the file, `question.name` its name."""
    scenario, assumptions = read_scenario(question.text, question.name)
    facts = room.facts(question)
    found = run(facts, scenario, with_commitments(assumptions, room.entered, facts))
    return Answer(figures={**figures(found), "story": scenario.story}, chart=_chart(found))


def figures(found: Outcome) -> dict[str, Any]:
    base = found.before.base
    return {
        "measure": "scenario", "name": found.scenario, "title": found.title, "base": base_figures(found.before),
        "now": _level(found.now, base), "then": _level(found.then, base),
        "path": [_level(each, base) for each in found.path],
        "leaving": [{"name": each, "label": label(each, found.before.names)} for each in found.leaving],
        "concentration": [_concentration(each, found) if each else None for each in found.concentration],
        "growth": number(found.growth), "months_to_recover": found.months_to_recover, "needed": number(found.needed),
        "lost": amount(found.now.revenue - found.then.revenue, base),
        "lost_share": number(Fraction(found.now.revenue - found.then.revenue, found.now.revenue or 1)),
        "margin_lost": amount(found.cash_gap, base), "idle_commitments": amount(found.idle_commitments, base),
        "idle_capacity": amount(found.idle_capacity, base), "runway_months": found.runway_months,
        "assumptions": [
            {"name": each.name, "value": each.value, "standing": each.standing, "source": each.source}
            for each in found.assumptions
        ],
        "inputs": inputs(found.before),
    }  # fmt: skip


def _level(level: Level, base: Base) -> dict[str, Any]:
    return {"month": level.month, **{name: amount(getattr(level, name), base) for name in _AMOUNTS}}


def _concentration(each: Concentration, found: Outcome) -> dict[str, Any]:
    largest = each.parts[0]
    return {
        "largest": {"name": largest.name, "label": label(largest.name, found.before.names),
                    "share": number(largest.share)},
        "cr": {str(n): number(value) for n, value in each.cr.items()},
        "hhi_points": number(each.hhi * 10_000), "effective": number(each.effective),
        "customers": len(each.parts),
    }  # fmt: skip


def _chart(found: Outcome) -> Chart:
    base = found.before.base
    levels = (found.now, *found.path)
    idle = [each.idle_commitments + each.idle_capacity for each in levels]
    lines = [
        ("revenue", [each.revenue for each in levels]), ("gross margin", [each.margin for each in levels]),
        *([("idle", idle)] if any(idle) else []),
    ]  # fmt: skip
    size, word = thousands(max(each.revenue for each in levels), base)
    change = percent(Fraction(found.then.revenue - found.now.revenue, found.now.revenue or 1))
    return Lines(
        title=found.title, whole=f"a month; {base_text(base)}",
        names=("now", *(str(each.month) for each in found.path)),
        lines=tuple(
            Line(name=name, values=tuple(Fraction(each, 10**base.scale * size) for each in values), standing="assumed",
                 shown=short(values[-1], base).removesuffix(f" {base.currency}"))
            for name, values in lines
        ),
        ticks=Ticks(text=f"{{}} {word}".strip()),
        note=f"months ahead; idle is paid for; revenue {change}; what it rests on is printed with the scenario",
    )  # fmt: skip
