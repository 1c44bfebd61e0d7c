"""A month rated by a process of its own: it reads the lake, and DuckDB with it, and is gone afterwards."""

import asyncio
import json
import sys
import time

from entrepot.control.house import House
from entrepot.keeper.lake import due
from entrepot.kernel.errors import EntrepotError, Fault
from entrepot.metering.tables import manifest, positions
from entrepot.storage.database import read

#: A hundred million records take half a minute; beyond a quarter of an hour something is wrong.
LONGEST_S = 900.0
#: The keeper writes files every two seconds, sixteen at a time.
CLOSES_S = 15.0


class RatingFailed(EntrepotError):
    """The process that rates broke off."""

    code = "rating_failed"


class RatingRefused(EntrepotError):
    """What rating itself said no to; the code is its own."""

    fault = Fault.CALLER


async def closed(where: House) -> None:
    """Have every gateway begin a new segment of its journal, and wait until what was in the old ones is in the lake;
    for CLOSES_S at most, since a draft can be made without."""
    answers = await where.ask_gateways({"ask": "segment"})
    grows = {(each["slot"], each["epoch"]): each["segment"] for each in answers.values() if each and "segment" in each}
    until = time.monotonic() + CLOSES_S
    while grows and time.monotonic() < until:
        await where.freshen()
        if not await asyncio.to_thread(_behind, where, grows):
            return
        await asyncio.sleep(0.25)


def _behind(where: House, grows: dict[tuple[int, int], int]) -> bool:
    """Whether the lake lacks a segment that the rollup has passed, or the last one before those that grow now."""
    with read(where.engine) as connection:
        done = {(file.slot, file.epoch, file.segment) for file in manifest(connection)}
        passed = positions(connection)
    last = {(*stream, number - 1) for stream, number in grows.items() if number > 1}
    return bool(last - done) or bool(due(passed, done, where.folder.journal))


async def rated(where: House, month: str, customer: str = "") -> list[str]:
    """The JSON of each customer's month, as `rating.line.to_bytes` writes it: of all, or of one."""
    await where.freshen()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", "entrepot.keeper.bills.rating", str(where.folder.root), month,
        *([customer] if customer else []),
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        out, errors = await asyncio.wait_for(process.communicate(), LONGEST_S)
    except BaseException:
        process.kill()
        await process.wait()
        raise
    lines = out.decode("utf-8", "replace").splitlines()
    if process.returncode:
        said = _error(lines[-1] if lines else "")
        if said is not None:
            raise said
        last = errors.decode("utf-8", "replace").strip().splitlines()[-1:] or ["no reason was given"]
        raise RatingFailed(f"rating {month} broke off: {last[0]}")
    return lines


def _error(line: str) -> RatingRefused | None:
    try:
        said = json.loads(line)
        return RatingRefused(str(said["message"]), code=str(said["code"]))
    except (ValueError, KeyError, TypeError):
        return None
