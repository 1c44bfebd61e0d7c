"""How much of the revenue hangs on how few?"""

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Final

import msgspec

from entrepot.insight.facts import Base, Dimension, Facts, InsightError, NothingSold, share

#: How many of the largest a concentration ratio takes together.
RATIOS: Final = (1, 3, 5, 10)
#: Of the revenue of the reporting entity: ASC 280-10-50-42, IFRS 8.34.
MAJOR: Final = Fraction(1, 10)
#: HHI and share above which somebody calls a market concentrated. Made for markets; for customers, an analogy.
_MARKS: Final = (
    ("moderately concentrated", "DOJ/FTC Merger Guidelines 1992 (and DOJ since 2023)", Fraction(1_000, 10_000)),
    ("moderately concentrated", "DOJ/FTC Horizontal Merger Guidelines 2010", Fraction(1_500, 10_000)),
    ("highly concentrated", "DOJ/FTC Merger Guidelines 2023, Guideline 1 (as in 1992)", Fraction(1_800, 10_000)),
    ("highly concentrated", "DOJ/FTC Horizontal Merger Guidelines 2010", Fraction(2_500, 10_000)),
)
_LARGEST_MARK: Final = ("largest share above 30 %", "DOJ/FTC Merger Guidelines 2023, Guideline 1", Fraction(30, 100))
#: A rise of HHI that counts as one: Guideline 1 of 2023, Δ > 100 points.
RISE: Final = Fraction(100, 10_000)


