"""What the case is loaded with: amounts that add up to their whole, tokens that cost them to the cent."""

import sys
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

CASE = Path(__file__).resolve().parents[3] / "examples" / "case-2024"
sys.path.insert(0, str(CASE))

from casebook.loading import load, others_catalog, read_habits, read_loading  # noqa: E402
from casebook.usage import Sold, batches, tokens_for  # noqa: E402
from entrepot.catalog.file import read  # noqa: E402
from entrepot.catalog.issues import CatalogBroken  # noqa: E402
from entrepot.kernel.instants import parse  # noqa: E402
from entrepot.kernel.money import round_half_away  # noqa: E402
from entrepot.rating.period import month  # noqa: E402

PRICES = {"gpt-4-turbo": ("10", "30"), "gpt-4o": ("5", "15"), "gpt-35-turbo": ("0.5", "1.5")}


def sold(deployment: str) -> Sold:
    models = {"annotate": "gpt-35-turbo", "gpt-35-turbo": "gpt-35-turbo", "gpt-4o": "gpt-4o"}
    model = models.get(deployment, "gpt-4o" if deployment.endswith("-new") else "gpt-4-turbo")
    given, made = (Fraction(Decimal(each)) * 100 / 1_000_000 for each in PRICES[model])
    return Sold(model=model, price=(given, made))


@pytest.mark.parametrize(("name", "whole"), [("by-share", 80_000_000_00), ("by-rate", 83_333_333_33)])
def test_the_amounts_of_each_month_add_up_to_the_whole(name: str, whole: int) -> None:
    loading, _ = load(CASE, name)
    assert loading.months == ("2024-03", "2024-04", "2024-05", "2024-06")
    for each in loading.months:
        assert sum(amount.cents for amount in loading.amounts if amount.month == each) == whole
    assert [a.cents for a in loading.amounts if a.customer == "tiktok"] == [20_000_000_00] * 4


@pytest.mark.parametrize(("name", "months"), [("by-share", ["2024-03"]), ("by-rate", ["2024-03", "2024-06"])])
def test_only_what_a_report_says_is_reported_and_everything_has_a_source(name: str, months: list[str]) -> None:
    loading, _ = load(CASE, name)
    said = {(each.customer, each.month) for each in loading.amounts if each.standing == "reported"}
    assert said == {("tiktok", month) for month in months}
    assert list(loading.standings.values()).count("reported") == 1
    assert all(each.source for each in loading.amounts)
    assert loading.source


@pytest.mark.parametrize("customer", ["tiktok", "walmart", "intuit", "g42", "volvo", "other-07"])
@pytest.mark.parametrize("at", range(4))
def test_what_is_called_in_a_month_costs_the_amount_to_the_cent(customer: str, at: int) -> None:
    loading, habits = load(CASE, "by-rate")
    [amount] = [a for a in loading.amounts if a.customer == customer and a.month == loading.months[at]]
    calls = list(batches(amount, habits, at, sold, 24))
    lines: dict[tuple[str, int], int] = {}
    for each in calls:
        model = sold(each.deployment).model
        for kind, tokens in enumerate((each.given, each.made)):
            lines[model, kind] = lines.get((model, kind), 0) + tokens
    assert sum(round_half_away(n * sold_price(model, kind)) for (model, kind), n in lines.items()) == amount.cents
    period = month(amount.month)
    assert all(period.starts_at <= each.at < period.ends_at for each in calls)
    newer = [each.at for each in calls if sold(each.deployment).model == "gpt-4o"]
    assert all(each >= parse("2024-05-13") for each in newer)
    assert bool(newer) == (at >= (3 if customer == "g42" else 2))


def sold_price(model: str, kind: int) -> Fraction:
    return Fraction(Decimal(PRICES[model][kind])) * 100 / 1_000_000


@given(cents=st.integers(1, 10**11), price=st.sampled_from(["10", "30", "5", "15", "0.5", "1.5", "60", "120"]))
def test_every_amount_has_tokens_that_cost_it(cents: int, price: str) -> None:
    one = Fraction(Decimal(price)) * 100 / 1_000_000
    assert round_half_away(tokens_for(cents, one) * one) == cents


def test_the_customers_that_stand_for_the_rest_are_a_catalog() -> None:
    loading, habits = load(CASE, "by-share")
    found = read(others_catalog(loading, habits), "others.toml")
    assert found.issues == ()
    assert len(found.catalog.customers) == 92
    named = read((CASE / "catalog.toml").read_text(encoding="utf-8"), "catalog.toml")
    assert named.issues == ()
    assert {each.customer for each in loading.amounts} == {*named.catalog.customers, *found.catalog.customers}


MISTAKES = {
    "amount = 80_000_000.00": ("amount = 1_000.00", "The customers of 2024-03 come to more"),
    'reported = ["2024-03"]\nsource = "press, 31 July 2024: almost 20 M USD a month in': (
        'reported = ["2024-09"]\nsource = "press, 31 July 2024: almost 20 M USD a month in',
        '"2024-09" is none of the months',
    ),
    "count = 92": ("count = 0", "count is a whole number of at least 1"),
    "amounts = [4_000_000.00, ": ("amounts = [", "amounts is a list of 4 amounts"),
    "amounts = [4_000_000.00": ("amounts = [4_000_000.001", "in whole cents"),
    'title = "by the share"': ("titel = 1", "title is missing"),
}  # fmt: skip


@pytest.mark.parametrize("place", MISTAKES)
def test_a_mistake_in_a_loading_is_said_with_its_line(place: str) -> None:
    text, (wrong, said) = (CASE / "by-share.toml").read_text(encoding="utf-8"), MISTAKES[place]
    assert place in text
    with pytest.raises(CatalogBroken, match="line ") as caught:
        read_loading(text.replace(place, wrong, 1), "by-share.toml")
    assert said in caught.value.message


def test_percents_that_are_no_whole_are_refused() -> None:
    text = (CASE / "usage.toml").read_text(encoding="utf-8")
    text = text.replace("percent = [50, 50, 35, 15]", "percent = [50, 50, 35, 5]")
    with pytest.raises(CatalogBroken, match=r"tiktok come to \[100, 100, 100, 90\]"):
        read_habits(text, "usage.toml", 4)
