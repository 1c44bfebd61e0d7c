import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrepot.wire import http1
from entrepot.wire.http1 import (
    ChunkedReader,
    EndReader,
    HeadBroken,
    LengthReader,
    body_reader,
    chunk,
    find_head_end,
    parse_request_head,
    parse_response_head,
)


def request(*lines: bytes, start: bytes = b"POST /v1/x HTTP/1.1", host: bytes = b"Host: a\r\n") -> bytes:
    return start + b"\r\n" + host + b"".join(line + b"\r\n" for line in lines) + b"\r\n"


def response(*lines: bytes, start: bytes = b"HTTP/1.1 200 OK") -> bytes:
    return request(*lines, start=start, host=b"")


def test_reads_a_request_head():
    block = request(b"Content-Length: 5", b"X-A:  b \t", b"X-Empty:", start=b"POST /v1/chat/completions?x=1 HTTP/1.1")
    head = parse_request_head(block)
    assert (head.method, head.target) == (b"POST", b"/v1/chat/completions?x=1")
    assert (head.path, head.query, head.length) == (b"/v1/chat/completions", b"x=1", 5)
    assert head.headers == {b"host": b"a", b"content-length": b"5", b"x-a": b"b", b"x-empty": b""}
    assert head.keep_alive
    assert not head.chunked
    assert find_head_end(block + b"hello") == len(block)


def test_repeated_fields_are_joined_in_order():
    head = parse_request_head(request(b"Accept: a", b"X: 1", b"accept: b"))
    assert head.headers == {b"host": b"a", b"accept": b"a, b", b"x": b"1"}


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        (b"/", b"/", b""),
        (b"/a?", b"/a", b""),
        (b"/a??b=/c?d", b"/a", b"?b=/c?d"),
        (b"http://example.org", b"/", b""),
        (b"http://example.org?x", b"/", b"x"),
        (b"https://example.org:1/a?x", b"/a", b"x"),
        (b"/%2e%2e//a;b", b"/%2e%2e//a;b", b""),
    ],
)
def test_targets(target: bytes, path: bytes, query: bytes):
    head = parse_request_head(request(start=b"GET " + target + b" HTTP/1.1"))
    assert (head.target, head.path, head.query) == (target, path, query)


