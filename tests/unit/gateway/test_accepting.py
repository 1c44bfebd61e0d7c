"""Which of several workers takes the next connection."""

from pathlib import Path

import pytest

from entrepot.gateway import accepting
from entrepot.gateway.accepting import Board


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    now = [10_000_000_000]
    monkeypatch.setattr(accepting.time, "monotonic_ns", lambda: now[0])
    return now


def test_a_worker_sees_the_fewest_connections_of_the_others_and_not_its_own(tmp_path: Path, clock: list[int]) -> None:
    boards = [Board(tmp_path / "connections", slot) for slot in (1, 2, 7)]
    for board, connections in zip(boards, (3, 9, 5), strict=True):
        board.look()
        board.say(connections)
    assert [board.least() for board in boards] == [5, 3, 3]


def test_a_worker_that_has_not_beaten_is_not_waited_for(tmp_path: Path, clock: list[int]) -> None:
    dead, mine = (Board(tmp_path / "connections", slot) for slot in (1, 2))
    dead.say(0)
    mine.look()
    assert mine.least() == 0
    clock[0] += 3_000_000_000
    mine.look()
    assert mine.least() > 1 << 60


def test_a_worker_that_takes_no_more_is_not_waited_for(tmp_path: Path, clock: list[int]) -> None:
    old, mine = (Board(tmp_path / "connections", slot) for slot in (1, 2))
    old.say(0)
    mine.look()
    old.leave()
    assert mine.least() > 1 << 60


def test_stamps_of_before_the_machine_started_again_mean_nobody(tmp_path: Path, clock: list[int]) -> None:
    Board(tmp_path / "connections", 1).say(0)
    clock[0] = 1_000_000_000
    mine = Board(tmp_path / "connections", 2)
    assert mine.least() > 1 << 60
