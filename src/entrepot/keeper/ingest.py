"""Journal → rollup, leases, ledger. Each batch of one stream is one transaction that moves the stream's position.

The segment is synced after it was read and before that transaction commits; else power loss would leave the database
ahead of the journal. A batch is what one read gives, about 1 MiB, so that a grant never waits long behind it.
"""

import logging
import time
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import Engine

from entrepot.journal.files import (
    Disk,
    Entry,
    JournalDamaged,
    Position,
    read_frames,
    segments,
    slot_directory,
    stream_directory,
)
from entrepot.keeper.thresholds import after_charges
from entrepot.kernel.instants import SECOND, Instant
from entrepot.ledger.attribution import in_stretches
from entrepot.ledger.grant_tables import cuts_of
from entrepot.ledger.tables import post_charges
from entrepot.limits.tables import charge_budgets, move
from entrepot.metering import tables
from entrepot.metering.rollup import Batch, charges_of, fold
from entrepot.metering.tables import PositionMoved, StreamPosition
from entrepot.storage.database import read, write

_log = logging.getLogger(__name__)

#: A grant waits behind at most one such transaction (protocol §6). Processor time, not the clock's: where the machine
#: is busy elsewhere, smaller batches would only be more work.
COMMIT_SECONDS = 0.020
FEWEST, MOST = 256, 1 << 16
#: A stream that could not be ingested (disk full, a broken invariant) is tried again after this.
RETRY: Instant = 2 * SECOND


class _Ahead(NamedTuple):
    path: Path
    start: Position
    entries: list[Entry]
    position: Position