class Part(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One name of a cut. `share` is 0 for what is below zero: that has no share."""

    name: str
    amount: int
    share: Fraction


class Major(Part, frozen=True, kw_only=True):
    """A customer with 10 % or more: a control group as one, with its `members` and the amount by product (segment)."""

    members: tuple[str, ...] = ()
    products: tuple[tuple[str, int], ...] = ()


class Threshold(msgspec.Struct, frozen=True, kw_only=True):
    """A mark that somebody else set, `value` of 1 (1,800 points of HHI are 9/50), and whether it is passed."""

    name: str
    whose: str
    value: Fraction
    passed: bool


class Concentration(msgspec.Struct, frozen=True, kw_only=True):
    """`parts` above or at zero, largest first, ties by name; their shares are of `counted` and add up to 1.
    `below_zero` are left out and named; `whole` is everything: counted + what is below zero. `ten_percent` are shares
    of the whole.
    """

    base: Base
    by: Dimension
    whole: int
    parts: tuple[Part, ...]
    below_zero: tuple[Part, ...]
    cr: Mapping[int, Fraction]
    hhi: Fraction
    effective: Fraction
    gini: Fraction
    lorenz: tuple[tuple[Fraction, Fraction], ...]
    thresholds: tuple[Threshold, ...]
    ten_percent: tuple[Major, ...]
    counted: int = 0


class Shift(msgspec.Struct, frozen=True, kw_only=True):
    """HHI after less HHI before, and whether the rise is one that `whose` calls significant."""

    before: Fraction
    after: Fraction
    rise: Fraction
    threshold: Threshold


def concentration(facts: Facts, by: Dimension) -> Concentration:
    """Shares of one cut with what follows from them.

    Formula: s_i = R_i / ΣR over those not below zero; CR_n = Σ of the n largest s_i; HHI = Σ s_i²; N_eff = 1 / HHI.
    Unit: fractions of 1 (HHI × 10,000 are its points); amounts in units of the base.
    Range: 1/N <= HHI <= 1, 1 <= N_eff <= N, 0 <= Gini < 1.
    Bad input: NothingSold where the whole is not above zero. Names below zero are left out of every figure but the
    whole, and named.
    Source: Herfindahl 1950, Hirschman 1945 (HHI); Laakso and Taagepera 1979 (effective number); thresholds name theirs.
    """
    amounts = facts.by(by)
    whole = sum(amounts.values())
    if whole <= 0:
        raise NothingSold(_nothing(facts.base, whole))
    above = sorted(
        ((amount, name) for name, amount in amounts.items() if amount >= 0), key=lambda each: (-each[0], each[1])
    )
    below = sorted((amount, name) for name, amount in amounts.items() if amount < 0)
    sizes = [amount for amount, _ in above]
    counted = sum(sizes)
    index = hhi(sizes)
    largest = Fraction(sizes[0], counted)
    return Concentration(
        base=facts.base, by=by, whole=whole, counted=counted,
        parts=tuple(Part(name=name, amount=amount, share=Fraction(amount, counted)) for amount, name in above),
        below_zero=tuple(Part(name=name, amount=amount, share=Fraction(0)) for amount, name in below),
        cr={n: Fraction(sum(sizes[:n]), counted) for n in RATIOS},
        hhi=index, effective=1 / index, gini=gini(sizes), lorenz=lorenz(sizes),
        thresholds=thresholds(index, largest),
        ten_percent=ten_percent(facts) if by in ("customer", "group") else (),
    )  # fmt: skip


def hhi(amounts: Iterable[int]) -> Fraction:
    """Herfindahl-Hirschman index.

    Formula: HHI = Σ (R_i / ΣR)².
    Unit: of 1; × 10,000 for points.
    Bad input: NothingSold where nothing is above zero, InsightError for an amount below zero.
    Source: U.S. DOJ, "Herfindahl-Hirschman Index" (justice.gov/atr): shares 30, 30, 20, 20 give 2,600 points.
    """
    sizes = _not_below(amounts)
    return Fraction(sum(size * size for size in sizes), sum(sizes) ** 2)


def gini(amounts: Iterable[int]) -> Fraction:
    """How unequal the amounts are: 0 when all are equal, (N-1)/N when one has everything.

    Formula: G = Σ_i Σ_j |R_i - R_j| / (2 N² mean), which over sorted amounts is 2 Σ i R_i / (N ΣR) - (N + 1) / N.
    Unit: of 1; of the N given, not corrected for few.
    Bad input: NothingSold where nothing is above zero, InsightError for an amount below zero.
    Source: Gini 1912; Sen, On Economic Inequality (1973), 2.10.
    """
    sizes = sorted(_not_below(amounts))
    n, whole = len(sizes), sum(sizes)
    weighted = sum(rank * size for rank, size in enumerate(sizes, 1))
    return Fraction(2 * weighted - (n + 1) * whole, n * whole)


def lorenz(amounts: Iterable[int]) -> tuple[tuple[Fraction, Fraction], ...]:
    """The curve of what part of the names, the smallest first, has what part of the amount.

    Shape: N + 1 points from (0, 0) to (1, 1), below the diagonal.
    Unit: of 1.
    Bad input: NothingSold where nothing is above zero, InsightError for an amount below zero.
    Source: Lorenz 1905, "Methods of Measuring the Concentration of Wealth".
    """
    sizes = sorted(_not_below(amounts))
    n, whole = len(sizes), sum(sizes)
    points, reached = [(Fraction(0), Fraction(0))], 0
    for rank, size in enumerate(sizes, 1):
        reached += size
        points.append((Fraction(rank, n), Fraction(reached, whole)))
    return tuple(points)


def ten_percent(facts: Facts) -> tuple[Major, ...]:
    """Each customer of 10 % or more of the revenue of the service, as if the service were the reporting entity.

    Formula: R_i >= ΣR / 10, R_i after control groups are merged into one customer; of the whole, credits included.
    Unit: amounts of the base, with the amount by product (as segment). The identity need not be disclosed.
    Bad input: NothingSold where the whole is not above zero. Whether customers of one state are one customer needs
    judgement: give them one control group.
    Source: ASC 280-10-50-42 (each government is one customer); IFRS 8.34.
    """
    whole = facts.total()
    if whole <= 0:
        raise NothingSold(_nothing(facts.base, whole))
    large = {name: amount for name, amount in facts.by("group").items() if share(amount, whole) >= MAJOR}
    members: dict[str, set[str]] = {name: set() for name in large}
    products: dict[str, dict[str, int]] = {name: {} for name in large}
    for sale in facts.sales:
        name = sale.group or sale.customer
        if name in large:
            members[name].add(sale.customer)
            products[name][sale.product] = products[name].get(sale.product, 0) + sale.amount
    found = [
        Major(
            name=name, amount=amount, share=share(amount, whole), members=tuple(sorted(members[name])),
            products=tuple(sorted(products[name].items())),
        )
        for name, amount in large.items()
    ]  # fmt: skip
    return tuple(sorted(found, key=lambda each: (-each.amount, each.name)))


def thresholds(index: Fraction, largest: Fraction) -> tuple[Threshold, ...]:
    """Marks of others beside an HHI and the largest share; "above" as in their texts: a mark itself is not passed."""
    name, whose, value = _LARGEST_MARK
    return (
        *(Threshold(name=name, whose=whose, value=value, passed=index > value) for name, whose, value in _MARKS),
        Threshold(name=name, whose=whose, value=value, passed=largest > value),
    )


def shift(before: Concentration, after: Concentration) -> Shift:
    """Whether the concentration rose, and by as much as somebody calls significant.

    Formula: ΔHHI = HHI_after - HHI_before.
    Unit: of 1; 100 points are 1/100.
    Bad input: BasesMixed for two bases, InsightError for two cuts.
    Source: DOJ/FTC Merger Guidelines 2023, Guideline 1: a change of more than 100 points.
    """
    before.base.same(after.base)
    if before.by != after.by:
        raise InsightError(f"a concentration by {before.by} and one by {after.by} cannot be compared")
    rise = after.hhi - before.hhi
    mark = Threshold(
        name="significant increase", whose="DOJ/FTC Merger Guidelines 2023, Guideline 1", value=RISE, passed=rise > RISE
    )
    return Shift(before=before.hhi, after=after.hhi, rise=rise, threshold=mark)


def _not_below(amounts: Iterable[int]) -> Sequence[int]:
    sizes = list(amounts)
    if min(sizes, default=0) < 0:
        raise InsightError("an amount below zero has no share; leave it out and name it")
    if not any(sizes):
        raise NothingSold("nothing was sold, so there is no share of anything")
    return sizes


def _nothing(base: Base, whole: int) -> str:
    said = "nothing was sold" if whole == 0 else f"more was credited than sold ({base.money(whole)})"
    return (
        f"{base.kind} revenue of {base.whole} from {base.starts_on} until {base.until}: {said}, so there are no shares"
    )
