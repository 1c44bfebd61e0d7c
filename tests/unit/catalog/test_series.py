"""Two series that would write one number are told, with such a number; no two others are."""

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entrepot.catalog.series import CREDIT_NOTES, SERIES, common, is_series, writes, written


@pytest.mark.parametrize(
    ("first", "second", "number"),
    [
        ("R-{n}", "R-{n:05}", "R-11111"),
        ("R-{n}", "R-{year}{n}", "R-21111"),
        ("R-{year}-{n}", "R-2026-{n:03}", "R-2026-111"),
        ("R{n}0", "R{n}", "R10"),
        ("{n}-{year}", "{year}-{n}", "2111-2111"),
        (SERIES, CREDIT_NOTES, ""),
        ("R-{n}", "R-{year}-{n}", ""),
        ("R-{n:05}", "R-{n}X", ""),
        ("A{n:03}", "A00{n}", "A001"),
        ("A{n:03}", "A000{n}", ""),
    ],
)
def test_series_that_meet_are_told_with_a_number_of_both(first: str, second: str, number: str) -> None:
    assert common(first, second) == common(second, first) == number


parts = st.lists(st.sampled_from(["1", "0", "-", "2"]), max_size=2).map("".join)
counts = st.sampled_from(["{n}", "{n:02}", "{n:03}", "{year}{n}", "{n:02}{year}"])
series = st.builds(lambda a, b, c: a + b + c, parts, counts, parts)


@pytest.mark.long
@settings(max_examples=300)
@given(series, series)
def test_what_is_told_agrees_with_the_numbers_that_are_written(first: str, second: str) -> None:
    given = [{written(each, year, n) for year in (2002, 2011) for n in range(1, 1300)} for each in (first, second)]
    if given[0] & given[1]:
        assert common(first, second)
    if number := common(first, second):
        assert writes(first, number, 2000)
        assert writes(second, number, 2000)


@given(series, st.integers(2000, 2999), st.integers(1, 100_000))
def test_a_series_writes_its_own_numbers_from_its_year_on(text: str, year: int, n: int) -> None:
    assert is_series(text)
    assert writes(text, written(text, year, n), year)
    if "{year}" in text and year < 2999:
        assert not writes(text, written(text, year, n), year + 1) or "{year}{n}" not in text


def test_no_number_is_zero() -> None:
    assert [writes("R{n:02}", f"R{a}{b}", 2026) for a, b in product("01", repeat=2)] == [False, True, True, True]