class Ingester:
    """Takes what the streams below `root` have to give. Used by one thread."""

    def __init__(self, engine: Engine, root: Path, disk: Disk) -> None:
        self._engine = engine
        self._root = root
        self._disk = disk
        self._known: dict[tuple[int, int], StreamPosition] = {}
        self._last: tuple[int, int] = (0, 0)
        self._most = MOST
        self._ahead: _Ahead | None = None
        self.damaged: dict[tuple[int, int], str] = {}
        self.stuck: dict[tuple[int, int], str] = {}
        self._retry_at: dict[tuple[int, int], Instant] = {}
        self.endings = 0
        self.records = 0
        self.full = False  # the last batch was a large one: there is more, or soon will be
        self.reload()

    def reload(self) -> None:
        """Take the positions from the database: at the start, and when somebody else moved one."""
        with read(self._engine) as conn:
            self._known = tables.positions(conn)

    def position(self, slot: int, epoch: int) -> Position | None:
        """How far a stream is taken; None: not at all yet."""
        known = self._known.get((slot, epoch))
        return Position(known.segment, known.offset) if known else None

    def positions(self) -> dict[tuple[int, int], StreamPosition]:
        return dict(self._known)

    def open_streams(self) -> list[tuple[int, int]]:
        """Streams that may have more to give, oldest of each slot first."""
        found = []
        for name in self._disk.names(self._root):
            if name[:1] != "w" or not name[1:].isdigit():
                continue
            slot = int(name[1:])
            for epoch in self._disk.names(slot_directory(self._root, slot)):
                if epoch.isdigit():
                    stream = (slot, int(epoch))
                    known = self._known.get(stream)
                    if stream not in self.damaged and not (known and known.sealed):
                        found.append(stream)
        return sorted(found)

    def step(self, now: Instant) -> bool:
        """Take one batch of one stream, in turn; False: nothing to take anywhere. Raises nothing: what goes wrong with
        a stream stands in `damaged` (for good) or `stuck` (tried again)."""
        streams = self.open_streams()
        later = [stream for stream in streams if stream > self._last]
        for stream in later + [stream for stream in streams if stream <= self._last]:
            if self._retry_at.get(stream, 0) > now:
                continue
            try:
                if self._take(stream, now):
                    self._last = stream
                    self._retry_at.pop(stream, None)
                    self.stuck.pop(stream, None)
                    return True
            except JournalDamaged as damage:
                self.damaged[stream] = damage.message
                _log.error("%s", damage.message)
            except PositionMoved:
                self.reload()
                return True
            except Exception as error:  # noqa: BLE001 - the worker loop: one stream must not stop the others
                if stream not in self.stuck:
                    _log.exception("stream w%d-%06d could not be ingested; it is tried again", *stream)
                self.stuck[stream] = f"stream w{stream[0]}-{stream[1]:06d}: {error}"
                self._retry_at[stream] = now + RETRY
        return False

    def drain(self, now: Instant, most: int = 1_000_000) -> int:
        """Take everything there is, at most `most` batches; how many there were."""
        for done in range(most):
            if not self.step(now):
                return done
        return most

    def _take(self, stream: tuple[int, int], now: Instant) -> bool:
        slot, epoch = stream
        path = stream_directory(self._root, slot, epoch)
        before = self._known.get(stream)
        start = Position(before.segment, before.offset) if before else self._first(path)
        entries, position = self._read(path, start)
        if not entries:
            return False
        batch = fold((entry.seq, entry.record) for entry in entries)
        after = StreamPosition(
            slot=slot, epoch=epoch, segment=position.segment, offset=position.offset,
            records=batch.records + (before.records if before else 0),
            endings=batch.endings + (before.endings if before else 0),
            last_at=max(batch.last_at, before.last_at if before else 0), sealed=batch.sealed,
        )  # fmt: skip
        began = time.thread_time()
        self._commit(before, after, entries, batch, now)
        self._adapt(len(entries), time.thread_time() - began)
        self._known[stream] = after
        self.full = self._ahead is not None or 2 * len(entries) >= self._most
        self.endings += batch.endings
        self.records += batch.records
        return True

    def _read(self, path: Path, start: Position) -> tuple[list[Entry], Position]:
        """As many whole frames as one short transaction takes, and the position behind them. What was read beyond is
        kept for the next time; it was synced."""
        kept, self._ahead = self._ahead, None
        if kept is not None and kept.path == path and kept.start == start:
            entries, position = kept.entries, kept.position
        else:
            entries, position = read_frames(self._disk, path, start, sync=True)
        for cut in range(self._most, len(entries)):
            if entries[cut].offset != entries[cut - 1].offset:
                middle = Position(entries[cut].segment, entries[cut].offset)
                self._ahead = _Ahead(path, middle, entries[cut:], position)
                return entries[:cut], middle
        return entries, position

    def _adapt(self, taken: int, seconds: float) -> None:
        """Many customers in one batch make it slow: take fewer records next time, more again when it is quick."""
        if taken >= FEWEST:
            fitting = int(taken * COMMIT_SECONDS / max(seconds, 0.001))
            self._most = max(FEWEST, min(fitting, 2 * self._most, MOST))

    def _commit(
        self, before: StreamPosition | None, after: StreamPosition, entries: list[Entry], batch: Batch, now: Instant
    ) -> None:
        slot, epoch = after.slot, after.epoch
        with write(self._engine) as conn:
            tables.advance(conn, before, after)
            tables.add(conn, slot, epoch, batch)
            move(conn, slot, granted=batch.granted, returned=batch.returned, charged=batch.charged)
            charge_budgets(conn, batch.budgets)
            taken = in_stretches(
                batch.taken, cuts_of(conn, batch.taken), lambda _hours: charges_of(entry.record for entry in entries)
            )
            name = f"usage/w{slot}-{epoch:06d}/{entries[0].seq}"
            post_charges(conn, name, now, batch.charges, batch.costs, taken=taken)
            after_charges(conn, {balance for balance, _, _ in batch.charges}, batch.budgets, now)

    def _first(self, path: Path) -> Position:
        """The oldest segment that is still there."""
        return Position(next(iter(segments(self._disk, path)), 1), 0)
