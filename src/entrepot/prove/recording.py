"""A recorded trace of calls: when each came, how many tokens went in and out. Sizes and times, never text.

Recognised by its columns, plain or gzip: the Azure LLM inference traces, Mooncake's, agent sessions, and any table of
prompt and completion tokens. A file that is damaged is refused with the line and the value; nothing is guessed.
"""

import csv
import gzip
import io
import itertools
import re
import zlib
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from entrepot.kernel.errors import EntrepotError, Fault
from entrepot.kernel.instants import SECOND, from_datetime
from entrepot.kernel.text import plain

MOST_CALLS = 2_000_000  # about 300 MB of them in memory
MOST_TOKENS = 1 << 24  # of one call: beyond any context window
_MOST_SECONDS = 366 * 86_400
_BLOCK = 512  # tokens of one of Mooncake's prefix blocks
_LINE_MOST = 1 << 20
_whole = re.compile(r"[0-9]{1,12}", re.ASCII).fullmatch
_KNOWN = (
    "known are TIMESTAMP, ContextTokens, GeneratedTokens (Azure); timestamp, input_length, output_length as JSON lines "
    "(Mooncake); t_s, input_tokens, output_tokens (sessions); prompt_tokens, completion_tokens (without times)"
)


class TraceBroken(EntrepotError):
    """A recorded trace is not one that is known here, or is damaged."""

    code = "trace_broken"
    fault = Fault.CALLER


class Entry(NamedTuple):
    """One call: `at` microseconds after the first; `cached` of its `input` tokens were in the vendor's cache."""

    at: int
    input: int
    cached: int
    output: int
    stream: bool | None  # None: the trace does not say


class Recording(msgspec.Struct, frozen=True, kw_only=True):
    """A whole trace in order of time. `timed`: it says when calls came."""

    name: str
    kind: str
    timed: bool
    entries: list[Entry]

    @property
    def input(self) -> int:
        return sum(entry.input for entry in self.entries)

    @property
    def cached(self) -> int:
        return sum(entry.cached for entry in self.entries)

    @property
    def output(self) -> int:
        return sum(entry.output for entry in self.entries)

    @property
    def span(self) -> int:
        """Microseconds from the first call to the last."""
        return self.entries[-1].at

    def busiest(self, window: int) -> int:
        """Calls in the busiest `window` of microseconds."""
        most = start = 0
        for end, entry in enumerate(self.entries):
            while entry.at - self.entries[start].at >= window:
                start += 1
            most = max(most, end - start + 1)
        return most


Row = dict[str, Any]


class _Format(NamedTuple):
    kind: str
    columns: tuple[str, ...]
    read: Callable[[Row], tuple[int, int, int, int, bool | None]]
    timed: bool = True


class _Bad(ValueError):
    """A value of the line that is being read."""


def read_recording(path: Path, *, limit: int = 0) -> Recording:
    """The trace in `path`, or its first `limit` calls. Raises TraceBroken."""
    reader = _Lines(path)
    found: list[Entry] = []
    kind: _Format | None = None
    for line, row in reader.rows():
        if kind is None:
            kind = _format_of(path, row)
        try:
            found.append(Entry(*kind.read(row)))
        except _Bad as bad:
            raise TraceBroken(f"{path.name}, line {line:,}: {bad}") from None
        if len(found) > MOST_CALLS:
            raise TraceBroken(f"{path.name} has more than {MOST_CALLS:,} calls; take a part of it with --calls")
    if kind is None or not found:
        raise TraceBroken(f"{path.name} holds no call")
    found.sort(key=lambda entry: entry.at)  # sessions are written one behind the other; equal times keep their order
    first = found[0].at
    chosen = found[: limit or None]
    entries = [entry._replace(at=entry.at - first) for entry in chosen]
    if entries[-1].at > _MOST_SECONDS * SECOND:
        raise TraceBroken(f"{path.name} spans {entries[-1].at // SECOND // 86_400:,} days; a year is the most")
    return Recording(name=path.name, kind=kind.kind, timed=kind.timed, entries=entries)


def _format_of(path: Path, row: Row) -> _Format:
    mooncake = _Format("Mooncake", ("timestamp", "input_length", "output_length"), _Mooncake())
    for each in (mooncake, *_FORMATS):
        if set(each.columns) <= row.keys():
            return each
    names = ", ".join(plain(str(name), 40) for name in list(row)[:12])
    if {"client_id", "window_start_s"} <= row.keys():
        raise TraceBroken(f"{path.name} holds rates of many clients, not calls ({names}): there is nothing to replay")
    raise TraceBroken(f"{path.name} is no trace that is known here: its columns are {names or 'none'}; {_KNOWN}")


