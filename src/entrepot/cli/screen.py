"""A whole terminal for one command: redrawn without flicker, keys without Enter, and given back as it was."""

import contextlib
import os
import select
import signal
import sys
import termios
import tty
from types import FrameType, TracebackType
from typing import Self

#: The other screen, no cursor; and back. `?7`: long lines are cut, not broken.
_ENTER, _LEAVE = "\x1b[?1049h\x1b[?25l\x1b[?7l", "\x1b[?7h\x1b[?25h\x1b[?1049l"
#: A terminal that knows these shows the frame at once; others ignore them (mode 2026, synchronised output).
_BEGIN, _END = "\x1b[?2026h", "\x1b[?2026l"
_LEAST = (20, 5)


class _Ended(BaseException):
    """SIGTERM or SIGHUP: leave, and end as the signal would have ended us."""


def fits() -> bool:
    """Whether there is a terminal to draw on and keys to read."""
    return sys.stdin.isatty() and sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"


class Screen:
    """Use as a context; `draw` as often as wanted."""

    def __init__(self) -> None:
        self._in, self._out = sys.stdin.fileno(), sys.stdout.fileno()
        self._before = termios.tcgetattr(self._in)
        self._wake, self._woken = os.pipe()
        self._handlers: dict[int, object] = {}
        self._ended = 0

    def __enter__(self) -> Self:
        os.set_blocking(self._woken, False)
        self._handlers = {
            signal.SIGWINCH: signal.signal(signal.SIGWINCH, self._resized),
            signal.SIGTERM: signal.signal(signal.SIGTERM, self._end),
            signal.SIGHUP: signal.signal(signal.SIGHUP, self._end),
        }
        tty.setcbreak(self._in)
        self._write(_ENTER)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        with contextlib.suppress(OSError, termios.error):  # the terminal itself may be gone
            self._write(_LEAVE)
            termios.tcsetattr(self._in, termios.TCSADRAIN, self._before)
        for number, handler in self._handlers.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        os.close(self._wake)
        os.close(self._woken)
        if kind is _Ended:
            signal.signal(self._ended, signal.SIG_DFL)
            os.kill(os.getpid(), self._ended)
        return kind is KeyboardInterrupt

    @property
    def size(self) -> tuple[int, int]:
        """Columns and rows."""
        found = os.get_terminal_size(self._out)
        return max(found.columns, _LEAST[0]), max(found.lines, _LEAST[1])

    def draw(self, lines: list[str]) -> None:
        """The whole screen in one write; each line wipes what stood behind it, the last one what stood below."""
        self._write(_BEGIN + "\x1b[H" + "\x1b[K\r\n".join(lines) + "\x1b[K\x1b[J" + _END)

    def wait(self, seconds: float) -> str:
        """The keys that were typed, or "" when the time is over or the size is another."""
        ready = select.select([self._in, self._wake], [], [], max(0.0, seconds))[0]
        if self._wake in ready:
            os.read(self._wake, 64)
        if self._in in ready:
            data = os.read(self._in, 64)
            return data.decode("latin-1") or "q"  # the end of the input ends it too
        return ""

    def _resized(self, _number: int, _frame: FrameType | None) -> None:
        with contextlib.suppress(BlockingIOError):
            os.write(self._woken, b".")

    def _end(self, number: int, _frame: FrameType | None) -> None:
        self._ended = number
        raise _Ended

    def _write(self, text: str) -> None:
        data = text.encode(sys.stdout.encoding or "utf-8", "replace")
        while data:
            data = data[os.write(self._out, data) :]


