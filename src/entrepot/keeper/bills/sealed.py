"""What a month was rated from, by name and SHA-256, and how the same things are found again.

Files of the lake are named by stream, "lake w1/000003 1-17": their segments are consecutive, and a list of thousands of
files is a line for each life of a worker.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from entrepot.catalog.contents import Contract
from entrepot.catalog.prices import BookVersion
from entrepot.limits.budget import Period
from entrepot.metering.tables import LakeFile
from entrepot.pricing.agreement import Agreement
from entrepot.rating.line import Rated
from entrepot.rating.prices import Rerating

_FILES = re.compile(r"lake w(\d+)/(\d{6}) (\d+)-(\d+)")
_BOOK = "book "
RERATINGS = "re-ratings"


def inputs_of(
    files: Mapping[str, str], agreements: Iterable[Agreement], contract: bytes, rated: Rated,
    reratings: Sequence[Rerating],
) -> tuple[tuple[str, str], ...]:  # fmt: skip
    """(name, SHA-256): files, versions of books, the contract, and what a person decided."""
    found = {**files, "contract": _sha256(contract)}
    for version in (each for agreement in agreements for each in priced_by(agreement)):
        found[f"{_BOOK}{version.id}"] = _sha256(_canonical(version))
    if reratings:
        found[RERATINGS] = reratings_hash(reratings)
    if carried := [(group.name, group.carried) for group in rated.unrated if group.carried]:
        found["carried over"] = _sha256(_canonical(carried))
    return tuple(sorted(found.items()))


def reratings_hash(reratings: Sequence[Rerating]) -> str:
    return _sha256(_canonical(tuple(reratings)))


def files_of(listed: Iterable[LakeFile], used: Iterable[LakeFile]) -> dict[str, str]:
    """Name → SHA-256 of each stream's files, from the first that was used to the last."""
    ends: dict[tuple[int, int], tuple[int, int]] = {}
    for file in used:
        first, last = ends.get((file.slot, file.epoch), (file.segment, file.segment))
        ends[file.slot, file.epoch] = min(first, file.segment), max(last, file.segment)
    hashes = {f"lake w{slot}/{epoch:06d} {first}-{last}": hashlib.sha256()
              for (slot, epoch), (first, last) in sorted(ends.items())}  # fmt: skip
    for file in sorted(listed, key=lambda each: (each.slot, each.epoch, each.segment)):
        first, last = ends.get((file.slot, file.epoch), (1, 0))
        if first <= file.segment <= last:
            name = f"lake w{file.slot}/{file.epoch:06d} {first}-{last}"
            hashes[name].update(f"{file.path} {file.rows} {file.sha256.hex()}\n".encode())
    return {name: each.hexdigest() for name, each in hashes.items()}


def named_files(listed: Iterable[LakeFile], sealed: Mapping[str, str]) -> list[LakeFile]:
    """The files that the inputs of a bill name."""
    spans: dict[tuple[int, int], range] = {}
    for found in filter(None, map(_FILES.fullmatch, sealed)):
        slot, epoch, first, last = map(int, found.groups())
        spans[slot, epoch] = range(first, last + 1)
    return [file for file in listed if file.segment in spans.get((file.slot, file.epoch), ())]


def named_versions(versions: Iterable[BookVersion], sealed: Mapping[str, str]) -> list[BookVersion]:
    """The versions that the inputs of a bill name."""
    return [each for each in versions if f"{_BOOK}{each.id}" in sealed]


def priced_by(agreement: Agreement) -> list[BookVersion]:
    """Every version whose prices a bill may have: cost books only where a price is on the vendor's."""
    rows = [*agreement.rows, *(row for version in agreement.book for row in version.rows)]
    if not any(row.cost_plus for row in rows):
        return list(agreement.book)
    return [*agreement.book, *(version for book in agreement.costs.values() for version in book)]


def contract_bytes(contracts: Iterable[Contract], period: Period) -> bytes:
    """What of a customer's contracts a period follows from: an end after it, or a successor, changes nothing."""
    return _canonical([
        msgspec.structs.replace(each, ends_at=each.ends_at if each.ends_at < period.ends_at else 0)
        for each in contracts
        if each.starts_at < period.ends_at
    ])  # fmt: skip


def _canonical(value: object) -> bytes:
    return msgspec.json.encode(value, order="deterministic")


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
