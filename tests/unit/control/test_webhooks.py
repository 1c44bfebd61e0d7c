"""One webhook on its way."""

import asyncio
from pathlib import Path

import httpx
import pytest

from entrepot.catalog.webhook_tables import StoredWebhook
from entrepot.control.house import House
from entrepot.control.webhooks import Delivery, _send
from entrepot.storage.folder import Folder


@pytest.mark.parametrize("host", ["hooks..example", "a" * 64 + ".example"])
def test_an_address_that_is_none_is_an_answer_and_stops_no_other_webhook(tmp_path: Path, host: str) -> None:
    house = House(None, Folder(tmp_path), None)  # type: ignore[arg-type]
    webhook = StoredWebhook(name="ops", url=f"https://{host}/x", events=(), secret="webhook-ops")

    async def go() -> str:
        async with httpx.AsyncClient() as client:
            return await _send(house, client, Delivery(event="evt_1", webhook=webhook, attempts=0, body=b"{}"))

    assert asyncio.run(go()).startswith("no connection (")
