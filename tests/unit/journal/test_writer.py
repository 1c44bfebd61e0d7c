"""The writer: durable before its callback, in order, one commit after the other; rotation, room, failure, close."""

import asyncio
import errno
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from entrepot.journal.disk import JournalDamaged, JournalFailed, RealDisk
from entrepot.journal.files import START, Entry, Position, is_sealed, read_frames, scan, segments, streams
from entrepot.journal.slots import Slot, SlotQuarantined, SlotTaken, seal_stream
from entrepot.journal.writer import CARRIED_BYTES, ENDING_BYTES, OLD, Journal
from entrepot.kernel.errors import EntrepotError

CARRY = b"\x08carry"
SEAL = b"\x09seal"


def one_part(record: bytes) -> tuple[int, int]:
    return 0, 1


class Rig:
    """A journal over a real folder, driven by a loop that this test turns."""

    def __init__(self, root: Path, disk: RealDisk | None = None, segment_bytes: int = 64 * 1024) -> None:
        self.loop = asyncio.new_event_loop()
        self.disk = disk or RealDisk()
        self.root = root
        self.slot = Slot.acquire(self.disk, root)
        self.failures: list[BaseException] = []
        self.carries = 0
        self.journal = Journal(
            self.disk, self.slot, self.slot.next_epoch(), self.loop, carry=self._carry, failed=self.failures.append,
            segment_bytes=segment_bytes,
        )  # fmt: skip

    def _carry(self) -> list[bytes]:
        self.carries += 1
        return [CARRY]

    def turn(self, until: Callable[[], bool], patience: float = 20.0) -> None:
        async def wait() -> None:
            async with asyncio.timeout(patience):
                while not until():
                    await asyncio.sleep(0.001)

        self.loop.run_until_complete(wait())

    def append_all(self, records: list[bytes]) -> list[int]:
        done: list[int] = []
        for record in records:
            self.journal.append(record, lambda: done.append(1))
        self.turn(lambda: len(done) == len(records))
        return done

    def entries(self) -> list[Entry]:
        return list(scan(self.root, self.slot.number, self.journal.epoch))


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    rig = Rig(tmp_path)
    yield rig
    rig.loop.close()


def test_records_are_numbered_without_gap_and_read_back_in_order(rig: Rig) -> None:
    rig.journal.start([CARRY])
    sent = [b"\x01%d" % n for n in range(500)]
    numbers = [rig.journal.append(record) for record in sent]
    assert numbers == list(range(2, 502))
    rig.journal.close(SEAL)
    found = rig.entries()
    assert [entry.record for entry in found] == [CARRY, *sent, SEAL]
    assert [entry.seq for entry in found] == list(range(1, 503))


def test_a_callback_runs_in_the_loop_in_order_and_after_its_record_can_be_read(rig: Rig) -> None:
    rig.journal.start([CARRY])
    seen: list[tuple[int, bool, bool]] = []
    own = threading.get_ident()

    def note(number: int) -> None:
        there = any(entry.record == b"\x01%d" % number for entry in rig.entries())
        seen.append((number, there, threading.get_ident() == own))

    for number in range(20):
        rig.journal.append(b"\x01%d" % number, lambda number=number: note(number))  # type: ignore[misc]
    rig.turn(lambda: len(seen) == 20)
    assert seen == [(number, True, True) for number in range(20)]
    rig.journal.close(SEAL)


def test_a_callback_that_raises_is_reported_and_the_others_run(rig: Rig) -> None:
    rig.journal.start([CARRY])
    reports: list[dict[str, object]] = []
    rig.loop.set_exception_handler(lambda loop, context: reports.append(context))
    done: list[int] = []
    rig.journal.append(b"\x01a", lambda: done.append(1))
    rig.journal.append(b"\x01b", lambda: done[9])  # type: ignore[arg-type]
    rig.journal.append(b"\x01c", lambda: done.append(3))
    rig.turn(lambda: len(done) == 2)
    assert [type(report["exception"]) for report in reports] == [IndexError]
    rig.journal.close(SEAL)
    assert rig.failures == []


def test_a_record_is_found_by_its_number(rig: Rig) -> None:
    rig.journal.start([CARRY])
    rig.append_all([b"\x01x" * 50] * 40)
    places = {entry.seq: (entry.segment, entry.offset) for entry in rig.entries()}
    assert {seq: rig.journal.locate(seq) for seq in places} == places
    assert rig.journal.locate(999) is None
    rig.journal.close(SEAL)


