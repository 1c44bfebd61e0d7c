"""What happens in a scenario, one turn after the other, month by month, and what a sale is then."""

from collections.abc import Iterable, Sequence
from fractions import Fraction

import msgspec

from entrepot.insight.facts import Facts, InsightError, label
from entrepot.insight.given import Given
from entrepot.insight.obligation import Floor
from entrepot.insight.who import Who, chosen, names_of

ONE, NOTHING = Fraction(1), Fraction(0)


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """Something that begins in month `start` (1 is the first one ahead) and is whole after `over` months, growing
    evenly: over 1 is at once."""

    who: Who
    start: int = 1
    over: int = 1

    def reached(self, month: int) -> Fraction:
        """How much of it has happened in that month, 0..1."""
        return min(ONE, max(NOTHING, Fraction(month - self.start + 1, self.over)))

    @property
    def whole_in(self) -> int:
        return self.start + self.over - 1


class Leaves(Turn, frozen=True, kw_only=True, tag="leaves"):
    """`share` of the traffic goes, and with it its revenue and what it cost. `received`: of what it then pays the
    vendor directly (taken as what it paid here) so much comes back as a share of the vendor's sales."""

    share: Given
    received: Given | None = None


class Dearer(Turn, frozen=True, kw_only=True, tag="dearer"):
    """Costs rise by the product of `rise` (+20 % of the vendor's price; or +30 % at the vendor's supplier × how much of
    the vendor's price that is × how much of it the vendor passes on). `handed_on` of the extra cost is added to the
    customers' prices, and `lost` of the traffic goes because of it. `capacity`: so much of what our own capacity costs
    is the same supply, and its cost rises by `rise[0]`."""

    rise: tuple[tuple[str, Given], ...]
    handed_on: Given | None = None
    lost: Given | None = None
    capacity: Given | None = None

    def by(self) -> Fraction:
        whole = ONE
        for _, figure in self.rise:
            whole *= figure.exact()
        return whole


class ToMinimum(Turn, frozen=True, kw_only=True, tag="minimum"):
    """Usage falls until what is left is worth the minimum; costs fall with it. Who is below it already stays."""


class FeeLowered(Turn, frozen=True, kw_only=True, tag="fee"):
    """Minima become smaller by `cut`. Who paid the minimum pays the lower one, or for its usage where that is more;
    usage and cost stay."""

    cut: Given


AnyTurn = Leaves | Dearer | ToMinimum | FeeLowered


class NothingKnown(InsightError):
    """A turn needs something that the base does not say, and nobody entered."""

    code = "scenario_unanswered"


class Course:
    """The sales in one month ahead, as factors of what they are now: traffic, price and cost of a unit. A place that is
    in none of them is as it was."""

    def __init__(self) -> None:
        self.use: dict[int, Fraction] = {}
        self.price: dict[int, Fraction] = {}
        self.unit_cost: dict[int, Fraction] = {}
        self.floors: dict[str, Fraction] = {}  # minima of groups that changed
        self.capacity_cost = ONE
        self.received = NOTHING  # of the window's revenue, scaled units
        self.sums: tuple[Fraction, Fraction, Fraction] | None = None  # what `ahead` has made of it, once
        self.short: dict[str, Fraction] | None = None

    def revenue(self, place: int, amount: int) -> Fraction:
        return amount * self.use.get(place, ONE) * self.price.get(place, ONE)

    def cost(self, place: int, cost: int) -> Fraction:
        return cost * self.use.get(place, ONE) * self.unit_cost.get(place, ONE)

    def touched(self) -> set[int]:
        return {*self.use, *self.price, *self.unit_cost}


