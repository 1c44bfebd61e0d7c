"""States of an issued document, and the numbers it gets."""

from datetime import date
from itertools import product
from typing import Any

import pytest

from entrepot.billing.invoice import InvoiceBroken
from entrepot.billing.numbers import check_series, written, year_of
from entrepot.billing.states import Standing, marks_of, state_of

DUE = date(2026, 12, 17)


def standing(**given: Any) -> Standing:
    taken_off = given.get("credited_minor", 0)  # of what was to be paid, all that is credited
    return Standing(
        **{"total_minor": 11900, "payable_minor": 11900, "due_on": DUE, "taken_off_minor": taken_off, **given}
    )


@pytest.mark.parametrize(
    ("happened", "state", "left"),
    [
        ({}, "issued", 11900),
        ({"paid_minor": 1}, "part-paid", 11899),
        ({"paid_minor": 11900}, "paid", 0),
        ({"payable_minor": 0}, "paid", 0),  # all of it was paid ahead
        ({"credited_minor": 1000}, "issued", 10900),
        ({"credited_minor": 1000, "paid_minor": 10900}, "paid", 0),
        ({"credited_minor": 11900, "credited_whole": True}, "credited", 0),
        ({"credited_minor": 11900}, "paid", 0),  # lines of it stand: promotional credit paid them, or their sum is 0
        ({"total_minor": 0, "payable_minor": 0, "credited_whole": True}, "credited", 0),
        ({"credited_minor": 11900, "paid_minor": 11900, "credited_whole": True}, "credited", 0),
        ({"written_off_minor": 11900}, "written off", 0),
        ({"written_off_minor": 900, "paid_minor": 11000}, "written off", 0),
        ({"written_off_minor": 11900, "credited_minor": 11900, "credited_whole": True}, "credited", 0),
    ],
)
def test_the_state_follows_from_what_happened(happened: dict[str, int], state: str, left: int) -> None:
    found = standing(**happened)
    assert (state_of(found), found.open_minor) == (state, left)


def test_every_mixture_has_one_state_and_never_owes_less_than_nothing() -> None:
    parts = [0, 1, 5000, 11900, 12000]
    for paid, credited, given_up in product(parts, parts[:4], parts[:4]):
        found = standing(paid_minor=paid, credited_minor=credited, written_off_minor=given_up)
        assert found.open_minor >= 0
        if state_of(found) in ("paid", "credited"):
            assert found.open_minor == 0
        if state_of(found) in ("issued", "part-paid"):
            assert found.open_minor > 0


def test_marks_stand_beside_the_state_while_something_is_open() -> None:
    assert marks_of(standing(), DUE) == ()
    assert marks_of(standing(disputed=True), date(2026, 12, 18)) == ("overdue", "disputed")
    assert marks_of(standing(paid_minor=11900, disputed=True), date(2027, 1, 1)) == ()


def test_a_series_counts_per_year_if_it_shows_the_year() -> None:
    assert written("R-{year}-{n:05}", 2026, 7) == "R-2026-00007"
    assert written("{n}", 2026, 7) == "7"
    assert written("R{n:03}", 2026, 12345) == "R12345"
    assert (year_of("R-{year}-{n:05}", 2026), year_of("R{n}", 2026)) == (2026, 0)


@pytest.mark.parametrize(
    "series",
    ["", "R", "R-{year}", "{n}{n}", "{n}-{year}{year}", "R {n}", "{n:0}", "{x}-{n}", "{n:5d}", "R" * 40 + "{n}"],
)
def test_what_is_no_series_is_refused_in_words(series: str) -> None:
    with pytest.raises(InvoiceBroken, match="no series of numbers"):
        check_series(series)


def test_where_credit_paid_only_the_part_of_a_credit_note_that_was_to_be_paid_lowers_it() -> None:
    found = standing(payable_minor=1900, credited_minor=4056, taken_off_minor=647)
    assert (state_of(found), found.open_minor) == ("issued", 1253)
