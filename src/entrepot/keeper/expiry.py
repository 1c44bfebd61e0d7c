"""Grants that end: the unused rest is taken back, never what is held or leased.

Shortly before an end, gateways are asked to give back what they have free of the balance. After it, journals are read,
so that what was used until then counts as used; then what calls under way cannot need any more is taken: all that calls
admitted before the end hold is left to them until their endings have passed.
"""

import asyncio
import logging
import time
from collections.abc import Callable

from sqlalchemy import Engine

from entrepot.keeper import money
from entrepot.keeper.under_way import OpenCall
from entrepot.keeper.writer import Rank, Writer
from entrepot.kernel.errors import EntrepotError
from entrepot.kernel.instants import SECOND, Instant
from entrepot.ledger.grant_tables import ended
from entrepot.storage.database import read

_log = logging.getLogger(__name__)

EVERY_SECONDS = 1.0
#: Leases are recalled from here on, so that at the end only what calls hold is out.
AHEAD: Instant = 2 * SECOND
#: A call is stamped before its intent is on disk: so long after an end, all intents from before it are there.
WRITTEN: Instant = SECOND
#: Batches of the journals that are read before a round.
_BATCHES = 64

UnderWay = Callable[[], list[OpenCall]]


async def run(
    engine: Engine, writer: Writer, drain: Callable[[Instant, int], int], recall: Callable[[str], None],
    under_way: UnderWay,
) -> None:  # fmt: skip
    """Until cancelled. `drain` reads the journals (in the writer's thread), `recall` asks gateways for a balance,
    `under_way` finds the open calls (in a thread of its own)."""
    while True:
        await asyncio.sleep(EVERY_SECONDS)
        try:
            now = _now()
            for balance in await asyncio.to_thread(_ended, engine, now + AHEAD):
                recall(balance)
            if await asyncio.to_thread(_ended, engine, now - WRITTEN):
                calls = await asyncio.to_thread(_known, under_way)
                job = writer.submit(Rank.UPKEEP, lambda: expire(engine, drain, now - WRITTEN, calls))  # noqa: B023
                await asyncio.wrap_future(job)
        except Exception:  # noqa: BLE001 - the task's owner: it is tried again
            _log.exception("grants that have ended could not be taken back; it is tried again")


def expire(
    engine: Engine, drain: Callable[[Instant, int], int], now: Instant, calls: list[OpenCall] | None
) -> list[str]:
    """Take back what has ended; the balances where more is to be taken, when calls have ended. `calls` were under way
    before this; None: it is not known which, and everything that is leased is left alone."""
    if not _ended(engine, now):
        return []
    drain(now, _BATCHES)
    return money.expire(engine, now, calls)


def _ended(engine: Engine, at: Instant) -> list[str]:
    with read(engine) as connection:
        return ended(connection, at)


def _known(under_way: UnderWay) -> list[OpenCall] | None:
    try:
        return under_way()
    except EntrepotError as error:  # one journal is damaged: ingestion says so, and which
        _log.warning("which calls are under way is not known: %s", error.message)
        return None


def _now() -> Instant:
    return time.time_ns() // 1000
