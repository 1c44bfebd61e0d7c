"""`concentration`: shares of one cut, and what follows from them."""

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

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
    standings,
)
from entrepot.insight.concentration import MAJOR, Concentration, Part, concentration
from entrepot.insight.drawing.chart import Bars, Chart
from entrepot.insight.drawing.marks import Bar, Guide
from entrepot.insight.facts import Facts, weakest
from entrepot.kernel.money import round_half_away

#: Bars on one page; those beyond are one bar.
_BARS = 15


def answer(question: Question, room: Room) -> Answer:
    facts = room.facts(question)
    found = concentration(facts, question.by)
    return Answer(figures=_figures(found, facts), chart=_chart(found, facts))


def _figures(found: Concentration, facts: Facts) -> dict[str, Any]:
    base = found.base

    def row(part: Part) -> dict[str, Any]:
        return {
            "name": part.name, "label": label(part.name, facts.names), "amount": amount(part.amount, base),
            "share": number(part.share),
        }  # fmt: skip

    return {
        "measure": "concentration", "by": found.by, "base": base_figures(facts), "whole": amount(found.whole, base),
        "counted": amount(found.counted, base), "parts": [row(each) for each in found.parts],
        "below_zero": [row(each) for each in found.below_zero],
        "cr": {str(n): number(value) for n, value in found.cr.items()}, "hhi": number(found.hhi),
        "hhi_points": number(found.hhi * 10_000), "effective": number(found.effective), "gini": number(found.gini),
        "thresholds": [
            {"name": each.name, "whose": each.whose, "value": number(each.value), "passed": each.passed}
            for each in found.thresholds
        ],
        "ten_percent": [
            {
                **row(each), "members": list(each.members),
                "products": [{"name": name, "amount": amount(units, base)} for name, units in each.products],
            }
            for each in found.ten_percent
        ],
        "standings": standings(facts), "inputs": inputs(facts),
    }  # fmt: skip


def _chart(found: Concentration, facts: Facts) -> Chart:
    shown, rest = found.parts[:_BARS], found.parts[_BARS:]
    standing = facts.standings(found.by)
    bars = [
        Bar(
            name=label(each.name, facts.names), value=each.share, standing=standing[each.name],
            shown=f"{percent(each.share)}  {short(each.amount, found.base)}",
        )
        for each in shown
    ]  # fmt: skip
    if rest:
        share = sum((each.share for each in rest), start=Fraction(0))
        bars.append(Bar(
            name=f"{len(rest)} others", value=share, shown=f"{percent(share)}  {short(_sum(rest), found.base)}",
            standing=weakest(standing[each.name] for each in rest),
        ))  # fmt: skip
    below = f"; {len(found.below_zero)} below zero are left out" if found.below_zero else ""
    points, effective = round_half_away(found.hhi * 10_000), float(found.effective)
    guides = (Guide(name="10 %", value=MAJOR),) if found.by in ("customer", "group") else ()
    return Bars(
        title=f"Shares by {found.by}", whole=f"{percent(Fraction(1), 0)} = {short(found.counted, found.base)}: "
        f"{base_text(found.base)}", bars=tuple(bars), guides=guides,
        note=f"HHI {points:,} points, as {effective:.2f} of equal size{below}",
    )  # fmt: skip


def _sum(parts: Sequence[Part]) -> int:
    return sum(each.amount for each in parts)
