"""What is wrong with this JSON text, and how deep is it? Read only where the fast decoder refused or cannot tell."""

import json
import re
from array import array
from itertools import accumulate
from typing import Final

#: Deeper than any tool schema we know of, and below every parser's own end (trust 3.5).
MAX_DEPTH: Final = 64
#: Lists and objects of one body: 100 times the largest set of tools; measuring them takes 10 ms.
MAX_CONTAINERS: Final = 100_000
#: A larger body gets a less exact refusal: reading it again in Python takes up to 0.7 µs a byte.
MAX_PARSED_AGAIN: Final = 64 * 1024
_SURROGATE = re.compile(r"\\\\|\\u([dD][89abAB][0-9a-fA-F]{2})(\\u[dD][c-fC-F][0-9a-fA-F]{2})?|\\u([dD][c-fC-F]..)")
_NO_BRACKETS: Final = bytes(code for code in range(256) if code not in b"[]{}")
_STEPS: Final = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")  # +1 and -1 as signed bytes


def shape_of(body: bytes) -> tuple[int, int]:
    """(nesting, lists and objects) of a valid JSON text; 0 deep is a number, 1 is `[]`. Linear in its length."""
    text = body.replace(b"\\\\", b"").replace(b'\\"', b"")  # every quote left begins or ends a string
    structure = b"".join(text.split(b'"')[::2]).translate(_STEPS, _NO_BRACKETS)
    if len(structure) > 2 * MAX_CONTAINERS:
        return 0, len(structure) // 2
    return max(accumulate(array("b", structure)), default=0), len(structure) // 2


def name_fault(body: bytes, error: Exception) -> str:
    """One sentence on why `body` is not a JSON object that we read, naming the place; it shows no text of it.

    `error` is what the fast decoder said; a large body is not parsed again for a better word.
    """
    try:
        text = body.decode()
    except UnicodeDecodeError as fault:
        return f"the body is not UTF-8 at byte {fault.start}"
    if text[:1] == "\ufeff":
        return "the body begins with a byte order mark; JSON has none"
    if isinstance(error, RecursionError):
        return f"the body is nested deeper than {MAX_DEPTH}"
    value: object = {}
    if len(body) <= MAX_PARSED_AGAIN:
        try:
            value = json.loads(text, parse_constant=_constant)
        except json.JSONDecodeError as fault:
            return f"the body is not JSON: {fault.msg} at line {fault.lineno}, column {fault.colno}"
        except ValueError as fault:
            return str(fault)
        except RecursionError:
            return f"the body is nested deeper than {MAX_DEPTH}"
    for match in _SURROGATE.finditer(text):
        if (match[1] and not match[2]) or match[3]:
            return f"the body has half of a surrogate pair (\\u{match[1] or match[3]}) at character {match.start()}"
    if not isinstance(value, dict):
        return "the body is JSON, but not an object"
    return f"the body is not JSON that we read: {error}"


def _constant(name: str) -> float:
    raise ValueError(f"the body has {name}, which is no JSON number")
