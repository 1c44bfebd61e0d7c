"""What others may ask of the parent: one JSON line each way on a local socket, `{"ask": "reload"}` or
`{"ask": "processes"}`. The loop that answers is the parent's, so nothing here waits.
"""

import json
import socket
import time
from pathlib import Path
from typing import Any

SOCKET = "parent.sock"
_MOST = 16  # peers at once that have not asked yet
_BACKLOG = 128
_LINE = 4096
_SILENT_SECONDS = 10.0  # a peer that has not asked by then makes room


class Orders:
    """The socket and its peers. An answer may come long after its question; a peer that has gone misses it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        path.chmod(0o600)
        self._listener.listen(_BACKLOG)
        self._listener.setblocking(False)
        self._peers: dict[int, tuple[socket.socket, bytes, float]] = {}  # those that have not asked yet
        self._waiting: dict[int, socket.socket] = {}  # those that wait for their answer

    def fds(self) -> list[int]:
        """What to wait for."""
        return [self._listener.fileno(), *self._peers]

    def asked(self, readable: list[int]) -> list[tuple[int, str]]:
        """Questions that have come: (whom to answer, what was asked)."""
        found = []
        for fd in [fd for fd in readable if fd in self._peers]:
            peer, before, since = self._peers.pop(fd)
            try:
                data = peer.recv(_LINE)
            except OSError:
                data = b""
            line = before + data
            if not data or len(line) > _LINE:
                peer.close()
            elif b"\n" in line:
                self._waiting[fd] = peer
                found.append((fd, _question(line)))
            else:
                self._peers[fd] = (peer, line, since)
        if self._listener.fileno() in readable:
            self._accept()
        for fd in [fd for fd, (_, _, since) in self._peers.items() if time.monotonic() - since > _SILENT_SECONDS]:
            self._peers.pop(fd)[0].close()
        return found

    def answer(self, whom: int, facts: dict[str, Any]) -> None:
        """Answer and hang up."""
        peer = self._waiting.pop(whom, None)
        if peer is not None:
            try:
                peer.sendall(json.dumps(facts).encode() + b"\n")
            except OSError:
                pass  # it has gone
            peer.close()

    def close(self) -> None:
        """No answer comes any more."""
        self._path.unlink(missing_ok=True)
        for each in (self._listener, *(peer for peer, _, _ in self._peers.values()), *self._waiting.values()):
            each.close()
        self._peers, self._waiting = {}, {}

    def _accept(self) -> None:
        while True:
            try:
                peer, _ = self._listener.accept()
            except OSError:
                return
            if len(self._peers) >= _MOST:  # who has said nothing for longest makes room
                self._peers.pop(next(iter(self._peers)))[0].close()
            peer.setblocking(False)
            self._peers[peer.fileno()] = (peer, b"", time.monotonic())


def _question(line: bytes) -> str:
    try:
        return str(json.loads(line)["ask"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""
