"""Processes that the machine does not let start: the parent lives on."""

import sys
from pathlib import Path

import pytest

from entrepot.serve import heartbeat
from entrepot.serve.crew import Crew
from entrepot.serve.process import Ground, Process
from entrepot.serve.reload import Reload, ReloadFailed
from entrepot.serve.wiring import ROLES


def ground(where: Path) -> Ground:
    (where / "run").mkdir(exist_ok=True)
    return Ground(where, {"workers": 2, "start_seconds": 60, "reload_drain_seconds": 1}, 0, 0)


def test_what_cannot_be_started_is_tried_again_later_and_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python-that-was-there"))
    process = Process(ROLES[0], 0)
    pauses = []
    for failures in (1, 2):
        process.start(ground(tmp_path), None, None)
        assert not process.running
        assert process.failures == failures
        assert "python-that-was-there" in process.error
        pauses.append(process.next_start_at)
        process.close_facts()
    assert pauses[0] < pauses[1]


def test_a_reload_that_cannot_start_its_processes_fails_and_leaves_the_old_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python-that-was-there"))
    crew = Crew(ROLES, ground(tmp_path), heartbeat.Board(heartbeat.create()), lambda _: None)
    before = list(crew.present)
    reload = Reload(crew)
    with pytest.raises(ReloadFailed, match="python-that-was-there"):
        reload.step()
    assert crew.present == before
    assert not crew.coming
