"""Ends the streams of workers that died and have no successor yet.

Only under the slot's lock: a worker that is merely stopped still holds it, and nothing of it is closed.
"""

import logging
from collections.abc import Callable, Container, Iterable, Sequence
from pathlib import Path

from entrepot.journal.disk import Disk, JournalDamaged, SlotTaken
from entrepot.journal.files import Position, is_sealed, slot_directory, stream_directory
from entrepot.journal.slots import Records, Slot, SlotQuarantined, seal_stream
from entrepot.kernel.instants import Instant
from entrepot.metering.closing import Standing, carry_part, close_open
from entrepot.metering.record import Grant, LeaseTotals, Return, Seal, to_bytes
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


def last_records(records: Records, now: Instant, granted: Iterable[LeaseTotals] = ()) -> list[bytes]:
    """Endings for what is open; then, since nobody may come to spend it, every lease goes back as far as it is free."""
    standing = Standing.of(records)
    endings = close_open(standing, now, charge)
    for data in endings:
        standing.fold(0, data)
    return endings + returns(standing, granted)


def returns(standing: Standing, granted: Iterable[LeaseTotals] = ()) -> list[bytes]:
    """Every lease goes back as far as it is free. What the keeper has granted (`granted`: its own totals) and the slot
    never heard of is first said to it: else that part would be nobody's. A lease that the slot has forgotten is left
    alone: its period is long over."""
    found: list[bytes] = []
    for known in granted:
        lease = standing.leases.get(known.balance) or LeaseTotals(known.balance, 0, 0, 0)
        if known.granted > lease.granted and known.charged <= lease.charged and known.returned <= lease.returned:
            found.append(to_bytes(Grant(known.balance, known.granted)))
            standing.granted(known.balance, known.granted)
    for lease in standing.leases.values():
        if lease.granted - lease.charged > lease.returned:
            found.append(to_bytes(Return(lease.balance, lease.granted - lease.charged)))
    return found


def only_returns(inherited: Records, now: Instant, granted: Iterable[LeaseTotals] = ()) -> list[bytes]:
    """All that a stream says which only gives back: a carry and the returns."""
    standing = Standing.of(inherited)
    return standing.carry() + returns(standing, granted)


def last_epoch(disk: Disk, root: Path, slot: int) -> int:
    """Of the slot's latest worker: a higher one means that it had a successor."""
    return max((int(each) for each in disk.names(slot_directory(root, slot)) if each.isdigit()), default=0)


def _sealed(disk: Disk, root: Path, slot: int, epoch: int) -> bool:
    return is_sealed(disk, stream_directory(root, slot, epoch))


def seal_slot(
    disk: Disk, root: Path, number: int, now: Instant, *, by: str, passed: Passed,
    granted: Callable[[int], Sequence[LeaseTotals]] = lambda _slot: (),
) -> int:  # fmt: skip
    """Seal every open stream of a slot that nobody holds, and return what is free in its leases; how many streams that
    took. A held or damaged slot is left alone.

    Where all are sealed and something is free (a successor sealed them and died before its first record), one more
    stream says so: carry, returns, seal. Either way it may crash anywhere and be repeated.
    `passed` tells how far a stream was read before: a journal that ends earlier has lost something. `granted` tells
    what the keeper's books say of the slot's leases.
    """
    try:
        slot = Slot.acquire(disk, root, number)
    except (SlotTaken, SlotQuarantined):
        return 0
    try:
        epochs, books = slot.unsealed(), granted(number)
        for epoch in epochs:
            seal_stream(
                disk,
                slot,
                epoch,
                lambda records: last_records(records, now, books),
                to_bytes(Seal(now, by)),
                carry_part=carry_part,
                passed=passed(number, epoch),
            )
        inherited = slot.inherited(carry_part)
        if not returns(Standing.of(inherited), books):
            return len(epochs)
        epoch = slot.next_epoch()
        disk.make_directory(slot.stream(epoch))
        disk.sync_directory(slot.path)
        seal_stream(
            disk, slot, epoch,
            lambda records: last_records(records, now) if records else only_returns(inherited, now, books),
            to_bytes(Seal(now, by)), carry_part=carry_part,
        )  # fmt: skip
        return len(epochs) + 1
    except JournalDamaged as damage:
        _log.error("%s", damage.message)
        return 0
    finally:
        slot.release()
