"""`signs`: who may be leaving, and by what it is seen."""

from fractions import Fraction
from typing import Any

from entrepot.insight.answers.question import Answer, Question, Room
from entrepot.insight.answers.words import number, percent
from entrepot.insight.drawing.chart import Chart, Lines
from entrepot.insight.drawing.marks import Guide, Line, Ticks
from entrepot.insight.facts import NothingSold
from entrepot.insight.signs import Sign, signs

#: Lines that can still be told apart.
_LINES = 5


def answer(question: Question, room: Room) -> Answer:
    """Of the days of the period, whatever the base: signs are seen in calls."""
    from_, until = question.asked.starts_on, question.asked.until
    used = room.daily(from_, until)
    if not used:
        raise NothingSold(f"nobody called from {from_} until {until}, so there is nothing to see a sign in")
    found = signs(used, from_, until)
    figures = {
        "measure": "signs", "from": from_, "until": until, "customers": len({each.customer for each in used}),
        "signs": [_figures(each) for each in found],
    }  # fmt: skip
    return Answer(figures=figures, chart=_chart(found, from_, until) if any(each.open for each in found) else None)


def _figures(sign: Sign) -> dict[str, Any]:
    return {
        "customer": sign.customer, "kind": sign.kind, "what": sign.what, "since": sign.since, "seen_on": sign.seen_on,
        "open": sign.open, "before": number(Fraction(sign.before)), "after": number(Fraction(sign.after)),
        "unit": sign.unit, "change": number(Fraction(sign.change)), "share": number(Fraction(sign.share)),
        "evidence": list(sign.evidence),
    }  # fmt: skip


def _chart(found: list[Sign], from_: str, until: str) -> Chart:
    """What of the usual is left, day by day, of those that still are."""
    shown = [each for each in found if each.open][:_LINES]
    days = max((len(each.course) for each in shown), default=0)
    names = shown[0].days[-days:] if shown else ()
    return Lines(
        title="Early signs that a customer leaves",
        whole=f"100 % is the usual of the days before; {from_} until {until}",
        names=tuple(each[5:] for each in names), guides=(Guide(name="usual", value=1),),
        ticks=Ticks(text="{} %", times=100),
        lines=tuple(
            Line(
                name=f"{each.customer}, {each.kind}", shown=percent(Fraction(1 + each.change), 0),
                values=tuple(None if value is None else Fraction(value).limit_denominator(10**6)
                             for value in (*[None] * (days - len(each.course)), *each.course)),
            )
            for each in shown
        ),
        note="a sign is a reason to ask, not a finding",
    )  # fmt: skip
