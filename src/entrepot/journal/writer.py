"""The journal of one worker: append in the loop, commit in a thread, prepare segments in another.

One frame is one commit, and the next begins when the last is durable, with whatever has come meanwhile: no batching
window, never two in flight. The loop gets one wake-up a commit, with all its callbacks. `append` touches no lock: the
queue is filled by the loop alone and emptied by the writer alone, and counters have one writer each.
"""

import logging
import threading
from asyncio import AbstractEventLoop
from collections import deque
from collections.abc import Callable
from queue import Empty, SimpleQueue

from entrepot.journal.committer import FRAME_BYTES, Committed, Committer, Shelf
from entrepot.journal.disk import NO_SPACE, Disk, JournalFailed
from entrepot.journal.files import SEGMENT_BYTES
from entrepot.journal.frames import LARGEST_RECORD, OVERHEAD_BYTES
from entrepot.journal.slots import Slot
from entrepot.kernel.instants import MINUTE, Instant

ENDING_KIND = 2
#: An ending with its raw usage (≤ 4 KiB) fits, and so does an open intent in a carry: protocol §2.
ENDING_BYTES = 6 * 1024
CARRIED_BYTES = 2 * 1024
#: The first segment is small, so that a start waits for little.
FIRST_SEGMENT_BYTES = 4 * 1024 * 1024
#: A segment with an ending is sealed at this age, so that the lake is never much behind.
OLD = 10 * MINUTE
#: Records handed over and not durable yet: beyond it the disk hangs, and nothing new is admitted.
MOST_PENDING = 16_384
MOST_IN_FRAME = 4096
RETRY_SECONDS = 1.0
_RECENT_FRAMES = 4096
#: The next segment is due when less than this part of the current one is left: the carry is asked for between two
#: callbacks, and what those append has to fit meanwhile.
_LOW_PART = 16

_log = logging.getLogger(__name__)
_Item = tuple[bytes, Callable[[], None] | None]


