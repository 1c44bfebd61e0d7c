"""Every key, table and element is found where it stands, however the file is laid out."""

import tomllib
from datetime import UTC
from decimal import Decimal
from pathlib import Path as File

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entrepot.catalog.lines import Path, Places
from entrepot.catalog.toml_text import key, string, value

EXAMPLES = sorted((File(__file__).parents[3] / "examples").glob("*.toml"))

names = st.one_of(
    st.from_regex(r"[A-Za-z0-9_-]{1,5}", fullmatch=True),
    st.text(st.sampled_from("ab.=[]{}#\"'\\ \n\té"), min_size=1, max_size=4),
)
notes = st.sampled_from(["", "  # a = [1, {", "\t# '''", " #"])
gaps = st.sampled_from(["\n", "\n\n", "\n# x = 1 ] }\n", "\n  \n\t\n"])
scalars = st.one_of(
    st.integers(0, 9999).map(str),
    st.sampled_from(["1979-05-27 07:32:00Z", "2026-01-01T00:00:00+02:00", "07:32:00", "true", "0.50", "-inf"]),
    st.text(st.sampled_from("ab#[]{}=,'\"\\\n\t…"), max_size=6).map(string),
    st.text(st.sampled_from('ab#[]{}=,"\\'), max_size=6).map(lambda each: f"'{each}'"),
    st.text(st.sampled_from("ab#[]=,'\n"), max_size=6).map(lambda each: f'"""{each}"""'),
    st.text(st.sampled_from('ab#[]=,"\n'), max_size=6).map(lambda each: f"'''{each}'''"),
    st.sampled_from(['"""a\\"""b""""', "'''it''''", '""""x"""']),
)


class Page:
    """A text that is being written, and where each path of it begins."""

    def __init__(self) -> None:
        self.text = ""
        self.lines: dict[Path, int] = {}

    def write(self, text: str) -> None:
        self.text += text

    def mark(self, path: Path) -> None:
        self.lines.setdefault(path, self.text.count("\n") + 1)


@st.composite
def values(draw: st.DrawFn, page: Page, path: Path, depth: int) -> None:
    kind = draw(st.sampled_from(["scalar", "scalar", "array", "table"] if depth else ["scalar"]))
    if kind == "scalar":
        page.write(draw(scalars))
    elif kind == "array":
        page.write("[")
        count = draw(st.integers(0, 3))
        for place in range(count):
            page.write(draw(st.sampled_from(["", " ", "\n  ", " # [\n"])))
            page.mark((*path, place))
            draw(values(page, (*path, place), depth - 1))
            page.write(draw(st.sampled_from(["", " ", "\n"])))
            if place < count - 1 or draw(st.booleans()):
                page.write(",")
        page.write(draw(st.sampled_from(["", "\n", " # end ]\n"])) + "]")
    else:
        page.write("{ ")
        fields = draw(st.lists(names, max_size=3, unique=True))
        for place, name in enumerate(fields):
            page.write(", " if place else "")
            draw(pairs(page, path, name, depth - 1))
        page.write(" }")


@st.composite
def pairs(draw: st.DrawFn, page: Page, base: Path, name: str, depth: int) -> None:
    """`name = value` or `name.inner = value`."""
    parts = [name, *draw(st.lists(names, max_size=1))]
    for length in range(1, len(parts) + 1):
        page.mark((*base, *parts[:length]))
    dot, equals = draw(st.sampled_from([".", " . "])), draw(st.sampled_from(["=", " = ", "\t= "]))
    page.write(dot.join(key(part) for part in parts) + equals)
    draw(values(page, (*base, *parts), depth))


@st.composite
def pages(draw: st.DrawFn) -> Page:
    page = Page()
    page.write(draw(st.sampled_from(["", "\n", "# first\n"])))
    for name in draw(st.lists(names, max_size=2, unique=True)):
        draw(pairs(page, (), "root-" + name, 2))
        page.write(draw(notes) + draw(gaps))
    counts: dict[Path, int] = {}
    for group in draw(st.lists(names, max_size=3, unique=True)):
        several = draw(st.booleans())
        for _ in range(draw(st.integers(1, 3)) if several else 1):
            head: Path = ("t-" + group,)
            page.mark(head)
            if several:
                head = (*head, counts.get(head, 0))
                counts[head[:1]] = int(head[1]) + 1
                page.mark(head)
            name = key(str(head[0]))
            page.write((f"[[{name}]]" if several else f"[ {name} ]") + draw(notes) + "\n")
            for field in draw(st.lists(names, max_size=3, unique=True)):
                draw(pairs(page, head, "k-" + field, 2))
                page.write(draw(notes) + draw(gaps))
            if draw(st.booleans()):
                page.mark((*head, "below"))
                page.write(f"[{name}.below]\n")
                draw(pairs(page, (*head, "below"), "x", 1))
                page.write("\n")
    return page


@pytest.mark.long
@settings(max_examples=60, deadline=None)
@given(pages())
def test_the_line_of_every_path_is_the_line_where_it_was_written(page: Page) -> None:
    tomllib.loads(page.text)
    places = Places(page.text)
    assert {path: places.line(path) for path in page.lines} == page.lines
    assert places.spans.keys() == page.lines.keys()


@pytest.mark.long
@settings(max_examples=60, deadline=None)
@given(pages())
def test_the_text_of_every_key_outside_of_headers_is_toml_by_itself(page: Page) -> None:
    places = Places(page.text)
    for path, span in places.spans.items():
        text = page.text[span.start : span.end]
        if isinstance(path[-1], int):
            tomllib.loads(f"x = {text}" if not text.startswith("[[") else text)
        else:
            tomllib.loads(text)


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda each: each.name)
def test_every_path_of_the_examples_has_a_line(file: File) -> None:
    text = file.read_text()
    places = Places(text)

    def walk(data: object, path: Path) -> None:
        assert path in places.spans or not path
        children = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
        for name, each in children:
            walk(each, (*path, name))

    walk(tomllib.loads(text), ())


def test_windows_line_ends_count_as_one() -> None:
    assert Places("a = 1\r\nb = 2\r\n").line(("b",)) == 2


def test_what_is_hidden_is_masked_in_everything_that_holds_it() -> None:
    places = Places('a = { key = "s3cret", b = 1 }\n')
    places.hide(("a", "key"), '"…"')
    assert places.shown(("a", "key")) == 'key = "…"'
    assert places.shown(("a",)) == 'a = { key = "…", b = 1 }'
    assert places.shown(("a", "b")) == "b = 1"


leaves = st.one_of(
    st.text(max_size=8), st.booleans(), st.integers(), st.decimals(allow_nan=False, allow_infinity=False, places=3),
    st.datetimes(timezones=st.just(UTC)), st.dates(), st.times(),
)  # fmt: skip


def tables_and_lists(inner: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    return st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3))


@pytest.mark.long
@given(st.recursive(leaves, tables_and_lists, max_leaves=8))
def test_a_value_written_by_hand_is_read_as_the_same_value(thing: object) -> None:
    assert tomllib.loads(f"x = {value(thing)}", parse_float=Decimal)["x"] == thing
