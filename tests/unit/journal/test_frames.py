"""A frame is whole at its own place or it is nothing."""

from zlib import crc32

from hypothesis import given
from hypothesis import strategies as st

from entrepot.journal.frames import HEADER_BYTES, decode_frame, encode_frame, stream_seed, wanted

SEED = stream_seed(1, 7)
records = st.lists(st.binary(min_size=1, max_size=60), min_size=1, max_size=9)


@given(records, st.integers(1, 2**40), st.integers(0, 2**25), st.binary(max_size=20))
def test_a_frame_comes_back_as_it_was(data: list[bytes], seq: int, offset: int, before: bytes) -> None:
    frame = encode_frame(SEED, 3, offset, seq, data)
    found = decode_frame(before + frame + b"\0" * 9, len(before), SEED, 3, offset)
    assert found == (offset, seq, data, offset + len(frame))
    assert wanted(before + frame, len(before)) == len(frame)


@given(records, st.data())
def test_a_frame_with_one_bit_flipped_is_nothing(data: list[bytes], draw: st.DataObject) -> None:
    frame = bytearray(encode_frame(SEED, 3, 512, 9, data))
    bit = draw.draw(st.integers(0, len(frame) * 8 - 1))
    frame[bit // 8] ^= 1 << bit % 8
    assert decode_frame(bytes(frame), 0, SEED, 3, 512) is None


@given(records, st.data())
def test_a_part_of_a_frame_is_nothing(data: list[bytes], draw: st.DataObject) -> None:
    frame = encode_frame(SEED, 3, 512, 9, data)
    cut = draw.draw(st.integers(0, len(frame) - 1))
    assert decode_frame(frame[:cut], 0, SEED, 3, 512) is None
    torn = frame[:cut] + bytes(len(frame) - cut)
    assert torn == frame or decode_frame(torn, 0, SEED, 3, 512) is None


def test_a_frame_of_another_stream_segment_or_offset_is_nothing() -> None:
    frame = encode_frame(SEED, 3, 512, 9, [b"a"])
    assert decode_frame(frame, 0, SEED, 3, 512) is not None
    assert decode_frame(frame, 0, stream_seed(1, 8), 3, 512) is None
    assert decode_frame(frame, 0, stream_seed(2, 7), 3, 512) is None
    assert decode_frame(frame, 0, SEED, 4, 512) is None
    assert decode_frame(frame, 0, SEED, 3, 513) is None


def test_zeros_are_nothing() -> None:
    assert decode_frame(bytes(4096), 0, SEED, 1, 0) is None
    assert wanted(bytes(4096), 0) == 0


def test_an_absurd_length_is_not_believed() -> None:
    frame = bytearray(encode_frame(SEED, 3, 0, 9, [b"a"]))
    frame[4:8] = b"\xff\xff\xff\xff"
    assert wanted(bytes(frame), 0) == 0
    assert decode_frame(bytes(frame), 0, SEED, 3, 0) is None


def test_the_layout_on_disk_is_the_one_of_the_reference_page() -> None:
    frame = encode_frame(stream_seed(1, 1), 1, 0, 1, [b"\x01ab", b"\x02c"])
    assert HEADER_BYTES == 24
    stream = crc32((1).to_bytes(4, "little") + (1).to_bytes(4, "little")).to_bytes(4, "little")
    place = stream + (1).to_bytes(4, "little") + (0).to_bytes(8, "little")
    assert frame[8:12] == crc32(place + frame[4:8] + frame[12:24] + frame[24:]).to_bytes(4, "little")
    assert frame.hex() == "654af1010d000000" + frame[8:12].hex() + "020000000100000000000000" + "0300000002000000" + (
        "016162" + "0263"
    )
