"""Frames: the unit that is written, synced and checked as one.

A frame is a header and a body, little-endian, without padding:

    magic 4 | body length 4 | crc 4 | count 4 | number of the first record 8 || count lengths of 4 bytes | the records

The CRC-32 covers header and body and starts from a seed made of stream (slot, epoch), segment and offset: a frame that
was copied, or is left over from elsewhere, is not a frame here. Zeros are never a frame.
"""

import struct
from array import array
from itertools import accumulate, pairwise
from sys import byteorder
from typing import NamedTuple
from zlib import crc32

MAGIC = b"eJ\xf1\x01"
HEADER_BYTES = 24
#: What a record costs beyond its own bytes when it stands alone in a frame: header and length.
OVERHEAD_BYTES = HEADER_BYTES + 4
LARGEST_RECORD = 2 * 1024 * 1024
LARGEST_BODY = 4 * 1024 * 1024

_header = struct.Struct("<4sIIIQ")
_place = struct.Struct("<IIQ")
_stream = struct.Struct("<II")
_fields = struct.Struct("<IIQ")


class Frame(NamedTuple):
    """A whole frame: its place, the number of its first record, its records, and the offset just behind it."""

    offset: int
    first_seq: int
    records: list[bytes]
    end: int


def stream_seed(slot: int, epoch: int) -> int:
    """What ties a frame to its stream."""
    return crc32(_stream.pack(slot, epoch))


def encode_frame(seed: int, segment: int, offset: int, first_seq: int, records: list[bytes]) -> bytes:
    """Bytes of one frame at this place; the caller keeps the body within LARGEST_BODY."""
    lengths = array("I", map(len, records))
    if byteorder == "big":
        lengths.byteswap()
    table = lengths.tobytes()
    body = b"".join((table, *records))
    fields = _fields.pack(len(body), len(records), first_seq)
    crc = crc32(body, crc32(fields, crc32(_place.pack(seed, segment, offset))))
    return _header.pack(MAGIC, len(body), crc, len(records), first_seq) + body


def decode_frame(data: bytes, at: int, seed: int, segment: int, offset: int) -> Frame | None:
    """The frame at `data[at:]`, which lies at `offset` of its segment; None where there is no whole frame (not yet
    written, torn, damaged, or beyond the end of `data`)."""
    if len(data) - at < HEADER_BYTES:
        return None
    magic, size, crc, count, first_seq = _header.unpack_from(data, at)
    start = at + HEADER_BYTES
    if magic != MAGIC or not 0 < count * 4 <= size <= LARGEST_BODY or len(data) - start < size:
        return None
    lengths = array("I", data[start : start + 4 * count])
    if byteorder == "big":
        lengths.byteswap()
    if sum(lengths) + 4 * count != size:
        return None
    body = memoryview(data)[start : start + size]
    fields = _fields.pack(size, count, first_seq)
    if crc32(body, crc32(fields, crc32(_place.pack(seed, segment, offset)))) != crc:
        return None
    records = [data[begin:end] for begin, end in pairwise(accumulate(lengths, initial=start + 4 * count))]
    return Frame(offset, first_seq, records, offset + HEADER_BYTES + size)


def wanted(data: bytes, at: int) -> int:
    """Bytes that the frame at `data[at:]` claims to have in all; 0 where no frame begins."""
    if len(data) - at < HEADER_BYTES:
        return 0
    magic, size, _, count, _ = _header.unpack_from(data, at)
    return HEADER_BYTES + size if magic == MAGIC and 0 < count * 4 <= size <= LARGEST_BODY else 0
