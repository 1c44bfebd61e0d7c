"""A reload: every process is replaced by one with the code that now lies on the disk, while calls go on.

Four steps, each with a bound. All new processes load their code, and if one cannot, nothing has changed. The keeper
changes first, since only the newer one reads all that newer gateways write; calls go on within their leases meanwhile.
Then the other new ones start, and only when each of them serves do the old ones take nothing new, and end what they
began. Who fails on the way leaves again, and the old ones serve on.
"""

import os
import time
from collections.abc import Callable
from typing import Any

from entrepot.kernel.errors import EntrepotError, Fault
from entrepot.serve.crew import Crew
from entrepot.serve.process import Process, describe_exit
from entrepot.serve.settings import number

#: Alive at once: each has its own gateways of about 30 MB. A stream of 10 minutes outlives any number of reloads.
MOST_GENERATIONS = 8
_KEEPER_SECONDS = 15.0  # the old keeper answers what it was asked and ingests once more
_KEEPER_FAILURES = 3


class ReloadFailed(EntrepotError):
    """The new processes do not come up; the old ones serve on."""

    code = "reload_failed"
    fault = Fault.CALLER


class ReloadRefused(EntrepotError):
    """There cannot be a reload now."""

    code = "reload_refused"
    fault = Fault.CALLER


class Reload:
    """One reload; the parent's loop calls `step` whenever something may have happened."""

    def __init__(self, crew: Crew) -> None:
        """Starts the new processes. Raises ReloadRefused."""
        alive = crew.generations()
        if alive >= MOST_GENERATIONS:
            raise ReloadRefused(
                f"{alive} generations of processes are alive, the older ones ending their calls, and there is no room "
                "for another; entrepot status shows them, and each ends with its last call"
            )
        self._crew = crew
        self._began = time.monotonic()
        self._until = self._began + number(crew.ground.settings, "start_seconds")
        self._step: Callable[[], bool] = self._loading
        self._replaced: list[str] = []
        self._kept: list[dict[str, str]] = []
        crew.generation += 1
        self._go: dict[bool, int] = {}  # our ends of the pipes that keeper (True) and others wait for
        theirs = {}
        for alone in (True, False):
            theirs[alone], self._go[alone] = os.pipe()
        for process in list(crew.present):
            if not crew.held_down(process.role):
                new = crew.successor(process)
                crew.start(new, theirs[new.role.alone])
        for fd in theirs.values():
            os.close(fd)

    def step(self) -> dict[str, Any] | None:
        """What was replaced, once it is; None: go on waiting. Raises ReloadFailed, and then `abandon` has been done."""
        try:
            while self._step():
                if self._step == self._done:
                    return self._facts()
        except ReloadFailed:
            self.abandon()
            raise
        return None

    def abandon(self) -> None:
        """Who has not taken a place leaves."""
        for process in list(self._crew.coming):
            self._leave(process)
        self._close()

    # the steps: true when the next one may be tried

    def _loading(self) -> bool:
        self._check(lambda process: process.loaded)
        if not all(process.loaded for process in self._crew.coming):
            return False
        keepers = [process for process in self._crew.coming if process.role.alone]
        for new in keepers:
            old = self._crew.take_place(new)
            self._replaced.append(new.name)
            self._crew.leave(old, _KEEPER_SECONDS)
        self._let_go(alone=True)
        self._until = time.monotonic() + _KEEPER_SECONDS + number(self._crew.ground.settings, "start_seconds")
        self._step = self._changing_keeper
        return True

    def _changing_keeper(self) -> bool:
        """The new keeper has the old one's place already: if it ends, the parent starts it again like any other."""
        waited_for = [each for each in self._crew.present if each.role.alone and each.name in self._replaced]
        for process in waited_for:
            if process.ready is None and (process.failures >= _KEEPER_FAILURES or time.monotonic() > self._until):
                raise self._failed(process, "is not ready; gateways serve on within their leases")
        if any(process.ready is None for process in waited_for):
            self._check(lambda process: process.loaded)
            return False
        self._let_go(alone=False)
        self._until = time.monotonic() + number(self._crew.ground.settings, "start_seconds")
        self._step = self._starting
        return True

    def _starting(self) -> bool:
        self._check(lambda process: process.ready is not None)
        if any(process.ready is None for process in self._crew.coming):
            return False
        for new in list(self._crew.coming):
            old = self._crew.take_place(new)
            self._replaced.append(new.name)
            self._leave(old)
        self._close()
        self._step = self._done
        return True

    def _done(self) -> bool:
        return False

    # what the steps share

    def _check(self, came: Callable[[Process], bool]) -> None:
        """Who has ended or takes too long: one that is not needed is left out, another one ends the reload."""
        for process in list(self._crew.coming):
            if process.running and (came(process) or time.monotonic() <= self._until):
                continue
            if not process.running and process.retired:
                continue  # it came, and said that it has nothing to do here
            if process.role.needed:
                raise self._failed(process, "does not come up")
            self._kept.append({"name": process.name, "why": self._why(process)})
            self._crew.leave(process, 0.0)

    def _failed(self, process: Process, how: str) -> ReloadFailed:
        changed = f" Replaced already: {', '.join(self._replaced)}." if self._replaced else ""
        return ReloadFailed(f"the new {process.name} {how}.{changed} {self._why(process)}".replace("  ", " "))

    def _why(self, process: Process) -> str:
        how = process.error or (f"It ended with {describe_exit(process.last_code)}." if not process.running else "")
        tail = process.tail(self._crew.ground.data)
        log = process.log(self._crew.ground.data)
        return f"{how} {log} says:\n{tail}" if tail else f"{how} {log} says nothing."

    def _leave(self, process: Process) -> None:
        self._crew.leave(process, number(self._crew.ground.settings, "reload_drain_seconds"))

    def _let_go(self, *, alone: bool) -> None:
        os.close(self._go.pop(alone))

    def _close(self) -> None:
        for fd in self._go.values():
            os.close(fd)
        self._go = {}

    def _facts(self) -> dict[str, Any]:
        return {
            "generation": self._crew.generation,
            "replaced": self._replaced,
            "kept": self._kept,
            "seconds": round(time.monotonic() - self._began, 3),
            "leaving": sum(process.running for process in self._crew.leaving),
        }
