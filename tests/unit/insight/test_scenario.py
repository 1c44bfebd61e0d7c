"""What-if: nobody leaves is the base, what goes is what was there, and every example file works on any house."""

from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrepot.insight.assumptions import Assumptions
from entrepot.insight.facts import Base, Facts, NothingSold, Sale
from entrepot.insight.given import Given
from entrepot.insight.obligation import Capacity, Commitment, Minimum
from entrepot.insight.scenario import CurrencyOther, Outcome, Scenario, run
from entrepot.insight.scenario_file import read_scenario
from entrepot.insight.turns import AnyTurn, Dearer, FeeLowered, Leaves, NothingKnown, ToMinimum
from entrepot.insight.who import NameUnknown, Who
from entrepot.kernel.money import round_half_away

EXAMPLES = Path(__file__).parents[3] / "examples" / "scenarios"
MONTH = Base(kind="billed", currency="USD", scale=2, starts_on="2026-10-01", until="2026-11-01")


def assumed(value: str) -> Given:
    return Given(value=Decimal(value), standing="assumed", source="this test")


def sale(customer: str, amount: int, **more: object) -> Sale:
    given = {"month": "2026-10", "vendor": "north", "model": "large", "cost": amount * 6 // 10, **more}
    return Sale(customer=customer, amount=amount, **given)  # type: ignore[arg-type]


HOUSE = Facts(
    base=MONTH,
    sales=(
        sale("video-us", 1_500_00, group="video", region="us"),
        sale("video-eu", 500_00, group="video", region="eu"),
        sale("shop", 1_000_00, region="us"),
        sale("bank", 800_00, region="eu", product="seats"),
        sale("lab", 200_00, vendor="south", model="small", region="us"),
    ),
    names={"shop": "The Shop"},
)  # fmt: skip
LARGEST = Who(largest=(("group", 1),))


def outcome(*turns: AnyTurn, facts: Facts = HOUSE, **given: object) -> Outcome:
    return run(facts, Scenario(name="test", title="A test", turns=turns), Assumptions(**given))  # type: ignore[arg-type]


def test_nobody_leaves_is_the_base_itself() -> None:
    kept = outcome(
        capacities=(Capacity(name="machines", who=LARGEST, part=assumed("0.1")),),
        commitments=(Commitment(name="north", who=Who(), part=assumed("0.9")),),
        minima=(Minimum(who=LARGEST, part=assumed("0.5"), months_left=12),),
    )
    assert kept.after == kept.before == HOUSE
    assert {(each.revenue, each.cost, each.margin) for each in (kept.now, *kept.path)} == {(400000, 240000, 140000)}
    assert (kept.idle_commitments, kept.idle_capacity, kept.cash_gap, kept.months_to_recover) == (0, 0, 0, 0)
    assert kept.concentration[0] == kept.concentration[1]


def test_the_largest_group_leaves_at_once_with_what_it_paid_and_cost() -> None:
    gone = outcome(Leaves(who=LARGEST, share=assumed("1")), growth=assumed("0.1"))
    assert gone.leaving == ("video",)
    assert (gone.now.revenue, gone.then.revenue, gone.then.cost, gone.then.margin) == (400000, 200000, 120000, 80000)
    assert gone.path[0].revenue == gone.then.revenue
    assert gone.months_to_recover == 8  # 1.1^7 = 1.949, 1.1^8 = 2.144
    assert gone.cash_gap == 12 * 80000
    before, after = gone.concentration
    assert after is not None
    assert (before.parts[0].name, before.parts[0].share) == ("video", Fraction(1, 2))
    assert (after.parts[0].name, after.parts[0].share) == ("shop", Fraction(1, 2))
    assert "the largest customer (video)" in gone.assumptions[0].name


def test_over_months_a_part_more_goes_each_month() -> None:
    slow = outcome(Leaves(who=LARGEST, share=assumed("1"), start=2, over=4))
    assert [each.revenue for each in slow.path[:6]] == [400000, 350000, 300000, 250000, 200000, 200000]


def test_a_customer_in_its_largest_region_and_by_name_in_a_region_are_the_same_ban() -> None:
    ranked = outcome(Leaves(who=Who(largest=(("group", 1), ("region", 1))), share=assumed("1")))
    named = outcome(Leaves(who=Who(named=(("customer", ("video",)), ("region", ("us",)))), share=assumed("1")))
    assert ranked.then == named.then
    assert ranked.then.revenue == 250000
    assert ranked.after.by("customer").get("video-us") is None


def test_top_three_halve() -> None:
    halved = outcome(Leaves(who=Who(largest=(("group", 3),)), share=assumed("0.5")))
    assert halved.then.revenue == 400000 - 380000 // 2


def test_falling_to_a_minimum_takes_what_is_above_it_and_no_more() -> None:
    fallen = outcome(
        ToMinimum(who=Who()),
        minima=(
            Minimum(who=Who(named=(("customer", ("video",)),)), amount=assumed("500")),
            Minimum(who=Who(named=(("customer", ("lab",)),)), amount=assumed("900")),
        ),
    )
    assert fallen.after.by("group") == {"bank": 80000, "lab": 20000, "shop": 100000, "video": 50000}
    assert fallen.then.cost == (80000 + 20000 + 100000 + 50000) * 6 // 10


def test_who_leaves_owes_its_minimum_as_long_as_it_runs_and_it_costs_nothing() -> None:
    bound = outcome(
        Leaves(who=LARGEST, share=assumed("1")), minima=(Minimum(who=LARGEST, part=assumed("0.5"), months_left=3),)
    )
    assert [each.unused for each in bound.path[:4]] == [100000, 100000, 100000, 0]
    assert bound.path[0].revenue == 300000
    assert bound.path[0].margin == 180000
    forever = outcome(
        Leaves(who=LARGEST, share=assumed("1")), minima=(Minimum(who=LARGEST, part=assumed("0.5"), months_left=99),)
    )
    assert forever.after.total() == forever.then.revenue == 300000
    assert forever.after.by("product")["minimum"] == 100000


def test_a_vendor_raises_prices_and_customers_prices_are_fixed_or_follow() -> None:
    north = Who(named=(("vendor", ("north",)),))
    fixed = outcome(Dearer(who=north, rise=(("price rise", assumed("0.2")),)))
    assert fixed.then.revenue == fixed.now.revenue
    assert fixed.now.margin - fixed.then.margin == 380000 * 6 // 10 // 5
    followed = outcome(Dearer(who=north, rise=(("price rise", assumed("0.2")),), handed_on=assumed("1")))
    assert followed.then.margin == followed.now.margin
    assert followed.then.revenue == 400000 + 45600


def test_the_suppliers_supplier_reaches_us_through_the_vendor_and_our_own_machines() -> None:
    chain = (("price rise", assumed("0.3")), ("part", assumed("0.5")), ("passed on", assumed("0.8")))
    up = outcome(
        Dearer(who=Who(named=(("vendor", ("north",)),)), rise=chain, capacity=assumed("0.5")),
        capacities=(Capacity(name="machines", who=LARGEST, amount=assumed("100")),),
    )
    assert up.then.cost == 240000 + round(380000 * 6 // 10 * 0.12)
    assert (up.now.capacity, up.then.capacity, up.then.idle_capacity) == (10000, 11500, 0)


def test_what_follows_the_vendor_comes_back_in_part_and_outside_the_revenue() -> None:
    back = outcome(Leaves(who=LARGEST, share=assumed("1"), received=assumed("0.2")))
    assert (back.then.revenue, back.then.received) == (200000, 40000)
    assert back.then.margin == 80000


def test_a_lower_minimum_fee_costs_what_was_paid_above_usage() -> None:
    minimum = Minimum(who=LARGEST, part=assumed("1"), used=assumed("0.8"), months_left=12)
    assert outcome(FeeLowered(who=Who(), cut=assumed("0.1")), minima=(minimum,)).then.revenue == 380000
    assert outcome(FeeLowered(who=Who(), cut=assumed("0.5")), minima=(minimum,)).then.revenue == 360000


def test_capacity_is_idle_and_paid_until_a_part_of_it_finds_other_work() -> None:
    idle = outcome(
        Leaves(who=LARGEST, share=assumed("0.5"), start=2),
        capacities=(
            Capacity(
                name="machines", who=LARGEST, amount=assumed("100"), redeployed_after=3, redeployed=assumed("0.5")
            ),
        ),
    )
    assert [each.idle_capacity for each in idle.path[:6]] == [0, 5000, 5000, 5000, 2500, 2500]
    assert [each.capacity for each in idle.path[:6]] == [10000, 10000, 10000, 10000, 7500, 7500]
    assert idle.idle_capacity == 3 * 5000 + 8 * 2500


def test_a_commitment_to_a_vendor_is_idle_for_what_is_not_bought() -> None:
    owed = outcome(
        Leaves(who=LARGEST, share=assumed("1")),
        commitments=(Commitment(name="north", who=Who(named=(("vendor", ("north",)),)), amount=assumed("2000"),
                                months_left=2),),
    )  # fmt: skip
    assert [each.idle_commitments for each in owed.path[:3]] == [200000 - 108000, 200000 - 108000, 0]
    assert owed.path[0].margin == 200000 - 120000 - 92000


def test_a_month_of_several_is_their_mean() -> None:
    two = Facts(
        base=Base(kind="billed", currency="USD", scale=2, starts_on="2026-09-01", until="2026-11-01"),
        sales=(sale("a", 300_00, month="2026-09"), sale("a", 100_00), sale("b", 100_00)),
    )
    gone = outcome(Leaves(who=LARGEST, share=assumed("1")), facts=two,
                   capacities=(Capacity(name="m", who=LARGEST, amount=assumed("10")),))  # fmt: skip
    assert (gone.now.revenue, gone.then.revenue, gone.then.idle_capacity) == (25000, 5000, 1000)


def test_unknown_costs_stay_unknown_until_a_share_is_entered() -> None:
    facts = Facts(base=MONTH, sales=(sale("a", 100_00), sale("b", 50_00, cost=None)))
    unknown = outcome(facts=facts)
    assert (unknown.now.uncosted, unknown.now.margin) == (5000, 4000)
    entered = outcome(facts=facts, costs=assumed("0.5"))
    assert (entered.now.uncosted, entered.now.margin) == (0, 6500)
    with pytest.raises(NothingKnown, match="no cost of it is known"):
        outcome(Dearer(who=Who(named=(("customer", ("b",)),)), rise=(("rise", assumed("0.2")),)), facts=facts)


def test_a_commitment_without_any_known_cost_is_refused() -> None:
    facts = Facts(base=MONTH, sales=(sale("a", 100_00, cost=None),))
    with pytest.raises(NothingKnown, match="what we owe north, and no cost"):
        outcome(facts=facts, commitments=(Commitment(name="north", who=Who(), amount=assumed("5")),))


def test_the_only_customer_leaves_and_no_figure_is_made_up() -> None:
    alone = Facts(base=MONTH, sales=(sale("a", 100_00),))
    gone = outcome(Leaves(who=LARGEST, share=assumed("1")), facts=alone, growth=assumed("0.05"))
    assert (gone.then.revenue, gone.months_to_recover, gone.concentration[1]) == (0, None, None)


def test_growth_that_nobody_entered_is_that_of_the_window_where_it_shows_one() -> None:
    months = ("2026-07", "2026-08", "2026-09", "2026-10")
    base = Base(kind="billed", currency="USD", scale=2, starts_on="2026-07-01", until="2026-11-01")
    sales = [sale(who, 100_00 * 11**n // 10**n, month=month) for n, month in enumerate(months) for who in "ab"]
    gone = outcome(Leaves(who=LARGEST, share=assumed("1")), facts=Facts(base=base, sales=tuple(sales)))
    assert gone.growth is not None
    assert abs(gone.growth - Fraction(1, 10)) < Fraction(1, 10**11)
    assert gone.months_to_recover == 8
    assert gone.needed is not None
    assert abs((1 + gone.needed) ** 12 - 2) < Fraction(1, 10_000)
    assert [each.value for each in gone.assumptions if each.name == "growth of what is left"] == [
        "10.00 % a month, as the window grew"
    ]
    short = outcome(Leaves(who=LARGEST, share=assumed("1")))
    assert (short.growth, short.months_to_recover) == (None, None)


def test_cash_lasts_as_long_as_it_does() -> None:
    gone = outcome(
        Leaves(who=LARGEST, share=assumed("1")), cash=assumed("3000"), fixed=assumed("1500"),
    )  # fmt: skip
    assert gone.then.margin == 80000
    assert gone.runway_months == 4  # 3,000 − 4 × 700 = 200
    assert outcome(cash=assumed("3000"), fixed=assumed("1500")).runway_months is None


@pytest.mark.parametrize(
    ("name", "near"),
    [("shopp", "nearest: shop"), ("the shop", "nearest: shop"), ("Video", "nearest: video, video-us, video-eu"),
     ("zzz", "there are: bank, lab, shop, video, video-eu, video-us")],
)  # fmt: skip
def test_an_unknown_customer_is_refused_with_the_nearest_names(name: str, near: str) -> None:
    with pytest.raises(NameUnknown) as refused:
        outcome(Leaves(who=Who(named=(("customer", (name,)),)), share=assumed("1")))
    assert f"names the customer {name!r}" in refused.value.message
    assert near in refused.value.message


def test_what_cannot_be_asked_is_refused_with_a_sentence() -> None:
    with pytest.raises(NothingSold, match="nothing was sold from 2026-10-01"):
        outcome(facts=Facts(base=MONTH, sales=()))
    with pytest.raises(NothingKnown, match="no \\[\\[minimum\\]\\] says"):
        outcome(ToMinimum(who=Who()))
    with pytest.raises(NameUnknown, match=r"no sale .* names one"):
        outcome(Leaves(who=Who(largest=(("industry", 1),)), share=assumed("1")))
    with pytest.raises(NothingKnown, match="happened only in month 13"):
        outcome(Leaves(who=Who(), share=assumed("1"), over=13))
    with pytest.raises(CurrencyOther, match="in EUR, the base is in USD"):
        run(HOUSE, Scenario(name="t", title="t", currency="EUR"), Assumptions())


SALES = st.builds(
    Sale, month=st.just("2026-10"), customer=st.sampled_from("abcdef"), group=st.sampled_from(["", "g"]),
    vendor=st.sampled_from(["v", "w"]), region=st.sampled_from(["x", "y"]), amount=st.integers(-(10**6), 10**9),
    cost=st.none() | st.integers(0, 10**9),
)  # fmt: skip
SHARES = st.decimals(0, 1, places=3)


@pytest.mark.long
@given(st.lists(SALES, min_size=1), st.lists(st.tuples(SHARES, st.integers(1, 6), st.integers(1, 6)), max_size=3))
def test_what_is_lost_and_what_is_left_are_the_base(sales: list[Sale], turns: list[tuple[Decimal, int, int]]) -> None:
    facts = Facts(base=MONTH, sales=tuple(sales))
    if facts.total() <= 0 or all(each.amount <= 0 for each in sales):
        return
    who = Who(named=(("customer", (sales[0].customer,)),))
    found = outcome(
        *(Leaves(who=who, start=start, over=over, share=assumed(str(share))) for share, start, over in turns),
        facts=facts,
    )
    untouched = [each for each in sales if each.customer != sales[0].customer]
    assert [each for each in found.after.sales if each.customer != sales[0].customer] == untouched
    left = Fraction(1)
    for share, _, _ in turns:
        left *= 1 - Fraction(share)
    own = sum(each.amount for each in sales if each.customer == sales[0].customer)
    assert found.then.revenue == round_half_away(facts.total() - own + own * left)
    assert abs(found.after.total() - found.then.revenue) <= len(sales)


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.toml")), ids=lambda path: path.stem)
def test_every_example_works_on_a_house_that_knows_nothing_but_its_bills(path: Path) -> None:
    scenario, given = read_scenario(path.read_text(), path.name)
    facts = Facts(base=MONTH, sales=tuple(sale(f"c{n}", 1_000_00 // n, cost=None) for n in range(1, 8)))
    if scenario.name == "seats-shrink":
        with pytest.raises(NameUnknown, match="nothing of this base"):
            run(facts, scenario, given)
        facts = HOUSE
    found = run(facts, scenario, given)
    assert found.now.revenue == round(Fraction(facts.total()))
    assert found.months_to_recover is not None
    assert found.concentration[1] is not None
    assert all(each.source for each in found.assumptions)
    changed = (found.then.revenue, found.then.margin) != (found.now.revenue, found.now.margin)
    assert changed == (scenario.name != "nobody-leaves")
