"""The script of one fake call: what the vendor serves and how it misbehaves, carried in the last user message, or in
the prompt of a completion, or in the input of an embedding.

That text may be a JSON object such as
`{"prompt": 10, "completion": 20, "events": 5, "delay_ms": 20, "fault": "reset@120"}`; anything else is the default.
"""

import json
from collections.abc import Callable, Iterable
from typing import Any, Literal

import msgspec

from entrepot.prove.schema import instance

ParserMode = Literal["last", "first", "fold"]
Operation = Literal["chat", "completion", "embedding"]
#: What a vendor writes at the most where a completion names no cap (OpenAI's openapi.yaml, CreateCompletionRequest).
_COMPLETION_CAP = 16
_DIMENSIONS = 8

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
    tag: str = ""  # the caller's own name for the call; the vendor's ledger repeats it

    @property
    def fault_name(self) -> str:
        return self.fault.partition("@")[0]

    def fault_number(self, default: int) -> int:
        return int(self.fault.partition("@")[2] or default)


class Tool(msgspec.Struct, frozen=True, kw_only=True):
    """A tool that the vendor is to call."""

    name: str
    parameters: Any


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One request as the vendor understood it."""

    operation: Operation = "chat"
    model: str
    stream: bool
    include_usage: bool
    completion: int  # tokens served: the script's, at most the cap, times what is written for each prompt
    script: Script
    n: int = 1  # choices of the answer
    tools: tuple[Tool, ...] = ()  # to be called
    text: str = ""  # to be said, where a JSON schema asks for it
    inputs: int = 1  # vectors of an embedding
    dimensions: int = _DIMENSIONS
    encoding: str = "float"


_read_script = msgspec.json.Decoder(Script).decode


def script_text(**fields: Any) -> str:
    """Content of a user message that makes the vendor follow these fields."""
    return msgspec.json.encode(Script(**fields)).decode()


def read_call(body: bytes, mode: ParserMode = "last", operation: Operation = "chat") -> Call:
    """Parse a request the way `mode` treats duplicate names: the last wins, the first wins, or the last after folding
    case. Raises ScriptBroken."""
    try:
        fields = json.loads(body, object_pairs_hook=lambda pairs: _object(pairs, mode))
        return _READ[operation](fields)
    except (ValueError, KeyError, TypeError, AttributeError) as broken:
        raise ScriptBroken(str(broken)) from broken


def _chat(fields: dict[str, Any]) -> Call:
    script = _script_of(fields.get("messages") or [])
    cap = fields.get("max_completion_tokens") or fields.get("max_tokens") or script.completion
    n = int(fields.get("n") or 1)
    wanted = (fields.get("response_format") or {}).get("json_schema", {}).get("schema")
    tools = _tools_to_call(fields)
    return Call(
        model=fields["model"],
        stream=bool(fields.get("stream")),
        include_usage=_wants_usage(fields),
        completion=min(script.completion, int(cap)) * n,
        script=script,
        n=n,
        tools=tools,
        text=json.dumps(instance(wanted)) if wanted and not tools else "",
    )


def _completion(fields: dict[str, Any]) -> Call:
    prompt = fields["prompt"]
    prompts = prompt if isinstance(prompt, list) and prompt and isinstance(prompt[0], str | list) else [prompt]
    script = _script(prompts[0])
    n = int(fields.get("n") or 1)
    cap = int(fields.get("max_tokens") or _COMPLETION_CAP)
    return Call(
        operation="completion",
        model=fields["model"],
        stream=bool(fields.get("stream")),
        include_usage=_wants_usage(fields),
        completion=min(script.completion, cap) * max(n, int(fields.get("best_of") or 1)) * len(prompts),
        script=script,
        n=n * len(prompts),
    )


def _embedding(fields: dict[str, Any]) -> Call:
    given = fields["input"]
    inputs = given if isinstance(given, list) and given and isinstance(given[0], str | list) else [given]
    return Call(
        operation="embedding",
        model=fields["model"],
        stream=False,
        include_usage=False,
        completion=0,
        script=_script(inputs[0]),
        inputs=len(inputs),
        dimensions=int(fields.get("dimensions") or _DIMENSIONS),
        encoding=fields.get("encoding_format") or "float",
    )


_READ: dict[Operation, Callable[[dict[str, Any]], Call]] = {
    "chat": _chat, "completion": _completion, "embedding": _embedding,
}  # fmt: skip


def _wants_usage(fields: dict[str, Any]) -> bool:
    return bool((fields.get("stream_options") or {}).get("include_usage"))


def _tools_to_call(fields: dict[str, Any]) -> tuple[Tool, ...]:
    """Each tool once, or the one that is chosen; none where results of tools have come back."""
    choice = fields.get("tool_choice")
    last = (fields.get("messages") or [{}])[-1]
    if choice == "none" or last.get("role") == "tool":
        return ()
    found = [Tool(name=tool["function"]["name"], parameters=tool["function"].get("parameters") or {})
             for tool in fields.get("tools") or []]  # fmt: skip
    if isinstance(choice, dict):
        found = [tool for tool in found if tool.name == choice["function"]["name"]]
    return tuple(found)


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
        if message.get("role") == "user":
            return _script(message.get("content"))
    return Script()


def _script(text: object) -> Script:
    if isinstance(text, str) and text.startswith("{"):
        try:
            return _read_script(text)
        except msgspec.ValidationError as broken:
            raise ScriptBroken(str(broken)) from broken
        except msgspec.DecodeError:
            pass
    return Script()
