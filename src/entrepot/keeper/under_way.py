"""Calls under way, as the journals know them: what they hold of which balance, and since when.

Reads each open stream back to its last complete carry, as sealing does; changes nothing and takes no lock.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from entrepot.journal.disk import Disk
from entrepot.journal.files import is_sealed, slot_directory, stream_directory
from entrepot.journal.slots import find_tail
from entrepot.kernel.instants import Instant
from entrepot.metering.closing import Standing, carry_part


class OpenCall(NamedTuple):
    """An intent without ending."""

    balance: str
    admitted_at: Instant
    hold: int


def calls_under_way(disk: Disk, root: Path) -> list[OpenCall]:
    """Of every stream that is not sealed. Raises JournalDamaged, StreamBroken."""
    found = []
    for name in disk.names(root):
        if name[:1] != "w" or not name[1:].isdigit():
            continue
        slot = int(name[1:])
        for epoch in [int(each) for each in disk.names(slot_directory(root, slot)) if each.isdigit()]:
            stream = stream_directory(root, slot, epoch)
            if not is_sealed(disk, stream):
                standing = Standing.of(find_tail(disk, stream, carry_part).records)
                found += [
                    OpenCall(intent.terms.balance, intent.admitted_at, intent.hold)
                    for intent, _ in standing.open.values()
                ]
    return found


def held_before(calls: Iterable[OpenCall], balance: str, end: Instant) -> int:
    """What calls that were admitted before an instant hold of a balance, in ledger units."""
    return sum(each.hold for each in calls if each.balance == balance and each.admitted_at < end)
