"""Slots: who owns a stream, what is left of one after a crash, and how it is sealed.

Sealing may crash at any point and be repeated: it reads the records since the last complete carry, appends what is
missing (nothing, the second time), then the seal, cuts, marks. The last whole frame is written once more before it is
believed: after kill -9 it may stand in the page cache only, after a failed sync even in pages that the kernel calls
clean, and a later frame must not become durable without it.
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from entrepot.journal.committer import Committer, Prepared, Shelf
from entrepot.journal.disk import Disk, JournalDamaged, SlotTaken, write_all, write_whole
from entrepot.journal.files import (
    QUARANTINE,
    Position,
    begun,
    blank_from,
    damaged,
    is_sealed,
    segment_path,
    segments,
    slot_directory,
    stream_directory,
    stream_of,
)
from entrepot.journal.frames import MAGIC, Frame, decode_frame, stream_seed
from entrepot.kernel.errors import EntrepotError

CARRY_KIND = 8
SEAL_KIND = 9
SLOTS = 4096  # a request id has 12 bits for it

Records = list[tuple[int, bytes]]
CarryPart = Callable[[bytes], tuple[int, int]]


class SlotQuarantined(JournalDamaged):
    """The slot's journal was found damaged; it is left as it is until somebody decides."""

    code = "slot_quarantined"


class Slot:
    """Exclusive owner of `journal/w<number>` for as long as the lock's descriptor is open."""

    def __init__(self, disk: Disk, root: Path, number: int, lock: int) -> None:
        self.disk = disk
        self.root = root
        self.number = number
        self.path = slot_directory(root, number)
        self._lock = lock

    @classmethod
    def acquire(cls, disk: Disk, root: Path, number: int | None = None) -> "Slot":
        """The slot of this number, or the lowest that is free and whole. Raises SlotTaken, SlotQuarantined."""
        if number is not None:
            return cls._take(disk, root, number)
        for candidate in range(1, SLOTS):
            try:
                return cls._take(disk, root, candidate)
            except (SlotTaken, SlotQuarantined):
                continue
        raise SlotTaken(f"all {SLOTS - 1} slots of {root} are taken")

    @classmethod
    def _take(cls, disk: Disk, root: Path, number: int) -> "Slot":
        if not 0 < number < SLOTS:
            raise ValueError(f"slot {number}; slots are 1 to {SLOTS - 1}")
        path = slot_directory(root, number)
        disk.make_directory(path)
        disk.sync_directory(root)
        try:
            lock = disk.lock(path / "lock")
        except BlockingIOError:
            raise SlotTaken(f"slot w{number} is held by another process") from None
        if QUARANTINE in disk.names(path):
            disk.close(lock)
            raise SlotQuarantined(f"slot w{number} is in quarantine; {path / QUARANTINE} says why")
        return cls(disk, root, number, lock)

    def epochs(self) -> list[int]:
        return sorted(int(name) for name in self.disk.names(self.path) if name.isdigit())

    def next_epoch(self) -> int:
        """One more than the highest there is: whoever removes old streams leaves the last one. A stream that never got
        a segment (the disk was full) never had a record, so its number is taken again."""
        last = max(self.epochs(), default=0)
        return last if last and self._blank(last) else last + 1

    def stream(self, epoch: int) -> Path:
        return stream_directory(self.root, self.number, epoch)

    def unsealed(self) -> list[int]:
        epochs = [epoch for epoch in self.epochs() if not is_sealed(self.disk, self.stream(epoch))]
        return epochs[:-1] if epochs and self._blank(epochs[-1]) else epochs

    def _blank(self, epoch: int) -> bool:
        stream = self.stream(epoch)
        return not segments(self.disk, stream) and not is_sealed(self.disk, stream)

    def inherited(self, carry_part: CarryPart) -> Records:
        """Records since the last complete carry of the newest stream that has one; all streams must be sealed.

        A worker that died before its first carry was durable has left a stream without one: the one before counts.
        """
        for epoch in reversed(self.epochs()):
            records = find_tail(self.disk, self.stream(epoch), carry_part).records
            if records:
                return records
        return []

    def quarantine(self, why: str) -> None:
        write_whole(self.disk, self.path / QUARANTINE, why.encode() + b"\n")

    def release(self) -> None:
        self.disk.close(self._lock)


class Tail(NamedTuple):
    """The end of a stream: the last segment that has begun (0: none), where its last whole frame lies and ends, the
    number of the next record, and the records since the last complete carry (none without one)."""

    segment: int
    last_frame: int
    offset: int
    next_seq: int
    records: Records
    sealed: bool


