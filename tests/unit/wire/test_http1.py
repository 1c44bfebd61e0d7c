import pytest

from entrepot.wire.http1 import ChunkedReader, HeadBroken, find_head_end, parse_request_head, parse_response_head


def test_reads_a_request_head():
    block = b"POST /v1/chat/completions?x=1 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nX-A:  b \r\n\r\n"
    head = parse_request_head(block)
    assert (head.method, head.path, head.query, head.length) == (b"POST", b"/v1/chat/completions", b"x=1", 5)
    assert head.headers[b"x-a"] == b"b"
    assert head.keep_alive
    assert not head.chunked
    assert find_head_end(block + b"hello") == len(block)


def test_reads_a_response_head():
    head = parse_response_head(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nKeep-Alive: timeout=5\r\n\r\n")
    assert head.status == 200
    assert head.chunked
    assert head.keep_alive
    assert head.keep_alive_timeout == 5


def test_both_framings_are_refused():
    with pytest.raises(HeadBroken, match="exclude"):
        parse_request_head(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n")


def test_chunks_byte_by_byte_and_what_follows():
    reader = ChunkedReader()
    data = b"5;x=y\r\nhello\r\n1\r\n!\r\n0\r\nA: b\r\n\r\nGET"
    assert b"".join(reader.feed(data[i : i + 1]) for i in range(len(data))) == b"hello!"
    assert reader.done
    assert reader.rest == b"GET"
