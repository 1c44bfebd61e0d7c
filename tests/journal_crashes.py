"""A worker's journal over the simulated disk, crashed at every call of the port.

The worker appends toy records: an intent is b"\\x01" + id, its ending b"\\x02" + id, a carry lists the open ids. It
drives the same Committer and Shelf as production, without threads. At a call of the port the disk's images after a kill
and after power loss are recovered, some of them with a second crash inside the recovery, and compared with what the
worker had acknowledged.
"""

import errno
import struct
from pathlib import Path
from random import Random

from entrepot.journal.committer import Committer, Prepared, Shelf
from entrepot.journal.disk import Disk, JournalDamaged
from entrepot.journal.files import START, Entry, Position, is_sealed, read_frames, scan, segment_path, segments
from entrepot.journal.simulated import PowerLoss, SimulatedDisk
from entrepot.journal.slots import Slot, find_tail, seal_stream

ROOT = Path("/journal")
SEGMENT_BYTES = 2048
SEAL = b"\x09"

_id = struct.Struct("<I")


def carry_of(open_ids: list[int], parts: int) -> list[bytes]:
    """The open ids, spread over `parts` records."""
    return [b"\x08" + bytes((n, parts)) + b"".join(map(_id.pack, open_ids[n::parts])) for n in range(parts)]


def carry_part(record: bytes) -> tuple[int, int]:
    return record[1], record[2]


def open_ids(records: list[tuple[int, bytes]]) -> list[int]:
    """What is open behind these records, which begin with a complete carry; an incomplete later one is nothing."""
    found: set[int] = set()
    parts: list[bytes] = []
    for _, record in records:
        if record[0] == 1:
            found.add(_id.unpack_from(record, 1)[0])
        elif record[0] == 2:
            found.remove(_id.unpack_from(record, 1)[0])  # KeyError: an ending without intent, or a second one
        elif record[0] == 8:
            parts = [] if record[1] == 0 else parts
            parts.append(record)
            if len(parts) == record[2]:
                found = {one for part in parts for (one,) in _id.iter_unpack(part[3:])}
    return sorted(found)


def close(records: list[tuple[int, bytes]]) -> list[bytes]:
    return [b"\x02" + _id.pack(one) + b"sealed" * (one % 60 + 1) for one in open_ids(records)] if records else []


def recover(disk: Disk, passed: Position | None = None) -> None:
    """What a worker's successor does."""
    slot = Slot.acquire(disk, ROOT, 1)
    for epoch in slot.unsealed():
        seal_stream(disk, slot, epoch, close, SEAL, carry_part=carry_part, passed=passed)
    slot.release()


