"""`/admin/verify`: journal = lake = rollup = ledger = invoices, chains whole."""

import asyncio
import sys
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends

from entrepot.control.house import House, house
from entrepot.keeper.report import Report
from entrepot.kernel.errors import EntrepotError

router = APIRouter(tags=["verify"])
LONGEST_S = 3600.0  # seconds per million records; beyond an hour something else is wrong


class VerifyFailed(EntrepotError):
    """The comparison itself could not be carried out."""

    code = "verify_failed"


@router.get("/verify", name="verify.read")
async def verify(where: Annotated[House, Depends(house)]) -> dict[str, Any]:
    """Everything against everything, in a process of its own: it reads whole journals, and DuckDB with them."""
    await where.freshen()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", "entrepot.keeper.verify", str(where.folder.root),
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        out, errors = await asyncio.wait_for(process.communicate(), LONGEST_S)
    except BaseException:
        process.kill()
        await process.wait()
        raise
    try:
        report = msgspec.json.decode(out, type=Report)
    except msgspec.DecodeError:
        last = errors.decode("utf-8", "replace").strip().splitlines()[-1:] or ["no reason was given"]
        raise VerifyFailed(f"the comparison broke off: {last[0]}") from None
    facts: dict[str, Any] = msgspec.to_builtins(report)
    return {**facts, "agree": report.agree, "text": report.to_text()}
