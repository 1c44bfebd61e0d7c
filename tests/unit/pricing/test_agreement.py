"""What a customer pays: the book, the contract's own prices or its discount, the vendor's price at the same instant."""

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from entrepot.catalog.prices import BookVersion, CostPlus, PeriodPrice, PriceRow, Steps, When
from entrepot.kernel.instants import HOUR, parse
from entrepot.pricing.agreement import AgreedPrice, Agreement, agreed, minimums, percentages, version_name
from entrepot.pricing.offered import note

JANUARY, JULY = parse("2026-01-01"), parse("2026-07-01")
MORNING, NIGHT = parse("2026-06-01T09:00:00Z"), parse("2026-06-01T23:00:00Z")


def row(model: str = "aurora-large", per: int = 1_000_000, **given: Any) -> PriceRow:
    when = When(**{name: given.pop(name) for name in When.__struct_fields__ if name in given})
    others = {name: given.pop(name) for name in PriceRow.__struct_fields__ if name in given}
    prices = {name: Decimal(price) for name, price in given.items()}
    return PriceRow(model=model, per=per, prices=prices, when=when, **others)


def book(name: str, *versions: tuple[int, tuple[PriceRow, ...]], currency: str = "EUR") -> tuple[BookVersion, ...]:
    return tuple(
        BookVersion(book=name, currency=currency, valid_from=at, rows=rows, number=number)
        for number, (at, rows) in enumerate(versions, 1)
    )


COST = book(
    "cost",
    (JANUARY, (
        row(input="2.50", cached="0.25", output="10", request="0.001"),
        row(request_over=200_000, input="5", output="15"),
        row("aurora-small", input="0.40", output="1.60"), row("aurora-*", tier="batch", percent=Decimal(50)),
    )),
    (JULY, (row(output="9"),)),
)  # fmt: skip
PLUS = CostPlus(percent=Decimal(20))
LIST = book(
    "list", (JANUARY, (row("*", cost_plus=PLUS), row("aurora-small", input="0.50", output="2.00"))),
    (JULY, (row("aurora-small", input="0.48"),)),
)  # fmt: skip
HOUSE = Agreement(book=LIST, costs={"aurora": COST})


def price(agreement: Agreement, model: str, meter: str, at: int = MORNING, **given: Any) -> str:
    pinned = given.pop("pinned", "")
    found = agreed(agreement, model, at, When(**given), "aurora", pinned=pinned).get(meter)
    return "" if found is None else f"{found.price.normalize():f}"


@pytest.mark.parametrize(
    ("meter", "when", "at", "expected"),
    [
        ("input", {}, MORNING, "3"),
        ("cached", {}, MORNING, "0.3"),
        ("output", {}, MORNING, "12"),
        ("output", {}, JULY, "10.8"),  # the vendor's version of the same instant
        ("reasoning", {}, MORNING, "12"),  # a part of the output
        ("audio_input", {}, MORNING, ""),  # the vendor has no price for it
        ("request", {}, MORNING, "0.0012"),
        ("input", {"tier": "batch"}, MORNING, "1.5"),  # conditions of the vendor's book
        ("input", {"request_over": 200_000}, MORNING, "6"),
        ("output", {"request_over": 200_000, "tier": "batch"}, MORNING, "9"),
        ("cached", {"request_over": 200_000}, MORNING, "0.3"),
    ],
)  # fmt: skip
def test_a_price_on_the_vendors_follows_it_under_every_condition(
    meter: str, when: dict[str, Any], at: int, expected: str
) -> None:
    assert price(HOUSE, "aurora-large", meter, at, **when) == expected


def test_a_name_goes_before_a_pattern_whatever_the_conditions() -> None:
    assert price(HOUSE, "aurora-small", "input") == "0.5"
    assert price(HOUSE, "aurora-small", "input", tier="batch") == "0.5"  # the list has no price for batch


def test_the_longer_of_two_patterns_goes_first() -> None:
    rows = (row("*", input="9"), row("aurora-*", input="8"), row("*", tier="batch", input="1"))
    both = Agreement(book=book("list", (JANUARY, rows)))
    assert [price(both, model, "input") for model in ("aurora-large", "other")] == ["8", "9"]
    assert [price(both, model, "input", tier="batch") for model in ("aurora-large", "other")] == ["8", "1"]


