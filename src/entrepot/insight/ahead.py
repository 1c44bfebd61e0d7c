"""The house in the months ahead: what a month brings and costs while a scenario takes its course."""

from collections.abc import Sequence
from fractions import Fraction

import msgspec

from entrepot.insight.assumptions import Assumptions
from entrepot.insight.facts import Facts, Sale
from entrepot.insight.given import Given
from entrepot.insight.obligation import Floor, floors_of, monthly, months_of
from entrepot.insight.turns import NOTHING, ONE, AnyTurn, Course, NothingKnown, Play
from entrepot.insight.who import chosen, names_of
from entrepot.kernel.money import round_half_away


class Level(msgspec.Struct, frozen=True, kw_only=True):
    """One month, in units of the base, rounded once (half away from zero). `revenue` includes `unused`: what minima
    bring without use. `uncosted` is revenue whose cost nobody knows; it is not in `margin`.

    margin = revenue − uncosted − cost − capacity − idle_commitments: `cost` of what was used; `capacity` what ours
    costs, `idle_capacity` of it the part that nobody uses; `idle_commitments` what vendors are owed beyond `cost`.
    `received` (a share of the vendor's own sales) belongs to no customer and is in none of them.
    """

    month: int
    revenue: int
    cost: int
    uncosted: int
    unused: int
    capacity: int
    idle_capacity: int
    idle_commitments: int
    received: int
    margin: int


