"""The socket on which a worker tells about itself."""

import asyncio
import os
from pathlib import Path

from entrepot.gateway.problem import unknown_model
from entrepot.gateway.status import Refusals, serve_status
from entrepot.snapshot import KeyEntry


def test_only_this_user_may_ask(tmp_path: Path) -> None:
    async def mode() -> int:
        server = await serve_status(tmp_path / "w1.sock", {})
        found = (tmp_path / "w1.sock").stat().st_mode & 0o777
        server.close()
        return found

    before = os.umask(0)
    try:
        assert asyncio.run(mode()) == 0o600
    finally:
        os.umask(before)


def test_a_refusal_keeps_a_bounded_part_of_what_the_customer_wrote() -> None:
    refusals = Refusals()
    key = KeyEntry(id="Ky9Pf34qY6", customer="acme", project="default", models=None, expires_at=0, secrets=())
    name = "x" * 1_000_000
    refusals.add("req_1", 0, key, name, unknown_model(name, [], None))
    found = refusals.find("req_1")
    assert len(found["model"]) == 200
    assert len(found["message"]) == 2_000
