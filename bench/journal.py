"""CPU and latency of the journal: records appended by a loop that keeps so many outstanding.

    .venv/bin/python bench/journal.py [--records 20000] [--size 700] [--folder DIR]

For every number of outstanding appends: CPU of the loop's thread and of the writer's thread per record, records per
commit, latency from append to callback. `--busy` adds work to each callback (µs), as a gateway's loop would do.
"""

import argparse
import asyncio
import sys
import tempfile
import threading
import time
from pathlib import Path

import uvloop

from entrepot.journal.disk import RealDisk
from entrepot.journal.slots import Slot
from entrepot.journal.writer import Journal


def thread_clock(thread: threading.Thread) -> float:
    assert thread.ident is not None
    return time.clock_gettime(time.pthread_getcpuclockid(thread.ident))


async def measure(root: Path, outstanding: int, records: int, size: int, busy: float) -> str:
    loop = asyncio.get_running_loop()
    disk = RealDisk()
    slot = Slot.acquire(disk, root)
    journal = Journal(disk, slot, slot.next_epoch(), loop, carry=lambda: [b"\x08carry"], failed=sys.exit)
    journal.start([b"\x08carry"])
    done = loop.create_future()
    record = b"\x01" + bytes(size - 1)
    waits: list[float] = []
    left = records
    ended = 0

    def begin() -> None:
        nonlocal left
        left -= 1
        started = time.perf_counter()

        def durable() -> None:
            nonlocal ended
            now = time.perf_counter()
            waits.append(now - started)
            ended += 1
            while busy and time.perf_counter() - now < busy:
                pass
            if left > 0:
                begin()
            elif ended == records:
                done.set_result(None)

        journal.append(record, durable)

    await asyncio.sleep(0.5)  # the second segment is being prepared
    writer = journal._threads[0]
    wall, own, other = time.perf_counter(), time.thread_time(), thread_clock(writer)
    for _ in range(outstanding):
        begin()
    await done
    wall, own, other = time.perf_counter() - wall, time.thread_time() - own, thread_clock(writer) - other
    frames = list(journal._frames)
    commits = sum(frame.records for frame in frames) / len(frames)
    journal.close(b"\x09seal")
    slot.release()
    waits.sort()
    return (
        f"{outstanding:>11} {own / records * 1e6:>9.2f} {other / records * 1e6:>9.2f}"
        f" {(own + other) / records * 1e6:>9.2f} {records / wall:>10,.0f}"
        f" {waits[records // 2] * 1e6:>9,.0f} {waits[records * 99 // 100] * 1e6:>9,.0f} {commits:>8.1f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--records", type=int, default=20_000)
    parser.add_argument("--size", type=int, default=700)
    parser.add_argument("--busy", type=float, default=0.0, help="µs of work in each callback")
    parser.add_argument("--folder", type=Path, default=None)
    parser.add_argument("--switch", type=float, default=0.005, help="the interpreter's switch interval, seconds")
    given = parser.parse_args()
    sys.setswitchinterval(given.switch)
    print("outstanding   loop µs writer µs   both µs  records/s    p50 µs    p99 µs  a commit")
    for outstanding in (1, 4, 16, 64, 256):
        with tempfile.TemporaryDirectory(dir=given.folder) as folder:
            count = max(500, given.records // (64 // min(outstanding, 64)))
            print(uvloop.run(measure(Path(folder), outstanding, count, given.size, given.busy / 1e6)))


if __name__ == "__main__":
    main()
