"""The parent: locks DATA, binds the ports once, starts the children, replaces those that die, and does nothing else.

One loop, one thread. It wakes for a signal (also SIGCHLD), for what a child tells, and four times a second for the
hearts. It never waits for a child except here, and opens no database.
"""

import os
import select
import signal
import socket
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol

from entrepot.kernel.errors import EntrepotError, Fault
from entrepot.serve import heartbeat, ports
from entrepot.serve.process import Process, describe_exit
from entrepot.serve.settings import Value, number
from entrepot.serve.wiring import ROLES, Role
from entrepot.storage.folder import Folder, for_us_alone

_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_TICK_SECONDS = 0.25
_HOPELESS = 5  # failing starts in a row of one role, before anything ever was ready, after which we give up
_KEEPER_SECONDS = 10.0  # the last ones to stop get this long beyond the drain of the calls


class StartFailed(EntrepotError):
    """A process cannot start, so there is nothing to serve."""

    code = "start_failed"
    fault = Fault.CALLER


class Watcher(Protocol):
    """Who is told what happens: the screen, or a test."""

    def ready(self, facts: dict[str, dict[str, Any]], seconds: float) -> None: ...
    def told(self, name: str, facts: dict[str, Any]) -> None: ...
    def looked(self) -> None: ...
    def exited(self, name: str, how: str, log: Path) -> None: ...
    def stopping(self, seconds: int) -> None: ...
    def stopped(self, whole: bool) -> None: ...


