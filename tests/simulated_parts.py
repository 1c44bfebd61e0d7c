"""What simulated schedules play instead of the real thing: a journal in memory, the keeper's thread, and connections.

The database is a real SQLite, in memory.
"""

import asyncio
import functools
import random
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy import Engine, create_engine

from entrepot.journal.files import Position
from entrepot.journal.frames import Frame
from entrepot.journal.simulated import SimulatedDisk
from entrepot.keeper.ingest import Ingester
from entrepot.metering.closing import Standing
from entrepot.storage.database import prepare


class Surroundings(Protocol):
    """What the parts ask of the schedule that they are played in."""

    loop: asyncio.AbstractEventLoop
    chance: random.Random

    @property
    def journals(self) -> "Sequence[SimulatedJournal]": ...
    def journal(self, slot: int, epoch: int) -> "SimulatedJournal": ...
    def written(self, journal: "SimulatedJournal") -> None: ...
    def sync_seconds(self) -> float: ...
    def mood(self) -> tuple[int, float]: ...
    def failed(self, error: BaseException) -> None: ...


@functools.cache
def _empty() -> Engine:
    engine = create_engine("sqlite://")
    prepare(engine)
    return engine


@functools.cache
def _engine() -> Engine:
    """A real SQLite, in memory. One for all schedules, so that its statements are compiled once."""
    return create_engine("sqlite://")


def empty_database() -> Engine:
    """With every table, and nothing in them."""
    raw, empty = _engine().raw_connection(), _empty().raw_connection()
    empty.driver_connection.backup(raw.driver_connection)  # type: ignore[union-attr]
    raw.close()
    empty.close()
    return _engine()


class SimulatedJournal:
    """One stream in memory. Records are durable some time after they were appended, several at once."""

    def __init__(self, world: Surroundings, slot: int, epoch: int) -> None:
        self.slot, self.epoch = slot, epoch
        self.records: list[bytes] = []
        self.durable = 0  # records
        self.sealed = False
        self._world = world
        self._callbacks: deque[tuple[int, Callable[[], None]]] = deque()
        self._syncing = False
        self._dead = False

    def append(self, record: bytes, durable: Callable[[], None] | None = None) -> int:
        self.records.append(record)
        self._world.written(self)
        if durable is not None:
            self._callbacks.append((len(self.records), durable))
        if not self._syncing:
            self._syncing = True
            self._world.loop.call_soon(self._sync)
        return len(self.records) - 1

    def _sync(self) -> None:
        self._world.loop.call_later(self._world.sync_seconds(), self._synced, len(self.records))

    def _synced(self, upto: int) -> None:
        if self._dead:
            return
        self.durable = upto
        self._syncing = upto < len(self.records)
        if self._syncing:
            self._sync()
        while self._callbacks and self._callbacks[0][0] <= upto:
            self._callbacks.popleft()[1]()

    def crash(self) -> None:
        """Whoever wrote is gone. What was written and not synced may be there or not, as a whole frame."""
        self._dead = True
        keep = self._world.chance.choice((self.durable, len(self.records)))
        del self.records[max(self.durable, keep) :]
        self.durable = len(self.records)

    def close(self, records: list[bytes]) -> None:
        """What a sealer writes: durable at once."""
        self.records += records
        self.durable = len(self.records)
        self.sealed = True

    def standing(self) -> Standing:
        return Standing.of(list(enumerate(self.records[: self.durable])))


class SimulatedIngester(Ingester):
    """The real one, but for where it finds streams and reads them."""

    def __init__(self, world: Surroundings, engine: Engine) -> None:
        self._world = world
        super().__init__(engine, Path("/journal"), SimulatedDisk())

    def open_streams(self) -> list[tuple[int, int]]:
        return sorted(
            (journal.slot, journal.epoch)
            for journal in self._world.journals
            if not ((known := self._known.get((journal.slot, journal.epoch))) and known.sealed)
        )

    def _read(self, path: Path, start: Position) -> tuple[list[Frame], Position, bool]:
        journal = self._world.journal(int(path.parent.name[1:]), int(path.name))
        more = self._world.chance.random() < 0.2 and journal.durable > start.offset
        until = self._world.chance.randint(start.offset + 1, journal.durable) if more else journal.durable
        frames = [Frame(seq, seq, [journal.records[seq]], seq + 1) for seq in range(start.offset, until)]
        return frames, Position(1, until), more


class SimulatedWriter:
    """The keeper's one writer: jobs in their order, each some time later."""

    def __init__(self, world: Surroundings) -> None:
        self._world = world
        self._jobs: deque[tuple[Callable[[], Any], asyncio.Future[Any]]] = deque()
        self.dead = False

    def submit(self, _rank: object, job: Callable[[], Any]) -> "asyncio.Future[Any]":
        future = self._world.loop.create_future()
        self._jobs.append((job, future))
        if len(self._jobs) == 1:
            self._later()
        return future

    def _later(self) -> None:
        self._world.loop.call_later(self._world.chance.uniform(0.0005, 0.004), self._run)

    def _run(self) -> None:
        if self.dead:
            return
        job, future = self._jobs[0]
        if not future.cancelled():
            try:
                future.set_result(job())
            except Exception as error:  # noqa: BLE001 - the worker loop: whoever asked gets the error, and so do we
                future.set_exception(error)
                self._world.failed(error)
        self._jobs.popleft()
        if self._jobs:
            self._later()


class SimulatedEnd:
    """One end of a connection, as a transport and as a stream writer: what is written arrives by the network's mood."""

    def __init__(self, world: Surroundings, deliver: Callable[[bytes], None]) -> None:
        self._world = world
        self._deliver = deliver
        self.closed: Callable[[], None] = lambda: None
        self.open = True
        self._first = True

    def write(self, data: bytes) -> None:
        times, delay = (1, 0.0) if self._first else self._world.mood()
        self._first = False  # a hello is not lost: without it there is no connection
        for _ in range(times):
            self._world.loop.call_later(delay, self._arrive, data)
            delay = self._world.mood()[1]

    def _arrive(self, data: bytes) -> None:
        if self.open:
            self._deliver(data)

    def close(self) -> None:
        if self.open:
            self.open = False
            self.closed()

    abort = close

    def is_closing(self) -> bool:
        return not self.open

    def get_write_buffer_size(self) -> int:
        return 0
