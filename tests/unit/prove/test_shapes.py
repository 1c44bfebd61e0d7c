"""What the fake vendor answers to each operation, to tools and to schemas, and what it plays back."""

import base64
import json
import struct
from pathlib import Path
from typing import Any

import pytest

from entrepot.prove.answer import answer
from entrepot.prove.schema import instance
from entrepot.prove.script import Operation, read_call
from entrepot.prove.tape import Heard, Tape, cut_anew

TOOL = {"type": "function", "function": {"name": "find", "parameters": {
    "type": "object", "properties": {"port": {"type": "string"}, "deep": {"type": "integer"}}, "required": ["port"],
}}}  # fmt: skip
CHAT: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "x"}]}


def events(fields: dict[str, Any], operation: Operation = "chat") -> list[dict[str, Any]]:
    call = read_call(json.dumps({**fields, "stream": True}).encode(), "last", operation)
    lines = b"".join(data for _, data in answer(call, "i").pieces).split(b"\r\n")
    found = [line.strip() for line in lines if line.startswith(b"data: {")]
    return [json.loads(line[6:]) for line in found]


def whole(fields: dict[str, Any], operation: Operation = "chat") -> dict[str, Any]:
    sent = b"".join(data for _, data in answer(read_call(json.dumps(fields).encode(), "last", operation), "i").pieces)
    found: dict[str, Any] = json.loads(sent.partition(b"\r\n\r\n")[2])
    return found


def test_a_tool_is_called_whole_and_in_fragments() -> None:
    message = whole({**CHAT, "tools": [TOOL]})["choices"][0]
    assert message["finish_reason"] == "tool_calls"
    assert json.loads(message["message"]["tool_calls"][0]["function"]["arguments"]) == {"port": "word"}
    calls = [e["choices"][0]["delta"]["tool_calls"][0] for e in events({**CHAT, "tools": [TOOL]})[:-1]]
    assert calls[0]["id"] == "call_0"
    assert calls[0]["function"] == {"name": "find", "arguments": ""}
    assert json.loads("".join(call["function"]["arguments"] for call in calls)) == {"port": "word"}


@pytest.mark.parametrize(
    "more", [{"tool_choice": "none"}, {"messages": [{"role": "tool", "tool_call_id": "c", "content": "7"}]}]
)
def test_no_tool_is_called_where_none_is_wanted_or_its_result_has_come(more: dict[str, Any]) -> None:
    assert whole({**CHAT, "tools": [TOOL], **more})["choices"][0]["message"]["content"].startswith("tok")


def test_a_schema_gets_its_json() -> None:
    wanted = {"type": "json_schema", "json_schema": {"name": "p", "schema": TOOL["function"]["parameters"]}}
    said = whole({**CHAT, "response_format": wanted})["choices"][0]["message"]["content"]
    assert json.loads(said) == {"port": "word"}
    parts = [e["choices"][0]["delta"].get("content", "") for e in events({**CHAT, "response_format": wanted})]
    assert json.loads("".join(parts)) == {"port": "word"}


def test_choices_interleave_and_each_ends() -> None:
    seen = [(e["choices"][0]["index"], e["choices"][0]["finish_reason"]) for e in events({**CHAT, "n": 2})]
    assert seen == [(0, None), (1, None), (0, None), (1, None), (0, None), (0, "stop"), (1, "stop")]
    assert [e["choices"][0]["delta"].get("role") for e in events({**CHAT, "n": 2})[:3]] == ["assistant"] * 2 + [None]


def test_a_completion_has_text_and_its_own_cap() -> None:
    found = whole({"model": "m", "prompt": ["a", "b"]}, "completion")
    assert [choice["text"] for choice in found["choices"]] == ["tok " * 16 * 2] * 2
    assert found["usage"]["completion_tokens"] == 32
    assert {e["object"] for e in events({"model": "m", "prompt": "x"}, "completion")} == {"text_completion"}


def test_an_embedding_has_a_vector_for_each_input_in_both_encodings() -> None:
    plain = whole({"model": "m", "input": ["a", "b"], "dimensions": 3}, "embedding")
    packed = whole({"model": "m", "input": "a", "dimensions": 3, "encoding_format": "base64"}, "embedding")
    vector = struct.unpack("<3f", base64.b64decode(packed["data"][0]["embedding"]))
    assert plain["data"][0]["embedding"] == pytest.approx(vector)
    assert [one["index"] for one in plain["data"]] == [0, 1]
    assert plain["usage"] == {"prompt_tokens": 10, "total_tokens": 10}


def test_an_instance_follows_references_and_choices() -> None:
    schema = {
        "$defs": {"Kind": {"enum": ["quay", "pier"]}}, "type": "object", "required": ["kind", "many", "maybe"],
        "properties": {"kind": {"$ref": "#/$defs/Kind"}, "many": {"type": "array", "items": {"type": "number"}},
                       "maybe": {"anyOf": [{"type": "boolean"}, {"type": "null"}]}, "never": {"type": "string"}},
    }  # fmt: skip
    assert instance(schema) == {"kind": "quay", "many": [1], "maybe": True}


def test_the_tape_plays_the_same_bytes_however_they_are_cut(tmp_path: Path) -> None:
    file = tmp_path / "tape"
    pieces = [[0, "data: x\n\n"], [0, "data: é\n\n"]]
    file.write_text(json.dumps({"name": "a", "stream": True, "pieces": pieces}) + "\n")
    tape = Tape(file)
    heard = Heard(method="POST", target="/", headers={}, body="")
    asked = tape.asked(b'{"model":"m","user":"tape a random 3"}')
    played = [b"".join(data for _, data in tape.play(["tape", "a", *how], heard).pieces)
              for how in ([], ["bytes"], asked[2:])]  # fmt: skip
    assert played[0] == played[1] == played[2]
    assert played[0].endswith(b"9\r\ndata: x\n\n\r\na\r\ndata: \xc3\xa9\n\n\r\n0\r\n\r\n")
    assert len(list(cut_anew([(0.0, played[0])], ["bytes"]))) == len(played[0])
    assert tape.asked(b'{"user":"somebody"}') == []
    with pytest.raises(KeyError):
        tape.play(["tape", "b"], heard)
