"""A house of small roles for the tests of the parent: `python small_house.py DATA`. Prints what the parent reports.

The roles are this same module: `run` plays keeper, gateway and a third one, told apart by what they are handed.
"""

import contextlib
import json
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from entrepot.kernel.errors import EntrepotError

_stop = False
if sys.argv[2:3] and sys.argv[2].startswith("{"):  # in a child, while its code is loaded
    _handed = json.loads(sys.argv[2])
    if (Path(_handed["data"]) / f"broken-{sys.argv[1]}").exists():
        raise ImportError("cannot import name 'rhyme' from 'reason'")


def run(data: Path, *handed: Any) -> None:
    """A role: echoes its process id to everyone who connects, beats, tells, obeys the files in DATA/do."""
    listener: socket.socket | None = handed[0] if isinstance(handed[0], socket.socket) else None
    alive_fd, beat, ready, settings = handed[-4:]
    signal.signal(signal.SIGTERM, _asked)
    signal.signal(signal.SIGUSR1, _asked)
    name = sys.argv[1]
    _mark(data, f"started-{name}")
    if (data / f"refuse-{name}").exists():
        raise EntrepotError("shop.toml: 3 mistakes, nothing was changed")
    if name == "keeper":
        time.sleep(float(os.environ.get("SLOW_START", "0.2")))
        (data / "snapshot" / "base-1").touch()
    ready({"pid": os.getpid(), "order": time.monotonic(), "settings": settings})
    _loop(data, name, listener, alive_fd, beat, ready)
    _mark(data, f"drained-{name}")


def _loop(
    data: Path,
    name: str,
    listener: socket.socket | None,
    alive_fd: int,
    beat: Callable[[], None],
    ready: Callable[..., None],
) -> None:
    watched = [alive_fd] + ([listener] if listener else [])
    if listener is not None:
        listener.setblocking(False)  # or of two generations that wake for one call the slower waits, silent
    while not _stop:
        beat()
        found = select.select(watched, [], [], 0.05)[0]
        if alive_fd in found:
            return
        if listener in found and listener is not None:
            with contextlib.suppress(BlockingIOError):
                connection, _ = listener.accept()
                with connection:
                    connection.sendall(b"%d" % os.getpid())
        if (data / f"hang-{name}").exists():
            (data / f"hang-{name}").unlink()
            time.sleep(60)
        while (data / f"circle-{name}").exists():
            pass
        if (data / f"tell-{name}").exists():
            (data / f"tell-{name}").unlink()
            ready({"note": "hello"})
    while (data / f"linger-{name}").exists():
        beat()
        time.sleep(0.02)


def _asked(_signal: int, _frame: object) -> None:
    global _stop
    _stop = True


def _mark(data: Path, name: str) -> None:
    with (data / "run" / "marks").open("a") as file:
        file.write(f"{name}\n")


class Printer:
    """A watcher for the test: one JSON line per event."""

    def ready(self, facts: dict[str, dict[str, Any]], seconds: float) -> None:
        self._say("ready", facts=facts, seconds=seconds)

    def told(self, name: str, facts: dict[str, Any]) -> None:
        self._say("told", name=name, facts=facts)

    def looked(self) -> None:
        pass

    def exited(self, name: str, how: str, log: Path) -> None:
        self._say("exited", name=name, how=how, log=str(log))

    def reloaded(self, facts: dict[str, Any]) -> None:
        self._say("reloaded", facts=facts)

    def stopping(self, seconds: int) -> None:
        self._say("stopping", seconds=seconds)

    def stopped(self, whole: bool) -> None:
        self._say("stopped", whole=whole)

    def _say(self, event: str, **facts: object) -> None:
        print(json.dumps({"event": event, **facts}), flush=True)


def main() -> None:
    from entrepot.serve import settings
    from entrepot.serve.parent import Parent
    from entrepot.serve.wiring import Role

    roles = [
        Role(name="gateway", module="small_house", port="api"),
        Role(name="control", module="small_house", port="admin"),
        Role(name="extra", module="small_house", needed=False),
        Role(name="keeper", module="small_house", alone=True, first=True, stops=2),
    ]
    values = settings.read({"data": sys.argv[1], "port": int(sys.argv[2]), "admin_port": 0})
    Parent(values, Printer(), roles).run()
    heavy = {"sqlalchemy", "fastapi", "duckdb", "httpx", "uvicorn", "uvloop", "alembic"} & set(sys.modules)
    print(json.dumps({"event": "loaded", "heavy": sorted(heavy)}), flush=True)


if __name__ == "__main__":
    main()
