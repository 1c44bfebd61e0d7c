"""The parent: locks DATA, binds the ports once, starts the children, replaces those that die, or all when asked to, and
does nothing else.

One loop, one thread. It wakes for a signal (also SIGCHLD), for what a child tells, and four times a second for the
hearts. It never waits for a child except here, and opens no database.
"""

import os
import signal
import socket
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol

from entrepot.kernel.errors import EntrepotError, Fault
from entrepot.serve import heartbeat, ports
from entrepot.serve.crew import TICK_SECONDS, Crew
from entrepot.serve.orders import SOCKET, Orders
from entrepot.serve.process import Ground, Process, describe_exit
from entrepot.serve.reload import Reload, ReloadFailed, ReloadRefused
from entrepot.serve.settings import Value, number
from entrepot.serve.wiring import ROLES, Role
from entrepot.storage.folder import Folder, for_us_alone

_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
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
    def reloaded(self, facts: dict[str, Any]) -> None: ...
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
        self._roles = tuple(roles)
        self._began = time.monotonic() if started_at is None else started_at
        self._listeners: dict[str, socket.socket] = {}
        self._crew: Crew
        self._orders: Orders
        self._reload: tuple[Reload, int] | None = None  # and whom to answer
        self._fresh = False  # nothing was ever compiled here: the keeper makes it before the others start
        self._stop_signals = 0
        self._was_ready = False

    def run(self) -> None:
        """Lock, bind, start, watch, stop. Raises FolderInUse, PortTaken, HostUnknown, StartFailed before it serves."""
        with for_us_alone(), self.folder.locked():
            self._bind()
            self.folder.create()
            alive_fd, alive_ours = os.pipe()  # `alive_ours` is ours alone: our death is its end
            board_fd = heartbeat.create()
            ground = Ground(self.folder.root, self.settings, alive_fd, board_fd)
            self._crew = Crew(self._roles, ground, heartbeat.Board(board_fd), self._listener_of)
            self._orders = Orders(self.folder.socket(SOCKET))
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
                self._end(before, wakeup_before, (alive_fd, alive_ours, board_fd, self._wake_fd, wake_ours))

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

    def _listener_of(self, port: str) -> int | None:
        listener = self._listeners.get(port)
        return listener.fileno() if listener else None

    def _serve(self) -> None:
        self._fresh = next(self.folder.snapshot.iterdir(), None) is None
        addressed = not self._fresh
        if addressed:
            self._complete_credentials()
        self._start_who_is_due()
        while not self._stop_signals:
            self._look()
            if not addressed and all(p.ready is not None for p in self._crew.present if p.role.first):
                addressed = True  # before a worker is started: who gets an answer finds the addresses written down
                self._complete_credentials()
            self._start_who_is_due()
            self._go_on_reloading()
            if not self._was_ready and all(map(self._is_up, self._crew.present)):
                self._was_ready = True
                self._complete_credentials()  # again: a first start that was killed once is completed by a later keeper
                facts = {p.name: p.ready for p in self._crew.present if p.ready is not None}
                self._watcher.ready(facts, time.monotonic() - self._began)

    def _start_who_is_due(self) -> None:
        for process in self._crew.present:
            if process.running or process.retired or self._crew.held_down(process.role) or self._has_to_wait(process):
                continue
            self._give_up_if_hopeless(process)
            if not process.retired and time.monotonic() >= process.next_start_at:
                self._crew.start(process)

    def _has_to_wait(self, process: Process) -> bool:
        """At the start: for the keeper on a fresh DATA, and for the first worker, which answers sooner alone."""
        if self._was_ready:
            return False
        before = [p for p in self._crew.present if p.role is process.role and p.seat == 1 < process.seat]
        if self._fresh and not process.role.first:
            before += [p for p in self._crew.present if p.role.first]
        return any(p.ready is None for p in before)

    def _is_up(self, process: Process) -> bool:
        return process.ready is not None or self._crew.held_down(process.role)

    def _look(self) -> None:
        """Wait for something to happen, at most a tick; hear what was told, bury who has ended, kill who is silent."""
        now = time.monotonic()
        due = [p.next_start_at - now for p in self._crew.present if not p.running and not p.retired]
        seconds = max(0.0, min([TICK_SECONDS, *(d for d in due if d > 0)]))
        found = self._crew.wait(seconds, [self._wake_fd, *self._orders.fds()])
        if self._wake_fd in found:
            try:
                os.read(self._wake_fd, 4096)
            except BlockingIOError:
                pass
        for process, facts in self._crew.heard():
            self._watcher.told(process.name, facts)
        for end in self._crew.buried():
            self._tell_end(end.process, end.code, present=end.present)
        self._crew.kill_the_silent()
        for whom, asked in self._orders.asked(found):
            self._obey(whom, asked)
        self._watcher.looked()

    def _tell_end(self, process: Process, code: int, *, present: bool) -> None:
        if self._stop_signals or not self._was_ready or process.retired:
            return
        how = describe_exit(code) + (f": {process.error}" if process.error else "")
        if present:
            self._watcher.exited(process.name, how, process.log(self.folder.root))
        elif code and process.ready is not None:
            note = f"of generation {process.generation} ended ({how}); calls that it cut are recorded as estimated"
            self._watcher.told(process.name, {"note": note})

    # asked for by others

    def _obey(self, whom: int, asked: str) -> None:
        if asked == "processes":
            self._orders.answer(whom, {"pid": os.getpid(), "processes": self._crew.facts()})
        elif asked != "reload":
            self._orders.answer(whom, _error("question_unknown", "ask for reload or processes"))
        elif self._reload is not None:
            self._orders.answer(whom, _error(ReloadRefused.code, "a reload is under way already"))
        elif not self._was_ready or self._stop_signals:
            state = "stopping" if self._stop_signals else "still starting"
            self._orders.answer(whom, _error(ReloadRefused.code, f"the server is {state}"))
        else:
            try:
                self._reload = Reload(self._crew), whom
            except ReloadRefused as refused:
                self._orders.answer(whom, _error(refused.code, refused.message))

    def _go_on_reloading(self) -> None:
        if self._reload is None:
            return
        reload, whom = self._reload
        try:
            facts = reload.step()
        except ReloadFailed as failed:
            facts = _error(failed.code, failed.message)
        if facts is not None:
            self._reload = None
            self._orders.answer(whom, facts)
            self._watcher.reloaded(facts)

    # the start fails, the stop

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
        raise StartFailed(f"{process.name} does not start:\n{process.tail(self.folder.root)}")

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
        if self._reload is not None:
            self._reload[0].abandon()
            self._orders.answer(self._reload[1], _error(ReloadFailed.code, "the server stops"))
        whole = True
        until = time.monotonic() + seconds
        for order in sorted({p.role.stops for p in self._crew.everybody}):
            group = [p for p in self._crew.everybody if p.role.stops == order]
            for process in group:
                process.ask(signal.SIGTERM)
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
        self._crew.end()
        self._orders.close()
        for listener in self._listeners.values():
            listener.close()
        signal.set_wakeup_fd(wakeup_before)
        for sign, handler in before.items():
            signal.signal(sign, handler)
        for fd in fds:
            os.close(fd)


def _error(code: str, message: str) -> dict[str, Any]:
    return {"error": {"code": code, "message": message}}