class Journal:
    """Appends to the stream (slot, epoch). All methods are for the loop's thread."""

    def __init__(
        self,
        disk: Disk,
        slot: Slot,
        epoch: int,
        loop: AbstractEventLoop,
        *,
        carry: Callable[[], list[bytes]],
        failed: Callable[[BaseException], None],
        segment_bytes: int = SEGMENT_BYTES,
    ) -> None:
        """`carry` describes the stream as appended so far; it is asked between two callbacks of the loop, never inside
        `append`, so a caller may change its state and append in any order within one callback. `failed` is called
        once, in the loop, when the disk failed or a thread died: the worker has to end then, the next seals its slot.
        """
        self._disk = disk
        self._slot = slot
        self.epoch = epoch
        self._loop = loop
        self._carry = carry
        self._failed = failed
        self._segment_bytes = segment_bytes
        self._shelf = Shelf(disk, slot.stream(epoch))
        self._committer: Committer
        self._queue: SimpleQueue[_Item | None] = SimpleQueue()
        self._frames: deque[Committed] = deque(maxlen=_RECENT_FRAMES)
        self._threads: list[threading.Thread] = []
        self._nudge = threading.Event()  # to the preparer: look again
        self._stocked = threading.Event()  # from the preparer: a segment is ready, or there is nothing to wait for
        self._failure: BaseException | None = None
        self._closing = False
        self._seal = b""
        # written by the loop only
        self._seq = 1  # number of the next record
        self._left = -1  # bytes left in the current segment, if every record had a frame of its own
        self._low = 0  # below it the next segment is due
        self._turning = False
        self._marks: deque[int] = deque()  # the record with this number begins a segment
        self._rotations = 0
        self._carried = 0  # rotations that have their carry
        self._target = 1
        self._has_ending = False
        self._since: Instant = 0
        # written by the writer only
        self._durable_seq = 0
        # written by the preparer only
        self._prepared = 0
        self.short_of_space = False

    def start(self, first: list[bytes]) -> None:
        """Begin the stream with its carry. Waits for the first prepared segment (OSError: the disk is full)."""
        if not first:
            raise ValueError("a stream begins with its carry")
        self._disk.make_directory(self._shelf.stream)
        self._disk.sync_directory(self._slot.path)
        size = min(FIRST_SEGMENT_BYTES, self._segment_bytes)
        self._shelf.prepare(size)
        self._committer = Committer(self._shelf, self._shelf.ready.popleft(), 0, 1)
        self._left = size
        self._low = size // _LOW_PART
        for name, work in (("journal-writer", self._write), ("journal-preparer", self._prepare)):
            thread = threading.Thread(target=self._guarded, args=(work,), name=name, daemon=True)
            self._threads.append(thread)
        self._nudge.set()
        for thread in self._threads:
            thread.start()
        for record in first:
            self._put(record)

    def append(self, record: bytes, durable: Callable[[], None] | None = None) -> int:
        """Hand over a record; its number in the stream. `durable` runs in the loop once it is on disk, in order."""
        left = self._left - len(record) - OVERHEAD_BYTES
        if left < self._low or len(record) > LARGEST_RECORD:
            return self._append_near_the_end(record, durable)
        self._left = left
        if record[0] == ENDING_KIND:
            self._has_ending = True
        seq = self._seq
        self._seq = seq + 1
        self._queue.put((record, durable))
        return seq

    def room(self, open_calls: int) -> bool:
        """Whether one more call may begin: the endings of all open calls and its own fit into prepared space. While it
        is False nothing but endings, and what they need, should be appended (no checkpoints, no tallies)."""
        each = self._segment_bytes - self._segment_bytes // _LOW_PART - open_calls * CARRIED_BYTES
        space = self._left + (self._prepared - self._rotations) * each
        needed = (open_calls + 1) * ENDING_BYTES
        if space < 2 * needed and each > 0:  # prepare before it is short: a segment takes a good part of a second
            target = 1 + 2 * needed // each
            if target > self._target:
                self._target = target
                self._nudge.set()
        return space >= needed and self._seq - self._durable_seq <= MOST_PENDING

    def locate(self, seq: int) -> tuple[int, int] | None:
        """(segment, offset of the frame) of a durable record, if it is recent."""
        frames = self._frames
        for back in range(1, len(frames) + 1):
            frame = frames[-back]
            if frame.first_seq <= seq:
                return (frame.segment, frame.offset) if seq < frame.first_seq + frame.records else None
        return None

    @property
    def durable_seq(self) -> int:
        """Number of the last durable record."""
        return self._durable_seq

    @property
    def prepared_segments(self) -> int:
        """Segments that are ready behind the current one."""
        return self._prepared - self._rotations

    def rotate_if_old(self, now: Instant) -> bool:
        """Begin a new segment if this one holds an ending and is 10 minutes old. Call it every second."""
        if not self._since or not self._has_ending:
            self._since = now
            return False
        if now - self._since < OLD or self._prepared <= self._rotations or self._left < 0:
            return False
        self._rotate()
        return True

    def rotate_used(self) -> int:
        """Begin a new segment if this one holds an ending, whatever its age; the number of the one that grows now."""
        if self._has_ending and self._prepared > self._rotations and self._left >= 0:
            self._rotate()
        return self._rotations + 1

    def close(self, seal: bytes, patience: float = 5.0) -> None:
        """Drain, seal, cut; returns when the stream is sealed. Callbacks of the last records are still to run in the
        loop. Raises JournalFailed if it cannot within `patience` seconds: then the slot's next owner seals."""
        if not self._closing:
            self._closing = True
            self._left = -1
            self._seal = seal
            self._queue.put(None)
            self._nudge.set()
            self._stocked.set()
        for thread in self._threads:
            thread.join(patience)
        if self._failure is not None or any(thread.is_alive() for thread in self._threads):
            raise JournalFailed(f"the journal did not reach its seal: {self._failure or 'the disk hangs'}")

    # in the loop, rarely

    def _append_near_the_end(self, record: bytes, durable: Callable[[], None] | None) -> int:
        if self._failure is not None or self._closing or not self._threads:
            raise JournalFailed(f"the journal takes no record: {self._failure or 'it is not open'}")
        if len(record) > LARGEST_RECORD:
            raise ValueError(f"a record of {len(record):,} bytes; the largest is {LARGEST_RECORD:,}")
        if not self._turning:
            self._turning = True
            self._loop.call_soon(self._rotate)
        return self._put(record, durable)

    def _rotate(self) -> None:
        """Begin a segment with a carry; where a burst has begun one without, the carry comes now."""
        self._turning = False
        if self._failure is not None or self._closing:
            return
        if self._carried == self._rotations:
            if self._prepared <= self._rotations:
                return  # the rest of this segment is for endings; the next append asks again
            self._begin_segment()
        for record in self._carry():
            self._put(record)
        self._carried = self._rotations
        self._since = 0
        self._has_ending = False

    def _begin_segment(self) -> None:
        self._marks.append(self._seq)
        self._rotations += 1
        self._left = self._segment_bytes
        self._low = self._segment_bytes // _LOW_PART
        self._nudge.set()

    def _put(self, record: bytes, durable: Callable[[], None] | None = None) -> int:
        """Append without a new carry: a segment that is full is followed by another."""
        if len(record) + OVERHEAD_BYTES > self._left and self._left < self._segment_bytes:
            self._begin_segment()
        self._left = max(0, self._left - len(record) - OVERHEAD_BYTES)
        if record[0] == ENDING_KIND:
            self._has_ending = True
        seq = self._seq
        self._seq = seq + 1
        self._queue.put((record, durable))
        return seq

    # in the threads

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as failure:  # noqa: BLE001 - owner of the thread: any death is told to the worker
            first = self._failure is None
            self._failure = self._failure or failure
            self._left = -1  # the next append raises
            self._nudge.set()
            self._stocked.set()
            self._queue.put(None)
            if first:
                self._tell(self._failed, failure)

    def _tell(self, function: Callable[..., None], argument: object) -> None:
        try:
            self._loop.call_soon_threadsafe(function, argument)
        except RuntimeError:  # the loop is closed: nobody waits any more
            _log.warning("the loop ended before the journal: %r", argument if self._failure else "last callbacks")

    def _write(self) -> None:
        queue, marks = self._queue, self._marks
        get, get_nowait = queue.get, queue.get_nowait
        items: list[_Item] = []
        while (item := get()) is not None:
            items.append(item)
            total = len(item[0])
            ending = False
            try:
                for _ in range(MOST_IN_FRAME):
                    if total > FRAME_BYTES:
                        break
                    item = get_nowait()
                    if item is None:
                        ending = True
                        break
                    items.append(item)
                    total += len(item[0])
            except Empty:
                pass
            if self._failure is not None:
                return
            rotated = False
            while marks and marks[0] < self._committer.next_seq + len(items):
                before = marks[0] - self._committer.next_seq
                if before:
                    self._commit(items[:before])
                    items = items[before:]
                self._next_segment()
                marks.popleft()
                rotated = True
            self._commit(items)
            items = []
            if rotated:
                self._nudge.set()  # the one left behind is to be cut
            if ending:
                break
        if self._failure is None:
            self._nudge.set()
            self._threads[1].join()
            self._committer.append([self._seal])
            self._committer.finish()

    def _commit(self, items: list[_Item]) -> None:
        done = self._committer.commit([item[0] for item in items])
        self._frames.append(done)
        self._durable_seq = self._committer.next_seq - 1
        callbacks = [item[1] for item in items if item[1] is not None]
        if callbacks:
            self._tell(self._deliver, callbacks)

    def _deliver(self, callbacks: list[Callable[[], None]]) -> None:
        rest = iter(callbacks)
        while True:
            try:
                for callback in rest:
                    callback()
                return
            except Exception as error:  # noqa: BLE001 - owner of the callbacks: the others still run
                self._loop.call_exception_handler({"message": "a journal callback failed", "exception": error})

    def _next_segment(self) -> None:
        """Rotate, waiting for a prepared segment if the disk is full: endings wait, nothing is lost."""
        while not self._committer.rotate():
            self._stocked.clear()
            if not self._shelf.ready:
                self._nudge.set()
                self._stocked.wait(RETRY_SECONDS)
            if self._failure is not None or (self._closing and not self._shelf.ready and self.short_of_space):
                raise JournalFailed("no segment could be prepared: the disk is full")

    def _prepare(self) -> None:
        while True:
            self._nudge.wait(RETRY_SECONDS if self.short_of_space else 60.0)
            self._nudge.clear()
            if self._failure is not None:
                return
            if self._closing and not self._marks:
                return
            try:
                while self._prepared - self._rotations < self._target and (not self._closing or self._marks):
                    self._shelf.prepare(self._segment_bytes)
                    self._prepared += 1
                    self.short_of_space = False
                    self._stocked.set()
            except OSError as error:
                if error.errno not in NO_SPACE:
                    raise
                self.short_of_space = True
            self._committer.tidy()
