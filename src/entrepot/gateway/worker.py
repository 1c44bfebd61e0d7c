"""The life of a gateway process: take a slot, seal what an earlier worker left, answer calls, drain.

Starts from the last snapshot and its own slot and waits for nobody.
"""

import asyncio
import gc
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import uvloop

from entrepot.gateway.accepting import Accepting, Board
from entrepot.gateway.app import Gateway
from entrepot.gateway.desk import Desk
from entrepot.gateway.leases import Leases
from entrepot.gateway.rates import Rates
from entrepot.gateway.server import Connection
from entrepot.gateway.status import questions, serve_status
from entrepot.gateway.ticker import Ticker
from entrepot.gateway.upstream import Upstream
from entrepot.journal.disk import RealDisk
from entrepot.journal.slots import Slot, seal_stream
from entrepot.journal.writer import Journal
from entrepot.kernel.ids import RequestIds
from entrepot.kernel.instants import SECOND, Instant
from entrepot.limits.message import Hello
from entrepot.metering.closing import Standing, carry_part, close_open
from entrepot.metering.record import Clock, Seal, to_bytes
from entrepot.pricing.charge import charge
from entrepot.snapshot import Snapshot, UpstreamEntry
from entrepot.storage.folder import Folder, SecretMissing
from entrepot.upstream.client import Budget, Target

DENY_POLL_S = 0.25  # protocol: the deny list is read this often, so a revoked key is refused within a second
FLUSH_S = 0.1
KEEPER_MET_S = 0.5
SWITCH_S = 0.001  # the journal's thread waits so long at the most for its turn between two commits
GC_AFTER = 20_000  # objects: a call leaves no cycle behind, so there is little to find
_STEP = 1 * SECOND
_log = logging.getLogger(__name__)


class WallClock:
    """Wall clock at the start plus monotonic time: never steps; `step` tells when the wall clock did."""

    def __init__(self) -> None:
        self._base = time.time_ns() // 1000 - time.monotonic_ns() // 1000

    def now(self) -> Instant:
        return self._base + time.monotonic_ns() // 1000

    def step(self) -> int:
        """Microseconds that the wall clock has stepped since the last answer of more than a second; 0: none."""
        step = time.time_ns() // 1000 - self.now()
        if abs(step) <= _STEP:
            return 0
        self._base += step
        return step


def run(  # noqa: PLR0917 the entry point of the role
    data: Path,
    listener: socket.socket,
    alive_fd: int,
    beat: Callable[[], None],
    ready: Callable[[dict[str, Any]], None],
    settings: dict[str, Any],
) -> None:
    """Serve until SIGTERM or the parent's death, then drain."""
    uvloop.run(_Worker(Folder(data), listener, beat, ready, settings).serve(alive_fd))


