"""The fake vendor's own ledger: two rows per call, synced before the call is answered.

Lines of JSON. The first row of a call is written when the request is accepted and holds the tokens that the vendor will
bill, whether or not anybody waits for the answer; the second says how far the answer came.
"""

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec


class Accepted(msgspec.Struct, frozen=True, kw_only=True, tag="accepted", tag_field="row"):
    """A call that the vendor took on; `attempt` is the caller's own id for it."""

    n: int
    at: float
    attempt: str
    model: str
    stream: bool
    prompt: int
    completion: int
    billed: bool
    fault: str
    cached: int = 0
    tag: str = ""


class Ended(msgspec.Struct, frozen=True, kw_only=True, tag="ended", tag_field="row"):
    """How the answer ended: `done`, `cut` (the script said so), or `gone` (the caller closed), after `sent` bytes."""

    n: int
    how: str
    sent: int
    pieces: int


Row = Accepted | Ended
_encode = msgspec.json.Encoder().encode
_decoder = msgspec.json.Decoder(Row)


class Books:
    """Append-only; one write and one sync carry every row that came while the last sync ran."""

    def __init__(self, path: Path, loop: asyncio.AbstractEventLoop) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._loop = loop
        self._writer = ThreadPoolExecutor(1, "books")
        self._rows: list[bytes] = []
        self._waiting: list[Callable[[], None]] = []
        self._task: asyncio.Task[None] | None = None

    def write(self, row: Row, then: Callable[[], None] | None = None) -> None:
        """Append; `then` runs in the loop after the row is synced."""
        self._rows.append(_encode(row) + b"\n")
        if then is not None:
            self._waiting.append(then)
        if self._task is None:
            self._task = self._loop.create_task(self._flush())

    async def _flush(self) -> None:
        while self._rows:
            data, self._rows = b"".join(self._rows), []
            waiting, self._waiting = self._waiting, []
            await self._loop.run_in_executor(self._writer, self._sync, data)
            for then in waiting:
                then()
        self._task = None

    def _sync(self, data: bytes) -> None:
        os.write(self._fd, data)
        os.fdatasync(self._fd)

    async def close(self) -> None:
        if self._task is not None:
            await self._task
        os.close(self._fd)


def read_books(path: Path) -> list[Row]:
    """Every whole row."""
    data = path.read_bytes()
    return [_decoder.decode(line) for line in data[: data.rfind(b"\n") + 1].splitlines()]


def accepted(path: Path) -> list[Accepted]:
    return [row for row in read_books(path) if isinstance(row, Accepted)]


class Tail:
    """Another process's books, read while they grow. Calls whose tag is `group/name` are kept by their group."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read = 0
        self._groups: dict[str, list[Accepted]] = {}
        self._open: dict[int, str] = {}  # group of a call that has not ended
        self._unended: dict[str, int] = {}

    def look(self) -> None:
        """Take the whole rows that have come."""
        with self._path.open("rb") as file:
            file.seek(self._read)
            data = file.read()
        whole = data[: data.rfind(b"\n") + 1]
        self._read += len(whole)
        for line in whole.splitlines():
            row = _decoder.decode(line)
            if isinstance(row, Ended):
                group = self._open.pop(row.n, None)
                if group is not None:
                    self._unended[group] -= 1
            else:
                group = row.tag.rpartition("/")[0]
                self._groups.setdefault(group, []).append(row)
                self._open[row.n] = group
                self._unended[group] = self._unended.get(group, 0) + 1

    def rows(self, group: str) -> list[Accepted]:
        return self._groups.get(group, [])

    def unended(self, group: str) -> int:
        """Calls that the vendor has accepted and not yet ended."""
        return self._unended.get(group, 0)
