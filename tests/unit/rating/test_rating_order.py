"""Usage becomes lines in the one order, and what cannot be billed says so."""

from decimal import Decimal
from typing import Any

import pytest
from october import LIST, MIDDLE, OCTOBER, START, TIER, agreement, row, sold, stepped, version

from entrepot.catalog.prices import CostPlus, PeriodPrice, PriceRow, When
from entrepot.kernel.instants import DAY, HOUR, show
from entrepot.rating.line import Rated, RatedLine, from_bytes, to_bytes
from entrepot.rating.order import rate
from entrepot.rating.prices import LATE, Rerating
from entrepot.rating.usage import UsageBroken, Used

HALF = (MIDDLE - START) // HOUR


def bill(*usage: Used, **more: Any) -> Rated:
    agreements = more.pop("agreements", None) or [more.pop("agreed", None) or agreement()]
    return rate("acme", usage, agreements, OCTOBER, **more)


def said(rated: Rated) -> list[tuple[str, str]]:
    """(key, quantity) of each line."""
    return [(line.key, str(line.quantity)) for line in rated.lines]


def by_price(rated: Rated) -> dict[str, int]:
    return {str(line.price): int(line.quantity) for line in rated.lines}


def the(rated: Rated) -> RatedLine:
    [line] = rated.lines
    return line


def test_all_usage_of_one_price_is_one_line_over_hours_projects_and_tiers_without_a_price() -> None:
    rated = bill(sold(1, input=3, output=7), sold(2, project="other", input=4), sold(2, tier="default", input=1))
    assert said(rated) == [("m input at 2.5/1000000", "8"), ("m output at 10/1000000", "7")]
    assert (rated.starts_on, rated.until, rated.currency) == ("2026-10-01", "2026-11-01", "EUR")
    assert rated.lines[0].version == "list/1"


def test_a_price_that_changes_in_the_month_makes_two_lines_with_their_days() -> None:
    book = agreement(LIST, version(2, MIDDLE, row(input="2.00")))
    rated = bill(sold(0, input=5), sold(HALF, price_version="list/2", input=6), agreed=book)
    assert said(rated) == [("m input at 2.5/1000000", "5"), ("m input at 2/1000000", "6")]
    first, second = rated.lines
    assert (first.ends_at, second.starts_at, second.ends_at) == (MIDDLE, MIDDLE, OCTOBER.ends_at)


def test_a_price_that_another_version_repeats_stays_one_line() -> None:
    book = agreement(LIST, version(2, MIDDLE, row(input="2.5", output="9")))
    rated = bill(sold(0, input=5), sold(HALF, price_version="list/2", input=6), agreed=book)
    assert said(rated) == [("m input at 2.5/1000000", "11")]
    assert (the(rated).version, the(rated).basis) == ("list/1, list/2", "list/1; list/2")


def test_a_discount_is_on_the_unit_price_and_the_list_price_stands_beside_it() -> None:
    line = the(bill(sold(input=1_000_000), agreed=agreement(discount_percent=Decimal(8))))
    assert (line.price, line.list_price, line.basis) == (Decimal("2.3"), Decimal("2.5"), "list/1 less 8 %")
    assert line.key == "m input at 2.3/1000000 listed 2.5"


def test_a_contract_price_goes_before_the_list_and_is_never_discounted() -> None:
    rated = bill(sold(input=10, output=10), agreed=agreement(discount_percent=Decimal(10), rows=(row(input="2.40"),)))
    assert [(line.price, line.version) for line in rated.lines] == [(Decimal("2.4"), "contract"), (9, "list/1")]


def test_conditions_keep_lines_apart_only_where_they_change_the_price() -> None:
    book = agreement(version(1, 0, row(input="2"), row(input="1", when=TIER)))
    rated = bill(sold(input=1), sold(tier="flex", input=2), sold(tier="batch", input=4), agreed=book)
    assert said(rated) == [("m input at 2/1000000", "3"), ("m input (tier batch) at 1/1000000", "4")]


def test_the_hour_of_the_day_decides_where_the_book_says_so() -> None:
    book = agreement(version(1, 0, row(input="2"), row(input="1", when=When(hours="22-06"))))
    rated = bill(*(sold(hour, input=1) for hour in range(48)), agreed=book)
    assert said(rated) == [("m input at 2/1000000", "32"), ("m input (22-06 h UTC) at 1/1000000", "16")]


def test_included_is_a_line_at_nothing_with_its_reason() -> None:
    book = agreement(version(1, 0, PriceRow(model="m", included="provisioned throughput")))
    line = the(bill(sold(input=9), agreed=book))
    assert (line.price, line.reason, line.net_minor("EUR")) == (0, "provisioned throughput", 0)


