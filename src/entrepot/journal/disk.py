"""The port to the disk, and the real one. Everything that must survive a crash goes through it.

A method that says *durable* returns only when the bytes would survive power loss; nothing else promises that.
"""

import errno
import fcntl
import os
from pathlib import Path
from typing import Protocol

from entrepot.kernel.errors import EntrepotError

#: What a disk answers when there is no room: full, over quota, or beyond the limit for a file's size.
NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class JournalFailed(EntrepotError):
    """The disk failed under the journal (EIO, a failed sync): what is on it is unknown, so its worker must end."""

    code = "journal_failed"


class JournalDamaged(EntrepotError):
    """Bytes that were durable are not what was written. Names slot, epoch, segment and offset."""

    code = "journal_damaged"


class SlotTaken(EntrepotError):
    """Another process holds the slot."""

    code = "slot_taken"
    retryable = True


class Disk(Protocol):
    """System calls as the journal uses them. All raise OSError; writes may be short."""

    def open(self, path: Path, *, create: bool = False, write: bool = False) -> int: ...
    def close(self, fd: int) -> None: ...
    def read(self, fd: int, size: int, offset: int) -> bytes: ...
    def write(self, fd: int, data: bytes | memoryview, offset: int) -> int: ...
    def write_durable(self, fd: int, data: bytes | memoryview, offset: int) -> int: ...
    def sync(self, fd: int) -> None: ...
    def truncate(self, fd: int, size: int) -> None: ...
    def size(self, fd: int) -> int: ...
    def names(self, path: Path) -> list[str]: ...
    def make_directory(self, path: Path) -> None: ...
    def rename(self, old: Path, new: Path) -> None: ...
    def remove(self, path: Path) -> None: ...
    def sync_directory(self, path: Path) -> None: ...
    def lock(self, path: Path) -> int: ...


class RealDisk:
    """Linux: `pwritev` with RWF_DSYNC, `fdatasync`, `flock`; every descriptor closes on exec."""

    def open(self, path: Path, *, create: bool = False, write: bool = False) -> int:
        flags = os.O_CLOEXEC | (os.O_RDWR if write or create else os.O_RDONLY) | (os.O_CREAT if create else 0)
        return os.open(path, flags, 0o600)

    def close(self, fd: int) -> None:
        os.close(fd)

    def read(self, fd: int, size: int, offset: int) -> bytes:
        return os.pread(fd, size, offset)

    def write(self, fd: int, data: bytes | memoryview, offset: int) -> int:
        return os.pwrite(fd, data, offset)

    def write_durable(self, fd: int, data: bytes | memoryview, offset: int) -> int:
        return os.pwritev(fd, (data,), offset, os.RWF_DSYNC)

    def sync(self, fd: int) -> None:
        os.fdatasync(fd)

    def truncate(self, fd: int, size: int) -> None:
        os.ftruncate(fd, size)

    def size(self, fd: int) -> int:
        return os.fstat(fd).st_size

    def names(self, path: Path) -> list[str]:
        try:
            return os.listdir(path)
        except FileNotFoundError:
            return []

    def make_directory(self, path: Path) -> None:
        path.mkdir(mode=0o700, exist_ok=True)

    def rename(self, old: Path, new: Path) -> None:
        os.rename(old, new)

    def remove(self, path: Path) -> None:
        path.unlink(missing_ok=True)

    def sync_directory(self, path: Path) -> None:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def lock(self, path: Path) -> int:
        """Exclusive lock for as long as the descriptor is open; raises BlockingIOError at once if it is held."""
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BaseException:
            os.close(fd)
            raise
        return fd


def write_all(disk: Disk, fd: int, data: bytes, offset: int, *, durable: bool) -> None:
    """Write every byte, going on after short writes; durable as a whole on return if asked."""
    write = disk.write_durable if durable else disk.write
    done = write(fd, data, offset)
    if done == len(data):
        return
    view = memoryview(data)
    while done < len(data):
        step = write(fd, view[done:], offset + done)
        if step <= 0:
            raise OSError(errno.EIO, "a write made no progress")
        done += step


def write_whole(disk: Disk, path: Path, data: bytes) -> None:
    """A small file, whole or not at all, durable on return."""
    aside = path.with_name(f".{path.name}.aside")
    fd = disk.open(aside, create=True)
    try:
        disk.truncate(fd, 0)
        write_all(disk, fd, data, 0, durable=False)
        disk.sync(fd)
    finally:
        disk.close(fd)
    disk.rename(aside, path)
    disk.sync_directory(path.parent)
