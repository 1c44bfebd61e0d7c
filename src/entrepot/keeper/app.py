"""The keeper's process: its socket, its writer thread, and what it does from time to time.

The loop talks; every change of the database is a job of the writer. A grant is committed before it is sent.
"""

import asyncio
import contextlib
import functools
import logging
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import uvloop
from sqlalchemy import Engine

from entrepot.journal.disk import RealDisk
from entrepot.keeper import compile, expiry
from entrepot.keeper.commands import execute
from entrepot.keeper.connection import Connection
from entrepot.keeper.first_start import DEMO, first_start, make_secrets
from entrepot.keeper.grants import ANSWER_S, Grants
from entrepot.keeper.ingest import Ingester
from entrepot.keeper.prices import PriceLists
from entrepot.keeper.rates import Rates
from entrepot.keeper.sealing import seal_slot
from entrepot.keeper.sharefile import ShareFile, boot_of
from entrepot.keeper.thresholds import events
from entrepot.keeper.under_way import calls_under_way
from entrepot.keeper.upkeep import Upkeep
from entrepot.keeper.writer import Rank, Writer
from entrepot.kernel.errors import EntrepotError
from entrepot.kernel.instants import DAY, HOUR, Instant
from entrepot.kernel.money import show
from entrepot.ledger.grant_tables import RefundHeld
from entrepot.ledger.tables import all_balances
from entrepot.limits.message import (
    Ask,
    Ceded,
    Command,
    FromKeeper,
    Hello,
    Leaving,
    Publish,
    Reply,
    Returned,
    ToKeeper,
    Using,
    Want,
)
from entrepot.metering import tables as metering_tables
from entrepot.snapshot import publish
from entrepot.storage.database import open_database, prepare, read
from entrepot.storage.folder import Folder

_log = logging.getLogger(__name__)
Ready = Callable[[dict[str, Any]], None]

#: Batches of the journals that are read before a call is refused for lack of money.
MOST_LOOKED = 4
#: How long a command waits until every gateway answers from the new snapshot.
SEEN_SECONDS = 1.0
#: Gateways look for a new keeper each quarter of a second; a command sooner after its start waits for them too.
REJOIN_SECONDS = 0.5
#: Snapshots hold the prices of the next 48 h; compiling each hour keeps that true.
COMPILE_EVERY = HOUR
#: A writer that hangs longer than this is of no use: the parent may replace this process.
HANGS_SECONDS = 60.0
DRAIN_SECONDS = 10.0
MOST_COMMANDS = 64
MOST_STEPS = 1_000
_BEAT_SECONDS = 0.5


def run(data: Path, alive_fd: int, beat: Callable[[], None], ready: Ready, settings: dict[str, Any]) -> None:
    """Serve until SIGTERM or the parent's end (EOF on `alive_fd`), then finish the queue, ingest once more, return."""
    folder = Folder(data)
    folder.create()
    engine = open_database(settings.get("database") or folder.database)
    prepare(engine)
    beat()
    catalog = settings.get("catalog") or ""
    if catalog:
        facts = first_start(engine, folder, Path(catalog), _now())
    else:
        make_secrets(folder)
        facts = {"first_start": False}
    beat()
    keeper = Keeper(engine, folder, kept=int(settings.get("segments_kept_days", 7)) * DAY)

    def serves() -> None:
        ready({**facts, **keeper.found(), "snapshot": keeper.version})  # the first that is told, before any event
        events.addHandler(_ToScreen(ready))

    uvloop.run(keeper.serve(alive_fd, beat, serves))
    engine.dispose()


class _ToScreen(logging.Handler):
    """Events stand in the log and on the operator's screen."""

    def __init__(self, ready: Ready) -> None:
        super().__init__()
        self._ready = ready

    def emit(self, record: logging.LogRecord) -> None:
        self._ready({"note": record.getMessage()})