def test_requests_are_a_line_of_their_own_and_without_a_price_cost_nothing() -> None:
    rated = bill(sold(input=9, request=3), agreed=agreement(version(1, 0, row(input="2", request="0.01"))))
    assert [(line.meter, line.unit, line.quantity, line.per) for line in rated.lines] == [
        ("input", "token", 9, 1_000_000), ("request", "request", 3, 1)
    ]  # fmt: skip
    free = bill(sold(input=9, request=3))
    assert (len(free.lines), free.unrated) == (1, ())


def test_a_price_on_the_vendors_follows_the_vendor_that_served() -> None:
    plus = version(1, 0, PriceRow(model="m", cost_plus=CostPlus(percent=Decimal(20))))
    costs = {
        name: (version(1, 0, row(input=price), book=name, buys_from=name),)
        for name, price in (("aurora", "1"), ("sued", "2"))
    }
    usage = [sold(vendor=name, input=5, price_version=f"list/1+{name}/1") for name in costs]
    assert by_price(bill(*usage, agreed=agreement(plus, costs=costs))) == {"1.2": 5, "2.4": 5}


def test_steps_divide_the_quantity_of_the_month_and_say_which_they_are() -> None:
    book = agreement(version(1, 0, stepped(100, "0.50", "0.40", "0.30")))
    rated = bill(sold(0, input=150), sold(9, input=90), agreed=book)
    assert [(line.price, line.quantity, line.reason) for line in rated.lines] == [
        (Decimal("0.5"), 100, "step 1: 1 to 100 of input a month (customer)"),
        (Decimal("0.4"), 100, "step 2: 101 to 200 of input a month (customer)"),
        (Decimal("0.3"), 40, "step 3: above 200 of input a month (customer)"),
    ]


def test_a_discount_on_steps_shows_the_list_price_of_each_step() -> None:
    book = agreement(version(1, 0, stepped(100, "0.50", "0.40")), discount_percent=Decimal(10))
    rated = bill(sold(input=150), agreed=book)
    assert [(str(line.price), str(line.list_price)) for line in rated.lines] == [("0.45", "0.5"), ("0.36", "0.4")]


def test_a_call_keeps_the_price_that_it_pinned_and_is_listed_as_stale() -> None:
    book = agreement(LIST, version(2, MIDDLE, row(input="2.00")))
    rated = bill(sold(HALF + 1, attempts=4, input=6), agreed=book)
    assert the(rated).price == Decimal("2.5")
    [stale] = rated.stale
    assert (stale.price_version, stale.newer, stale.attempts) == ("list/1", "list/2", 4)


