"""The files that a document is handed out as. The page of an issued one is kept as it was first handed out."""

import asyncio
import base64
import sys
from typing import Any

from entrepot.billing import tables
from entrepot.billing.document.canonical import to_json
from entrepot.billing.document.en16931 import Report
from entrepot.billing.document.spreadsheet import to_csv
from entrepot.billing.document.ubl import to_ubl
from entrepot.billing.document.xrechnung import check_xrechnung
from entrepot.billing.invoice import Invoice
from entrepot.control.house import House
from entrepot.kernel.errors import EntrepotError
from entrepot.storage.database import read

MEDIA = {
    "json": "application/json", "csv": "text/csv", "pdf": "application/pdf", "xrechnung": "application/xml",
}  # fmt: skip
ENDINGS = {"json": "json", "csv": "csv", "pdf": "pdf", "xrechnung": "xml"}
#: Sixty lines take half a second; this is for a machine that has other things to do.
LONGEST_S = 60.0


class PageFailed(EntrepotError):
    """The process that lays out pages broke off."""

    code = "page_failed"


async def export(where: House, invoice: Invoice, wanted: str, *, name: str, draft: bool) -> dict[str, Any]:
    """The file as base64; of an e-invoice also which rules were looked at and which do not hold."""
    rules: dict[str, Any] = {}
    if wanted == "json":
        data = to_json(invoice)
    elif wanted == "csv":
        data = to_csv(invoice)
    elif wanted == "xrechnung":
        data = to_ubl(invoice, xrechnung=True)
        rules = {"rules": _rules(check_xrechnung(data))}
    else:
        data = await _page(where, invoice, draft=draft)
    return {
        "name": f"{name.replace('/', '-').replace(':', '-')}.{ENDINGS[wanted]}", "format": wanted,
        "media": MEDIA[wanted], "size": len(data), "base64": base64.b64encode(data).decode(), **rules,
    }  # fmt: skip


def _rules(report: Report) -> dict[str, Any]:
    return {
        "looked_at": len(report.fired), "fired": sum(report.fired.values()),
        "failed": [{"rule": each.rule, "where": each.where, "text": each.text} for each in report.findings],
    }  # fmt: skip


async def _page(where: House, invoice: Invoice, *, draft: bool) -> bytes:
    number = invoice.facts.number
    if not draft:
        with read(where.engine) as connection:
            kept = tables.file_of(connection, number, "pdf")
        if kept is not None:
            return kept
    made = await _laid_out(invoice, draft=draft)
    if not draft:
        args = {"number": number, "format": "pdf", "base64": base64.b64encode(made).decode()}
        await where.keeper.execute("invoice.keep_file", args)
    return made


async def _laid_out(invoice: Invoice, *, draft: bool) -> bytes:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", "entrepot.keeper.bills.paper", *(["draft"] if draft else []),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        out, errors = await asyncio.wait_for(process.communicate(to_json(invoice)), LONGEST_S)
    except BaseException:
        process.kill()
        await process.wait()
        raise
    if process.returncode:
        last = errors.decode("utf-8", "replace").strip().splitlines()[-1:] or ["no reason was given"]
        raise PageFailed(f"the page of {invoice.facts.number or 'this draft'} could not be laid out: {last[0]}")
    return out
