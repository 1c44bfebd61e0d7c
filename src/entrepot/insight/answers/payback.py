"""`payback`: how long today's margin needs to earn an entered outlay back, and what it would have to be."""

from fractions import Fraction
from typing import Any, Final

from entrepot.insight.answers.question import Answer, Question, Room
from entrepot.insight.answers.words import amount, base_figures, base_text, inputs, number, short
from entrepot.insight.drawing.chart import Bars
from entrepot.insight.drawing.marks import Bar
from entrepot.insight.entries import Entered, Figure
from entrepot.insight.facts import Facts, InsightError, NothingSold, weakest
from entrepot.insight.fiscal import months_between
from entrepot.insight.margin import margins
from entrepot.insight.payback import MOST_PERIODS, even, needed, payback
from entrepot.insight.roots import root
from entrepot.kernel.money import round_half_away, scale_of

#: The figures it rests on, by the names under which they are entered.
OUTLAY: Final = "capital expenditure"
YEARS: Final = "years to earn capital expenditure back"
DISCOUNT: Final = "discount rate"


def answer(question: Question, room: Room) -> Answer:
    facts = room.facts(question)
    base = facts.base
    outlay = _wanted(room.entered, question.name or OUTLAY)
    units = _units(outlay, room.entered, facts)
    month = _margin_of_a_month(facts)
    discount = room.entered.figure_of(DISCOUNT)
    rate = root(1 + Fraction(discount.value) / 100, 12) - 1 if discount and discount.value > -100 else Fraction(0)
    found = payback(units, [month] * MOST_PERIODS, rate)
    years = room.entered.figure_of(YEARS)
    months = int(years.value * 12) if years else 0
    wanted = _wanted_margins(units, months, rate if discount else None)
    figures = {
        "measure": "payback", "base": base_figures(facts), "inputs": inputs(facts),
        "outlay": {**_said(outlay), "amount": amount(units, base)},
        "margin_of_a_month": amount(month, base), "months": number(even(units, month)),
        "discount": _said(discount) if discount else None,
        "discounted_months": number(found.discounted) if discount else None,
        "looked_ahead": MOST_PERIODS, "years": _said(years) if years else None,
        "needed": [
            {"how": how, "of_a_month": amount(each, base), "times": number(Fraction(each, month))}
            for how, each in wanted
        ],
    }  # fmt: skip
    bars = [Bar(name="margin of a month now", value=month, shown=short(month, base), standing=facts.standing)]
    for (how, each), rests_on in zip(wanted, ((years,), (years, discount)), strict=False):
        least = weakest(said.standing for said in (outlay, *rests_on) if said)
        bars.append(Bar(name=how, value=each, shown=short(each, base), standing=least))
    chart = Bars(
        title=f"What earns {short(units, base)} back", whole=f"gross margin of a month: {base_text(base)}",
        bars=tuple(bars), note=f"{outlay.name}: {outlay.standing}, {outlay.source}",
    )  # fmt: skip
    return Answer(figures=figures, chart=chart)


def _wanted(entered: Entered, name: str) -> Figure:
    found = entered.figure_of(name)
    if found is None:
        known = ", ".join(sorted({each.name for each in entered.figure})) or "none"
        raise InsightError(
            f'no figure "{name}" is entered ([[figure]] name, value, unit, standing, source), so there is nothing to '
            f"earn back; entered are: {known}"
        )
    return found


def _units(outlay: Figure, entered: Entered, facts: Facts) -> int:
    base = facts.base
    currency = outlay.unit or base.currency
    units = Fraction(outlay.value) * 10 ** scale_of(currency)
    return round_half_away(entered.exchanged(units, currency, base.currency, base.starts_on[:7]))


def _margin_of_a_month(facts: Facts) -> int:
    base, whole = facts.base, margins(facts, "group").whole
    months = len(months_between(base.starts_on[:7], base.until[:7]))
    if not months or not (base.starts_on.endswith("-01") and base.until.endswith("-01")):
        raise InsightError(f"payback is by whole months; {base.starts_on} until {base.until} is not")
    if whole.uncosted == whole.revenue:
        raise InsightError("no cost of these sales is known, so nobody knows what they earn; enter costs of vendors")
    month = round_half_away(Fraction(whole.margin, months))
    if month <= 0:
        raise NothingSold(f"the margin is {amount(month, base)} {base.currency} a month: nothing is ever earned back")
    return month


def _wanted_margins(outlay: int, months: int, rate: Fraction | None) -> list[tuple[str, int]]:
    if not 0 < months <= MOST_PERIODS:
        return []
    years = f"{months // 12} years" if months % 12 == 0 else f"{months} months"
    found = [(f"needed for {years}", needed(outlay, months))]
    return [*found, (f"needed for {years}, discounted", needed(outlay, months, rate))] if rate else found


def _said(figure: Figure) -> dict[str, Any]:
    return {
        "name": figure.name, "value": f"{figure.value:f}", "unit": figure.unit, "period": figure.period,
        "standing": figure.standing, "source": figure.source,
    }  # fmt: skip
