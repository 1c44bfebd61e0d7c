"""One child process as the parent sees it: how it is started, what it told, how long it has been silent."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

from entrepot.serve.heartbeat import Board
from entrepot.serve.settings import Value
from entrepot.serve.wiring import Role

_LOG_BYTES = 1 << 20  # a role's log is set aside at a start when it is larger; one old one is kept
_FACTS_BYTES = 1 << 18  # unread facts of one child that we keep; a line is at most 60 kB
_QUICK_SECONDS = 0.25  # an exit sooner than this after the start counts as a failing start, even of one that was ready
_STARVED_MOST = 6  # times the silence that a process without a turn may be silent
_CIRCLE_SECONDS = 1.0  # of CPU without a beat: it had its turns
_PAUSE_FIRST, _PAUSE_MOST = 0.05, 1.0


class Ground(NamedTuple):
    """What all children of a parent stand on: the folder, the settings, and the two descriptors that all inherit."""

    data: Path
    settings: dict[str, Value]
    alive_fd: int
    board_fd: int


class Process:
    """A role's present process, its predecessors' failures, and when the next one may start.

    Mutable: one per role, of a role that there are many of one per `seat` (from 1), owned by the parent's loop.
    """

    def __init__(self, role: Role, cell: int, seat: int = 0, generation: int = 1) -> None:
        self.role = role
        self.cell = cell
        self.seat = seat
        self.generation = generation
        self.name = f"{role.name}-{seat}" if seat else role.name
        self.loaded = False  # its code is in memory
        self.log_from = 0  # where in its log the present process began
        self.popen: subprocess.Popen[bytes] | None = None
        self.facts_fd = -1
        self.telling = False  # its end of the facts pipe is open
        self.ready: dict[str, Any] | None = None  # first facts of the present process
        self.error: str = ""  # why the last one said that it cannot start
        self.error_code = ""
        self.started_at = 0.0
        self.next_start_at = 0.0
        self.failures = 0  # exits in a row that came at once or before it was ready
        self.last_code = 0
        self.retired = False  # ended on its own wish: nothing to replace
        self._ready_at = 0.0
        self._pause = 0.0
        self._unread = b""
        self._starved_at: float | None = None  # seconds of CPU it had when its silence became too long

    @property
    def running(self) -> bool:
        return self.popen is not None

    def start(self, ground: Ground, listener_fd: int | None, go_fd: int | None) -> None:
        """Start a new process; it inherits exactly the descriptors named here. With `go_fd` it waits, between loading
        its code and running it, for the end of that pipe. One that the machine does not let start counts as one that
        ended at once."""
        facts_fd, facts_child = os.pipe()
        handed = {
            "module": self.role.module, "alone": self.role.alone, "data": str(ground.data),
            "settings": ground.settings, "alive": ground.alive_fd, "board": ground.board_fd, "cell": self.cell,
            "facts": facts_child, "listener": listener_fd, "go": go_fd, "nice": self.role.nice,
        }  # fmt: skip
        passed = [fd for fd in (ground.alive_fd, ground.board_fd, facts_child, listener_fd, go_fd) if fd is not None]
        try:
            self.popen = self._spawn(self.log(ground.data), json.dumps(handed), passed)
        except OSError as failure:  # no memory, no process left, no interpreter, no folder for the log
            os.close(facts_fd)
            self.ready, self.error, self.error_code = None, f"{self.name} cannot be started: {failure}", "start_failed"
            self._plan_next(failed=True)
            return
        finally:
            os.close(facts_child)
        os.set_blocking(facts_fd, False)
        self.facts_fd, self.telling = facts_fd, True
        self.ready, self.error, self.loaded, self._unread = None, "", False, b""
        self.started_at = time.monotonic()

    def _spawn(self, log: Path, handed: str, passed: list[int]) -> subprocess.Popen[bytes]:
        if log.exists() and log.stat().st_size > _LOG_BYTES:
            log.replace(log.with_suffix(".log.1"))
        with log.open("ab") as output:
            self.log_from = output.tell()
            return subprocess.Popen(
                [sys.executable, "-P", "-m", "entrepot.serve.child", self.role.name, handed],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=passed,
                process_group=0,  # Ctrl-C reaches the parent alone
            )

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
            if "loaded" in facts:
                self.loaded = True
                continue
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
        self.popen, self.last_code = None, code
        self.retired = code == 0 and self.ready is not None and self.ready.get("available") is False
        self._plan_next(failed=self.ready is None or time.monotonic() - self.started_at < _QUICK_SECONDS)
        return code

    def _plan_next(self, *, failed: bool) -> None:
        if failed:
            self.failures += 1
            self._pause = min(max(self._pause * 2, _PAUSE_FIRST), _PAUSE_MOST)
        else:
            self.failures, self._pause = 0, 0.0
        self.next_start_at = time.monotonic() + self._pause

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
        quiet = now - max(board.last(self.cell) / 1e9, self._ready_at)
        if quiet <= silence:
            self._starved_at = None
            return False
        return quiet > _STARVED_MOST * silence or not self._starves()

    def _starves(self) -> bool:
        """It would run, and the machine gives it no turn: killing it would cost the others what it waits for. One that
        hangs or is stopped does not want a turn; one that turns in a circle gets some."""
        state, spent = _turns(self.popen.pid if self.popen else 0)
        if self._starved_at is None:
            self._starved_at = spent
        return state == "R" and spent - self._starved_at < _CIRCLE_SECONDS

    def ask(self, sign: signal.Signals) -> None:
        """SIGTERM: stop soon. SIGUSR1: take nothing new, and stop when nothing is left."""
        if self.popen is not None:
            self.popen.send_signal(sign)

    def kill(self) -> None:
        if self.popen is not None:
            self.popen.kill()

    def tail(self, data: Path) -> str:
        """The last lines that the present process, or the last one, wrote into its log."""
        try:
            written = self.log(data).read_bytes()[self.log_from :]
        except OSError:
            return ""
        return "\n".join(written[-4096:].decode(errors="replace").splitlines()[-12:])


def _turns(pid: int) -> tuple[str, float]:
    """State of the main thread as the kernel names it, and the seconds of CPU that the process has had."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return "", 0.0
    return fields[0], (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def describe_exit(code: int) -> str:
    """`exit code 1` or `signal SIGKILL`."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"signal {signal.Signals(-code).name}"
    except ValueError:
        return f"signal {-code}"
