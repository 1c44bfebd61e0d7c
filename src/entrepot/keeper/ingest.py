"""Journal → rollup, leases, ledger. Each batch of one stream is one transaction that moves the stream's position.

The segment is synced after it was read and before that transaction commits; else power loss would leave the database
ahead of the journal. One step reads about 1 MiB. Where there is more, that is folded first and committed together: a
row of the rollup, a lease and a posting cost the same for one call as for a thousand, so who is behind commits less
often. Between two steps grants go first.
"""

import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec
from sqlalchemy import Engine

from entrepot.journal.files import (
    WINDOW_BYTES,
    Disk,
    JournalDamaged,
    JournalFailed,
    Position,
    segments,
    slot_directory,
    stream_directory,
    whole_frames,
)
from entrepot.journal.frames import Frame
from entrepot.keeper.thresholds import after_charges
from entrepot.kernel.instants import SECOND, Instant
from entrepot.ledger.attribution import in_stretches
from entrepot.ledger.grant_tables import cuts_of
from entrepot.ledger.tables import post_charges
from entrepot.limits.tables import charge_budgets, move
from entrepot.metering import tables
from entrepot.metering.rollup import Batch, Folding, charges_of
from entrepot.metering.tables import PositionMoved, StreamPosition
from entrepot.storage.database import read, write

_log = logging.getLogger(__name__)

#: A grant waits behind at most one such transaction; of this length only where a stream is behind by more than a read.
#: Processor time, not the clock's: where the machine is busy elsewhere, smaller commits would only be more work.
COMMIT_SECONDS = 0.200
#: Rows of the rollup in one commit, and records.
FEWEST, MOST_GROUPS, MOST = 128, 1 << 14, 1 << 17
#: Nothing that was read waits longer for its commit.
HELD: Instant = SECOND
#: A stream that could not be ingested (disk full, a broken invariant) is tried again after this.
RETRY: Instant = 2 * SECOND


class _Ahead(NamedTuple):
    path: Path
    start: Position
    frames: list[Frame]
    position: Position
    more: bool


class _Pending(msgspec.Struct, kw_only=True):
    """What was read of a stream since its last commit: folded, and nowhere else yet."""

    stream: tuple[int, int]
    path: Path
    before: StreamPosition | None
    start: Position
    position: Position
    began: Instant
    first_seq: int = 0
    folding: Folding = msgspec.field(default_factory=Folding)


