"""What the keeper does from time to time: seal dead slots, turn final segments into files of the lake, drop old
segments."""

import asyncio
import logging
import sys
import time
from collections.abc import Callable

import msgspec
from sqlalchemy import Engine

from entrepot.journal.disk import Disk
from entrepot.journal.files import segment_path, segments, stream_directory
from entrepot.keeper import lake
from entrepot.keeper.ingest import Ingester
from entrepot.keeper.sealing import last_epoch, seal_slot, unsealed_slots
from entrepot.keeper.writer import Rank, Writer
from entrepot.kernel.instants import Instant
from entrepot.limits.tables import leases_at
from entrepot.metering import tables
from entrepot.metering.record import LeaseTotals
from entrepot.metering.tables import LakeFile
from entrepot.storage.database import read, write
from entrepot.storage.folder import Folder, sync_directory

_log = logging.getLogger(__name__)

EVERY_SECONDS = 2.0
#: A dead slot is left this long to its next worker, which seals it itself and goes on with its leases.
GRACE_SECONDS = 10.0
#: Segments per process of the lake: DuckDB's start is paid once for them, and a failure repeats at most these.
MOST_SEGMENTS = 16
FILE_SECONDS = 120.0
#: After a failed lake process the next one waits, so that a full disk is not made busy as well.
RETRY_SECONDS = 30.0
RETIRE_EVERY = 3600.0


class Upkeep:
    """Owns the manifest's order of steps: file in place, then its row; never the other way round."""

    def __init__(self, engine: Engine, folder: Folder, disk: Disk, ingester: Ingester, *, kept: Instant) -> None:
        """Segments stay for `kept` after both consumers have passed them (no backup is registered yet)."""
        self._engine = engine
        self._folder = folder
        self._disk = disk
        self._ingester = ingester
        self._kept = kept
        self._files: set[lake.Segment] = set()
        self._dead: dict[int, tuple[int, float]] = {}  # by slot: its last epoch, when its worker was last there
        self._retry_at = 0.0
        self._retire_at = 0.0

    def remove_orphans(self) -> None:
        """At the start, before any process of the lake runs."""
        with read(self._engine) as conn:
            listed = tables.manifest(conn)
        self._files = {(file.slot, file.epoch, file.segment) for file in listed}
        for name in lake.remove_orphans(self._folder, listed):
            _log.info("removed %s: it was not in the manifest", name)

    async def run(self, writer: Writer, connected: Callable[[], set[int]]) -> None:
        """Until cancelled. A step that fails is logged and tried again later."""
        while True:
            await asyncio.sleep(EVERY_SECONDS)
            try:
                await self._seal(writer, connected())
                await self._lake(writer)
                if time.monotonic() > self._retire_at:
                    self._retire_at = time.monotonic() + RETIRE_EVERY
                    await asyncio.wrap_future(writer.submit(Rank.UPKEEP, lambda: self.retire(_now())))
            except Exception:  # noqa: BLE001 - the task's owner: upkeep must go on
                _log.exception("upkeep failed; it is tried again")
                await asyncio.sleep(EVERY_SECONDS)

    async def _seal(self, writer: Writer, connected: set[int]) -> None:
        now = time.monotonic()
        done = {stream for stream, position in self._ingester.positions().items() if position.sealed}
        for slot in unsealed_slots(self._disk, self._folder.journal, done):
            life, since = self._dead.get(slot, (0, now))
            epoch = last_epoch(self._disk, self._folder.journal, slot)
            if slot in connected or epoch != life:
                self._dead[slot] = (epoch, now)
            elif now - since > GRACE_SECONDS:
                await asyncio.wrap_future(writer.submit(Rank.UPKEEP, lambda slot=slot: self._seal_one(slot)))  # type: ignore[misc]

    def _seal_one(self, slot: int) -> None:
        done = seal_slot(
            self._disk, self._folder.journal, slot, _now(), by="keeper", passed=self._ingester.position,
            granted=self.granted,
        )  # fmt: skip
        if done:
            _log.info("sealed %d streams of slot w%d", done, slot)

    def granted(self, slot: int) -> list[LeaseTotals]:
        """What the books say of the slot's leases: it may have died before it heard of the last grant."""
        with read(self._engine) as conn:
            return leases_at(conn, slot)

    async def _lake(self, writer: Writer) -> None:
        if time.monotonic() < self._retry_at:
            return
        due = lake.due(self._ingester.positions(), self._files, self._folder.journal)[:MOST_SEGMENTS]
        if not due:
            return
        written = await self._write(due)
        if len(written) < len(due):
            self._retry_at = time.monotonic() + RETRY_SECONDS
        if written:
            await asyncio.wrap_future(writer.submit(Rank.UPKEEP, lambda: self._list(written)))

    async def _write(self, due: list[lake.Segment]) -> list[LakeFile]:
        """Files that one process of the lake has put in place."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-P", "-m", "entrepot.keeper.lake", str(self._folder.root), *map(lake.name_of, due),
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            out, errors = await asyncio.wait_for(process.communicate(), FILE_SECONDS)
        except BaseException:
            process.kill()
            await process.wait()
            raise
        if process.returncode:
            _log.error("a lake process failed: %s", errors.decode("utf-8", "replace")[-2000:])
        return [msgspec.json.decode(line, type=LakeFile) for line in out.splitlines()]

    def _list(self, written: list[LakeFile]) -> None:
        with write(self._engine) as conn:
            for file in written:
                tables.list_file(conn, file)
        self._files |= {(file.slot, file.epoch, file.segment) for file in written}

    def retire(self, now: Instant) -> int:
        """Remove segments that rollup and lake have passed and that are old enough; how many.

        The last two streams of a slot keep their last two segments: recovery reads back to the last complete carry.
        """
        gone = 0
        positions = self._ingester.positions()
        for (slot, epoch), position in positions.items():
            stream = stream_directory(self._folder.journal, slot, epoch)
            numbers = segments(self._disk, stream)
            recent = not position.sealed or (slot, epoch + 2) not in positions
            old = [
                path
                for number in (numbers[:-2] if recent else numbers)
                if (slot, epoch, number) in self._files
                and now - (path := segment_path(stream, number)).stat().st_mtime_ns // 1000 > self._kept
            ]
            for path in old:
                path.unlink()
            if old:
                sync_directory(stream)
            gone += len(old)
        return gone


def _now() -> Instant:
    return time.time_ns() // 1000