@pytest.mark.long
def test_each_new_segment_begins_with_a_carry_and_the_old_one_is_cut(rig: Rig) -> None:
    rig.journal.start([CARRY])
    sent = [b"\x01" + bytes([n]) * 2000 for n in range(150)]
    for record in sent:
        rig.append_all([record])
    rig.journal.close(SEAL)
    found = rig.entries()
    assert [entry.record for entry in found if entry.record[0] == 1] == sent
    used = sorted({entry.segment for entry in found})
    assert used == list(range(1, used[-1] + 1))
    assert len(used) >= 5
    for segment in used:
        first = next(entry for entry in found if entry.segment == segment)
        assert first.record == CARRY
    assert rig.carries == len(used) - 1
    stream = rig.slot.stream(1)
    assert segments(rig.disk, stream) == used
    assert all((stream / f"{segment:06d}.seg").read_bytes()[-1:] != b"\0" for segment in used)


def test_a_burst_within_one_callback_gets_its_carry_when_the_callback_is_over(rig: Rig) -> None:
    rig.journal.start([CARRY])
    sent = [b"\x01" + bytes([n]) * 2000 for n in range(200)]
    rig.append_all(sent)
    assert rig.carries == 1
    rig.append_all([b"\x01last"])
    rig.journal.close(SEAL)
    found = rig.entries()
    assert [entry.record for entry in found if entry.record[0] == 1] == [*sent, b"\x01last"]
    assert found[-1].segment > 4
    assert [data for _, data in rig.slot.inherited(one_part)] == [CARRY, b"\x01last", SEAL]


@pytest.mark.long
def test_a_carry_counts_nothing_twice_though_a_caller_changes_its_state_before_it_appends(rig: Rig) -> None:
    charged = 0

    def carry() -> list[bytes]:
        return [b"\x08" + charged.to_bytes(4, "big")]

    rig.journal._carry = carry
    rig.journal.start(carry())
    for number in range(200):
        charged += number
        rig.append_all([b"\x02" + number.to_bytes(4, "big") + bytes(1500)])
    rig.journal.close(SEAL)
    assert len({entry.segment for entry in rig.entries()}) > 4
    sums = 0
    for entry in rig.entries():
        amount = int.from_bytes(entry.record[1:5], "big")
        if entry.record[0] == 8:
            assert amount == sums
        elif entry.record[0] == 2:
            sums += amount
    assert sums == charged


def test_a_closed_stream_is_sealed_and_takes_no_more(rig: Rig) -> None:
    rig.journal.start([CARRY])
    rig.append_all([b"\x01a"])
    rig.journal.close(SEAL)
    assert is_sealed(rig.disk, rig.slot.stream(1))
    assert [stream.sealed for stream in streams(rig.root)] == [True]
    with pytest.raises(JournalFailed):
        rig.journal.append(b"\x01b")
    assert rig.slot.unsealed() == []
    assert [data for _, data in rig.slot.inherited(one_part)] == [CARRY, b"\x01a", SEAL]


def test_a_record_beyond_the_bound_is_refused(rig: Rig) -> None:
    rig.journal.start([CARRY])
    with pytest.raises(ValueError, match="largest"):
        rig.journal.append(bytes(3 * 1024 * 1024))
    rig.journal.close(SEAL)


