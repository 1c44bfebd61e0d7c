"""Rows about what goes on unchanged in a request: 68 to 72."""

import json
from typing import Any

from compatibility.headers import TALKATIVE, chat
from compatibility.paths import ASK
from compatibility.table import played, row
from tape_house import AZURE_CHAT, CHAT, MODEL, TapeHouse

FIELDS: dict[str, Any] = {
    "parallel_tool_calls": False, "tool_choice": {"type": "function", "function": {"name": "f"}},
    "tools": [{"type": "function", "function": {"name": "f", "strict": True, "parameters": {
        "type": "object", "properties": {"model": {"type": "string"}, "n": {"type": "integer"}}}}}],
    "response_format": {"type": "json_schema", "json_schema": {"name": "p", "strict": True, "schema": {}}},
    "seed": 7, "logprobs": True, "top_logprobs": 3, "n": 2, "stop": ["\n", "é𝄞"], "logit_bias": {"50256": -100},
    "reasoning_effort": "minimal", "modalities": ["text"], "prediction": {"type": "content", "content": "x"},
    "temperature": 0.30000000000000004, "top_p": 1e-2, "verbosity": "low",
}  # fmt: skip
WRONG_CAP = {"error": {
    "message": "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' "
    "instead.", "type": "invalid_request_error", "param": "max_tokens", "code": "unsupported_parameter",
}}  # fmt: skip
REFUSES_CAP = played("refuses-cap", json.dumps(WRONG_CAP), status=400)


def echoed(house: TapeHouse, path: str = CHAT, **fields: Any) -> Any:
    """The body as the vendor read it."""
    return json.loads(house.heard(chat(house, path, user="echo", **fields))["body"])


@row(68, "image, audio and file parts as data, 20 MB in one body", "forwarded byte for byte")
def large_parts(house: TapeHouse) -> None:
    data = "QUJD" * (5 << 20)
    parts = [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64," + data, "detail": "low"}},
        {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}},
        {"type": "text", "text": "what is this?"},
    ]  # fmt: skip
    body = {"model": MODEL, "messages": [{"role": "user", "content": parts}], "max_completion_tokens": 9}
    reply = house.send("POST", CHAT, {**body, "user": "echo"})
    assert reply.status == 200, reply.body[:300]
    assert json.loads(house.heard(reply)["body"]) == {**body, "user": "echo"}


@row(69, "`max_tokens` or `max_completion_tokens`", "forwarded as sent; whichever is set is what is held")
def caps(house: TapeHouse) -> None:
    for name in ("max_tokens", "max_completion_tokens"):
        reply = chat(house, user="echo", **{name: 77})
        sent = json.loads(house.heard(reply)["body"])
        assert {key: value for key, value in sent.items() if key.startswith("max_")} == {name: 77}
        assert house.ending(reply).output_cap == 77


@row(69, "the wrong one for the model", "refused as the vendor does: its 400, not billed")
def wrong_cap(house: TapeHouse) -> None:
    reply = chat(house, user=REFUSES_CAP, max_tokens=5)
    assert (reply.status, reply.json) == (400, WRONG_CAP)
    assert house.ending(reply).charge == 0


@row(69, "neither", "the deployment's own default, and the vendor is told")
def no_cap(house: TapeHouse) -> None:
    reply = chat(house, user="echo")
    cap = house.ending(reply).output_cap
    assert cap > 16
    assert json.loads(house.heard(reply)["body"]).get("max_completion_tokens", cap) == cap


@row(70, "`user`, `safety_identifier`, `metadata`", "forwarded")
def identifiers(house: TapeHouse) -> None:
    given = {"safety_identifier": "s-1", "metadata": {"team": "quay"}}
    sent = echoed(house, **given)
    assert {name: sent[name] for name in given} == given
    assert sent["user"] == "echo"


@row(70, "`prompt_cache_key`", "forwarded with a prefix of the customer's own, so that nobody shares it")
def cache_key(house: TapeHouse) -> None:
    mine = echoed(house, prompt_cache_key="k")["prompt_cache_key"]
    reply = house.send("POST", CHAT, {"model": MODEL, **ASK, "user": "echo", "prompt_cache_key": "k"}, key=house.poor)
    theirs = json.loads(house.heard(reply)["body"])["prompt_cache_key"]
    assert mine.endswith("k")
    assert mine != theirs
    assert mine == echoed(house, prompt_cache_key="k")["prompt_cache_key"]


@row(70, "`store: true`", "forwarded as sent", unmet="sent as `false`: what we sell is kept nowhere (docs/decisions)")
def store(house: TapeHouse) -> None:
    assert echoed(house, store=True)["store"] is True


@row(71, "tools, `response_format`, `seed`, `logprobs`, `n`, `stop`, `logit_bias`, … in both dialects",
     "every byte of them is forwarded as it came")  # fmt: skip
def unchanged(house: TapeHouse) -> None:
    for path in (CHAT, AZURE_CHAT):
        reply = chat(house, path, user="echo", max_completion_tokens=5, **FIELDS)
        sent = house.heard(reply)["body"]
        assert json.dumps({"model": MODEL, **ASK, "user": "echo", "max_completion_tokens": 5, **FIELDS}) == sent


@row(72, "`model` of the answer", "the vendor's version (`gpt-5.2-2025-12-11`), not the deployment's name")
def model_echo(house: TapeHouse) -> None:
    reply = chat(house, user=TALKATIVE)
    assert reply.json["model"] == "gpt-5.2-2025-12-11"
    assert house.ending(reply).vendor_model == "gpt-5.2-2025-12-11"
