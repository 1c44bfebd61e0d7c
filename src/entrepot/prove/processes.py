"""Processes of the rig: start one, wait for its first line, know what it uses, end it."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from entrepot.kernel.errors import EntrepotError
from entrepot.prove.load import Order, Report

_START_S = 15.0


class RigBroken(EntrepotError):
    """A process of the rig (not of the product) did not do its part."""

    code = "rig_broken"


class Running:
    """A child whose first line on stdout is JSON with its `port`."""

    def __init__(self, arguments: Sequence[str], *, core: int | None = None) -> None:
        self.process = subprocess.Popen(
            [*_pinned(core), sys.executable, *arguments], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        try:
            self.port = int(json.loads(line)["port"])
        except (ValueError, KeyError):
            self.end()
            raise RigBroken(f"{' '.join(arguments)} did not start: {line!r}") from None

    @property
    def pid(self) -> int:
        return self.process.pid

    def end(self) -> None:
        """SIGTERM, then SIGKILL after 10 s."""
        end(self.process)


def start_vendor(
    ledger: Path, *, mode: str = "last", port: int = 0, core: int | None = None, tape: Path | None = None
) -> Running:
    """The fake vendor with its ledger, and what it plays back."""
    arguments = ["-m", "entrepot.prove.vendor", "--ledger", str(ledger), "--mode", mode, "--port", str(port)]
    arguments += ["--tape", str(tape)] if tape else []
    return Running(arguments, core=core)


def start_canned(
    *, size: int = 600, events: int = 50, pause_ms: float = 20.0, delay_ms: float = 0.0, core: int | None = None
) -> Running:
    """The vendor for measurements."""
    numbers = ("--size", str(size), "--events", str(events), "--pause-ms", str(pause_ms), "--delay-ms", str(delay_ms))
    return Running(["-m", "entrepot.prove.canned", *numbers], core=core)


class Loading:
    """A load generator at work."""

    def __init__(self, order: Order, *, core: int | None = None) -> None:
        self._order = order
        self.process = subprocess.Popen(
            [*_pinned(core), sys.executable, "-m", "entrepot.prove.load"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self.process.stdin is not None
        self.process.stdin.write(msgspec.json.encode(order))
        self.process.stdin.close()

    def report(self) -> Report:
        """Wait for the end."""
        assert self.process.stdout is not None
        text = self.process.stdout.read()
        self.process.wait(timeout=self._order.seconds + self._order.warm_seconds + 30)
        if not text:
            raise RigBroken(f"the load generator ended with {self.process.returncode} and no report")
        return msgspec.json.decode(text, type=Report)


def load(order: Order, *, core: int | None = None) -> Report:
    """Run one order in a process of its own and wait."""
    return Loading(order, core=core).report()


def end(process: subprocess.Popen[bytes], *, seconds: float = 10.0) -> int:
    """SIGTERM, wait, SIGKILL; the exit code."""
    if process.poll() is None:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=seconds)
    if process.poll() is None:
        process.kill()
    if process.stdout is not None:
        process.stdout.close()
    return process.wait()


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for_port(port: int, *, seconds: float = _START_S) -> None:
    """Until somebody accepts on 127.0.0.1; raises RigBroken."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.01)
    raise RigBroken(f"nobody accepted on 127.0.0.1:{port} within {seconds:.0f} s")


def session_members(session: int) -> list[int]:
    """Living (not zombie) processes of a session, the leader first."""
    return sorted(pid for pid, state, found in _processes() if found == session and state != "Z")


def command_line(pid: int) -> list[str]:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode("utf-8", "replace").split("\0")
    return []


def send(pid: int, number: signal.Signals) -> bool:
    """True if the process was there to be signalled."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


def _processes() -> Iterator[tuple[int, str, int]]:
    for path in Path("/proc").iterdir():
        if path.name.isdigit():
            with contextlib.suppress(OSError, IndexError):
                fields = (path / "stat").read_text().rpartition(")")[2].split()
                yield int(path.name), fields[0], int(fields[3])


def _pinned(core: int | None) -> list[str]:
    if core is None or (os.cpu_count() or 1) < 2:
        return []
    return ["taskset", "-c", str(core)]
