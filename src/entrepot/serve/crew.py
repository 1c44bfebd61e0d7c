"""All child processes of one parent: the present one of every role, those that shall take their place, and those that
end their calls. Starts them, hears them, buries them; kills who is silent. Decides nothing else.
"""

import select
import signal
import time
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from entrepot.serve.heartbeat import CELLS, Board
from entrepot.serve.process import Ground, Process
from entrepot.serve.settings import number
from entrepot.serve.wiring import Role

TICK_SECONDS = 0.25
_LATE_SECONDS = 5.0  # a process that drains by its own clock gets this much longer by ours


class Exit(NamedTuple):
    """A process has ended; `present` is false for one that was on its way in or out."""

    process: Process
    code: int
    present: bool


class Crew:
    """Mutable; owned by the parent's loop."""

    def __init__(
        self, roles: Iterable[Role], ground: Ground, board: Board, listener_of: Callable[[str], int | None]
    ) -> None:
        self.ground = ground
        self._board = board
        self._listener_of = listener_of
        self._cells = set(range(CELLS))
        self.generation = 1
        workers = number(ground.settings, "workers")
        self.present = [
            self._new(role, seat) for role in roles for seat in (range(1, workers + 1) if role.many else (0,))
        ]
        self.coming: list[Process] = []
        self._leaving: dict[Process, float] = {}  # with when it is killed
        self._last_look = time.monotonic()

    @property
    def leaving(self) -> list[Process]:
        return list(self._leaving)

    @property
    def everybody(self) -> list[Process]:
        return [*self.present, *self.coming, *self._leaving]

    def generations(self) -> int:
        """How many are alive."""
        return len({process.generation for process in self.everybody if process.running})

    def facts(self) -> list[dict[str, Any]]:
        """Who is there, for a status."""
        now = time.monotonic()
        return [
            {
                "name": process.name, "generation": process.generation, "ready": process.ready is not None,
                "pid": process.popen.pid if process.popen else 0, "since_s": round(now - process.started_at, 1),
                "slot": (process.ready or {}).get("slot"),
                "leaves_within_s": round(until - now) if (until := self._leaving.get(process)) else None,
            }
            for process in self.everybody
        ]  # fmt: skip

    def _new(self, role: Role, seat: int) -> Process:
        cell = min(self._cells)
        self._cells.discard(cell)
        return Process(role, cell, seat, self.generation)

    def held_down(self, role: Role) -> bool:
        """`DATA/run/hold-ROLE` keeps a role that is not running from being started, for as long as the file exists."""
        return (self.ground.data / "run" / f"hold-{role.name}").exists()

    def start(self, process: Process, go_fd: int | None = None) -> None:
        """`go_fd`: it loads its code, then waits for the end of this pipe."""
        process.start(self.ground, self._listener_of(process.role.port), go_fd)

    # one in another's place

    def successor(self, process: Process) -> Process:
        """A process of the present generation for the same seat; nobody's place is taken yet."""
        new = self._new(process.role, process.seat)
        self.coming.append(new)
        return new

    def take_place(self, new: Process) -> Process:
        """`new` is the present one from now on; returns the one before, which has still to be asked to leave."""
        self.coming.remove(new)
        at = next(i for i, each in enumerate(self.present) if each.name == new.name)
        old, self.present[at] = self.present[at], new
        return old

    def leave(self, process: Process, seconds: float) -> None:
        """It has `seconds` to end what it began; one that was never ready has begun nothing."""
        if process in self.coming:
            self.coming.remove(process)
        if not process.running:
            self._forget(process)
            return
        if process.ready is None:
            seconds = 0.0
            process.kill()
        else:
            process.ask(signal.SIGTERM if process.role.alone else signal.SIGUSR1)
        self._leaving[process] = time.monotonic() + seconds + _LATE_SECONDS

    def _forget(self, process: Process) -> None:
        process.close_facts()
        self._leaving.pop(process, None)
        self._cells.add(process.cell)

    # looking around

    def wait(self, seconds: float, others: Iterable[int]) -> list[int]:
        """Until somebody tells something or `others` are readable, at most `seconds`; which of the others are."""
        telling = [process.facts_fd for process in self.everybody if process.running and process.telling]
        found, _, _ = select.select([*telling, *others], [], [], seconds)
        return found

    def heard(self) -> list[tuple[Process, dict[str, Any]]]:
        """Everything told since the last time but that somebody is ready."""
        told = []
        for process in self.everybody:
            if process.running:
                told += [(process, facts) for facts in process.read_facts() if facts is not process.ready]
        return told

    def buried(self) -> list[Exit]:
        """Who has ended. A present one keeps its seat; one that was leaving is forgotten."""
        ends = []
        for process in self.everybody:
            code = process.reap()
            if code is None:
                continue
            process.read_facts()  # what it told between the last look and its end
            process.close_facts()
            ends.append(Exit(process, code, process in self.present))
            if process in self._leaving:
                self._forget(process)
        return ends

    def kill_the_silent(self) -> None:
        """Whose heart has stopped, who takes too long to start, and who has had its time to leave."""
        now = time.monotonic()
        asleep, self._last_look = now - self._last_look > 2.0, now
        if asleep:  # we were stopped ourselves, perhaps with everybody: give the hearts a tick to beat
            return
        settings = self.ground.settings
        silence, start = number(settings, "silence_seconds"), number(settings, "start_seconds")
        for process in self.everybody:
            if process.silent(self._board, now, silence, start) or now > self._leaving.get(process, now):
                process.kill()

    def end(self) -> None:
        """Nobody outlives us."""
        for process in self.everybody:
            process.kill()
        for process in self.everybody:
            if process.popen is not None:
                process.popen.wait()
            process.close_facts()


