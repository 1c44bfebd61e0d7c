"""What a report is asked for, and the scenarios that stand in one: those given as files, else the usual three."""

from collections.abc import Callable, Iterator
from decimal import Decimal
from fractions import Fraction
from typing import Final, Literal, get_args

import msgspec
from msgspec.structs import replace

from entrepot.insight.assumptions import Assumptions
from entrepot.insight.committed import with_commitments
from entrepot.insight.entries import Entered
from entrepot.insight.facts import BaseKind, Facts, View
from entrepot.insight.fiscal import CALENDAR, months_between
from entrepot.insight.given import Given
from entrepot.insight.growth import required
from entrepot.insight.report.assumed import Case
from entrepot.insight.report.language import Language
from entrepot.insight.report.material import of_month
from entrepot.insight.scenario import LEAST_MONTHS, Scenario, run
from entrepot.insight.scenario_file import read_scenario
from entrepot.insight.turns import AnyTurn, Dearer, Leaves
from entrepot.insight.who import NameUnknown, Who

Format = Literal["html", "pdf", "png"]
FORMATS: Final[tuple[Format, ...]] = get_args(Format)
#: More than one page of a table; beyond it somebody meant something else.
MOST_SCENARIOS: Final = 20
_PLACES: Final = Decimal("0.000001")


class ScenarioFile(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    text: str


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """One report. `made_on` is a date, today for who asks; `year_starts` "07-01" where the fiscal year begins then."""

    month: str
    made_on: str
    language: str = "en"
    formats: tuple[Format, ...] = ("html", "pdf")
    kind: BaseKind = "billed"
    view: View = "gross"
    currency: str = ""
    year_starts: str = CALENDAR
    scenarios: tuple[ScenarioFile, ...] = ()


def cases(facts: Facts, wanted: Wanted, language: Language, entered: Entered) -> tuple[Case, ...]:
    """Of the month alone, so that they begin with the revenue that the report shows. Where a file enters no growth,
    what is left grows as the months before did; what is owed by contract stands beside what the file says is owed.
    Raises ScenarioBroken, NameUnknown, …"""
    month, grown = of_month(facts, wanted.month), _own_growth(facts)
    found = []
    for scenario, assumptions in _given(wanted) if wanted.scenarios else _usual(language, month):
        if assumptions.growth is None and grown is not None:
            assumptions = replace(assumptions, growth=grown)
        assumptions = with_commitments(assumptions, entered, month)
        found.append(Case(scenario=scenario, assumptions=assumptions, outcome=run(month, scenario, assumptions)))
    return tuple(found)


def _given(wanted: Wanted) -> Iterator[tuple[Scenario, Assumptions]]:
    for each in wanted.scenarios:
        yield read_scenario(each.text, each.name)


def _usual(language: Language, month: Facts) -> Iterator[tuple[Scenario, Assumptions]]:
    """The largest leaves, the largest three halve, the largest vendor raises its prices; the last only where a vendor
    is named in the sales."""

    def assumed(value: str, title: str) -> Given:
        return Given(value=Decimal(value), standing="assumed", source=title)

    turns: dict[str, Callable[[str], AnyTurn]] = {
        "largest_leaves": lambda title: Leaves(who=Who(largest=(("group", 1),)), share=assumed("1", title)),
        "three_halve": lambda title: Leaves(who=Who(largest=(("group", 3),)), share=assumed("0.5", title)),
        "vendor_dearer": lambda title: Dearer(
            who=Who(largest=(("vendor", 1),)), rise=(("price rise", assumed("0.2", title)),)
        ),
    }
    for name, turn in turns.items():
        title = language.words[name]
        scenario = Scenario(name=name, title=title, turns=(turn(title),))
        try:
            run(month, scenario, Assumptions())
        except NameUnknown:
            continue
        yield scenario, Assumptions()


def _own_growth(facts: Facts) -> Given | None:
    """A month, from the first month with revenue to the last, where there are enough of them."""
    amounts = facts.by("month")
    sold = [month for month, amount in amounts.items() if amount > 0]
    if not sold:
        return None
    months = months_between(sold[0], sold[-1])
    if len(months) + 1 < LEAST_MONTHS:
        return None
    monthly: Fraction = required(amounts[sold[0]], amounts[sold[-1]], len(months)).monthly
    value = (Decimal(monthly.numerator) / Decimal(monthly.denominator)).quantize(_PLACES)
    return Given(value=value, standing="books", source="")
