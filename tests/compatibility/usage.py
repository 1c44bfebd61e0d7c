"""Rows about usage: 53 to 57."""

import base64
import json
import struct
from typing import Any

from compatibility.headers import chat
from compatibility.paths import post
from compatibility.table import played, row
from entrepot.metering.record import Ending
from tape_house import CHAT, TapeHouse

FULL = {
    "prompt_tokens": 100, "completion_tokens": 60, "total_tokens": 160,
    "prompt_tokens_details": {"cached_tokens": 40, "audio_tokens": 0, "text_tokens": 100, "image_tokens": 0,
                              "cache_write_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 20, "audio_tokens": 0, "text_tokens": 40,
                                  "accepted_prediction_tokens": 5, "rejected_prediction_tokens": 10},
}  # fmt: skip


def whole(usage: dict[str, Any], **more: Any) -> str:
    choice = {"index": 0, "message": {"role": "assistant", "content": "x"}, "finish_reason": "stop"}
    return json.dumps({
        "id": "chatcmpl-9", "object": "chat.completion", "created": 1_700_000_000, "model": "gpt-5.2-2025-12-11",
        "choices": [choice], "usage": usage, **more,
    })  # fmt: skip


DETAILED = played("detailed", whole(FULL))
PRIORITY = played("priority", whole(FULL, service_tier="priority"))
DOWNGRADED = played("downgraded", whole(FULL, service_tier="default"))
#: USD per million of the house's list, in units of 10^-9 a token: input, cached, output.
INPUT, CACHED, OUTPUT = 100, 50, 400


def told(house: TapeHouse, user: str, **fields: Any) -> Ending:
    return house.ending(chat(house, CHAT, user=user, **fields))


@row(53, "usage with all of its details", "the client reads it as sent; each token is in one bucket of the record")
def details(house: TapeHouse) -> None:
    reply = chat(house, user=DETAILED)
    assert reply.json["usage"] == FULL
    record = house.ending(reply)
    assert record.quantities == (60, 40, 0, 40, 20, 0, 0, 0)
    assert json.loads(record.usage) == FULL


@row(54, "`prompt_tokens` 100, of which 40 cached", "billed as 60 input and 40 cached: nothing twice")
def cached(house: TapeHouse) -> None:
    record = told(house, DETAILED)
    assert record.charge == 60 * INPUT + 40 * CACHED + 60 * OUTPUT


@row(55, "20 reasoning and 10 rejected prediction tokens of 60", "billed as output, once")
def reasoning(house: TapeHouse) -> None:
    record = told(house, DETAILED)
    assert sum(record.quantities[3:5]) == 60
    assert record.charge - 60 * INPUT - 40 * CACHED == 60 * OUTPUT


@row(56, "`service_tier: priority`, in the request and in the answer", "recorded, and billed at the price of that tier")
def tier(house: TapeHouse) -> None:
    record = told(house, PRIORITY, model="tiered-model", service_tier="priority")
    assert record.service_tier == "priority"
    assert record.charge == 2 * (60 * INPUT + 40 * CACHED + 60 * OUTPUT)


@row(56, "`service_tier: priority`, which the vendor downgrades", "billed by the tier of the answer: standard")
def downgraded(house: TapeHouse) -> None:
    record = told(house, DOWNGRADED, model="tiered-model", service_tier="priority")
    assert record.service_tier == "default"
    assert record.charge == 60 * INPUT + 40 * CACHED + 60 * OUTPUT


@row(56, "a tier that has no price", "400 `unsupported_value`: an unknown price is never another one")
def tier_not_sold(house: TapeHouse) -> None:
    reply = chat(house, service_tier="priority")
    assert (reply.status, reply.error["code"], reply.error["param"]) == (400, "unsupported_value", "service_tier")


@row(57, "an embedding's usage", "`prompt_tokens` and `total_tokens` only; billed as input")
def embedding_usage(house: TapeHouse) -> None:
    reply = post(house, "embeddings")
    assert reply.json["usage"] == {"prompt_tokens": 10, "total_tokens": 10}
    assert house.ending(reply).quantities == (10, 0, 0, 0, 0, 0, 0, 0)


@row(57, "`encoding_format: base64`, the SDKs' default", "works, also for several inputs")
def packed(house: TapeHouse) -> None:
    given = {"input": ["a", "b"], "dimensions": 4}
    plain = post(house, "embeddings", **given).json["data"]
    data = post(house, "embeddings", encoding_format="base64", **given).json["data"]
    assert len(data) == len(plain) == 2
    for one, other in zip(data, plain, strict=True):
        vector = struct.unpack("<4f", base64.b64decode(one["embedding"]))
        assert all(abs(a - b) < 1e-6 for a, b in zip(vector, other["embedding"], strict=True))