class Worker:
    """One life of a worker in slot 1, and what it told the world."""

    def __init__(self, disk: SimulatedDisk, chance: Random, faults: bool) -> None:
        self.disk = disk
        self.chance = chance
        self.faults = faults
        self.breaks = chance.choice((0.0, 0.0, 0.15))  # how likely a sync fails
        self.slot = Slot.acquire(disk, ROOT, 1)
        self.epoch = self.slot.next_epoch()
        self.stream = self.slot.stream(self.epoch)
        self.appended: list[bytes] = []
        self.acknowledged = 0
        self.open: list[int] = []
        self.next_id = self.epoch * 1000
        self.read: list[Entry] = []  # by a consumer that syncs what it read before it commits
        self.position = START
        self.in_flight: list[bytes] = []

    def fault(self, call: str) -> None:
        """An error of the disk now and then."""
        if not self.faults:
            return
        if call == "write" and self.chance.random() < 0.15:
            raise OSError(errno.ENOSPC, "no space left on device")
        if call in ("write_durable: written, not synced", "sync") and self.chance.random() < self.breaks:
            raise OSError(errno.EIO, "input/output error")

    def live(self, steps: int) -> None:
        """Until the end of its life; an error of the disk ends it early."""
        try:
            self._live(steps)
        except OSError:
            assert self.faults  # one of ours

    def _live(self, steps: int) -> None:
        self.disk.make_directory(self.stream)
        self.disk.sync_directory(self.slot.path)
        self.shelf = Shelf(self.disk, self.stream)
        while not self.shelf.ready:
            self._prepare(self.chance.choice((600, SEGMENT_BYTES)))
        first: Prepared = self.shelf.ready.popleft()
        self.committer = Committer(self.shelf, first, 0, 1)
        self._commit(carry_of([], 1))
        for _ in range(steps):
            self._step()
        if self.chance.random() < 0.5:
            self._commit([*(b"\x02" + _id.pack(one) for one in self.open), SEAL])
            self.committer.finish()

    def _step(self) -> None:
        what = self.chance.random()
        if what < 0.15 and len(self.shelf.ready) < 2:
            self._prepare(SEGMENT_BYTES)
        elif what < 0.25:
            self.committer.tidy()
        elif what < 0.4:
            entries, self.position = read_frames(self.disk, self.stream, self.position, sync=True)
            self.read += entries
        else:
            batch = [self._record() for _ in range(self.chance.choice((1, 1, 2, 5)))]
            if self.committer.offset + sum(map(len, batch)) + 100 > self.committer.size:
                if not self.committer.rotate():
                    self._forget(batch)
                    self._prepare(SEGMENT_BYTES)
                    return
                self._forget(batch)
                carry = carry_of(self.open, self.chance.choice((1, 2, 3)))
                if self.chance.random() < 0.5:
                    self._commit(carry)
                else:
                    for part in carry:
                        self._commit([part])
                return
            self._commit(batch)

    def _prepare(self, size: int) -> None:
        try:
            self.shelf.prepare(size)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise

    def _record(self) -> bytes:
        if self.open and self.chance.random() < 0.45:
            return (
                b"\x02"
                + _id.pack(self.open.pop(self.chance.randrange(len(self.open))))
                + bytes([7] * self.chance.randrange(300))
            )
        self.next_id += 1
        self.open.append(self.next_id)
        return b"\x01" + _id.pack(self.next_id) + bytes([5] * self.chance.randrange(200))

    def _forget(self, batch: list[bytes]) -> None:
        for record in reversed(batch):
            one = _id.unpack_from(record, 1)[0]
            if record[0] == 1:
                self.open.remove(one)
            else:
                self.open.append(one)

    def _commit(self, records: list[bytes]) -> None:
        self.in_flight = records
        self.committer.commit(records)
        self.appended += records
        self.in_flight = []
        self.acknowledged = len(self.appended)


