"""Who gets in: the Host allow-list, the admin token, a bound on bodies, and the permission of the matched route."""

import hmac
from collections.abc import Callable, Collection
from typing import Any

from fastapi import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from entrepot.control.problem import Mistaken, NotAllowed, answer
from entrepot.kernel.errors import EntrepotError, Fault

BODY_LIMIT = 16 * 1024 * 1024  # a catalog of a million lines; the keeper's own message limit

#: What the operator's token may do, by the name of the route. A route that is not named here answers nobody.
OPERATOR = frozenset({
    "status.read", "usage.read", "explain.read", "verify.read", "catalog.read", "catalog.apply", "reload",
    "key.list", "key.create", "key.rotate", "key.revoke", "customer.list", "customer.show",
    "run.begin", "key.bill", "live.read",
    "deployment.list", "deployment.show", "upstream.list", "upstream.test", "book.list", "book.show", "balance.list",
    "balance.show", "balance.top-up", "balance.grant", "balance.refund", "customer.suspend", "customer.resume",
    "limit.list", "budget.list", "event.list", "ledger.balance", "ledger.entries", "ledger.export", "book.preview",
    "book.rerate", "book.import", "invoice.list", "invoice.show", "invoice.draft", "invoice.issue", "invoice.discard",
    "invoice.carry-over",
    "invoice.credit-note", "invoice.write-off", "invoice.dispute", "invoice.export", "payment.list", "payment.record",
    "payment.refund", "insight.read", "insight.entered", "insight.enter", "scenario.run", "report.list", "report.run",
})  # fmt: skip


class TokenWrong(EntrepotError):
    """No admin token, or not this server's."""

    code = "invalid_token"
    fault = Fault.CALLER


def permitted(request: Request) -> None:
    """Dependency of every route: default deny, decided on the route that matched and not on the path."""
    name = getattr(request.scope.get("route"), "name", "")
    if name not in OPERATOR:
        raise NotAllowed(f"this token may not use {request.method} {request.url.path}")


class Gate:
    """ASGI middleware before everything else: wrong Host, wrong token or too large a body goes no further."""

    def __init__(self, app: ASGIApp, *, hosts: Collection[str], token: Callable[[], bytes]) -> None:
        self._app = app
        self._hosts = frozenset(host.lower() for host in hosts)
        self._token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        try:
            self._check(scope)
        except EntrepotError as error:
            await answer(error)(scope, receive, send)
            return
        await self._app(scope, _bounded(receive), send)

    def _check(self, scope: Scope) -> None:
        headers: dict[bytes, list[bytes]] = {}
        for name, value in scope["headers"]:
            headers.setdefault(name, []).append(value)
        hosts = headers.get(b"host", [])
        here = (scope.get("server") or ("",))[0]  # the address that this connection came in on: no name to rebind
        ours = self._hosts | {here, f"[{here}]"} if here else self._hosts
        if len(hosts) != 1 or _name_of(hosts[0]) not in ours:
            raise NotAllowed(
                "the Host of this request is not one of this server: use the address it listens on, or the name given "
                "with --host",
                code="host_not_allowed",
            )
        sent = headers.get(b"authorization", [])
        scheme, _, given = (sent[0] if len(sent) == 1 else b"").partition(b" ")
        if scheme.lower() != b"bearer" or not hmac.compare_digest(given.strip(), self._token()):
            raise TokenWrong("this is not the admin token of this server; it stands in DATA/credentials.json")
        length = headers.get(b"content-length", [b"0"])[0]
        if not length.isdigit() or int(length) > BODY_LIMIT:
            raise Mistaken(f"the body has {length.decode('ascii', 'replace')} bytes; the largest is {BODY_LIMIT}")


def _name_of(host: bytes) -> str:
    """Host without port: `127.0.0.1:8081` → `127.0.0.1`, `[::1]:8081` → `[::1]`."""
    text = host.decode("latin-1").lower()
    return text[: text.find("]") + 1] if text.startswith("[") else text.partition(":")[0]


def _bounded(receive: Receive) -> Receive:
    left = BODY_LIMIT

    async def bounded() -> Message:
        nonlocal left
        message: Any = await receive()
        left -= len(message.get("body", b""))
        if left < 0:
            raise Mistaken(f"the body is larger than {BODY_LIMIT} bytes")
        return message  # type: ignore[no-any-return]

    return bounded
