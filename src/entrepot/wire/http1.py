"""Heads of HTTP/1.1 messages, read strictly: what two parsers could read in two ways is refused.

RFC 9112; stricter than it: no obs-fold, no bare LF, no control character in a value, no repeated Content-Length, Host
or credential (not even an equal one), no Transfer-Encoding but `chunked`, none beside a Content-Length, no leading
blank line. A head is cut off by `find_head_end` and read by `parse_request_head` or `parse_response_head`.

The lines of heads repeat from call to call: parsed lines are remembered, credentials never.
"""

import re
from collections.abc import Mapping
from typing import Final

import msgspec

from entrepot.kernel.errors import EntrepotError, Fault
from entrepot.wire.chunked import ChunkBroken, ChunkedReader, EndReader, LengthReader

__all__ = [
    "CONTINUE", "LAST_CHUNK", "MAX_HEAD_BYTES", "MAX_HEAD_LINES", "STATUS_LINES", "ChunkBroken", "ChunkedReader",
    "EndReader", "HeadBroken", "LengthReader", "RequestHead", "ResponseHead", "body_reader", "chunk", "find_head_end",
    "parse_request_head", "parse_response_head",
]  # fmt: skip

MAX_HEAD_BYTES: Final = 32 * 1024
MAX_HEAD_LINES: Final = 100

_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]"
_REQUEST_LINE = re.compile(
    rb"(" + _TOKEN + rb"{1,32}) ((?:https?://[^\x00- /?#\x7f-\xff]+)?(/[!-\"$->@-~]*|(?=\?| )|\*)(?:\?([!-\"$-~]*))?)"
    rb" HTTP/1\.([01])"
)
_VERSION = re.compile(rb"[^ ]+ [^ ]+ HTTP/[0-9](?:\.[0-9])?")
_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9][0-9])(?: [\t -~\x80-\xff]*)?")
_FIELD = re.compile(rb"(" + _TOKEN + rb"++):[ \t]*+([\t -~\x80-\xff]*+)")
_DIGITS = re.compile(rb"[0-9]{1,15}")
_TIMEOUT = re.compile(rb"(?:^|[, \t])timeout=([0-9]{1,6})", re.IGNORECASE)

#: What may hold a secret is not remembered; what differs from message to message, neither.
_VARYING = frozenset((
    b"authorization", b"api-key", b"x-api-key", b"date", b"x-request-id", b"request-id", b"apim-request-id", b"etag",
    b"x-ms-client-request-id", b"openai-processing-ms", b"x-ratelimit-remaining-requests", b"cf-ray", b"age",
    b"x-ratelimit-remaining-tokens", b"x-envoy-upstream-service-time", b"traceparent", b"x-ratelimit-reset-requests",
    b"x-ratelimit-reset-tokens",
))  # fmt: skip
_SECRET = re.compile(rb"key|token|secret|auth|cookie|signature")
_PLAIN_QUERY = re.compile(rb"api-version=[^&]*")

#: Of these a request has at most one; of the first two, a response too.
_FRAMING = frozenset((b"content-length", b"transfer-encoding"))
_SINGLE = _FRAMING | {
    b"authorization", b"proxy-authorization", b"api-key", b"x-api-key", b"cookie", b"host", b"content-type", b"expect",
}  # fmt: skip

#: Memories of parsed lines: at most 2,048 and 512 of ≤ 128 bytes each, emptied when full.
_FIELDS: dict[bytes, tuple[bytes, bytes]] = {}
_STARTS: dict[bytes, tuple[bytes, bytes, bytes, bytes, bool]] = {}
_MAX_FIELDS: Final = 2048
_MAX_STARTS: Final = 512
_MAX_REMEMBERED: Final = 128

CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
LAST_CHUNK: Final = b"0\r\n\r\n"
STATUS_LINES: Final[Mapping[int, bytes]] = {
    status: b"HTTP/1.1 %d %s\r\n" % (status, reason)
    for status, reason in (
        (200, b"OK"), (201, b"Created"), (202, b"Accepted"), (204, b"No Content"), (301, b"Moved Permanently"),
        (302, b"Found"), (303, b"See Other"), (304, b"Not Modified"), (307, b"Temporary Redirect"),
        (308, b"Permanent Redirect"), (400, b"Bad Request"), (401, b"Unauthorized"), (402, b"Payment Required"),
        (403, b"Forbidden"), (404, b"Not Found"), (405, b"Method Not Allowed"), (406, b"Not Acceptable"),
        (408, b"Request Timeout"), (409, b"Conflict"), (410, b"Gone"), (411, b"Length Required"),
        (412, b"Precondition Failed"), (413, b"Content Too Large"), (414, b"URI Too Long"),
        (415, b"Unsupported Media Type"), (417, b"Expectation Failed"), (422, b"Unprocessable Content"),
        (424, b"Failed Dependency"), (425, b"Too Early"), (426, b"Upgrade Required"), (429, b"Too Many Requests"),
        (431, b"Request Header Fields Too Large"), (451, b"Unavailable For Legal Reasons"), (499, b"Client Closed"),
        (500, b"Internal Server Error"), (501, b"Not Implemented"), (502, b"Bad Gateway"),
        (503, b"Service Unavailable"), (504, b"Gateway Timeout"), (505, b"HTTP Version Not Supported"),
        (507, b"Insufficient Storage"), (529, b"Overloaded"),
    )
}  # fmt: skip


