"""Charts: where marks stand, which words stand beside them, and files that are what they say."""

import io
import itertools
import re
import struct
from collections.abc import Iterator
from fractions import Fraction
from typing import Any
from xml.etree import ElementTree

import pypdf
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from drawn import CHARTS, COLUMNS, DOTS, LINES, LORENZ, SHARES, WATERFALL
from entrepot.insight.drawing.axis import apart, axis
from entrepot.insight.drawing.chart import MOST_MARKS, Bars, ChartBroken, draw, template
from entrepot.insight.drawing.marks import Bar, Line, Step, Ticks

NUMBERS = st.one_of(st.integers(-(10**15), 10**15), st.fractions(-1000, 1000, max_denominator=10**6))
#: Keys of what is drawn whose values are words.
WORDS = {"title", "whole", "note", "name", "shown", "text", "across", "up", "equal", "said", "names", "band_name"}


def text_of(pdf: bytes) -> str:
    return " ".join(page.extract_text() for page in pypdf.PdfReader(io.BytesIO(pdf)).pages)


def words_of(data: Any, key: str = "") -> Iterator[str]:
    if isinstance(data, dict):
        for name, value in data.items():
            yield from words_of(value, name)
    elif isinstance(data, list):
        for value in data:
            yield from words_of(value, key)
    elif isinstance(data, str) and key in WORDS:
        yield data


@pytest.mark.long
@given(st.lists(NUMBERS, min_size=1, max_size=8))
def test_an_axis_keeps_the_order_of_numbers_and_holds_zero(values: list[int | Fraction]) -> None:
    scale = axis(list(values))
    assert scale.low <= 0 <= scale.high
    assert scale.low < scale.high
    placed = sorted((value, scale.at(value)) for value in values)
    assert all(0 <= place <= 1 for _, place in placed)
    assert [place for _, place in placed] == sorted(place for _, place in placed)


@pytest.mark.long
@given(st.lists(NUMBERS, min_size=1, max_size=8), st.booleans())
def test_ticks_are_few_round_and_within(values: list[int | Fraction], zero: bool) -> None:
    scale = axis(list(values), zero=zero, round_ends=True)
    assert 4 <= len(scale.ticks) <= 13
    assert (scale.ticks[0], scale.ticks[-1]) == (scale.low, scale.high)
    step = scale.ticks[1] - scale.ticks[0]
    assert str(step.numerator if step >= 1 else step.denominator).rstrip("0") in {"1", "2", "5"}


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_labels_move_apart_and_keep_their_order(places: list[float]) -> None:
    moved = apart(places, 0.1)
    assert all(later - earlier > 0.0999 for earlier, later in itertools.pairwise(sorted(moved)))
    order = sorted(range(len(places)), key=lambda n: (places[n], n))
    assert order == sorted(range(len(places)), key=lambda n: moved[n])
    assert all(0 <= each <= 1.000001 for each in moved)


@pytest.mark.parametrize(
    ("ticks", "value", "step", "text"),
    [
        (Ticks(), Fraction(1500), Fraction(500), "1,500"),
        (Ticks(text="{} %", times=100), Fraction(1, 4), Fraction(1, 20), "25 %"),
        (Ticks(text="{} %", times=100), Fraction(-1, 4), Fraction(1, 8), "−25.0 %"),
        (Ticks(decimal=",", group="."), Fraction(12345, 2), Fraction(1, 2), "6.172,5"),
        (Ticks(), Fraction(0), Fraction(1, 100), "0.00"),
    ],
)
def test_ticks_are_written_in_the_marks_of_a_language(ticks: Ticks, value: Fraction, step: Fraction, text: str) -> None:
    assert ticks.show(value, step) == text


def test_a_bar_begins_at_zero_and_ends_at_its_value() -> None:
    data = SHARES.placed()
    assert data["zero"] == pytest.approx(1 / 66)
    largest, *_, credited, others = data["bars"]
    assert (largest["start"], largest["end"]) == pytest.approx((1 / 66, 25 / 66))
    assert (credited["start"], credited["end"], credited["negative"]) == (0, pytest.approx(1 / 66), True)
    assert others["end"] == 1
    assert data["guides"] == [{"name": "10 % (ASC 280, IFRS 8.34)", "at": pytest.approx(11 / 66)}]


def test_a_line_is_broken_where_there_is_no_value() -> None:
    at = LINES.placed()["lines"][0]["at"]
    assert [each is None for each in at] == [False, False, False, False, True, False, False]
    assert at[0] == pytest.approx(18 / 25)


def test_names_at_the_ends_of_lines_do_not_overlap_each_other_or_a_guide() -> None:
    data = LINES.placed()
    labels = sorted(each["label"] for each in (*data["lines"], *data["guides"]))
    assert min(later - earlier for earlier, later in itertools.pairwise(labels)) >= 0.0899


def test_changes_hang_between_totals() -> None:
    low, high = 80 - 13 / 2, 93  # cut short below 80, the lowest level
    steps = WATERFALL.placed()["steps"]
    spans = [tuple(round(low + each[end] * (high - low), 6) for end in ("start", "end")) for each in steps]
    assert spans == [(low, 80), (80, 85), (85, 93), (86.3, 93), (86.3, 86.7), (83.3, 86.7), (low, 83.3)]


