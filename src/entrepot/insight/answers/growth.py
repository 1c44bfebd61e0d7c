"""`growth`, `retention` and `surprise`: how fast, who stays, and whether that was expected."""

from collections.abc import Iterable
from decimal import Decimal
from fractions import Fraction
from typing import Any

import msgspec

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
    signed,
)
from entrepot.insight.books import Asked
from entrepot.insight.drawing.chart import Bars, Dots, Waterfall
from entrepot.insight.drawing.marks import Bar, Dot, Row, Step
from entrepot.insight.entries import Expectation
from entrepot.insight.facts import Facts, NothingSold, Standing, weakest
from entrepot.insight.growth import (
    ExpectationMissing,
    Kept,
    RunRate,
    Surprise,
    against_range,
    growth,
    replacement,
    retention,
    run_rate,
    series,
    surprise,
)

#: What our books say themselves of what was expected.
_KNOWN = ("revenue", "growth")


def answer_growth(question: Question, room: Room) -> Answer:
    """The months (or quarters) of the period, the run-rate at its end, and what makes up for the largest."""
    facts = room.facts(question)
    if not facts.sales:
        raise NothingSold(f"nothing was sold in {base_text(facts.base)}: there is nothing to grow from")
    periods = series(facts, question.year_starts, question.quarters)
    rows = [
        {
            "calendar": each.period.calendar, "fiscal": each.period.fiscal, "amount": amount(each.amount, facts.base),
            "growth": number(each.growth), "yearly": number(each.yearly),
        }
        for each in periods
    ]  # fmt: skip
    pace, no_pace = _pace(question, facts)
    figures = {
        "measure": "growth", "base": base_figures(facts), "by": question.by, "periods": rows,
        "run_rate": {
            "amount": amount(pace.amount, facts.base), "method": pace.method, "from": pace.base.starts_on,
            "until": pace.base.until, "window_days": pace.base.window_days,
        } if pace else None,
        "why": no_pace,
        "replace": _replace(question, facts), "inputs": inputs(facts),
    }  # fmt: skip
    standing, sold = facts.standings("month"), [bool(each.amount) for each in periods]
    shown = periods[sold.index(True) if any(sold) else 0 :]  # a house may be younger than what is asked for
    chart = Bars(
        title="Sold by quarter" if question.quarters else "Sold by month", whole=base_text(facts.base), upright=True,
        bars=tuple(
            Bar(name=each.period.calendar, value=each.amount,
                shown=short(each.amount, facts.base).removesuffix(f" {facts.base.currency}"),
                standing=weakest(standing.get(month, "books") for month in each.period.months))
            for each in shown
        ),
        note=f"at the pace of the {pace.method}: {short(pace.amount, facts.base)} a year" if pace else no_pace,
    )  # fmt: skip
    return Answer(figures=figures, chart=chart)


def _pace(question: Question, facts: Facts) -> tuple[RunRate | None, str]:
    """The run-rate, or why there is none: a course of months is told all the same."""
    try:
        return run_rate(facts, question.window), ""
    except NothingSold as none:
        return None, f"no run-rate: {none}"


def _replace(question: Question, facts: Facts) -> dict[str, Any] | None:
    """What the others must grow if one goes: the one named, else the largest. None where nobody else is there."""
    last = facts.months()[-1]
    month = facts.where(lambda sale: sale.month == last)
    sums = month.by(question.by)
    name = question.name or max(sums, key=lambda each: (sums[each], each))
    lost = month.only(question.by, name).total()
    whole = month.total()
    if not 0 < lost < whole:
        return None
    needed = replacement(whole, lost, question.months)
    return {
        "name": name, "label": label(name, facts.names), "month": last, "lost": amount(lost, facts.base),
        "months": question.months, "total": number(needed.total), "monthly": number(needed.monthly),
    }  # fmt: skip


def answer_retention(question: Question, room: Room) -> Answer:
    """Who paid before, and what they pay now."""
    before, after = room.earlier(question), room.facts(question)
    found = retention(before, after, question.by)
    names = {**before.names, **after.names}

    def rows(of: Iterable[Kept]) -> list[dict[str, Any]]:
        return [
            {
                "name": each.name, "label": label(each.name, names), "before": amount(each.before, after.base),
                "after": amount(each.after, after.base),
            }
            for each in of
        ]  # fmt: skip

    parts = ("start", "expansion", "contraction", "churned", "new")
    figures = {
        "measure": "retention", "by": question.by, "base": base_figures(after), "before": base_figures(before),
        "nrr": number(found.nrr), "grr": number(found.grr),
        **{name: amount(getattr(found, name), after.base) for name in parts},
        "customers": rows(found.customers), "newcomers": rows(found.newcomers), "below_zero": rows(found.below_zero),
        "inputs": inputs(before, after),
    }  # fmt: skip
    signs = {"expansion": found.expansion, "contraction": -found.contraction, "churned": -found.churned}
    kept = found.start + sum(signs.values())
    steps = [
        Step(name="before", value=found.start, shown=short(found.start, after.base), total=True,
             standing=before.standing),
        *(Step(name=name, value=value, shown=signed(value, after.base),
               standing=weakest((before.standing, after.standing)))
          for name, value in signs.items() if value),
        Step(name="the same now", value=kept, shown=short(kept, after.base), total=True, standing=after.standing),
    ]  # fmt: skip
    chart = Waterfall(
        title=f"What stays: net {percent(found.nrr)}, gross {percent(found.grr)}", whole=base_text(after.base),
        steps=tuple(steps), note=f"cohort: who paid from {before.base.starts_on} until {before.base.until}, "
        f"by {question.by}; new since then: {short(found.new, after.base)}",
    )  # fmt: skip
    return Answer(figures=figures, chart=chart)


