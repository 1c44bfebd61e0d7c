"""One child process as the parent sees it: how it is started, what it told, how long it has been silent."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from entrepot.serve.heartbeat import Board
from entrepot.serve.settings import Value
from entrepot.serve.wiring import Role

_LOG_BYTES = 1 << 20  # a role's log is set aside at a start when it is larger; one old one is kept
_FACTS_BYTES = 1 << 18  # unread facts of one child that we keep; a line is at most 60 kB
_QUICK_SECONDS = 0.25  # an exit sooner than this after the start counts as a failing start, even of one that was ready
_PAUSE_FIRST, _PAUSE_MOST = 0.05, 1.0


class Process:
    """A role's present process, its predecessors' failures, and when the next one may start.

    Mutable: one per role, of a role that there are many of one per `number` (from 1), owned by the parent's loop.
    """

    def __init__(self, role: Role, cell: int, number: int = 0) -> None:
        self.role = role
        self.cell = cell
        self.number = number
        self.name = f"{role.name}-{number}" if number else role.name
        self.popen: subprocess.Popen[bytes] | None = None
        self.facts_fd = -1
        self.telling = False  # its end of the facts pipe is open
        self.ready: dict[str, Any] | None = None  # first facts of the present process
        self.error: str = ""  # why the last one said that it cannot start
        self.error_code = ""
        self.started_at = 0.0
        self.next_start_at = 0.0
        self.failures = 0  # exits in a row that came at once or before it was ready
        self.retired = False  # ended on its own wish: nothing to replace
        self._ready_at = 0.0
        self._pause = 0.0
        self._unread = b""

    @property
    def running(self) -> bool:
        return self.popen is not None

    def start(
        self, data: Path, alive_fd: int, board_fd: int, listener_fd: int | None, settings: dict[str, Value]
    ) -> None:
        """Start a new process; it inherits exactly the descriptors named here."""
        facts_fd, facts_child = os.pipe()
        handed = {
            "module": self.role.module, "alone": self.role.alone, "data": str(data), "settings": settings,
            "alive": alive_fd, "board": board_fd, "cell": self.cell, "facts": facts_child, "listener": listener_fd,
            "nice": self.role.nice,
        }  # fmt: skip
        passed = [alive_fd, board_fd, facts_child] + ([] if listener_fd is None else [listener_fd])
        log = self.log(data)
        if log.exists() and log.stat().st_size > _LOG_BYTES:
            log.replace(log.with_suffix(".log.1"))
        with log.open("ab") as output:
            self.popen = subprocess.Popen(
                [sys.executable, "-P", "-m", "entrepot.serve.child", self.role.name, json.dumps(handed)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=passed,
                process_group=0,  # Ctrl-C reaches the parent alone
            )
        os.close(facts_child)
        os.set_blocking(facts_fd, False)
        self.facts_fd, self.telling = facts_fd, True
        self.ready, self.error, self._unread = None, "", b""
        self.started_at = time.monotonic()

    def log(self, data: Path) -> Path:
        return data / "run" / f"{self.name}.log"

    def read_facts(self) -> list[dict[str, Any]]:
        """What the child told since the last time, oldest first; the first facts ever are also `ready`."""
        try:
            while data := os.read(self.facts_fd, 65536):
                self._unread += data
                if len(self._unread) > _FACTS_BYTES:
                    break
            else:
                self.telling = False
        except BlockingIOError:
            pass
        *lines, self._unread = self._unread.split(b"\n")
        told = []
        for line in lines:
            facts: dict[str, Any] = json.loads(line)
            if "error" in facts:
                self.error, self.error_code = str(facts["error"]["message"]), str(facts["error"]["code"])
            elif self.ready is None:
                self.ready, self._ready_at = facts, time.monotonic()
            told.append(facts)
        return told

    def reap(self) -> int | None:
        """Exit code (negative: the signal) if it has exited; the process is forgotten and the next start is planned."""
        if self.popen is None or (code := self.popen.poll()) is None:
            return None
        self.popen = None
        self.retired = code == 0 and self.ready is not None and self.ready.get("available") is False
        now = time.monotonic()
        if self.ready is None or now - self.started_at < _QUICK_SECONDS:
            self.failures += 1
            self._pause = min(max(self._pause * 2, _PAUSE_FIRST), _PAUSE_MOST)
        else:
            self.failures, self._pause = 0, 0.0
        self.next_start_at = now + self._pause
        return code

    def close_facts(self) -> None:
        if self.facts_fd >= 0:
            os.close(self.facts_fd)
            self.facts_fd = -1

    def silent(self, board: Board, now: float, silence: float, start: float) -> bool:
        """Its heart has not beaten for `silence` seconds, or it is not ready `start` seconds after its start."""
        if self.popen is None:
            return False
        if self.ready is None:
            return now - self.started_at > start
        return now - max(board.last(self.cell) / 1e9, self._ready_at) > silence

    def ask_to_stop(self) -> None:
        if self.popen is not None:
            self.popen.terminate()

    def kill(self) -> None:
        if self.popen is not None:
            self.popen.kill()


def describe_exit(code: int) -> str:
    """`exit code 1` or `signal SIGKILL`."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"signal {signal.Signals(-code).name}"
    except ValueError:
        return f"signal {-code}"
