"""Rows about headers, both ways: 9, 10, 12, 13, 14, 22, 23, 24, 25."""

import json
from typing import Any

from compatibility.paths import ASK
from compatibility.table import played, row
from entrepot.prove.script import script_text
from entrepot.upstream.connection import FIRST_BYTE_S
from tape_house import AZURE_CHAT, CHAT, MODEL, Reply, TapeHouse

AZURE_V1 = "/openai/v1/chat/completions"
WHOLE = {
    "id": "chatcmpl-7", "object": "chat.completion", "created": 1_700_000_000, "model": "gpt-5.2-2025-12-11",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}, "shape_of_tomorrow": {"x": [1]},
}  # fmt: skip
TALKATIVE = played(
    "talkative", json.dumps(WHOLE),
    headers={"openai-organization": "org-of-the-house", "authorization": "Bearer sk-vendor", "set-cookie": "a=b",
             "x-request-id": "req-of-the-vendor", "server": "vendor/1", "api-key": "k"},
)  # fmt: skip


def chat(house: TapeHouse, path: str = CHAT, *, headers: dict[str, str] | None = None, **fields: Any) -> Reply:
    return house.send("POST", path, {"model": MODEL, **ASK, **fields}, headers=headers)


def with_headers(house: TapeHouse, path: str, headers: dict[str, str], **fields: Any) -> Reply:
    """With exactly these headers, no key of the house's own."""
    return house.send("POST", path, {"model": MODEL, **ASK, **fields}, key=None, headers=headers)


@row(9, "`Authorization: Bearer`, `OpenAI-Organization`, `OpenAI-Project`", "accepted")
def bearer(house: TapeHouse) -> None:
    given = {"Authorization": f"Bearer {house.key}", "OpenAI-Organization": "org-1", "OpenAI-Project": "proj_1"}
    assert with_headers(house, CHAT, given).status == 200


@row(10, "`api-key` or `Authorization: Bearer`, on deployment paths and on `/openai/v1`", "both accepted on both")
def either_key(house: TapeHouse) -> None:
    for path in (AZURE_CHAT, AZURE_V1):
        for given in ({"api-key": house.key}, {"Authorization": f"Bearer {house.key}"}):
            assert with_headers(house, path, given).status == 200, (path, given)


SDK_HEADERS = {
    "x-stainless-lang": "python", "x-stainless-retry-count": "1", "x-stainless-read-timeout": "600",
    "x-stainless-async": "false", "User-Agent": "Anything/1 (odd; {})", "x-ms-client-request-id": "abc-1",
    "x-ms-useragent": "azsdk", "aoai-evals": "preview",
}  # fmt: skip


@row(12, "`x-stainless-*`, any `User-Agent`, `x-ms-*`, `aoai-evals`", "accepted, and not forwarded")
def sdk_headers(house: TapeHouse) -> None:
    for path in (CHAT, AZURE_CHAT, AZURE_V1):
        reply = chat(house, path, headers=SDK_HEADERS, user="echo")
        assert reply.status == 200
        heard = house.heard(reply)["headers"]
        assert not {name.lower() for name in SDK_HEADERS} - {"user-agent"} & set(heard)
        assert "Anything" not in heard["user-agent"]


@row(13, "a call whose answer says what the vendor was sent", "no credential of the client reaches the vendor")
def client_key_stays(house: TapeHouse) -> None:
    for path in (CHAT, AZURE_CHAT):
        reply = chat(house, path, headers={"Cookie": "session=mine", "OpenAI-Organization": "org-client"}, user="echo")
        heard = json.dumps(house.heard(reply))
        assert house.key not in heard
        assert "session=mine" not in heard
        assert "org-client" not in heard


