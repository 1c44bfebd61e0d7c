"""The one writer of the database: a thread with a queue, grants first. When nobody asks for anything it ingests."""

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from enum import IntEnum
from itertools import count
from queue import Empty, PriorityQueue
from typing import Any, TypeVar

from entrepot.kernel.errors import EntrepotError

_T = TypeVar("_T")
_log = logging.getLogger(__name__)

#: How long the thread sleeps when the journals have nothing new: usage is at most this and one batch behind.
LOOK_SECONDS = 0.15
#: Jobs waiting at once. Gateways ask for a balance once at a time, so this is thousands of customers running dry.
MOST_WAITING = 10_000


class Rank(IntEnum):
    """Lower goes first."""

    GRANT = 0
    COMMAND = 1
    UPKEEP = 2
    LAST = 3


class WriterBusy(EntrepotError):
    """The queue of the writer is full."""

    code = "keeper_busy"
    retryable = True


class Writer:
    """Runs jobs one after the other in its thread. `idle` is called when none waits; True: call again at once."""

    def __init__(self, idle: Callable[[], bool]) -> None:
        self._idle = idle
        self._jobs: PriorityQueue[tuple[int, int, Callable[[], Any] | None, Future[Any] | None]] = PriorityQueue()
        self._numbers = count()
        self._thread = threading.Thread(target=self._run, name="writer", daemon=True)
        self._since = 0.0
        self.failed: BaseException | None = None

    def start(self) -> None:
        self._thread.start()

    def submit(self, rank: Rank, job: Callable[[], _T]) -> "Future[_T]":
        """Put a job into the queue; raises WriterBusy."""
        if self._jobs.qsize() >= MOST_WAITING:
            raise WriterBusy(f"{MOST_WAITING} changes wait already; ask again in a second")
        future: Future[_T] = Future()
        self._jobs.put((rank, next(self._numbers), job, future))
        return future

    def busy_seconds(self) -> float:
        """How long the current job or step has been running; 0: none."""
        since = self._since
        return time.monotonic() - since if since else 0.0

    def close(self, timeout: float) -> bool:
        """Finish what is in the queue, then end; False if it took longer."""
        self._jobs.put((Rank.LAST, next(self._numbers), None, None))
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        more = False
        while True:
            try:
                _, _, job, future = self._jobs.get(timeout=0.0 if more else LOOK_SECONDS)
            except Empty:
                more = self._look()
                continue
            if job is None or future is None:
                return
            self._since = time.monotonic()
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(job())
                except BaseException as error:  # noqa: BLE001 - the worker loop: whoever asked gets the error
                    future.set_exception(error)
            self._since = 0.0

    def _look(self) -> bool:
        self._since = time.monotonic()
        try:
            found = self._idle()
            self.failed = None
        except Exception as error:  # noqa: BLE001 - the worker loop: ingestion is tried again, grants go on
            if self.failed is None:
                _log.exception("ingestion failed; it is tried again")
            self.failed = error
            time.sleep(LOOK_SECONDS)
            found = False
        self._since = 0.0
        return found
