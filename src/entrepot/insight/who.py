"""Whom a scenario means: by name, or the largest of a cut; a name that nobody has is refused with the nearest ones."""

import difflib
from collections.abc import Iterable

import msgspec

from entrepot.insight.facts import BESIDE_USAGE, UNNAMED, Base, Dimension, Facts, InsightError, Sale, label

_NEAREST = 3
_LISTED = 8
_NAMELESS = {UNNAMED, BESIDE_USAGE}


class NameUnknown(InsightError):
    """A scenario names a customer, model, … that nothing was sold to, of or in."""

    code = "scenario_name_unknown"


class Who(msgspec.Struct, frozen=True, kw_only=True):
    """A part of the sales. `named`: only these of each dimension ("customer" takes control groups, too). `largest`: of
    what is left, the so many largest of a dimension, one after the other: (("group", 1), ("region", 1)) is the largest
    customer in its largest region. Neither: everybody."""

    named: tuple[tuple[Dimension, tuple[str, ...]], ...] = ()
    largest: tuple[tuple[Dimension, int], ...] = ()

    def words(self) -> str:
        """As it stands in a list of assumptions."""
        parts = []
        for dimension, count in self.largest:
            parts.append(f"the largest {_thing(dimension)}" if count == 1 else f"the {count} largest by {dimension}")
        parts += [f"{dimension} {' or '.join(names)}" for dimension, names in self.named]
        return ", ".join(parts) or "everybody"


def chosen(facts: Facts, who: Who) -> list[int]:
    """Places in `facts.sales`. Raises NameUnknown for a name that no sale has, and where nothing has a name at all."""
    places = list(range(len(facts.sales)))
    for dimension, names in who.named:
        wanted = set(names)
        known = _known(facts, dimension)
        for name in names:
            if name not in known:
                raise NameUnknown(_unknown(facts, dimension, name, known))
        places = [place for place in places if wanted & _labels(facts.sales[place], dimension)]
    for dimension, count in who.largest:
        places = _largest(facts, places, dimension, count)
    return places


def names_of(facts: Facts, places: Iterable[int], dimension: Dimension = "group") -> list[str]:
    """Who that is, largest first, ties by name."""
    sums: dict[str, int] = {}
    for place in places:
        name = label(facts.sales[place], dimension)
        sums[name] = sums.get(name, 0) + facts.sales[place].amount
    return sorted(sums, key=lambda name: (-sums[name], name))


def _largest(facts: Facts, places: list[int], dimension: Dimension, count: int) -> list[int]:
    sums: dict[str, int] = {}
    for place in places:
        name = label(facts.sales[place], dimension)
        sums[name] = sums.get(name, 0) + facts.sales[place].amount
    named = (name for name in sums if sums[name] > 0 and name not in _NAMELESS)
    ranked = sorted(named, key=lambda name: (-sums[name], name))
    if not ranked:
        raise NameUnknown(
            f"the scenario asks for the largest {_thing(dimension)}, and no sale {_of(facts.base)} names one; "
            f"give a share of the traffic instead, or another cut"
        )
    kept = set(ranked[:count])
    return [place for place in places if label(facts.sales[place], dimension) in kept]


def _thing(dimension: Dimension) -> str:
    return {"group": "customer", "own": "kind of model"}.get(dimension, dimension)


def _labels(sale: Sale, dimension: Dimension) -> set[str]:
    """A customer goes by its id and by its control group."""
    found = {label(sale, dimension)}
    return found | {sale.group} if dimension == "customer" and sale.group else found


def _known(facts: Facts, dimension: Dimension) -> set[str]:
    return {name for sale in facts.sales for name in _labels(sale, dimension)} - _NAMELESS


def _unknown(facts: Facts, dimension: Dimension, name: str, known: set[str]) -> str:
    """Ids are compared as well as the names for people, so that "TikTok" finds tiktok-us."""
    folded: dict[str, str] = {each.casefold(): each for each in sorted(known, reverse=True)}
    if dimension == "customer":
        folded = {said.casefold(): each for each, said in sorted(facts.names.items()) if each in known} | folded
    close = difflib.get_close_matches(name.casefold(), folded, n=2 * _NEAREST, cutoff=0.5)
    near = list(dict.fromkeys(folded[each] for each in close))[:_NEAREST]
    if near:
        hint = f"nearest: {', '.join(near)}"
    elif known:
        listed = sorted(known)[:_LISTED]
        more = f" and {len(known) - len(listed)} more" if len(known) > len(listed) else ""
        hint = f"there are: {', '.join(listed)}{more}"
    else:
        hint = f"no sale there names a {dimension}"
    return f"the scenario names the {dimension} {name!r}, and nothing {_of(facts.base)} has that name; {hint}"


def _of(base: Base) -> str:
    return f"of this base ({base.kind}, {base.starts_on} until {base.until})"
