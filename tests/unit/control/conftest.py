"""A data folder after its first start, and the admin API on it, in this process."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from entrepot.control import app as control
from entrepot.control.own import OwnKeeper
from entrepot.keeper.first_start import first_start
from entrepot.kernel.instants import parse
from entrepot.storage.database import open_database, prepare
from entrepot.storage.folder import Folder

CATALOG = """\
format = 1
[vendor]
maker = { name = "Maker" }
[upstream.maker-eu]
vendor = "maker"
endpoint = { dialect = "openai", url = "https://maker.example/v1", zone = "eu" }
[model]
large = { routes = ["maker-eu/large-1"], context = 8_000, output_max = 1_000 }
small = { routes = ["maker-eu/small-1"], context = 8_000, output_max = 1_000 }
[[book.list]]
currency = "USD"
valid_from = 2026-01-01T00:00:00Z
prices = [{ model = "large", input = 2.50, output = 10.00 }]
[customer.acme]
about = { name = "Acme" }
deployments = [{ project = "search", name = "chat", model = "large" }]
"""
Call = Callable[..., tuple[int, dict[str, Any]]]


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    found = Folder(tmp_path / "data")
    found.create()
    catalog = tmp_path / "catalog.toml"
    catalog.write_text(CATALOG)
    engine = open_database(found.database)
    import entrepot.control.api.usage  # noqa: F401  every table is known before the database is made

    prepare(engine)
    first_start(engine, found, catalog, parse("2026-11-21T10:00:00Z"))
    engine.dispose()
    return found


@pytest.fixture
def app(folder: Folder) -> FastAPI:
    engine = open_database(folder.database)
    return control.build(OwnKeeper(engine, folder), folder, engine, ("admin.example",))


@pytest.fixture
def call(app: FastAPI, folder: Folder) -> Call:
    """call(method, path, json=…, token=…, host=…) → status and JSON."""

    def send(method: str, path: str, **given: Any) -> tuple[int, dict[str, Any]]:
        token = given.pop("token", folder.secret("admin-token").decode())
        headers = {"Authorization": f"Bearer {token}"} if token is not None else {}
        headers["Host"] = given.pop("host", "127.0.0.1:8081")

        async def go() -> httpx.Response:
            transport = httpx.ASGITransport(app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
                return await client.request(method, path, headers={**headers, **given.pop("headers", {})}, **given)

        answer = asyncio.run(go())
        return answer.status_code, json.loads(answer.content)

    return send