class _Worker:
    def __init__(
        self,
        folder: Folder,
        listener: socket.socket,
        beat: Callable[[], None],
        ready: Callable[[dict[str, Any]], None],
        settings: dict[str, Any],
    ) -> None:
        self.folder = folder
        self.listener = listener
        self.beat = beat
        self.ready = ready
        self.settings = settings
        self.clock = WallClock()
        self.deny_read = 0
        self.budget = Budget()
        proxy = str(settings.get("upstream_proxy") or "")
        self.proxy = Target(proxy) if proxy else None
        self.journal: Journal
        self.gateway: Gateway
        self.leases: Leases
        self.board: Board
        self.accepting: Accepting
        self.stop = asyncio.Event()
        self.ends_by = 0.0  # of the drain
        self.patient = False  # the drain waits for connections to fall silent too: others serve meanwhile
        self.rates: Rates

    async def serve(self, alive_fd: int) -> None:
        loop = asyncio.get_running_loop()
        disk = RealDisk()
        slot = Slot.acquire(disk, self.folder.journal)
        self.board = Board(self.folder.root / "run" / "connections", slot.number)
        closed = 0
        for epoch in slot.unsealed():

            def close(records: list[tuple[int, bytes]]) -> list[bytes]:
                nonlocal closed
                endings = close_open(Standing.of(records), self.clock.now(), charge)
                closed += len(endings)
                return endings

            seal_stream(disk, slot, epoch, close, to_bytes(Seal(self.clock.now(), "successor")), carry_part=carry_part)
        standing = Standing.of(slot.inherited(carry_part))
        epoch = slot.next_epoch()
        self.journal = Journal(disk, slot, epoch, loop, carry=self._carry, failed=self._failed)
        snapshot = Snapshot.load(self.folder.snapshot)
        self.leases = Leases(loop, list(standing.leases.values()), self.journal.append)
        self.rates = Rates(loop, lambda: time.monotonic_ns() // 1000)
        self.rates.renew(snapshot.version)
        self.leases.on_share, self.leases.on_link = self.rates.hear, self.rates.linked
        desk = Desk(snapshot, self.folder.secret("pepper"), self.leases.lease, self.rates)
        self.gateway = gateway = Gateway(
            loop, desk, self.leases, RequestIds(self.folder.secret("request-ids")), (slot.number, epoch),
            self.journal.append, self.journal.room, self.clock.now, self._upstream, Ticker(self.ready),
        )  # fmt: skip
        gateway.renew()
        self._poll_deny()
        self.journal.start(self._carry())
        self.leases.on_publish = lambda _version: self._refresh()
        self.leases.version = snapshot.version
        status_path = self.folder.socket(f"gateway-w{slot.number}.sock")
        def segment(_: dict[str, Any]) -> dict[str, Any]:
            """Begin a new one, so that the lake gets the old one: what bills a month asks for it."""
            return {"slot": slot.number, "epoch": epoch, "segment": self.journal.rotate_used()}

        status = await serve_status(status_path, {**questions(gateway), "segment": segment})
        loop.add_signal_handler(signal.SIGTERM, self._leave, "drain_seconds")
        loop.add_signal_handler(signal.SIGUSR1, self._leave, "reload_drain_seconds")

        def orphaned() -> None:
            loop.remove_reader(alive_fd)
            self._leave("drain_seconds")

        loop.add_reader(alive_fd, orphaned)
        tasks = [
            loop.create_task(self.leases.talk(self.folder.socket("keeper.sock"), self._hello)),
            loop.create_task(self._every(1.0, self._tick)),
            loop.create_task(self._every(DENY_POLL_S, self._poll_deny)),
            loop.create_task(self._every(FLUSH_S, lambda: gateway._ticker.flush(self.clock.now()))),
        ]
        sys.setswitchinterval(SWITCH_S)
        gc.collect()
        gc.freeze()  # what a worker has from its start stays: do not look at it again and again
        gc.set_threshold(GC_AFTER)
        await self._meet_keeper()
        self.accepting = Accepting(
            loop, self.listener, lambda: Connection(gateway.server), self.board, lambda: len(gateway.server.connections)
        )
        gateway.server.changed = self.accepting.counted
        self.ready({"slot": slot.number, "epoch": epoch, "closed": closed, "snapshot": snapshot.version})
        await self.stop.wait()
        whole = await self._drain()
        if whole:
            await self.leases.give_back_all()  # nobody may come to this slot for long
        self.rates.leave()
        for task in tasks:
            task.cancel()
        status.close()
        status_path.unlink(missing_ok=True)  # the slot is still ours
        if whole:
            self.journal.close(to_bytes(Seal(self.clock.now(), "worker")))
            await asyncio.sleep(0)  # the last callbacks
        else:
            _log.warning("%d calls outlasted the drain; their slot's next owner ends them", len(gateway.open))
        slot.release()

    async def _drain(self) -> bool:
        """Accept no more and finish what is open within the bound; True if every attempt has its ending. What is left
        is cut by our end, and recorded like after a crash: only then may the stream go without its seal."""
        gateway = self.gateway
        self.accepting.close()
        gateway.server.drain()
        while self._calls_left() and time.monotonic() < self.ends_by:
            await asyncio.sleep(0.02)
        for connection in list(gateway.server.connections):
            connection.close()
        await asyncio.sleep(0)
        return not gateway.under_way()

    def _leave(self, bound: str) -> None:
        """Asked to stop, or by a reload, whose successors serve already, to take nothing new; the shorter bound counts.
        A reload waits for silence too: a client whose connection ended while it sends could not know what became of
        its call, so each is told `connection: close` with its next answer."""
        ends_by = time.monotonic() + int(self.settings.get(bound, 30)) - 1
        self.ends_by = min(self.ends_by or ends_by, ends_by)
        self.patient = bound == "reload_drain_seconds" and not (self.stop.is_set() and not self.patient)
        self.stop.set()

    def _calls_left(self) -> bool:
        gateway = self.gateway
        if gateway.under_way() or self.accepting.opening:
            return True
        return self.patient and bool(gateway.server.connections)

    async def _meet_keeper(self) -> None:
        """Where a keeper answers, the first call need not wait for its lease; where none does, nobody waits."""
        path = self.folder.socket("keeper.sock")
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(KEEPER_MET_S)
            if probe.connect_ex(str(path)):
                return
        until = time.monotonic() + KEEPER_MET_S
        while not self.leases.connected and time.monotonic() < until:
            await asyncio.sleep(0.005)

    async def _every(self, seconds: float, work: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            due = max(due + seconds, loop.time())
            await asyncio.sleep(due - loop.time())
            try:
                work()
            except Exception:  # noqa: BLE001 the owner of a periodic task: one bad turn must not end the next ones
                _log.exception("periodic work failed")

    def _tick(self) -> None:
        self.beat()
        self.board.look()
        step = self.clock.step()
        if step:
            self.journal.append(to_bytes(Clock(self.clock.now(), step)))
        self.gateway.tick()
        self.rates.tick()
        self.journal.rotate_if_old(self.clock.now())
        if self.gateway.desk.snapshot.version != self.leases.version:
            self.leases.seen(self.gateway.desk.snapshot.version)
        self._refresh()

    def _refresh(self) -> None:
        """A newer snapshot, if there is one: also when the keeper could not tell us."""
        desk = self.gateway.desk
        snapshot = desk.snapshot.refresh(self.folder.snapshot)
        if snapshot is not desk.snapshot:
            desk.renew(snapshot)
            self.gateway.renew()
            self.leases.seen(snapshot.version)

    def _poll_deny(self) -> None:
        found, self.deny_read = self.folder.denied(self.deny_read)
        if found:
            self.gateway.desk.deny(found)

    def _hello(self) -> Hello:
        gateway = self.gateway
        return Hello(
            slot=gateway.slot, epoch=gateway.epoch, pid=os.getpid(), snapshot=gateway.desk.snapshot.version,
            shares=self.rates.held(),
        )  # fmt: skip

    def _carry(self) -> list[bytes]:
        """The stream as it stands: open intents and lease totals."""
        standing = Standing()
        for seq, exchange in self.gateway.open.items():
            standing.opened(seq, exchange.intent())
            if checkpoint := exchange.checkpoint():
                standing.moved(checkpoint)
        standing.leases = {totals.balance: totals for totals in self.leases.totals()}
        return standing.carry()

    def _upstream(self, entry: UpstreamEntry) -> Upstream:
        secret = b""
        if entry.secret:
            try:
                secret = self.folder.secret(entry.secret).strip()
            except SecretMissing:
                _log.warning("upstream %s has no credential in this data folder", entry.id)
        loop = asyncio.get_running_loop()
        return Upstream(loop, entry, secret, str(self.folder.socket("local.sock")), self.budget, self.proxy)

    def _failed(self, failure: BaseException) -> None:
        """The disk failed or hangs: nothing can be promised any more. The slot's next owner seals what we leave."""
        _log.critical("the journal failed, this worker ends: %s", failure)
        os._exit(70)
