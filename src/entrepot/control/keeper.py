"""How a change reaches the one writer: over the keeper's socket, or, with no server running, by being it."""

import asyncio
import json
import time
from pathlib import Path
from typing import Any, Protocol

from entrepot.control.problem import KeeperUnreachable, Mistaken, Refused
from entrepot.limits.message import LARGEST, LENGTH_BYTES, Command, Reply, frame, from_keeper, split

PATIENCE_S = 30.0  # an apply compiles a snapshot and waits ≤ 1 s for gateways; beyond this the keeper is stuck

SUCCESSOR_S = 5.0


class KeeperPort(Protocol):
    """Executes a named command; raises Refused with the keeper's code, or KeeperUnreachable."""

    async def execute(self, name: str, args: dict[str, Any], *, patience_s: float = PATIENCE_S) -> dict[str, Any]: ...


class SocketKeeper:
    """Asks the running keeper; one connection per command, so that nothing is shared and nothing leaks."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket

    async def execute(self, name: str, args: dict[str, Any], *, patience_s: float = PATIENCE_S) -> dict[str, Any]:
        try:
            async with asyncio.timeout(patience_s):
                return await self._ask(name, args)
        except TimeoutError:
            raise KeeperUnreachable(f"the keeper did not answer '{name}' within {patience_s:g} s") from None
        except OSError as error:
            raise KeeperUnreachable(f"the keeper is not running here ({error.strerror or error})") from None

    async def _ask(self, name: str, args: dict[str, Any]) -> dict[str, Any]:
        message = frame(Command(id=1, name=name, args=json.dumps(args, ensure_ascii=False).encode()))
        if len(message) - LENGTH_BYTES > LARGEST:
            raise Mistaken(f"'{name}' has {len(message):,} bytes; the keeper takes at most {LARGEST:,}")
        reader, writer = await self._reach()
        try:
            writer.write(message)
            await writer.drain()
            buffer = bytearray()
            while data := await reader.read(65536):
                buffer += data
                for body in split(buffer):
                    answer = from_keeper.decode(body)
                    if isinstance(answer, Reply):
                        return _facts(answer)
        finally:
            writer.close()
        raise KeeperUnreachable(f"the keeper closed the connection before it answered '{name}'")


    async def _reach(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A keeper that stops takes its socket away, one that was killed leaves it: without a socket its successor is
        about to come (a reload), and is waited for."""
        until = time.monotonic() + SUCCESSOR_S
        while True:
            try:
                return await asyncio.open_unix_connection(str(self._socket))
            except FileNotFoundError:
                if time.monotonic() > until:
                    raise
            await asyncio.sleep(0.02)


def _facts(reply: Reply) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(reply.body)
    if not reply.error:
        return body
    details = body.get("details") or {}
    raise Refused(str(body.get("code", "internal_error")), str(body.get("message", "")), details)
