"""A process with a journal, to be killed or starved: `journal_worker.py write|recover FOLDER` or `full FOLDER FILLER`.

`write` appends toy records (see journal_crashes) and says on its standard output which are durable, one number a line.
`full` runs in a small file system that it fills with FILLER, and says in JSON how it went.
"""

import asyncio
import contextlib
import itertools
import json
import os
import struct
import sys
from pathlib import Path

from entrepot.journal.disk import RealDisk
from entrepot.journal.slots import Slot, seal_stream
from entrepot.journal.writer import Journal
from journal_crashes import SEAL, carry_of, carry_part, close

SEGMENT_BYTES = 256 * 1024
_id = struct.Struct("<I")


def recover(root: Path) -> Slot:
    disk = RealDisk()
    slot = Slot.acquire(disk, root, 1)
    for epoch in slot.unsealed():
        seal_stream(disk, slot, epoch, close, SEAL, carry_part=carry_part)
    return slot


async def write(root: Path) -> None:
    """For ever: 32 calls at a time, each an intent and, when that is durable, its ending."""
    slot = recover(root)
    epoch = slot.next_epoch()
    ids = itertools.count(epoch * 1_000_000)
    open_now: set[int] = set()
    failed = asyncio.get_running_loop().create_future()
    journal = Journal(
        RealDisk(), slot, epoch, asyncio.get_running_loop(), carry=lambda: carry_of(sorted(open_now), 2),
        failed=failed.set_exception, segment_bytes=SEGMENT_BYTES,
    )  # fmt: skip

    def say(kind: int, one: int) -> None:
        os.write(1, b"%d %d\n" % (kind, one))

    def begin() -> None:
        one = next(ids)

        def durable() -> None:
            say(1, one)
            open_now.discard(one)
            journal.append(b"\x02" + _id.pack(one) + bytes(one % 900), lambda: (say(2, one), begin()))  # type: ignore[func-returns-value,arg-type,return-value]

        journal.append(b"\x01" + _id.pack(one) + bytes(one % 700), durable)
        open_now.add(one)

    journal.start(carry_of([], 1))
    for _ in range(32):
        begin()
    await failed


async def full(root: Path, filler: Path) -> None:
    """Admit while there is room, starve, end what is open, get space back, admit again."""
    slot = recover(root)
    loop = asyncio.get_running_loop()
    failures: list[BaseException] = []
    ids = itertools.count(1)
    open_now: list[int] = []
    journal = Journal(
        RealDisk(), slot, 1, loop, carry=lambda: carry_of(open_now, 1), failed=failures.append,
        segment_bytes=SEGMENT_BYTES,
    )  # fmt: skip
    journal.start(carry_of([], 1))
    durable = 0

    def count() -> None:
        nonlocal durable
        durable += 1

    async def admit(most: int) -> int:
        admitted = 0
        while admitted < most and journal.room(len(open_now)):
            open_now.append(next(ids))
            journal.append(b"\x01" + _id.pack(open_now[-1]) + bytes(1500), count)
            admitted += 1
            await asyncio.sleep(0.001)
        return admitted

    async with asyncio.timeout(20):
        while journal.prepared_segments < 1:
            await asyncio.sleep(0.01)
        fd = os.open(filler, os.O_WRONLY | os.O_CREAT)
        with contextlib.suppress(OSError):
            while True:
                os.write(fd, bytes(4096))
        os.close(fd)
        starved = await admit(10_000)
        while not journal.short_of_space:
            await asyncio.sleep(0.01)
        refused = not journal.room(len(open_now))
        ended = len(open_now)
        while open_now:
            journal.append(b"\x02" + _id.pack(open_now.pop()) + bytes(6000), count)
        while durable < starved + ended and not failures:
            await asyncio.sleep(0.01)
        still_short = journal.short_of_space
        filler.unlink()
        while not journal.room(0):
            await asyncio.sleep(0.01)
        again = await admit(5)
        while open_now:
            journal.append(b"\x02" + _id.pack(open_now.pop()), count)
    journal.close(SEAL)
    print(json.dumps({
        "starved_after": starved, "refused": refused, "ended": ended, "still_short": still_short, "again": again,
        "failures": [repr(failure) for failure in failures],
    }))  # fmt: skip


def main() -> None:
    what, root = sys.argv[1], Path(sys.argv[2])
    if what == "write":
        asyncio.run(write(root))
    elif what == "recover":
        recover(root)
    else:
        asyncio.run(full(root, Path(sys.argv[3])))


if __name__ == "__main__":
    main()
