"""Charts: where marks stand, which words stand beside them, and files that are what they say."""

import io
import struct
from fractions import Fraction
from xml.etree import ElementTree

import pypdf
import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrepot.insight.drawing.axis import axis
from entrepot.insight.drawing.chart import (
    MOST_MARKS,
    Bar,
    Bars,
    Chart,
    ChartBroken,
    Guide,
    draw,
    picture_data,
)

SHARES = Bars(
    title="Customers, March 2024", whole="Share of 83.3 M USD: the model service; billed, gross",
    bars=(
        Bar(name="Largest & Sons <group>", value=Fraction(24, 100), shown="24.0 %"),
        Bar(name="Second", value=Fraction(6, 100), shown="6.0 %", standing="assumed"),
        Bar(name="Credited", value=Fraction(-1, 100), shown="−1.0 %", standing="reported"),
    ),
    guides=(Guide(name="10 % (ASC 280)", value=Fraction(1, 10)),), note="1 Invoices R-1 to R-9",
)  # fmt: skip
MONTHS = Bars(
    title="Revenue", whole="M USD, the model service; billed, gross", upright=True,
    bars=(Bar(name="Feb", value=80, shown="80"), Bar(name="Mar", value=83, shown="83")),
)  # fmt: skip
CHARTS: dict[str, Chart] = {"bars": SHARES, "columns": MONTHS}
NUMBERS = st.one_of(st.integers(-(10**15), 10**15), st.fractions(-1000, 1000, max_denominator=10**6))


def text_of(pdf: bytes) -> str:
    return " ".join(page.extract_text() for page in pypdf.PdfReader(io.BytesIO(pdf)).pages)


@given(st.lists(NUMBERS, min_size=1, max_size=8))
def test_an_axis_keeps_the_order_of_numbers_and_holds_zero(values: list[int | Fraction]) -> None:
    scale = axis(list(values))
    assert scale.low <= 0 <= scale.high
    assert scale.low < scale.high
    placed = sorted((value, scale.at(value)) for value in values)
    assert all(0 <= place <= 1 for _, place in placed)
    assert [place for _, place in placed] == sorted(place for _, place in placed)


@given(st.lists(NUMBERS, min_size=1, max_size=8), st.booleans())
def test_ticks_are_few_round_and_within(values: list[int | Fraction], zero: bool) -> None:
    scale = axis(list(values), zero=zero, round_ends=True)
    assert 4 <= len(scale.ticks) <= 13
    assert (scale.ticks[0], scale.ticks[-1]) == (scale.low, scale.high)
    step = scale.ticks[1] - scale.ticks[0]
    assert str(step.numerator if step >= 1 else step.denominator).rstrip("0") in {"1", "2", "5"}


def test_a_bar_begins_at_zero_and_ends_at_its_value() -> None:
    data = picture_data(SHARES)
    assert data["zero"] == pytest.approx(1 / 25)
    assert [(each["start"], each["end"]) for each in data["bars"]] == [
        pytest.approx((1 / 25, 1.0)), pytest.approx((1 / 25, 7 / 25)), pytest.approx((0.0, 1 / 25)),
    ]  # fmt: skip
    assert data["guides"] == [{"name": "10 % (ASC 280)", "at": pytest.approx(11 / 25)}]


def test_a_legend_stands_only_where_something_is_told_apart() -> None:
    assert picture_data(MONTHS)["legend"] == []
    assert picture_data(SHARES)["legend"] == [
        ["books", "from the books"], ["reported", "reported"], ["assumed", "assumed"],
    ]  # fmt: skip


@pytest.mark.parametrize("name", CHARTS)
def test_a_picture_says_every_word_it_was_given(name: str) -> None:
    chart = CHARTS[name]
    written = text_of(draw(chart, "pdf"))
    data = picture_data(chart)
    words = [chart.title, chart.whole, chart.note, *(text for _, text in data["legend"])]
    words += [each[part] for each in data["bars"] for part in ("name", "shown")] if "bars" in data else []
    words += [each["name"] for each in data["guides"]]
    assert [each for each in words if each.replace(" ", "") not in written.replace(" ", "").replace("\n", "")] == []


@pytest.mark.parametrize("name", CHARTS)
def test_an_svg_is_well_formed_and_tells_its_title_to_who_cannot_see_it(name: str) -> None:
    chart = CHARTS[name]
    root = ElementTree.fromstring(draw(chart, "svg"))
    svg = "{http://www.w3.org/2000/svg}"
    assert (root.tag, root.get("role")) == (f"{svg}svg", "img")
    assert [(root.findtext(f"{svg}title"), root.findtext(f"{svg}desc"))] == [(chart.title, chart.whole)]


@pytest.mark.parametrize("name", CHARTS)
def test_a_png_has_300_dots_an_inch_and_is_the_same_each_time(name: str) -> None:
    made = draw(CHARTS[name], "png")
    assert made[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", made[16:24])
    assert width == pytest.approx(168 / 25.4 * 300, abs=1)
    assert height > 300
    assert made == draw(CHARTS[name], "png")


def test_nothing_and_too_much_are_not_drawn() -> None:
    with pytest.raises(ChartBroken, match="no bars to draw in 'Revenue'"):
        draw(Bars(title="Revenue", whole="", bars=()), "svg")
    many = tuple(Bar(name=str(n), value=n, shown=str(n)) for n in range(MOST_MARKS + 1))
    with pytest.raises(ChartBroken, match="61 bars, nobody reads more than 60"):
        draw(Bars(title="Revenue", whole="", bars=many), "svg")
