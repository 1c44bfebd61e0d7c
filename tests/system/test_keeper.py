"""The keeper as a real process: it grants, ingests, publishes, fills the lake, and survives being killed."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from endings import AT
from entrepot.ledger.grant_tables import top_up
from entrepot.ledger.tables import balance_of, open_balance
from entrepot.limits.message import (
    Command,
    FromKeeper,
    Granted,
    Hello,
    Publish,
    Recall,
    Reply,
    Returned,
    Seen,
    ToKeeper,
    Want,
    frame,
    from_keeper,
    split,
)
from entrepot.metering import tables
from entrepot.storage.database import open_database, prepare, read, write
from entrepot.storage.folder import Folder
from worker import Worker

USD = 10**9
_CHILD = """
import json, sys
from pathlib import Path
from entrepot.keeper.app import run
settings = {"catalog": sys.argv[3]}
run(Path(sys.argv[1]), int(sys.argv[2]), lambda: None, lambda facts: print(json.dumps(facts), flush=True), settings)
"""
_DEMO = Path(__file__).parents[2] / "examples" / "demo.toml"


class Keeper:
    """The process under test."""

    def __init__(self, data: Path, catalog: str = "") -> None:
        self.data = data
        self.folder = Folder(data)
        self.engine = open_database(self.folder.database)
        alive, self.parent = os.pipe()
        self.process = subprocess.Popen(
            [sys.executable, "-c", _CHILD, str(data), str(alive), catalog], stdout=subprocess.PIPE, pass_fds=[alive]
        )
        os.close(alive)
        assert self.process.stdout is not None
        self.facts: dict[str, Any] = json.loads(self.process.stdout.readline())

    def end(self, how: signal.Signals) -> int:
        self.process.send_signal(how)
        return self.wait()

    def wait(self) -> int:
        code = self.process.wait(15)
        assert self.process.stdout is not None
        self.process.stdout.close()
        with contextlib.suppress(OSError):
            os.close(self.parent)
        self.engine.dispose()
        return code


class Peer:
    """One connection to the keeper."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.inbox: list[FromKeeper] = []
        self._buffer = bytearray()

    def send(self, message: ToKeeper) -> None:
        self.writer.write(frame(message))

    async def receive(self, kind: type[Any], seconds: float = 5.0) -> Any:
        async with asyncio.timeout(seconds):
            while True:
                for message in self.inbox:
                    if isinstance(message, kind):
                        self.inbox.remove(message)
                        return message
                data = await self.reader.read(65536)
                assert data, "the keeper has closed the connection"
                self._buffer += data
                self.inbox += [from_keeper.decode(body) for body in split(self._buffer)]

    async def ask(self, name: str, **args: Any) -> dict[str, Any]:
        self.send(Command(id=7, name=name, args=json.dumps(args).encode()))
        reply = await self.receive(Reply)
        body: dict[str, Any] = json.loads(reply.body)
        return {"error": body} if reply.error else body