class Keeper:
    """State of the process. All methods but the jobs (`_do_…`) run in the loop."""

    def __init__(self, engine: Engine, folder: Folder, *, kept: Instant) -> None:
        self._engine = engine
        self._folder = folder
        disk = RealDisk()
        self._ingester = Ingester(engine, folder.journal, disk)
        self._upkeep = Upkeep(engine, folder, disk, self._ingester, kept=kept)
        self._writer = Writer(self._do_look)
        self._peers: set[Connection] = set()
        self._grants = Grants(
            engine, self._writer, lambda: self._peers,
            look=lambda: self._ingester.drain(_now(), most=MOST_LOOKED), reclaim=self._reclaim,
        )  # fmt: skip
        self._tasks: set[asyncio.Task[None]] = set()
        self._commands = 0
        self._seen = asyncio.Event()
        self._stop = asyncio.Event()
        self._rates: Rates
        self._began = time.monotonic()
        self._looked_at: Instant = 0
        self._compiled_at: Instant = 0
        self._price_lists = PriceLists()
        self.version = 0

    def found(self) -> dict[str, Any]:
        """What lies in the database at this start, for the screen."""
        with read(self._engine) as conn:
            left = {id: f"{show(units, currency, places=2)} {currency}" for id, currency, units in all_balances(conn)}
            return {
                "records": sum(metering_tables.state_counts(conn).values()),
                "last_at": metering_tables.last_ended(conn),
                "whole": not self._ingester.damaged,
                "balance": left.get(DEMO, ""),
            }

    async def serve(self, alive_fd: int, beat: Callable[[], None], ready: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._stop.set)
        loop.add_reader(alive_fd, self._parent_says, alive_fd)
        self._writer.start()
        self._upkeep.remove_orphans()
        await self._compile()
        file = ShareFile(self._folder.root / "run" / "shares", boot_of())
        self._rates = Rates(loop, lambda: time.monotonic_ns() // 1000, file)
        path = self._folder.socket("keeper.sock")
        path.unlink(missing_ok=True)
        server = await loop.create_unix_server(self._connection, str(path))
        path.chmod(0o600)
        ready()
        upkeep = asyncio.create_task(self._upkeep.run(self._writer, self._connected))
        drain, recall = self._ingester.drain, self._grants.recall
        calls = functools.partial(calls_under_way, RealDisk(), self._folder.journal)
        expiring = asyncio.create_task(expiry.run(self._engine, self._writer, drain, recall, calls))
        try:
            while not self._stop.is_set():
                if self._writer.busy_seconds() < HANGS_SECONDS:
                    beat()
                if _now() - self._compiled_at > COMPILE_EVERY:
                    await self._compile()
                self._rates.tick()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stop.wait(), _BEAT_SECONDS)
        finally:
            path.unlink(missing_ok=True)  # first: whoever finds no socket knows that a successor may come, and waits
            server.close()
            upkeep.cancel()
            expiring.cancel()
            await self._finish(beat)

    async def _finish(self, beat: Callable[[], None]) -> None:
        """Answer what was asked, take what the journals still have, end the writer."""
        until = time.monotonic() + DRAIN_SECONDS / 2
        while self._tasks and time.monotonic() < until:
            beat()
            await asyncio.wait(self._tasks, timeout=_BEAT_SECONDS)
        for peer in list(self._peers):
            peer.close()
        self._writer.submit(Rank.LAST, lambda: self._ingester.drain(_now()))
        closing = asyncio.get_running_loop().run_in_executor(None, self._writer.close, DRAIN_SECONDS)
        while not closing.done():
            beat()
            await asyncio.wait([closing], timeout=_BEAT_SECONDS)

    def _parent_says(self, alive_fd: int) -> None:
        if not os.read(alive_fd, 1):
            asyncio.get_running_loop().remove_reader(alive_fd)
            self._stop.set()

    # --- peers

    def _connection(self) -> Connection:
        peer = Connection(self._received, self._gone)
        self._peers.add(peer)
        return peer

    def _gone(self, peer: Connection) -> None:
        self._peers.discard(peer)
        if peer.slot:
            self._grants.gone(peer.slot)
        self._seen.set()
        if peer.gateway is not None:
            self._rates.gone(peer, peer.gateway)

    def _connected(self) -> set[int]:
        return {peer.slot for peer in self._peers if peer.slot}

    def _received(self, peer: Connection, message: ToKeeper) -> None:
        if isinstance(message, Want):
            if peer.slot:
                self._grants.want(peer, message)
        elif isinstance(message, Returned):
            if peer.slot:
                self._grants.returned(peer.slot, message)
        elif isinstance(message, Hello):
            if message.snapshot < self.version:
                peer.send(Publish(self.version))
            self._rates.hello(peer, message)
            self._task(self._grants.review())  # it may have been away when a budget was lowered
        elif isinstance(message, Ask | Ceded | Using | Leaving):
            if peer.gateway is not None:
                self._rates.hear(peer.gateway, message)
        elif isinstance(message, Command):
            self._task(self._command(peer, message))
        else:
            self._seen.set()

    def _task(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            _log.error("a message could not be answered", exc_info=task.exception())

    def _reclaim(self, slot: int) -> int:
        return seal_slot(
            RealDisk(), self._folder.journal, slot, _now(), by="keeper", passed=self._ingester.position,
            granted=self._upkeep.granted,
        )  # fmt: skip

    async def _job(self, rank: Rank, job: Callable[[], Any]) -> Any:
        return await asyncio.wrap_future(self._writer.submit(rank, job))

    # --- commands and the snapshot

    async def _command(self, peer: Connection, command: Command) -> None:
        if self._commands >= MOST_COMMANDS:
            peer.send(_refusal(command.id, "keeper_busy", "too many commands wait already; ask again in a second"))
            return
        self._commands += 1
        try:
            body = await self._carry_out(command)
            answer: FromKeeper = Reply(id=command.id, error=False, body=msgspec.json.encode(body))
        except EntrepotError as error:
            answer = _refusal(command.id, error.code, error.message, getattr(error, "details", None))
        except Exception as error:  # noqa: BLE001 - the request boundary: whoever asked is told, the log has the rest
            _log.exception("command %s failed", command.name)
            answer = _refusal(command.id, "internal_error", f"{type(error).__name__}; the keeper's log has the details")
        finally:
            self._commands -= 1
        peer.send(answer)

    async def _carry_out(self, command: Command) -> dict[str, Any]:
        args: dict[str, Any] = msgspec.json.decode(command.args) if command.args else {}
        if command.name == "status":
            loop = asyncio.get_running_loop()
            return {**self._status(), **await loop.run_in_executor(None, self._read_status)}
        if command.name == "ingest.now":
            for _ in range(MOST_STEPS):  # one job each: grants go in between; calls that never cease do not hold us
                if not await self._job(Rank.COMMAND, lambda: self._ingester.step(_now())):
                    break
            self._looked_at = _now()
            return {"looked_at": self._looked_at, "records": self._ingester.records, "endings": self._ingester.endings}
        try:
            facts = await self._execute(command.name, args)
        except RefundHeld:  # gateways may have it ready for calls that never come
            self._grants.recall(str(args["customer"]))
            await asyncio.sleep(ANSWER_S)
            facts = await self._execute(command.name, args)
        if command.name == "webhook.tried":  # no gateway has to know
            return facts
        await self._compile()
        await self._grants.review()
        behind = await self._all_seen()
        return {**facts, "snapshot": self.version, "behind": behind}

    async def _execute(self, name: str, args: dict[str, Any]) -> dict[str, Any]:
        facts = await self._job(Rank.COMMAND, lambda: execute(self._engine, self._folder, name, args, _now()))
        return dict(facts)

    async def _compile(self) -> None:
        """Compile and publish; the same tables again give the same version."""

        def job() -> int:
            with read(self._engine) as conn:
                tables = compile.compile(conn, _now(), self._price_lists)
            return publish(self._folder.snapshot, tables)

        version = await self._job(Rank.COMMAND, job)
        self._compiled_at = _now()
        if version != self.version:
            self.version = version
            for peer in self._peers:
                if peer.slot:
                    peer.send(Publish(version))

    async def _all_seen(self) -> list[str]:
        """Wait until every connected gateway answers from the current snapshot; the slots that do not yet."""
        wanted, until = self.version, time.monotonic() + SEEN_SECONDS
        while True:
            self._seen.clear()
            behind = sorted(f"w{peer.slot}" for peer in self._peers if peer.slot and peer.snapshot < wanted)
            now = time.monotonic()
            left = until - now if behind else self._began + REJOIN_SECONDS - now
            if left <= 0:
                return behind
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._seen.wait(), left)

    # --- what it knows

    def _status(self) -> dict[str, Any]:
        return {
            "pid": os.getpid(), "snapshot": self.version, "looked_at": self._looked_at,
            "records": self._ingester.records, "endings": self._ingester.endings,
            "damaged": sorted(self._ingester.damaged.values()),
            "failing": str(self._writer.failed or "; ".join(sorted(self._ingester.stuck.values()))),
            "gateways": [
                {"slot": f"w{hello.slot}", "epoch": hello.epoch, "pid": hello.pid, "snapshot": peer.snapshot}
                for peer in sorted(self._peers, key=lambda peer: peer.slot)
                if (hello := peer.gateway)
            ],
        }  # fmt: skip

    def _read_status(self) -> dict[str, Any]:
        with read(self._engine) as conn:
            return {
                "last_ended": metering_tables.last_ended(conn),
                "states": metering_tables.state_counts(conn),
                "unrated": len(metering_tables.unrated(conn)),
                "refused": [list(row) for row in metering_tables.refused(conn, _now() - DAY)],
                "balances": [list(row) for row in all_balances(conn)],
                "lake_files": len(metering_tables.manifest(conn)),
            }

    def _do_look(self) -> bool:
        """One batch of each stream, then a pause: a batch costs two syncs of the disk that gateways write to, so many
        small ones would make calls wait. Full ones follow each other at once."""
        for _ in self._ingester.open_streams():
            if not self._ingester.step(_now()):
                break
            if self._ingester.full:
                return True
        self._looked_at = _now()
        return False


def _refusal(id: int, code: str, message: str, details: Any = None) -> Reply:
    return Reply(id=id, error=True, body=msgspec.json.encode({"code": code, "message": message, "details": details}))


def _now() -> Instant:
    return time.time_ns() // 1000