class Play:
    """The turns of a scenario over facts: whom each means is found once."""

    def __init__(self, facts: Facts, turns: Sequence[AnyTurn], floors: Iterable[Floor]) -> None:
        """Raises NameUnknown, NothingKnown."""
        self.facts = facts
        self.turns = [(turn, chosen(facts, turn.who)) for turn in turns]
        self.floors = {floor.group: floor for floor in floors}
        for turn, places in self.turns:
            _answerable(facts, turn, places, self.floors)

    def reached(self, month: int) -> tuple[Fraction, ...]:
        """How far each turn is in that month."""
        return tuple(turn.reached(month) for turn, _ in self.turns)

    def month(self, month: int) -> Course:
        """The state of things in that month ahead; in month 0 nothing has happened."""
        course = Course()
        for turn, places in self.turns:
            reached = turn.reached(month)
            if not reached:
                continue
            if isinstance(turn, Leaves):
                self._leaves(course, places, turn, reached)
            elif isinstance(turn, Dearer):
                self._dearer(course, places, turn, reached)
            elif isinstance(turn, ToMinimum):
                self._to_minimum(course, places, reached)
            else:
                self._fee(course, places, turn, reached)
        return course

    def _leaves(self, course: Course, places: list[int], turn: Leaves, reached: Fraction) -> None:
        left = ONE - turn.share.exact() * reached
        back = turn.received.exact() if turn.received else NOTHING
        for place in places:
            before = course.use.get(place, ONE)
            if back:
                gone = before * (ONE - left) * course.price.get(place, ONE)
                course.received += self.facts.sales[place].amount * gone * back
            course.use[place] = before * left

    def _dearer(self, course: Course, places: list[int], turn: Dearer, reached: Fraction) -> None:
        rise = turn.by() * reached
        handed_on = turn.handed_on.exact() if turn.handed_on else NOTHING
        lost = turn.lost.exact() * reached if turn.lost else NOTHING
        for place in places:
            sale = self.facts.sales[place]
            before = course.unit_cost.get(place, ONE)
            if sale.cost is not None:
                course.unit_cost[place] = before * (ONE + rise)
                if handed_on and sale.amount:
                    extra = Fraction(sale.cost, sale.amount) * before * rise
                    course.price[place] = course.price.get(place, ONE) + extra * handed_on
            if lost:
                course.use[place] = course.use.get(place, ONE) * (ONE - lost)
        if turn.capacity:
            course.capacity_cost *= ONE + turn.rise[0][1].exact() * turn.capacity.exact() * reached

    def _to_minimum(self, course: Course, places: list[int], reached: Fraction) -> None:
        for group, own in self._by_group(places).items():
            floor = self.floors[group].amount
            now = sum((course.revenue(place, self.facts.sales[place].amount) for place in own), NOTHING)
            if now > floor:
                left = ONE - reached * (ONE - floor / now)
                for place in own:
                    course.use[place] = course.use.get(place, ONE) * left

    def _fee(self, course: Course, places: list[int], turn: FeeLowered, reached: Fraction) -> None:
        for group, own in self._by_group(places).items():
            floor = self.floors[group]
            lower = floor.amount * (ONE - turn.cut.exact() * reached)
            course.floors[group] = lower
            now = sum((course.revenue(place, self.facts.sales[place].amount) for place in own), NOTHING)
            if NOTHING < now <= floor.amount:
                pays = min(now, max(lower, floor.used))
                for place in own:
                    course.price[place] = course.price.get(place, ONE) * pays / now

    def _by_group(self, places: list[int]) -> dict[str, list[int]]:
        """Of each group with a minimum, its sales that the minimum is for, among `places`."""
        found: dict[str, list[int]] = {}
        wanted = set(places)
        for group, floor in self.floors.items():
            own = [place for place in floor.places if place in wanted]
            if own:
                found[group] = own
        return found


def _answerable(facts: Facts, turn: AnyTurn, places: list[int], floors: dict[str, Floor]) -> None:
    if isinstance(turn, ToMinimum | FeeLowered):
        groups = {label(facts.sales[place], "group") for place in places}
        if not groups & floors.keys():
            who = ", ".join(names_of(facts, places)[:3]) or turn.who.words()
            raise NothingKnown(f"the scenario speaks of the minimum of {who}, and no [[minimum]] says what that is")
    if isinstance(turn, Dearer) and places and all(facts.sales[place].cost is None for place in places):
        raise NothingKnown(
            f"the scenario makes {turn.who.words()} dearer, and no cost of it is known; "
            "apply the vendor's costs, or enter [assumed] costs = { value = …, standing = …, source = … }"
        )