def test_another_vendor_or_another_currency_gives_no_price() -> None:
    assert agreed(HOUSE, "aurora-large", MORNING, When(), "other") == {}
    dollars = Agreement(book=LIST, costs={"aurora": book("cost", (JANUARY, COST[0].rows), currency="USD")})
    assert agreed(dollars, "aurora-large", MORNING, When(), "aurora") == {}


def test_an_amount_on_the_vendors_price_is_exact_over_both_quantities() -> None:
    plus = CostPlus(percent=Decimal("12.5"), amount=Decimal("0.10"))
    agreement = Agreement(
        book=book("list", (JANUARY, (row("*", per=1000, cost_plus=plus),))),
        costs={"aurora": book("cost", (JANUARY, (row(per=7, input="0.01"),)))},
    )
    found = agreed(agreement, "aurora-large", MORNING, When(), "aurora")["input"]
    assert (found.price, found.per) == (Decimal("11.25") + Decimal("0.70"), 7000)


def test_a_discount_is_on_the_unit_price_and_the_list_price_stays_beside_it() -> None:
    agreement = Agreement(book=LIST, costs={"aurora": COST}, discount_percent=Decimal("8"))
    found = agreed(agreement, "aurora-large", MORNING, When(), "aurora")["input"]
    assert (found.price, found.list_price, found.basis) == (Decimal("2.76"), 3, "list/1 on cost/1 less 8 %")


def test_a_contract_has_its_own_price_or_the_discount_never_both_on_one_meter() -> None:
    agreement = Agreement(
        book=LIST, costs={"aurora": COST}, discount_percent=Decimal(10),
        rows=(row("aurora-small", per=1000, input="0.0004"), row("aurora-small", tier="batch", percent=Decimal(50))),
    )  # fmt: skip
    found = agreed(agreement, "aurora-small", MORNING, When(), "aurora")
    own = found["input"]
    assert (own.price, own.per, own.list_price, own.basis) == (Decimal("0.0004"), 1000, Decimal("0.0005"), "contract")
    assert (found["output"].price, found["output"].list_price) == (Decimal("1.8"), 2)
    batch = agreed(agreement, "aurora-small", MORNING, When(tier="batch"), "aurora")
    assert (batch["input"].price, batch["output"].price) == (Decimal("0.0002"), 1)  # of its own; of the list's


def test_outside_of_its_term_nothing_is_agreed() -> None:
    agreement = Agreement(book=LIST, costs={"aurora": COST}, starts_at=MORNING, ends_at=NIGHT)
    assert price(agreement, "aurora-small", "input", MORNING - 1) == ""
    assert price(agreement, "aurora-small", "input", MORNING) == "0.5"
    assert price(agreement, "aurora-small", "input", NIGHT) == ""


def test_hours_of_the_day_are_those_of_the_call_across_midnight() -> None:
    agreement = Agreement(
        book=book("list", (JANUARY, (row(input="2"), row(hours="22-06", input="1"), row(hours="12-13", input="3"))))
    )
    hours = {at: price(agreement, "aurora-large", "input", JANUARY + at * HOUR) for at in range(24)}
    assert [at for at, each in hours.items() if each == "1"] == [0, 1, 2, 3, 4, 5, 22, 23]
    assert [at for at, each in hours.items() if each == "3"] == [12]
    assert price(agreement, "aurora-large", "input", JANUARY + 6 * HOUR - 1) == "1"


def test_what_is_included_is_free_for_a_reason_and_takes_no_discount() -> None:
    agreement = Agreement(
        book=book("list", (JANUARY, (row(input="2"), row(included="part of the seat", meters=("cached",))))),
        discount_percent=Decimal(5),
    )
    found = agreed(agreement, "aurora-large", MORNING, When(), "aurora")
    assert (found["cached"].price, found["cached"].reason, found["input"].reason) == (0, "part of the seat", "")


