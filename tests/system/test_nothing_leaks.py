"""Nothing that a customer sees names another customer, the vendor's account or address, or where our code stands.

The vendor answers with errors that are full of what must not go on, in every status, whole and in the middle of
streams; and the refusals of our own are looked through for the same.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from entrepot.prove.script import FAULTS, script_text
from tape_house import AZURE_CHAT, CHAT, EMBEDDINGS, MODEL, POOR, SELLS_EMBEDDINGS, Reply, TapeHouse

VENDOR_KEY = "sk-vendor-4f8a1c9e2b7d4f8a1c9e2b7d"
ACCOUNT = [
    "org-Zq8VendorOrg41xK", "proj_Zq8VendorProject41", VENDOR_KEY, "0f8fad5b-d9cb-469f-a165-70867728950e",
    "https://quayside-internal.openai.azure.com/openai", "/subscriptions/quayside/resourceGroups/rg1",
    "req_of_vendor_41",
]  # fmt: skip
TRACE = ["Traceback (most recent call last):", '/srv/vendor/engine.py", line 41, in run', "/srv/engine.go:41"]
#: Names of our own house that are nobody's business.
OURS = ["umbrella-harbour", "line-upstream", "line-cost", "entrepot/", ".py", "Traceback"]
STATUSES = (
    400, 401, 402, 403, 404, 405, 408, 409, 410, 413, 415, 422, 424, 429, 431, 451, 500, 501, 502, 503, 504, 529,
)  # fmt: skip
PASSED_ON = (400, 413, 415, 422)
PATHS = (CHAT, AZURE_CHAT, "/openai/v1/chat/completions")
UMBRELLA = """
[customer.umbrella-harbour]
contract = { book = "list" }
"""


def told(kind: str, status: int, words: str = " ".join(ACCOUNT + TRACE)) -> str:
    """An error's body: in the vendor's shape, with each sign escaped, in no shape of ours, and no JSON."""
    if kind == "html":
        return f"<html><body><h1>{status}</h1><pre>{words}</pre></body></html>"
    if kind == "odd":
        return json.dumps({"detail": words, "trace": TRACE})
    said = {"message": f"Refused: {words}", "type": "invalid_request_error", "param": None, "code": "x"}
    text = json.dumps({"error": {**said, "innererror": {"trace": words}}})
    return re.sub(r"[-/_.]", lambda found: f"\\u{ord(found[0]):04x}", text) if kind == "escaped" else text


HEADERS = [
    ["openai-organization", ACCOUNT[0]], ["x-request-id", ACCOUNT[-1]], ["www-authenticate", VENDOR_KEY],
    ["location", ACCOUNT[4]], ["x-ms-region", ACCOUNT[5]], ["server", TRACE[1]], ["x-debug", TRACE[0]],
    ["x-ratelimit-limit-project", ACCOUNT[1]], ["via", ACCOUNT[4]], ["set-cookie", ACCOUNT[3]],
]  # fmt: skip
CHUNK = {"id": "chatcmpl-9", "object": "chat.completion.chunk", "created": 1_700_000_000, "model": "gpt-5.2"}
BEGINNING = "data: " + json.dumps({**CHUNK, "choices": [{"index": 0, "delta": {"content": "quay"}}]}) + "\n\n"


def tape() -> Iterator[dict[str, Any]]:
    for status in STATUSES:
        for kind in ("json", "odd", "html"):
            name = ["Content-Type", "text/html" if kind == "html" else "application/json"]
            yield {"name": f"{kind}-{status}", "status": status, "headers": [name, *HEADERS],
                   "pieces": [[0, told(kind, status)]]}  # fmt: skip
    for status in PASSED_ON:
        for number, mark in enumerate(ACCOUNT + TRACE):
            for kind in ("json", "escaped"):
                yield {"name": f"{kind}-{status}-{number}", "status": status, "headers": HEADERS,
                       "pieces": [[0, told(kind, status, mark)]]}  # fmt: skip
    for kind in ("odd", "html"):
        yield {"name": f"{kind}-200", "headers": [["Content-Type", "text/html"], *HEADERS],
               "pieces": [[0, told(kind, 200)]]}  # fmt: skip
    events = {"named": f"data: {told('json', 500)}\n\n", "typed": f"event: error\ndata: {told('json', 500)}\n\n"}
    for name, error in events.items():
        for after, pieces in (("first", [error]), ("middle", [BEGINNING, error])):
            given = [["Content-Type", "text/event-stream"], *HEADERS]
            yield {"name": f"{name}-{after}", "stream": True, "headers": given,
                   "pieces": [[0, piece] for piece in pieces]}  # fmt: skip


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TapeHouse]:
    catalog = (
        (SELLS_EMBEDDINGS + POOR + UMBRELLA).replace('"fake/', '"line-upstream/').replace("fake-cost", "line-cost")
    )
    swaps = [("[upstream.fake]", "[upstream.line-upstream]"), (f'"fake/{MODEL}"', f'"line-upstream/{MODEL}"'),
             ("[[book.fake-cost]]", "[[book.line-cost]]")]  # fmt: skip
    house = TapeHouse(tmp_path_factory.mktemp("leaks"), tape(), catalog=catalog, swaps=swaps)
    house.poor, house.idle = house.key_of("poor"), house.key_of("umbrella-harbour")
    yield house
    house.end()


def unescaped(body: bytes) -> str:
    return re.sub(r"\\u00([0-7][0-9a-f])", lambda found: chr(int(found[1], 16)), body.decode("utf-8", "replace"))


def hunt(house: TapeHouse, reply: Reply, what: object) -> None:
    seen = "\n".join(
        [*(f"{name}: {value}" for name, value in reply.headers.items()), reply.body.decode("utf-8", "replace")]
    )
    marks = [*ACCOUNT, *TRACE, *OURS, "fake-vendor-key", str(house.house.root), f"127.0.0.1:{house.vendor.port}"]
    found = [mark for mark in marks if mark in seen]
    assert found == [], (what, found, seen)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_no_error_of_a_vendor_names_its_account_or_its_code(house: TapeHouse, stream: bool) -> None:
    asked = 0
    for status in STATUSES:
        for kind in ("json", "odd", "html"):
            for path in PATHS:
                reply = house.chat(path, user=f"tape {kind}-{status}", stream=stream)
                hunt(house, reply, (kind, status, path))
                assert reply.status >= 400
                assert set(reply.json) == {"error"}
                assert reply.headers["content-type"] == "application/json"
                assert reply.error["message"]
                asked += 1
    for status in PASSED_ON:
        for number in range(len(ACCOUNT + TRACE)):
            for kind in ("json", "escaped"):
                reply = house.chat(user=f"tape {kind}-{status}-{number}", stream=stream)
                hunt(house, reply, (kind, status, number))
                assert (reply.status, reply.error["code"]) == (status, "upstream_refused")
                asked += 1
    print(f"{asked} errors of the vendor looked through")


def test_no_answer_that_is_none_and_no_error_in_a_stream_leaks(house: TapeHouse) -> None:
    for path in PATHS:
        for kind in ("odd", "html"):
            for stream in (False, True):
                hunt(house, house.chat(path, user=f"tape {kind}-200", stream=stream), (kind, path, stream))
        for name in ("named", "typed"):
            for after in ("first", "middle"):
                for usage in ({}, {"stream_options": {"include_usage": True}}):
                    reply = house.chat(path, user=f"tape {name}-{after}", stream=True, **usage)
                    hunt(house, reply, (name, after, path))
                    assert '"error"' in reply.body.decode()


def test_no_fault_of_a_vendor_leaks(house: TapeHouse) -> None:
    slow = ("trickle", "slow_first", "endless_headers", "big_event", "informational")
    for fault in (name for name in FAULTS if name not in slow):
        for path in PATHS:
            for stream in (False, True):
                content = [{"role": "user", "content": script_text(fault=fault)}]
                hunt(house, house.chat(path, messages=content, stream=stream), (fault, path, stream))


def test_no_refusal_of_ours_leaks(house: TapeHouse) -> None:
    ask = {"model": MODEL, "messages": [{"role": "user", "content": "x"}]}
    dear = {**ask, "max_completion_tokens": 16_000, "n": 128}
    replies = []
    for path in PATHS:
        replies += [
            house.send("POST", path, ask, key=None), house.send("POST", path, ask, key="ep_live_x"),
            house.send("POST", path, ask, key=house.key[:-1] + ("x" if house.key[-1] != "x" else "y")),
            house.send("POST", path, b"{"), house.send("POST", path, {**ask, "n": 0}), house.send("GET", path),
            house.send("POST", path, dear, key=house.poor), house.send("POST", path, b"x" * 100, headers={
                "Content-Type": "text/plain"}), house.send("POST", path + "/nothing", ask),
            house.send("POST", path, {**ask, "service_tier": "priority"}),
        ]  # fmt: skip
    for name in ("line-upstream/fake-model", "umbrella-harbour", "no-such"):
        replies += [house.send("POST", CHAT, {**ask, "model": name}), house.send("GET", f"/v1/models/{name}")]
    replies += [
        house.send("POST", "/v1/embeddings", {"model": EMBEDDINGS, "input": []}),
        house.send("GET", "/v1/models"),
    ]
    replies += [house.send("POST", f"/v1/{path}", ask) for path in ("responses", "files", "images/generations")]
    for reply in replies:
        own = re.sub(
            r"line-upstream/fake-model|umbrella-harbour|no-such", "", reply.body.decode()
        )  # what was asked for
        hunt(house, reply._replace(body=own.encode()), reply)
