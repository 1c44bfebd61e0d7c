"""Leases of a worker against a keeper that answers by a function, on a real local socket."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from pathlib import Path

from entrepot.gateway.leases import Leases
from entrepot.limits.message import (
    FromKeeper,
    Granted,
    Hello,
    ToKeeper,
    Want,
    frame,
    split,
    to_keeper,
)
from entrepot.metering.record import LeaseTotals, Record, from_bytes

Answer = Callable[[ToKeeper], list[FromKeeper]]


class Bench:
    """Leases, a journal that is a list (durable at once, or when told), and a keeper that answers by a function."""

    def __init__(self, path: Path, answer: Answer, totals: list[LeaseTotals]) -> None:
        self.path = path
        self.answer = answer
        self.heard: list[ToKeeper] = []
        self.journal: list[Record] = []
        self.waiting: list[Callable[[], None]] = []
        self.durable_at_once = True
        self.writers: list[asyncio.StreamWriter] = []
        self.leases = Leases(asyncio.get_running_loop(), totals, self.append)

    def append(self, record: bytes, durable: Callable[[], None] | None) -> int:
        self.journal.append(from_bytes(record))
        if durable is not None:
            if self.durable_at_once:
                durable()
            else:
                self.waiting.append(durable)
        return len(self.journal)

    async def keeper(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        buffer = bytearray()
        while data := await reader.read(65536):
            buffer += data
            for body in split(buffer):
                message = to_keeper.decode(body)
                self.heard.append(message)
                for reply in self.answer(message):
                    writer.write(frame(reply))

    def need(self, hold: int) -> "asyncio.Future[Granted | str | None]":
        word: asyncio.Future[Granted | str | None] = asyncio.get_running_loop().create_future()
        self.leases.need((self.leases.lease("acme"),), hold, word.set_result)
        return word


def run(
    path: Path, answer: Answer, work: Callable[[Bench], Awaitable[None]], totals: list[LeaseTotals] | None = None
) -> None:
    async def main() -> None:
        bench = Bench(path / "keeper.sock", answer, totals or [])
        server = await asyncio.start_unix_server(bench.keeper, str(bench.path))
        talk = asyncio.create_task(bench.leases.talk(bench.path, lambda: Hello(slot=1, epoch=1, pid=1, snapshot=1)))
        while not (bench.leases.connected and bench.writers):
            await asyncio.sleep(0)
        try:
            async with asyncio.timeout(10):
                await work(bench)
        finally:
            talk.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await talk
            server.close()

    asyncio.run(main())


def grants(amount: int, short: str = "") -> Answer:
    """A keeper with `amount` in all: grants what is needed while it lasts."""
    state = {"total": 0}

    def answer(message: ToKeeper) -> list[FromKeeper]:
        if not isinstance(message, Want):
            return []
        if state["total"] + message.need <= amount:
            state["total"] += message.need
            return [Granted(balance=message.balance, total=state["total"], left=amount)]
        return [
            Granted(balance=message.balance, total=state["total"], short=short or "held", left=amount - state["total"])
        ]  # type: ignore[arg-type]

    return answer
