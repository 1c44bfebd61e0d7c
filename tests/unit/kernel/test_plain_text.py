"""What others wrote, on our terminal."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrepot.kernel.text import is_plain, plain, plain_facts, plain_json, plain_lines

#: What a terminal obeys, or what makes a line read as another one.
OBEYED = [
    "\x1b[2J", "\x07", "\r", "\n", "\t", "\x7f", "\x9b31m", "\u202e", "\u2066", "\u200f", "\u2028", "\ud800", "\x00",
]  # fmt: skip


@pytest.mark.parametrize("bad", OBEYED)
def test_what_a_terminal_would_obey_is_shown_as_an_escape(bad: str) -> None:
    shown = plain(f"gpt{bad}4o")
    assert is_plain(shown)
    assert not is_plain(bad)
    assert shown.startswith("gpt\\")
    assert shown.encode("utf-8")


def test_ordinary_text_stays() -> None:
    for text in ("gpt-4o", "Müller & Söhne", "日本語", "مرحبا", "😀 … “x”"):
        assert plain(text) == text


@given(st.text(st.characters(), max_size=300), st.integers(2, 100))
def test_a_line_is_one_line_and_bounded(text: str, most: int) -> None:
    shown = plain(text, most)
    assert is_plain(shown)
    assert len(shown) <= most * 10
    assert plain(shown, len(shown) + 1) == shown


def test_lines_of_ours_stay_lines() -> None:
    assert plain_lines("a\nb\x1bc") == "a\nb\\x1bc"


def test_facts_are_plain_at_every_depth() -> None:
    assert plain_facts({"a\x1b": ["x\n", {"b": "\u202e"}], "n": 1, "none": None}) == {
        "a\\x1b": ["x\\x0a", {"b": "\\u202e"}],
        "n": 1,
        "none": None,
    }


@given(st.dictionaries(st.text(st.characters(exclude_categories=[])), st.text(st.characters(exclude_categories=[]))))
def test_json_says_the_same_without_such_a_character(facts: dict[str, str]) -> None:
    text = plain_json(json.dumps(facts, indent=2, ensure_ascii=False))
    assert json.loads(text) == facts
    assert is_plain(text.replace("\n", ""))