def find_tail(disk: Disk, stream: Path, carry_part: CarryPart, passed: Position | None = None) -> Tail:
    """Read backwards until a complete carry. Raises JournalDamaged where a bad frame is not a torn tail: when a whole
    frame follows, or a reader's position `passed` lies behind it."""
    numbers = segments(disk, stream)
    last = next((number for number in reversed(numbers) if begun(disk, stream, number)), 0)
    for number in numbers:
        if number > last:
            _whole(disk, stream, number, last=True)
    records: Records = []
    last_frame = offset = 0
    for number in reversed([n for n in numbers if n <= last]):
        frames, end = _whole(disk, stream, number, last=number == last)
        if number == last:
            last_frame, offset = frames[-1].offset, end
        found = [(seq, data) for frame in frames for seq, data in enumerate(frame.records, frame.first_seq)]
        if found and records and found[-1][0] + 1 != records[0][0]:
            raise damaged(stream, number, end, f"record {records[0][0]} follows {found[-1][0]}")
        records = found + records
        if last_carry(records, carry_part) >= 0:
            break
    if passed is not None and (last, offset) < tuple(passed):
        raise damaged(stream, last, offset, f"the journal ends here, and a reader has seen it up to {tuple(passed)}")
    next_seq = records[-1][0] + 1 if records else 1
    sealed = bool(records) and records[-1][1][0] == SEAL_KIND
    start = last_carry(records, carry_part)
    if start < 0 and records and records[0][0] != 1:
        raise damaged(stream, numbers[0], 0, "no carry is left in the segments that are there")
    return Tail(last, last_frame, offset, next_seq, records[start:] if start >= 0 else [], sealed)


def last_carry(records: Records, carry_part: CarryPart) -> int:
    """Index of the first part of the last carry whose parts are all there; -1 without one."""
    for index in range(len(records) - 1, -1, -1):
        record = records[index][1]
        if record[0] != CARRY_KIND:
            continue
        part, parts = carry_part(record)
        first = index - part
        if part == parts - 1 and first >= 0 and _is_carry(records[first : index + 1], carry_part):
            return first
    return -1


def seal_stream(
    disk: Disk,
    slot: Slot,
    epoch: int,
    close: Callable[[Records], list[bytes]],
    seal_record: bytes,
    *,
    carry_part: CarryPart,
    passed: Position | None = None,
) -> None:
    """End a stream whose writer is gone; only its slot's owner may. Damage puts the slot into quarantine, and raises.

    `close` gets the records since the last complete carry and returns what the stream lacks: a pure function, since it
    is asked again if this crashes.
    """
    stream = slot.stream(epoch)
    if is_sealed(disk, stream):
        return
    try:
        tail = find_tail(disk, stream, carry_part, passed)
        missing = [] if tail.sealed else [*_closed(stream, tail, close), seal_record]
    except JournalDamaged as damage:
        slot.quarantine(damage.message)
        raise
    shelf = Shelf(disk, stream)
    for number in segments(disk, stream):
        if number >= tail.segment:
            _erase(disk, stream, number, tail.offset if number == tail.segment else 0)
    if tail.segment:
        fd = disk.open(segment_path(stream, tail.segment), write=True)
        write_all(
            disk, fd, disk.read(fd, tail.offset - tail.last_frame, tail.last_frame), tail.last_frame, durable=True
        )
        at = Prepared(tail.segment, fd, disk.size(fd))
        shelf.adopt(tail.segment)
    else:
        shelf.adopt(0)
        if not shelf.ready:
            shelf.prepare(4096)
        at = shelf.ready.popleft()
    committer = Committer(shelf, at, tail.offset, tail.next_seq)
    committer.append(missing)
    committer.finish()


def _closed(stream: Path, tail: Tail, close: Callable[[Records], list[bytes]]) -> list[bytes]:
    """What `close` adds; where it finds that the records contradict each other, they are damaged."""
    try:
        return close(tail.records)
    except EntrepotError as error:
        raise damaged(stream, tail.segment, tail.last_frame, error.message) from error


def _is_carry(run: Records, carry_part: CarryPart) -> bool:
    return all(data[0] == CARRY_KIND and carry_part(data) == (part, len(run)) for part, (_, data) in enumerate(run))


def _whole(disk: Disk, stream: Path, number: int, *, last: bool) -> tuple[list[Frame], int]:
    """The whole frames of a segment from its start, and where they end. Behind them the last one may have a torn
    frame, but no whole one; the others have nothing."""
    seed = stream_seed(*stream_of(stream))
    fd = disk.open(segment_path(stream, number))
    try:
        data = disk.read(fd, disk.size(fd), 0)
    finally:
        disk.close(fd)
    frames: list[Frame] = []
    at = 0
    while frame := decode_frame(data, at, seed, number, at):
        if frames and frame.first_seq != frames[-1].first_seq + len(frames[-1].records):
            raise damaged(stream, number, at, f"record {frame.first_seq} is out of order")
        frames.append(frame)
        at = frame.end
    if not last and data.count(0, at) != len(data) - at:
        raise damaged(stream, number, at, "the frame there is not whole, and a later segment has begun")
    later = data.find(MAGIC, at + 1)
    while later >= 0:
        if decode_frame(data, later, seed, number, later):
            raise damaged(stream, number, at, f"the frame there is not whole, and a whole one follows at {later:,}")
        later = data.find(MAGIC, later + 1)
    return frames, at


def _erase(disk: Disk, stream: Path, number: int, offset: int) -> None:
    """Zero what is torn behind `offset`, and make the segment durable as it stands."""
    fd = disk.open(segment_path(stream, number), write=True)
    try:
        end = blank_from(disk, fd, offset)
        if end > offset:
            write_all(disk, fd, bytes(end - offset), offset, durable=False)
        disk.sync(fd)
    finally:
        disk.close(fd)
