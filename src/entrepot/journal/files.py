"""Where the journal lies, and how it is read while it grows.

    journal/w<slot>/lock                 flock of the slot's owner
    journal/w<slot>/quarantine           the slot is damaged: what, where (text)
    journal/w<slot>/<epoch>/<segment>.seg
    journal/w<slot>/<epoch>/sealed       the stream has ended; nothing is added any more

A frame that is not whole at the end of an unsealed stream means "not yet". A segment is final when a later one has
begun or its stream is sealed; a bad frame there is damage.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from entrepot.journal.disk import Disk, JournalDamaged, JournalFailed, RealDisk, SlotTaken
from entrepot.journal.frames import HEADER_BYTES, Frame, decode_frame, stream_seed, wanted

__all__ = [
    "START", "Disk", "Entry", "JournalDamaged", "JournalFailed", "Position", "RealDisk", "SlotTaken", "StreamRef",
    "damaged", "is_sealed", "read_frames", "scan", "scan_frames", "segment_finished", "segment_path", "segments",
    "slot_directory", "stream_directory", "stream_of", "streams", "whole_frames",
]  # fmt: skip

SEGMENT_BYTES = 32 * 1024 * 1024
SEALED = "sealed"
QUARANTINE = "quarantine"
WINDOW_BYTES = 1024 * 1024


class Position(NamedTuple):
    """Where a reader of a stream stands: everything before is taken."""

    segment: int
    offset: int


class Entry(NamedTuple):
    """A record as read: its number in the stream, its frame's place, its bytes."""

    seq: int
    segment: int
    offset: int
    record: bytes


class StreamRef(NamedTuple):
    """One epoch of a slot. A stream that is not sealed may grow (or waits for its sealing)."""

    slot: int
    epoch: int
    path: Path
    sealed: bool


START = Position(1, 0)


def slot_directory(root: Path, slot: int) -> Path:
    return root / f"w{slot}"


def stream_directory(root: Path, slot: int, epoch: int) -> Path:
    return root / f"w{slot}" / f"{epoch:06d}"


def segment_path(stream: Path, segment: int) -> Path:
    return stream / f"{segment:06d}.seg"


def stream_of(stream: Path) -> tuple[int, int]:
    """(slot, epoch) of a stream's directory."""
    return int(stream.parent.name[1:]), int(stream.name)


def segments(disk: Disk, stream: Path) -> list[int]:
    """Numbers of a stream's segments, prepared ones included, ascending."""
    return sorted(int(name[:-4]) for name in disk.names(stream) if name.endswith(".seg") and name[:-4].isdigit())


def is_sealed(disk: Disk, stream: Path) -> bool:
    return SEALED in disk.names(stream)


def streams(root: Path, *, disk: Disk | None = None) -> list[StreamRef]:
    """Every stream of every slot, by slot and epoch."""
    disk = disk or RealDisk()
    found = []
    for slot in sorted(int(name[1:]) for name in disk.names(root) if name[:1] == "w" and name[1:].isdigit()):
        directory = slot_directory(root, slot)
        for epoch in sorted(int(name) for name in disk.names(directory) if name.isdigit()):
            path = stream_directory(root, slot, epoch)
            found.append(StreamRef(slot, epoch, path, is_sealed(disk, path)))
    return found


def read_frames(disk: Disk, stream: Path, position: Position, *, sync: bool) -> tuple[list[Entry], Position]:
    """The next entries (of one segment, about 1 MiB at most) and the position behind them; none: not yet. As
    `whole_frames`."""
    frames, position = whole_frames(disk, stream, position, sync=sync)
    return [entry for frame in frames for entry in _entries(position.segment, frame)], position


def _entries(segment: int, frame: Frame) -> Iterator[Entry]:
    return (Entry(seq, segment, frame.offset, record) for seq, record in enumerate(frame.records, frame.first_seq))