def test_steps_keep_their_rows_and_the_dearest_is_the_price_of_a_call() -> None:
    steps = Steps(period="quarter", rows=((100, Decimal("0.50")), (500, Decimal("0.60")), (None, Decimal("0.42"))))
    rows = (row(input="1", steps={"output": steps}), row(tier="batch", percent=Decimal(50)))
    agreement = Agreement(book=book("list", (JANUARY, rows)), discount_percent=Decimal(10))
    found = agreed(agreement, "aurora-large", MORNING, When(), "aurora")
    assert (found["output"].price, found["output"].list_price) == (Decimal("0.54"), Decimal("0.60"))
    kept = found["output"].steps
    assert kept is not None
    assert kept.rows == ((100, Decimal("0.45")), (500, Decimal("0.54")), (None, Decimal("0.378")))
    assert kept.counts == ("output", "reasoning")  # which inherits the price, and so the rank
    assert found["reasoning"] == found["output"]
    batch = agreed(agreement, "aurora-large", MORNING, When(tier="batch"), "aurora")["output"]
    assert batch.steps is not None
    assert batch.steps.rows[0] == (100, Decimal("0.225"))


def test_rows_by_the_month_are_no_price_of_a_call_and_the_contract_goes_before_the_book() -> None:
    support = PriceRow(product="support", period=PeriodPrice(percent=Decimal(10), minimum=Decimal(100)))
    least, own = (PriceRow(product="base", period=PeriodPrice(minimum=Decimal(n))) for n in (500, 300))
    agreement = Agreement(book=book("list", (JANUARY, (row("*", input="1"), support, least))), rows=(own,))
    assert set(agreed(agreement, "x", MORNING, When(), "aurora")) == {"input"}
    assert {name: each.minimum for name, each in minimums(agreement, MORNING).items()} == {"base": 300}
    assert percentages(agreement, MORNING) == {"support": support.period}
    assert set(minimums(msgspec.structs.replace(agreement, starts_at=MORNING), JANUARY)) == set()


def test_the_name_of_a_version_says_which_prices_a_call_had() -> None:
    assert version_name(HOUSE, "aurora-large", MORNING, "aurora") == "list/1+cost/1"
    assert version_name(HOUSE, "aurora-large", JULY, "aurora") == "list/1+cost/2"
    assert version_name(HOUSE, "aurora-small", JULY, "other") == "list/2"


def test_a_worker_that_had_not_heard_keeps_what_its_intent_pinned() -> None:
    assert price(HOUSE, "aurora-large", "output", JULY, pinned="list/1+cost/1") == "12"
    assert price(HOUSE, "aurora-large", "output", JULY, pinned="list/1+cost/2") == "10.8"
    assert price(HOUSE, "aurora-small", "input", JULY, pinned="list/1+cost/1") == "0.5"
    assert price(HOUSE, "aurora-small", "input", JULY, pinned="gold/1") == ""  # not what was agreed


def test_a_change_within_an_hour_is_told_apart_by_the_version() -> None:
    at = MORNING + 20 * 60 * 1_000_000
    agreement = Agreement(book=book("list", (JANUARY, (row(input="2"),)), (at, (row(input="3"),))))
    assert [price(agreement, "aurora-large", "input", MORNING, pinned=f"list/{n}") for n in (1, 2)] == ["2", "3"]
    assert isinstance(agreed(agreement, "aurora-large", MORNING, When(), "", pinned="list/2")["input"], AgreedPrice)


def test_what_a_price_alone_does_not_say_stands_beside_it() -> None:
    steps = Steps(rows=((500, Decimal("0.50")), (None, Decimal("0.42"))))
    rows = (
        row("*", cost_plus=PLUS), row("aurora-small", included="in the base fee", meters=("cached",)),
        row("aurora-small", steps={"output": steps}), row("aurora-small", input="0.50"),
    )  # fmt: skip
    agreement = Agreement(book=book("list", (JANUARY, rows)), costs={"aurora": COST})
    notes = {meter: note(each) for meter, each in agreed(agreement, "aurora-small", MORNING, When(), "aurora").items()}
    assert notes["cached"] == "included: in the base fee"
    assert notes["output"] == "0.50 for the first 500, then 0.42 (per 1,000,000; customer, month)"
    assert notes["input"] == ""
    assert note(agreed(HOUSE, "aurora-large", MORNING, When(), "aurora")["input"]) == "on cost/1"
