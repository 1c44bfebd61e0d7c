"""Heartbeats in shared memory: one 8-byte cell per child, written by the child, read by the parent.

CLOCK_MONOTONIC is one clock for all processes of a machine, so a cell holds the nanoseconds of the last beat.
"""

import mmap
import os
import time
from collections.abc import Callable

CELLS = 1024  # far more than there are processes, also while generations of 64 workers overlap
_BYTES = CELLS * 8


def create() -> int:
    """File descriptor of a new, zeroed board of cells."""
    fd = os.memfd_create("entrepot-heartbeat", os.MFD_CLOEXEC)
    os.ftruncate(fd, _BYTES)
    return fd


class Board:
    """The cells behind a descriptor; `last(i)` is 0 until the first beat."""

    def __init__(self, fd: int) -> None:
        self._cells = memoryview(mmap.mmap(fd, _BYTES)).cast("q")

    def beat(self, cell: int) -> None:
        self._cells[cell] = time.monotonic_ns()

    def beater(self, cell: int) -> Callable[[], None]:
        """A function that beats one cell; cheap enough for every turn of a loop."""
        cells, now = self._cells, time.monotonic_ns

        def beat() -> None:
            cells[cell] = now()

        return beat

    def last(self, cell: int) -> int:
        return self._cells[cell]
