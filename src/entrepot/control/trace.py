"""Finds the records of one request: in the journal by the id itself, else in the lake. Reads only."""

import json
import mmap
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from entrepot.control.story import Place, Placed
from entrepot.journal.files import Position, RealDisk, scan, segment_path, segments, stream_directory, stream_of
from entrepot.kernel.buckets import BUCKETS, Quantities
from entrepot.kernel.ids import RequestIds
from entrepot.kernel.instants import MINUTE, Instant
from entrepot.metering.record import Ending, Intent, Kind, Terms, from_bytes
from entrepot.metering.tables import LakeFile, manifest
from entrepot.storage.database import read
from entrepot.storage.folder import Folder

_TOLD = (Kind.INTENT, Kind.ENDING)
_MARGIN = 10 * MINUTE  # a file's span is that of admissions, as is the id's stamp; the clock may have stepped between
_MORE = 1  # segments read on after the last ending: a second attempt may begin behind it


def find(folder: Folder, engine: Engine, request: str) -> list[Placed]:
    """Intents and endings of the request, with their places; raises ValueError where it is no request id."""
    at_ms, slot, epoch, _counter = RequestIds(folder.secret("request-ids")).read(request)
    stream = stream_directory(folder.journal, slot, epoch)
    found = list(in_journal(folder.journal, stream, request, at_ms * 1000 - _MARGIN))
    if not any(isinstance(each.record, Ending) for each in found):
        found += in_lake(folder, engine, (slot, epoch, at_ms * 1000), request)
    return found


def in_journal(root: Path, stream: Path, request: str, since: Instant = 0) -> Iterator[Placed]:
    """From the segments of one stream that hold the id at all: a plain search of bytes, then only those are decoded.

    Segments last written before `since` are passed over.
    """
    needle = request.encode()
    slot, epoch = stream_of(stream)
    seen, under_way, quiet = False, 0, 0
    for segment in segments(RealDisk(), stream):
        path = segment_path(stream, segment)
        if _written_at(path) < since:
            continue
        found = list(_of_segment(root, Place(slot, epoch, segment, 0, 0), needle)) if _holds(path, needle) else []
        yield from found
        under_way += sum(1 if isinstance(each.record, Intent) else -1 for each in found)
        seen = seen or bool(found)
        quiet = quiet + 1 if seen and not found and under_way <= 0 else 0
        if quiet > _MORE:
            return


def _of_segment(root: Path, start: Place, needle: bytes) -> Iterator[Placed]:
    for entry in scan(root, start.slot, start.epoch, Position(start.segment, 0)):
        if entry.segment != start.segment:
            return
        if entry.record[0] in _TOLD and needle in entry.record:
            record = from_bytes(entry.record)
            if isinstance(record, Intent | Ending):
                yield Placed(record, Place(start.slot, start.epoch, entry.segment, entry.offset, entry.seq))


def in_lake(folder: Folder, engine: Engine, where: tuple[int, int, int], request: str) -> Iterator[Placed]:
    """From the files of the stream that cover the instant of the id; their segments are gone."""
    slot, epoch, at = where
    with read(engine) as connection:
        files = [file for file in manifest(connection) if (file.slot, file.epoch) == (slot, epoch)]
    paths = [folder.lake / file.path for file in files if _covers(file, at)]
    if paths:
        from entrepot.storage import lake  # DuckDB; only where a segment is gone

        for row in lake.find(paths, request):
            yield Placed(ending_of(row), None)


def ending_of(row: dict[str, Any]) -> Ending:
    """A row of the lake as the record it was."""
    terms = Terms(
        key=row["key"], customer=row["customer"], project=row["project"], deployment=row["deployment"],
        model=row["model"], upstream=row["upstream"], vendor=row["vendor"], zone=row["zone"], balance=row["balance"],
        currency=row["currency"], price_version=row["price_version"], den=int(row["den"]), rates=_eight(row["rates"]),
        cost_version=row["cost_version"], cost_currency=row["cost_currency"], cost_den=int(row["cost_den"]),
        cost_rates=_eight(row["cost_rates"]),
        budgets=tuple(row["budgets"].split(",")) if row["budgets"] else (),
        watched=tuple(row["watched"].split(",")) if row["watched"] else (),
        bracket=row["bracket"], request_rate=row["request_rate"], cost_request_rate=row["cost_request_rate"],
    )  # fmt: skip
    same = (
        "request", "attempt", "admitted_at", "sent_at", "first_at", "ended_at", "operation", "stream", "state",
        "source", "status", "reason", "input_bound", "output_cap", "service_tier", "vendor_model", "vendor_request",
        "events", "size",
    )  # fmt: skip
    return Ending(
        **{name: row[name] for name in same},
        attempt_seq=row["seq"],
        quantities=tuple(row[f"billed_{name}"] for name in BUCKETS),
        charged=tuple(row[name] for name in BUCKETS),
        charge=int(row["charge"]),
        cost=int(row["cost"]),
        hold=int(row["hold"]),
        overrun=int(row["overrun"]),
        unrated=tuple(BUCKETS.index(name) for name in row["unrated"].split(",") if name),
        usage=row["usage"].encode(),
        terms=terms,
    )


def _holds(path: Path, needle: bytes) -> bool:
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as view:
            return view.find(needle) >= 0
    except (FileNotFoundError, ValueError):  # gone meanwhile, or empty
        return False


def _written_at(path: Path) -> Instant:
    try:
        return path.stat().st_mtime_ns // 1000
    except FileNotFoundError:
        return 0


def _covers(file: LakeFile, at: int) -> bool:
    return file.first_at - _MARGIN <= at <= file.last_at + _MARGIN


def _eight(text: str) -> Quantities:
    numbers: Iterable[int] = json.loads(text)
    return tuple(int(number) for number in numbers)  # type: ignore[return-value]
