"""The scenario file: what it says, and every mistake of it with its line."""

from decimal import Decimal

import pytest

from entrepot.insight.given import Given
from entrepot.insight.scenario_file import ScenarioBroken, read_scenario
from entrepot.insight.turns import Leaves
from entrepot.insight.who import Who

WHOLE = """format = 1
title = "The video house goes"
currency = "USD"

[[turn]]
what = "leaves"
customer = ["video", "clips"]
region = "us"
share = { value = 0.5, standing = "reported", source = "a newspaper, 2024-08-01" }
from_month = 3
over_months = 6

[[minimum]]
customer = "video"
amount = { value = 1000.5, standing = "assumed", source = "no report says" }
months_left = 4

[assumed]
months = 18
growth = { value = 0.02, standing = "assumed", source = "as last year" }
"""


def test_a_file_says_who_what_when_and_where_each_figure_comes_from() -> None:
    scenario, assumptions = read_scenario(WHOLE, "folder/video.toml")
    assert (scenario.name, scenario.title, scenario.currency) == ("video", "The video house goes", "USD")
    half = Given(value=Decimal("0.5"), standing="reported", source="a newspaper, 2024-08-01")
    who = Who(named=(("customer", ("video", "clips")), ("region", ("us",))))
    assert scenario.turns == (Leaves(who=who, share=half, start=3, over=6),)
    [minimum] = assumptions.minima
    assert (minimum.amount and minimum.amount.exact(), minimum.months_left, assumptions.months) == (1000.5, 4, 18)


@pytest.mark.parametrize(
    ("wrong", "right", "line", "why"),
    [
        ("", "this is no toml", 19, "This is not TOML"),
        ("", "unknown = 1", 19, 'Nothing here is called "unknown"'),
        ("format = 1", "format = 2", 1, "reads format 1"),
        ('title = "The video house goes"\n', "", 1, "title is missing"),
        ('currency = "USD"\n', "", 1, 'currency = "USD"'),
        ('what = "leaves"', 'what = "explodes"', 6, "what is one of leaves, dearer, minimum, fee"),
        ('what = "leaves"\n', "", 5, "what is missing"),
        ('region = "us"', "region = 7", 8, "region is a name"),
        ('region = "us"', "largest = 0", 8, "largest is a number of customers"),
        ('region = "us"', "largest = { planet = 1 }", 8, "Cuts are customer, group"),
        ("value = 0.5", "value = 50", 9, "0.25 is 25 %"),
        ("value = 0.5", "value = -1", 9, "a number of at least 0"),
        ("value = 0.5", "value = inf", 9, "A number here is finite"),
        ('"reported"', '"rumoured"', 9, 'standing is "reported" or "assumed"'),
        ('"a newspaper, 2024-08-01"', '" "', 9, "source says where the figure comes from"),
        (', source = "as last year"', "", 20, "source is missing"),
        ('growth = { value = 0.02, standing = "assumed", source = "as last year" }', "growth = 0.02", 20,
         "growth is { value = …"),
        ("over_months = 6", "over_months = 600", 11, "at most 120 months ahead"),
        ("over_months = 6", "over_mnths = 6", 11, 'Did you mean "over_months"?'),
        ("months_left = 4", 'part = { value = 1, standing = "assumed", source = "x" }', 13, "not both"),
        ("months = 18", "months = 0", 19, "a whole number of at least 1"),
    ],
)  # fmt: skip
def test_every_mistake_has_its_line_its_reason_and_the_way_out(wrong: str, right: str, line: int, why: str) -> None:
    text = WHOLE.replace(wrong, right, 1) if wrong else f"{WHOLE}\n{right}"
    with pytest.raises(ScenarioBroken) as broken:
        read_scenario(text, "video.toml")
    found = [each for each in broken.value.issues if any(why in said for said in each.why)]
    assert found, broken.value.message
    assert wrong == "" or found[0].line == line, broken.value.message
    assert broken.value.message.startswith("video.toml: ")


def test_all_mistakes_are_told_at_once() -> None:
    text = (
        WHOLE.replace("0.5", "5")
        .replace("over_months = 6", 'over_months = "six"')
        .replace("months = 18", "months = 500")
    )
    with pytest.raises(ScenarioBroken, match="3 mistakes"):
        read_scenario(text, "video.toml")


def test_a_file_without_turns_is_nobody_leaves() -> None:
    scenario, assumptions = read_scenario('format = 1\ntitle = "Nothing"', "nothing.toml")
    assert (scenario.turns, assumptions.months) == ((), 12)
