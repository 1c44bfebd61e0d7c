"""Bytes of the snapshot: `base-VERSION` and `delta-VERSION` files in DATA/snapshot.

A base holds every table: entries sorted by their id's bytes, found by binary search in the mapped file (numbers are
little-endian, as on every machine that we run on). A delta holds
what changed since the version before it. Each file ends with the CRC-32 of all before it, is written aside and renamed,
and names its version twice (in the name and inside), so that a half or foreign file is never taken for a version.

    base   MAGIC · u64 version · u32 tables · per table: u8 length, name, u32 count, u64 place of its index
           entries: u16 length of id, id, value
           index: per entry the first 8 bytes of its id as u64 · u64 place per entry and one for the end · u32 crc
    delta  MAGIC · u64 version · msgpack {table: {id: value or nil}} · u32 crc
"""

import mmap
import os
import struct
import zlib
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from pathlib import Path

import msgspec

from entrepot.kernel.errors import EntrepotError
from entrepot.storage.folder import write_whole

Tables = dict[str, dict[str, bytes]]
Changes = dict[str, dict[str, bytes | None]]

_BASE_MAGIC, _DELTA_MAGIC = b"entrepot snapshot base 1\n", b"entrepot snapshot delta 1\n"
_HEAD, _COUNT, _PLACE, _CRC = struct.Struct("<QI"), struct.Struct("<IQ"), struct.Struct("<Q"), struct.Struct("<I")
_ID = struct.Struct("<H")
_EMPTY: tuple[Sequence[int], Sequence[int]] = ((), (0,))
_changes = msgspec.msgpack.Decoder(Changes)
#: A new base is written when this many deltas lie on the last one, or when they hold more bytes than a quarter of it
#: (and more than 64 KiB): a reader starts from at most this much decoding.
DELTAS_PER_BASE = 64
_PART_OF_BASE, _SMALL = 4, 64 * 1024


class SnapshotBroken(EntrepotError):
    """A file of the snapshot is damaged, or there is none."""

    code = "snapshot_broken"


class Base:
    """One mapped base file, checked when opened."""

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            self._bytes = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        data = self._bytes
        if data[: len(_BASE_MAGIC)] != _BASE_MAGIC or not _whole(data):
            raise SnapshotBroken(f"{path} is damaged; the keeper writes a new one when it starts")
        self.version, tables = _HEAD.unpack_from(data, len(_BASE_MAGIC))
        at = len(_BASE_MAGIC) + _HEAD.size
        view = memoryview(data)
        self._tables: dict[str, tuple[Sequence[int], Sequence[int]]] = {}
        for _ in range(tables):
            end = at + 1 + data[at]
            count, index = _COUNT.unpack_from(data, end)
            starts = view[index : index + 8 * count].cast("Q")
            places = view[index + 8 * count : index + 16 * count + 8].cast("Q")
            self._tables[data[at + 1 : end].decode()] = starts, places
            at = end + _COUNT.size

    def tables(self) -> list[str]:
        return list(self._tables)

    def find(self, table: str, key: str) -> bytes | None:
        """The value under an id, or None."""
        starts, places = self._tables.get(table, _EMPTY)
        wanted = key.encode()
        row = self._first(starts, places, wanted)
        if row < len(starts):
            found, value = self._row(places, row)
            if found == wanted:
                return value
        return None

    def starting_with(self, table: str, prefix: str) -> dict[str, bytes]:
        """Every entry whose id starts with `prefix`, in order."""
        starts, places = self._tables.get(table, _EMPTY)
        wanted, found = prefix.encode(), {}
        for row in range(self._first(starts, places, wanted), len(starts)):
            key, value = self._row(places, row)
            if not key.startswith(wanted):
                break
            found[key.decode()] = value
        return found

    def _first(self, starts: Sequence[int], places: Sequence[int], wanted: bytes) -> int:
        """The first row whose id is not before `wanted`: by its first eight bytes, then among those that share them."""
        start = _start(wanted)
        low = bisect_left(starts, start)
        high = bisect_right(starts, start, low)
        while low < high:
            middle = (low + high) >> 1
            if self._row(places, middle)[0] < wanted:
                low = middle + 1
            else:
                high = middle
        return low

    def _row(self, places: Sequence[int], row: int) -> tuple[bytes, bytes]:
        at, end = places[row], places[row + 1]
        start = at + 2 + _ID.unpack_from(self._bytes, at)[0]
        return self._bytes[at + 2 : start], self._bytes[start:end]


def write_base(where: Path, version: int, tables: Tables) -> None:
    """Publish a whole version. The base before it stays, for readers that are just opening it."""
    write_whole(where / f"base-{version:012d}", _sealed(_base_bytes(version, tables)))


def write_delta(where: Path, version: int, changes: Changes) -> None:
    """Publish a version as what changed since version - 1."""
    body = _DELTA_MAGIC + _PLACE.pack(version) + msgspec.msgpack.encode(changes)
    write_whole(where / f"delta-{version:012d}", _sealed(body))


def read_delta(path: Path, version: int) -> Changes:
    """Changes of one delta; raises SnapshotBroken if it is not whole or not of this version."""
    data = path.read_bytes()
    start = len(_DELTA_MAGIC) + _PLACE.size
    if data[: len(_DELTA_MAGIC)] != _DELTA_MAGIC or not _whole(data):
        raise SnapshotBroken(f"{path} is damaged; the keeper writes a new snapshot when it starts")
    if _PLACE.unpack_from(data, len(_DELTA_MAGIC))[0] != version:
        raise SnapshotBroken(f"{path} is another version's file")
    return _changes.decode(data[start : -_CRC.size])


