"""Tells webhooks what happened: signed, tried again for three days. It may wait, which the keeper may not.

What is due stands in the database; the keeper writes down how each attempt went. A crash between the two repeats one
attempt with the same id: the receiver gets every event at least once. The address is the operator's own; it is called
without redirects, proxies and credentials, and link-local addresses (a cloud's metadata) are never called.
"""

import asyncio
import ipaddress
import json
import logging
import socket
from typing import Any
from urllib.parse import urlsplit

import httpx
import msgspec

from entrepot.catalog.webhook_tables import StoredWebhook, read_webhooks
from entrepot.control.house import House
from entrepot.kernel.errors import EntrepotError
from entrepot.kernel.instants import HOUR, MINUTE, SECOND, Instant, show
from entrepot.limits import event_tables
from entrepot.storage.database import read
from entrepot.wire.webhook import headers, signing_key

_log = logging.getLogger(__name__)

EVERY_S = 1.0
AT_ONCE = 8
ATTEMPT_S = 10.0  # name, connection, request and answer together
ANSWER_MOST = 16 * 1024  # read of an answer, and thrown away
#: After the n-th failed attempt the next one waits so long (Standard Webhooks); 76 hours in all, then it is given up.
WAITS: tuple[Instant, ...] = (
    5 * SECOND, 5 * MINUTE, 30 * MINUTE, 2 * HOUR, 5 * HOUR, 10 * HOUR, 14 * HOUR, 20 * HOUR, 24 * HOUR,
)  # fmt: skip
_GONE = "410"  # the receiver wants no more


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """One event on its way to one webhook."""

    event: str
    webhook: StoredWebhook
    attempts: int
    body: bytes


class AddressRefused(EntrepotError):
    """An address that no webhook is told at."""

    code = "address_refused"


async def run(house: House) -> None:
    """Until cancelled. A round that fails is logged and tried again."""
    async with httpx.AsyncClient(follow_redirects=False, trust_env=False, timeout=ATTEMPT_S) as client:
        while True:
            await asyncio.sleep(EVERY_S)
            try:
                while await tell(house, client) == AT_ONCE:
                    pass
            except Exception:  # noqa: BLE001 - the task's owner: what is due stays due
                _log.exception("webhooks could not be told; it is tried again")
                await asyncio.sleep(10 * EVERY_S)


async def tell(house: House, client: httpx.AsyncClient) -> int:
    """Send what is due, at most AT_ONCE, and have the keeper note how it went; how many were sent."""
    found = await asyncio.to_thread(_due, house)
    answers = await asyncio.gather(*(_send(house, client, each) for each in found))
    for delivery, answer in zip(found, answers, strict=True):
        state, wait = verdict(answer, delivery.attempts)
        at = house.now()
        args: dict[str, Any] = {
            "event": delivery.event, "webhook": delivery.webhook.name, "answer": answer, "state": state,
            "next_at": at + wait,
        }  # fmt: skip
        await house.keeper.execute("webhook.tried", args)
    return len(found)


def verdict(answer: str, attempts: int) -> tuple[str, Instant]:
    """(state, how long to wait) after this answer, which is that of attempt `attempts` + 1."""
    if answer.isdigit() and 200 <= int(answer) < 300:
        return "delivered", 0
    if answer == _GONE or attempts >= len(WAITS):
        return "failed", 0
    return "pending", WAITS[attempts]


def _due(house: House) -> list[Delivery]:
    with read(house.engine) as connection:
        webhooks = read_webhooks(connection)
        return [
            Delivery(
                event=row.event, webhook=webhooks[row.webhook], attempts=row.attempts,
                body=json.dumps(
                    {"type": event.kind, "timestamp": show(event.at), "data": json.loads(event.data)},
                    ensure_ascii=False, separators=(",", ":"),
                ).encode(),
            )
            for row, event in event_tables.due(connection, house.now(), AT_ONCE)
            if row.webhook in webhooks
        ]  # fmt: skip


async def _send(house: House, client: httpx.AsyncClient, delivery: Delivery) -> str:
    """The status of the answer, or in a few words why there is none."""
    try:
        async with asyncio.timeout(ATTEMPT_S):
            await _permitted(delivery.webhook.url)
            key = signing_key(house.folder.secret(delivery.webhook.secret).decode().strip())
            signed = headers(delivery.event, house.now() // SECOND, delivery.body, key)
            sent = {**signed, "content-type": "application/json", "user-agent": "entrepot"}
            async with client.stream("POST", delivery.webhook.url, content=delivery.body, headers=sent) as answer:
                size = 0
                async for piece in answer.aiter_raw():
                    size += len(piece)
                    if size > ANSWER_MOST:
                        break
                return str(answer.status_code)
    except TimeoutError:
        return "no answer in time"
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:  # ValueError: no name of a host
        return f"no connection ({type(error).__name__})"
    except EntrepotError as error:
        return error.code


async def _permitted(url: str) -> None:
    """Raise AddressRefused where the host's name leads to a link-local, multicast or unspecified address."""
    parts = urlsplit(url)
    loop = asyncio.get_running_loop()
    for *_, address in await loop.getaddrinfo(parts.hostname, parts.port or 443, type=socket.SOCK_STREAM):
        found = ipaddress.ip_address(str(address[0]).partition("%")[0])
        plain = getattr(found, "ipv4_mapped", None) or found
        if plain.is_link_local or plain.is_multicast or plain.is_unspecified:
            raise AddressRefused(f"webhooks are not told at {plain}")
