"""TOML by hand: the text of one value on one line, such that reading it gives the same value back."""

import re
from collections.abc import Mapping
from datetime import date, datetime, time
from decimal import Decimal

from entrepot.kernel.text import is_plain

_BARE = re.compile(r"[A-Za-z0-9_-]+\Z")
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r", "\b": "\\b", "\f": "\\f"}


def key(name: str) -> str:
    """A bare key where TOML allows it, else quoted."""
    return name if _BARE.match(name) else string(name)


def string(text: str) -> str:
    letters = (_ESCAPES.get(each) or (each if is_plain(each) else _escape(ord(each))) for each in text)
    return f'"{"".join(letters)}"'


def _escape(code: int) -> str:
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def value(thing: object) -> str:
    """Inline text of strings, whole numbers, decimals, booleans, dates, lists and tables."""
    if isinstance(thing, str):
        return string(thing)
    if isinstance(thing, bool):
        return "true" if thing else "false"
    if isinstance(thing, int):
        return str(thing)
    if isinstance(thing, Decimal):
        return decimal(thing)
    if isinstance(thing, datetime | date | time):
        return thing.isoformat().replace("+00:00", "Z")
    if isinstance(thing, Mapping):
        inner = ", ".join(f"{key(str(name))} = {value(each)}" for name, each in thing.items())
        return f"{{ {inner} }}" if inner else "{}"
    if isinstance(thing, list | tuple):
        return f"[{', '.join(map(value, thing))}]"
    raise TypeError(f"{type(thing).__name__} has no place in a catalog")


def decimal(number: Decimal) -> str:
    """Plain digits with a point, so that it is read as a decimal again: 2.50, 0.000001, 3.0."""
    digits = f"{number:f}"
    return digits if "." in digits else f"{digits}.0"