class Ahead:
    """The house in the months ahead. Amounts of the window; a month is the window over its months. `facts` are the
    sales with those of all months added up that no turn could tell apart; `kind_of` is where each of `before` stands
    there."""

    def __init__(self, facts: Facts, turns: Sequence[AnyTurn], assumptions: Assumptions) -> None:
        self.before = facts
        self.facts, self.kind_of = _added_up(_costed(facts, assumptions.costs))
        self.months = months_of(facts.base)
        floors = floors_of(self.facts, assumptions.minima, self.months)
        self.floors: dict[str, Floor] = {floor.group: floor for floor in floors}
        self.play = Play(self.facts, turns, floors)
        self.commitments = [(each, chosen(self.facts, each.who)) for each in assumptions.commitments]
        self.capacities = [(each, chosen(self.facts, each.who)) for each in assumptions.capacities]
        for commitment, places in self.commitments:
            if all(self.facts.sales[place].cost is None for place in places):
                raise NothingKnown(
                    f"the scenario names what we owe {commitment.name}, and no cost of its sales is known; "
                    "apply the vendor's costs, or enter [assumed] costs = { value = …, standing = …, source = … }"
                )
        self._courses: dict[tuple[Fraction, ...], Course] = {}
        self._revenue = self.facts.total()
        self._cost = sum(sale.cost or 0 for sale in self.facts.sales)
        self._uncosted = sum(sale.amount for sale in self.facts.sales if sale.cost is None)

    def leaving(self) -> tuple[str, ...]:
        """Whom the turns touch, largest first; nobody where they mean everybody."""
        touched = sorted({place for turn, places in self.play.turns for place in places})
        return () if len(touched) == len(self.facts.sales) else tuple(names_of(self.facts, touched))

    def course(self, month: int) -> Course:
        """Months in which the same has happened are the same."""
        reached = self.play.reached(month)
        if reached not in self._courses:
            self._courses[reached] = self.play.month(month)
        return self._courses[reached]

    def level(self, month: int) -> Level:
        course = self.course(month)
        revenue, cost, uncosted = self._sums(course)
        unused = sum(self._unused(course, month).values(), NOTHING)
        idle_commitments = self._idle_commitments(course, month)
        capacity, idle = self._capacity(month)
        whole, used, unknown = self._monthly(revenue + unused), self._monthly(cost), self._monthly(uncosted)
        stands, owed = self._monthly(capacity), self._monthly(idle_commitments)
        return Level(
            month=month, revenue=whole, cost=used, uncosted=unknown, unused=self._monthly(unused), capacity=stands,
            idle_capacity=self._monthly(idle), idle_commitments=owed, received=self._monthly(course.received),
            margin=whole - unknown - used - stands - owed,
        )  # fmt: skip

    def _sums(self, course: Course) -> tuple[Fraction, Fraction, Fraction]:
        """Revenue, cost, and revenue of unknown cost, all from use."""
        if course.sums is None:
            revenue, cost, uncosted = Fraction(self._revenue), Fraction(self._cost), Fraction(self._uncosted)
            for place in course.touched():
                sale = self.facts.sales[place]
                changed = course.revenue(place, sale.amount) - sale.amount
                revenue += changed
                if sale.cost is None:
                    uncosted += changed
                else:
                    cost += course.cost(place, sale.cost) - sale.cost
            course.sums = revenue, cost, uncosted
        return course.sums

    def after(self, month: int) -> Facts:
        """The sales as they would be; one that nothing happened to is the very same."""
        course = self.course(month)
        sales: list[Sale | None] = list(self.before.sales)
        touched = course.touched()
        for place, sale in enumerate(self.before.sales):
            kind = self.kind_of[place]
            if kind not in touched:
                continue
            use = course.use.get(kind, ONE)
            sales[place] = None if not use else msgspec.structs.replace(
                sale, amount=round_half_away(course.revenue(kind, sale.amount)), quantity=round(sale.quantity * use),
                calls=round(sale.calls * use), standing="assumed", source=f"scenario of {sale.source or 'the books'}",
                cost=None if sale.cost is None else round_half_away(course.cost(kind, sale.cost)),
            )  # fmt: skip
        for group, unused in self._unused(course, month).items():
            sale = self.facts.sales[self.floors[group].places[0]]
            if unused:
                sales.append(msgspec.structs.replace(
                    sale, month=self.before.months()[-1], product="minimum", model="", vendor="", deployment="",
                    amount=round_half_away(unused), cost=0, quantity=0, calls=0, standing="assumed",
                    source="minimum without use",
                ))  # fmt: skip
        return msgspec.structs.replace(self.before, sales=tuple(each for each in sales if each is not None))

    def _unused(self, course: Course, month: int) -> dict[str, Fraction]:
        """What a group still owes beyond its usage: its minimum, as long as it runs, never more than it paid before."""
        if not month:
            return {}
        short = self._short(course)
        return {group: owed for group, owed in short.items() if month <= self.floors[group].months_left}

    def _short(self, course: Course) -> dict[str, Fraction]:
        if course.short is not None:
            return course.short
        found = {}
        touched = course.touched()
        for group, floor in self.floors.items():
            if touched.isdisjoint(floor.places):
                continue
            before = sum(self.facts.sales[place].amount for place in floor.places)
            now = sum((course.revenue(place, self.facts.sales[place].amount) for place in floor.places), NOTHING)
            owed = min(course.floors.get(group, floor.amount), Fraction(before)) - now
            if owed > 0:
                found[group] = owed
        course.short = found
        return found

    def _idle_commitments(self, course: Course, month: int) -> Fraction:
        idle = NOTHING
        for each, places in self.commitments:
            if month > each.months_left:
                continue
            costs = [(place, self.facts.sales[place].cost) for place in places]
            before = sum((Fraction(cost or 0) for _, cost in costs), NOTHING)
            owed = monthly(each.amount, each.part, before, self.facts) * (self.months if each.amount else 1)
            used = sum((course.cost(place, cost) for place, cost in costs if cost is not None), NOTHING)
            idle += max(NOTHING, owed - used)
        return idle

    def _capacity(self, month: int) -> tuple[Fraction, Fraction]:
        """What ours costs in that month, and of it what nobody uses; what found other work is others' cost."""
        borne, idle = NOTHING, NOTHING
        for each, places in self.capacities:
            now = sum((Fraction(self.facts.sales[place].amount) for place in places), NOTHING)
            cost = monthly(each.amount, each.part, now, self.facts) * (self.months if each.amount else 1)
            cost *= self.course(month).capacity_cost
            again = each.redeployed.exact() if each.redeployed else ONE
            back = again * self._gone(places, now, month - each.redeployed_after)
            idle += cost * max(NOTHING, self._gone(places, now, month) - back)
            borne += cost * (ONE - back)
        return borne, idle

    def _gone(self, places: Sequence[int], now: Fraction, month: int) -> Fraction:
        """Of the traffic of these sales, weighed by what was paid for it, what no longer comes; 0..1."""
        course = self.course(month)
        if not now:
            return NOTHING
        left = sum((self.facts.sales[place].amount * course.use.get(place, ONE) for place in places), NOTHING)
        return min(ONE, max(NOTHING, ONE - left / now))

    def _monthly(self, amount: Fraction) -> int:
        return round_half_away(amount / self.months)


def _costed(facts: Facts, costs: Given | None) -> Facts:
    """With an entered share as the cost where none is known."""
    if costs is None:
        return facts
    part = costs.exact()
    return msgspec.structs.replace(facts, sales=tuple(
        sale if sale.cost is not None else msgspec.structs.replace(sale, cost=round_half_away(sale.amount * part))
        for sale in facts.sales
    ))  # fmt: skip


def _added_up(facts: Facts) -> tuple[Facts, list[int]]:
    """Sales that differ in month, source and amounts only, as one; and the place of each sale's sum."""
    places: dict[tuple[object, ...], int] = {}
    sums: list[Sale] = []
    kinds = []
    for sale in facts.sales:
        key = (
            sale.customer, sale.group, sale.industry, sale.country, sale.product, sale.model, sale.own, sale.vendor,
            sale.region, sale.project, sale.deployment, sale.cost is None,
        )  # fmt: skip
        if key not in places:
            places[key] = len(sums)
            sums.append(sale)
        else:
            so_far = sums[places[key]]
            sums[places[key]] = msgspec.structs.replace(
                so_far, amount=so_far.amount + sale.amount,
                cost=None if so_far.cost is None or sale.cost is None else so_far.cost + sale.cost,
            )  # fmt: skip
        kinds.append(places[key])
    return msgspec.structs.replace(facts, sales=tuple(sums)), kinds
