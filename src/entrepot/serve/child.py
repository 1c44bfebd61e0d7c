"""The start of every child process: `python -P -m entrepot.serve.child ROLE JSON`.

Takes what the parent hands over (descriptors, settings), then gives itself to the role. Imports as little as possible:
what stands here is in the memory of every process.
"""

import atexit
import fcntl
import importlib
import json
import os
import select
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from entrepot.kernel.errors import EntrepotError
from entrepot.serve import heartbeat

_BEAT_SECONDS = 0.5
_LONGEST_FACT = 60_000  # below a pipe's 64 KiB, so that one write is whole or not at all


def main(argv: list[str]) -> int:
    """Run one role until it returns. Exit 0: drained; 1: failed, with the reason told to the parent or the log."""
    handed = json.loads(argv[2])
    for fd in (handed["facts"], handed["board"], handed["alive"], handed["listener"], handed["go"]):
        if fd is not None:
            os.set_inheritable(fd, False)  # what a role starts itself must not keep our parent's pipe open
    os.umask(0o077)  # of DATA nothing is for other users
    os.nice(handed.get("nice", 0))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which then asks with SIGTERM
    tell = _teller(handed["facts"])
    beat = heartbeat.Board(handed["board"]).beater(handed["cell"])
    beat()
    data = Path(handed["data"])
    try:
        run = importlib.import_module(handed["module"]).run
        tell({"loaded": True})  # so that the one before leaves only for one that can come
        if handed["go"] is not None and not _told_to_go(handed["go"], handed["alive"], beat):
            return 0
        if handed["alone"] and not _take_turn(data / "run" / f"{argv[1]}.lock", handed["alive"], beat):
            return 0
        arguments: list[Any] = [data]
        if handed["listener"] is not None:
            arguments.append(socket.socket(fileno=handed["listener"]))
        run(*arguments, handed["alive"], beat, tell, handed["settings"])
    except EntrepotError as error:
        traceback.print_exc()
        tell({"error": {"code": error.code, "message": error.message}})
        return 1
    except Exception:  # noqa: BLE001 - the top of a process: whatever it was belongs into the role's log
        traceback.print_exc()
        return 1
    return 0


def _teller(fd: int) -> Callable[[dict[str, Any]], None]:
    """`ready` of a role. The first facts say that it serves; later ones ({"call": …}, {"second": …}, {"note": "…"}) are
    lines for the screen. Never waits: what does not fit into the pipe is dropped."""
    os.set_blocking(fd, False)

    def tell(facts: dict[str, Any]) -> None:
        line = json.dumps(facts).encode() + b"\n"
        if len(line) <= _LONGEST_FACT:
            try:
                os.write(fd, line)
            except (BlockingIOError, BrokenPipeError):
                pass

    return tell


def _told_to_go(go_fd: int, alive_fd: int, beat: Callable[[], None]) -> bool:
    """Wait for the end of the parent's pipe. False: the parent died."""
    while not (found := select.select([alive_fd, go_fd], [], [], _BEAT_SECONDS)[0]):
        beat()
    os.close(go_fd)
    return alive_fd not in found


def _take_turn(lock: Path, alive_fd: int, beat: Callable[[], None]) -> bool:
    """Hold `lock` for the life of this process; waits for an earlier one that still drains. False: the parent died."""
    fd = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            beat()
            if select.select([alive_fd], [], [], 0)[0]:
                return False
            time.sleep(0.02)
        else:
            return True


if __name__ == "__main__":
    _code = main(sys.argv)
    atexit._run_exitfuncs()
    for _stream in (sys.stdout, sys.stderr):
        _stream.flush()
    os._exit(_code)  # what has to last is closed; to take the modules apart costs half a second of CPU without a beat
