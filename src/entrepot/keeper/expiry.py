"""Grants that end: the unused rest is taken back, never what is held or leased.

Journals are read first, so that what was used until then counts as used. What gateways have in leases is asked back
and taken in one of the next rounds; what calls under way hold waits for their endings.
"""

import asyncio
import logging
import time
from collections.abc import Callable

from sqlalchemy import Engine

from entrepot.keeper import money
from entrepot.keeper.writer import Rank, Writer
from entrepot.kernel.instants import Instant
from entrepot.ledger.grant_tables import ended
from entrepot.storage.database import read

_log = logging.getLogger(__name__)

EVERY_SECONDS = 1.0
#: Batches of the journals that are read before a round.
_BATCHES = 64


async def run(
    engine: Engine, writer: Writer, drain: Callable[[Instant, int], int], recall: Callable[[str], None]
) -> None:
    """Until cancelled. `drain` reads the journals (in the writer's thread), `recall` asks gateways for a balance."""
    while True:
        await asyncio.sleep(EVERY_SECONDS)
        try:
            for balance in await asyncio.wrap_future(writer.submit(Rank.UPKEEP, lambda: expire(engine, drain, _now()))):
                recall(balance)
        except Exception:  # noqa: BLE001 - the task's owner: it is tried again
            _log.exception("grants that have ended could not be taken back; it is tried again")


def expire(engine: Engine, drain: Callable[[Instant, int], int], now: Instant) -> list[str]:
    """Take back what has ended; the balances where more is to be taken, when it is free."""
    with read(engine) as connection:
        if not ended(connection, now):
            return []
    drain(now, _BATCHES)
    return money.expire(engine, now)


def _now() -> Instant:
    return time.time_ns() // 1000
