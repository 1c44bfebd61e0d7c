"""What is wrong with this JSON text, and how deep is it? Read only where the fast decoder refused or cannot tell."""

import json
import re
from typing import Final

#: Deeper than any tool schema we know of, and below every parser's own end (trust 3.5).
MAX_DEPTH: Final = 64
_SURROGATE = re.compile(r"\\\\|\\u([dD][89abAB][0-9a-fA-F]{2})(\\u[dD][c-fC-F][0-9a-fA-F]{2})?|\\u([dD][c-fC-F]..)")
_BRACKETS: Final = bytes(code for code in range(256) if code not in b"[]{}")


def depth_of(body: bytes) -> int:
    """Nesting of a valid JSON text: 0 for a number, 1 for `[]`. Stops at MAX_DEPTH + 1."""
    text = body.replace(b"\\\\", b"").replace(b'\\"', b"")  # every quote left begins or ends a string
    structure = b"".join(text.split(b'"')[::2]).translate(None, _BRACKETS)
    depth = 0
    while structure and depth <= MAX_DEPTH:
        structure = structure.replace(b"{}", b"").replace(b"[]", b"")
        depth += 1
    return depth


def name_fault(body: bytes) -> str:
    """One sentence on why `body` is not a JSON object that we read, naming the place; it shows no text of it."""
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        return f"the body is not UTF-8 at byte {error.start}"
    if text[:1] == "\ufeff":
        return "the body begins with a byte order mark; JSON has none"
    try:
        value = json.loads(text, parse_constant=_constant)
    except json.JSONDecodeError as error:
        return f"the body is not JSON: {error.msg} at line {error.lineno}, column {error.colno}"
    except RecursionError:
        return f"the body is nested deeper than {MAX_DEPTH}"
    except ValueError as error:
        return str(error)
    for match in _SURROGATE.finditer(text):
        if (match[1] and not match[2]) or match[3]:
            return f"the body has half of a surrogate pair (\\u{match[1] or match[3]}) at character {match.start()}"
    if not isinstance(value, dict):
        return "the body is JSON, but not an object"
    return "the body is JSON that we do not read"


def _constant(name: str) -> float:
    raise ValueError(f"the body has {name}, which is no JSON number")
