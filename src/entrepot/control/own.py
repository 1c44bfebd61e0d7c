"""The keeper's part inside a command, while no server runs. Whoever makes one holds the lock on DATA."""

import asyncio
import time
from typing import Any

from sqlalchemy import Engine

from entrepot.control.keeper import PATIENCE_S
from entrepot.control.problem import KeeperUnreachable
from entrepot.journal.disk import RealDisk
from entrepot.keeper import compile
from entrepot.keeper.commands import execute
from entrepot.keeper.ingest import Ingester
from entrepot.kernel.instants import Instant
from entrepot.snapshot import publish
from entrepot.storage.database import prepare, read
from entrepot.storage.folder import Folder


class OwnKeeper:
    """Executes, compiles, publishes; ingests what the journals hold. Seals nothing: that is for the next start."""

    def __init__(self, engine: Engine, folder: Folder) -> None:
        prepare(engine)
        self._engine = engine
        self._folder = folder

    async def execute(self, name: str, args: dict[str, Any], *, patience_s: float = PATIENCE_S) -> dict[str, Any]:
        """As `KeeperPort`; nobody else works on DATA, so there is nothing to wait for."""
        if name == "status":
            raise KeeperUnreachable("no server runs on this folder")
        return await asyncio.to_thread(self._ingest if name == "ingest.now" else self._change, name, args)

    def _ingest(self, _name: str, _args: dict[str, Any]) -> dict[str, Any]:
        ingester = Ingester(self._engine, self._folder.journal, RealDisk())
        ingester.drain(_now())
        return {"looked_at": _now(), "records": ingester.records, "endings": ingester.endings}

    def _change(self, name: str, args: dict[str, Any]) -> dict[str, Any]:
        facts = execute(self._engine, self._folder, name, args, _now())
        with read(self._engine) as connection:
            tables = compile.compile(connection, _now())
        return {**facts, "snapshot": publish(self._folder.snapshot, tables), "behind": []}


def _now() -> Instant:
    return time.time_ns() // 1000
