"""The parent with real processes: small roles that beat, hang, die and drain."""

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from running_house import Run, gone, within


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Callable[..., Run]]:
    runs: list[Run] = []

    def start(port: int = 0, **environment: str) -> Run:
        runs.append(Run(tmp_path, port, **environment))
        return runs[-1]

    yield start
    for run in runs:
        run.process.kill()
        run.process.wait()


def test_on_a_fresh_folder_the_keeper_is_ready_before_the_others_start(house: Callable[..., Run]) -> None:
    run = house()
    facts = run.ready()
    assert run.marks()[0] == "started-keeper"
    assert facts["keeper"]["order"] < min(facts["gateway"]["order"], facts["control"]["order"])


def test_credentials_name_the_addresses_of_this_start_and_keep_what_the_keeper_wrote(
    house: Callable[..., Run], tmp_path: Path
) -> None:
    (tmp_path / "credentials.json").write_text('{"api_key": "ep_live_x", "base_url": "http://old/v1"}')
    run = house()
    run.ready()
    found = json.loads((tmp_path / "credentials.json").read_text())
    admin = run.facts["control"]["settings"]["admin_port"]
    assert found == {
        "base_url": f"http://127.0.0.1:{run.port}/v1",
        "azure_endpoint": f"http://127.0.0.1:{run.port}",
        "admin_url": f"http://127.0.0.1:{admin}",
        "api_key": "ep_live_x",
    }
    assert (tmp_path / "credentials.json").stat().st_mode & 0o777 == 0o600


def test_a_killed_gateway_is_replaced_within_a_second_and_no_connection_is_refused(house: Callable[..., Run]) -> None:
    run = house()
    first = run.ready()["gateway"]["pid"]
    assert run.gateway() == first
    os.kill(first, signal.SIGKILL)
    began = time.monotonic()
    assert run.gateway() != first  # the listening socket lives on: this call waited in its queue
    assert run.event("exited")["how"] == "signal SIGKILL"
    assert time.monotonic() - began < 1.5


def test_a_stopped_process_is_killed_after_the_silence_and_replaced(house: Callable[..., Run]) -> None:
    run = house(ENTREPOT_SILENCE_SECONDS="1")
    first = run.ready()["gateway"]["pid"]
    os.kill(first, signal.SIGSTOP)
    assert 0.7 < within(4, lambda: gone(first)) < 2.5
    assert run.gateway() != first


def test_a_process_that_hangs_in_its_loop_is_killed_too(house: Callable[..., Run], tmp_path: Path) -> None:
    run = house(ENTREPOT_SILENCE_SECONDS="1")
    first = run.ready()["keeper"]["pid"]
    (tmp_path / "hang-keeper").touch()
    within(5, lambda: gone(first))
    assert run.event("exited")["name"] == "keeper"


def test_a_process_that_turns_in_a_circle_is_killed_after_a_second_of_turns(
    house: Callable[..., Run], tmp_path: Path
) -> None:
    run = house(ENTREPOT_SILENCE_SECONDS="1")
    first = run.ready()["extra"]["pid"]
    (tmp_path / "circle-extra").touch()
    assert within(15, lambda: gone(first)) > 1.5
    (tmp_path / "circle-extra").unlink()
    assert run.event("exited")["name"] == "extra"


def test_a_start_that_takes_longer_than_the_silence_is_no_silence(house: Callable[..., Run]) -> None:
    run = house(ENTREPOT_SILENCE_SECONDS="1", SLOW_START="2.5")
    run.ready()
    assert run.marks().count("started-keeper") == 1


def test_ctrl_c_drains_those_who_take_calls_first_and_the_keeper_last(house: Callable[..., Run]) -> None:
    run = house()
    run.ready()
    os.killpg(run.process.pid, signal.SIGINT)
    assert run.event("stopped")["whole"] is True
    assert run.event("loaded")["heavy"] == []
    assert run.process.wait(5) == 0
    drained = [mark for mark in run.marks() if mark.startswith("drained")]
    assert sorted(drained[:3]) == ["drained-control", "drained-extra", "drained-gateway"]
    assert drained[3:] == ["drained-keeper"]


def test_a_drain_that_does_not_end_is_cut_at_its_bound(house: Callable[..., Run], tmp_path: Path) -> None:
    run = house(ENTREPOT_DRAIN_SECONDS="1")
    run.ready()
    (tmp_path / "linger-gateway").touch()
    began = time.monotonic()
    run.process.terminate()
    assert run.event("stopped")["whole"] is False
    assert 0.9 < time.monotonic() - began < 4


def test_a_second_ctrl_c_does_not_wait(house: Callable[..., Run], tmp_path: Path) -> None:
    run = house(ENTREPOT_DRAIN_SECONDS="60")
    run.ready()
    (tmp_path / "linger-gateway").touch()
    run.process.send_signal(signal.SIGINT)
    run.event("stopping")
    began = time.monotonic()
    run.process.send_signal(signal.SIGINT)
    assert run.event("stopped")["whole"] is False
    assert time.monotonic() - began < 3


def test_the_death_of_the_parent_ends_every_child_and_the_next_start_takes_the_port_at_once(
    house: Callable[..., Run],
) -> None:
    run = house()
    children = [facts["pid"] for facts in run.ready().values()]
    os.kill(run.process.pid, signal.SIGKILL)
    again = house(run.port)
    again.ready()
    assert all(gone(pid) for pid in children)
    assert again.port == run.port


def test_two_parents_never_share_a_folder(house: Callable[..., Run]) -> None:
    house().ready()
    second = house()
    errors = second.errors()
    assert "is in use by another entrepot process" in errors


def test_an_error_that_a_role_names_stops_the_start_with_its_text(house: Callable[..., Run], tmp_path: Path) -> None:
    (tmp_path / "refuse-keeper").touch()
    run = house()
    errors = run.errors()
    assert "StartFailed: shop.toml: 3 mistakes, nothing was changed" in errors


def test_a_role_that_nobody_needs_does_not_stop_the_start(house: Callable[..., Run], tmp_path: Path) -> None:
    (tmp_path / "refuse-extra").touch()
    extra = house().ready()["extra"]
    assert extra == {
        "available": False,
        "why": "extra does not start",
        "remedy": "shop.toml: 3 mistakes, nothing was changed",
    }


def test_after_the_start_a_role_that_cannot_start_is_tried_again_at_most_once_a_second_until_it_can(
    house: Callable[..., Run], tmp_path: Path
) -> None:
    run = house()
    first = run.ready()["gateway"]["pid"]
    (tmp_path / "refuse-gateway").touch()
    os.kill(first, signal.SIGKILL)
    assert run.event("exited")["how"] == "signal SIGKILL"
    for _ in range(3):
        assert run.event("exited")["how"] == "exit code 1: shop.toml: 3 mistakes, nothing was changed"
    (tmp_path / "refuse-gateway").unlink()
    assert run.gateway() != first


def test_later_facts_of_a_role_reach_the_watcher(house: Callable[..., Run], tmp_path: Path) -> None:
    run = house()
    run.ready()
    (tmp_path / "tell-gateway").touch()
    assert run.event("told") == {"event": "told", "name": "gateway", "facts": {"note": "hello"}}
