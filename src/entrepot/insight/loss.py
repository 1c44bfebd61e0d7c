"""What may be lost, if customers leave by chance and not by scenario?"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from fractions import Fraction
from itertools import pairwise
from math import gcd, isqrt
from statistics import NormalDist
from typing import Final

import msgspec

from entrepot.insight.facts import InsightError, NothingSold, Standing

#: Names that are convolved one by one; the rest together is taken as normal.
NAMED: Final = 25
#: Steps of the grid of losses where the amounts themselves do not lie on a coarser one.
STEPS: Final = 2_000
#: Weights of the normal part: whole numbers that add up to this.
_NORMAL: Final = 10**12


class Exposure(msgspec.Struct, frozen=True, kw_only=True):
    """One customer: `amount` (EAD) of revenue, `probability` (PD) that it leaves within the period, `lost` (LGD) the
    part of its revenue that then goes. Both are assumptions, with their standing and source."""

    name: str
    amount: int
    probability: Fraction
    lost: Fraction = Fraction(1)
    standing: Standing = "assumed"
    source: str = ""


class Loss(msgspec.Struct, frozen=True, kw_only=True):
    """`expected`, `sigma` (rounded down) and `carr`, what `z` sigmas leave of the revenue, in units."""

    revenue: int
    expected: int
    sigma: int
    z: Fraction
    carr: int
    assumptions: tuple[Exposure, ...]


class Distribution(msgspec.Struct, frozen=True, kw_only=True):
    """`chances` are (loss, chance) in rising order, adding up to 1; `step` is the grid (1 part of what any name may
    lose is rounded to it), `exact` says that nothing was rounded and nobody taken as normal."""

    step: int
    exact: bool
    chances: tuple[tuple[int, Fraction], ...]

    def above(self, amount: int) -> Fraction:
        """P(loss > amount)."""
        return sum((chance for loss, chance in self.chances if loss > amount), Fraction(0))

    def value_at_risk(self, level: Fraction = Fraction(95, 100)) -> int:
        """The least loss that is not exceeded with this chance."""
        reached = Fraction(0)
        for loss, chance in self.chances:
            reached += chance
            if reached >= level:
                return loss
        return self.chances[-1][0]

    def expected_shortfall(self, level: Fraction = Fraction(95, 100)) -> Fraction:
        """The mean of the worst 1 - level; a loss that lies on the border counts with what of it is beyond."""
        border = self.value_at_risk(level)
        beyond = self.above(border)
        tail = sum((loss * chance for loss, chance in self.chances if loss > border), Fraction(0))
        return (tail + border * ((1 - level) - beyond)) / (1 - level)


def loss(exposures: Iterable[Exposure], z: Fraction | int = Fraction(1645, 1000)) -> Loss:
    """Expected loss of revenue, its spread, and the concentration-adjusted run-rate.

    Formula: EL = Σ p_i LGD_i R_i; σ² = Σ (LGD_i R_i)² p_i (1 - p_i); CARR(z) = R - EL - z σ. With equal p and LGD
    σ = R LGD sqrt(p (1 - p) HHI), which is why HHI is the right number.
    Unit: that of the amounts, rounded to it (σ down). Names are taken as independent.
    Bad input: NothingSold without revenue; InsightError for a chance or part outside 0 to 1, or an amount below zero.
    Source: PD × LGD × EAD, Basel Committee; CARR is ours.
    """
    given = _checked(exposures)
    revenue = sum(each.amount for each in given)
    expected, spread = _expected(given), _sigma(given)
    carr = revenue - expected - Fraction(z) * spread
    return Loss(
        revenue=revenue, expected=round(expected), sigma=spread, z=Fraction(z), carr=round(carr),
        assumptions=tuple(given),
    )  # fmt: skip


def capped(amounts: Iterable[int], cap: Fraction) -> int:
    """The run-rate in which nobody counts for more than a part of it.

    Formula: Σ min(R_i, c R).
    Unit: that of the amounts, rounded down.
    Bad input: InsightError for a cap outside 0 to 1 or an amount below zero, NothingSold without revenue.
    Source: ours; caps of 10 % and 20 % are usual for single names in an index (UCITS 5/10/40, Art. 53: 20 %).
    """
    sizes = list(amounts)
    if not 0 < cap <= 1 or any(size < 0 for size in sizes):
        raise InsightError(f"a cap of {cap} of amounts of at least {min(sizes, default=0)}: both must be above zero")
    whole = sum(sizes)
    if not whole:
        raise NothingSold("nothing was sold, so there is nothing to cap")
    return sum((min(Fraction(size), cap * whole) for size in sizes), Fraction(0)).__floor__()


def distribution(exposures: Iterable[Exposure]) -> Distribution:
    """How likely is which loss: the 25 largest names exactly, the rest together as normal.

    Formula: convolution of (0, 1 - p_i), (LGD_i R_i, p_i); the rest N(EL, σ²), cut at 0 and at what it can lose.
    Unit: that of the amounts, on a grid: each loss rounded to the nearest step of 1/2,000 of the largest possible sum,
    or exact where the losses have a common measure not finer than that.
    Bad input: as `loss`.
    Source: CreditRisk+ (Credit Suisse 1997) bands exposures the same way; ES as Acerbi and Tasche 2002.
    """
    given = sorted(_checked(exposures), key=lambda each: -each.amount * each.lost)
    named, rest = given[:NAMED], given[NAMED:]
    losses = [round(each.amount * each.lost) for each in named]
    most = sum(losses) + sum(round(each.amount * each.lost) for each in rest)
    measure = gcd(*losses) if losses else 1
    step = measure if not rest and most <= measure * STEPS else max(1, -(-most // STEPS))
    weights = [1]
    for each, size in zip(named, losses, strict=True):
        weights = _with(weights, round(Fraction(size, step)), each.probability)
    if rest:
        weights = _convolved(weights, _normal(rest, step))
    total = sum(weights)
    return Distribution(
        step=step, exact=not rest and all(size % step == 0 for size in losses),
        chances=tuple((place * step, Fraction(weight, total)) for place, weight in enumerate(weights) if weight),
    )  # fmt: skip


def _with(weights: Sequence[int], places: int, chance: Fraction) -> list[int]:
    leaves, stays = chance.numerator, chance.denominator - chance.numerator
    found = [weight * stays for weight in weights] + [0] * places
    for place, weight in enumerate(weights):
        found[place + places] += weight * leaves
    return found


def _convolved(weights: Sequence[int], others: Sequence[int]) -> list[int]:
    """Σ weights[i] others[k - i] for each k, as one product of two whole numbers that have the weights as their digits,
    in a base that no sum reaches: exact, and long numbers are multiplied faster than pair by pair (Kronecker 1882)."""
    places = len(weights) + len(others) - 1
    size = (max(sum(weights), 1) * max(sum(others), 1)).bit_length() // 8 + 1
    product = (_number(weights, size) * _number(others, size)).to_bytes(size * places, "little")
    return [int.from_bytes(product[at : at + size], "little") for at in range(0, size * places, size)]


def _number(digits: Iterable[int], size: int) -> int:
    """The whole number with these digits, the least first, each in so many bytes."""
    return int.from_bytes(b"".join(digit.to_bytes(size, "little") for digit in digits), "little")


def _normal(rest: Sequence[Exposure], step: int) -> list[int]:
    mean, spread = _expected(rest), _sigma(rest)
    most = round(sum((lost * sum(sizes) for (_, lost), sizes in _alike(rest).items()), Fraction(0)) / step)
    if not spread:
        return [0] * round(mean / step) + [_NORMAL]
    curve = NormalDist(int(mean) / step, spread / step)
    reached = [0, *(round(curve.cdf(place + 0.5) * _NORMAL) for place in range(most)), _NORMAL]
    return [after - before for before, after in pairwise(reached)]


def _expected(exposures: Iterable[Exposure]) -> Fraction:
    return sum((chance * lost * sum(sizes) for (chance, lost), sizes in _alike(exposures).items()), Fraction(0))


def _sigma(exposures: Iterable[Exposure]) -> int:
    variance = sum(
        (
            chance * (1 - chance) * lost**2 * sum(size * size for size in sizes)
            for (chance, lost), sizes in _alike(exposures).items()
        ),
        Fraction(0),
    )
    return isqrt(int(variance))


def _alike(exposures: Iterable[Exposure]) -> dict[tuple[Fraction, Fraction], list[int]]:
    """Amounts by chance and part: there are a thousand customers and few chances, and fractions are slow to add."""
    found: dict[tuple[Fraction, Fraction], list[int]] = defaultdict(list)
    for each in exposures:
        found[each.probability, each.lost].append(each.amount)
    return found


def _checked(exposures: Iterable[Exposure]) -> list[Exposure]:
    given = list(exposures)
    for each in given:
        if not (0 <= each.probability <= 1 and 0 <= each.lost <= 1):
            raise InsightError(
                f"{each.name}: a chance of {each.probability} to lose {each.lost} of it; both lie between 0 and 1"
            )
        if each.amount < 0:
            raise InsightError(f"{each.name} is below zero, and what is below zero cannot be lost")
    if not any(each.amount for each in given):
        raise NothingSold("nothing was sold, so there is nothing to lose")
    return given
