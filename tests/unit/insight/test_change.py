"""A change of revenue in volume, price and mix: the textbook's example, and parts that add up."""

import msgspec
import pytest
from hypothesis import given

from entrepot.insight.change import change
from entrepot.insight.facts import DIMENSIONS, BasesMixed, Facts, Sale
from sold import FEBRUARY, JANUARY, sold, some_sales


def _bought(base: str, rows: dict[str, tuple[int, int]], customer: str = "c") -> Facts:
    """Facts of (quantity, price in units) by model."""
    of = JANUARY if base == "before" else FEBRUARY
    return Facts(base=of, sales=tuple(
        Sale(month=of.starts_on[:7], customer=customer, model=model, amount=quantity * price, quantity=quantity)
        for model, (quantity, price) in rows.items()))  # fmt: skip


def test_sales_quantity_and_mix_variance_of_horngren() -> None:
    """Horngren, Datar, Foster, Rajan, Ittner, Cost Accounting, 13th ed., pp. 517-519: Kola, Limor, Orlem (contribution
    margins of 2.00, 1.20 and 2.50 a case, here as prices in cents that do not change)."""
    before = _bought("before", {"kola": (400_000, 200), "limor": (600_000, 120), "orlem": (1_500_000, 250)})
    after = _bought("after", {"kola": (480_000, 200), "limor": (900_000, 120), "orlem": (1_620_000, 250)})
    found = change(before, after, "model")
    parts = {part.name: (part.volume, part.mix, part.price) for part in found.parts}
    assert parts == {
        "kola": (16_000_000, 0, 0), "limor": (14_400_000, 21_600_000, 0), "orlem": (75_000_000, -45_000_000, 0),
    }  # fmt: skip
    assert (found.whole.volume, found.whole.mix, found.whole.change) == (105_400_000, -23_400_000, 82_000_000)


def test_a_dearer_price_is_price_and_nothing_else() -> None:
    found = change(_bought("before", {"m": (100, 10)}), _bought("after", {"m": (100, 12)}), "customer")
    assert (found.whole.price, found.whole.volume, found.whole.mix) == (200, 0, 0)


def test_a_customer_that_turns_to_a_cheaper_model_changes_the_mix_and_not_the_price() -> None:
    found = change(_bought("before", {"large": (100, 10)}), _bought("after", {"small": (100, 1)}), "customer")
    assert (found.parts[0].mix, found.parts[0].price, found.parts[0].volume) == (-900, 0, 0)


def test_who_comes_is_new_and_who_leaves_is_gone_with_all_its_amount() -> None:
    before = _bought("before", {"m": (100, 10)}, "leaves")
    after = _bought("after", {"m": (10, 10)}, "comes")
    found = change(before, after, "customer")
    assert [(part.name, part.new, part.gone) for part in found.parts] == [("leaves", 0, -1000), ("comes", 100, 0)]
    assert (found.whole.change, found.whole.new, found.whole.gone) == (-900, 100, -1000)


def test_what_has_no_quantity_cannot_be_split_and_is_said_apart() -> None:
    found = change(sold({"a": 5}), sold({"a": 8}, FEBRUARY), "customer")
    assert (found.whole.unsplit, found.whole.volume, found.whole.price, found.whole.mix) == (3, 0, 0, 0)
    stopped = change(_bought("before", {"m": (100, 10)}), _bought("after", {"m": (0, 0)}), "customer")
    assert (stopped.whole.volume, stopped.whole.mix, stopped.whole.price) == (-1000, 0, 0)


def test_periods_of_two_bases_lengths_or_the_wrong_way_round_are_refused() -> None:
    with pytest.raises(BasesMixed, match="the period before begins on 2026-02-01"):
        change(sold({"a": 5}, FEBRUARY), sold({"a": 5}), "customer")
    quarter = msgspec.structs.replace(FEBRUARY, until="2026-05-01")
    with pytest.raises(BasesMixed, match="1 month from 2026-01-01 and 3 months from 2026-02-01"):
        change(sold({"a": 5}), sold({"a": 5}, quarter), "customer")
    dollars = msgspec.structs.replace(FEBRUARY, currency="USD")
    with pytest.raises(BasesMixed, match="currency 'EUR' and 'USD'"):
        change(sold({"a": 5}), sold({"a": 5}, dollars), "customer")


@pytest.mark.long
@given(some_sales("2026-01"), some_sales("2026-02"))
def test_the_parts_add_up_to_the_change_of_every_name_and_of_the_whole(first: list[Sale], then: list[Sale]) -> None:
    before, after = Facts(base=JANUARY, sales=tuple(first)), Facts(base=FEBRUARY, sales=tuple(then))
    for by in DIMENSIONS:
        found = change(before, after, by)
        for part in (*found.parts, found.whole):
            split = part.volume + part.price + part.mix + part.new + part.gone + part.unsplit
            assert split == part.change == part.after - part.before
        assert (found.whole.before, found.whole.after) == (before.total(), after.total())
        assert {part.name: part.after for part in found.parts if part.name in after.by(by)} == after.by(by)


@pytest.mark.long
@given(some_sales("2026-01"))
def test_the_same_again_is_no_change(sales: list[Sale]) -> None:
    facts = Facts(base=JANUARY, sales=tuple(sales))
    whole = change(facts, facts, "customer").whole
    assert (whole.volume, whole.price, whole.mix, whole.new, whole.gone, whole.unsplit) == (0, 0, 0, 0, 0, 0)