@pytest.mark.parametrize(
    ("block", "status", "says"),
    [
        (request(b"Content-Length: 5", b"Transfer-Encoding: chunked"), 400, "exclude each other"),
        (request(b"Content-Length: 5", b"Content-Length: 5"), 400, "content-length' is there more than once"),
        (request(b"Content-Length: 5, 5"), 400, "not a count"),
        (request(b"Content-Length: +5"), 400, "not a count"),
        (request(b"Content-Length: -1"), 400, "not a count"),
        (request(b"Content-Length: 1234567890123456"), 400, "not a count"),
        (request(b"Content-Length: 5_0"), 400, "not a count"),
        (request(b"Content-Length:"), 400, "not a count"),
        (request(b"Transfer-Encoding: gzip, chunked"), 400, "not `chunked`"),
        (request(b"Transfer-Encoding: identity"), 400, "not `chunked`"),
        (request(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"), 400, "more than once"),
        (request(b"Transfer-Encoding: \x0bchunked"), 400, "not `name: value`"),
        (request(b"Transfer-Encoding: chunked", start=b"POST / HTTP/1.0"), 400, "HTTP/1.0 has no"),
        (request(b"Host: a"), 400, "'host' is there more than once"),
        (request(host=b""), 400, "has a Host line"),
        (request(b"Authorization: a", b"authorization: a"), 400, "'authorization' is there more than once"),
        (request(b"api-key: a", b"api-key: b"), 400, "'api-key' is there more than once"),
        (request(b"X: a", b" folded"), 400, "not `name: value`"),
        (request(b"X : a"), 400, "not `name: value`"),
        (request(b": a"), 400, "not `name: value`"),
        (request(b"X\xe9: a"), 400, "not `name: value`"),
        (request(b"X: a\x00"), 400, "not `name: value`"),
        (request(b"X: a\nY: b"), 400, "not `name: value`"),
        (request(b"X: a\rY: b"), 400, "not `name: value`"),
        (request(b"no colon"), 400, "not `name: value`"),
        (request(b"Expect: 200-ok"), 417, "100-continue is"),
        (request(start=b"GET / HTTP/2.0"), 505, "HTTP/1.1 is spoken"),
        (request(start=b"GET / HTTP/1.2"), 505, "HTTP/1.1 is spoken"),
        (request(start=b"GET /"), 400, "the request line"),
        (request(start=b"GET  / HTTP/1.1"), 400, "the request line"),
        (request(start=b"GET /\x7f HTTP/1.1"), 400, "the request line"),
        (request(start=b"GET /#a HTTP/1.1"), 400, "the request line"),
        (request(start=b"GET a HTTP/1.1"), 400, "the request line"),
        (request(start=b"GET * HTTP/1.1"), 400, "OPTIONS only"),
        (request(start=b"CONNECT a:1 HTTP/1.1"), 400, "the request line"),
        (request(start=b"G\xc3 / HTTP/1.1"), 400, "the request line"),
        (b"\r\n" + request(), 400, "the request line"),
        (request(*[b"X: y"] * 100), 431, "100 lines"),
        (request(b"X: " + b"y" * 32768), 431, "32768 bytes"),
    ],
)
def test_what_two_parsers_could_read_in_two_ways_is_refused(block: bytes, status: int, says: str):
    with pytest.raises(HeadBroken, match=says) as caught:
        parse_request_head(block)
    assert caught.value.status == status


def test_a_refusal_never_shows_the_value_of_a_header():
    with pytest.raises(HeadBroken) as caught:
        parse_request_head(request(b"Authorization: Bearer ep_live_secret\x00"))
    assert "secret" not in caught.value.message


@pytest.mark.parametrize(
    ("lines", "start", "stays"),
    [
        ([], b"GET / HTTP/1.1", True),
        ([b"Connection: keep-alive"], b"GET / HTTP/1.1", True),
        ([b"Connection: Close"], b"GET / HTTP/1.1", False),
        ([b"Connection: te , close"], b"GET / HTTP/1.1", False),
        ([b"Connection: te", b"Connection: close"], b"GET / HTTP/1.1", False),
        ([b"Connection: closed"], b"GET / HTTP/1.1", True),
        ([], b"GET / HTTP/1.0", False),
        ([b"Connection: keep-alive"], b"GET / HTTP/1.0", False),
    ],
)
def test_when_a_connection_stays_open(lines: list[bytes], start: bytes, stays: bool):
    assert parse_request_head(request(*lines, start=start)).keep_alive is stays


def test_expect_continue_counts_in_http_1_1_only():
    assert parse_request_head(request(b"Expect: 100-Continue")).expect_continue
    assert not parse_request_head(request(b"Expect: 100-continue", start=b"POST / HTTP/1.0")).expect_continue


def test_exactly_100_lines_and_32_kib_are_read():
    assert len(parse_request_head(request(*[b"X: y"] * 99)).headers) == 2
    block = request(b"X: " + b"y" * (32768 - len(request(b"X: "))))
    assert len(block) == 32768
    assert find_head_end(block + b"body") == 32768
    parse_request_head(block)


def test_a_head_that_cannot_end_in_time_is_refused_early():
    assert find_head_end(b"GET / HT") == -1
    assert find_head_end(b"x" * 32767) == -1
    with pytest.raises(HeadBroken) as caught:
        find_head_end(b"x" * 32768)
    assert caught.value.status == 431
    assert find_head_end(request(*[b"X: y"] * 99)[:-2]) == -1
    with pytest.raises(HeadBroken, match="above 100 lines"):
        find_head_end(request(*[b"X: y"] * 100)[:-2])
    with pytest.raises(HeadBroken, match="LF alone at byte 14"):
        find_head_end(b"GET / HTTP/1.1\nHost")
    with pytest.raises(HeadBroken, match="TLS"):
        find_head_end(b"\x16\x03\x01")


def test_bytes_behind_the_head_do_not_count_as_its_own():
    block = request()
    assert find_head_end(block + b"\n\n\x16" + b"x" * 100_000) == len(block)


def test_what_was_searched_is_not_searched_again_but_across_the_seam():
    block = request(b"X: y")
    for seam in range(1, len(block)):
        assert find_head_end(block[:seam]) == -1
        assert find_head_end(bytearray(block), seam) == len(block)


def test_credentials_and_what_differs_each_time_are_not_remembered():
    parse_request_head(
        request(b"Authorization: Bearer hush-1", b"api-key: hush-2", b"X-A-Token: hush-3", b"Date: d", b"X-Plain: kept",
                start=b"GET /?key=hush-4 HTTP/1.1")
    )  # fmt: skip
    kept = b"".join(http1._FIELDS) + b"".join(http1._STARTS)
    assert b"hush" not in kept
    assert b"Date: d" not in http1._FIELDS
    assert b"X-Plain: kept" in http1._FIELDS


def test_the_memory_of_lines_is_bounded():
    for number in range(3000):
        parse_request_head(request(b"X-%d: y" % number, start=b"GET /%d HTTP/1.1" % number))
    assert len(http1._FIELDS) <= http1._MAX_FIELDS
    assert len(http1._STARTS) <= http1._MAX_STARTS
    parse_request_head(request(b"X-Long: " + b"y" * 200))
    assert max(map(len, http1._FIELDS)) <= http1._MAX_REMEMBERED


def test_a_remembered_line_is_read_as_a_new_one():
    block = request(b"X-Twice:  \t a ", b"Content-Length: 007")
    assert parse_request_head(block) == parse_request_head(block)
    assert parse_request_head(block).length == 7


def test_reads_a_response_head():
    head = parse_response_head(response(b"Transfer-Encoding: Chunked", b"Keep-Alive: max=9, Timeout=5"))
    assert (head.status, head.chunked, head.length) == (200, True, None)
    assert (head.keep_alive, head.keep_alive_timeout, head.no_body) == (True, 5, False)


@pytest.mark.parametrize(
    ("block", "reader", "stays"),
    [
        (response(b"Content-Length: 3"), LengthReader, True),
        (response(b"Content-Length: 0"), LengthReader, True),
        (response(b"Transfer-Encoding: chunked"), ChunkedReader, True),
        (response(), EndReader, False),
        (response(start=b"HTTP/1.1 204 No Content"), LengthReader, True),
        (response(b"Content-Length: 9", start=b"HTTP/1.1 304"), LengthReader, True),
        (response(b"Transfer-Encoding: chunked", start=b"HTTP/1.1 103 Early Hints"), LengthReader, True),
        (response(b"Connection: close", b"Content-Length: 3"), LengthReader, False),
        (response(b"Content-Length: 3", start=b"HTTP/1.0 200 OK"), LengthReader, False),
    ],
)
def test_where_the_body_of_a_response_ends(block: bytes, reader: type, stays: bool):
    head = parse_response_head(block)
    assert isinstance(body_reader(head), reader)
    assert head.keep_alive is stays
    if head.no_body:
        assert body_reader(head).done


@pytest.mark.parametrize(
    "block",
    [
        response(b"Content-Length: 5", b"Transfer-Encoding: chunked"),
        response(b"Content-Length: 5", b"Content-Length: 6"),
        response(b"Transfer-Encoding: gzip"),
        response(b"Transfer-Encoding: chunked", start=b"HTTP/1.0 200 OK"),
        response(b"X: y", b" folded"),
        response(start=b"HTTP/1.1 600 X"),
        response(start=b"HTTP/1.1 20 X"),
        response(start=b"HTTP/2 200"),
        response(start=b"ICY 200 OK"),
        response(*[b"X: y"] * 101),
    ],
)
def test_a_broken_response_head_is_the_upstreams_fault(block: bytes):
    with pytest.raises(HeadBroken) as caught:
        parse_response_head(block)
    assert caught.value.status == 502


token = st.text("abcXYZ019-_!#", min_size=1, max_size=12).map(str.encode)
value = st.binary(max_size=20).map(lambda raw: bytes(c for c in raw if c == 9 or 32 <= c != 127).strip(b" \t"))
fields = st.lists(st.tuples(token.map(lambda name: b"x-" + name), value), max_size=8)


@given(fields, st.binary(max_size=40), st.lists(st.integers(0, 400), max_size=6))
def test_whole_equals_any_split_and_h11_reads_the_same(
    pairs: list[tuple[bytes, bytes]], trailing: bytes, cuts: list[int]
):
    block = request(*[name + b": " + text for name, text in pairs])
    data = block + trailing
    head = parse_request_head(data[: find_head_end(data)])
    buffer, searched, ends = b"", 0, set()
    for until in [*sorted(cuts), len(data)]:
        buffer = data[:until]
        end = find_head_end(buffer, searched)
        if end >= 0:
            ends.add(end)
            break
        searched = len(buffer)
    assert ends == {len(block)}
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(block)
    event = connection.next_event()
    assert isinstance(event, h11.Request)
    joined: dict[bytes, bytes] = {}
    for name, text in event.headers:
        joined[name] = joined[name] + b", " + text if name in joined else text
    assert head.headers == joined


def test_a_written_chunk_is_read_back():
    assert ChunkedReader().feed(chunk(b"hello") + chunk(b"!" * 300)) == b"hello" + b"!" * 300
