"""What may be lost by chance: published portfolios, and the exact distribution against every outcome counted."""

from fractions import Fraction
from itertools import product
from math import isqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrepot.insight.concentration import hhi
from entrepot.insight.facts import InsightError, NothingSold
from entrepot.insight.loss import Exposure, _convolved, capped, distribution, loss

PERCENT = Fraction(1, 100)
#: Losses are whole numbers: an even amount, of which all or half may go.
EXPOSURES = st.lists(
    st.builds(
        lambda half, twentieths, lost: Exposure(
            name="c", amount=2 * half, probability=Fraction(twentieths, 20), lost=lost
        ),
        st.integers(0, 60), st.integers(0, 20), st.sampled_from([Fraction(1), Fraction(1, 2)]),
    ),
    min_size=1, max_size=7,
).filter(lambda given: any(each.amount for each in given))  # fmt: skip


def _exposure(amount: int, percent: object, lost: object = 100) -> Exposure:
    return Exposure(name="c", amount=amount, probability=Fraction(str(percent)) / 100, lost=Fraction(str(lost)) / 100)


def test_expected_loss_of_a_published_portfolio() -> None:
    """acadifi.com, "credit portfolio loss distribution": four borrowers, EL 226,000."""
    portfolio = [
        _exposure(5_000_000, "2.0", 45), _exposure(3_000_000, "4.0", 60), _exposure(8_000_000, "1.0", 40),
        _exposure(4_000_000, "3.5", 55),
    ]  # fmt: skip
    assert loss(portfolio).expected == 226_000


def test_value_at_risk_and_shortfall_of_two_projects_of_hull() -> None:
    """Hull, Risk Management and Financial Institutions, "VaR and expected shortfall": each project loses 10 with 2 %
    and else 1; of the two together VaR(97.5 %) is 11 and ES 11.144. Here the sure loss of 2 is taken off."""
    both = distribution([_exposure(9, 2), _exposure(9, 2)])
    level = Fraction("0.975")
    assert both.exact
    assert (both.value_at_risk(level) + 2, both.expected_shortfall(level) + 2) == (11, Fraction("11.144"))
    alone = distribution([_exposure(9, 2)])
    assert (alone.value_at_risk(level) + 1, alone.expected_shortfall(level) + 1) == (1, Fraction("8.2"))


@given(st.lists(st.integers(1, 10**9), min_size=1, max_size=20), st.integers(1, 99))
def test_with_equal_chances_sigma_is_revenue_times_the_root_of_the_index(amounts: list[int], percent: int) -> None:
    p, whole = percent * PERCENT, sum(amounts)
    found = loss([_exposure(amount, percent) for amount in amounts])
    assert found.sigma == isqrt(int(whole**2 * p * (1 - p) * hhi(amounts)))


@pytest.mark.long
@given(EXPOSURES)
def test_the_distribution_is_that_of_every_outcome_counted(exposures: list[Exposure]) -> None:
    outcomes: dict[int, Fraction] = {}
    for leaves in product((False, True), repeat=len(exposures)):
        chance, lost = Fraction(1), Fraction(0)
        for gone, each in zip(leaves, exposures, strict=True):
            chance *= each.probability if gone else 1 - each.probability
            lost += each.amount * each.lost if gone else 0
        outcomes[int(lost)] = outcomes.get(int(lost), Fraction(0)) + chance
    found = distribution(exposures)
    assert found.exact
    assert dict(found.chances) == {lost: chance for lost, chance in outcomes.items() if chance}
    assert sum(chance for _, chance in found.chances) == 1
    mean = sum(lost * chance for lost, chance in found.chances)
    assert abs(mean - loss(exposures).expected) <= Fraction(1, 2)
    assert found.expected_shortfall() >= found.value_at_risk()


def test_many_customers_beyond_the_named_are_taken_together_and_the_mean_stays() -> None:
    many = [_exposure(1_000_000 // rank, 5) for rank in range(1, 1001)]
    found = distribution(many)
    assert not found.exact
    mean = sum(lost * chance for lost, chance in found.chances)
    expected = loss(many).expected
    assert abs(mean - expected) < expected * 3 * PERCENT
    spread = sum((lost - mean) ** 2 * chance for lost, chance in found.chances)
    assert abs(isqrt(int(spread)) - loss(many).sigma) < loss(many).sigma * 3 * PERCENT
    assert found.above(0) > Fraction(9, 10) > found.above(expected) > found.above(2 * expected)
    assert sum(chance for _, chance in found.chances) == 1


def test_nobody_leaves_is_the_base_and_everybody_leaves_is_all_of_it() -> None:
    stays = loss([_exposure(80, 0), _exposure(20, 0)])
    assert (stays.expected, stays.sigma, stays.carr) == (0, 0, 100)
    assert distribution([_exposure(80, 0)]).chances == ((0, Fraction(1)),)
    gone = loss([_exposure(80, 100), _exposure(20, 100)])
    assert (gone.expected, gone.sigma, gone.carr) == (100, 0, 0)


def test_nobody_counts_for_more_than_the_cap() -> None:
    assert capped([25, 25, 50], Fraction(1, 5)) == 60
    assert capped([25, 25, 50], Fraction(1)) == 100
    for amounts, cap in (([5], 0), ([5], 2), ([5, -1], Fraction(1, 5))):
        with pytest.raises(InsightError):
            capped(amounts, Fraction(cap))
    with pytest.raises(NothingSold):
        capped([0], Fraction(1, 5))


@pytest.mark.parametrize(
    ("amount", "probability", "lost", "says"),
    [(-1, 5, 100, "below zero"), (1, 101, 100, "between 0 and 1"), (1, 5, -1, "between 0 and 1")],
)
def test_a_chance_that_is_none_is_refused(amount: int, probability: int, lost: int, says: str) -> None:
    with pytest.raises(InsightError, match=says):
        loss([_exposure(amount, probability, lost)])


def test_without_revenue_there_is_nothing_to_lose() -> None:
    for none in ([], [_exposure(0, 5)]):
        with pytest.raises(NothingSold, match="nothing to lose"):
            loss(none)
        with pytest.raises(NothingSold, match="nothing to lose"):
            distribution(none)


@given(*2 * [st.lists(st.integers(0, 10**30), min_size=1, max_size=12)])
def test_two_distributions_together_are_every_pair_of_their_outcomes(these: list[int], those: list[int]) -> None:
    found = [0] * (len(these) + len(those) - 1)
    for (place, weight), (other, more) in product(enumerate(these), enumerate(those)):
        found[place + other] += weight * more
    assert _convolved(these, those) == found


@given(EXPOSURES)
def test_expected_loss_and_spread_are_sums_over_all_names(exposures: list[Exposure]) -> None:
    sure = [each.amount * each.lost for each in exposures]
    variance = sum(
        (size**2 * each.probability * (1 - each.probability) for each, size in zip(exposures, sure, strict=True)),
        Fraction(0),
    )
    expected = sum((size * each.probability for each, size in zip(exposures, sure, strict=True)), Fraction(0))
    found = loss(exposures)
    assert (found.expected, found.sigma) == (round(expected), isqrt(int(variance)))