class Parent:
    """One run of `entrepot serve` on one DATA; `run()` returns when everything has stopped."""

    def __init__(
        self,
        settings: dict[str, Value],
        watcher: Watcher,
        roles: Iterable[Role] = ROLES,
        *,
        started_at: float | None = None,
    ) -> None:
        self.settings = settings
        self.folder = Folder(Path(str(settings["data"])).absolute())
        self._watcher = watcher
        self._began = time.monotonic() if started_at is None else started_at
        seats = [
            (role, seat)
            for role in roles
            for seat in (range(1, number(settings, "workers") + 1) if role.many else (0,))
        ]
        self._processes = [Process(role, cell, seat) for cell, (role, seat) in enumerate(seats)]
        self._fresh = False  # nothing was ever compiled here: the keeper makes it before the others start
        self._listeners: dict[str, socket.socket] = {}
        self._stop_signals = 0
        self._was_ready = False
        self._last_look = time.monotonic()

    def run(self) -> None:
        """Lock, bind, start, watch, stop. Raises FolderInUse, PortTaken, HostUnknown, StartFailed before it serves."""
        with for_us_alone(), self.folder.locked():
            self._bind()
            self.folder.create()
            self._alive_fd, alive_ours = os.pipe()  # `alive_ours` is ours alone: our death is its end
            self._board_fd = heartbeat.create()
            self._board = heartbeat.Board(self._board_fd)
            self._wake_fd, wake_ours = os.pipe()
            for fd in (self._wake_fd, wake_ours):
                os.set_blocking(fd, False)
            before = {sign: signal.getsignal(sign) for sign in (*_STOP_SIGNALS, signal.SIGCHLD)}
            wakeup_before = signal.set_wakeup_fd(wake_ours, warn_on_full_buffer=False)
            for sign in _STOP_SIGNALS:
                signal.signal(sign, self._asked_to_stop)
            signal.signal(signal.SIGCHLD, lambda *_: None)
            try:
                self._serve()
                self._drain()
            finally:
                self._end(before, wakeup_before, (self._alive_fd, alive_ours, self._board_fd, self._wake_fd, wake_ours))

    def _bind(self) -> None:
        host = str(self.settings["host"])
        try:
            for name, port in (("api", "port"), ("admin", "admin_port")):
                self._listeners[name] = ports.bind(host, number(self.settings, port))
                self.settings[port] = self._listeners[name].getsockname()[1]
        except ports.PortTaken as taken:
            taken.admin = "api" in self._listeners
            raise
        finally:
            if len(self._listeners) < 2:
                for listener in self._listeners.values():
                    listener.close()
        shown = ports.url_host(host)
        self.settings["azure_endpoint"] = f"http://{shown}:{self.settings['port']}"
        self.settings["base_url"] = f"{self.settings['azure_endpoint']}/v1"
        self.settings["admin_url"] = f"http://{shown}:{self.settings['admin_port']}"

    def _serve(self) -> None:
        self._fresh = next(self.folder.snapshot.iterdir(), None) is None
        self._start_who_is_due()
        while not self._stop_signals:
            self._look()
            self._start_who_is_due()
            if not self._was_ready and all(map(self._is_up, self._processes)):
                self._was_ready = True
                self._complete_credentials()
                facts = {p.name: p.ready for p in self._processes if p.ready is not None}
                self._watcher.ready(facts, time.monotonic() - self._began)

    def _start_who_is_due(self) -> None:
        for process in self._processes:
            if process.running or process.retired or self._held_down(process) or self._has_to_wait(process):
                continue
            self._give_up_if_hopeless(process)
            if not process.retired and time.monotonic() >= process.next_start_at:
                self._start(process)

    def _has_to_wait(self, process: Process) -> bool:
        """At the start: for the keeper on a fresh DATA, and for the first worker, which answers sooner alone."""
        if self._was_ready:
            return False
        before = [p for p in self._processes if p.role is process.role and p.number == 1 < process.number]
        if self._fresh and not process.role.first:
            before += [p for p in self._processes if p.role.first]
        return any(p.ready is None for p in before)

    def _held_down(self, process: Process) -> bool:
        """`DATA/run/hold-ROLE` keeps a role that is not running from being started, for as long as the file exists."""
        return (self.folder.root / "run" / f"hold-{process.role.name}").exists()

    def _is_up(self, process: Process) -> bool:
        return process.ready is not None or self._held_down(process)

    def _start(self, process: Process) -> None:
        listener = self._listeners.get(process.role.port)
        process.start(
            self.folder.root, self._alive_fd, self._board_fd, listener.fileno() if listener else None, self.settings
        )

    def _look(self) -> None:
        """Wait for something to happen, at most a tick; read what was told, reap who exited, kill who is silent."""
        now = time.monotonic()
        due = [p.next_start_at - now for p in self._processes if not p.running and not p.retired]
        self._wait(max(0.0, min([_TICK_SECONDS, *(d for d in due if d > 0)])))
        for process in self._processes:
            if not process.running:
                continue
            for facts in process.read_facts():
                if facts is not process.ready:
                    self._watcher.told(process.name, facts)
            code = process.reap()
            if code is not None:
                process.read_facts()  # what it told between the last look and its end
                process.close_facts()
                if not self._stop_signals and not process.retired and self._was_ready:
                    how = describe_exit(code) + (f": {process.error}" if process.error else "")
                    self._watcher.exited(process.name, how, process.log(self.folder.root))
        self._kill_the_silent()
        self._watcher.looked()

    def _wait(self, seconds: float) -> None:
        readable = [self._wake_fd, *(p.facts_fd for p in self._processes if p.running and p.telling)]
        found, _, _ = select.select(readable, [], [], seconds)
        if self._wake_fd in found:
            try:
                os.read(self._wake_fd, 4096)
            except BlockingIOError:
                pass

    def _kill_the_silent(self) -> None:
        now = time.monotonic()
        asleep, self._last_look = now - self._last_look > 2.0, now
        if asleep:  # we were stopped ourselves, perhaps with everybody: give the hearts a tick to beat
            return
        silence, start = number(self.settings, "silence_seconds"), number(self.settings, "start_seconds")
        for process in self._processes:
            if process.silent(self._board, now, silence, start):
                process.kill()

    def _give_up_if_hopeless(self, process: Process) -> None:
        if self._was_ready or (not process.error and process.failures < _HOPELESS):
            return
        if not process.role.needed:
            process.retired = True
            remedy = process.error or f"see {process.log(self.folder.root)}"
            process.ready = {"available": False, "why": f"{process.name} does not start", "remedy": remedy}
            return
        if process.error:
            raise StartFailed(process.error, code=process.error_code)
        raise StartFailed(f"{process.name} does not start:\n{_tail(process.log(self.folder.root))}")

    def _complete_credentials(self) -> None:
        """The keeper's first start wrote key and token; the addresses are ours and may differ from start to start."""
        facts = self.folder.read_credentials()
        ours = {name: str(self.settings[name]) for name in ("base_url", "azure_endpoint", "admin_url")}
        if any(facts.get(name) != value for name, value in ours.items()):
            self.folder.write_credentials({**ours, **{k: v for k, v in facts.items() if k not in ours}})

    def _asked_to_stop(self, _signal: int, _frame: object) -> None:
        self._stop_signals += 1

    def _drain(self) -> None:
        """Those who take calls stop first, those who serve them last; a second signal or the bound kills."""
        seconds = number(self.settings, "drain_seconds")
        self._watcher.stopping(seconds)
        whole = True
        until = time.monotonic() + seconds
        for order in sorted({p.role.stops for p in self._processes}):
            group = [p for p in self._processes if p.role.stops == order]
            for process in group:
                process.ask_to_stop()
            while any(p.running for p in group):
                self._look()
                if time.monotonic() > until or self._stop_signals > 1:
                    whole = False
                    for process in group:
                        process.kill()
            until = time.monotonic() + _KEEPER_SECONDS
        self._watcher.stopped(whole)

    def _end(self, before: dict[signal.Signals, Any], wakeup_before: int, fds: Iterable[int]) -> None:
        """Nobody outlives us: whoever is left after a failed start is killed, then everything we opened is closed."""
        for process in self._processes:
            process.kill()
        for process in self._processes:
            if process.popen is not None:
                process.popen.wait()
            process.close_facts()
        for listener in self._listeners.values():
            listener.close()
        signal.set_wakeup_fd(wakeup_before)
        for sign, handler in before.items():
            signal.signal(sign, handler)
        for fd in fds:
            os.close(fd)


def _tail(log: Path) -> str:
    try:
        lines = log.read_bytes()[-4096:].decode(errors="replace").splitlines()
    except OSError:
        return ""
    return "\n".join(lines[-12:])
