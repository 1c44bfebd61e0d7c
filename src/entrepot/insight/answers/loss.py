"""`loss`: what of the revenue may be lost, if customers leave by chance; the chances are entered."""

from fractions import Fraction
from typing import Final

from entrepot.insight.answers.question import Answer, Question, Room
from entrepot.insight.answers.words import amount, base_figures, base_text, inputs, label, number, percent, short
from entrepot.insight.drawing.chart import Bars
from entrepot.insight.drawing.marks import Bar
from entrepot.insight.entries import Entered
from entrepot.insight.facts import Facts, InsightError, NothingSold, weakest
from entrepot.insight.loss import Exposure, capped, distribution, loss

#: A percentage, of any customer or group, or of one by its name.
CHANCE: Final = "chance that a customer leaves"
CHANCE_OF: Final = "chance that {} leaves"
#: Parts of the revenue of which it is told how likely more is lost.
_PARTS: Final = tuple(Fraction(percent, 100) for percent in (5, 10, 20, 30, 50))
_CAPS: Final = (Fraction(1, 10), Fraction(1, 5))


def answer(question: Question, room: Room) -> Answer:
    facts = room.facts(question)
    base = facts.base
    given = exposures(facts, room.entered)
    found, spread = loss(given), distribution(given)
    above = [(part, spread.above(int(found.revenue * part))) for part in _PARTS]
    figures = {
        "measure": "loss", "by": "group", "base": base_figures(facts), "inputs": inputs(facts),
        **{name: amount(getattr(found, name), base) for name in ("revenue", "expected", "sigma", "carr")},
        "z": number(found.z), "value_at_risk": amount(spread.value_at_risk(), base),
        "expected_shortfall": amount(round(spread.expected_shortfall()), base), "exact": spread.exact,
        "step": amount(spread.step, base),
        "above": [{"part": number(part), "chance": number(chance)} for part, chance in above],
        "capped": [
            {"cap": number(cap), "amount": amount(capped((each.amount for each in given), cap), base)} for cap in _CAPS
        ],
        "chances": [
            {"name": each.name, "label": label(each.name, facts.names), "amount": amount(each.amount, base),
             "chance": number(each.probability), "standing": each.standing, "source": each.source}
            for each in given
        ],
    }  # fmt: skip
    standing = weakest((facts.standing, *(each.standing for each in given)))
    said = " and ".join(sorted({each.standing for each in given}, reverse=True))
    chart = Bars(
        title="How likely more than so much is lost", whole=f"of {short(found.revenue, base)}: {base_text(base)}",
        bars=tuple(
            Bar(name=f"more than {percent(part, 0)}", value=chance, shown=percent(chance), standing=standing)
            for part, chance in above
        ),
        note=f"customers leave independently of each other; their chances are {said}",
    )  # fmt: skip
    return Answer(figures=figures, chart=chart)


def exposures(facts: Facts, entered: Entered) -> list[Exposure]:
    """Each control group with the chance entered for it, or for any; those below zero have nothing to lose."""
    found = []
    for name, units in sorted(facts.by("group").items(), key=lambda each: (-each[1], each[0])):
        figure = entered.figure_of(CHANCE_OF.format(name)) or entered.figure_of(CHANCE)
        if figure is None:
            raise InsightError(
                f'no chance is entered with which {name} leaves: [[figure]] name = "{CHANCE}" (or '
                f'"{CHANCE_OF.format(name)}"), value = 5, unit = "%", standing and source'
            )
        if units > 0:
            found.append(Exposure(
                name=name, amount=units, probability=Fraction(figure.value) / 100, standing=figure.standing,
                source=figure.source,
            ))  # fmt: skip
    if not found:
        raise NothingSold(f"nothing was sold from {facts.base.starts_on} until {facts.base.until}: nothing can be lost")
    return found
