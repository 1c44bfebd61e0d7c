"""A reload with real processes: small roles whose code is replaced while somebody calls."""

import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from running_house import Run, gone, within

from entrepot.serve.reload import MOST_GENERATIONS


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Callable[..., Run]]:
    runs: list[Run] = []

    def start(**environment: str) -> Run:
        runs.append(Run(tmp_path, **environment))
        runs[-1].ready()
        return runs[-1]

    yield start
    for run in runs:
        run.process.kill()
        run.process.wait()


class Caller:
    """Calls without pause; `failed` says what went wrong."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._stop = False
        self.answers: list[int] = []
        self.failed: list[str] = []
        self._thread = threading.Thread(target=self._call)

    def __enter__(self) -> "Caller":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop = True
        self._thread.join()

    def _call(self) -> None:
        while not self._stop:
            try:
                self.answers.append(self._run.gateway())
            except (OSError, ValueError) as error:
                self.failed.append(repr(error))
            time.sleep(0.002)


def test_every_process_is_replaced_and_no_call_fails(house: Callable[..., Run]) -> None:
    run = house()
    before = run.pids()
    with Caller(run) as caller:
        facts = run.ask("reload")
    after = run.pids()
    assert caller.failed == []
    assert facts["replaced"][0] == "keeper"
    assert set(facts["replaced"]) == set(before) == set(after)
    assert facts["kept"] == []
    assert not set(before.values()) & set(after.values())
    within(5, lambda: all(map(gone, before.values())))
    assert caller.answers[0] in before.values()
    within(2, lambda: run.gateway() == after["gateway"])
    assert run.event("reloaded")["facts"]["generation"] == 2


def test_generations_overlap_while_an_old_one_has_calls_to_end(house: Callable[..., Run], tmp_path: Path) -> None:
    run = house()
    first = run.pids()["gateway"]
    (tmp_path / "linger-gateway").touch()
    run.ask("reload")
    second = run.pids()["gateway"]
    assert run.ask("reload")["leaving"] >= 2
    assert not gone(first)
    assert not gone(second)
    (tmp_path / "linger-gateway").unlink()
    within(5, lambda: gone(first) and gone(second))
    assert run.gateway() == run.pids()["gateway"]


def test_what_a_replaced_process_has_left_ends_at_its_bound(house: Callable[..., Run], tmp_path: Path) -> None:
    run = house(ENTREPOT_RELOAD_DRAIN_SECONDS="1")
    first = run.pids()["gateway"]
    (tmp_path / "linger-gateway").touch()
    run.ask("reload")
    assert within(12, lambda: gone(first)) > 3
    assert "calls that it cut are recorded as estimated" in run.event("told")["facts"]["note"]


def test_there_is_a_most_of_generations(house: Callable[..., Run], tmp_path: Path) -> None:
    run = house()
    (tmp_path / "linger-gateway").touch()
    for _ in range(MOST_GENERATIONS - 1):
        assert "error" not in run.ask("reload")
    refused = run.ask("reload")["error"]
    assert refused["code"] == "reload_refused"
    assert refused["message"].startswith(f"{MOST_GENERATIONS} generations of processes are alive")
    within(2, lambda: run.gateway() == run.pids()["gateway"])
    (tmp_path / "linger-gateway").unlink()
    within(5, lambda: len({each["generation"] for each in run.ask("processes")["processes"]}) == 1)
    assert "error" not in run.ask("reload")


@pytest.mark.parametrize("role", ["keeper", "gateway", "control"])
def test_code_that_cannot_be_loaded_changes_nothing_and_the_reload_says_why(
    house: Callable[..., Run], tmp_path: Path, role: str
) -> None:
    run = house()
    before = run.pids()
    (tmp_path / f"broken-{role}").touch()
    with Caller(run) as caller:
        failed = run.ask("reload")["error"]
    assert failed["code"] == "reload_failed"
    assert failed["message"].startswith(f"the new {role} does not come up. It ended with exit code 1.")
    assert "cannot import name 'rhyme' from 'reason'" in failed["message"]
    assert caller.failed == []
    within(5, lambda: run.pids() == before)
    (tmp_path / f"broken-{role}").unlink()
    assert "error" not in run.ask("reload")


def test_a_gateway_that_loads_and_does_not_start_leaves_the_old_one_serving(
    house: Callable[..., Run], tmp_path: Path
) -> None:
    run = house()
    before = run.pids()
    (tmp_path / "refuse-gateway").touch()
    with Caller(run) as caller:
        failed = run.ask("reload")["error"]["message"]
    assert failed.startswith("the new gateway does not come up. Replaced already: keeper. shop.toml: 3 mistakes")
    assert caller.failed == []
    assert run.pids()["gateway"] == before["gateway"]


def test_a_role_that_nobody_needs_keeps_its_old_process_when_the_new_one_fails(
    house: Callable[..., Run], tmp_path: Path
) -> None:
    run = house()
    before = run.pids()
    (tmp_path / "broken-extra").touch()
    facts = run.ask("reload")
    assert [kept["name"] for kept in facts["kept"]] == ["extra"]
    assert run.pids()["extra"] == before["extra"]


def test_a_new_process_that_dies_later_is_replaced_like_any_other(house: Callable[..., Run]) -> None:
    run = house()
    run.ask("reload")
    second = run.pids()["gateway"]
    os.kill(second, signal.SIGKILL)
    assert run.gateway() != second
    assert run.event("exited")["name"] == "gateway"


def test_one_reload_at_a_time(house: Callable[..., Run], tmp_path: Path) -> None:
    run = house(SLOW_START="1")
    found: list[dict[str, object]] = []
    first = threading.Thread(target=lambda: found.append(run.ask("reload")))
    first.start()
    time.sleep(0.3)
    assert run.ask("reload")["error"]["message"] == "a reload is under way already"
    first.join()
    assert "error" not in found[0]


def test_ctrl_c_in_the_middle_of_a_reload_stops_everybody(house: Callable[..., Run], tmp_path: Path) -> None:
    run = house()
    pids = list(run.pids().values())
    (tmp_path / "linger-keeper").touch()
    threading.Thread(target=run.ask, args=("reload",), daemon=True).start()
    within(10, lambda: len(run.ask("processes")["processes"]) > len(pids))
    time.sleep(0.5)
    pids += run.pids().values()
    run.process.send_signal(signal.SIGINT)
    (tmp_path / "linger-keeper").unlink()
    assert run.event("stopped")["whole"] is True
    assert run.process.wait(5) == 0
    assert all(map(gone, pids))


def test_who_asks_for_what_is_not_known_is_told_and_who_says_nothing_holds_nobody_up(house: Callable[..., Run]) -> None:
    run = house()
    silent = [socket.socket(socket.AF_UNIX) for _ in range(20)]
    for each in silent:
        each.connect(str(run.data / "run" / "parent.sock"))
    for each in silent:
        each.close()
    assert run.ask("dance")["error"]["code"] == "question_unknown"
