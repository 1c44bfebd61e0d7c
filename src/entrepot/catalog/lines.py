"""Where in a TOML text does each key, table and array element stand?

`tomllib` checks and reads the text but tells no places. This scanner walks the same text a second time and only finds
places; it is given nothing that `tomllib` has not accepted. Inline tables, multi-line arrays, arrays of tables, dotted
and quoted keys and all four kinds of string are walked.
"""

import re
import tomllib
from bisect import bisect_right
from typing import NamedTuple

Path = tuple[str | int, ...]

_BLANK = re.compile(r"(?:[ \t\n]|#[^\n]*)*")
_SPACE = re.compile(r"[ \t]*")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_STRING = re.compile(
    r'"""(?:[^\\]|\\.)*?"{3,5}(?!")' r"|'''.*?'{3,5}(?!')" r'|"(?:[^"\\\n]|\\.)*"' r"|'[^'\n]*'", re.DOTALL
)
_SCALAR = re.compile(r"[^,\]}#\n]+")


class Span(NamedTuple):
    """1-based line of the key (or element, or header), and the characters from there to the value's end; `value` is
    where the value begins."""

    line: int
    start: int
    end: int
    value: int


class Places:
    """Places of every path of one text."""

    def __init__(self, text: str) -> None:
        """`text` has been accepted by tomllib."""
        self.text = text.replace("\r\n", "\n")
        self.spans: dict[Path, Span] = {}
        self._starts = [0, *(found.end() for found in re.finditer("\n", self.text))]
        self._hidden: dict[int, tuple[int, str]] = {}
        self._tables: dict[Path, int] = {}  # arrays of tables: how many elements so far
        self._walk()

    def line(self, path: Path) -> int:
        """Line of the path, or of the nearest thing that holds it."""
        return self.span(path).line

    def span(self, path: Path) -> Span:
        while path and path not in self.spans:
            path = path[:-1]
        return self.spans.get(path, Span(1, 0, len(self.text), 0))

    def hide(self, path: Path, mask: str) -> None:
        """Show `mask` instead of the value at `path` from now on."""
        span = self.span(path)
        self._hidden[span.value] = (span.end, mask)

    def shown(self, path: Path, *, width: int = 100) -> str:
        """What stands there, its first line only, shortened to `width`, with what is hidden masked."""
        span = self.span(path)
        parts, at = [], span.start
        for start in sorted(self._hidden):
            end, mask = self._hidden[start]
            if at <= start < span.end:
                parts += [self.text[at:start], mask]
                at = end
        first, *more = "".join([*parts, self.text[at : span.end]]).split("\n", 1)
        first = first.rstrip()
        return f"{first[: width - 2]} …" if len(first) > width else f"{first} …" if more else first

    def _mark(self, path: Path, start: int, end: int, value: int) -> None:
        self.spans.setdefault(path, Span(bisect_right(self._starts, start), start, end, value))

    def _walk(self) -> None:
        base: Path = ()
        at = self._after(_BLANK, 0)
        while at < len(self.text):
            if self.text[at] == "[":
                base, at = self._header(at)
            else:
                at = self._pair(base, at)
            at = self._after(_BLANK, at)

    def _header(self, start: int) -> tuple[Path, int]:
        several = self.text.startswith("[[", start)
        parts, at = self._key(self._after(_SPACE, start + 1 + several))
        end = self.text.index("]", at) + 1 + several
        base: Path = ()
        for place, part in enumerate(parts):
            base = (*base, part)
            last = place == len(parts) - 1
            if last and several:
                count = self._tables.get(base, 0)
                self._tables[base] = count + 1
                self._mark(base, start, end, start)
                base = (*base, count)
            elif base in self._tables:
                base = (*base, self._tables[base] - 1)
            self._mark(base, start, end, start)
        return base, end

    def _pair(self, base: Path, start: int) -> int:
        parts, at = self._key(start)
        at = self._after(_BLANK, self.text.index("=", at) + 1)
        path = (*base, *parts)
        end = self._value(path, at)
        for length in range(len(base) + 1, len(path) + 1):
            self._mark(path[:length], start, end, at)
        return end

    def _key(self, at: int) -> tuple[list[str], int]:
        parts = []
        while True:
            if self.text[at] in "\"'":
                end = self._after(_STRING, at)
                parts.append(str(tomllib.loads("k = " + self.text[at:end])["k"]))
            else:
                end = self._further(_BARE_KEY, at)
                parts.append(self.text[at:end])
            at = self._after(_SPACE, end)
            if self.text[at] != ".":
                return parts, at
            at = self._after(_SPACE, at + 1)

    def _value(self, path: Path, at: int) -> int:
        letter = self.text[at]
        if letter in "\"'":
            return self._further(_STRING, at)
        if letter == "{":
            at = self._after(_BLANK, at + 1)
            while self.text[at] != "}":
                at = self._comma(self._pair(path, at))
            return at + 1
        if letter == "[":
            at, place = self._after(_BLANK, at + 1), 0
            while self.text[at] != "]":
                end = self._value((*path, place), at)
                self._mark((*path, place), at, end, at)
                at, place = self._comma(end), place + 1
            return at + 1
        end = self._further(_SCALAR, at)
        return at + len(self.text[at:end].rstrip())

    def _comma(self, at: int) -> int:
        at = self._after(_BLANK, at)
        return self._after(_BLANK, at + 1) if self.text[at] == "," else at

    def _further(self, pattern: re.Pattern[str], at: int) -> int:
        """As `_after`, but something has to be there: a scan that stands still would never end."""
        end = self._after(pattern, at)
        if end == at:
            raise ValueError(f"no TOML at character {at}")
        return end

    def _after(self, pattern: re.Pattern[str], at: int) -> int:
        found = pattern.match(self.text, at)
        return found.end() if found else at
