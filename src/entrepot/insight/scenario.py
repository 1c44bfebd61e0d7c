"""What if: facts before and after a scenario, month by month, with what it rests on."""

from fractions import Fraction
from typing import Final

import msgspec

from entrepot.insight.ahead import Ahead, Level
from entrepot.insight.assumptions import Assumptions, rests_on
from entrepot.insight.concentration import Concentration, concentration
from entrepot.insight.facts import Facts, InsightError, NothingSold
from entrepot.insight.fiscal import months_between
from entrepot.insight.given import Assumption
from entrepot.insight.growth import required
from entrepot.insight.obligation import monthly
from entrepot.insight.recovery import months_to_recover, runway_months
from entrepot.insight.turns import NOTHING, AnyTurn, NothingKnown

#: Fewer show no growth, only one month and another.
LEAST_MONTHS: Final = 4


class Scenario(msgspec.Struct, frozen=True, kw_only=True):
    """`currency` is that of its amounts; "" where it has none."""

    name: str
    title: str
    turns: tuple[AnyTurn, ...] = ()
    currency: str = ""
    story: str = ""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """`before` and `after`: the window's sales as they were, and as they would be with the last month ahead throughout;
    `now` and `path`: a mean month of the window, and each month ahead. `concentration` by control group, before and
    after; None after where nothing is left. `months_to_recover`: of growth, from the last month ahead to the revenue
    before, at `growth` a month: as entered, else as the window grew; None: never, or there is neither. `needed` is the
    growth a month that makes up for it within the months ahead; None where nothing is left. `cash_gap`: margin lost
    over the months ahead, with what of it went to commitments and capacity that nobody used. `runway_months` of the
    cash entered; None: it lasts, or was not entered.
    """

    scenario: str
    title: str
    before: Facts
    after: Facts
    now: Level
    path: tuple[Level, ...]
    leaving: tuple[str, ...]
    concentration: tuple[Concentration, Concentration | None]
    growth: Fraction | None
    needed: Fraction | None
    months_to_recover: int | None
    cash_gap: int
    idle_commitments: int
    idle_capacity: int
    runway_months: int | None
    assumptions: tuple[Assumption, ...]

    @property
    def then(self) -> Level:
        return self.path[-1]


class CurrencyOther(InsightError):
    """Amounts in the file and in the base are of two currencies."""

    code = "scenario_currency"


def run(facts: Facts, scenario: Scenario, assumptions: Assumptions) -> Outcome:
    """Raises NothingSold, NameUnknown, NothingKnown, CurrencyOther. Pure: same facts and file, same outcome."""
    if facts.total() <= 0:
        span = f"from {facts.base.starts_on} until {facts.base.until}"
        raise NothingSold(f"nothing was sold {span}, so there is nothing to lose; name months with revenue")
    if scenario.currency not in ("", facts.base.currency):
        raise CurrencyOther(
            f"the scenario's amounts are in {scenario.currency}, the base is in {facts.base.currency}; "
            f"enter them in {facts.base.currency}, with the rate in their source"
        )
    whole_in = max((turn.whole_in for turn in scenario.turns), default=1)
    if whole_in > assumptions.months:
        raise NothingKnown(
            f"the scenario has wholly happened only in month {whole_in}, and looks {assumptions.months} months ahead; "
            f"write [assumed] months = {whole_in}"
        )
    house = Ahead(facts, scenario.turns, assumptions)
    levels = [house.level(month) for month in range(assumptions.months + 1)]
    after = house.after(assumptions.months)
    now, then = levels[0], levels[-1]
    growth = assumptions.growth.exact() if assumptions.growth else _own_growth(facts)
    fixed = monthly(assumptions.fixed, None, NOTHING, facts)
    cash = assumptions.cash
    return Outcome(
        scenario=scenario.name, title=scenario.title, before=facts, after=after, now=now, path=tuple(levels[1:]),
        leaving=house.leaving(), concentration=(concentration(facts, "group"), _concentration(after)), growth=growth,
        months_to_recover=months_to_recover(Fraction(then.revenue), Fraction(now.revenue), growth or NOTHING),
        needed=_needed(now.revenue, then.revenue, assumptions.months),
        cash_gap=sum(now.margin - each.margin for each in levels[1:]),
        idle_commitments=sum(each.idle_commitments for each in levels[1:]),
        idle_capacity=sum(each.idle_capacity for each in levels[1:]),
        runway_months=runway_months(monthly(cash, None, NOTHING, facts), [each.margin - fixed for each in levels[1:]])
        if cash else None,
        assumptions=rests_on(facts, scenario.turns, assumptions, growth),
    )  # fmt: skip


def _needed(now: int, then: int, months: int) -> Fraction | None:
    return required(then, now, months).monthly if now > 0 and then > 0 else None


def _concentration(after: Facts) -> Concentration | None:
    return concentration(after, "group") if after.total() > 0 else None


def _own_growth(facts: Facts) -> Fraction | None:
    """A month, from the first month of the window to the last, where it has LEAST_MONTHS and both are above zero."""
    months = months_between(facts.base.starts_on[:7], facts.base.until[:7])
    amounts = facts.by("month")
    if len(months) < LEAST_MONTHS or amounts.get(months[0], 0) <= 0 or amounts.get(months[-1], 0) <= 0:
        return None
    return required(amounts[months[0]], amounts[months[-1]], len(months) - 1).monthly
