"""The script of one fake call: what the vendor serves and how it misbehaves, carried in the last user message.

The content of the last message may be a JSON object such as
`{"prompt": 10, "completion": 20, "events": 5, "delay_ms": 20, "fault": "reset@120"}`; anything else is the default.
"""

import json
from collections.abc import Iterable
from typing import Any, Literal

import msgspec

ParserMode = Literal["last", "first", "fold"]

#: Every fault the vendor knows; some take a number after `@`.
FAULTS = {
    "reset": "RST at byte N of the answer (0: before the first)",
    "half_json": "a whole HTTP answer whose JSON stops in the middle; of a stream, an event cut short, then the end",
    "cut": "the body ends early with a clean close: Content-Length or the last chunk is missing",
    "no_usage": "an answer without usage",
    "usage_twice": "usage, then the right usage again",
    "usage_type": "usage with texts in place of numbers",
    "usage_negative": "usage below zero",
    "usage_huge": "usage beyond any model's limits",
    "trickle": "one byte each N ms (default 1000)",
    "no_done": "a stream without [DONE]",
    "done_twice": "a stream with two [DONE]",
    "split_utf8": "every byte of a multi-byte character in a write of its own",
    "big_event": "one event, or one answer, of N MiB (default 10)",
    "redirect": "302 to another address",
    "stale": "a good answer; the connection is reset when it is used again",
    "status": "HTTP status N with an error body (default 500)",
    "filter": "400 content filter: the prompt is billed",
    "slow_first": "N ms before the first byte (default 60000)",
    "gzip": "a gzip body although identity was asked for",
    "endless_headers": "header lines without end",
    "informational": "N answers of 103 before the real one (default 1000)",
    "content_type": "text/html as content type",
    "early_answer": "413 before the request is read; then the connection is closed",
    "error_event": "a stream that breaks with a top-level error event after N events (default 2)",
}


class ScriptBroken(ValueError):
    """The request or its script cannot be read."""


class Script(msgspec.Struct, frozen=True, kw_only=True):
    """What one call does. Tokens are what the vendor's own ledger counts."""

    prompt: int = 10
    cached: int = 0
    completion: int = 20
    reasoning: int = 0
    events: int = 5
    delay_ms: float = 0.0
    fault: str = ""

    @property
    def fault_name(self) -> str:
        return self.fault.partition("@")[0]

    def fault_number(self, default: int) -> int:
        return int(self.fault.partition("@")[2] or default)


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One request as the vendor understood it."""

    model: str
    stream: bool
    include_usage: bool
    completion: int  # tokens served: the script's, at most the cap, times n
    script: Script


_script = msgspec.json.Decoder(Script)


def script_text(**fields: Any) -> str:
    """Content of a user message that makes the vendor follow these fields."""
    return msgspec.json.encode(Script(**fields)).decode()


def read_call(body: bytes, mode: ParserMode = "last") -> Call:
    """Parse a chat request the way `mode` treats duplicate names: the last wins, the first wins, or the last after
    folding case. Raises ScriptBroken."""
    try:
        fields = json.loads(body, object_pairs_hook=lambda pairs: _object(pairs, mode))
        script = _script_of(fields.get("messages") or [])
        cap = fields.get("max_completion_tokens") or fields.get("max_tokens") or script.completion
        return Call(
            model=fields["model"],
            stream=bool(fields.get("stream")),
            include_usage=bool((fields.get("stream_options") or {}).get("include_usage")),
            completion=min(script.completion, int(cap)) * int(fields.get("n") or 1),
            script=script,
        )
    except (ValueError, KeyError, TypeError, AttributeError) as broken:
        raise ScriptBroken(str(broken)) from broken


def _object(pairs: Iterable[tuple[str, Any]], mode: ParserMode) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if mode == "fold":
            found[name.lower()] = value
        elif mode == "last" or name not in found:
            found[name] = value
    return found


def _script_of(messages: list[Any]) -> Script:
    for message in reversed(messages):
        content = message.get("content")
        if message.get("role") == "user":
            if isinstance(content, str) and content.startswith("{"):
                try:
                    return _script.decode(content)
                except msgspec.ValidationError as broken:
                    raise ScriptBroken(str(broken)) from broken
                except msgspec.DecodeError:
                    return Script()
            break
    return Script()