@row(13, "a vendor that sends credentials, cookies and account names", "none of its headers reaches the client")
def vendor_key_stays(house: TapeHouse) -> None:
    reply = chat(house, user=TALKATIVE)
    assert reply.status == 200
    allowed = {"content-type", "content-length", "x-request-id", "date", "connection", "keep-alive", "server"}
    assert {name for name in reply.headers if not name.startswith("x-ratelimit-")} <= allowed
    assert "vendor" not in json.dumps(reply.headers)


@row(14, "every answer of OpenAI's dialect", "`x-request-id`, also on errors and streams")
def request_id(house: TapeHouse) -> None:
    replies = [chat(house), chat(house, stream=True), chat(house, n=0), house.send("GET", "/v1/models"),
               house.send("POST", CHAT, ASK, key=None), house.send("GET", "/v1/nothing")]  # fmt: skip
    ids = [reply.headers["x-request-id"] for reply in replies]
    assert len(set(ids)) == len(ids)
    assert all(each.startswith("req_") for each in ids)


@row(14, "every answer of Azure's dialect", "`apim-request-id`, and `x-ms-client-request-id` as it came")
def azure_ids(house: TapeHouse) -> None:
    mine = {"x-ms-client-request-id": "4b1c-mine"}
    v1 = {"model": MODEL, **ASK}
    replies = [chat(house, AZURE_CHAT, headers=mine), chat(house, AZURE_CHAT, headers=mine, stream=True),
               chat(house, AZURE_CHAT, headers=mine, n=0), house.send("POST", AZURE_V1, v1, headers=mine),
               house.send("GET", "/openai/v1/models", headers=mine),
               house.send("POST", AZURE_CHAT, ASK, key="ep_live_x", headers=mine)]  # fmt: skip
    for reply in replies:
        assert reply.headers["apim-request-id"] == reply.headers["x-request-id"], reply
        assert reply.headers["x-ms-client-request-id"] == "4b1c-mine", reply


@row(22, "a vendor that fails, then answers the SDK's retry", "`x-should-retry: true`; only the served call is charged")
def retry_is_a_new_call(house: TapeHouse) -> None:
    for status in (408, 409, 429, 500, 503):
        fault = [{"role": "user", "content": script_text(fault=f"status@{status}")}]
        failed = chat(house, messages=fault)
        assert failed.status in (429, 502, 503, 504), failed
        assert failed.headers["x-should-retry"] == "true"
        assert house.ending(failed).charge == 0
    served = chat(house, headers={"x-stainless-retry-count": "1"})
    assert house.ending(served).charge > 0


@row(22, "a vendor's 429", "`retry-after` and `retry-after-ms` say how long, within the SDK's 120 s")
def retry_times(house: TapeHouse) -> None:
    limited = chat(house, messages=[{"role": "user", "content": script_text(fault="status@429")}])
    assert limited.status == 429
    wait = int(limited.headers["retry-after-ms"])
    assert 0 < wait <= 120_000
    assert int(limited.headers["retry-after"]) == -(-wait // 1000)


@row(23, "two calls with the same `Idempotency-Key`", "accepted; each is a call of its own, as at OpenAI")
def idempotency_key(house: TapeHouse) -> None:
    first, second = (chat(house, headers={"Idempotency-Key": "k-1"}) for _ in range(2))
    assert first.status == second.status == 200
    assert first.request_id != second.request_id


@row(24, "a whole answer that takes 12 s; the limit by declaration", "no time-out of ours below the SDK's 600 s")
def patience(house: TapeHouse) -> None:
    slow = [{"role": "user", "content": script_text(fault="slow_first@12000")}]
    assert chat(house, messages=slow).status == 200
    assert FIRST_BYTE_S >= 600


@row(25, "a field that nobody knows, in request and answer", "forwarded, and passed on")
def unknown_fields(house: TapeHouse) -> None:
    reply = chat(house, user="echo", field_of_tomorrow={"a": [1, None]})
    assert '"field_of_tomorrow": {"a": [1, null]}' in house.heard(reply)["body"]
    assert chat(house, user=TALKATIVE).json["shape_of_tomorrow"] == {"x": [1]}
