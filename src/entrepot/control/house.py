"""What every endpoint stands on: the folder, the database to read, the keeper to ask, and the clock."""

import asyncio
import json
import time
from pathlib import Path
from typing import Any

from fastapi import Request
from sqlalchemy import Engine

from entrepot.control.keeper import KeeperPort
from entrepot.kernel.errors import EntrepotError
from entrepot.kernel.instants import Instant
from entrepot.storage.folder import Folder

FRESH_S = 0.5  # how long `usage` waits for what is not yet ingested
ASK_S = 0.5  # a status socket answers from memory


class House:
    """Made once per process by `control.app.build`."""

    def __init__(self, keeper: KeeperPort, folder: Folder, engine: Engine) -> None:
        self.keeper = keeper
        self.folder = folder
        self.engine = engine

    def now(self) -> Instant:
        return time.time_ns() // 1000

    async def freshen(self) -> bool:
        """Have everything appended so far ingested; False where the keeper did not manage it in time."""
        try:
            await self.keeper.execute("ingest.now", {}, patience_s=FRESH_S)
        except EntrepotError:
            return False
        return True

    def gateways(self) -> dict[str, Path]:
        """Name → status socket of each gateway that has one, `{"w1": …/gateway-w1.sock}`."""
        room = self.folder.socket("any").parent
        return {p.name.removeprefix("gateway-").removesuffix(".sock"): p for p in sorted(room.glob("gateway-w*.sock"))}

    async def ask_parent(self, question: str, *, patience_s: float = ASK_S) -> dict[str, Any] | None:
        """`reload` or `processes`; None where no parent answers."""
        try:
            return await ask(self.folder.socket("parent.sock"), {"ask": question}, patience_s)
        except (FileNotFoundError, ConnectionRefusedError):
            return None

    async def ask_gateways(self, question: dict[str, Any]) -> dict[str, dict[str, Any] | None]:
        """The same question to every gateway; None where a living one did not answer. The socket of one that was
        killed stays until its slot's next worker: nobody listens there, so it is none."""
        found = self.gateways()
        answers = await asyncio.gather(*(ask(path, question) for path in found.values()), return_exceptions=True)
        return {
            name: None if isinstance(answer, BaseException) else answer
            for name, answer in zip(found, answers, strict=True)
            if not isinstance(answer, FileNotFoundError | ConnectionRefusedError)
        }


async def ask(path: Path, question: dict[str, Any], patience_s: float = ASK_S) -> dict[str, Any] | None:
    """One JSON line to a status socket, one back; None where nobody answers in time: status may be lost. Raises
    FileNotFoundError or ConnectionRefusedError where nobody listens."""
    try:
        async with asyncio.timeout(patience_s):
            reader, writer = await asyncio.open_unix_connection(str(path), limit=1024 * 1024)
            try:
                writer.write(json.dumps(question).encode() + b"\n")
                facts: dict[str, Any] = json.loads(await reader.readline())
            finally:
                writer.close()
    except (FileNotFoundError, ConnectionRefusedError):
        raise
    except (OSError, ValueError, TimeoutError):
        return None
    return facts


def house(request: Request) -> House:
    """Dependency: the house of this application."""
    found: House = request.app.state.house
    return found