class HeadBroken(EntrepotError):
    """A head that is not HTTP/1.1 as we read it; `status` is what the client is told (502 for an upstream's head)."""

    code = "head_broken"
    fault = Fault.CALLER

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class RequestHead(msgspec.Struct, frozen=True, kw_only=True):
    """`headers` has lower-case names; repeated ones are joined with a comma. `target` stands as sent. `takes_chunks`:
    an answer may be framed in chunks, which HTTP/1.0 does not know (RFC 9112 §6.1)."""

    method: bytes
    target: bytes
    path: bytes
    query: bytes
    headers: dict[bytes, bytes]
    length: int | None
    chunked: bool
    keep_alive: bool
    expect_continue: bool
    takes_chunks: bool


class ResponseHead(msgspec.Struct, frozen=True, kw_only=True):
    """`keep_alive` is false too where only the end of the connection ends the body."""

    status: int
    headers: dict[bytes, bytes]
    length: int | None
    chunked: bool
    keep_alive: bool
    keep_alive_timeout: int | None  # seconds, as the host says
    no_body: bool


def find_head_end(buffer: bytes | bytearray, searched: int = 0) -> int:
    """Index behind the blank line, -1 while it has not come; `searched` bytes were looked at before.

    Raises HeadBroken as soon as what is there cannot become a head of ours: too large, too many lines, or a bare LF.
    """
    end = buffer.find(b"\r\n\r\n", searched - 3 if searched > 3 else 0)
    if end >= 0:
        end += 4
        if end <= MAX_HEAD_BYTES:
            return end
    if end > MAX_HEAD_BYTES or len(buffer) >= MAX_HEAD_BYTES:
        raise HeadBroken(431, f"the head is above {MAX_HEAD_BYTES} bytes")
    if buffer[:1] in b"\r\n\x16" and buffer:
        raise HeadBroken(400, "no HTTP/1.1 request starts like this; TLS is the front proxy's")
    lf = buffer.find(b"\n", searched)
    lines = 0
    while lf >= 0:
        lines += 1
        if lines > MAX_HEAD_LINES + 1:
            raise HeadBroken(431, f"the head is above {MAX_HEAD_LINES} lines")
        if buffer[lf - 1 : lf] != b"\r":
            raise HeadBroken(400, f"line ends in LF alone at byte {lf}")
        lf = buffer.find(b"\n", lf + 1)
    return -1


def parse_request_head(block: bytes) -> RequestHead:
    """The head in `block`, which ends with its blank line. Raises HeadBroken (400, 417, 431, 505)."""
    lines = block.split(b"\r\n")
    start = _STARTS.get(lines[0]) or _request_line(lines[0])
    headers, repeated = _fields(lines, block, 400)
    if repeated and (twice := repeated & _SINGLE):
        raise HeadBroken(400, f"{_show(min(twice))} is there more than once")
    method, target, path, query, recent = start
    get = headers.get
    length: int | None = None
    chunked = False
    if (text := get(b"content-length")) is not None:
        length = _length(text, 400)
    if (text := get(b"transfer-encoding")) is not None:
        chunked = _chunked(text, recent=recent, length=length, status=400)
    if b"host" not in headers and recent:
        raise HeadBroken(400, "an HTTP/1.1 request has a Host line")
    expect = get(b"expect")
    if expect is not None and expect.lower() != b"100-continue":
        raise HeadBroken(417, f"Expect {_show(expect)} is not known; 100-continue is")
    connection = get(b"connection")
    return RequestHead(
        method=method, target=target, path=path, query=query, headers=headers, length=length, chunked=chunked,
        keep_alive=recent and (connection is None or connection == b"keep-alive" or _stays(connection)),
        expect_continue=expect is not None and recent, takes_chunks=recent,
    )  # fmt: skip


def parse_response_head(block: bytes) -> ResponseHead:
    """The head in `block`, which ends with its blank line. Raises HeadBroken (502). No request of ours is a HEAD."""
    lines = block.split(b"\r\n")
    match = _STATUS_LINE.fullmatch(lines[0])
    if match is None:
        raise HeadBroken(502, f"the upstream's status line is {_show(lines[0])}")
    headers, repeated = _fields(lines, block, 502)
    if repeated and (twice := repeated & _FRAMING):
        raise HeadBroken(502, f"the upstream's head has {_show(min(twice))} more than once")
    status = int(match[2])
    recent = match[1] == b"1"
    get = headers.get
    length: int | None = None
    chunked = False
    if (text := get(b"content-length")) is not None:
        length = _length(text, 502)
    if (text := get(b"transfer-encoding")) is not None:
        chunked = _chunked(text, recent=recent, length=length, status=502)
    no_body = status < 200 or status == 204 or status == 304
    connection = get(b"connection")
    stays = recent and (connection is None or connection == b"keep-alive" or _stays(connection))
    timeout = _TIMEOUT.search(text) if (text := get(b"keep-alive")) is not None else None
    return ResponseHead(
        status=status, headers=headers, length=length, chunked=chunked,
        keep_alive=stays and (no_body or chunked or length is not None),
        keep_alive_timeout=int(timeout[1]) if timeout is not None else None, no_body=no_body,
    )  # fmt: skip


