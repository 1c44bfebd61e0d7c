"""What a scenario of the report assumes, in the report's language: one footnote."""

from collections.abc import Iterator

import msgspec

from entrepot.insight.assumptions import Assumptions
from entrepot.insight.facts import Dimension, Facts
from entrepot.insight.given import Given
from entrepot.insight.obligation import ENDLESS
from entrepot.insight.report.language import Language
from entrepot.insight.scenario import Outcome, Scenario
from entrepot.insight.turns import AnyTurn, Dearer, FeeLowered, Leaves
from entrepot.insight.who import Who, chosen, names_of

_NAMED = 3


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """A scenario that was worked out, with what it was worked out of."""

    scenario: Scenario
    assumptions: Assumptions
    outcome: Outcome


def told(case: Case, language: Language) -> str:
    """`Traffic of … −100 % at once; … (source)`, in the order of the file."""
    return "; ".join(_Teller(case, language).lines())


class _Teller:
    def __init__(self, case: Case, language: Language) -> None:
        self._case, self._language = case, language
        self._facts: Facts = case.outcome.before

    def lines(self) -> Iterator[str]:
        given = self._case.assumptions
        for turn in self._case.scenario.turns:
            yield self._turn(turn)
        for minimum in given.minima:
            amount = self._amount(minimum.amount, minimum.part)
            yield self._say("minimum", minimum.amount or minimum.part, who=self._who(minimum.who), amount=amount)
        for owed in given.commitments:
            amount = self._amount(owed.amount, owed.part)
            yield self._say(
                "commitment", owed.amount or owed.part, name=owed.name, amount=amount, term=self._term(owed.months_left)
            )
        for each in given.left_out:
            why = "left_out_uncosted" if each.bought else "left_out_unbought"
            yield self._say(why, each.amount, name=each.name, amount=self._amount(each.amount, None))
        for capacity in given.capacities:
            amount = self._amount(capacity.amount, capacity.part)
            yield self._say(
                "capacity", capacity.amount or capacity.part, name=capacity.name, amount=amount,
                term=self._term(capacity.redeployed_after),
            )  # fmt: skip
            if capacity.redeployed:
                yield self._say("redeployed", capacity.redeployed, part=self._part(capacity.redeployed))
        if given.costs:
            yield self._say("costs_unknown", given.costs, part=self._part(given.costs))
        if given.growth is None:
            yield self._language.notes["assume_no_growth"]
        elif given.growth.standing == "books":
            own = self._language.percent(given.growth.exact())
            yield self._language.notes["assume_own_growth"].format(part=own)
        else:
            yield self._say("growth_then", given.growth, part=self._part(given.growth))

    def _turn(self, turn: AnyTurn) -> str:
        who, when = self._who(turn.who), self._when(turn)
        if isinstance(turn, Leaves):
            return self._say("leaves", turn.share, who=who, part=self._part(turn.share), when=when)
        if isinstance(turn, Dearer):
            rise = self._language.percent(turn.by(), sign=True)
            line = self._say("dearer", turn.rise[0][1], who=who, part=rise, when=when)
            more = [(name, figure) for name, figure in (("handed_on", turn.handed_on), ("lost", turn.lost)) if figure]
            return ", ".join([line, *(self._say(name, figure, part=self._part(figure)) for name, figure in more)])
        if isinstance(turn, FeeLowered):
            return self._say("fee_lowered", turn.cut, who=who, part=self._part(turn.cut), when=when)
        return self._say("to_minimum", None, who=who, when=when)

    def _say(self, line: str, figure: Given | None, /, **values: str) -> str:
        """With its source, unless that is the scenario itself."""
        said = self._language.notes[f"assume_{line}"].format(**values)
        if figure is None or figure.source == self._case.scenario.title:
            return said
        reported = f"{self._language.words['reported']}: " if figure.standing == "reported" else ""
        return f"{said} ({reported}{figure.source})"

    def _who(self, who: Who) -> str:
        """Those whom it found, by name; everybody where nobody is named."""
        if not who.named and not who.largest:
            return self._language.notes["everybody"]
        by: Dimension = who.largest[-1][0] if who.largest else who.named[-1][0]
        found = names_of(self._facts, chosen(self._facts, who), by)
        listed = ", ".join(self._facts.names.get(each, each) for each in found[:_NAMED])
        return listed + (f" (+{len(found) - _NAMED})" if len(found) > _NAMED else "")

    def _when(self, turn: AnyTurn) -> str:
        say = self._language.notes
        when = say["over_months"].format(months=str(turn.over)) if turn.over > 1 else say["at_once"]
        return when if turn.start == 1 else f"{when} {say['from_month'].format(month=str(turn.start))}"

    def _term(self, months: int) -> str:
        say = self._language.notes
        return say["endless"] if months >= ENDLESS else say["for_months"].format(months=str(months))

    def _amount(self, amount: Given | None, part: Given | None) -> str:
        """Entered amounts keep their digits; a part is of what is paid now."""
        if amount:
            return f"{self._language.number(f'{amount.value:f}')} {self._facts.base.currency}"
        return self._language.notes["of_now"].format(part=self._part(part)) if part else ""

    def _part(self, figure: Given) -> str:
        shown = (figure.value * 100).normalize()
        return f"{self._language.number(f'{shown:f}')} %"
