"""Work that reads the lake, or takes seconds, done by a process of its own that is gone afterwards."""

import asyncio
import sys
from typing import Any

import msgspec

from entrepot.control.house import House
from entrepot.insight.books import Asked
from entrepot.insight.facts import Facts
from entrepot.kernel.errors import EntrepotError, Fault

#: A hundred million records take a minute; beyond a quarter of an hour something is wrong.
LONGEST_S = 900.0


class WorkFailed(EntrepotError):
    """The process broke off."""

    code = "work_failed"


class WorkRefused(EntrepotError):
    """What the process itself said no to; the code is its own."""

    fault = Fault.CALLER


class _Said(msgspec.Struct):
    code: str
    message: str


async def done_by(where: House, module: str, question: object, *, longest_s: float = LONGEST_S) -> bytes:
    """What `python -m entrepot.keeper.insight.MODULE DATA` answers to a question, JSON both.

    Raises WorkRefused, WorkFailed.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", f"entrepot.keeper.insight.{module}", str(where.folder.root),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        out, errors = await asyncio.wait_for(process.communicate(msgspec.json.encode(question)), longest_s)
    except BaseException:
        process.kill()
        await process.wait()
        raise
    if process.returncode:
        try:
            said = msgspec.json.decode(out, type=_Said)
        except msgspec.MsgspecError:
            last = errors.decode("utf-8", "replace").strip().splitlines()[-1:] or ["no reason was given"]
            raise WorkFailed(f"{module} broke off: {last[0]}") from None
        raise WorkRefused(said.message, code=said.code)
    return out


async def gathered(where: House, asked: Asked) -> Facts:
    """The facts of a period, up to this moment."""
    await where.freshen()
    return msgspec.json.decode(await done_by(where, "gathering", asked), type=Facts)


async def measured(where: House, question: Any) -> dict[str, Any]:
    """The figures of a measure, up to this moment."""
    await where.freshen()
    found: dict[str, Any] = msgspec.json.decode(await done_by(where, "measuring", question))
    return found
