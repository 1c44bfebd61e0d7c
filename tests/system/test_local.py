"""The built-in model: a real engine on its socket, started as the parent starts it."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from entrepot.serve import heartbeat
from entrepot.serve.process import Ground, Process
from entrepot.serve.settings import Value
from entrepot.serve.wiring import ROLES
from entrepot.storage.folder import Folder

LOCAL = next(role for role in ROLES if role.name == "local")


class Engine:
    """The role `local` in its own process."""

    def __init__(self, data: Path) -> None:
        folder = Folder(data)
        folder.create()
        self.socket = folder.socket("local.sock")
        self.alive, self.ours = os.pipe()
        self.board = heartbeat.create()
        self.process = Process(LOCAL, 0)
        settings: dict[str, Value] = {"drain_seconds": 20, "reload_drain_seconds": 300}
        self.process.start(Ground(data, settings, self.alive, self.board), None, None)
        until = time.monotonic() + 60
        while self.process.ready is None and time.monotonic() < until:
            self.process.read_facts()
            time.sleep(0.01)

    def connect(self) -> http.client.HTTPConnection:
        connection = http.client.HTTPConnection("local")
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(str(self.socket))
        return connection

    def chat(self, connection: http.client.HTTPConnection | None = None, **more: Any) -> http.client.HTTPResponse:
        connection = connection or self.connect()
        body = {
            "model": "smollm2-135m-instruct",
            "messages": [{"role": "user", "content": "Name three ports."}],
            **more,
        }
        connection.request("POST", "/v1/chat/completions", json.dumps(body), {"content-type": "application/json"})
        return connection.getresponse()

    def close(self) -> None:
        self.process.kill()
        if self.process.popen is not None:
            self.process.popen.wait()
        self.process.close_facts()
        for fd in (self.alive, self.ours, self.board):
            try:
                os.close(fd)
            except OSError:
                continue


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    started = Engine(tmp_path_factory.mktemp("local"))
    yield started
    started.close()


def test_it_says_that_it_is_there(engine: Engine) -> None:
    assert engine.process.ready == {"available": True, "model": "smollm2-135m-instruct"}
    assert engine.socket.stat().st_mode & 0o777 == 0o600


def test_it_answers_with_text_and_usage(engine: Engine) -> None:
    answer = json.load(engine.chat(max_tokens=20))
    assert len(answer["choices"][0]["message"]["content"]) > 5
    usage = answer["usage"]
    assert usage["completion_tokens"] <= 20
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert answer["model"] == "smollm2-135m-instruct"


def test_the_same_prompt_twice_is_never_called_cached(engine: Engine) -> None:
    counts = [json.load(engine.chat(max_tokens=4))["usage"] for _ in range(2)]
    assert [usage["prompt_tokens_details"]["cached_tokens"] for usage in counts] == [0, 0]


def test_a_stream_ends_with_usage_when_asked(engine: Engine) -> None:
    text = engine.chat(stream=True, stream_options={"include_usage": True}, max_tokens=8).read().decode()
    events = [line.removeprefix("data: ") for line in text.splitlines() if line]
    assert events[-1] == "[DONE]"
    assert json.loads(events[-2])["usage"]["completion_tokens"] == 8


def test_several_calls_run_side_by_side(engine: Engine) -> None:
    ends: list[float] = []

    def call() -> None:
        engine.chat(max_tokens=60, ignore_eos=True).read()
        ends.append(time.monotonic())

    calls = [threading.Thread(target=call) for _ in range(4)]
    for one in calls:
        one.start()
    for one in calls:
        one.join()
    began = time.monotonic()
    engine.chat(max_tokens=60, ignore_eos=True).read()
    alone = time.monotonic() - began
    assert max(ends) - min(ends) < 2 * alone  # they ended together, not one after the other


def test_its_log_stays_empty(engine: Engine) -> None:
    log = engine.socket.parent / "local.log"
    assert log.read_bytes() == b""


def test_when_the_parent_dies_it_ends_its_calls_first(tmp_path: Path) -> None:
    engine = Engine(tmp_path)
    try:
        connection = engine.connect()
        response = engine.chat(connection, stream=True, max_tokens=120, ignore_eos=True)
        os.close(engine.ours)
        assert response.read().decode().rstrip().endswith("[DONE]")
        connection.close()
        assert engine.process.popen is not None
        assert engine.process.popen.wait(10) == 0
    finally:
        engine.close()


def test_a_successor_takes_the_name_and_the_one_before_ends_its_calls_first(tmp_path: Path) -> None:
    before = Engine(tmp_path)
    connection = before.connect()
    response = before.chat(connection, stream=True, max_tokens=400, ignore_eos=True)
    failed, stop = [], threading.Event()

    def knock() -> None:
        while not stop.is_set():
            try:
                before.connect().close()
            except OSError as error:
                failed.append(error)

    knocking = threading.Thread(target=knock)
    knocking.start()
    after = Engine(tmp_path)
    try:
        before.process.ask(signal.SIGUSR1)
        assert after.chat(max_tokens=2).status == 200
        assert before.process.popen is not None
        assert before.process.popen.poll() is None
        assert response.read().decode().rstrip().endswith("[DONE]")
        connection.close()
        assert before.process.popen.wait(10) == 0
        stop.set()
        knocking.join()
        assert after.chat(max_tokens=2).status == 200
        assert failed == []
        assert [path.name for path in after.socket.parent.glob("local*.sock")] == ["local.sock"]
    finally:
        stop.set()
        before.close()
        after.close()


def test_without_the_model_it_says_so_and_ends(tmp_path: Path) -> None:
    """`-S` and a path of our own: the same program where the extra `local` is not installed."""
    (tmp_path / "run").mkdir()
    source = Path(__file__).parents[2] / "src"
    facts, facts_child = os.pipe()
    handed = {
        "module": "entrepot.upstream.local", "alone": False, "data": str(tmp_path), "settings": {}, "alive": 0,
        "board": heartbeat.create(), "cell": 0, "facts": facts_child, "listener": None, "go": None, "nice": 0,
    }  # fmt: skip
    code = f"import sys; sys.path.insert(0, {str(source)!r}); sys.argv = ['child', 'local', {json.dumps(handed)!r}]; "
    code += "from entrepot.serve.child import main; sys.exit(main(sys.argv))"
    ran = subprocess.run(
        [sys.executable, "-S", "-c", code], pass_fds=(handed["board"], facts_child), timeout=20, check=False
    )
    assert ran.returncode == 0
    told = [json.loads(line) for line in os.read(facts, 4096).splitlines()]
    assert told[-1] == {"available": False, "remedy": "make serve from a clone installs it"}
