"""Rows about errors: 26, 27, 28, 29, 31, 32, 34, 77."""

import asyncio
import json

from compatibility.headers import AZURE_V1, chat
from compatibility.paths import ASK, VERSION
from compatibility.table import played, row
from entrepot.control.keeper import SocketKeeper
from entrepot.prove.script import script_text
from tape_house import AZURE_CHAT, CHAT, MODEL, Reply, TapeHouse

KEYS = {"message", "type", "param", "code"}
OTHER = "/openai/deployments/no-such/chat/completions?api-version=" + VERSION


def faulty(house: TapeHouse, fault: str, path: str = CHAT, *, stream: bool = False) -> Reply:
    return chat(house, path, messages=[{"role": "user", "content": script_text(fault=fault)}], stream=stream)


@row(
    26,
    "refusals of every stage: URL, key, body, model, money, vendor",
    "`error` with `message`, `type`, `param`, `code`",
)
def four_keys(house: TapeHouse) -> None:
    replies = [
        house.send("GET", "/v1/nothing"), house.send("POST", CHAT, ASK, key=None), house.send("POST", CHAT, b"{"),
        chat(house, n=0), chat(house, model="no-such-model"), house.send("GET", CHAT), faulty(house, "status@500"),
        faulty(house, "status@429"), faulty(house, "reset@0"), house.send("POST", CHAT, expensive(), key=house.poor),
    ]  # fmt: skip
    for reply in replies:
        assert reply.status >= 400
        assert reply.headers["content-type"] == "application/json"
        assert set(reply.json) == {"error"}
        assert set(reply.error) == KEYS
        assert isinstance(reply.error["message"], str)


def expensive() -> dict[str, object]:
    """More than the poor customer has."""
    return {"model": MODEL, **ASK, "max_completion_tokens": 16_000, "n": 128}


@row(27, "the same refusals", "`type` is the one that OpenAI gives for the status")
def types(house: TapeHouse) -> None:
    spent = house.send("POST", CHAT, expensive(), key=house.poor)
    found = [(reply.status, reply.error["type"], reply.error["code"]) for reply in (
        chat(house, n=0), house.send("POST", CHAT, ASK, key="ep_live_x"), chat(house, model="no"), spent,
        faulty(house, "status@429"), faulty(house, "status@500"))]  # fmt: skip
    assert found == [
        (400, "invalid_request_error", "invalid_value"), (401, "authentication_error", "invalid_api_key"),
        (404, "invalid_request_error", "model_not_found"), (429, "insufficient_quota", "insufficient_quota"),
        (429, "rate_limit_error", "upstream_rate_limited"), (502, "server_error", "upstream_error"),
    ]  # fmt: skip
    assert spent.headers["x-should-retry"] == "false"


@row(28, "Azure paths with a wrong key", '401 `{"error":{"code":"401","message":"Access denied due to …"}}`')
def azure_401(house: TapeHouse) -> None:
    for path in (AZURE_CHAT, AZURE_V1):
        reply = house.send("POST", path, {"model": MODEL, **ASK}, key="ep_live_x")
        assert (reply.status, reply.error["code"]) == (401, "401")
        assert reply.error["message"].startswith("Access denied due to invalid subscription key or wrong API endpoint.")


@row(29, "Azure path of a deployment that does not exist", '404 `{"error":{"code":"DeploymentNotFound",…}}`')
def azure_404(house: TapeHouse) -> None:
    reply = house.send("POST", OTHER, ASK)
    assert (reply.status, reply.error["code"]) == (404, "DeploymentNotFound")
    assert reply.error["message"].startswith("The API deployment for this resource does not exist.")


FILTERED = {"error": {
    "message": "The response was filtered due to the prompt triggering the content management policy.", "type": None,
    "param": "prompt", "code": "content_filter", "status": 400,
    "innererror": {"code": "ResponsibleAIPolicyViolation", "content_filter_result": {
        "hate": {"filtered": True, "severity": "high"},
        "custom_blocklists": {"filtered": True, "details": [{"filtered": True, "id": "list"}]}}},
}}  # fmt: skip
BLOCKED = played("blocked", json.dumps(FILTERED), status=400)


@row(
    31,
    "a prompt that the vendor's filter blocks, whole and streamed",
    "its 400 and `innererror` byte for byte; metered",
)
def content_filter(house: TapeHouse) -> None:
    for path in (CHAT, AZURE_CHAT):
        for stream in (False, True):
            reply = chat(house, path, user=BLOCKED, stream=stream)
            assert reply.status == 400
            assert reply.body == json.dumps(FILTERED).encode()
            assert house.ending(reply).quantities[0] > 0


@row(32, "a model that has retired", "410 in Azure's dialect")
def retired(house: TapeHouse) -> None:
    path = f"/openai/deployments/retired-model/chat/completions?api-version={VERSION}"
    reply = house.send("POST", path, ASK)
    assert (reply.status, reply.error["code"]) == (410, "410"), reply


@row(32, "more custom headers than Azure takes", "431")
def many_headers(house: TapeHouse) -> None:
    invented = {f"custom-{number}": "x" for number in range(40)}
    assert house.send("POST", AZURE_CHAT, ASK, headers=invented).status == 431


@row(32, "a customer that is suspended", "403, in both dialects")
def blocked(house: TapeHouse) -> None:
    keeper = SocketKeeper(house.house.folder.socket("keeper.sock"))
    asyncio.run(keeper.execute("customer.suspend", {"customer": "idle"}))
    house.wait(lambda: house.send("POST", CHAT, {"model": MODEL, **ASK}, key=house.idle).status == 403)
    assert house.send("POST", AZURE_CHAT, ASK, key=house.idle).status == 403


@row(34, "streamed calls that fail before their first event", "plain JSON with its status, never SSE on a 200")
def no_sse_before(house: TapeHouse) -> None:
    for path in (CHAT, AZURE_CHAT):
        for reply in (faulty(house, "status@500", path, stream=True), faulty(house, "status@429", path, stream=True),
                      faulty(house, "reset@0", path, stream=True), faulty(house, "filter", path, stream=True),
                      chat(house, path, stream=True, n=0)):  # fmt: skip
            assert reply.status >= 400
            assert reply.headers["content-type"] == "application/json"
            assert "error" in reply.json


@row(77, "a body above the limit, another content type, a wrong method or path", "413, 415, 405, 404 with JSON bodies")
def wrong_requests(house: TapeHouse) -> None:
    for path, wrong in ((CHAT, "/v1/chats"), (AZURE_CHAT, "/openai/deployments/a/chats")):
        large = house.raw(head(house, path, "Content-Length: 999999999"))
        assert large.startswith(b"HTTP/1.1 413 ")
        assert json.loads(large.partition(b"\r\n\r\n")[2])["error"]["message"]
        text = house.send("POST", path, b"x", headers={"Content-Type": "text/plain"})
        assert [text.status, house.send("GET", path).status] == [415, 405]
        assert house.send("GET", path).headers["allow"] == "POST"
        missing = house.send("POST", wrong, ASK)
        assert missing.status == 404
        for reply in (text, missing, house.send("DELETE", path)):
            assert reply.headers["content-type"] == "application/json"
            assert set(reply.json) == {"error"}


def head(house: TapeHouse, path: str, *lines: str) -> bytes:
    """A request head, for what a client library would not send."""
    given = ["Host: x", f"api-key: {house.key}", "Content-Type: application/json", *lines]
    return "\r\n".join([f"POST {path} HTTP/1.1", *given, "", ""]).encode()
