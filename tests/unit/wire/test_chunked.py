from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrepot.wire.chunked import MAX_TRAILER_BYTES, ChunkBroken, ChunkedReader, EndReader, LengthReader

BODY = b"5;x=y\r\nhello\r\n0a\r\n0123456789\r\n0\r\nA: b\r\n\r\n"


def feed_bytes(reader: ChunkedReader, data: bytes) -> bytes:
    return b"".join(reader.feed(data[i : i + 1]) for i in range(len(data)))


def test_byte_by_byte_and_what_follows():
    reader = ChunkedReader()
    data = BODY + b"GET / HTTP/1.1"
    assert feed_bytes(reader, data) == b"hello0123456789"
    assert reader.done
    assert reader.rest == b"GET / HTTP/1.1"


def test_not_whole_until_the_last_line_has_come():
    reader = ChunkedReader()
    assert reader.feed(BODY[:-1]) == b"hello0123456789"
    assert not reader.end()
    reader.feed(b"\n")
    assert reader.end()
    assert reader.rest == b""


@given(
    st.lists(st.tuples(st.binary(min_size=1, max_size=300), st.sampled_from([b"", b";a", b';a="b"', b" \t"]))),
    st.binary(max_size=20),
    st.lists(st.integers(0, 2000), max_size=8),
)
def test_whole_equals_any_split_and_the_rest_is_untouched(
    chunks: list[tuple[bytes, bytes]], rest: bytes, cuts: list[int]
):
    data = b"".join(b"%x%b\r\n%b\r\n" % (len(payload), extension, payload) for payload, extension in chunks)
    data += b"000\r\n\r\n" + rest
    reader = ChunkedReader()
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    payload = b"".join(reader.feed(data[a:b]) for a, b in pairwise(edges))
    assert payload == b"".join(payload for payload, _ in chunks)
    assert reader.done
    assert reader.rest == rest


@pytest.mark.parametrize(
    "data",
    [
        b"\r\n",
        b"g\r\n",
        b"-5\r\nhello\r\n",
        b"+5\r\nhello\r\n",
        b"0x5\r\nhello\r\n",
        b"5_0\r\n",
        b" 5\r\nhello\r\n",
        b"5 ;a\r\nhello\r\n",
        b"5\nhello\r\n",
        b"5\r\nhelloX\r\n0\r\n\r\n",
        b"5\r\nhello\n0\r\n\r\n",
        b"fffffffffffff\r\n",
        b"5;" + b"x" * 257,
        b"5;a\x00\r\n",
        b"0\r\n folded: x\r\n\r\n",
        b"0\r\nno colon\r\n\r\n",
        b"0\r\nA: b\n\r\n",
        b"0\r\nContent-Length: 5\r\n\r\n",
        b"0\r\ntransfer-encoding: chunked\r\n\r\n",
        b"0\r\n" + b"A: b\r\n" * 101,
        b"0\r\nA: " + b"b" * MAX_TRAILER_BYTES,
    ],
)
def test_a_broken_frame_is_refused_whole_and_byte_by_byte(data: bytes):
    with pytest.raises(ChunkBroken):
        ChunkedReader().feed(data)
    with pytest.raises(ChunkBroken):
        feed_bytes(ChunkedReader(), data)


def test_a_size_line_cut_before_its_lf_does_not_take_bytes_from_earlier_chunks():
    """A remembered size must not be looked up in a line whose end has not come."""
    ChunkedReader().feed(b"5\r\nhello\r\n")
    reader = ChunkedReader()
    first = b"5\r\nhel\r\n\r\n5\r"
    assert reader.feed(first) == b"hel\r\n"
    assert reader.feed(b"\nabcde\r\n0\r\n\r\n") == b"abcde"
    assert reader.done


def test_a_chunk_larger_than_any_read_passes_through():
    reader = ChunkedReader()
    assert reader.feed(b"100000\r\n") == b""
    part = b"x" * 65536
    for _ in range(16):
        assert reader.feed(part) is part
    assert reader.feed(b"\r\n0\r\n\r\n") == b""
    assert reader.done


def test_a_body_of_known_length():
    reader = LengthReader(5)
    assert (reader.feed(b"he"), reader.done) == (b"he", False)
    assert not reader.end()
    assert (reader.feed(b"lloGET"), reader.done, reader.rest) == (b"llo", True, b"GET")
    assert (reader.feed(b" /"), reader.rest) == (b"", b"GET /")
    assert LengthReader(0).done


def test_a_body_that_the_connection_ends():
    reader = EndReader()
    assert (reader.feed(b"x"), reader.done) == (b"x", False)
    assert reader.end()
    assert reader.done