class Ingester:
    """Takes what the streams below `root` have to give. Used by one thread."""

    def __init__(self, engine: Engine, root: Path, disk: Disk, *, most: int = MOST) -> None:
        self._engine = engine
        self._root = root
        self._disk = disk
        self._known: dict[tuple[int, int], StreamPosition] = {}
        self._last: tuple[int, int] = (0, 0)
        self._groups = MOST_GROUPS // 16
        self._most = most
        self._pending: _Pending | None = None
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

    @property
    def reads_on(self) -> bool:
        """Whether something was read that is not committed yet."""
        return self._pending is not None

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
        """Read on in one stream, in turn, and commit when that is due; False: nothing to take anywhere. Raises nothing:
        what goes wrong with a stream stands in `damaged` (for good) or `stuck` (tried again)."""
        for stream in [self._pending.stream] if self._pending is not None else self._in_turn():
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

    def _in_turn(self) -> list[tuple[int, int]]:
        streams = self.open_streams()
        later = [stream for stream in streams if stream > self._last]
        return later + [stream for stream in streams if stream <= self._last]

    def drain(self, now: Instant, most: int = 1_000_000) -> int:
        """Take everything there is, at most `most` batches; how many there were."""
        for done in range(most):
            if not self.step(now):
                return done
        return most

    def _take(self, stream: tuple[int, int], now: Instant) -> bool:
        """Read on; commit where the stream gives no more for now, or enough was read. False: there was nothing."""
        pending, self._pending = self._pending, None  # whatever goes wrong, it is read again
        reads_on = pending is not None
        if pending is None:
            pending = self._begin(stream, now)
        try:
            frames, position, more = self._read(pending.path, pending.position)
        except JournalDamaged:
            if not pending.folding.records:
                raise
            frames, position, more = [], pending.position, False  # what stands before the damage counts
        if frames:
            pending.first_seq = pending.first_seq or frames[0].first_seq
            for frame in frames:
                pending.folding.take(frame.records)
            pending.position = position
            more = more or reads_on  # a segment's last window is small, and the next segment may be there
        folding = pending.folding
        if not folding.records:
            return False
        enough = folding.groups >= self._groups or folding.records >= self._most or now - pending.began >= HELD
        if more and not enough and not folding.sealed:
            self._pending = pending
            self.full = True
            return True
        self._finish(pending, now)
        self.full = more or enough
        return True

    def _begin(self, stream: tuple[int, int], now: Instant) -> "_Pending":
        path, before = stream_directory(self._root, *stream), self._known.get(stream)
        start = Position(before.segment, before.offset) if before else self._first(path)
        return _Pending(stream=stream, path=path, before=before, start=start, position=start, began=now)

    def _finish(self, pending: "_Pending", now: Instant) -> None:
        started = time.thread_time()
        batch, before, position = pending.folding.batch(), pending.before, pending.position
        slot, epoch = pending.stream
        after = StreamPosition(
            slot=slot, epoch=epoch, segment=position.segment, offset=position.offset,
            records=batch.records + (before.records if before else 0),
            endings=batch.endings + (before.endings if before else 0),
            last_at=max(batch.last_at, before.last_at if before else 0), sealed=batch.sealed,
        )  # fmt: skip
        self._commit(pending, after, batch, now)
        self._adapt(len(batch.groups), time.thread_time() - started)
        self._known[pending.stream] = after
        self.endings += batch.endings
        self.records += batch.records

    def _read(self, path: Path, start: Position) -> tuple[list[Frame], Position, bool]:
        """Some whole frames, synced, the position behind them, and whether there is probably more: a window was full.
        Where one window holds more than a commit takes, the rest is kept for the next time."""
        kept, self._ahead = self._ahead, None
        if kept is not None and kept.path == path and kept.start == start:
            frames, position, more = kept.frames, kept.position, kept.more
        else:
            frames, position = whole_frames(self._disk, path, start, sync=True)
            more = bool(frames) and frames[-1].end - frames[0].offset >= WINDOW_BYTES // 2
        count = 0
        for cut, frame in enumerate(frames):
            count += len(frame.records)
            if count >= max(FEWEST, self._groups) and cut + 1 < len(frames):
                middle = Position(position.segment, frame.end)
                self._ahead = _Ahead(path, middle, frames[cut + 1 :], position, more)
                return frames[: cut + 1], middle, True
        return frames, position, more

    def _adapt(self, groups: int, seconds: float) -> None:
        """Many customers in one commit make it slow: take fewer next time, more again when it is quick."""
        if groups >= FEWEST:
            fitting = int(groups * COMMIT_SECONDS / max(seconds, 0.001))
            self._groups = max(FEWEST, min(fitting, 2 * self._groups, MOST_GROUPS))

    def _commit(self, pending: "_Pending", after: StreamPosition, batch: Batch, now: Instant) -> None:
        slot, epoch = after.slot, after.epoch
        with write(self._engine) as conn:
            tables.advance(conn, pending.before, after)
            tables.add(conn, slot, epoch, batch)
            move(conn, slot, granted=batch.granted, returned=batch.returned, charged=batch.charged)
            charge_budgets(conn, batch.budgets)
            taken = in_stretches(
                batch.taken, cuts_of(conn, batch.taken), lambda _hours: charges_of(self._again(pending))
            )
            name = f"usage/w{slot}-{epoch:06d}/{pending.first_seq}"
            post_charges(conn, name, now, batch.charges, batch.costs, taken=taken)
            after_charges(conn, {balance for balance, _, _ in batch.charges}, batch.budgets, now)

    def _again(self, pending: "_Pending") -> Iterator[bytes]:
        """The records of a commit, read once more: few commits ask for them one by one."""
        position = pending.start
        while position < pending.position:
            frames, position = whole_frames(self._disk, pending.path, position, sync=False)
            if not frames:
                raise JournalFailed(f"{pending.path} has lost what was read of it just now")
            for frame in frames:
                if (position.segment, frame.offset) < pending.position:
                    yield from frame.records

    def _first(self, path: Path) -> Position:
        """The oldest segment that is still there."""
        return Position(next(iter(segments(self._disk, path)), 1), 0)
