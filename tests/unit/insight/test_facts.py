"""What every measure starts from: sums that add up whatever the cut, and bases that do not meet."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrepot.insight.facts import DIMENSIONS, UNNAMED, Base, BasesMixed, Facts, NothingSold, Sale, share, together

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


def test_a_share_of_nothing_is_said_to_be_none() -> None:
    with pytest.raises(NothingSold, match="no share of a whole of -3"):
        share(1, -3)
