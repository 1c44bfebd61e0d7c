"""`dependence`: what rides on each vendor, what could go elsewhere, and until when terms bind."""

from datetime import date
from fractions import Fraction
from typing import Any

from entrepot.insight.answers.question import Answer, Question, Room
from entrepot.insight.answers.words import amount, base_figures, base_text, inputs, number, percent, short
from entrepot.insight.committed import committed_in
from entrepot.insight.dependence import Dependence, TermsLeft, VendorPart, VendorTerms, dependence
from entrepot.insight.drawing.chart import Bars, Chart
from entrepot.insight.drawing.marks import Bar
from entrepot.insight.entries import Entered
from entrepot.insight.facts import Base, Facts


def answer(question: Question, room: Room) -> Answer:
    """Terms are counted from the end of the period, as in the board's report: the same question has the same answer."""
    facts = room.facts(question)
    found = dependence(
        facts, substitutes(room.entered), terms(room.entered, facts.base), date.fromisoformat(facts.base.until),
        made_by(room, facts),
    )  # fmt: skip
    return Answer(figures=_figures(found, facts), chart=_chart(found, facts))


def made_by(room: Room, facts: Facts) -> dict[str, str]:
    """The vendors of models that nothing was sold of; what was sold says itself whose it is."""
    sold = {sale.model for sale in facts.sales}
    return {model: vendor for model, vendor in room.made_by.items() if model not in sold}


def substitutes(entered: Entered) -> dict[str, tuple[str, ...]]:
    """Model → what may stand in for it, of all entries."""
    return {each.model: tuple(dict.fromkeys(
        other for same in entered.substitute if same.model == each.model for other in same.by
    )) for each in entered.substitute}  # fmt: skip


def terms(entered: Entered, base: Base) -> tuple[VendorTerms, ...]:
    """What binds us to vendors; commitments in units of the base, of its period."""
    return tuple(
        VendorTerms(
            vendor=each.vendor, exclusive_until=each.exclusive_until, licence_until=each.licence_until,
            committed=committed_in(each, entered, base), committed_until=each.committed_until,
            standing=each.standing, source=each.source,
        )
        for each in entered.terms
    )  # fmt: skip


def _figures(found: Dependence, facts: Facts) -> dict[str, Any]:
    return {
        "measure": "dependence", "base": base_figures(facts), "on": str(found.on),
        "whole": amount(found.whole, found.base), "cost": amount(found.cost, found.base),
        "uncosted": amount(found.uncosted, found.base), "hhi": number(found.hhi),
        "switchable": number(found.switchable),
        "unplaced": list(found.unplaced), "vendors": [_vendor(each, found.base) for each in found.vendors],
        "inputs": inputs(facts),
    }  # fmt: skip


def _vendor(part: VendorPart, base: Base) -> dict[str, Any]:
    shares = ("share", "cost_share", "switchable", "switchable_revenue", "price_exposure", "exposed")
    return {
        "vendor": part.vendor, **{name: amount(getattr(part, name), base) for name in ("revenue", "cost", "uncosted")},
        **{name: number(getattr(part, name)) for name in shares}, "quantity": part.quantity,
        "models": list(part.models), "terms": [_terms(each, base) for each in part.terms],
    }  # fmt: skip


def _terms(left: TermsLeft, base: Base) -> dict[str, Any]:
    said = left.terms
    return {
        "exclusive_until": str(said.exclusive_until) if said.exclusive_until else None,
        "licence_until": str(said.licence_until) if said.licence_until else None,
        "exclusive_left": left.exclusive, "licence_left": left.licence,
        "committed": None if said.committed is None else amount(said.committed, base),
        "committed_until": str(said.committed_until) if said.committed_until else None,
        "shortfall": None if left.shortfall is None else amount(left.shortfall, base),
        "standing": said.standing, "source": said.source,
    }  # fmt: skip


def _chart(found: Dependence, facts: Facts) -> Chart:
    bars = [
        Bar(name=each.vendor, value=each.share, standing=facts.standing,
            shown=f"{percent(each.share)}  {short(each.revenue, found.base)}, switchable {percent(each.switchable)}")
        for each in found.vendors
    ]  # fmt: skip
    return Bars(
        title="Revenue by vendor of the models", bars=tuple(bars),
        whole=f"{percent(Fraction(1), 0)} = {short(found.whole, found.base)}: {base_text(found.base)}",
        note=f"switchable: traffic whose model has a substitute elsewhere; of all {percent(found.switchable)}",
    )  # fmt: skip
