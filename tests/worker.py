"""A worker's side of the journal for tests: real slot, real stream, real files; calls are made up."""

import asyncio
from pathlib import Path
from typing import Any

import msgspec

from endings import AT, ending, terms
from entrepot.journal.disk import RealDisk
from entrepot.journal.slots import Slot, seal_stream
from entrepot.journal.writer import Journal
from entrepot.metering.closing import Standing, carry_part, close_open
from entrepot.metering.record import Ending, Grant, Intent, Record, Return, Seal, to_bytes
from entrepot.pricing.charge import charge


class Worker:
    """Holds a slot and appends to a new stream of it. Use inside a running loop."""

    def __init__(self, root: Path, number: int = 1, *, segment_bytes: int = 1 << 20, at: int = AT) -> None:
        root.mkdir(parents=True, exist_ok=True)
        disk = RealDisk()
        self.at = at
        self.slot = Slot.acquire(disk, root, number)
        for epoch in self.slot.unsealed():
            seal_stream(
                disk, self.slot, epoch, lambda records: close_open(Standing.of(records), at, charge) if records else [],
                to_bytes(Seal(at, "successor")), carry_part=carry_part,
            )  # fmt: skip
        inherited = self.slot.inherited(carry_part)
        self.standing = Standing.of(inherited) if inherited else Standing()
        self.epoch = self.slot.next_epoch()
        self.journal = Journal(
            disk, self.slot, self.epoch, asyncio.get_running_loop(),
            carry=self.standing.carry, failed=self._failed, segment_bytes=segment_bytes,
        )  # fmt: skip
        self.journal.start(self.standing.carry())

    def put(self, record: Record) -> int:
        data = to_bytes(record)
        seq = self.journal.append(data)
        self.standing.fold(seq, data)
        return seq

    def grant(self, balance: str, total: int) -> None:
        self.put(Grant(balance, total))

    def give_back(self, balance: str, total: int) -> None:
        self.put(Return(balance, total))

    def begin(self, hold: int = 100_000, **changes: Any) -> int:
        """An intent: its number."""
        what = changes.pop("terms", None) or terms()
        return self.put(Intent(
            request=changes.pop("request", f"req_{self.epoch:013d}{self.journal._seq:013d}"), attempt=1,
            admitted_at=self.at,
            operation="chat", stream=False, hold=hold, input_bound=100, output_cap=100, terms=what,
        ))  # fmt: skip

    def end(self, seq: int, tokens: tuple[int, int] = (41, 23), **changes: Any) -> Ending:
        intent = self.standing.open[seq][0]
        facts = {"request": intent.request, "hold": intent.hold, "terms": intent.terms}
        record = ending(seq, tokens, admitted_at=intent.admitted_at, **{**facts, **changes})
        self.put(record)
        return record

    def call(self, tokens: tuple[int, int] = (41, 23), **changes: Any) -> Ending:
        """A whole attempt."""
        what = {name: changes.pop(name) for name in ("terms", "request") if name in changes}
        return self.end(self.begin(**what), tokens, **changes)

    async def durable(self) -> None:
        """Wait until everything appended so far is on disk."""
        done = asyncio.Event()
        self.journal.append(to_bytes(Grant("", 0)), done.set)
        await done.wait()

    def close(self) -> None:
        self.journal.close(to_bytes(Seal(self.at, "worker")))
        self.slot.release()

    async def crash(self) -> None:
        """Leave the stream unsealed, the lock free."""
        await self.durable()
        self.journal._failed = lambda _error: None
        self.journal._closing = True
        self.journal._failure = RuntimeError("crash")
        self.journal._queue.put(None)
        self.journal._nudge.set()
        self.journal._stocked.set()
        for thread in self.journal._threads:
            thread.join()
        self.slot.release()

    def _failed(self, error: BaseException) -> None:
        raise error


def changed(record: Ending, **changes: Any) -> Ending:
    return msgspec.structs.replace(record, **changes)
