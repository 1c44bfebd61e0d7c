"""Ends the streams of workers that died and have no successor yet.

Only under the slot's lock: a worker that is merely stopped still holds it, and nothing of it is closed.
"""

import logging
from collections.abc import Callable, Container
from pathlib import Path

from entrepot.journal.disk import Disk, JournalDamaged, SlotTaken
from entrepot.journal.files import Position, is_sealed, slot_directory, stream_directory
from entrepot.journal.slots import Records, Slot, SlotQuarantined, seal_stream
from entrepot.kernel.instants import Instant
from entrepot.metering.closing import Standing, carry_part, close_open
from entrepot.metering.record import Return, Seal, to_bytes
from entrepot.pricing.charge import charge

_log = logging.getLogger(__name__)
Passed = Callable[[int, int], Position | None]


def unsealed_slots(disk: Disk, root: Path, done: Container[tuple[int, int]] = ()) -> list[int]:
    """Slots with a stream that has not ended; streams in `done` are known to have."""
    found = []
    for name in disk.names(root):
        if name[:1] == "w" and name[1:].isdigit():
            slot = int(name[1:])
            epochs = [int(each) for each in disk.names(slot_directory(root, slot)) if each.isdigit()]
            if any((slot, epoch) not in done and not _sealed(disk, root, slot, epoch) for epoch in epochs):
                found.append(slot)
    return sorted(found)


def _last_records(records: Records, now: Instant) -> list[bytes]:
    """Endings for what is open; then, since nobody may come to spend it, every lease goes back as far as it is free."""
    standing = Standing.of(records)
    endings = close_open(standing, now, charge)
    for data in endings:
        standing.fold(0, data)
    return endings + _returns(standing)


def _returns(standing: Standing) -> list[bytes]:
    returns = [Return(lease.balance, lease.granted - lease.charged) for lease in standing.leases.values()]
    return [to_bytes(each) for each in returns if each.total > standing.leases[each.balance].returned]


def _only_returns(inherited: Records, now: Instant) -> Callable[[Records], list[bytes]]:
    """What a stream that only gives back lacks: its carry and the returns; with them, nothing."""

    def close(records: Records) -> list[bytes]:
        if records:
            return _last_records(records, now)
        standing = Standing.of(inherited)
        return standing.carry() + _returns(standing)

    return close


def last_epoch(disk: Disk, root: Path, slot: int) -> int:
    """Of the slot's latest worker: a higher one means that it had a successor."""
    return max((int(each) for each in disk.names(slot_directory(root, slot)) if each.isdigit()), default=0)


def _sealed(disk: Disk, root: Path, slot: int, epoch: int) -> bool:
    return is_sealed(disk, stream_directory(root, slot, epoch))


def seal_slot(disk: Disk, root: Path, number: int, now: Instant, *, by: str, passed: Passed) -> int:
    """Seal every open stream of a slot that nobody holds, and return what is free in its leases; how many streams that
    took. A held or damaged slot is left alone.

    Where all are sealed and something is free (a successor sealed them and died before its first record), one more
    stream says so: carry, returns, seal. Either way it may crash anywhere and be repeated.
    `passed` tells how far a stream was read before: a journal that ends earlier has lost something.
    """
    try:
        slot = Slot.acquire(disk, root, number)
    except (SlotTaken, SlotQuarantined):
        return 0
    try:
        epochs = slot.unsealed()
        for epoch in epochs:
            seal_stream(
                disk,
                slot,
                epoch,
                lambda records: _last_records(records, now),
                to_bytes(Seal(now, by)),
                carry_part=carry_part,
                passed=passed(number, epoch),
            )
        inherited = slot.inherited(carry_part)
        if not _returns(Standing.of(inherited)):
            return len(epochs)
        epoch = slot.next_epoch()
        disk.make_directory(slot.stream(epoch))
        disk.sync_directory(slot.path)
        close, seal = _only_returns(inherited, now), to_bytes(Seal(now, by))
        seal_stream(disk, slot, epoch, close, seal, carry_part=carry_part)
        return len(epochs) + 1
    except JournalDamaged as damage:
        _log.error("%s", damage.message)
        return 0
    finally:
        slot.release()
