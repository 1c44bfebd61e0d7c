"""Server-sent events on their way through: what may go to the client now, and what waits for the ending.

`Relay.feed` cuts the stream at event boundaries; from the first event that bears usage, an error or the end on,
everything is held, so that the client sees the last events only once the record is durable (protocol §3). A usage
object beside an unfinished choice is a running total: remembered, not held.

`events` is what a stream is counted by where its vendor names no usage, one token an event: so the role, the finish,
the usage and the end are no events of it.

Nearly every read is whole events of one data line each, and decoding just `usage` and `error` of each costs less than
searching the bytes for them (0.7 against 1.3 µs an event); what does not decode so is read by the letter.
"""

import re
from typing import Final

import msgspec

from entrepot.kernel.errors import EntrepotError, Fault

#: An incomplete event is kept back up to this size; a larger one passes through unheld (protocol §7).
MAX_HELD_EVENT: Final = 64 * 1024
MAX_EVENT_BYTES: Final = 16 * 1024 * 1024

_BOUNDARY = re.compile(rb"(?>\r\n|\n|\r)(?>\r\n|\n|\r)")
_LINE_END = re.compile(rb"\r\n|\n|\r")
#: A delta with something in it, or a completion's text. Within a JSON text each quote has a backslash, so no text can
#: look like this.
_CONTENT = re.compile(
    rb'"(?>content|reasoning_content|reasoning|refusal|arguments|text)"\s*+:\s*+"[^"]'
    rb'|"(?>tool_calls)"\s*+:\s*+\[\s*+\{|"(?>function_call|audio)"\s*+:\s*+\{'
)


#: How nearly every such delta begins, and what follows if it is empty.
_PLAIN = b'"content":"'
_PLAIN_SIZE = len(_PLAIN)
_QUOTE = ord('"')


class EventTooLarge(EntrepotError):
    """One event above MAX_EVENT_BYTES: the upstream does not speak our language any more."""

    code = "event_too_large"
    fault = Fault.UPSTREAM


class _Counts(msgspec.Struct, frozen=True):
    """Any object; its fields are read elsewhere."""


_NULL = msgspec.Raw(b"null")
_FALSE = frozenset((b"null", b"false", b"0", b'""', b"{}", b"[]"))


class _Choice(msgspec.Struct, frozen=True):
    finish_reason: msgspec.Raw = _NULL


class _Glance(msgspec.Struct, frozen=True):
    usage: _Counts | None = None
    error: object = None


class _Event(msgspec.Struct, frozen=True):
    usage: msgspec.Raw = _NULL
    error: msgspec.Raw = _NULL
    choices: tuple[_Choice, ...] | None = None


_glance = msgspec.json.Decoder(_Glance).decode
_read = msgspec.json.Decoder(_Event).decode
_FAULTS = (msgspec.MsgspecError, ValueError, RecursionError)


