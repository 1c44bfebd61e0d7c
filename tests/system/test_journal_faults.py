"""The journal against what a disk, a kernel and an operator's kill can do to it.

Simulated power loss at every call of the port; then the real kernel: SIGKILL, a full disk.
"""

import json
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path
from random import Random

import pytest

from entrepot.journal.disk import JournalDamaged
from entrepot.journal.files import scan, streams
from entrepot.journal.simulated import UnsyncedDisk
from journal_crashes import SEAL, Crashes

TESTS = Path(__file__).parents[1]
WORKER = [sys.executable, str(TESTS / "journal_worker.py")]


def test_ten_thousand_crash_points_lose_nothing_invent_nothing_and_recover_again() -> None:
    points = lost_tails = doubled = 0
    for seed in range(20):
        crashes = Crashes(seed)
        crashes.run(500)
        points += crashes.points
        lost_tails += crashes.lost_tails
        doubled += crashes.doubled
    assert points >= 10_000
    # the runs were about something: unacknowledged tails were lost, and recoveries were crashed in turn
    assert lost_tails > 1000
    assert doubled > 3000


def test_without_the_sync_the_same_runs_lose_what_was_acknowledged() -> None:
    for seed in range(5):
        with pytest.raises((AssertionError, JournalDamaged)):
            Crashes(seed, UnsyncedDisk, faults=False).run(500)


def found_in(root: Path) -> dict[int, list[int]]:
    """Ids of intents (1) and endings (2) of every stream, in order."""
    ids: dict[int, list[int]] = {1: [], 2: []}
    for stream in streams(root):
        for entry in scan(root, stream.slot, stream.epoch):
            if entry.record[0] in ids:
                ids[entry.record[0]].append(struct.unpack_from("<I", entry.record, 1)[0])
    return ids


def test_sigkill_at_any_moment_loses_nothing_acknowledged(tmp_path: Path) -> None:
    """Twelve workers one after the other on one slot, each killed while it writes; now and then its successor is
    killed while it recovers."""
    chance = Random(7)
    told: dict[int, list[int]] = {1: [], 2: []}
    for _ in range(12):
        process = subprocess.Popen([*WORKER, "write", str(tmp_path)], stdout=subprocess.PIPE)
        assert process.stdout is not None
        head = process.stdout.readline()
        time.sleep(chance.uniform(0, 0.3))
        process.send_signal(signal.SIGKILL)
        said = (head + process.stdout.read()).splitlines(keepends=True)
        process.wait()
        for line in said:
            if line.endswith(b"\n"):
                kind, one = map(int, line.split())
                told[kind].append(one)
        if chance.random() < 0.4:
            healer = subprocess.Popen([*WORKER, "recover", str(tmp_path)])
            time.sleep(chance.uniform(0.05, 0.3))
            healer.kill()
            healer.wait()
    subprocess.run([*WORKER, "recover", str(tmp_path)], check=True)
    found = found_in(tmp_path)
    assert len(told[1]) > 1000
    assert set(told[1]) <= set(found[1])
    assert set(told[2]) <= set(found[2])
    assert sorted(found[1]) == sorted(found[2]), "every intent has exactly one ending"
    assert len(set(found[1])) == len(found[1])
    assert all(stream.sealed for stream in streams(tmp_path))
    for stream in streams(tmp_path):
        *_, last = scan(tmp_path, stream.slot, stream.epoch)
        assert last.record == SEAL


def test_on_a_full_disk_open_calls_end_and_service_resumes_when_space_returns(tmp_path: Path) -> None:
    """A tmpfs of 2 MiB, in a user namespace of its own."""
    script = 'mount -t tmpfs -o size=2m tmpfs "$1" && mkdir "$1/journal" && exec "${@:2}" full "$1/journal" "$1/filler"'
    command = ["unshare", "-Ur", "-m", "bash", "-c", script, "bash", str(tmp_path), *WORKER]
    if subprocess.run(["unshare", "-Ur", "-m", "true"], capture_output=True).returncode:
        pytest.fail("this kernel gives no user namespace to mount a small file system in")
    done = subprocess.run(command, capture_output=True, text=True, timeout=90)
    assert done.returncode == 0, done.stderr
    went = json.loads(done.stdout)
    assert went["failures"] == []
    assert went["refused"]
    assert went["still_short"]
    assert went["starved_after"] == went["ended"] > 10
    assert went["again"] == 5
