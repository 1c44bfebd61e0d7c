"""A disk that forgets: at a crash it keeps what was synced and an arbitrary subset of the rest.

What is unsynced is kept or lost per 512-byte sector, per change of a file's size, and per change of a name. Sectors are
never torn inside. Every call of the port is a point where the power may go: `at` is asked before each with its name and
may raise; a call that was interrupted has happened in full in memory, or not at all, or in part (a short write). After
a sync that failed the kernel calls the pages clean though they never reached the platter: a later sync succeeds and
does nothing for them.
"""

import errno
from collections.abc import Callable
from pathlib import Path
from random import Random

SECTOR_BYTES = 512


class PowerLoss(BaseException):
    """The machine stops here."""


class _File:
    """Contents as the kernel shows them, and as the platter has them."""

    __slots__ = ("dirty", "seen", "sized", "stored")

    def __init__(self) -> None:
        self.seen = bytearray()
        self.stored = bytearray()
        self.dirty: set[int] = set()  # sectors
        self.sized = False  # the size has changed since the last sync

    def settle(self, sectors: set[int]) -> None:
        """Bring these sectors, as far as the stored size goes, to the platter."""
        for sector in sectors:
            start = sector * SECTOR_BYTES
            end = min(start + SECTOR_BYTES, len(self.stored))
            self.stored[start:end] = self.seen[start:end].ljust(max(0, end - start), b"\0")

    def sync(self) -> None:
        self.resize(len(self.seen))
        self.settle(self.dirty)
        self.dirty.clear()
        self.sized = False

    def resize(self, size: int) -> None:
        del self.stored[size:]
        self.stored.extend(bytes(size - len(self.stored)))


