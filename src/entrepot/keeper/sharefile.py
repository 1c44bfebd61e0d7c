"""The file that says which worker was given what of a limit, for a keeper that starts anew.

Rows are appended before a share is sent. It is not synced: only the machine's end loses it, and then all workers have
ended too; whatever lies there from before that is not read. A torn last row was never sent.
"""

import os
from pathlib import Path
from typing import Final

import msgspec

from entrepot.limits.share import Held

_LARGE: Final = 4 * 1024 * 1024
_BOOT: Final = Path("/proc/sys/kernel/random/boot_id")
_encode = msgspec.json.Encoder().encode


class Row(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """What a worker (process `pid`, begun at `started`) has; without a worker: what is free again at `started` (µs)."""

    worker: str
    pid: int
    started: int
    held: Held


class ShareFile:
    """Lines of JSON: which start of the machine, then rows."""

    def __init__(self, path: Path, boot: str) -> None:
        self._path = path
        self._boot = boot
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._size = 0

    def read(self) -> list[Row]:
        """Every row since the machine started, the oldest first; a later one of a worker and meter counts."""
        lines = self._path.read_bytes().split(b"\n")
        if lines[0] != _encode(self._boot):
            return []
        found = []
        for line in lines[1:-1]:
            try:
                found.append(msgspec.json.decode(line, type=Row))
            except msgspec.DecodeError:
                continue
        return found

    def append(self, row: Row) -> None:
        data = _encode(row) + b"\n"
        self._size += len(data)
        os.write(self._file, data)

    def rewrite(self, rows: list[Row]) -> None:
        """Only these from now on."""
        data = b"".join(_encode(row) + b"\n" for row in rows)
        aside = self._path.with_suffix(".new")
        aside.write_bytes(_encode(self._boot) + b"\n" + data)
        aside.chmod(0o600)
        aside.replace(self._path)
        os.close(self._file)
        self._file = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
        self._size = 0

    @property
    def large(self) -> bool:
        return self._size > _LARGE

    def close(self) -> None:
        os.close(self._file)


def boot_of() -> str:
    """Which start of the machine this is."""
    try:
        return _BOOT.read_text().strip()
    except OSError:
        return ""


def started_at(pid: int) -> int:
    """When a living process began, in clock ticks since the machine started; 0: there is none (or only its remains)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return 0 if fields[0] in "ZX" else int(fields[19])
