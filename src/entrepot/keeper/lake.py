"""Final segments → files of the lake, in a process of its own: `python -m entrepot.keeper.lake DATA SEGMENT …`.

A segment is named `w1-000001-000003`. It prints one JSON line per file, for the manifest. The keeper stays small: only
here DuckDB is loaded.
"""

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from operator import attrgetter
from pathlib import Path
from typing import Any

import msgspec

from entrepot.journal.files import (
    Entry,
    Position,
    RealDisk,
    scan,
    scan_frames,
    segment_finished,
    segments,
    stream_directory,
)
from entrepot.kernel.buckets import BUCKETS
from entrepot.kernel.errors import EntrepotError
from entrepot.kernel.instants import Instant
from entrepot.metering.record import Ending, Kind, Terms
from entrepot.metering.tables import LakeFile, StreamPosition
from entrepot.storage.folder import Folder

_decode_terms = msgspec.msgpack.Decoder(Terms).decode
_LARGEST = 2**63 - 1
_LakeEnding: Any = msgspec.defstruct(
    "_LakeEnding",
    [(field.name, msgspec.Raw if field.name == "terms" else field.type) for field in msgspec.structs.fields(Ending)],
    array_like=True, gc=False,
)  # fmt: skip
_decode: Callable[[bytes], list[Any]] = msgspec.msgpack.Decoder(list[_LakeEnding]).decode
#: Rows that become columns at a time: few enough to stay in the processor's memory.
_AT_ONCE = 1024
Segment = tuple[int, int, int]


class LakeAmount(EntrepotError):
    """Money of one attempt that no file of the lake can hold exactly."""

    code = "lake_amount"


def name_of(segment: Segment) -> str:
    return f"w{segment[0]}-{segment[1]:06d}-{segment[2]:06d}"


def from_name(name: str) -> Segment:
    slot, epoch, segment = name.split("-")
    return int(slot[1:]), int(epoch), int(segment)


def path_of(segment: Segment) -> str:
    """Where the file of a segment lies, below DATA/lake."""
    return f"w{segment[0]}/{segment[1]:06d}/{segment[2]:06d}.parquet"


def due(positions: Mapping[tuple[int, int], StreamPosition], done: set[Segment], root: Path) -> list[Segment]:
    """Segments that the rollup has passed for good and that have no file yet."""
    disk, found = RealDisk(), []
    for (slot, epoch), position in sorted(positions.items()):
        last = position.segment if position.sealed else position.segment - 1
        if (slot, epoch, last) in done or last < 1:
            continue
        found += [
            (slot, epoch, number)
            for number in segments(disk, stream_directory(root, slot, epoch))
            if number <= last and (slot, epoch, number) not in done
        ]
    return found


def entries_of(root: Path, segment: Segment) -> Iterator[Entry]:
    """Every record of one segment."""
    slot, epoch, number = segment
    for entry in scan(root, slot, epoch, Position(number, 0)):
        if entry.segment != number:
            return
        yield entry


def records_of(root: Path, segment: Segment) -> Iterator[bytes]:
    """As `entries_of`, without their places."""
    slot, epoch, number = segment
    for found, frame in scan_frames(root, slot, epoch, Position(number, 0)):
        if found != number:
            return
        yield from frame.records


class SegmentRows:
    """The endings among the records of one segment as the lake wants them (`storage.lake.Rows`); counts while they
    pass."""

    def __init__(self, segment: Segment, records: Iterable[bytes]) -> None:
        self.slot, self.epoch, _ = segment
        self._records = records
        self._terms: dict[bytes, int] = {}
        self.count = 0
        self.first_at: Instant = 0
        self.last_at: Instant = 0

    def attempts(self) -> Iterator[Sequence[Sequence[Any]]]:
        """Columns of some rows at a time. Terms stay undecoded: they repeat, so each goes by its number."""
        ending = int(Kind.ENDING)
        endings = (record[1:] for record in self._records if record[0] == ending)
        while some := list(islice(endings, _AT_ONCE)):
            yield self._columns(_decode(b"".join((b"\xdd", len(some).to_bytes(4, "big"), *some))))

    def _columns(self, rows: list[Any]) -> Sequence[Sequence[Any]]:
        values = zip(*map(msgspec.structs.astuple, rows), strict=True)
        columns: dict[str, Sequence[Any]] = dict(zip(Ending.__struct_fields__, values, strict=True))
        for name in ("charge", "cost", "hold", "overrun"):
            if max(columns[name]) > _LARGEST:
                request = next(e.request for e in rows if getattr(e, name) > _LARGEST)
                raise LakeAmount(f"{request}: {name} is an amount beyond 64 bits, which the lake's files are made from")
        admitted = columns["admitted_at"]
        self.count += len(rows)
        self.first_at = min(self.first_at or admitted[0], *admitted)
        self.last_at = max(self.last_at, *admitted)
        columns["unrated"] = [",".join([BUCKETS[i] for i in each]) if each else "" for each in columns["unrated"]]
        columns["usage"] = [each.decode("utf-8", "replace") for each in columns["usage"]]
        numbers, terms = self._terms, map(bytes, columns.pop("terms"))
        charged, billed = (zip(*columns.pop(name), strict=True) for name in ("charged", "quantities"))
        return [*columns.values(), *charged, *billed, [numbers.setdefault(each, len(numbers)) for each in terms]]

    def terms(self) -> Sequence[Sequence[Any]]:
        """Columns of the terms seen. Large numbers go as text."""
        rows = [_decode_terms(data) for data in self._terms]
        columns = {name: list(map(attrgetter(name), rows)) for name in Terms.__struct_fields__}
        for name in ("den", "cost_den"):
            columns[name] = list(map(str, columns[name]))
        for name in ("rates", "cost_rates"):
            columns[name] = [str(list(each)) for each in columns[name]]
        for name in ("budgets", "watched"):
            columns[name] = list(map(",".join, columns.pop(name)))  # the last of a file
        return [list(self._terms.values()), *columns.values()]


def write(folder: Folder, segment: Segment) -> LakeFile:
    """Write one segment's file; the same segment gives the same rows again."""
    from entrepot.storage import lake

    slot, epoch, number = segment
    if not segment_finished(RealDisk(), stream_directory(folder.journal, slot, epoch), number):
        raise ValueError(f"segment {name_of(segment)} may still grow")
    rows = SegmentRows(segment, records_of(folder.journal, segment))
    size, digest = lake.write_file(folder.lake / path_of(segment), rows)
    return LakeFile(
        slot=slot, epoch=epoch, segment=number, path=path_of(segment), rows=rows.count, size=size, sha256=digest,
        first_at=rows.first_at, last_at=rows.last_at,
    )  # fmt: skip


def remove_orphans(folder: Folder, listed: Iterable[LakeFile]) -> list[str]:
    """Delete what is in the lake and not in the manifest: its process died before the row was committed."""
    known = {file.path for file in listed}
    gone = []
    for path in sorted(folder.lake.rglob("*")):
        name = path.relative_to(folder.lake).as_posix()
        if path.is_file() and name not in known:
            path.unlink()
            gone.append(name)
    return gone


def main(argv: list[str]) -> int:
    folder = Folder(Path(argv[1]))
    for name in argv[2:]:
        sys.stdout.buffer.write(msgspec.json.encode(write(folder, from_name(name))) + b"\n")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
