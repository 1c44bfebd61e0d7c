"""Which grants usage burns: a pure function of grants and usage in the order of admission."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrepot.kernel.instants import DAY, HOUR, hour_of, parse
from entrepot.ledger.attribution import Burn, Taken, boundaries, burned, in_stretches, stretch_of
from entrepot.ledger.grants import Grant

JAN, FEB, MARCH = parse("2027-01-01"), parse("2027-02-01"), parse("2027-03-01")
MID = parse("2027-01-15T12:30:00Z")


def grant(id: str, amount: int, **given: object) -> Grant:
    facts = {"kind": "paid", "priority": 100, "ends_at": 0, "created_at": JAN, **given}
    return Grant(id=id, amount=amount, **facts)  # type: ignore[arg-type]


def test_what_is_given_burns_before_what_is_paid_and_each_month_is_told_apart() -> None:
    grants = [grant("PAY", 100), grant("GIFT", 10, kind="promo", priority=50)]
    found = burned(grants, [Taken(FEB, 8), Taken(JAN, 7)])
    assert found.burns == (
        Burn("GIFT", "promo", "2027-01", 7),
        Burn("GIFT", "promo", "2027-02", 3),
        Burn("PAY", "paid", "2027-02", 5),
    )
    assert found.of_month("2027-02") == {"promo": 3, "paid": 5}
    assert found.of_month("2027-03") == {"promo": 0, "paid": 0}
    assert found.used() == {"GIFT": 10, "PAY": 5}
    assert found.uncovered == 0


def test_a_grant_that_ends_in_mid_month_burns_for_calls_before_its_end_whenever_their_records_come() -> None:
    grants = [grant("GIFT", 10, kind="promo", priority=50, ends_at=MID), grant("PAY", 100)]
    assert boundaries(grants) == (JAN, MID)
    before, after = Taken(JAN, 4), Taken(MID, 6)
    assert burned(grants, [before, after]).used() == {"GIFT": 4, "PAY": 6}
    late = Taken(JAN, 3)  # admitted before the end, ingested after
    assert burned(grants, [after, before, late]).used() == {"GIFT": 7, "PAY": 6}


def test_what_was_refunded_or_taken_back_has_left_the_balance() -> None:
    grants = [grant("A", 10, refunded=7), grant("B", 10, created_at=MID, expired=9), grant("C", 10, created_at=MID)]
    assert burned(grants, [Taken(MID, 8)]).used() == {"A": 3, "B": 1, "C": 4}


def test_a_call_that_no_grant_in_force_covers_burns_what_ended_last_then_what_is_to_come() -> None:
    grants = [
        grant("OLD", 5, ends_at=JAN + 1),
        grant("LATER", 5, ends_at=MID),
        grant("NEXT", 5, created_at=MARCH),
        grant("NOW", 5, created_at=MID),
    ]
    assert burned(grants, [Taken(FEB, 7)]).used() == {"NOW": 5, "LATER": 2}
    assert burned(grants, [Taken(FEB, 13)]).used() == {"NOW": 5, "LATER": 5, "OLD": 3}
    found = burned(grants, [Taken(FEB, 23)])
    assert found.used() == {"NOW": 5, "LATER": 5, "OLD": 5, "NEXT": 5}
    assert found.uncovered == 3


def test_of_what_ended_or_is_to_come_each_has_its_place_whatever_else_is_known_of_it() -> None:
    grants = [
        grant("SOON", 5, created_at=MARCH, ends_at=MARCH + 2),
        grant("LATE", 5, created_at=MARCH + 1),
        grant("ENDED", 5, ends_at=MID),
        grant("NOW", 5, ends_at=MARCH),
        grant("JUST", 5, ends_at=FEB),
        grant("FIRST", 5, created_at=MARCH + 9, ends_at=1),
    ]
    in_turn = ["NOW", "JUST", "ENDED", "FIRST", "SOON", "LATE"]
    for whole, last in enumerate(in_turn):
        expected = {**dict.fromkeys(in_turn[:whole], 5), last: 2}
        assert burned(grants, [Taken(FEB, 5 * whole + 2)]).used() == expected
    found = burned(grants, [Taken(FEB, 31)])
    assert (found.used(), found.uncovered) == (dict.fromkeys(in_turn, 5), 1)


def test_without_a_grant_everything_is_uncovered() -> None:
    assert burned([], [Taken(JAN, 3), Taken(FEB, 4)]).uncovered == 7


_GRANTS = st.lists(
    st.tuples(
        st.integers(0, 30), st.sampled_from(["paid", "promo"]), st.integers(0, 2), st.integers(0, 6), st.integers(0, 8)
    ),
    max_size=5,
)
_CALLS = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=20)


def _grants(rows: list[tuple[int, str, int, int, int]]) -> list[Grant]:
    return [
        grant(f"g{n}", amount, kind=kind, priority=priority, created_at=JAN + start, ends_at=JAN + end if end else 0)
        for n, (amount, kind, priority, start, end) in enumerate(rows)
    ]


@pytest.mark.long
@given(_GRANTS, _CALLS, st.randoms(use_true_random=False))
def test_sums_between_changes_say_the_same_as_every_call_on_its_own_in_any_order(
    rows: list[tuple[int, str, int, int, int]], calls: list[tuple[int, int]], chance: object
) -> None:
    grants = _grants(rows)
    each = [Taken(JAN + at, amount) for at, amount in calls]
    cuts = (0, *boundaries(grants))
    sums: dict[int, int] = {}
    for since, amount in each:
        start = max(cut for cut in cuts if cut <= since)
        sums[start] = sums.get(start, 0) + amount
    by_call = burned(grants, each)
    chance.shuffle(each)  # type: ignore[attr-defined]
    assert burned(grants, each).used() == by_call.used()
    in_sums = burned(grants, [Taken(max(since, JAN), amount) for since, amount in sums.items()])
    assert in_sums.used() == by_call.used()
    assert in_sums.uncovered == by_call.uncovered


@given(_GRANTS, _CALLS)
def test_everything_is_burned_once_and_no_grant_burns_more_than_it_has(
    rows: list[tuple[int, str, int, int, int]], calls: list[tuple[int, int]]
) -> None:
    grants = _grants(rows)
    found = burned(grants, [Taken(JAN + at, amount) for at, amount in calls])
    used = found.used()
    assert all(0 < used[each.id] <= each.amount for each in grants if each.id in used)
    assert sum(used.values()) + found.uncovered == sum(amount for _, amount in calls)
    assert found.uncovered == max(0, sum(amount for _, amount in calls) - sum(each.amount for each in grants))


@given(_GRANTS, _CALLS)
def test_no_grant_burns_outside_its_time_while_another_is_there_to_burn(
    rows: list[tuple[int, str, int, int, int]], calls: list[tuple[int, int]]
) -> None:
    grants = _grants(rows)
    in_order = sorted(calls)
    for n in range(len(in_order)):
        before = burned(grants, [Taken(JAN + at, amount) for at, amount in in_order[:n]]).used()
        after = burned(grants, [Taken(JAN + at, amount) for at, amount in in_order[: n + 1]]).used()
        at = JAN + in_order[n][0]
        grown = {each.id for each in grants if after.get(each.id, 0) > before.get(each.id, 0)}
        in_force = [each for each in grants if each.created_at <= at < (each.ends_at or 1 << 62)]
        if any(each.id in grown and each not in in_force for each in grants):
            assert all(after.get(each.id, 0) == each.amount for each in in_force)


def test_a_stretch_begins_with_its_day_or_with_the_change_before_it() -> None:
    assert stretch_of(MID, ()) == parse("2027-01-15")
    assert stretch_of(MID, (MID, MID + 1, JAN)) == MID
    assert stretch_of(MID, (MID + 1, MID - 1)) == MID - 1
    assert stretch_of(MID + DAY, (MID,)) == parse("2027-01-16")


_CUTS = st.lists(st.integers(0, 3 * DAY // HOUR * 4), max_size=4)


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 290), st.integers(1, 9)), max_size=30), _CUTS)
def test_hours_are_taken_apart_where_grants_change_within_them(
    calls: list[tuple[str, int, int]], cuts: list[int]
) -> None:
    quarter = HOUR // 4
    single = [(balance, JAN + at * quarter, charge) for balance, at, charge in calls]
    changes = {"a": [JAN + cut * quarter for cut in cuts]}
    hours: dict[tuple[str, int], int] = {}
    expected: dict[tuple[str, int], int] = {}
    for balance, at, charge in single:
        hours[balance, hour_of(at)] = hours.get((balance, hour_of(at)), 0) + charge
        key = balance, stretch_of(at, changes.get(balance, ()))
        expected[key] = expected.get(key, 0) + charge
    asked = []

    def each(hours: set[tuple[str, int]]) -> list[tuple[str, int, int]]:
        asked.append(hours)
        return single

    assert in_stretches(hours, changes, each) == expected
    within = {hour_of(at) for at in changes["a"] if at % HOUR}
    parted = {("a", hour) for hour in within if ("a", hour) in hours}
    assert asked == ([parted] if parted else [])


def test_a_cut_at_the_beginning_of_an_hour_takes_no_hour_apart() -> None:
    asked: list[object] = []

    def calls(hours: object) -> list[tuple[str, int, int]]:
        asked.append(hours)
        return []

    hour = hour_of(MID)
    assert in_stretches({("a", hour): 5}, {"a": [hour, hour + HOUR]}, calls) == {("a", hour): 5}
    assert asked == []


def test_a_grant_that_ended_before_it_began_to_count_is_taken_once() -> None:
    never_begun = grant("X", 5, created_at=MID, ends_at=FEB)
    assert burned([never_begun], [Taken(JAN, 3)]).used() == {"X": 3}  # admitted by a clock that was behind
    assert burned([never_begun], [Taken(FEB, 3)]).used() == {"X": 3}
    assert burned([never_begun], [Taken(MID, 3)]).used() == {"X": 3}
    both = [grant("A", 5, created_at=FEB), grant("B", 5, created_at=MID)]
    assert burned(both, [Taken(JAN, 7)]).used() == {"B": 5, "A": 2}
    odd = [grant("A", 5, created_at=MARCH, ends_at=FEB), grant("B", 5, created_at=MARCH)]
    burns = Burn("A", "paid", "2027-02", 5), Burn("B", "paid", "2027-02", 5)
    assert burned(odd, [Taken(FEB, 12)]) == (burns, 2)
