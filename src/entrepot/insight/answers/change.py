"""`change`: why the revenue is another one than in the period before."""

from typing import Any

from entrepot.insight.answers.question import Answer, Question, Room
from entrepot.insight.answers.words import amount, base_figures, base_text, inputs, label, short, signed
from entrepot.insight.change import Change, ChangePart, change
from entrepot.insight.concentration import concentration, shift
from entrepot.insight.drawing.chart import Chart, Waterfall
from entrepot.insight.drawing.marks import Step
from entrepot.insight.facts import Facts, NothingSold, Standing, weakest
from entrepot.kernel.money import round_half_away

#: What a change is made of, in the order of a waterfall, with the words of a person.
PARTS = {
    "volume": "volume", "price": "price", "mix": "mix", "new": "new", "gone": "gone", "unsplit": "without quantity",
}  # fmt: skip


def answer(question: Question, room: Room) -> Answer:
    before, after = room.earlier(question), room.facts(question)
    found = change(before, after, question.by)
    return Answer(figures=_figures(found, before, after), chart=_chart(found, before.standing, after.standing))


def _figures(found: Change, before: Facts, after: Facts) -> dict[str, Any]:
    names = {**before.names, **after.names}
    return {
        "measure": "change", "by": found.by, "base": base_figures(after), "before": base_figures(before),
        "parts": [_row(each, after, label(each.name, names)) for each in found.parts],
        "whole": _row(found.whole, after, "whole"), "hhi_rise": _rise(found, before, after),
        "inputs": inputs(before, after),
    }  # fmt: skip


def _row(part: ChangePart, facts: Facts, said: str) -> dict[str, Any]:
    sums = {name: amount(getattr(part, name), facts.base) for name in ("before", "after", "change", *PARTS)}
    return {"name": part.name, "label": said, **sums}


def _rise(found: Change, before: Facts, after: Facts) -> dict[str, Any] | None:
    """What it did to HHI; None where there is none on either side."""
    try:
        moved = shift(concentration(before, found.by), concentration(after, found.by))
    except NothingSold:
        return None
    points = {name: str(round_half_away(getattr(moved, name) * 10_000)) for name in ("before", "after", "rise")}
    return {**points, "whose": moved.threshold.whose, "passed": moved.threshold.passed}


def _chart(found: Change, before: Standing, after: Standing) -> Chart:
    both = weakest((before, after))
    whole, base = found.whole, found.after
    steps = [
        Step(name=found.before.starts_on[:7], value=whole.before, shown=short(whole.before, base), total=True,
             standing=before)
    ]  # fmt: skip
    steps += [
        Step(name=said, value=getattr(whole, name), shown=signed(getattr(whole, name), base), standing=both)
        for name, said in PARTS.items()
        if getattr(whole, name)
    ]  # fmt: skip
    steps.append(Step(
        name=base.starts_on[:7], value=whole.after, shown=short(whole.after, base), total=True, standing=after
    ))  # fmt: skip
    return Waterfall(
        title="From one period to the next", whole=base_text(base), steps=tuple(steps),
        note=f"compared with {found.before.starts_on} until {found.before.until}; names by {found.by}",
    )  # fmt: skip