class Relay:
    """The splitter of one stream. With `drop_usage` the event that only the gateway asked for is taken out."""

    __slots__ = (
        "_after_cr", "_bearing", "_large", "_large_size", "_place", "_seam", "_tail", "done", "drop_usage", "error",
        "events", "holding", "usage_event",
    )  # fmt: skip

    def __init__(self, *, drop_usage: bool = False) -> None:
        self.drop_usage = drop_usage
        self.holding = False
        self.done = False  # [DONE] came
        self.error = False  # an event with a top-level error came
        self.events = 0  # data lines that bear content; 1 where only others came, but for [DONE]
        self._bearing = 0  # data lines that bear content
        self._place = 0  # where it stood in one of them: in the next ones too, as a rule
        self.usage_event: bytes | None = None  # JSON of the last event with a usage object
        self._tail = b""  # an incomplete event
        self._large: list[bytes] | None = None  # parts of an event that passes through, kept to be read
        self._large_size = 0
        self._seam = b""  # its last byte: its end may lie across two reads
        self._after_cr = False  # the last boundary ended in CR: a LF now still belongs to it

    @property
    def retained(self) -> int:
        """Bytes kept in memory for this stream, besides what was handed out as held."""
        return len(self._tail) + self._large_size

    def feed(self, data: bytes) -> tuple[bytes, bytes | None]:
        """(to forward now, to hold; None = nothing is held). Concatenated they are the bytes that came, in order."""
        if self._tail:
            data = self._tail + data
            self._tail = b""
        elif self._large is not None:
            return self._feed_large(data)
        if self._after_cr:
            return self._feed_any(data)
        if data.endswith(b"\n\n"):
            quiet = 0 if self.holding else self._quiet(data, b"\n")
            if quiet == len(data):
                return data, None
            forward, held = self._split(data[quiet:])
            return data[:quiet] + forward, held
        if b"\r" in data:
            if self.holding or not data.endswith(b"\r\n\r\n"):
                return self._feed_any(data)
            quiet = self._quiet(data, b"\r\n")
            if quiet == len(data):
                return data, None
            forward, held = self._feed_any(data[quiet:])
            return data[:quiet] + forward, held
        size = data.rfind(b"\n\n") + 2
        if size == 1:
            return self._keep(b"", data)
        forward, held = self.feed(data[:size])
        return self._keep(forward, data[size:], held)

    def end(self) -> bytes:
        """The stream has ended: the incomplete event that it left, b"" where there is none. It is not an event."""
        tail, self._tail = self._tail, b""
        return tail

    def _quiet(self, data: bytes, line_end: bytes) -> int:
        """How many bytes at the start are whole events of one line each, none of which begins a hold? May say too few,
        never too many. The last read of a stream is often many such events and then the end."""
        lines = data.split(line_end)
        line = b""
        bearing, place, match = 0, self._place, _CONTENT.match
        try:
            for line in lines:
                if line:
                    seen = _glance(line[5:])
                    if seen.usage is not None or seen.error is not None or not line.startswith(b"data:"):
                        break
                    if (line.startswith(_PLAIN, place) and line[place + _PLAIN_SIZE] != _QUOTE) or match(line, place):
                        bearing += 1
                    elif found := _content(line):
                        bearing += 1
                        place = self._place = found.start()
            else:
                if any(lines):
                    self._note(bearing)
                return len(data)
        except _FAULTS:
            pass
        at = stopped = lines.index(line)  # an equal line before it would have stopped us there
        while at and lines[at - 1]:
            at -= 1
        before = lines[:at]
        if any(before):  # what was counted is theirs, unless the event that stopped us has lines before this one
            self._note(bearing if at == stopped else sum(_content(line) is not None for line in before))
        return sum(map(len, before)) + at * len(line_end)

    def _note(self, bearing: int) -> None:
        """Data lines came, of which so many bear content."""
        self._bearing += bearing
        self.events = self._bearing or 1

    def _split(self, data: bytes) -> tuple[bytes, bytes | None]:
        """Whole events, read one by one and cut where the hold begins."""
        forward: list[bytes] = []
        held: list[bytes] = []
        at = 0
        for match in _BOUNDARY.finditer(data):
            event = data[at : match.end()]
            at = match.end()
            keep = self._read_event(event)
            if not self.holding:
                forward.append(event)
            elif keep:
                held.append(event)
        (held if self.holding else forward).append(data[at:])  # blank lines behind the last event
        return b"".join(forward), b"".join(held) if self.holding else None

    def _read_event(self, event: bytes) -> bool:
        """Takes note of one event; False if it is to be dropped."""
        lines = _data_lines(event)
        if not lines:
            return True
        data = b"\n".join(lines)
        if data.startswith(b"[DONE]"):
            self.done = self.holding = True
            return True
        self._note(sum(_content(line) is not None for line in lines))
        try:
            read = _read(data)
        except _FAULTS:
            return True
        if bytes(read.error) not in _FALSE:  # as the SDKs ask
            self.error = self.holding = True
        if bytes(read.usage)[:1] == b"{":
            self.usage_event = data
            if all(bytes(choice.finish_reason) != b"null" for choice in read.choices or ()):
                self.holding = True
                return not (self.drop_usage and not read.choices)
        return True

    def _keep(self, forward: bytes, tail: bytes, held: bytes | None = None) -> tuple[bytes, bytes | None]:
        """Keeps an incomplete event back, or lets it through if it is large."""
        if len(tail) <= MAX_HELD_EVENT:
            self._tail = tail
            return forward, held
        self._tail = b""
        self._large = [tail]
        self._seam = tail[-1:]
        self._large_size = len(tail)
        if self.holding:
            return forward, (held or b"") + tail
        return forward + tail, held

    def _feed_large(self, data: bytes) -> tuple[bytes, bytes | None]:
        """Goes on with an event that passes through; its end is searched across the seam."""
        parts = self._large
        assert parts is not None
        seam = self._seam
        match = _BOUNDARY.search(seam + data)
        if match is None:
            self._large_size += len(data)
            if self._large_size > MAX_EVENT_BYTES:
                raise EventTooLarge(f"an event is above {MAX_EVENT_BYTES} bytes")
            parts.append(data)
            self._seam = data[-1:] or seam
            return (b"", data) if self.holding else (data, None)
        cut = max(match.end() - len(seam), 0)
        parts.append(data[:cut])
        held_before = self.holding
        self._large, self._large_size = None, 0
        self._after_cr = data[:cut].endswith(b"\r")
        self._read_event(b"".join(parts))
        rest, held = self.feed(data[cut:]) if cut < len(data) else (b"", None)
        if held_before:
            return b"", data[:cut] + (held or b"")
        return data[:cut] + rest, held

    def _feed_any(self, data: bytes) -> tuple[bytes, bytes | None]:
        """As `feed`, with CR LF, CR or LF as line ends."""
        before = b""
        if self._after_cr and not self._tail and data[:1] == b"\n":
            before, data = b"\n", data[1:]
        self._tail = b""
        size = 0
        for match in _BOUNDARY.finditer(data):
            size = match.end()
        whole, tail = data[:size], data[size:]
        if data:
            self._after_cr = not tail and whole.endswith(b"\r")
        elif before:
            self._after_cr = False
        was_holding = self.holding
        forward, held = self._split(whole)
        if was_holding:
            held = before + (held or b"")
        else:
            forward = before + forward
        return self._keep(forward, tail, held)


def _content(line: bytes) -> re.Match[bytes] | None:
    """Where a data line bears content: text, reasoning, a refusal, audio, a tool call."""
    return _CONTENT.search(line, max(line.find(b'"delta"'), 0))


def _data_lines(event: bytes) -> list[bytes]:
    """Values of the data lines, without the one space that may follow the colon."""
    return [line[6:] if line[5:6] == b" " else line[5:] for line in _LINE_END.split(event) if line.startswith(b"data:")]
