"""The journal against everything a disk, a kernel and an operator's kill can do to it.

Simulated power loss at every call of the port; then the real kernel: a full disk, a file-size limit, SIGKILL.
"""

import pytest

from entrepot.journal.disk import JournalDamaged
from entrepot.journal.simulated import UnsyncedDisk
from journal_crashes import Crashes


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
