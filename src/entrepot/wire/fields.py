"""The top level of a JSON object, each key once: what a first-wins, a last-wins and a case-folding parser read alike.

A vendor may read a repeated key either way. We must never have admitted less than it serves, so an object is accepted
only if each byte of its top level is accounted for: keys once, without escapes. The common case (compact JSON) is
proven by encoding what was read and comparing bytes; any other layout is walked key by key.
"""

import re
from collections.abc import Set as AbstractSet
from typing import Final, NoReturn

import msgspec

from entrepot.kernel.errors import EntrepotError, Fault
from entrepot.wire.json_text import MAX_CONTAINERS, MAX_DEPTH, MAX_PARSED_AGAIN, name_fault, shape_of

Fields = dict[str, msgspec.Raw]

_decode = msgspec.json.Decoder(Fields).decode
_encode = msgspec.json.Encoder().encode
#: Calls have some 40 fields; beyond this somebody wants us busy.
MAX_FIELDS: Final = 256
_FAULTS: Final = (msgspec.MsgspecError, ValueError, RecursionError)
_KEY = re.compile(rb'[ \t\n\r]*"((?:[^"\\]|\\.)*+)"[ \t\n\r]*:[ \t\n\r]*', re.DOTALL)
_GAP = re.compile(rb"[ \t\n\r]*([,}])")
_SPACE = b" \t\n\r"


class BadField(EntrepotError):
    """A call that we do not admit: 400 with the field's name in `param`."""

    code = "invalid_value"
    fault = Fault.CALLER

    def __init__(self, message: str, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message, code=code)
        self.param = param


def read_fields(body: bytes) -> Fields:
    """The fields of a JSON object, undecoded, in their order; raises BadField."""
    try:
        if not body.isascii():
            body.decode()
        fields: Fields = _decode(body)
    except _FAULTS as error:
        raise BadField(name_fault(body, error), None, "invalid_json") from None
    if len(fields) > MAX_FIELDS:
        raise BadField(f"an object of the body has more than {MAX_FIELDS} fields", None, "invalid_json")
    if _encode(fields) != body:
        _walk(body, fields)
    return fields


def refuse_variants(fields: Fields, governing: AbstractSet[str]) -> None:
    """Refuses a key that is, but for case and blanks, one of `governing`: Go's parser takes one for the other."""
    for name in fields:
        if name not in governing and (meant := name.casefold().strip()) in governing:
            raise BadField(
                f"{name[:64]!r} is not a field; {meant!r} is, and some parsers take one for the other",
                name[:64],
                "unknown_parameter",
            )


def refuse_deep(body: bytes) -> int:
    """Refuses a body deeper or busier than any honest one; how many lists and objects there are in it, at the most."""
    containers = body.count(b"[") + body.count(b"{") - 1
    if containers > MAX_DEPTH:
        depth, containers = shape_of(body)
        if containers > MAX_CONTAINERS:
            raise BadField(f"the body has more than {MAX_CONTAINERS} lists and objects", None, "invalid_json")
        if depth > MAX_DEPTH:
            raise BadField(f"the body is nested deeper than {MAX_DEPTH}", None, "invalid_json")
    return containers


def span_of(body: bytes, fields: Fields, name: str) -> tuple[int, int]:
    """Where the value of a field of `read_fields(body)` stands."""
    raw = bytes(fields[name])
    key = b'"%b":' % name.encode()
    at = body.find(key + raw)
    if at == 1 or (at > 0 and body.find(key + raw, at + 1) < 0 and _encode(fields) == body):
        return at + len(key), at + len(key) + len(raw)
    return _walk(body, fields)[name]


def _walk(body: bytes, fields: Fields) -> dict[str, tuple[int, int]]:
    """Span of every top-level value, proving on the way that no byte of the top level is unaccounted for."""
    spans: dict[str, tuple[int, int]] = {}
    at = len(body) - len(body.lstrip(_SPACE)) + 1
    last = b","
    for name, value in fields.items():
        key = _KEY.match(body, at)
        if key is None or last != b"," or key[1] != name.encode():
            _refuse_repeat(body)
        raw = bytes(value)
        start = key.end()
        end = start + len(raw)
        gap = _GAP.match(body, end)
        if gap is None or not body.startswith(raw, start):
            _refuse_repeat(body)
        spans[name] = (start, end)
        at = gap.end()
        last = gap[1]
    if fields and (last != b"}" or body[at:].strip(_SPACE)):
        _refuse_repeat(body)
    return spans


def _refuse_repeat(body: bytes) -> NoReturn:
    seen: set[str] = set()
    at = body.find(b"{") + 1
    while len(body) <= MAX_PARSED_AGAIN and (key := _KEY.match(body, at)) is not None:
        if b"\\" in key[1]:
            raise BadField(
                f"a key of the body is written with an escape: {key[1][:64].decode(errors='replace')}",
                None,
                "invalid_json",
            )
        name = key[1].decode()
        if name in seen:
            raise BadField(f"{name[:64]!r} is in the body twice; send it once", name[:64], "duplicate_parameter")
        seen.add(name)
        at = _value_end(body, key.end())
        if body[at : at + 1] == b"}":
            break
        at += 1
    raise BadField("a key of the body occurs twice; send each once", None, "duplicate_parameter")


_STRING = re.compile(rb'"(?:[^"\\]|\\.)*+"', re.DOTALL)
_PLAIN = re.compile(rb'[^"\[\]{},]++')


def _value_end(body: bytes, at: int) -> int:
    """Index of the comma or bracket behind a value of valid JSON."""
    depth = 0
    while at < len(body):
        letter = body[at : at + 1]
        if letter == b'"':
            match = _STRING.match(body, at)
            at = match.end() if match else len(body)
        elif letter in b"[{":
            depth += 1
            at += 1
        elif letter in b"]}":
            if not depth:
                return at
            depth -= 1
            at += 1
        elif letter == b",":
            if not depth:
                return at
            at += 1
        else:
            match = _PLAIN.match(body, at)
            at = match.end() if match else len(body)
    return at