def test_a_change_within_an_hour_is_told_apart_by_what_was_pinned() -> None:
    book = agreement(LIST, version(2, MIDDLE + HOUR // 3, row(input="2.00")))
    rated = bill(sold(HALF, input=1), sold(HALF, price_version="list/2", input=2), agreed=book)
    assert by_price(rated) == {"2.5": 1, "2": 2}
    assert rated.stale == ()


def test_what_has_no_price_is_unrated_and_blocks_until_it_is_carried_over_by_name() -> None:
    usage = sold(5, input=1, audio_input=40, attempts=3, unrated=2)
    rated = bill(usage, sold(9, audio_input=2, unrated=1))
    [group] = rated.unrated
    assert (group.name, group.quantity, group.attempts) == ("m audio_input list/1", 42, 3)
    assert (group.starts_at, group.ends_at) == (START, OCTOBER.ends_at)
    assert rated.blocked_by == rated.unrated
    again = bill(usage, carried={group.name: "maria: vendor asked for the price"})
    assert (again.blocked_by, again.unrated[0].carried) == ((), "maria: vendor asked for the price")


def test_a_first_price_published_later_rates_what_was_unrated() -> None:
    book = agreement(LIST, version(2, START, row(audio_input="8")))
    line = the(bill(sold(5, audio_input=40, unrated=1), agreed=book))
    assert (line.price, line.charged) == (8, 0)
    assert line.basis.endswith(LATE)


def test_usage_at_a_version_of_another_book_is_unrated() -> None:
    [group] = bill(sold(price_version="gold/1", input=5)).unrated
    assert (group.reason, group.attempts) == ("its price version is not of the contract's book", 1)


def test_what_holds_did_not_cover_is_taken_off_again() -> None:
    rated = bill(sold(input=4_000_000, charge=8_000_000_000, overrun=2_000_000_000))
    usage, overrun = rated.lines
    assert (usage.net_minor("EUR"), overrun.net_minor("EUR")) == (1000, -200)
    assert (overrun.kind, overrun.quantity, rated.charged) == ("overrun", -2, 8_000_000_000)


def test_charges_of_calls_are_divided_over_the_lines_that_they_were_for() -> None:
    rated = bill(sold(input=1_000_000, output=1_000_000, charge=12_500_000_001))
    assert [line.charged for line in rated.lines] == [2_500_000_000, 10_000_000_001]


# --- by the period


def monthly(*of: str, product: str = "base fee", **more: Decimal) -> PriceRow:
    return PriceRow(product=product, period=PeriodPrice(of=of or ("*",), **more))


def test_what_is_lacking_to_a_minimum_is_a_line() -> None:
    book = agreement(version(1, 0, row(input="2.50"), monthly(minimum=Decimal(100))))
    usage, short = bill(sold(input=10_000_000), agreed=book).lines
    assert (usage.net_minor("EUR"), short.net_minor("EUR"), short.kind) == (2500, 7500, "minimum")
    assert short.reason == "at least 100.00 EUR for *, which came to 25.00 EUR"
    assert len(bill(sold(input=40_000_000), agreed=book).lines) == 1


def test_a_minimum_counts_for_the_part_of_the_month_that_the_contract_covers() -> None:
    book = version(1, 0, row(input="2.50"), monthly(minimum=Decimal(31)))
    assert the(bill(agreed=agreement(book, starts_at=START + 21 * DAY))).net_minor("EUR") == 1000
    assert the(bill(agreed=agreement(book, ends_at=START + DAY))).net_minor("EUR") == 100
    assert bill(agreed=agreement(book, starts_at=OCTOBER.ends_at)).lines == ()


def test_a_percentage_is_of_the_lines_it_names_and_of_minimums_never_of_itself() -> None:
    support = monthly("m", "base fee", percent=Decimal(10), product="support")
    book = version(1, 0, row(input="2.50"), row("n", input="1"), monthly("m", minimum=Decimal(30)), support)
    share = bill(sold(input=10_000_000), sold(model="n", input=5_000_000), agreed=agreement(book)).lines[-1]
    assert (share.kind, share.quantity, share.price, share.per) == ("percentage", 30, 10, 100)
    assert share.net_minor("EUR") == 300


def test_a_percentage_has_its_own_least() -> None:
    support = monthly(percent=Decimal(10), minimum=Decimal(50), product="support")
    line = bill(sold(input=10_000_000), agreed=agreement(version(1, 0, row(input="2.50"), support))).lines[-1]
    assert line.net_minor("EUR") == 5000
    assert line.reason == "at least 50.00 EUR: 10 % of 25.00 EUR for * is less"


# --- contracts


def test_a_contract_that_starts_after_its_usage_is_an_error_with_both_instants() -> None:
    said = r"acme, m at list/1, hour 2026-10-01T05.*2 calls outside.*2026-10-15T00:00:00Z to ever"
    with pytest.raises(UsageBroken, match=said):
        bill(sold(5, input=1, attempts=2), agreed=agreement(starts_at=MIDDLE))


def test_a_contract_that_begins_or_ends_within_an_hour_has_that_hour() -> None:
    for term in ({"starts_at": MIDDLE + 7}, {"ends_at": MIDDLE + 7}):
        line = the(bill(sold(HALF, input=5), agreed=agreement(**term)))
        found = (line.quantity, line.starts_at, line.ends_at)
        assert found == (5, term.get("starts_at", START), term.get("ends_at", OCTOBER.ends_at))


def test_two_contracts_in_one_month_have_lines_of_their_own() -> None:
    pair = [agreement(ends_at=MIDDLE), agreement(starts_at=MIDDLE)]
    assert said(bill(sold(0, input=10), sold(HALF, input=20), agreements=pair)) == [
        ("m input at 2.5/1000000", "10"), (f"m input at 2.5/1000000 since {show(MIDDLE)}", "20")
    ]  # fmt: skip


def test_another_currency_and_negative_quantities_are_refused() -> None:
    with pytest.raises(UsageBroken, match="charged in USD, but the contract is in EUR"):
        bill(sold(input=1, currency="USD"))
    with pytest.raises(UsageBroken, match="a quantity is negative"):
        bill(sold(input=-1))


def test_an_approved_rerating_prices_usage_as_by_its_version() -> None:
    book = agreement(LIST, version(2, START, row(input="2.00")))
    rated = bill(
        sold(0, input=5), sold(HALF, input=6), agreed=book, reratings=[Rerating("list/2", START, MIDDLE)]
    )
    assert by_price(rated) == {"2": 5, "2.5": 6}


def test_a_rerating_may_be_by_a_version_that_begins_later() -> None:
    book = agreement(LIST, version(2, MIDDLE, row(input="3.00")), version(3, OCTOBER.ends_at, row(input="2.00")))
    change = Rerating("list/3", START, OCTOBER.ends_at - HOUR)
    rated = bill(sold(0, input=5), sold(HALF, input=6), agreed=book, reratings=[change])
    assert by_price(rated) == {"2": 11}
    assert rated.stale == ()
    assert by_price(bill(sold(0, input=5), sold(HALF, input=6), agreed=book)) == {"2.5": 11}, "as they were pinned"


def test_a_rated_month_survives_its_bytes() -> None:
    book = agreement(version(1, 0, stepped(100, "0.50", "0.40")), discount_percent=Decimal(10))
    rated = bill(sold(input=150, audio_input=4, unrated=1), agreed=book)
    assert from_bytes(to_bytes(rated)) == rated