def answer_surprise(question: Question, room: Room) -> Answer:
    """What was entered as expected, against what came: entered beside it, or from our books for revenue and growth."""
    wanted = [each for each in room.entered.expectation if question.name in ("", each.of)]
    if not wanted:
        known = sorted({each.of for each in room.entered.expectation})
        named = f" of {question.name!r}; there are expectations of {', '.join(known)}" if known else ""
        raise ExpectationMissing(
            f"nothing is entered as expected{named}: enter an [[expectation]] with its period and source"
        )
    rows, marks = [], []
    came_in = [each for each in wanted if not _open(each, question)]
    if not came_in:
        raise ExpectationMissing(_missing(wanted[0]))
    for each in came_in:
        actual, came = _actual(each, question, room)
        past = [
            earlier.actual - earlier.middle
            for earlier in room.entered.expectation
            if (earlier.of, earlier.by) == (each.of, each.by) and earlier.period < each.period and earlier.actual
        ]
        found = surprise(actual, Fraction(each.middle), [Fraction(value) for value in past])
        rows.append(_surprised(each, found))
        marks.append(_row(each, found, came))
    figures = {
        "measure": "surprise", "expectations": rows, "inputs": [],
        "open": [
            {"of": each.of, "period": each.period, "by": each.by, "least": str(each.least), "most": str(each.most),
             "unit": each.unit, "standing": each.standing, "source": each.source}
            for each in wanted if each not in came_in
        ],
    }  # fmt: skip
    chart = Dots(
        title="Expected, and what came", whole="entered expectations; what came as entered or from our books",
        rows=tuple(marks),
    )  # fmt: skip
    return Answer(figures=figures, chart=chart)


def _surprised(each: Expectation, found: Surprise) -> dict[str, Any]:
    row = {
        "of": each.of, "period": each.period, "by": each.by, "unit": each.unit, "actual": number(found.actual),
        "expected": number(found.expected), "least": str(each.least), "most": str(each.most),
        "points": number(found.points), "relative": number(found.relative), "sue": number(found.sue), "why": found.why,
        "standing": each.standing, "source": each.source, "place": None,
    }  # fmt: skip
    if each.least != each.most:
        ends = against_range(found.actual, Fraction(each.least), Fraction(each.most))
        row |= {"place": ends.place, "from_low": number(ends.from_low), "from_high": number(ends.from_high)}
    return row


def _row(each: Expectation, found: Surprise, came: Standing) -> Row:
    band = (Fraction(each.least), Fraction(each.most)) if each.least != each.most else ()
    dots = [Dot(value=found.actual, shown=f"{_plain(found.actual)} {each.unit}".strip() + " came", standing=came)]
    if not band:
        dots.append(Dot(value=found.expected, shown=f"{_plain(found.expected)} expected", standing=each.standing))
    return Row(name=f"{each.of}, {each.period}, {each.by}", dots=tuple(dots), band=band,
               band_name=f"{each.least}–{each.most} {each.unit}" if band else "")  # fmt: skip


def _actual(each: Expectation, question: Question, room: Room) -> tuple[Fraction, Standing]:
    """Entered, or of our books: revenue in units of the currency, growth in percent on the period before."""
    if each.actual is not None:
        return Fraction(each.actual), each.standing
    first, until, before = _span(each.period)
    now = _sold(question.asked, first, until, room)
    if each.of == "revenue":
        return Fraction(now.total(), 10**now.base.scale), now.standing
    earlier = _sold(question.asked, before, first, room)
    return 100 * growth(earlier.total(), now.total()), weakest((earlier.standing, now.standing))


def _open(each: Expectation, question: Question) -> bool:
    """What came is not known: not entered, and nothing that our books know, or know already."""
    return each.actual is None and (each.of not in _KNOWN or _span(each.period)[1] > question.on)


def _missing(each: Expectation) -> str:
    return (
        f"{each.of!r} of {each.period} was expected by {each.source}, and what came is neither entered (actual = …) "
        "nor in our books, which know revenue and growth of what is over"
    )


def _sold(asked: Asked, starts_on: str, until: str, room: Room) -> Facts:
    return room.gather(msgspec.structs.replace(asked, starts_on=starts_on, until=until))


def _span(period: str) -> tuple[str, str, str]:
    """First day, the day after the last, and the first day of the period before: of a month, a quarter, a year."""
    year = int(period[:4])
    if len(period) == 4:
        start, count = 1, 12
    elif period[5] == "Q":
        start, count = 3 * int(period[6]) - 2, 3
    else:
        start, count = int(period[5:]), 1
    first = 12 * year + start - 1
    days = [f"{each // 12:04d}-{each % 12 + 1:02d}-01" for each in (first, first + count, first - count)]
    return days[0], days[1], days[2]


def _plain(value: Fraction) -> str:
    return f"{Decimal(value.numerator) / Decimal(value.denominator):.4g}"