def whole_frames(disk: Disk, stream: Path, position: Position, *, sync: bool) -> tuple[list[Frame], Position]:
    """The next frames (of one segment, about 1 MiB at most) and the position behind them; none: not yet.

    With `sync` the segment is synced after it was read: only then may a reader commit what it saw, or power loss
    would leave it ahead of the journal. Raises JournalDamaged where a final segment is not whole or is missing.
    """
    slot, epoch = stream_of(stream)
    seed = stream_seed(slot, epoch)
    segment, offset = position if position[0] else START
    while True:
        sealed = is_sealed(disk, stream)
        try:
            fd = disk.open(segment_path(stream, segment))
        except FileNotFoundError:
            if any(number > segment for number in segments(disk, stream)):
                raise damaged(stream, segment, offset, "the segment is missing") from None
            return [], Position(segment, offset)
        try:
            final = sealed or begun(disk, stream, segment + 1)
            frames, end = _frames(disk, fd, (seed, segment, offset))
            if frames:
                if sync:
                    disk.sync(fd)
                return frames, Position(segment, end)
            if not final:
                return [], Position(segment, offset)
            if disk.size(fd) < offset or blank_from(disk, fd, offset) != offset:
                raise damaged(stream, segment, offset, "the frame there is not whole")
        finally:
            disk.close(fd)
        if not begun(disk, stream, segment + 1):
            return [], Position(segment, offset)
        segment, offset = segment + 1, 0


def scan(
    root: Path, slot: int, epoch: int, from_position: Position | None = None, *, disk: Disk | None = None
) -> Iterator[Entry]:
    """Every entry that is there, from the first segment kept or `from_position`; raises JournalDamaged, also where
    the numbers have a gap."""
    for segment, frame in scan_frames(root, slot, epoch, from_position, disk=disk):
        yield from _entries(segment, frame)


def scan_frames(
    root: Path, slot: int, epoch: int, from_position: Position | None = None, *, disk: Disk | None = None
) -> Iterator[tuple[int, Frame]]:
    """As `scan`, in whole frames, each with its segment."""
    disk = disk or RealDisk()
    stream = stream_directory(root, slot, epoch)
    position = from_position or Position(next(iter(segments(disk, stream)), 1), 0)
    expected = 0
    while True:
        frames, position = whole_frames(disk, stream, position, sync=False)
        if not frames:
            return
        for frame in frames:
            if frame.first_seq != expected and expected:
                what = f"record {frame.first_seq} follows {expected - 1}"
                raise damaged(stream, position.segment, frame.offset, what)
            expected = frame.first_seq + len(frame.records)
        for frame in frames:
            yield position.segment, frame


def segment_finished(disk: Disk, stream: Path, segment: int) -> bool:
    """Nothing will be added to this segment: a later one has begun, or its stream is sealed."""
    return is_sealed(disk, stream) or begun(disk, stream, segment + 1)


def damaged(stream: Path, segment: int, offset: int, what: str) -> JournalDamaged:
    slot, epoch = stream_of(stream)
    return JournalDamaged(
        f"journal of slot w{slot}, epoch {epoch}, segment {segment:06d}, offset {offset:,}: {what}; "
        "put the segment back from a backup, or accept the loss and start the slot anew"
    )


def frame_at(disk: Disk, fd: int, seed: int, segment: int, offset: int) -> Frame | None:
    """The one frame at `offset`, or None."""
    size = wanted(disk.read(fd, HEADER_BYTES, offset), 0)
    return decode_frame(disk.read(fd, size, offset), 0, seed, segment, offset) if size else None


def begun(disk: Disk, stream: Path, segment: int) -> bool:
    """Whether the segment's first frame is there; a prepared one is all zeros."""
    try:
        fd = disk.open(segment_path(stream, segment))
    except FileNotFoundError:
        return False
    try:
        return frame_at(disk, fd, stream_seed(*stream_of(stream)), segment, 0) is not None
    finally:
        disk.close(fd)


def blank_from(disk: Disk, fd: int, offset: int) -> int:
    """The place from which on there are only zeros, at least `offset`."""
    last = offset
    while data := disk.read(fd, WINDOW_BYTES, offset):
        kept = len(data.rstrip(b"\0"))
        if kept:
            last = offset + kept
        offset += len(data)
    return last


def _frames(disk: Disk, fd: int, place: tuple[int, int, int]) -> tuple[list[Frame], int]:
    """The whole frames in one window, and where the next one begins."""
    seed, segment, offset = place
    data = disk.read(fd, WINDOW_BYTES, offset)
    size = wanted(data, 0)
    if size > len(data):
        data = disk.read(fd, size, offset)
    frames: list[Frame] = []
    at = 0
    while frame := decode_frame(data, at, seed, segment, offset + at):
        frames.append(frame)
        at = frame.end - offset
    return frames, offset + at