class Crashes:
    """Runs workers and looks behind every crash. `failures` of the check raise AssertionError."""

    def __init__(self, seed: int, disk: type[SimulatedDisk] = SimulatedDisk, *, faults: bool = True) -> None:
        self.chance = Random(seed)
        self.kind = disk
        self.faults = faults
        self.points = 0
        self.lost_tails = 0
        self.doubled = 0

    def run(self, points: int, steps: int = 25) -> None:
        """Workers, one after the other on what the last crash has left, until so many crash points were looked at."""
        disk = self._fresh()
        while self.points < points:
            if self.chance.random() < 0.25:
                disk = self._fresh()
            worker = Worker(disk, self.chance, self.faults)

            def at(call: str, disk: SimulatedDisk = disk, worker: Worker = worker) -> None:
                self.look(disk, worker)
                worker.fault(call)

            disk.at = at
            if self.faults:
                disk.short_by = lambda size: (
                    size if self.chance.random() < 0.97 else self.chance.randint(min(1, size), size)
                )
            worker.live(self.chance.randint(2, steps))
            for _ in range(8 if disk.failed else 1):
                self.look(disk, worker)
            disk = self._adopt(disk.after_power_loss(self.chance))
            recover(disk)

    def look(self, disk: SimulatedDisk, worker: Worker) -> None:
        """Crash here: a kill or power loss, the recovery crashed too or not; then check."""
        self.points += 1
        kill = self.chance.random() < 0.3
        image = disk.after_kill() if kill else disk.after_power_loss(self.chance)
        read = worker.read
        if kill and not image.failed and self.chance.random() < 0.5:
            read = self._read_on(image, worker)
            image = image.after_power_loss(self.chance)
        passed = Position(*read[-1][1:3]) if read else None
        if self.chance.random() < 0.6:
            image = self._crash_recovery(image, passed)
        recover(image, passed)
        self.check(image, worker, read)
        before = image.contents()
        recover(image, passed)
        assert image.contents() == before, "sealing again changes something"

    def _crash_recovery(self, image: SimulatedDisk, passed: Position | None) -> SimulatedDisk:
        """Crash the recovery at a random call, by the power or by an error of the disk."""
        left = self.chance.randrange(25)
        what = self.chance.choice((PowerLoss(), OSError(errno.EIO, "EIO"), OSError(errno.ENOSPC, "ENOSPC")))

        def at(call: str) -> None:
            nonlocal left
            left -= 1
            if left < 0:
                raise what

        image.at = at
        try:
            recover(image, passed)
        except (PowerLoss, OSError):
            self.doubled += 1
        return image.after_kill() if self.chance.random() < 0.3 else image.after_power_loss(self.chance)

    def check(self, image: SimulatedDisk, worker: Worker, read: list[Entry]) -> None:
        """Nothing acknowledged is lost, nothing is invented, every intent has exactly one ending."""
        image.at = lambda call: None
        stream = worker.stream
        if not worker.acknowledged and not segments(image, stream):
            return
        assert is_sealed(image, stream)
        found = [entry.record for entry in scan(ROOT, 1, worker.epoch, disk=image)]
        known = worker.appended + worker.in_flight
        pairs = list(zip(found, known, strict=False))
        own = next((n for n, (a, b) in enumerate(pairs) if a != b), len(pairs))
        self.lost_tails += own < len(known)
        assert own >= worker.acknowledged, f"{worker.acknowledged} acknowledged, {own} found"
        assert own in (worker.acknowledged, len(known)), "a frame is there in part"
        added = found[own:]
        if added:
            assert added[-1] == SEAL
            assert {record[0] for record in added[:-1]} <= {2}, "something was invented"
        endings = sorted(_id.unpack_from(record, 1)[0] for record in found if record[0] == 2)
        intents = sorted(_id.unpack_from(record, 1)[0] for record in found if record[0] == 1)
        assert endings == intents, "an intent without its one ending"
        seen = list(scan(ROOT, 1, worker.epoch, disk=image))[: len(read)]
        assert seen == read, "a reader is ahead of the journal"
        tail = find_tail(image, stream, carry_part)
        assert open_ids(tail.records) == []
        fd = image.open(segment_path(stream, max(tail.segment, 1)))
        assert image.size(fd) == tail.offset, "the last segment is not cut"

    def _read_on(self, image: SimulatedDisk, worker: Worker) -> list[Entry]:
        """A consumer goes on behind the dead worker, before anybody seals; what it read it has synced."""
        read, position = list(worker.read), worker.position
        while worker.stream in image.names_seen:
            entries, position = read_frames(image, worker.stream, position, sync=True)
            if not entries:
                break
            read += entries
        return read

    def _fresh(self) -> SimulatedDisk:
        disk = self.kind()
        disk.names_seen[ROOT] = disk.names_stored[ROOT] = None
        return disk

    def _adopt(self, image: SimulatedDisk) -> SimulatedDisk:
        """The image as a disk of the kind under test."""
        disk = self.kind()
        disk.names_seen, disk.names_stored, disk.unsynced = image.names_seen, image.names_stored, image.unsynced
        return disk


__all__ = ["Crashes", "JournalDamaged"]
