"""Who calls, and which models a caller sees: the gateway's answers to whole requests."""

import json
import os
from pathlib import Path

import pytest

from desks import KEY, desk
from entrepot.gateway.app import Gateway, Upstream
from entrepot.gateway.leases import Leases
from entrepot.gateway.server import Connection
from entrepot.gateway.ticker import Ticker
from entrepot.kernel.ids import RequestIds
from entrepot.upstream.client import Budget
from hand_driven import Loop, Wire


@pytest.fixture
def gateway(tmp_path: Path) -> Gateway:
    loop = Loop()
    made = Gateway(
        loop, desk(tmp_path)[0], Leases(loop, [], lambda *_: 1), RequestIds(os.urandom(32)), (1, 1),  # type: ignore[arg-type]
        lambda *_: 1, lambda _open: True, lambda: 1_800_000_000_000_000,
        lambda entry: Upstream(loop, entry, b"", "", Budget(), None),  # type: ignore[arg-type]
        Ticker(lambda _facts: None),
    )  # fmt: skip
    made.renew()
    return made


def get(gateway: Gateway, path: str, *lines: str, method: str = "GET") -> tuple[int, bytes]:
    wire = Wire(Connection(gateway.server))
    wire.feed("\r\n".join([f"{method} {path} HTTP/1.1", "host: x", *lines, "", ""]).encode())
    head, _, body = wire.written.partition(b"\r\n\r\n")
    return int(head.split()[1]), body


BEARER, PLAIN, OTHER = f"authorization: Bearer {KEY}", f"api-key: {KEY}", f"x-api-key: {KEY}"


@pytest.mark.parametrize("lines", [[BEARER], [PLAIN], [OTHER], [BEARER, PLAIN], [BEARER, PLAIN, OTHER], [PLAIN, OTHER]])
def test_a_key_may_come_under_each_of_its_names(gateway: Gateway, lines: list[str]) -> None:
    assert get(gateway, "/v1/models", *lines)[0] == 200


@pytest.mark.parametrize(
    "lines",
    [
        [BEARER, "api-key: x"], [BEARER, "x-api-key: x"], [PLAIN, "x-api-key: x"], [BEARER, PLAIN, "x-api-key: x"],
        [OTHER, "authorization: Bearer x"], [OTHER, "api-key:"],
    ],
)  # fmt: skip
def test_two_different_keys_are_refused(gateway: Gateway, lines: list[str]) -> None:
    status, body = get(gateway, "/v1/models", *lines)
    assert (status, json.loads(body)["error"]["code"]) == (400, "invalid_request")


@pytest.mark.parametrize(
    ("lines", "code"),
    [
        ([], "missing_api_key"),
        (["x-api-key: x"], "invalid_api_key"),
        (["authorization: Basic x", OTHER], "invalid_api_key"),
    ],
)
def test_without_a_good_key_there_is_no_answer(gateway: Gateway, lines: list[str], code: str) -> None:
    status, body = get(gateway, "/v1/models", *lines)
    assert (status, json.loads(body)["error"]["code"]) == (401, code)


def test_one_model_is_what_the_list_says_of_it(gateway: Gateway) -> None:
    listed = json.loads(get(gateway, "/v1/models", BEARER)[1])["data"]
    assert listed
    for model in listed:
        assert json.loads(get(gateway, f"/v1/models/{model['id']}", BEARER)[1]) == model
    assert get(gateway, f"/v1/models/{listed[0]['id']}", BEARER, method="HEAD") == (200, b"")


def test_a_model_that_the_key_cannot_use_is_unknown_as_it_is_to_a_call(gateway: Gateway) -> None:
    status, body = get(gateway, "/v1/models/gpt-4", BEARER)
    error = json.loads(body)["error"]
    assert (status, error["code"], error["param"]) == (404, "model_not_found", "model")
    call = b'{"model":"gpt-4","messages":[{"role":"user","content":"x"}]}'
    wire = Wire(Connection(gateway.server))
    wire.feed(f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n{BEARER}\r\n".encode())
    wire.feed(b"content-length: %d\r\n\r\n%b" % (len(call), call))
    assert json.loads(wire.written.partition(b"\r\n\r\n")[2])["error"] == error
    assert get(gateway, "/v1/models/gpt-4", method="GET")[0] == 401


def test_what_a_customer_sends_counts_towards_its_share(gateway: Gateway) -> None:
    connection = Connection(gateway.server)
    wire = Wire(connection)
    wire.feed(f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n{OTHER}\r\ncontent-length: 99\r\n\r\nabc".encode())
    assert connection.payer == "acme"
    assert gateway.server.bodies.held == 3
