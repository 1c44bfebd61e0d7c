"""Header lines of answers: what of a vendor's head goes on to the client, and what we add. All else stays here."""

from entrepot.gateway.problem import REASONS, Dialect
from entrepot.wire.http1 import ResponseHead


def id_lines(request_id: str, dialect: Dialect) -> bytes:
    """The request id under the name that the dialect's SDKs read (reference/wire.md 14)."""
    text = request_id.encode()
    if dialect is Dialect.AZURE:
        return b"x-request-id: %b\r\napim-request-id: %b\r\n" % (text, text)
    return b"x-request-id: %b\r\n" % text


def stream_head(request_id: str, dialect: Dialect) -> bytes:
    """Head of an event stream, whole."""
    return (
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-cache\r\n"
        b"x-accel-buffering: no\r\ntransfer-encoding: chunked\r\n%b\r\n" % id_lines(request_id, dialect)
    )


def answer_head(head: ResponseHead, size: int, request_id: str, dialect: Dialect) -> bytes:
    """Head of a whole answer up to its last line; the server ends it."""
    encoding = head.headers.get(b"content-encoding")
    return b"HTTP/1.1 %d %b\r\ncontent-type: %b\r\ncontent-length: %d\r\n%b%b" % (
        head.status,
        REASONS.get(head.status, b"OK"),
        head.headers.get(b"content-type", b"application/json"),
        size,
        b"" if encoding is None else b"content-encoding: %b\r\n" % encoding,
        id_lines(request_id, dialect),
    )


_PASSED_ON = (400, 413, 415, 422)
_ERROR_LIMIT = 1 << 20


def passes_on(head: ResponseHead, body: bytes) -> bool:
    """Whether the caller reads the vendor's own error: its word about the request, said in the caller's dialect. All
    others could name our account or another customer."""
    return head.status in _PASSED_ON and len(body) <= _ERROR_LIMIT and b"content-encoding" not in head.headers


def retry_after_ms(head: ResponseHead) -> int | None:
    """How long the vendor asks to wait."""
    for name, unit in ((b"retry-after-ms", 1), (b"retry-after", 1000)):
        value = head.headers.get(name, b"")
        if value.isdigit() and len(value) < 8:
            return int(value) * unit
    return None
