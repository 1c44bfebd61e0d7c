"""Header lines of answers: what of a vendor's head goes on to the client, and what we add. All else stays here."""

import re
from email.utils import format_datetime

from entrepot.gateway.problem import REASONS, Dialect
from entrepot.kernel.instants import Instant, to_datetime
from entrepot.wire.http1 import RequestHead, ResponseHead

#: What a browser's script may read of an answer beside its body.
_EXPOSED = b"x-request-id, apim-request-id, retry-after, retry-after-ms, x-should-retry"
_CLIENT_ID = re.compile(rb"[\x21-\x7e]{1,128}")
CUSTOM_LIMIT = 10  # Azure: above it 431 (azure-rules §1.10)
#: Headers that clients, SDKs and proxies send by themselves; all others are custom ones.
_USUAL = frozenset(
    b"accept accept-charset accept-encoding accept-language api-key authorization cache-control connection "
    b"content-encoding content-length content-type cookie date dnt expect forwarded host idempotency-key keep-alive "
    b"origin pragma priority referer te traceparent tracestate transfer-encoding upgrade upgrade-insecure-requests "
    b"user-agent via x-api-key x-real-ip x-request-id aoai-evals".split()
)
_USUAL_STARTS = (b"x-stainless-", b"x-ms-", b"openai-", b"sec-", b"x-forwarded-", b"cf-")


def custom_headers(head: RequestHead) -> int:
    """How many headers are the caller's own invention."""
    return sum(name not in _USUAL and not name.startswith(_USUAL_STARTS) for name in head.headers)


def echo_lines(head: RequestHead | None) -> bytes:
    """What an answer repeats of its request: that a browser's script may read it, and the id that an Azure client gave
    it, if that is a plain short text."""
    if head is None:
        return b""
    headers = head.headers
    lines = b""
    if b"origin" in headers:
        lines = b"access-control-allow-origin: *\r\naccess-control-expose-headers: %b\r\n" % _EXPOSED
    if (given := headers.get(b"x-ms-client-request-id")) is not None and _CLIENT_ID.fullmatch(given):
        lines += b"x-ms-client-request-id: %b\r\n" % given
    return lines


def cors_head() -> bytes:
    """Answer to a browser's question before its call (Fetch standard, CORS preflight); the key is still needed then."""
    return (
        b"HTTP/1.1 204 No Content\r\naccess-control-allow-origin: *\r\n"
        b"access-control-allow-methods: GET, POST, HEAD, OPTIONS\r\naccess-control-allow-headers: *, authorization\r\n"
        b"access-control-max-age: 86400\r\nallow: GET, POST, HEAD, OPTIONS\r\n"
    )


def id_lines(request_id: str, dialect: Dialect) -> bytes:
    """The request id under the name that the dialect's SDKs read (reference/wire.md 14)."""
    text = request_id.encode()
    if dialect is Dialect.AZURE:
        return b"x-request-id: %b\r\napim-request-id: %b\r\n" % (text, text)
    return b"x-request-id: %b\r\n" % text


def place_lines(deployment: str, zone: str) -> bytes:
    """Azure says where it served a call, and as what."""
    lines = b"x-ms-deployment-name: %b\r\n" % deployment.encode("ascii", "ignore")
    return lines + b"x-ms-region: %b\r\n" % zone.encode() if zone.isascii() and zone.isprintable() and zone else lines


def sunset_line(retires_at: Instant) -> bytes:
    """When the model of an answer retires, if that is known (RFC 8594)."""
    if not retires_at:
        return b""
    return b"sunset: %b\r\n" % format_datetime(to_datetime(retires_at), usegmt=True).encode()


def stream_head(lines: bytes, *, chunked: bool) -> bytes:
    """Head of an event stream, whole; one that is not chunked ends with its connection."""
    return (
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-cache\r\n"
        b"x-accel-buffering: no\r\n%b%b\r\n" % (b"transfer-encoding: chunked\r\n" if chunked else b"", lines)
    )


def answer_head(head: ResponseHead, size: int, lines: bytes) -> bytes:
    """Head of a whole answer up to its last line; the server ends it."""
    encoding = head.headers.get(b"content-encoding")
    return b"HTTP/1.1 %d %b\r\ncontent-type: %b\r\ncontent-length: %d\r\n%b%b" % (
        head.status,
        REASONS.get(head.status, b"OK"),
        head.headers.get(b"content-type", b"application/json"),
        size,
        b"" if encoding is None else b"content-encoding: %b\r\n" % encoding,
        lines,
    )


def retry_after_ms(head: ResponseHead) -> int | None:
    """How long the vendor asks to wait."""
    for name, unit in ((b"retry-after-ms", 1), (b"retry-after", 1000)):
        value = head.headers.get(name, b"")
        if value.isdigit() and len(value) < 8:
            return int(value) * unit
    return None