class _Lines:
    """The rows of a file with their line numbers, whatever its packing."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._line = 0

    def rows(self) -> Iterator[tuple[int, Row]]:
        try:
            with self._path.open("rb") as raw:
                packed = raw.read(2) == b"\x1f\x8b"
                raw.seek(0)
                with gzip.open(raw) if packed else raw as data, io.TextIOWrapper(data, "utf-8-sig", newline="") as text:
                    yield from self._parsed(text)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            after = f"behind line {self._line:,}" if self._line else "in its first line"
            raise TraceBroken(
                f"{self._path.name} is damaged {after}: its gzip data {_GZIP.get(type(error), 'is broken')}; get the "
                "file again"
            ) from None
        except UnicodeDecodeError as error:
            raise TraceBroken(
                f"{self._path.name} is not text behind line {self._line:,}: byte 0x{error.object[error.start]:02x}"
            ) from None
        except OSError as error:
            raise TraceBroken(f"{self._path} cannot be read: {error.strerror}") from None

    def _parsed(self, text: io.TextIOWrapper) -> Iterator[tuple[int, Row]]:
        lines = _bounded(text, self._path.name)
        first = next(lines, "")
        whole = itertools.chain([first], lines)
        yield from self._json(whole) if first.startswith("{") else self._csv(whole)

    def _json(self, lines: Iterable[str]) -> Iterator[tuple[int, Row]]:
        decode = msgspec.json.Decoder(Row).decode
        for number, line in enumerate(lines, 1):
            if line.strip():
                try:
                    row = decode(line)
                except (msgspec.MsgspecError, ValueError):
                    raise TraceBroken(
                        f"{self._path.name}, line {number:,}: {plain(line.strip(), 60)!r} is not a JSON object"
                    ) from None
                self._line = number
                yield number, row

    def _csv(self, lines: Iterable[str]) -> Iterator[tuple[int, Row]]:
        reader = csv.reader(lines, strict=True)
        try:
            header = next(reader, [])
            for values in reader:
                if not values:
                    continue
                if len(values) != len(header):
                    raise TraceBroken(
                        f"{self._path.name}, line {reader.line_num:,}: {len(values)} values where the header names "
                        f"{len(header)}"
                    )
                self._line = reader.line_num
                yield reader.line_num, dict(zip(header, values, strict=True))
        except csv.Error as error:
            raise TraceBroken(f"{self._path.name}, line {reader.line_num:,}: {error}") from None
        if not self._line and header:  # nothing below it: say what the header is
            _format_of(self._path, dict.fromkeys(header))


def _bounded(text: io.TextIOWrapper, name: str) -> Iterator[str]:
    """Lines of a bounded length."""
    number = 0
    while line := text.readline(_LINE_MOST):
        number += 1
        if len(line) >= _LINE_MOST:
            raise TraceBroken(f"{name}, line {number:,} is longer than {_LINE_MOST:,} letters")
        yield line


_GZIP: dict[type[BaseException], str] = {EOFError: "ends too early", gzip.BadGzipFile: "has a wrong checksum"}


class _Mooncake:
    """Milliseconds, lengths, and ids of prefix blocks: a leading run of ids that came before was in the cache."""

    def __init__(self) -> None:
        self._seen: set[int] = set()

    def __call__(self, row: Row) -> tuple[int, int, int, int, bool | None]:
        size = _tokens(row, "input_length")
        hits = 0
        ids = row.get("hash_ids") or []
        if not isinstance(ids, list):
            raise _Bad(f"hash_ids is {plain(str(ids), 40)!r}, not a list of block ids")
        for block in ids:
            if block not in self._seen:
                break
            hits += 1
        self._seen.update(block for block in ids if isinstance(block, int))
        return _number(row, "timestamp") * 1000, size, min(hits * _BLOCK, size), _tokens(row, "output_length"), None


def _azure(row: Row) -> tuple[int, int, int, int, bool | None]:
    text = row["TIMESTAMP"]
    try:
        at = datetime.fromisoformat(text[:26])  # ticks of 100 ns: the seventh decimal goes
    except ValueError:
        raise _Bad(f"TIMESTAMP is {plain(text, 40)!r}, not like 2023-11-16 18:15:46.680590") from None
    moment = from_datetime(at if at.tzinfo else at.replace(tzinfo=UTC))
    return moment, _tokens(row, "ContextTokens"), 0, _tokens(row, "GeneratedTokens"), None


def _session(row: Row) -> tuple[int, int, int, int, bool | None]:
    try:
        seconds = float(row["t_s"])
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= _MOST_SECONDS:
        raise _Bad(f"t_s is {plain(row['t_s'], 40)!r}, not seconds since the start")
    size = _tokens(row, "input_tokens")
    cached = _tokens(row, "cached_input_tokens") if row.get("cached_input_tokens") else 0
    if cached > size:
        raise _Bad(f"cached_input_tokens is {cached:,}, more than the {size:,} input_tokens")
    stream = {"1": True, "0": False}.get(row.get("stream", ""))
    return int(seconds * SECOND), size, cached, _tokens(row, "output_tokens"), stream


def _usage(row: Row) -> tuple[int, int, int, int, bool | None]:
    return 0, _tokens(row, "prompt_tokens"), 0, _tokens(row, "completion_tokens"), None


def _tokens(row: Row, name: str) -> int:
    number = _number(row, name)
    if number > MOST_TOKENS:
        raise _Bad(f"{name} is {number:,}; no call has more than {MOST_TOKENS:,} tokens")
    return number


def _number(row: Row, name: str) -> int:
    value = row.get(name)
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    if isinstance(value, str) and _whole(value):
        return int(value)
    raise _Bad(f"{name} is {plain(str(value), 40)!r}, not a whole number from 0 on")


_FORMATS = (
    _Format("Azure", ("TIMESTAMP", "ContextTokens", "GeneratedTokens"), _azure),
    _Format("sessions", ("t_s", "input_tokens", "output_tokens"), _session),
    _Format("usage", ("prompt_tokens", "completion_tokens"), _usage, timed=False),
)
