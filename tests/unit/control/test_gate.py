"""Who gets in."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.types import Message, Receive, Scope, Send

from entrepot.control.app import all_routes
from entrepot.control.gate import BODY_LIMIT, OPERATOR, Gate

Call = Callable[..., tuple[int, dict[str, Any]]]


@pytest.mark.long
def test_the_token_opens(call: Call) -> None:
    assert call("GET", "/admin/keys")[0] == 200


@pytest.mark.long
@pytest.mark.parametrize("token", [None, "", "wrong", "ep_live_'; --"])
def test_without_the_right_token_nothing_is_said(call: Call, token: str | None) -> None:
    status, body = call("GET", "/admin/keys", token=token)
    assert status == 401
    assert body["error"]["code"] == "invalid_token"


@pytest.mark.long
def test_the_token_may_not_come_twice(call: Call, folder: Any) -> None:
    token = folder.secret("admin-token").decode()
    sent = {"headers": {"authorization": f"Basic {token}"}}
    assert call("GET", "/admin/keys", **sent)[0] == 401


@pytest.mark.long
@pytest.mark.parametrize("path", ["/admin/nothing", "/docs", "/openapi.json", "/"])
def test_what_does_not_exist_needs_a_token_too(call: Call, path: str) -> None:
    assert call("GET", path, token="wrong")[0] == 401
    assert call("GET", path)[0] == 404


@pytest.mark.long
@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1", 200), ("localhost:8081", 200), ("[::1]:8081", 200), ("admin.example", 200), ("LOCALHOST", 200),
        ("evil.example", 403), ("127.0.0.1.evil.example", 403), ("", 403), ("[::1", 403),
    ],
)  # fmt: skip
def test_only_our_hosts_so_that_no_page_can_be_rebound_to_us(call: Call, host: str, status: int) -> None:
    assert call("GET", "/admin/keys", host=host)[0] == status


@pytest.mark.parametrize(
    ("host", "status"), [(b"192.168.7.5:8081", 200), (b"192.168.7.6:8081", 403), (b"evil.example", 403), (b"", 403)]
)
def test_the_address_that_was_connected_to_is_ours(host: bytes, status: int) -> None:
    answered: list[int] = []

    async def inner(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def send(message: Message) -> None:
        answered.append(message.get("status", 0))

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    headers = [(b"host", host), (b"authorization", b"Bearer t")]
    scope = {"type": "http", "method": "GET", "path": "/", "headers": headers, "server": ("192.168.7.5", 8081)}
    asyncio.run(Gate(inner, hosts=(), token=lambda: b"t")(scope, receive, send))
    assert answered[0] == status


def test_a_route_without_a_permission_answers_nobody(app: FastAPI, call: Call) -> None:
    app.get("/admin/secret-door", name="door.open")(lambda: {"open": True})
    status, body = call("GET", "/admin/secret-door")
    assert status == 403
    assert body["error"]["code"] == "not_permitted"


def test_routes_and_permissions_are_the_same_list() -> None:
    assert sorted(route.name for route in all_routes()) == sorted(OPERATOR)


def test_every_route_says_what_it_is_for() -> None:
    assert all((route.endpoint.__doc__ or "").strip() for route in all_routes())


@pytest.mark.long
def test_too_large_a_body_is_refused_by_its_length(call: Call) -> None:
    status, body = call("POST", "/admin/keys", headers={"content-length": str(BODY_LIMIT + 1)}, content=b"{}")
    assert status == 400
    assert str(BODY_LIMIT) in body["error"]["message"]


def test_an_unknown_field_is_refused(call: Call) -> None:
    status, body = call("POST", "/admin/keys", json={"customer": "acme", "admin": True})
    assert status == 400
    assert body["error"]["issues"] == [{"where": "body.admin", "message": "admin is not known here: leave it out"}]


@pytest.mark.long
@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("amount", "NaN", "amount is an amount of money: at most 18 digits before and after the point"),
        ("amount", "٣", "amount is an amount of money"),
        ("amount", "9" * 25, "amount is an amount of money"),
        ("amount", 5, "amount is a text"),
        ("currency", "DOLLARS", "currency is a currency: three capital letters, like USD"),
        ("id", "", "id is a text of at least 1 characters"),
        ("id", None, "id is a text"),
        ("dry_run", "perhaps", "dry_run is true or false"),
    ],
)
def test_a_wrong_field_is_told_in_words(call: Call, field: str, value: object, said: str) -> None:
    body = {"amount": "1", "currency": "USD", "id": "PAY-1", field: value}
    status, answer = call("POST", "/admin/balances/acme/top-ups", json=body)
    assert status == 400
    assert answer["error"]["message"].startswith(said)
    assert "pattern" not in answer["error"]["message"]


def test_a_month_is_asked_for_as_people_write_one_and_a_choice_by_what_there_is(call: Call) -> None:
    status, answer = call("POST", "/admin/report-runs", json={"report": "board", "month": "2024-6"})
    assert (status, answer["error"]["message"]) == (400, "month is a month, YYYY-MM, like 2026-10")
    status, answer = call("GET", "/admin/insight/concentration?by=foo")
    assert status == 400
    assert answer["error"]["message"].startswith("by 'foo' is not known: it is one of 'customer', 'group', 'industry'")


def test_a_body_that_is_no_json_is_told_so(call: Call) -> None:
    status, answer = call("POST", "/admin/keys", content=b"{", headers={"Content-Type": "application/json"})
    assert (status, answer["error"]["message"]) == (400, "the body is not JSON")