def test_room_is_for_the_endings_of_all_open_calls_and_one_more(tmp_path: Path) -> None:
    rig = Rig(tmp_path, segment_bytes=1024 * 1024)
    rig.journal.start([CARRY])
    rig.turn(lambda: rig.journal.prepared_segments == 1)
    calls = 0
    while rig.journal.room(calls):
        calls += 1
    assert (calls + 1) * ENDING_BYTES + calls * CARRIED_BYTES > (2 - 1 / 16) * 1024 * 1024 - 100
    rig.turn(lambda: rig.journal.room(calls))  # more is prepared because it was asked for
    assert not rig.journal.room(1024 * 1024 // CARRIED_BYTES)
    rig.journal.close(SEAL)
    rig.loop.close()


def test_a_segment_with_an_ending_is_left_after_ten_minutes(rig: Rig) -> None:
    rig.journal.start([CARRY])
    rig.turn(lambda: rig.journal.prepared_segments == 1)
    assert not rig.journal.rotate_if_old(1)
    assert not rig.journal.rotate_if_old(1 + 2 * OLD)  # no ending: an idle worker makes no segments
    rig.append_all([b"\x02an ending"])
    assert not rig.journal.rotate_if_old(2 * OLD + 2)
    assert rig.journal.rotate_if_old(3 * OLD + 2)
    assert not rig.journal.rotate_if_old(3 * OLD + 3)
    rig.append_all([b"\x01a"])
    rig.journal.close(SEAL)
    assert [(entry.segment, entry.record) for entry in rig.entries()] == [
        (1, CARRY), (1, b"\x02an ending"), (2, CARRY), (2, b"\x01a"), (2, SEAL),
    ]  # fmt: skip


class FailingDisk(RealDisk):
    """EIO at the n-th durable write."""

    def __init__(self, good: int) -> None:
        self.good = good
        self.tries = 0

    def write_durable(self, fd: int, data: bytes | memoryview, offset: int) -> int:
        self.tries += 1
        if self.tries > self.good:
            raise OSError(errno.EIO, "input/output error")
        return super().write_durable(fd, data, offset)


def test_a_failed_sync_is_told_once_and_never_tried_again(tmp_path: Path) -> None:
    disk = FailingDisk(2)
    rig = Rig(tmp_path, disk)
    rig.journal.start([CARRY])
    rig.turn(lambda: rig.journal.durable_seq == 1)
    rig.append_all([b"\x01a"])
    told: list[int] = []
    rig.journal.append(b"\x01b", lambda: told.append(1))
    rig.turn(lambda: bool(rig.failures))
    assert [failure.errno for failure in rig.failures if isinstance(failure, OSError)] == [errno.EIO]
    with pytest.raises(JournalFailed):
        rig.journal.append(b"\x01c")
    with pytest.raises(JournalFailed):
        rig.journal.close(SEAL)
    rig.turn(lambda: True)
    assert (disk.tries, told, len(rig.failures)) == (3, [], 1)
    assert not is_sealed(disk, rig.slot.stream(1))
    rig.loop.close()


class FullDisk(RealDisk):
    """No segment can be prepared while `full`."""

    full = False

    def write(self, fd: int, data: bytes | memoryview, offset: int) -> int:
        if self.full:
            raise OSError(errno.ENOSPC, "no space left on device")
        return super().write(fd, data, offset)


@pytest.mark.long
def test_a_full_disk_pauses_and_endings_go_through_when_space_returns(tmp_path: Path) -> None:
    disk = FullDisk()
    rig = Rig(tmp_path, disk)
    rig.journal.start([CARRY])
    rig.turn(lambda: rig.journal.prepared_segments == 1)
    disk.full = True
    done: list[int] = []
    appended = 0
    while rig.journal.room(1):
        rig.journal.append(b"\x01" + bytes(6000), lambda: done.append(1))
        appended += 1
    assert appended > 5
    rig.turn(lambda: rig.journal.short_of_space and len(done) == appended)
    assert not rig.journal.room(1)
    rig.journal.append(b"\x02" + bytes(6000), lambda: done.append(1))
    rig.turn(lambda: len(done) == appended + 1)  # the ending of an open call had its place
    disk.full = False
    rig.turn(lambda: rig.journal.room(1))
    rig.append_all([b"\x01again"])
    rig.journal.close(SEAL)
    assert rig.failures == []
    assert len([entry for entry in rig.entries() if entry.record[0] in (1, 2)]) == appended + 2
    rig.loop.close()


def test_a_slot_has_one_owner_and_the_next_worker_takes_the_next(tmp_path: Path) -> None:
    disk = RealDisk()
    first, second = Slot.acquire(disk, tmp_path), Slot.acquire(disk, tmp_path)
    assert (first.number, second.number) == (1, 2)
    with pytest.raises(SlotTaken):
        Slot.acquire(disk, tmp_path, 1)
    first.release()
    assert Slot.acquire(disk, tmp_path).number == 1


def test_a_stream_left_open_is_sealed_by_the_next_owner_and_sealing_repeats(rig: Rig) -> None:
    rig.journal.start([CARRY])
    rig.append_all([b"\x01a", b"\x01b"])
    rig.slot.release()  # the worker is gone, nothing was sealed
    asked: list[list[bytes]] = []

    def close(records: list[tuple[int, bytes]]) -> list[bytes]:
        asked.append([data for _, data in records])
        return [b"\x02a", b"\x02b"]

    slot = Slot.acquire(rig.disk, rig.root, 1)
    assert slot.unsealed() == [1]
    for _ in range(2):
        seal_stream(rig.disk, slot, 1, close, SEAL, carry_part=one_part)
    assert asked == [[CARRY, b"\x01a", b"\x01b"]]
    assert [entry.record for entry in rig.entries()] == [CARRY, b"\x01a", b"\x01b", b"\x02a", b"\x02b", SEAL]
    assert slot.next_epoch() == 2


def test_damage_in_front_of_a_whole_frame_is_named_and_quarantines_the_slot(rig: Rig) -> None:
    rig.journal.start([CARRY])
    for number in range(5):
        rig.append_all([b"\x01%d" % number])
    place = rig.entries()[3]
    path = rig.slot.stream(1) / "000001.seg"
    with path.open("r+b") as file:
        file.seek(place.offset + 28)
        file.write(b"\xff")
    rig.slot.release()
    slot = Slot.acquire(rig.disk, rig.root, 1)
    with pytest.raises(Exception, match=rf"w1, epoch 1, segment 000001, offset {place.offset}"):
        seal_stream(rig.disk, slot, 1, lambda records: [], SEAL, carry_part=one_part)
    slot.release()
    with pytest.raises(SlotQuarantined):
        Slot.acquire(rig.disk, rig.root, 1)
    assert Slot.acquire(rig.disk, rig.root).number == 2  # the others serve on


def test_a_torn_last_frame_is_dropped_unless_a_reader_has_seen_it(rig: Rig) -> None:
    rig.journal.start([CARRY])
    for number in range(3):
        rig.append_all([b"\x01%d" % number])
    last = rig.entries()[-1]
    path = rig.slot.stream(1) / "000001.seg"
    with path.open("r+b") as file:
        file.seek(last.offset + 28)
        file.write(b"\xff")
    rig.slot.release()
    slot = Slot.acquire(rig.disk, rig.root, 1)
    with pytest.raises(Exception, match="a reader has seen it"):
        seal_stream(
            rig.disk, slot, 1, lambda records: [], SEAL, carry_part=one_part, passed=Position(1, last.offset + 30)
        )
    (slot.path / "quarantine").unlink()
    seal_stream(rig.disk, slot, 1, lambda records: [], SEAL, carry_part=one_part, passed=Position(1, last.offset))
    assert [entry.record for entry in rig.entries()] == [CARRY, b"\x010", b"\x011", SEAL]


@pytest.mark.long
def test_a_reader_goes_on_where_it_stood_while_the_writer_rotates(rig: Rig) -> None:
    rig.journal.start([CARRY])
    stream = rig.slot.stream(1)
    position, found = START, []
    for number in range(120):
        rig.append_all([b"\x01%03d" % number + bytes(1500)])
        entries, position = read_frames(rig.disk, stream, position, sync=True)
        found += entries
    rig.journal.close(SEAL)
    while True:
        entries, position = read_frames(rig.disk, stream, position, sync=True)
        if not entries:
            break
        found += entries
    assert found == rig.entries()
    assert position.segment > 2


def test_a_hole_in_a_final_segment_is_damage_to_its_reader(rig: Rig) -> None:
    rig.journal.start([CARRY])
    rig.append_all([b"\x01" + bytes(2000)] * 60)
    rig.journal.close(SEAL)
    stream = rig.slot.stream(1)
    with (stream / "000001.seg").open("r+b") as file:
        file.truncate(5000)
    with pytest.raises(Exception, match="segment 000001"):
        rig.entries()
    (stream / "000001.seg").unlink()
    with pytest.raises(Exception, match="missing"):
        read_frames(rig.disk, stream, START, sync=False)


def test_records_that_contradict_each_other_are_damage(rig: Rig) -> None:
    rig.journal.start([CARRY])
    rig.append_all([b"\x01a"])
    rig.slot.release()
    slot = Slot.acquire(rig.disk, rig.root, 1)

    def close(records: list[tuple[int, bytes]]) -> list[bytes]:
        raise EntrepotError("an ending of attempt 7, which is not open")

    with pytest.raises(JournalDamaged, match=r"w1, epoch 1, segment 000001.*attempt 7"):
        seal_stream(rig.disk, slot, 1, close, SEAL, carry_part=one_part)
    slot.release()
    with pytest.raises(SlotQuarantined):
        Slot.acquire(rig.disk, rig.root, 1)


def test_a_start_on_a_full_disk_uses_up_no_epoch(tmp_path: Path) -> None:
    disk = FullDisk()
    disk.full = True
    rig = Rig(tmp_path, disk)
    with pytest.raises(OSError, match="no space"):
        rig.journal.start([CARRY])
    assert rig.slot.next_epoch() == 1
    assert rig.slot.unsealed() == []
    assert disk.names(rig.slot.stream(1)) == []
    rig.loop.close()


def test_a_worker_that_died_before_its_first_carry_inherits_from_the_stream_before(rig: Rig) -> None:
    rig.journal.start([CARRY])
    rig.append_all([b"\x04lease"])
    rig.journal.close(SEAL)
    rig.disk.make_directory(rig.slot.stream(2))
    seal_stream(rig.disk, rig.slot, 2, lambda records: [], SEAL, carry_part=one_part)
    assert [data for _, data in rig.slot.inherited(one_part)] == [CARRY, b"\x04lease", SEAL]
    assert rig.slot.next_epoch() == 3
