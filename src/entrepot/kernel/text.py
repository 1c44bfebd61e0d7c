"""Text of others on a terminal or in a log: what would move the cursor, forge a line or turn the reading order is shown
as an escape instead of being obeyed.
"""

import re
from typing import Any

#: C0, DEL and C1, bidi marks and overrides, line separators, invisible marks and tags, lone surrogates.
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff"
    "\U000e0000-\U000e007f]"
)
_LINE_MOST = 200
_FACT_MOST = 2_000
_SCREEN_MOST = 20_000


def plain(text: str, most: int = _LINE_MOST) -> str:
    """One line that any terminal shows as it is, of at most `most` characters: `a\\x1b[2Jb` for an escape."""
    if text.isascii() and text.isprintable() and len(text) <= most:
        return text
    cut = text[: most - 1] + "…" if len(text) > most else text
    return _UNSAFE.sub(_escaped, cut)


def plain_lines(text: str, most: int = _SCREEN_MOST) -> str:
    """As `plain`, for text of several lines that we wrote ourselves around the values of others."""
    cut = text[: most - 1] + "…" if len(text) > most else text
    return "\n".join(_UNSAFE.sub(_escaped, line) for line in cut.split("\n"))


def plain_facts(facts: Any) -> Any:
    """Every text within lists and dicts made one plain line, names and values; the rest as it is."""
    if isinstance(facts, str):
        return plain(facts, _FACT_MOST)
    if isinstance(facts, dict):
        return {plain(name): plain_facts(each) for name, each in facts.items()}
    return [plain_facts(each) for each in facts] if isinstance(facts, list) else facts


def plain_json(text: str) -> str:
    """JSON whose strings hold no such character as itself: the same value, written with escapes."""
    return "\n".join(_UNSAFE.sub(_json_escaped, line) for line in text.split("\n"))


def is_plain(text: str) -> bool:
    """Whether a name or id may be kept: nothing in it needs an escape."""
    return not _UNSAFE.search(text)


def _escaped(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _json_escaped(found: re.Match[str]) -> str:
    pairs = found[0].encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{pairs[i : i + 4]}" for i in range(0, len(pairs), 4))
