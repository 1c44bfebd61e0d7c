"""One commit after the other, as a plain object: production drives it from the writer thread, the simulated disk
drives it directly."""

from collections import deque
from pathlib import Path
from typing import NamedTuple

from entrepot.journal.disk import Disk, write_all, write_whole
from entrepot.journal.files import SEALED, segment_path, segments, stream_of
from entrepot.journal.frames import HEADER_BYTES, LARGEST_BODY, encode_frame, stream_seed

ZEROS = bytes(1024 * 1024)
#: A frame larger than this is split: one commit's latency stays bounded.
FRAME_BYTES = 1024 * 1024


class Prepared(NamedTuple):
    """A segment that is open: zero-filled and synced in its whole size."""

    number: int
    fd: int
    size: int


class Committed(NamedTuple):
    """Where the records first_seq … first_seq + records - 1 are durable."""

    first_seq: int
    records: int
    segment: int
    offset: int


class Shelf:
    """Segments made ready ahead: a commit never allocates. `ready` is filled by one thread and taken by another."""

    def __init__(self, disk: Disk, stream: Path) -> None:
        self.disk = disk
        self.stream = stream
        self.ready: deque[Prepared] = deque()
        self._next = 1

    def adopt(self, after: int) -> None:
        """Take over what an earlier writer has prepared behind segment `after`."""
        self._next = after + 1
        for number in segments(self.disk, self.stream):
            if number == self._next:
                fd = self.disk.open(segment_path(self.stream, number), write=True)
                self.ready.append(Prepared(number, fd, self.disk.size(fd)))
                self._next += 1

    def prepare(self, size: int) -> None:
        """Zero-fill the next segment aside, sync, rename. On OSError nothing is left behind, and it may be repeated."""
        path = segment_path(self.stream, self._next)
        aside = path.with_name(f".{path.name}.aside")
        fd = self.disk.open(aside, create=True)
        try:
            for offset in range(0, size, len(ZEROS)):
                write_all(self.disk, fd, ZEROS[: size - offset], offset, durable=False)
                self.disk.sync(fd)
            self.disk.rename(aside, path)
            self.disk.sync_directory(self.stream)
        except OSError:
            self.disk.close(fd)
            self.disk.remove(aside)
            raise
        self._next += 1
        self.ready.append(Prepared(path_number(path), fd, size))

    def discard(self) -> None:
        """Remove what was prepared and is not needed."""
        while self.ready:
            number, fd, _ = self.ready.popleft()
            self.disk.close(fd)
            self.disk.remove(segment_path(self.stream, number))


class Committer:
    """Appends frames to one stream. Every method returns when its bytes are durable; an OSError is final."""

    def __init__(self, shelf: Shelf, at: Prepared, offset: int, next_seq: int) -> None:
        self.shelf = shelf
        self.disk = shelf.disk
        self.segment, self.fd, self.size = at
        self.offset = offset
        self.next_seq = next_seq
        self.finished: deque[tuple[int, int]] = deque()  # (fd, length) of segments to be cut
        self._seed = stream_seed(*stream_of(shelf.stream))

    def commit(self, records: list[bytes]) -> Committed:
        """One frame, one synced write. The records' bytes with 4 each are at most LARGEST_BODY."""
        first, offset, count = self.next_seq, self.offset, len(records)
        frame = encode_frame(self._seed, self.segment, offset, first, records)
        done = self.disk.write_durable(self.fd, frame, offset)
        if done != len(frame):
            write_all(self.disk, self.fd, frame[done:], offset + done, durable=True)
        self.offset = offset + len(frame)
        self.next_seq = first + count
        return Committed(first, count, self.segment, offset)

    def rotate(self) -> bool:
        """Go on in the next prepared segment; False if none is ready."""
        if not self.shelf.ready:
            return False
        left_behind = (self.fd, self.offset)
        self.segment, self.fd, self.size = self.shelf.ready.popleft()
        self.offset = 0
        self.finished.append(left_behind)
        return True

    def tidy(self) -> None:
        """Cut segments that are left behind to their length; the last of them only when its successor has begun."""
        while len(self.finished) > (self.offset == 0):
            fd, length = self.finished.popleft()
            self.disk.truncate(fd, length)
            self.disk.sync(fd)
            self.disk.close(fd)

    def append(self, records: list[bytes]) -> None:
        """Frames for any number of records, in prepared space while there is some, else by growing the last segment."""
        for part in split(records):
            if self.offset + HEADER_BYTES + sum(map(len, part)) + 4 * len(part) > self.size:
                self.rotate()
            self.commit(part)

    def finish(self) -> None:
        """The last record is a seal: cut, remove what was prepared, mark the stream as sealed. Repeatable."""
        self.tidy()
        self.disk.truncate(self.fd, self.offset)
        self.disk.sync(self.fd)
        self.shelf.discard()
        self.disk.sync_directory(self.shelf.stream)
        write_whole(self.disk, self.shelf.stream / SEALED, b"")
        self.disk.close(self.fd)


def path_number(path: Path) -> int:
    return int(path.name.partition(".")[0])


def split(records: list[bytes]) -> list[list[bytes]]:
    """Runs of records of at most FRAME_BYTES each; a larger record stands alone."""
    parts: list[list[bytes]] = []
    room = 0
    for record in records:
        size = len(record) + 4
        if size > LARGEST_BODY:
            raise ValueError(f"a record of {len(record):,} bytes; a frame holds {LARGEST_BODY:,}")
        if size > room:
            parts.append([])
            room = FRAME_BYTES
        parts[-1].append(record)
        room -= size
    return parts
