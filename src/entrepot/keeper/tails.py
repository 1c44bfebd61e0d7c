"""What the rollup has read of segments that have no file in the lake yet: the tails of the journal."""

from collections.abc import Collection, Iterator, Mapping

from entrepot.journal.disk import RealDisk
from entrepot.journal.files import segments, stream_directory
from entrepot.keeper.lake import Segment, entries_of
from entrepot.kernel.errors import EntrepotError
from entrepot.metering.rollup import RollupKey, RollupSums, fold
from entrepot.metering.tables import StreamPosition
from entrepot.storage.folder import Folder


class BooksDisagree(EntrepotError):
    """Lake and tails say something else than the rollup, or the ledger: until `verify` has found out why, nothing is
    rated and no figure given."""

    code = "books_disagree"


def tails(
    folder: Folder, positions: Mapping[tuple[int, int], StreamPosition], listed: Collection[Segment]
) -> Iterator[tuple[Segment, Mapping[RollupKey, RollupSums]]]:
    """Each such segment with its groups, up to the position of its stream and no further."""
    for (slot, epoch), position in sorted(positions.items()):
        until = (position.segment, position.offset)
        for number in segments(RealDisk(), stream_directory(folder.journal, slot, epoch)):
            segment = (slot, epoch, number)
            if segment in listed or number > position.segment:
                continue
            entries = (each for each in entries_of(folder.journal, segment)
                       if (each.segment, each.offset) < until)  # fmt: skip
            yield segment, fold(each.record for each in entries).groups
