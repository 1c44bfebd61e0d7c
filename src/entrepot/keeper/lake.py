"""Final segments → files of the lake, in a process of its own: `python -m entrepot.keeper.lake DATA SEGMENT …`.

A segment is named `w1-000001-000003`. It prints one JSON line per file, for the manifest. The keeper stays small: only
here DuckDB is loaded.
"""

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from entrepot.journal.files import Entry, Position, RealDisk, scan, segment_finished, segments, stream_directory
from entrepot.kernel.buckets import BUCKETS
from entrepot.kernel.errors import EntrepotError
from entrepot.kernel.instants import Instant
from entrepot.metering.record import Ending, Kind, Terms
from entrepot.metering.tables import LakeFile, StreamPosition
from entrepot.storage.folder import Folder

_encode = msgspec.json.Encoder().encode
_decode_terms = msgspec.msgpack.Decoder(Terms).decode
_LARGEST = 2**63 - 1
_decode: Callable[[memoryview], Any] = msgspec.msgpack.Decoder(msgspec.defstruct(
    "_LakeEnding",
    [(field.name, msgspec.Raw if field.name == "terms" else field.type) for field in msgspec.structs.fields(Ending)],
    array_like=True, gc=False,
)).decode  # fmt: skip
_PLAIN = [name for name in Ending.__struct_fields__[1:] if name not in {"quantities", "charged", "terms"}]
_Row: Any = msgspec.defstruct("_Row", ["seq", *_PLAIN, "charged", "billed", "terms"], gc=False)
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


class SegmentRows:
    """The endings of one segment as the lake wants them (`storage.lake.Rows`); counts while they pass."""

    def __init__(self, segment: Segment, entries: Iterable[Entry]) -> None:
        self.slot, self.epoch, _ = segment
        self._entries = entries
        self._terms: dict[bytes, int] = {}
        self.count = 0
        self.first_at: Instant = 0
        self.last_at: Instant = 0

    def attempts(self) -> Iterator[bytes]:
        """JSON lines. Terms stay undecoded: they repeat, so each goes by its number."""
        numbers, ending = self._terms, int(Kind.ENDING)
        for entry in self._entries:
            if entry.record[0] != ending:
                continue
            e = _decode(memoryview(entry.record)[1:])
            if max(e.charge, e.cost, e.hold, e.overrun) > _LARGEST:
                raise LakeAmount(f"{e.request}: an amount beyond 64 bits, which JSON readers would round")
            terms = bytes(e.terms)
            number = numbers.get(terms)
            if number is None:
                numbers[terms] = number = len(numbers)
            self.count += 1
            if e.admitted_at < self.first_at or not self.first_at:
                self.first_at = e.admitted_at
            if e.admitted_at > self.last_at:
                self.last_at = e.admitted_at
            yield _encode(_Row(
                e.attempt_seq, e.request, e.attempt, e.admitted_at, e.sent_at, e.first_at, e.ended_at, e.operation,
                e.stream, e.state, e.source, e.status, e.reason, e.charge, e.cost, e.hold, e.overrun,
                ",".join([BUCKETS[i] for i in e.unrated]), e.input_bound, e.output_cap, e.service_tier, e.vendor_model,
                e.vendor_request, e.usage.decode("utf-8", "replace"), e.events, e.size, e.charged, e.quantities, number,
            ))  # fmt: skip

    def terms(self) -> Iterator[bytes]:
        """JSON lines of the terms seen. Large numbers go as text."""
        for data, number in self._terms.items():
            t = _decode_terms(data)
            yield _encode({
                **msgspec.structs.asdict(t), "number": number, "den": str(t.den), "cost_den": str(t.cost_den),
                "rates": str(list(t.rates)), "cost_rates": str(list(t.cost_rates)),
                "budgets": ",".join(t.budgets), "watched": ",".join(t.watched),
            })  # fmt: skip


def write(folder: Folder, segment: Segment) -> LakeFile:
    """Write one segment's file; the same segment gives the same rows again."""
    from entrepot.storage import lake

    slot, epoch, number = segment
    if not segment_finished(RealDisk(), stream_directory(folder.journal, slot, epoch), number):
        raise ValueError(f"segment {name_of(segment)} may still grow")
    rows = SegmentRows(segment, entries_of(folder.journal, segment))
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
