"""What of a vendor's own words may a customer read?

Its word about the request (400, 413, 415, 422, and errors within a stream) goes on byte for byte, unless it is no error
object or says whose account it was asked under, which call of ours it was, or where its code stands.
"""

import re

import msgspec

from entrepot.wire.http1 import ResponseHead

PASSED_ON = (400, 413, 415, 422)
_ERROR_LIMIT = 1 << 20
#: Ids of an organisation, project, subscription or request, credentials, addresses of resources, stack traces.
_MARKS = re.compile(
    rb"\b(?:org|proj|req)[-_][A-Za-z0-9_]{8,}|\bsk-[A-Za-z0-9_-]{8,}|/subscriptions/"
    rb"|[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}|\.(?:openai|cognitiveservices|services\.ai)\.azure\.com"
    rb"|Traceback \(most recent|\bline \d+, in |\.(?:py|go|rs|js|java)\b[\"']?[:,] *(?:line )?\d|^\s+at \S+\(",
    re.IGNORECASE | re.MULTILINE,
)
_ESCAPE = re.compile(rb"\\(?:u00([0-7][0-9a-fA-F])|([/\"n]))")
_PLAIN = {b"/": b"/", b'"': b'"', b"n": b"\n"}


class _Error(msgspec.Struct):
    error: dict[str, object]


_read = msgspec.json.Decoder(_Error).decode


def passes_on(head: ResponseHead, body: bytes) -> bool:
    """Whether the vendor's status is its word about the request. All others could name our account or another
    customer."""
    return head.status in PASSED_ON and len(body) <= _ERROR_LIMIT and b"content-encoding" not in head.headers


def is_error(body: bytes) -> bool:
    """Whether it is an error object of the dialects that we serve, so that a caller's program can read it."""
    try:
        _read(body)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return False
    return True


def tells_too_much(said: bytes, host: str) -> bool:
    """Whether the vendor's words hold what is not for the caller; `host` is the upstream's."""
    plain = _ESCAPE.sub(lambda found: bytes([int(found[1], 16)]) if found[1] else _PLAIN[found[2]], said)
    return _MARKS.search(plain) is not None or (bool(host) and host.encode() in plain)


def is_answer(body: bytes) -> bool:
    """Whether an answer without usage is one at all; some vendors say 200 to what is none."""
    return b'"choices"' in body or b'"data"' in body
