"""Whatever stands in a file, reading it gives contents or a list of mistakes with lines, never anything else."""

import tomllib
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entrepot.catalog.contents import Catalog
from entrepot.catalog.export import export
from entrepot.catalog.file import read
from entrepot.catalog.issues import CatalogBroken
from entrepot.catalog.toml_text import value
from entrepot.pricing.publication import check

NOW = 1_795_262_400_000_000
EXAMPLES = Path(__file__).parents[3] / "examples"
TEXTS = [*((EXAMPLES / f"{name}.toml").read_text() for name in ("shop", "openai")),
         Path(__file__).with_name("full.toml").read_text()]  # fmt: skip

strange = st.recursive(
    st.one_of(
        st.just(""), st.text(max_size=5), st.integers(-(2**70), 2**70), st.booleans(), st.dates(), st.datetimes(),
        st.sampled_from(["*", "gpt-4o", "local", "list", "openai", "a/b", "http://[::1", "Ω" * 80]),
        st.sampled_from([Decimal("1e400"), Decimal("-0.0"), Decimal("1e-30"), Decimal("1e-70")]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["env", "model", "input", "x", "key", "book", "url"]), inner, max_size=3),
    ),
    max_leaves=5,
)  # fmt: skip


def read_whole(text: str) -> Catalog | CatalogBroken:
    try:
        file = read(text, "any.toml")
        check(file, Catalog(), NOW)
    except CatalogBroken as caught:
        broken = caught
    else:
        return file.catalog
    lines = text.count("\n") + 1
    assert broken.issues
    assert all(1 <= issue.line <= lines and issue.why for issue in broken.issues)
    assert broken.message.startswith("any.toml: ")
    return broken


@st.composite
def bent(draw: st.DrawFn) -> str:
    """A good file in which one to three values, at any depth, are something else."""
    data = tomllib.loads(draw(st.sampled_from(TEXTS)), parse_float=Decimal)
    for _ in range(draw(st.integers(1, 3))):
        place: dict[str, object] | list[object] = data
        while True:
            keys: list[object] = [*place] if isinstance(place, dict) else [*range(len(place))]
            if not keys:
                break
            name = draw(st.sampled_from(keys))
            inner = place[name]  # type: ignore[call-overload, index]
            if isinstance(inner, dict | list) and draw(st.integers(0, 3)):
                place = inner
                continue
            place[name] = draw(strange)  # type: ignore[call-overload, index]
            break
    return "\n".join(f"{name} = {value(each)}" for name, each in data.items())


@pytest.mark.long
@settings(deadline=None, max_examples=150)
@given(bent())
def test_a_file_with_strange_values_is_read_or_refused(text: str) -> None:
    found = read_whole(text)
    if isinstance(found, Catalog):
        again = read_whole(export(found))
        assert isinstance(again, Catalog)


@pytest.mark.long
@settings(deadline=None, max_examples=100)
@given(st.sampled_from(TEXTS), st.data())
def test_a_file_that_was_cut_or_scribbled_on_is_read_or_refused(text: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 40)))
    scribble = data.draw(st.text(st.sampled_from('[]{}=,."\'#\n \\01aé\r\0'), max_size=5))
    read_whole(text[:start] + scribble + text[end:])


def test_a_file_nested_without_end_is_refused() -> None:
    found = read_whole("x = " + "[" * 100_000)
    assert isinstance(found, CatalogBroken)
    assert isinstance(read_whole("x = " + "[" * 400 + "]" * 400), CatalogBroken)


def test_a_number_without_end_is_refused_before_it_is_written_out() -> None:
    for number in ("inf", "nan", "1e999999999", "-1e-999999999", "9" * 4000, "9" * 5000):
        found = read_whole(f"format = 1\n[operator]\nname = 'x'\ncontact = {{ fax = {number} }}\n")
        assert isinstance(found, CatalogBroken)
