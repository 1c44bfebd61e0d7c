"""What every measure starts from: sums that add up whatever the cut, and bases that do not meet."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrepot.insight.facts import (
    DIMENSIONS,
    UNNAMED,
    Base,
    BasesMixed,
    Facts,
    InsightError,
    NothingSold,
    Sale,
    UnknownName,
    share,
    together,
)  # fmt: skip

BILLED = Base(kind="billed", currency="EUR", scale=2, starts_on="2026-09-01", until="2026-10-01")
SALES = st.builds(
    Sale, month=st.sampled_from(["2026-09", "2026-10"]), customer=st.sampled_from("abc"),
    group=st.sampled_from(["", "g"]),
    model=st.sampled_from(["", "large", "small"]), own=st.booleans(), vendor=st.sampled_from(["", "v"]),
    amount=st.integers(-(10**12), 10**12),
)  # fmt: skip


@given(st.lists(SALES))
def test_every_cut_adds_up_to_the_whole(sales: list[Sale]) -> None:
    facts = Facts(base=BILLED, sales=tuple(sales))
    for dimension in DIMENSIONS:
        assert sum(facts.by(dimension).values()) == facts.total()


def test_what_has_no_name_is_named_so_and_a_customer_without_a_group_is_its_own() -> None:
    facts = Facts(base=BILLED, sales=(Sale(month="2026-09", customer="a", amount=5),))
    assert facts.by("model") == {UNNAMED: 5}
    assert facts.by("group") == {"a": 5}
    assert facts.by("own") == {"bought": 5}


def test_months_of_one_base_come_together_and_two_bases_do_not() -> None:
    september = Facts(base=BILLED, sales=(Sale(month="2026-09", customer="a", amount=5),), inputs=(("R-1", "aa"),))
    later = Base(kind="billed", currency="EUR", scale=2, starts_on="2026-10-01", until="2026-11-01")
    october = Facts(base=later, sales=(Sale(month="2026-10", customer="b", amount=7),), inputs=(("R-1", "aa"),))
    both = together([september, october])
    assert (both.total(), both.base.starts_on, both.base.until) == (12, "2026-09-01", "2026-11-01")
    assert (both.months(), both.inputs) == (["2026-09", "2026-10"], (("R-1", "aa"),))
    earned = Base(kind="earned", currency="EUR", scale=2, starts_on="2026-10-01", until="2026-11-01")
    with pytest.raises(BasesMixed, match="kind 'billed' and 'earned'"):
        together([september, Facts(base=earned, sales=())])
    with pytest.raises(NothingSold):
        together([])


def test_a_model_that_is_called_as_one_without_a_name_loses_no_revenue() -> None:
    sales = (
        Sale(month="2026-09", customer="a", amount=5),
        Sale(month="2026-09", customer="a", model=UNNAMED, amount=7),
    )
    assert Facts(base=BILLED, sales=sales).by("model") == {UNNAMED: 12}


def test_what_was_added_up_once_is_nobodys_to_change_and_no_part_of_the_value() -> None:
    facts = Facts(base=BILLED, sales=(Sale(month="2026-09", customer="a", amount=5),))
    facts.by("customer")["a"] = 9
    assert (facts.by("customer"), facts.total()) == ({"a": 5}, 5)
    fewer = facts.where(lambda sale: False)
    assert (fewer.by("customer"), fewer.total()) == ({}, 0)
    again = msgspec.json.decode(msgspec.json.encode(facts), type=Facts)
    assert again == facts


def test_one_name_of_a_cut_and_a_sentence_for_one_that_is_not_there() -> None:
    sales = (
        Sale(month="2026-09", customer="tiktok", group="bytedance", amount=5),
        Sale(month="2026-09", customer="walmart", amount=7),
    )
    facts = Facts(base=BILLED, sales=sales)
    assert facts.only("group", "bytedance").total() == 5
    assert facts.only("group", "walmart").total() == 7
    with pytest.raises(UnknownName, match="no control group 'bytedanse' in these figures; did you mean 'bytedance'"):
        facts.only("group", "bytedanse")
    with pytest.raises(UnknownName, match="no customer 'acme' in these figures; there are tiktok, walmart"):
        facts.only("customer", "acme")
    with pytest.raises(UnknownName, match="there is none at all"):
        Facts(base=BILLED, sales=()).only("vendor", "v")
    many = Facts(base=BILLED, sales=tuple(Sale(month="2026-09", customer=f"{n:02d}", amount=1) for n in range(11)))
    with pytest.raises(UnknownName, match="06, 07 and 3 more"):
        many.only("customer", "zz")


def test_a_period_says_how_long_it_is_and_only_equally_long_ones_are_compared() -> None:
    def base(starts_on: str, until: str) -> Base:
        return Base(kind="billed", currency="EUR", scale=2, starts_on=starts_on, until=until)

    assert base("2024-02-01", "2024-03-01").length() == "1 month"
    assert base("2023-12-01", "2024-03-01").length() == "3 months"
    assert base("2024-02-02", "2024-03-01").length() == "28 days"
    base("2024-01-01", "2024-02-01").before(base("2024-02-01", "2024-03-01"))
    for starts_on, until, says in (
        ("2024-02-01", "2024-02-01", "holds no day"),
        ("2024-02-30", "2024-03-01", "not a date"),
    ):
        with pytest.raises(InsightError, match=says):
            base(starts_on, until).length()


def test_a_share_of_nothing_is_said_to_be_none() -> None:
    with pytest.raises(NothingSold, match="no share of a whole that is not above zero"):
        share(1, -3)
