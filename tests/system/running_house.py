"""A `small_house` at work, and the events that its parent reported."""

import json
import os
import queue
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

HERE = Path(__file__).parent


class Run:
    """One `small_house` process and the events it reported."""

    def __init__(self, data: Path, port: int = 0, **environment: str) -> None:
        self.data = data
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "small_house.py"), str(data), str(port)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(HERE), **environment},
            process_group=0,
        )
        self._events: queue.Queue[dict[str, Any]] = queue.Queue()
        threading.Thread(target=self._read, args=(self.process.stdout,), daemon=True).start()

    def event(self, kind: str, seconds: float = 20) -> dict[str, Any]:
        until = time.monotonic() + seconds
        while True:
            found = self._events.get(timeout=max(0.01, until - time.monotonic()))
            if found["event"] == kind:
                return found

    def ready(self) -> dict[str, Any]:
        self.facts: dict[str, Any] = self.event("ready")["facts"]
        return self.facts

    @property
    def port(self) -> int:
        return int(self.facts["gateway"]["settings"]["port"])

    def gateway(self) -> int:
        """Process id of whoever answers on the port."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as connection:
            return int(connection.recv(20))

    def errors(self) -> str:
        assert self.process.stderr is not None
        return self.process.stderr.read()

    def marks(self) -> list[str]:
        return (self.data / "run" / "marks").read_text().split()

    def _read(self, lines: IO[str]) -> None:
        for line in lines:
            self._events.put(json.loads(line))

    def ask(self, question: str) -> dict[str, Any]:
        """The parent itself, over its socket."""
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(30)
            line.connect(str(self.data / "run" / "parent.sock"))
            line.sendall(json.dumps({"ask": question}).encode() + b"\n")
            facts: dict[str, Any] = json.loads(line.makefile().readline())
            return facts

    def pids(self) -> dict[str, int]:
        """Of the processes that are not leaving."""
        found = self.ask("processes")["processes"]
        return {each["name"]: each["pid"] for each in found if each["leaves_within_s"] is None}


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def within(seconds: float, happened: Callable[[], bool]) -> float:
    """Seconds until it happened; fails after the bound."""
    began = time.monotonic()
    while not happened():
        assert time.monotonic() - began < seconds, "it did not happen in time"
        time.sleep(0.01)
    return time.monotonic() - began