def publish(where: Path, tables: Tables) -> int:
    """Publish `tables` as the next version and return it; if nothing changed, the version that stands."""
    bases, deltas = listing(where)
    newest = max((*bases, *deltas), default=0)
    try:
        version, standing = read_tables(where)
    except SnapshotBroken:
        version, standing = 0, {}
    if version < newest or not bases:  # nothing, or a damaged file: numbers are not used again, a whole base stands
        write_base(where, newest + 1, tables)
        return newest + 1
    changes = difference(standing, tables)
    if not changes:
        return version
    version += 1
    later = [each for each in deltas if each > bases[-1]]
    size = sum((where / f"delta-{each:012d}").stat().st_size for each in later)
    base_size = (where / f"base-{bases[-1]:012d}").stat().st_size
    if len(later) >= DELTAS_PER_BASE or size > max(base_size // _PART_OF_BASE, _SMALL):
        write_base(where, version, tables)
        _remove_before(where, bases[-1])
    else:
        write_delta(where, version, changes)
    return version


def difference(before: Tables, after: Tables) -> Changes:
    """What turns `before` into `after`; None takes an entry away."""
    changes: Changes = {}
    for table in {*before, *after}:
        old, new = before.get(table, {}), after.get(table, {})
        changed: dict[str, bytes | None] = {key: value for key, value in new.items() if old.get(key) != value}
        changed.update(dict.fromkeys(old.keys() - new.keys()))
        if changed:
            changes[table] = changed
    return changes


def read_tables(where: Path) -> tuple[int, Tables]:
    """The standing version and everything in it; raises SnapshotBroken if there is none."""
    base, changes, version = open_latest(where)
    tables: Tables = {}
    for table in {*base.tables(), *changes}:
        rows: dict[str, bytes | None] = {**base.starting_with(table, ""), **changes.get(table, {})}
        tables[table] = {key: value for key, value in rows.items() if value is not None}
    return version, tables


def listing(where: Path) -> tuple[list[int], list[int]]:
    """Versions of the bases and of the deltas that lie there, each in order."""
    found: dict[str, list[int]] = {"base": [], "delta": []}
    for name in os.listdir(where):
        kind, _, number = name.partition("-")
        if kind in found and number.isdigit():
            found[kind].append(int(number))
    return sorted(found["base"]), sorted(found["delta"])


def open_latest(where: Path) -> tuple[Base, Changes, int]:
    """The newest whole base, the changes of the deltas on it, and the version that they reach.

    A damaged delta ends the chain: the version before it stands. Raises SnapshotBroken where no base is whole.
    """
    for _ in range(3):  # a base may be removed between listing and opening, when two newer ones came meanwhile
        bases, deltas = listing(where)
        base = next(filter(None, (_opened(where, version) for version in reversed(bases))), None)
        if base is None:
            continue
        version, known, changes = base.version, set(deltas), Changes()
        while version + 1 in known:
            try:
                apply_changes(changes, read_delta(where / f"delta-{version + 1:012d}", version + 1))
            except (SnapshotBroken, FileNotFoundError):
                break
            version += 1
        return base, changes, version
    raise SnapshotBroken(f"there is no whole snapshot in {where}; the keeper writes one when it starts")


def apply_changes(changes: Changes, later: Changes) -> None:
    """Lay later changes over earlier ones, in place."""
    for table, rows in later.items():
        changes.setdefault(table, {}).update(rows)


def _opened(where: Path, version: int) -> Base | None:
    try:
        base = Base(where / f"base-{version:012d}")
    except (SnapshotBroken, FileNotFoundError, ValueError):  # ValueError: an empty file cannot be mapped
        return None
    return base if base.version == version else None


def _base_bytes(version: int, tables: Tables) -> bytearray:
    heads = sum(1 + len(table.encode()) + _COUNT.size for table in tables)
    body, head = bytearray(), bytearray(_BASE_MAGIC + _HEAD.pack(version, len(tables)))
    start = len(head) + heads
    for table in sorted(tables):
        places, starts = [], []
        for key, value in sorted((key.encode(), value) for key, value in tables[table].items()):
            starts.append(_start(key))
            places.append(start + len(body))
            body += _ID.pack(len(key)) + key + value
        places.append(start + len(body))
        name = table.encode()
        head += bytes((len(name),)) + name + _COUNT.pack(len(starts), start + len(body))
        body += struct.pack(f"<{len(starts) + len(places)}Q", *starts, *places)
    return head + body


def _start(key: bytes) -> int:
    """The first eight bytes as a number that sorts like them; of a shorter id, filled up with zeros."""
    return int.from_bytes(key[:8].ljust(8, b"\0"), "big")


def _remove_before(where: Path, version: int) -> None:
    bases, deltas = listing(where)
    for kind, numbers in (("base", bases), ("delta", deltas)):
        for number in numbers:
            if number < version:
                (where / f"{kind}-{number:012d}").unlink(missing_ok=True)


def _sealed(body: bytes | bytearray) -> bytes:
    return bytes(body) + _CRC.pack(zlib.crc32(body))


def _whole(data: bytes | mmap.mmap) -> bool:
    if len(data) < _CRC.size:
        return False
    with memoryview(data) as view:
        crc: int = _CRC.unpack_from(view, len(view) - _CRC.size)[0]
        return zlib.crc32(view[: -_CRC.size]) == crc
