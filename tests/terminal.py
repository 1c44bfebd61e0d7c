"""A terminal for a command: a pseudo-terminal of a given size, what was shown on it, keys for it."""

import os
import pty
import select
import struct
import sys
import termios
import time
from collections.abc import Sequence
from fcntl import ioctl
from pathlib import Path
from subprocess import Popen
from typing import Any

_LAUNCH = "import sys; from entrepot.cli import main; sys.argv[0] = 'entrepot'; main()"


class Terminal:
    """One command on a terminal of its own."""

    def __init__(self, words: Sequence[str], where: Path, *, columns: int = 100, rows: int = 30) -> None:
        self._ours, self._theirs = pty.openpty()
        self.shown = ""
        ioctl(self._theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.process = Popen(
            [sys.executable, "-c", _LAUNCH, *words], cwd=where, start_new_session=True,
            stdin=self._theirs, stdout=self._theirs, stderr=self._theirs,
            env={**os.environ, "TERM": "xterm", "NO_COLOR": "1"},
        )  # fmt: skip

    def settings(self) -> list[Any]:
        return termios.tcgetattr(self._theirs)

    def resize(self, columns: int, rows: int) -> None:
        ioctl(self._theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, text: str) -> None:
        os.write(self._ours, text.encode())

    def read_until(self, text: str, *, seconds: float = 30.0) -> str:
        """Everything shown so far, once `text` is among it."""
        until = time.monotonic() + seconds
        while text not in self.shown:
            assert time.monotonic() < until, f"{text!r} did not come in {seconds:.0f} s: {self.shown!r}"
            self._read(0.1)
        return self.shown

    def end(self, *, seconds: float = 30.0) -> int:
        """Wait for the command's own end; its exit code."""
        until = time.monotonic() + seconds
        while self.process.poll() is None:
            assert time.monotonic() < until, f"still there after {seconds:.0f} s: {self.shown!r}"
            self._read(0.05)
        while self._read(0.0):
            pass
        return self.process.returncode

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self._ours)
        os.close(self._theirs)

    def _read(self, seconds: float) -> bool:
        if not select.select([self._ours], [], [], seconds)[0]:
            return False
        self.shown += os.read(self._ours, 65536).decode("utf-8", "replace")
        return True
