"""The control process alone: it beats, says when it serves, drains on SIGTERM and on its parent's death."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from entrepot.storage.folder import Folder

_CHILD = """
import json, socket, sys
from pathlib import Path
from entrepot.control import app as control
from entrepot.control.app import run

beats = 0
def beat():
    global beats
    beats += 1

listener = socket.socket(fileno=int(sys.argv[2]))
tell = lambda facts: print(json.dumps(facts), flush=True)
control.HEAD_S = 1.0
run(Path(sys.argv[1]), listener, int(sys.argv[3]), beat, tell, {})
print(json.dumps({"beats": beats}), flush=True)
"""


class Control:
    def __init__(self, folder: Folder) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        alive, self._parent = os.pipe()
        fds = (self._listener.fileno(), alive)
        self.process = subprocess.Popen(
            [sys.executable, "-c", _CHILD, str(folder.root), *map(str, fds)], stdout=subprocess.PIPE, pass_fds=fds
        )
        os.close(alive)
        self.ready = self.fact()

    def fact(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        found: dict[str, Any] = json.loads(self.process.stdout.readline())
        return found

    def status(self, token: str = "t0ken") -> int:
        line = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            line.request("GET", "/admin/status", headers={"Authorization": f"Bearer {token}"})
            return line.getresponse().status
        finally:
            line.close()

    def orphan(self) -> None:
        os.close(self._parent)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self._listener.close()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[], Control]]:
    folder = Folder(tmp_path)
    folder.create()
    folder.keep_secret("admin-token", b"t0ken")
    made: list[Control] = []

    def one() -> Control:
        made.append(Control(folder))
        return made[-1]

    yield one
    for control in made:
        control.close()


def test_it_serves_with_nothing_else_there(start: Callable[[], Control]) -> None:
    control = start()
    assert control.ready == {"role": "control", "pid": control.process.pid}
    assert control.status() == 200
    assert control.status("wrong") == 401


@pytest.mark.parametrize("how", ["SIGTERM", "orphan"])
def test_it_drains_and_exits_with_zero(start: Callable[[], Control], how: str) -> None:
    control = start()
    time.sleep(1.2)
    if how == "SIGTERM":
        control.process.send_signal(signal.SIGTERM)
    else:
        control.orphan()
    assert control.fact()["beats"] >= 2
    assert control.process.wait(timeout=10) == 0


def test_a_connection_that_says_nothing_does_not_hold_the_end_up(start: Callable[[], Control]) -> None:
    control = start()
    with socket.create_connection(("127.0.0.1", control.port)) as line:
        line.sendall(b"GET /admin/status HTTP/1.1\r\n")
        time.sleep(0.2)
        control.process.send_signal(signal.SIGTERM)
        assert control.process.wait(timeout=10) == 0


def test_silent_and_slow_connections_lose_their_place_to_those_who_ask(start: Callable[[], Control]) -> None:
    control = start()
    lines = [socket.create_connection(("127.0.0.1", control.port)) for _ in range(260)]
    try:
        for line in lines[::2]:
            line.sendall(b"GET /admin/status HTTP/1.1\r\nHost: local")
        assert control.status() == 503
        until = time.monotonic() + 5
        while control.status() != 200:
            assert time.monotonic() < until
            time.sleep(0.1)
        assert [line.recv(1) for line in (lines[0], lines[1])] == [b"", b""]
    finally:
        for line in lines:
            line.close()


def test_who_asks_one_thing_after_another_keeps_the_connection(start: Callable[[], Control]) -> None:
    control = start()
    line = http.client.HTTPConnection("127.0.0.1", control.port, timeout=10)
    until = time.monotonic() + 2.5
    line.connect()
    before = line.sock
    while time.monotonic() < until:
        line.request("GET", "/admin/balances", headers={"Authorization": "Bearer t0ken"})
        line.getresponse().read()
        assert line.sock is before
        time.sleep(0.3)
    line.close()
