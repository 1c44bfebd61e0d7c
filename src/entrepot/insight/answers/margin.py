"""`margin`: what is left of the revenue after what it cost."""

from typing import Any

from entrepot.insight.answers.question import Answer, Question, Room
from entrepot.insight.answers.words import amount, base_figures, base_text, inputs, label, number, percent, short
from entrepot.insight.drawing.chart import Bars
from entrepot.insight.drawing.marks import Bar
from entrepot.insight.facts import weakest
from entrepot.insight.margin import Margin, margins

_BARS = 15


def answer(question: Question, room: Room) -> Answer:
    facts = room.facts(question)
    found = margins(facts, question.by)
    base = facts.base

    def row(part: Margin, said: str) -> dict[str, Any]:
        sums = {name: amount(getattr(part, name), base) for name in ("revenue", "cost", "margin", "uncosted")}
        return {"name": part.name, "label": said, **sums, "rate": number(part.rate)}

    figures = {
        "measure": "margin", "by": found.by, "base": base_figures(facts),
        "parts": [row(each, label(each.name, facts.names)) for each in found.parts],
        "whole": row(found.whole, "whole"), "inputs": inputs(facts),
    }  # fmt: skip
    standing = facts.standings(found.by)
    shown, rest = found.parts[:_BARS], found.parts[_BARS:]
    bars = [
        Bar(name=label(each.name, facts.names), value=each.margin,
            shown=f"{short(each.margin, base)}  {percent(each.rate)}", standing=standing[each.name])
        for each in shown
    ]  # fmt: skip
    if rest:
        left = sum(each.margin for each in rest)
        bars.append(Bar(name=f"{len(rest)} others", value=left, shown=short(left, base),
                        standing=weakest(standing[each.name] for each in rest)))  # fmt: skip
    unknown = f"; of {short(found.whole.uncosted, base)} the cost is not known" if found.whole.uncosted else ""
    chart = Bars(
        title=f"Gross margin by {found.by}", whole=f"{short(found.whole.margin, base)} of "
        f"{short(found.whole.revenue, base)}: {base_text(base)}", bars=tuple(bars),
        note=f"{percent(found.whole.rate)} of the revenue whose cost is known{unknown}",
    )  # fmt: skip
    return Answer(figures=figures, chart=chart)
