"""A house whose gateway or keeper kills itself at an exact moment: `python kill_points.py serve …`.

It is `entrepot serve` with this module in two roles' places. In the child `run` wraps the methods that the moments lie
between and gives itself to the real role. A moment fires when DATA/run/kill-at names it, and once: the file is renamed
first, so that the successor lives.
"""

import functools
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

SEGMENT_BYTES = 64 * 1024
ARMED, FIRED = "kill-at", "killed-at"


class Trap:
    """Armed from outside, by a file."""

    def __init__(self, data: Path) -> None:
        self._armed = data / "run" / ARMED

    def armed(self, moment: str) -> bool:
        try:
            return self._armed.read_text() == moment
        except FileNotFoundError:
            return False

    def spring(self, moment: str) -> None:
        if self.armed(moment):
            self._armed.rename(self._armed.with_name(FIRED))
            os.kill(os.getpid(), signal.SIGKILL)


def run(data: Path, *handed: Any) -> None:
    """The role of this process, with its moments."""
    trap = Trap(data)
    if sys.argv[1] == "keeper":
        from entrepot.keeper.app import run as keeper

        _in_the_keeper(trap)
        keeper(data, *handed)
    else:
        from entrepot.gateway import worker

        _in_the_journal(trap)
        _in_the_gateway(trap)
        worker.Journal = functools.partial(worker.Journal, segment_bytes=SEGMENT_BYTES)  # type: ignore[assignment,misc]
        worker.run(data, *handed)


def around(owner: Any, name: str) -> Callable[[Callable[..., Any]], None]:
    """Put `wrapper(real, *arguments)` in the place of a method or function."""

    def place(wrapper: Callable[..., Any]) -> None:
        real = getattr(owner, name)
        setattr(owner, name, lambda *given, **named: wrapper(real, *given, **named))

    return place


_checkpointed = threading.Event()


def _in_the_journal(trap: Trap) -> None:
    from entrepot.journal.committer import Committer
    from entrepot.journal.disk import RealDisk
    from entrepot.metering.record import Kind

    writing: set[int] = set()

    @around(Committer, "commit")
    def _commit(real: Any, committer: Any, records: list[bytes]) -> Any:
        kinds = {record[0] for record in records}
        if Kind.INTENT in kinds:
            trap.spring("before the intent is written")
        if Kind.ENDING in kinds:
            trap.spring("ending in memory")
        writing.clear()
        writing.update(kinds)
        done = real(committer, records)
        if Kind.INTENT in kinds:
            trap.spring("intent durable")
        if Kind.CHECKPOINT in kinds:
            trap.spring("checkpoint durable")
            _checkpointed.set()
        return done

    @around(RealDisk, "write_durable")
    def _write(real: Any, disk: Any, fd: int, data: bytes, offset: int) -> Any:
        if Kind.ENDING in writing and trap.armed("ending unsynced"):
            disk.write(fd, data, offset)
            trap.spring("ending unsynced")
        return real(disk, fd, data, offset)

    @around(Committer, "rotate")
    def _rotate(real: Any, committer: Any) -> bool:
        turned: bool = real(committer)
        if turned:
            trap.spring("between two segments")
        return turned


def _in_the_gateway(trap: Trap) -> None:
    from entrepot.gateway.leases import Leases
    from entrepot.gateway.relay import Exchange
    from entrepot.upstream.connection import UpstreamConnection

    @around(UpstreamConnection, "data_received")
    def _answered(real: Any, connection: Any, data: bytes) -> None:
        trap.spring("sent")
        real(connection, data)

    @around(Exchange, "stream_data")
    def _event(real: Any, exchange: Any, payload: bytes) -> None:
        real(exchange, payload)
        if exchange.relay.events >= 3:
            trap.spring("third event")

    @around(Exchange, "mark")
    def _mark(real: Any, exchange: Any) -> None:
        if not trap.armed("third event"):  # it is to come before the first checkpoint, and a second may end anywhere
            real(exchange)

    @around(Exchange, "_end")
    def _end(real: Any, exchange: Any, verdict: Any) -> None:
        if trap.armed("usage in a checkpoint"):
            _checkpointed.clear()
            exchange.mark()  # as if the second's tick fell between the usage and the ending
            _checkpointed.wait(10)
            trap.spring("usage in a checkpoint")
        real(exchange, verdict)

    @around(Exchange, "_durable")
    def _durable(real: Any, exchange: Any) -> None:
        trap.spring("ending durable")
        real(exchange)

    @around(Leases, "_granted")
    def _granted(real: Any, leases: Any, message: Any) -> None:
        if message.total > leases.lease(message.balance).granted:
            trap.spring("grant received")
        real(leases, message)

    @around(Leases, "_returned")
    def _returned(real: Any, leases: Any, account: Any, total: int) -> None:
        trap.spring("return durable")
        real(leases, account, total)


def _in_the_keeper(trap: Trap) -> None:
    from entrepot.keeper import ingest
    from entrepot.keeper.grants import Grants
    from entrepot.keeper.upkeep import Upkeep

    @around(Grants, "_next")
    def _next(real: Any, grants: Any, asked: Any, found: Any) -> None:
        if found.granted.total > asked.want.granted_seen:
            trap.spring("grant committed")
        real(grants, asked, found)

    @around(ingest, "post_charges")
    def _post(real: Any, conn: Any, id_: str, at: int, charges: Any, costs: Any, **taken: Any) -> Any:
        posted = real(conn, id_, at, charges, costs, **taken)
        if charges:
            trap.spring("before the SQL commit")
        return posted

    @around(Upkeep, "_list")
    def _list(real: Any, upkeep: Any, written: Any) -> None:
        trap.spring("renamed, not listed")
        real(upkeep, written)


def main() -> None:
    import msgspec

    from entrepot.serve import wiring

    wiring.ROLES = tuple(
        msgspec.structs.replace(role, module="kill_points") if role.name in ("gateway", "keeper") else role
        for role in wiring.ROLES
    )
    from entrepot.cli import main as entrepot

    sys.argv[0] = "entrepot"
    entrepot()


if __name__ == "__main__":
    main()
