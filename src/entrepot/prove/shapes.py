"""How the fake vendor's answers look, by operation: whole ones, and the choices of a stream's events.

A call that brings tools gets them called, one that brings a JSON schema gets JSON of that schema; both with the
smallest values that the schema allows. Only shapes: tokens are what the call's script says.
"""

import base64
import json
import struct
from collections.abc import Iterator
from typing import Any

from entrepot.prove.schema import instance
from entrepot.prove.script import Call, Tool

_CREATED = 1_700_000_000
_OBJECT = {"chat": "chat.completion", "completion": "text_completion"}


def base(call: Call, identity: str, *, chunk: bool) -> dict[str, Any]:
    """The fields that an answer and each event of a stream share."""
    kind = _OBJECT[call.operation] + (".chunk" if chunk and call.operation == "chat" else "")
    return {"id": identity, "object": kind, "created": _CREATED, "model": call.model}


def whole(call: Call, identity: str, text: str) -> dict[str, Any]:
    """An answer without its usage."""
    if call.operation == "embedding":
        vectors = [_vector(call, number) for number in range(call.inputs)]
        data = [{"object": "embedding", "index": n, "embedding": vector} for n, vector in enumerate(vectors)]
        return {"object": "list", "data": data, "model": call.model}
    return {**base(call, identity, chunk=False), "choices": [_choice(call, n, text) for n in range(call.n)]}


def _choice(call: Call, index: int, text: str) -> dict[str, Any]:
    if call.operation == "completion":
        return {"text": text, "index": index, "logprobs": None, "finish_reason": "stop"}
    message: dict[str, Any] = {"role": "assistant", "content": call.text or text, "refusal": None}
    if call.tools:
        message["content"] = None
        message["tool_calls"] = [_called(tool, n) for n, tool in enumerate(call.tools)]
    return {"index": index, "message": message, "logprobs": None, "finish_reason": _finish(call)}


def _called(tool: Tool, number: int) -> dict[str, Any]:
    arguments = json.dumps(instance(tool.parameters))
    return {"id": f"call_{number}", "type": "function", "function": {"name": tool.name, "arguments": arguments}}


def _finish(call: Call) -> str:
    return "tool_calls" if call.tools else "stop"


def _vector(call: Call, number: int) -> list[float] | str:
    values = [round((number + 1) / (at + 2), 6) for at in range(call.dimensions)]
    if call.encoding == "base64":
        return base64.b64encode(struct.pack(f"<{len(values)}f", *values)).decode()
    return values


def delta(call: Call, index: int, text: str, *, first: bool) -> list[dict[str, Any]]:
    """The choices of an event that carries text."""
    if call.operation == "completion":
        return [{"text": text, "index": index, "logprobs": None, "finish_reason": None}]
    said: dict[str, Any] = {"role": "assistant"} if first else {}
    return [{"index": index, "delta": {**said, "content": text} if text else said, "finish_reason": None}]


def finish(call: Call, index: int) -> list[dict[str, Any]]:
    """The choices of the event that ends one choice."""
    if call.operation == "completion":
        return [{"text": "", "index": index, "logprobs": None, "finish_reason": "stop"}]
    return [{"index": index, "delta": {}, "finish_reason": _finish(call)}]


def made_to_order(call: Call) -> Iterator[list[dict[str, Any]]]:
    """The events of a stream that calls tools, or says JSON of a schema: name first, then fragments."""
    for index in range(call.n):
        for number, tool in enumerate(call.tools):
            whole_call = _called(tool, number)
            arguments = whole_call["function"]["arguments"]
            opening = {**whole_call, "index": number, "function": {**whole_call["function"], "arguments": ""}}
            said = {"role": "assistant", "content": None} if number == 0 else {}
            yield [{"index": index, "delta": {**said, "tool_calls": [opening]}, "finish_reason": None}]
            for part in _fragments(arguments):
                more = {"index": number, "function": {"arguments": part}}
                yield [{"index": index, "delta": {"tool_calls": [more]}, "finish_reason": None}]
        if not call.tools:
            for number, part in enumerate(_fragments(call.text)):
                yield delta(call, index, part, first=number == 0)


def _fragments(text: str) -> list[str]:
    return [text[at : at + 7] for at in range(0, len(text), 7)]
