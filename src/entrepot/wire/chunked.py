"""Where does a body end? Readers of the three framings of RFC 9112 §6, all with `feed`, `done`, `rest`, `end`."""

import re
from typing import Final, Literal

from entrepot.kernel.errors import EntrepotError, Fault

#: A size of 12 hex digits is 256 TiB; extensions carry nothing we use and may not grow without bound.
_EXTENSION = rb"(?:;[\t -~\x80-\xff]{0,256}+|[ \t]{0,16}+)"
_SIZE_LINE = re.compile(rb"([0-9A-Fa-f]{1,12})" + _EXTENSION + rb"\r\n")
_SIZE_START = re.compile(rb"(?:[0-9A-Fa-f]{1,12}" + _EXTENSION + rb"\r?)?\Z")
#: A length or coding behind the body could only be meant to confuse.
_TRAILER = re.compile(
    rb"(?!(?i:content-length|transfer-encoding):)[!#$%&'*+\-.^_`|~0-9A-Za-z]++:[\t -~\x80-\xff]*+\r\n"
)
_TRAILER_START = re.compile(rb"(?:\r|[!#$%&'*+\-.^_`|~0-9A-Za-z]++(?::[\t -~\x80-\xff]*+\r?)?)?\Z")
MAX_TRAILER_BYTES: Final = 4 * 1024  # nobody reads them; small, so that one byte a packet stays cheap
MAX_TRAILER_LINES: Final = 100
_SIZES: dict[bytes, int] = {}  # sizes > 0 read before, by their digits: at most _MAX_SIZES of ≤ 6 digits
_MAX_SIZES: Final = 4096

_SIZE, _DATA, _CRLF, _TRAILERS, _DONE = range(5)


class ChunkBroken(EntrepotError):
    """A body whose framing is broken: nothing behind this point may be read as a message."""

    code = "body_framing_broken"
    fault = Fault.CALLER


class ChunkedReader:
    """`feed` takes bytes as they come and gives the payload in them; extensions and trailers are checked and dropped.

    Raises ChunkBroken at the first byte that no chunked body has there; the reader is then of no further use.
    """

    __slots__ = ("_left", "_lines", "_state", "_tail", "_trailer_bytes", "done", "rest")

    def __init__(self) -> None:
        self.done = False
        self.rest = b""  # what came behind the end
        self._state = _SIZE
        self._left = 0  # payload bytes missing of the chunk under way
        self._tail = b""  # an incomplete line
        self._lines = self._trailer_bytes = 0

    def feed(self, data: bytes) -> bytes:
        """The payload in `data`, b"" where there is none."""
        state = self._state
        if state == _DATA and len(data) <= self._left:  # the inside of a large chunk
            self._left -= len(data)
            if not self._left:
                self._state = _CRLF
            return data
        if state == _DONE:
            self.rest += data
            return b""
        if self._tail:
            data = self._tail + data
            self._tail = b""
        parts: list[bytes] = []
        at, size = 0, len(data)
        if state == _SIZE:  # as long as whole chunks of known size lines come
            known = _SIZES.get
            while (end := data.find(b"\r\n", at)) > 0 and (length := known(data[at:end])):
                start = end + 2
                end = start + length
                if data[end : end + 2] != b"\r\n":
                    break
                parts.append(data[start:end])
                at = end + 2
        while at < size:
            if state == _SIZE:
                match = _SIZE_LINE.match(data, at)
                if match is None:
                    self._keep(data, at, _SIZE_START, "a chunk size")
                    break
                digits = match[1]
                self._left = length = int(digits, 16)
                at = match.end()
                if length and len(digits) <= 6 and len(_SIZES) < _MAX_SIZES:
                    _SIZES[digits] = length
                state = _DATA if length else _TRAILERS
            elif state == _DATA:
                part = data[at : at + self._left]
                parts.append(part)
                at += len(part)
                self._left -= len(part)
                if not self._left:
                    state = _CRLF
            elif state == _CRLF:
                if data.startswith(b"\r\n", at):
                    at += 2
                    state = _SIZE
                elif data[at:] == b"\r":
                    self._tail = b"\r"
                    break
                else:
                    raise ChunkBroken("a chunk is not followed by CR LF; its size does not fit its data")
            else:
                at = self._trailers(data, at)
                if self.done:
                    state = _DONE
                    self.rest = data[at:]
                break
        self._state = state
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def end(self) -> bool:
        """The connection has ended: is the body whole?"""
        return self.done

    def _trailers(self, data: bytes, at: int) -> int:
        while not data.startswith(b"\r\n", at):
            match = _TRAILER.match(data, at)
            if match is None:
                self._keep(data, at, _TRAILER_START, "a trailer line")
                self._bound(len(self._tail))
                return len(data)
            self._lines += 1
            self._trailer_bytes += match.end() - at
            self._bound(0)
            at = match.end()
        self.done = True
        return at + 2

    def _bound(self, more: int) -> None:
        if self._lines > MAX_TRAILER_LINES or self._trailer_bytes + more > MAX_TRAILER_BYTES:
            raise ChunkBroken(f"trailers above {MAX_TRAILER_LINES} lines or {MAX_TRAILER_BYTES} bytes")

    def _keep(self, data: bytes, at: int, start: re.Pattern[bytes], what: str) -> None:
        """Keeps an incomplete line for the next feed, or raises if no further byte can make it one."""
        if start.match(data, at) is None:
            raise ChunkBroken(f"{what} was expected and {data[at : at + 16]!r} came")
        self._tail = data[at:]


class LengthReader:
    """A body of a known length."""

    __slots__ = ("_left", "done", "rest")

    def __init__(self, length: int) -> None:
        self._left = length
        self.done = length == 0
        self.rest = b""

    def feed(self, data: bytes) -> bytes:
        """The payload in `data`; what is beyond the length goes to `rest`."""
        left = self._left
        if len(data) < left:
            self._left = left - len(data)
            return data
        self.done = True
        self._left = 0
        if len(data) == left:
            return data
        self.rest += data[left:]
        return data[:left]

    def end(self) -> bool:
        """The connection has ended: is the body whole?"""
        return self.done


class EndReader:
    """A body that the end of the connection ends; the caller knows whether that end was clean."""

    __slots__ = ("done", "rest")

    def __init__(self) -> None:
        self.done = False
        self.rest = b""

    def feed(self, data: bytes) -> bytes:
        return data

    def end(self) -> Literal[True]:
        """The connection has ended, and with it the body."""
        self.done = True
        return True
