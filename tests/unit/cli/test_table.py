"""Plain aligned text."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from entrepot.cli.amount import grouped, share, total
from entrepot.cli.table import Column, at_the_point, lay_out

amounts = st.decimals(min_value=0, max_value=10**12, allow_nan=False, places=9).map(lambda d: f"{d.normalize():f}")


@given(st.lists(amounts, min_size=1, max_size=8))
def test_points_stand_under_each_other_and_no_digit_is_lost(given: list[str]) -> None:
    shown = at_the_point([grouped(each) for each in given])
    assert len({len(each) for each in shown}) == 1
    assert [each.replace(",", "").strip() for each in shown] == given
    assert len({each.index(".") for each in shown if "." in each}) <= 1


@given(st.lists(amounts, max_size=8))
def test_a_total_is_exact(given: list[str]) -> None:
    assert Decimal(total(given)) == sum(map(Decimal, given))


def test_thousands_are_separated_before_the_point_only() -> None:
    assert grouped("1234567.1234567") == "1,234,567.1234567"
    assert grouped("0.0000133") == "0.0000133"
    assert grouped("-1234.5") == "-1,234.5"
    assert grouped("-0.5") == "-0.5"
    assert grouped("") == ""


def test_a_share_of_nothing_is_blank() -> None:
    assert share("1", "3") == "33.3 %"
    assert share("0", "0") == ""


def test_words_left_numbers_right_no_trailing_blanks() -> None:
    text = lay_out([Column("name"), Column("n", "count"), Column("")], [("a", "1,000", ""), ("longer", "7", "x")])
    assert text == "name        n\na       1,000\nlonger      7  x"


def test_a_cell_shows_what_it_will_not_obey_and_is_bounded() -> None:
    text = lay_out([Column("name")], [("a\x1b[2J\nb",), ("c" * 10_000,)])
    assert text.splitlines()[1] == "a\\x1b[2J\\x0ab"
    assert len(text) < 2_000
