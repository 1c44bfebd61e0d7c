"""Power loss and kill at calls of the disk port (a small share of what `tests/system/test_journal_faults.py` runs)."""

from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entrepot.journal.disk import write_whole
from entrepot.journal.simulated import SECTOR_BYTES, SimulatedDisk
from journal_crashes import Crashes

FILE = Path("/d/file")


def disk_with(data: bytes) -> tuple[SimulatedDisk, int]:
    disk = SimulatedDisk()
    fd = disk.open(FILE, create=True)
    disk.sync_directory(FILE.parent)
    disk.write(fd, data, 0)
    disk.sync(fd)
    return disk, fd


def test_what_was_synced_survives_and_what_was_not_may_be_there_by_sectors() -> None:
    disk, fd = disk_with(bytes(4 * SECTOR_BYTES))
    disk.write_durable(fd, b"a" * SECTOR_BYTES, 0)
    disk.write(fd, b"b" * 3 * SECTOR_BYTES, SECTOR_BYTES)
    seen = {disk.after_power_loss(Random(seed)).contents()[FILE] for seed in range(200)}
    assert {data[:SECTOR_BYTES] for data in seen} == {b"a" * SECTOR_BYTES}
    patterns = {tuple(data[n * SECTOR_BYTES] for n in (1, 2, 3)) for data in seen}
    assert patterns == {(x, y, z) for x in (0, 98) for y in (0, 98) for z in (0, 98)}
    assert disk.after_kill().contents()[FILE] == b"a" * SECTOR_BYTES + b"b" * 3 * SECTOR_BYTES


def test_a_name_survives_only_when_its_directory_was_synced() -> None:
    disk, _ = disk_with(b"x")
    disk.rename(FILE, FILE.with_name("other"))
    found = {tuple(disk.after_power_loss(Random(seed)).contents()) for seed in range(50)}
    assert found == {(FILE,), (FILE.with_name("other"),)}
    disk.sync_directory(FILE.parent)
    assert {tuple(disk.after_power_loss(Random(seed)).contents()) for seed in range(50)} == {(FILE.with_name("other"),)}


def test_after_a_failed_sync_the_data_is_seen_and_never_stored() -> None:
    disk, fd = disk_with(b"old")

    def fail(call: str) -> None:
        if call == "sync":
            raise OSError(5, "EIO")

    disk.write(fd, b"new", 0)
    disk.at = fail
    with pytest.raises(OSError, match="EIO"):
        disk.sync(fd)
    disk.at = lambda call: None
    disk.sync(fd)
    assert disk.after_kill().contents()[FILE] == b"new"
    assert disk.after_power_loss(Random(1)).contents()[FILE] == b"old"


@given(st.integers(0, 30), st.integers(0, 9999))
def test_a_small_file_is_whole_or_the_old_one(crash_at: int, seed: int) -> None:
    disk, _ = disk_with(b"old")
    calls = 0
    images = []

    def at(call: str) -> None:
        nonlocal calls
        calls += 1
        if calls == crash_at:
            images.append(disk.after_power_loss(Random(seed)))

    disk.at = at
    write_whole(disk, FILE, b"the new one")
    for image in images:
        assert image.contents()[FILE] in (b"old", b"the new one")
    assert disk.after_power_loss(Random(seed)).contents()[FILE] == b"the new one"


@pytest.mark.long
@settings(max_examples=12, deadline=None)
@given(st.integers(0, 2**32))
def test_a_crash_at_any_call_loses_nothing_acknowledged(seed: int) -> None:
    crashes = Crashes(seed)
    crashes.run(60)
    assert crashes.points >= 60