def test_totals_are_cut_short_only_where_changes_could_not_be_seen() -> None:
    cut = WATERFALL.placed()
    assert cut["cut"] != ""
    assert [round(each["end"] - each["start"], 3) for each in cut["steps"][1:3]] == [0.256, 0.41]  # of 5 and 8
    steps = (Step(name="a", value=80, shown="80", total=True), Step(name="b", value=-60, shown="−60"))
    whole = replace(WATERFALL, steps=steps).placed()
    assert (whole["cut"], whole["zero"], whole["steps"][1]["end"]) == ("", 0, 1)


def test_a_waterfall_that_does_not_add_up_is_not_drawn() -> None:
    last = WATERFALL.steps[-1]
    wrong = replace(WATERFALL, steps=(*WATERFALL.steps[:-1], replace(last, value=84)))
    with pytest.raises(ChartBroken, match="come to 833/10 before 'March 2024', which is 84"):
        draw(wrong, "svg")


def test_a_lorenz_curve_has_its_ends_and_no_more_points_than_a_printer_shows() -> None:
    n = 10_000
    many = replace(LORENZ, curve=tuple((Fraction(i, n), Fraction(i * i, n * n)) for i in range(n + 1)))
    curve = many.placed()["curve"]
    assert (curve[0], curve[-1]) == ([0, 0], [1, 1])
    assert len(curve) <= 501
    with pytest.raises(ChartBroken, match=r"does not go from \(0, 0\) to \(1, 1\)"):
        replace(LORENZ, curve=LORENZ.curve[1:]).placed()


def test_dots_stand_in_the_order_of_their_values_and_the_axis_holds_the_band() -> None:
    row = DOTS.placed()["rows"][0]
    assert [each["shown"] for each in row["dots"]] == ["29.0 % actual", "30.6 % consensus"]
    assert row["band"] == [pytest.approx(2 / 3), 1]


def test_a_legend_stands_only_where_something_is_told_apart() -> None:
    assert replace(SHARES, bars=SHARES.bars[:1]).placed()["legend"] == []
    assert [each for each, _ in COLUMNS.placed()["legend"]] == ["books", "reported", "assumed"]
    assert [each for each, _ in DOTS.placed()["legend"]] == ["reported", "assumed"]


@pytest.mark.parametrize("name", CHARTS)
def test_a_picture_says_every_word_it_was_given(name: str) -> None:
    written = "".join(text_of(draw(CHARTS[name], "pdf")).split())
    given = [*words_of(CHARTS[name].placed()), *(text for _, text in CHARTS[name].placed()["legend"])]
    assert [each for each in given if "".join(each.split()) not in written] == []


@pytest.mark.parametrize("name", CHARTS)
def test_an_svg_is_well_formed_and_tells_its_title_to_who_cannot_see_it(name: str) -> None:
    chart = CHARTS[name]
    root = ElementTree.fromstring(draw(chart, "svg"))
    svg = "{http://www.w3.org/2000/svg}"
    assert (root.tag, root.get("role")) == (f"{svg}svg", "img")
    assert [(root.findtext(f"{svg}title"), root.findtext(f"{svg}desc"))] == [(chart.title, chart.whole)]


def test_a_png_has_300_dots_an_inch_and_is_the_same_each_time() -> None:
    made = draw(SHARES, "png")
    assert made[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", made[16:24])
    assert width == pytest.approx(168 / 25.4 * 300, abs=1)
    assert height > 300
    assert made == draw(SHARES, "png")


def test_nothing_and_too_much_are_not_drawn() -> None:
    with pytest.raises(ChartBroken, match="'Revenue' has 0 bars, and there is no picture of fewer than 1"):
        draw(Bars(title="Revenue", whole="", bars=()), "svg")
    many = tuple(Bar(name=str(n), value=n, shown=str(n)) for n in range(MOST_MARKS + 1))
    with pytest.raises(ChartBroken, match="61 bars, nobody reads over 60"):
        draw(Bars(title="Revenue", whole="", bars=many), "svg")
    with pytest.raises(ChartBroken, match="the line 'x' has 0 values for 7 months"):
        replace(LINES, lines=(Line(name="x", values=(None,) * 7, shown=""),)).placed()
    with pytest.raises(ChartBroken, match="1 steps, and there is no picture of fewer than 2"):
        replace(WATERFALL, steps=(Step(name="x", value=1, shown="1", total=True),)).placed()


#: What is seen of linear red, green and blue without one kind of cone: Machado, Oliveira, Fernandes 2009, table 1.
CONES = {
    "protanopia": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "deuteranopia": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881)),
    "tritanopia": ((1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.303900)),
}


def light(name: str) -> tuple[float, ...]:
    [code] = re.findall(rf'#let {name} = rgb\("#(\w{{6}})"\)', template().decode())
    parts = (int(code[at : at + 2], 16) / 255 for at in (0, 2, 4))
    return tuple(each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in parts)


def brightness(linear: tuple[float, ...]) -> float:
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    """WCAG 2.2: from 1 to 21."""
    bright, dark = sorted((brightness(one), brightness(other)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


def test_up_and_down_differ_on_a_grey_printer() -> None:
    assert contrast(light("up"), light("down")) > 2.5
    assert contrast(light("up"), light("ink")) > 1.8
    assert contrast(light("faint"), (1, 1, 1)) > 4.5  # small text on white


@pytest.mark.parametrize("kind", CONES)
def test_up_and_down_differ_for_the_colour_blind(kind: str) -> None:
    def seen(colour: tuple[float, ...]) -> tuple[float, ...]:
        return tuple(sum(weight * part for weight, part in zip(row, colour, strict=True)) for row in CONES[kind])

    assert contrast(seen(light("up")), seen(light("down"))) > 2