class SimulatedDisk:
    """The port over files in memory. `at` is called before every call; it may raise PowerLoss or OSError."""

    def __init__(self, at: Callable[[str], None] = lambda call: None) -> None:
        self.at = at
        self.short_by: Callable[[int], int] = lambda size: size  # bytes that a write takes
        self.names_seen: dict[Path, _File | None] = {}  # None: a directory
        self.names_stored: dict[Path, _File | None] = {}
        self.unsynced: list[tuple[Path, dict[Path, _File | None]]] = []  # (directory, what it changes)
        self.open_files: dict[int, tuple[Path, _File]] = {}
        self.locked: set[Path] = set()
        self.failed = False  # a sync has failed: what is seen may never reach the platter
        self._next_fd = 3

    # the port

    def open(self, path: Path, *, create: bool = False, write: bool = False) -> int:
        self.at("open")
        found = self.names_seen.get(path)
        if found is None:
            if not create:
                raise FileNotFoundError(errno.ENOENT, "no such file", str(path))
            found = _File()
            self._rename_to({path: found})
        self._next_fd += 1
        self.open_files[self._next_fd] = (path, found)
        return self._next_fd

    def close(self, fd: int) -> None:
        path, _ = self.open_files.pop(fd)
        self.locked.discard(path)

    def read(self, fd: int, size: int, offset: int) -> bytes:
        return bytes(self._file(fd).seen[offset : offset + size])

    def write(self, fd: int, data: bytes | memoryview, offset: int) -> int:
        self.at("write")
        return self._put(fd, data, offset)

    def write_durable(self, fd: int, data: bytes | memoryview, offset: int) -> int:
        """Synced when it returns; a crash inside leaves the bytes written and not yet synced."""
        self.at("write_durable")
        done = self._put(fd, data, offset)
        file = self._file(fd)
        written = set(range(offset // SECTOR_BYTES, (offset + done + SECTOR_BYTES - 1) // SECTOR_BYTES))
        try:
            self.at("write_durable: written, not synced")
        except OSError:
            file.dirty -= written
            self.failed = True
            raise
        file.resize(max(len(file.stored), offset + done))
        file.settle(written)
        file.dirty -= written
        return done

    def sync(self, fd: int) -> None:
        try:
            self.at("sync")
        except OSError:
            self._file(fd).dirty.clear()
            self.failed = True
            raise
        self._file(fd).sync()

    def truncate(self, fd: int, size: int) -> None:
        self.at("truncate")
        file = self._file(fd)
        del file.seen[size:]
        file.seen.extend(bytes(size - len(file.seen)))
        file.sized = True

    def size(self, fd: int) -> int:
        return len(self._file(fd).seen)

    def names(self, path: Path) -> list[str]:
        return [found.name for found in self.names_seen if found.parent == path]

    def make_directory(self, path: Path) -> None:
        self.at("make_directory")
        if path not in self.names_seen:
            self._rename_to({path: None})

    def rename(self, old: Path, new: Path) -> None:
        self.at("rename")
        file = self.names_seen.pop(old)
        self.names_seen[new] = file
        self.unsynced.append((old.parent, {new: file, old: _GONE}))

    def remove(self, path: Path) -> None:
        self.at("remove")
        if self.names_seen.pop(path, None) is not None:
            self.unsynced.append((path.parent, {path: _GONE}))

    def sync_directory(self, path: Path) -> None:
        self.at("sync_directory")
        for directory, change in self.unsynced:
            if directory == path:
                self._store(change)
        self.unsynced = [entry for entry in self.unsynced if entry[0] != path]

    def lock(self, path: Path) -> int:
        if path in self.locked:
            raise BlockingIOError(errno.EAGAIN, "locked", str(path))
        fd = self.open(path, create=True)
        self.locked.add(path)
        return fd

    # what a crash leaves

    def after_kill(self) -> "SimulatedDisk":
        """The process is gone, the kernel lives: everything written is seen, nothing more is durable than before."""
        copy = SimulatedDisk()
        copy.failed = self.failed
        twins: dict[int, _File] = {}
        copy.names_seen = {path: _twin(file, twins) for path, file in self.names_seen.items()}
        copy.names_stored = {path: _twin(file, twins) for path, file in self.names_stored.items()}
        copy.unsynced = [
            (directory, {path: _twin(file, twins) for path, file in change.items()})
            for directory, change in self.unsynced
        ]
        return copy

    def after_power_loss(self, chance: Random) -> "SimulatedDisk":
        """What a platter may hold: the synced, and any subset of the rest."""
        copy = self.after_kill()
        for directory, change in copy.unsynced:
            if chance.random() < 0.5 and all(path.parent == directory for path in change):
                copy._store(change)
        copy.unsynced = []
        copy.failed = False
        for path in sorted(copy.names_stored, key=lambda path: len(path.parts)):
            if path.parent in copy.names_seen and path.parent not in copy.names_stored:
                del copy.names_stored[path]  # a name in a directory that is gone
        for file in {id(file): file for file in copy.names_stored.values() if file is not None}.values():
            if file.sized and chance.random() < 0.5:
                file.resize(len(file.seen))
            share = chance.choice((0.0, 0.1, 0.5, 0.9, 1.0))
            file.settle({sector for sector in file.dirty if chance.random() < share})
            file.seen[:] = file.stored
            file.dirty.clear()
            file.sized = False
        copy.names_seen = dict(copy.names_stored)
        return copy

    def contents(self) -> dict[Path, bytes]:
        """Every file as it is seen."""
        return {path: bytes(file.seen) for path, file in self.names_seen.items() if file is not None}

    def _file(self, fd: int) -> _File:
        return self.open_files[fd][1]

    def _put(self, fd: int, data: bytes | memoryview, offset: int) -> int:
        file = self._file(fd)
        done = self.short_by(len(data))
        if offset + done > len(file.seen):
            file.seen.extend(bytes(offset + done - len(file.seen)))
            file.sized = True
        file.seen[offset : offset + done] = data[:done]
        file.dirty.update(range(offset // SECTOR_BYTES, (offset + done + SECTOR_BYTES - 1) // SECTOR_BYTES))
        return done

    def _rename_to(self, change: dict[Path, _File | None]) -> None:
        for path, file in change.items():
            self.names_seen[path] = file
            self.unsynced.append((path.parent, change))

    def _store(self, change: dict[Path, _File | None]) -> None:
        for path, file in change.items():
            if file is _GONE:
                self.names_stored.pop(path, None)
            else:
                self.names_stored[path] = file


_GONE = _File()


def _twin(file: _File | None, twins: dict[int, _File]) -> _File | None:
    if file is None or file is _GONE:
        return file
    twin = twins.get(id(file))
    if twin is None:
        twin = twins[id(file)] = _File()
        twin.seen[:] = file.seen
        twin.stored[:] = file.stored
        twin.dirty = set(file.dirty)
        twin.sized = file.sized
    return twin


class UnsyncedDisk(SimulatedDisk):
    """The same without the sync of a commit: what proves that a test would notice its loss."""

    def write_durable(self, fd: int, data: bytes | memoryview, offset: int) -> int:
        return self.write(fd, data, offset)
