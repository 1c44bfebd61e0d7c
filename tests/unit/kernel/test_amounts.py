"""Integers in the scale of a currency, and the numbers of documents."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrepot.kernel.money import (
    SCALES,
    MoneyError,
    from_scaled,
    minor_digits,
    net_of,
    round_half_away,
    scale_of,
    show,
    show_minor,
    split,
    tax_on,
    to_scaled,
)


def test_scales_hold_billions_in_64_bits_and_unknown_currencies_are_refused() -> None:
    assert all(3 * 10**9 * 10 ** scale_of(currency) < 2**63 for currency in ("USD", "EUR"))
    with pytest.raises(MoneyError, match=r"'XXX' is not kept here; known are AED, AUD, .*VND"):
        scale_of("XXX")


@pytest.mark.parametrize(
    ("text", "currency", "scaled"),
    [
        ("1", "USD", 10**9), ("-1.50", "USD", -1_500_000_000), ("0", "USD", 0), ("0.000000001", "USD", 1),
        ("1E+3", "JPY", 10**10), ("12.30", "KRW", 1_230_000), ("1.0000000000", "EUR", 10**9),
        ("1.00000000000", "EUR", 10**9), ("0." + "0" * 5_000, "EUR", 0), ("0E-99999999", "EUR", 0),
    ],
)  # fmt: skip
def test_an_amount_is_an_exact_integer(text: str, currency: str, scaled: int) -> None:
    assert to_scaled(Decimal(text), currency) == scaled
    assert from_scaled(scaled, currency) == Decimal(text)


@pytest.mark.parametrize("text", [
    "0.0000000001", "NaN", "Infinity", "1E+52", "1E-99999999999", "0." + "7" * 5_000, "0.00000000010", "1E+99999999999"
])  # fmt: skip
def test_what_the_scale_cannot_hold_is_refused(text: str) -> None:
    with pytest.raises(MoneyError):
        to_scaled(Decimal(text), "USD")


def test_the_largest_amount_is_held() -> None:
    assert to_scaled(Decimal("1E+51"), "USD") == 10**60


@given(st.integers(-(10**24), 10**24), st.sampled_from(sorted(SCALES)), st.integers(0, 4))
def test_shown_digits_are_the_exact_amount(scaled: int, currency: str, places: int) -> None:
    text = show(scaled, currency, places=places)
    assert Decimal(text.replace(",", "")) == from_scaled(scaled, currency)
    part = text.partition(".")[2]
    assert len(part) >= places
    assert len(part) <= max(places, scale_of(currency))
    assert not part.endswith("0") or len(part) == places


def test_shown_digits_are_grouped() -> None:
    assert show(1234567 * 10**9 + 5, "USD") == "1,234,567.000000005"
    assert show(-(10**9), "USD", places=2) == "-1.00"
    assert show(10**9, "USD") == "1"


@pytest.mark.parametrize(
    ("exact", "rounded"),
    [("1/2", 1), ("-1/2", -1), ("49/100", 0), ("-49/100", 0), ("3/2", 2), ("-5/2", -3), ("7", 7), ("-7", -7), ("0", 0)],
)
def test_halves_go_away_from_zero(exact: str, rounded: int) -> None:
    assert round_half_away(Fraction(exact)) == rounded


@pytest.mark.parametrize(
    ("minor", "currency", "text"),
    [(123450, "EUR", "1234.50"), (-5, "EUR", "-0.05"), (1234, "JPY", "1234"), (-1234, "KWD", "-1.234")],
)
def test_amounts_of_documents_are_plain_digits(minor: int, currency: str, text: str) -> None:
    assert show_minor(minor, currency) == text


def test_minor_units_of_currencies() -> None:
    assert [minor_digits(each) for each in ("EUR", "JPY", "KWD")] == [2, 0, 3]
    with pytest.raises(MoneyError):
        minor_digits("XXX")


def test_tax_is_rounded_once() -> None:
    assert tax_on(250, Decimal(19)) == 48
    assert tax_on(-250, Decimal(19)) == -48
    assert tax_on(100, Decimal("25.5")) == 26


@pytest.mark.parametrize(
    ("gross", "percent", "net"),
    [
        (0, 19, 0), (1, 19, 1), (2, 19, 2), (3, 19, 2), (103, 19, 86), (11_900, 19, 10_000), (11_901, 19, 10_001),
        (10**7, 0, 10**7), (10**15, 20, 833_333_333_333_333), (1_255, "25.5", 1_000),
    ],
)  # fmt: skip
def test_the_net_of_what_came_in_is_the_largest_that_with_its_tax_is_not_above_it(
    gross: int, percent: object, net: int
) -> None:
    assert net_of(gross, Decimal(str(percent))) == net


@given(st.integers(-(10**6), 10**6), st.lists(st.integers(0, 1000), min_size=1, max_size=6).filter(any))
def test_a_split_is_the_whole_each_part_next_to_its_share_whatever_the_order(whole: int, weights: list[int]) -> None:
    parts = split(whole, weights)
    assert sum(parts) == whole
    for part, weight in zip(parts, weights, strict=True):
        assert abs(part - Fraction(whole * weight, sum(weights))) < 1
    shares = sorted(zip(weights, parts, strict=True))
    turned = sorted(zip(weights[::-1], split(whole, weights[::-1]), strict=True))
    rests = [Fraction(whole * each, sum(weights)) % 1 for each in dict.fromkeys(weights)]
    if len({*rests}) == len(rests):  # of equal remainders the first goes first
        assert sorted(part for _, part in shares) == sorted(part for _, part in turned)


@given(
    st.integers(-(10**6), 10**6), st.lists(st.integers(0, 1000), min_size=1, max_size=6).filter(any),
    st.integers(2, 90),
)  # fmt: skip
def test_weights_that_are_parts_of_one_split_like_whole_ones(whole: int, weights: list[int], parts: int) -> None:
    assert split(whole, [Fraction(each, parts) for each in weights]) == split(whole, weights)


def test_a_split_without_any_weight_gives_all_to_the_first() -> None:
    assert (split(7, []), split(7, [0]), split(7, [0, 0, 0]), split(0, [0, 0])) == ([], [7], [7, 0, 0], [0, 0])


def test_an_amount_of_nothing_has_no_sign() -> None:
    assert (show_minor(0, "USD"), show_minor(0, "JPY")) == ("0.00", "0")
    assert (to_scaled(Decimal("0"), "USD"), to_scaled(Decimal("0E+3"), "USD"), to_scaled(Decimal(1), "USD")) == (
        0, 0, 10**9
    )  # fmt: skip