def body_reader(head: RequestHead | ResponseHead) -> ChunkedReader | LengthReader | EndReader:
    """The reader of this message's body; one without a body is done at once."""
    if isinstance(head, ResponseHead) and head.no_body:
        return LengthReader(0)
    if head.chunked:
        return ChunkedReader()
    if head.length is None and isinstance(head, ResponseHead):
        return EndReader()
    return LengthReader(head.length or 0)


def chunk(payload: bytes) -> bytes:
    """`payload`, which is not empty, as one chunk."""
    return b"%x\r\n%b\r\n" % (len(payload), payload)


def _fields(lines: list[bytes], block: bytes, status: int) -> tuple[dict[bytes, bytes], frozenset[bytes]]:
    """(fields by lower-case name, names that came more than once)."""
    if len(block) > MAX_HEAD_BYTES or len(lines) > MAX_HEAD_LINES + 3:
        raise HeadBroken(
            431 if status == 400 else status, f"the head is above {MAX_HEAD_BYTES} bytes or {MAX_HEAD_LINES} lines"
        )
    if len(lines) < 3 or lines.pop() or lines.pop():
        raise HeadBroken(status, "the head does not end with a blank line")
    del lines[0]
    known = _FIELDS.get
    try:
        pairs = [known(line) or _field(line) for line in lines]
    except ValueError as error:
        raise HeadBroken(status, str(error)) from None
    headers = dict(pairs)
    if len(headers) == len(pairs):
        return headers, frozenset()
    headers.clear()
    repeated = set()
    for name, value in pairs:
        if name in headers:
            repeated.add(name)
            headers[name] += b", " + value
        else:
            headers[name] = value
    return headers, frozenset(repeated)


def _field(line: bytes) -> tuple[bytes, bytes]:
    match = _FIELD.fullmatch(line)
    if match is None:
        # The value may be a secret: only the name is shown.
        raise ValueError(f"header line {_show(line.partition(b':')[0])} is not `name: value`")
    name = match[1].lower()
    pair = name, match[2].rstrip(b" \t")
    if name not in _VARYING and len(line) <= _MAX_REMEMBERED and _SECRET.search(name) is None:
        if len(_FIELDS) >= _MAX_FIELDS:
            _FIELDS.clear()
        _FIELDS[line] = pair
    return pair


def _request_line(line: bytes) -> tuple[bytes, bytes, bytes, bytes, bool]:
    """(method, target, path, query, is HTTP/1.1)."""
    match = _REQUEST_LINE.fullmatch(line)
    if match is None:
        if _VERSION.fullmatch(line) and not line.endswith((b"/1.1", b"/1.0")):
            raise HeadBroken(505, f"HTTP/1.1 is spoken here, not {_show(line.rpartition(b' ')[2])}")
        raise HeadBroken(400, f"the request line is {_show(line)}")
    method, target, path, query, minor = match.groups()
    if target.startswith(b"*") and (method != b"OPTIONS" or target != b"*"):
        raise HeadBroken(400, f"target {_show(target)} goes with OPTIONS only")
    if not target or target.startswith(b"?"):
        raise HeadBroken(400, "the request line has no target")
    start = method, target, path or b"/", query or b"", minor == b"1"
    if len(line) <= _MAX_REMEMBERED and (not query or _PLAIN_QUERY.fullmatch(query)):
        if len(_STARTS) >= _MAX_STARTS:
            _STARTS.clear()
        _STARTS[line] = start
    return start


def _length(text: bytes, status: int) -> int:
    if _DIGITS.fullmatch(text) is None:
        raise HeadBroken(status, f"Content-Length {_show(text)} is not a count of bytes")
    return int(text)


def _chunked(text: bytes, *, recent: bool, length: int | None, status: int) -> bool:
    if text.lower() != b"chunked":
        raise HeadBroken(status, f"Transfer-Encoding {_show(text)} is not `chunked`")
    if length is not None:
        raise HeadBroken(status, "Content-Length and Transfer-Encoding exclude each other")
    if not recent:
        raise HeadBroken(status, "HTTP/1.0 has no Transfer-Encoding")
    return True


def _stays(connection: bytes) -> bool:
    return b"close" not in [token.strip(b" \t") for token in connection.lower().split(b",")]


def _show(text: bytes) -> str:
    return repr(text[:64])[1:]