@contextlib.asynccontextmanager
async def peer(keeper: Keeper, slot: int = 0) -> AsyncIterator[Peer]:
    reader, writer = await asyncio.open_unix_connection(str(keeper.folder.socket("keeper.sock")))
    one = Peer(reader, writer)
    if slot:
        one.send(Hello(slot=slot, epoch=1, pid=1, snapshot=0))
    try:
        yield one
    finally:
        writer.close()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A house with 1 USD on the balance of demo."""
    folder = Folder(tmp_path / "data")
    folder.create()
    engine = open_database(folder.database)
    import entrepot.keeper.app  # noqa: F401 - all tables

    prepare(engine)
    with write(engine) as conn:
        open_balance(conn, "demo", "USD")
        top_up(conn, "demo", USD, "USD", "first-start", AT)
    engine.dispose()
    return folder.root


async def until(true: Callable[[], bool], seconds: float = 10.0) -> float:
    started = time.monotonic()
    while not true():
        assert time.monotonic() - started < seconds
        await asyncio.sleep(0.02)
    return time.monotonic() - started


def want(need: int, seen: int = 0, pace: int = 0, hold: int = 0) -> Want:
    return Want(balance="demo", granted_seen=seen, need=need, pace=pace, hold=hold)


def test_grants_recalls_and_says_held_or_spent(data: Path) -> None:
    keeper = Keeper(data)

    async def go() -> None:
        async with peer(keeper, 1) as one, peer(keeper, 2) as two:
            one.send(want(USD // 2))
            assert await one.receive(Granted) == Granted(balance="demo", total=USD // 2, left=USD, room=USD // 2)
            one.send(want(USD // 2))  # the answer was lost: the same total again, not twice the money
            assert (await one.receive(Granted)).total == USD // 2
            two.send(want(USD * 3 // 4))
            assert (await one.receive(Recall)).balance == "demo"
            one.send(Returned(balance="demo", total=USD // 4))
            granted = await two.receive(Granted, 0.25)
            assert (granted.total, granted.short) == (USD * 3 // 4, "")
            two.send(want(1, seen=granted.total))
            await one.receive(Recall)
            began = time.monotonic()
            assert (await two.receive(Granted)).short == "held"
            assert time.monotonic() - began < 0.25
            two.send(want(2, seen=granted.total, hold=USD + 1))
            assert (await two.receive(Granted)).short == "spent"

    try:
        asyncio.run(go())
    finally:
        assert keeper.end(signal.SIGTERM) == 0


def test_a_killed_keeper_forgets_no_grant(data: Path) -> None:
    for round_ in range(1, 4):
        keeper = Keeper(data)

        async def go(keeper: Keeper = keeper, total: int = round_ * 1000) -> None:
            async with peer(keeper, 1) as one:
                one.send(want(1000, seen=total - 1000))
                assert (await one.receive(Granted)).total == total

        asyncio.run(go())
        keeper.end(signal.SIGKILL)


def test_usage_is_fresh_within_two_seconds_and_survives_kills(data: Path) -> None:
    total = 0

    async def go() -> None:
        nonlocal total
        worker = Worker(data / "journal")
        worker.grant("demo", USD)
        for _ in range(3):
            keeper = Keeper(data)
            for _ in range(50):
                total += worker.call().charge
            await worker.durable()

            def charged(keeper: Keeper = keeper, total: int = total) -> bool:
                with read(keeper.engine) as conn:
                    return sum(row.charge for row in tables.usage(conn)) == total

            assert await until(charged) < 2.0
            total += worker.call().charge
            keeper.end(signal.SIGKILL)
        await worker.durable()
        worker.close()
        keeper = Keeper(data)
        async with peer(keeper) as asker:
            assert (await asker.ask("ingest.now"))["endings"] == 1
            status = await asker.ask("status")
            assert status["states"] == {"final": 153}
            assert status["damaged"] == []
        with read(keeper.engine) as conn:
            assert balance_of(conn, "demo") == USD - total
        assert keeper.end(signal.SIGTERM) == 0

    asyncio.run(go())


def test_final_segments_become_files_and_orphans_go(data: Path) -> None:
    async def go() -> None:
        worker = Worker(data / "journal", segment_bytes=64 * 1024)
        worker.grant("demo", USD)
        for _ in range(10):
            for _ in range(30):
                worker.call()
            await worker.durable()
        worker.close()
        orphan = data / "lake" / "w1" / "000001" / "000001.parquet.aside"
        orphan.parent.mkdir(parents=True)
        orphan.write_bytes(b"half")
        keeper = Keeper(data)
        assert not orphan.exists()
        count = len(list((data / "journal" / "w1" / "000001").glob("*.seg")))
        assert count > 2

        def all_there() -> bool:
            with read(keeper.engine) as conn:
                return len(tables.manifest(conn)) == count

        await until(all_there, 20.0)
        with read(keeper.engine) as conn:
            files = tables.manifest(conn)
        assert sum(file.rows for file in files) == 300
        assert all((data / "lake" / file.path).stat().st_size == file.size for file in files)
        keeper.end(signal.SIGTERM)

    asyncio.run(go())


def test_the_first_start_fills_the_house_and_commands_reach_every_gateway(tmp_path: Path) -> None:
    keeper = Keeper(tmp_path / "data", str(_DEMO))
    assert keeper.facts["first_start"] is True
    assert keeper.folder.read_credentials()["api_key"].startswith("ep_live_")

    async def go() -> None:
        async with peer(keeper, 1) as gateway, peer(keeper) as asker:
            version = (await gateway.receive(Publish)).version
            gateway.send(Seen(version))
            assert (await asker.ask("dance"))["error"]["code"] == "command_unknown"
            top_up = {"customer": "demo", "amount": "2", "currency": "USD", "id": "PAY-1"}
            for _ in range(2):
                assert (await asker.ask("balance.top_up", **top_up))["behind"] == []
            with read(keeper.engine) as conn:
                assert balance_of(conn, "demo") == 7 * USD
            task = asyncio.create_task(asker.ask("key.create", customer="demo"))
            version = (await gateway.receive(Publish)).version
            assert not task.done()
            gateway.send(Seen(version))
            made = await task
            assert (made["snapshot"], made["behind"]) == (version, [])
            assert (await asker.ask("key.revoke", id=made["id"]))["behind"] == ["w1"]
            assert keeper.folder.denied(0)[0] == [made["id"]]

    try:
        asyncio.run(go())
    finally:
        assert keeper.end(signal.SIGTERM) == 0
    again = Keeper(keeper.data, str(_DEMO))
    assert again.facts["first_start"] is False
    assert again.end(signal.SIGTERM) == 0


def test_a_peer_that_talks_nonsense_is_cut_off_alone(data: Path) -> None:
    keeper = Keeper(data)

    async def go() -> None:
        async with peer(keeper) as bad, peer(keeper, 1) as good:
            bad.writer.write(b"\xff\xff\xff\xff rubbish")
            assert await bad.reader.read() == b""
            good.send(want(1))
            assert (await good.receive(Granted)).total == 1

    try:
        asyncio.run(go())
    finally:
        assert keeper.end(signal.SIGTERM) == 0


def test_it_ends_with_its_parent(data: Path) -> None:
    keeper = Keeper(data)
    os.close(keeper.parent)
    assert keeper.wait() == 0


def test_a_slot_without_a_worker_gives_back_while_a_call_waits(data: Path) -> None:
    """Killed with a lease in hand, and nobody has come to its slot: sealed, returned and granted within the wait."""
    keeper = Keeper(data)

    async def die() -> None:
        worker = Worker(data / "journal", 3)
        async with peer(keeper, 3) as gateway:
            gateway.send(want(USD - 10))
            worker.grant("demo", (await gateway.receive(Granted)).total)
            worker.begin(hold=USD // 2)
            await worker.durable()
        await worker.crash()

    async def go() -> None:
        await die()
        async with peer(keeper, 1) as one:
            one.send(want(USD // 2))
            granted = await one.receive(Granted, 2.0)
            assert (granted.total, granted.short) == (USD // 2, "")

    try:
        asyncio.run(go())
    finally:
        assert keeper.end(signal.SIGTERM) == 0


def test_a_gateway_that_is_stopped_is_waited_for_once(data: Path) -> None:
    """Its lease stays counted: others hear *held*, the first within the bound, the next at once."""
    keeper = Keeper(data)

    async def go() -> None:
        async with peer(keeper, 1) as stopped, peer(keeper, 2) as other:
            stopped.send(want(USD))
            assert (await stopped.receive(Granted)).total == USD
            took = []
            for _ in range(2):
                began = time.monotonic()
                other.send(want(5))
                granted = await other.receive(Granted)
                took.append(time.monotonic() - began)
                assert (granted.short, granted.left, granted.room) == ("held", USD, 0)
            assert 0.1 < took[0] < 0.25
            assert took[1] < 0.1
            stopped.send(Returned(balance="demo", total=USD))
            other.send(want(5))
            assert (await other.receive(Granted)).total == 5

    try:
        asyncio.run(go())
    finally:
        assert keeper.end(signal.SIGTERM) == 0


def test_a_thousand_first_calls_of_many_customers_are_a_few_transactions(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "data")
    folder.create()
    engine = open_database(folder.database)
    prepare(engine)
    with write(engine) as conn:
        for n in range(1000):
            open_balance(conn, f"c{n}", "USD")
            top_up(conn, f"c{n}", USD, "USD", f"PAY-{n}", AT)
    engine.dispose()
    keeper = Keeper(folder.root)

    async def go() -> None:
        async with peer(keeper, 1) as one:
            began = time.monotonic()
            for n in range(1000):
                one.send(Want(balance=f"c{n}", granted_seen=0, need=100, pace=0, hold=100, holds=(100,), number=n + 1))
            heard = {(await one.receive(Granted)).number for _ in range(1000)}
            assert heard == set(range(1, 1001))
            assert time.monotonic() - began < 5.0

    try:
        asyncio.run(go())
    finally:
        assert keeper.end(signal.SIGTERM) == 0
