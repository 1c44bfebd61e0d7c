"""Final segments → files of the lake, in a process of its own: `python -m entrepot.keeper.lake DATA SEGMENT …`.

A segment is named `w1-000001-000003`. It prints one JSON line per file, for the manifest. The keeper stays small: only
here DuckDB is loaded.
"""

import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import msgspec

from entrepot.journal.files import Entry, Position, RealDisk, scan, segment_finished, segments, stream_directory
from entrepot.kernel.buckets import BUCKETS
from entrepot.metering.record import Ending, Kind, from_bytes
from entrepot.metering.tables import LakeFile, StreamPosition
from entrepot.storage.folder import Folder

_BILLED = tuple(f"billed_{name}" for name in BUCKETS)
_encode = msgspec.json.Encoder().encode
Segment = tuple[int, int, int]


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


def lines_of(segment: Segment, entries: Iterable[Entry]) -> Iterator[bytes]:
    """The endings among `entries` as JSON lines of the lake's columns."""
    slot, epoch, _ = segment
    for entry in entries:
        if entry.record[0] == Kind.ENDING:
            yield line_of(slot, epoch, from_bytes(entry.record))  # type: ignore[arg-type]


def line_of(slot: int, epoch: int, e: Ending) -> bytes:
    """One row. Amounts go as text: JSON readers turn large numbers into floats."""
    t = e.terms
    return _encode({
        "slot": slot, "epoch": epoch, "seq": e.attempt_seq, "request": e.request, "attempt": e.attempt,
        "admitted_at": e.admitted_at, "sent_at": e.sent_at, "first_at": e.first_at, "ended_at": e.ended_at,
        "operation": e.operation, "stream": e.stream, "state": e.state, "source": e.source, "status": e.status,
        "reason": e.reason,
        **dict(zip(BUCKETS, e.charged, strict=True)), **dict(zip(_BILLED, e.quantities, strict=True)),
        "charge": str(e.charge), "cost": str(e.cost), "hold": str(e.hold), "overrun": str(e.overrun),
        "unrated": ",".join(BUCKETS[i] for i in e.unrated), "input_bound": e.input_bound, "output_cap": e.output_cap,
        "service_tier": e.service_tier, "vendor_model": e.vendor_model, "vendor_request": e.vendor_request,
        "usage": e.usage.decode("utf-8", "replace"), "events": e.events, "size": e.size, "key": t.key,
        "customer": t.customer, "project": t.project, "deployment": t.deployment, "model": t.model,
        "upstream": t.upstream, "vendor": t.vendor, "zone": t.zone, "balance": t.balance, "currency": t.currency,
        "price_version": t.price_version, "den": str(t.den), "rates": str(list(t.rates)),
        "cost_version": t.cost_version, "cost_currency": t.cost_currency, "cost_den": str(t.cost_den),
        "cost_rates": str(list(t.cost_rates)),
    })  # fmt: skip


def write(folder: Folder, segment: Segment) -> LakeFile:
    """Write one segment's file; the same segment gives the same rows again."""
    from entrepot.storage import lake

    slot, epoch, number = segment
    if not segment_finished(RealDisk(), stream_directory(folder.journal, slot, epoch), number):
        raise ValueError(f"segment {name_of(segment)} may still grow")
    rows, first_at, last_at = 0, 0, 0

    def lines() -> Iterator[bytes]:
        nonlocal rows, first_at, last_at
        for entry in entries_of(folder.journal, segment):
            if entry.record[0] == Kind.ENDING:
                e = from_bytes(entry.record)
                assert isinstance(e, Ending)
                rows += 1
                first_at = min(first_at or e.admitted_at, e.admitted_at)
                last_at = max(last_at, e.admitted_at)
                yield line_of(slot, epoch, e)

    size, digest = lake.write_file(folder.lake / path_of(segment), lines())
    return LakeFile(
        slot=slot, epoch=epoch, segment=number, path=path_of(segment), rows=rows, size=size, sha256=digest,
        first_at=first_at, last_at=last_at,
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
