"""`/admin/invoices`: drafts, issued documents, credit notes, write-offs, and the files of each."""

import asyncio
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, ConfigDict, Field

from entrepot.billing import tables
from entrepot.billing.invoice import Invoice
from entrepot.billing.states import STATES
from entrepot.catalog.issues import did_you_mean
from entrepot.control import papers
from entrepot.control.bills import document_facts, documents, to_be_drafted
from entrepot.control.house import House, house
from entrepot.control.problem import MONTH, Mistaken, NotFound
from entrepot.control.rating import closed, rated
from entrepot.customers.tables import read_stored
from entrepot.kernel.errors import EntrepotError
from entrepot.rating.line import from_bytes
from entrepot.storage.database import read

router = APIRouter(tags=["invoice"])
_Name = Annotated[str, Field(min_length=1, max_length=200)]
_Id = Annotated[str, Field(min_length=1, max_length=128)]


class Drafting(BaseModel):
    """Of one customer, or of everybody who used something or bought credit in the month."""

    model_config = ConfigDict(extra="forbid")
    month: Annotated[str, Field(pattern=MONTH)]
    customer: _Name | None = None
    rate: Annotated[str, Field(max_length=40)] | None = None
    rate_currency: Annotated[str, Field(max_length=3)] | None = None
    rate_source: Annotated[str, Field(max_length=100)] | None = None
    dry_run: bool = False


class OfDraft(BaseModel):
    """A draft by its name."""

    model_config = ConfigDict(extra="forbid")
    draft: _Name
    early: bool = False
    dry_run: bool = False


class CreditNote(BaseModel):
    """Lines with what is right, or all of them."""

    model_config = ConfigDict(extra="forbid")
    number: _Name
    lines: dict[str, dict[str, str]] = {}
    all: bool = False
    reason: Annotated[str, Field(min_length=1, max_length=400)]
    id: _Id
    dry_run: bool = False


class CarryOver(BaseModel):
    """Unrated usage by the name of its group, and who approved it."""

    model_config = ConfigDict(extra="forbid")
    customer: _Name
    month: Annotated[str, Field(pattern=MONTH)]
    group: Annotated[str, Field(min_length=1, max_length=400)]
    by: Annotated[str, Field(min_length=1, max_length=200)]
    reason: Annotated[str, Field(min_length=1, max_length=400)]
    dry_run: bool = False


class WriteOff(BaseModel):
    """What is open will not be paid any more."""

    model_config = ConfigDict(extra="forbid")
    number: _Name
    reason: Annotated[str, Field(min_length=1, max_length=400)]
    keep_tax: bool = False
    id: _Id
    dry_run: bool = False


class Dispute(BaseModel):
    """The customer does not accept it, or (`end`) does now."""

    model_config = ConfigDict(extra="forbid")
    number: _Name
    reason: Annotated[str, Field(max_length=400)] = ""
    end: bool = False
    dry_run: bool = False


@router.get("/invoices", name="invoice.list")
def list_invoices(
    where: Annotated[House, Depends(house)],
    customer: Annotated[str, Query()] = "",
    month: Annotated[str, Query()] = "",
    state: Annotated[str, Query()] = "",
) -> dict[str, Any]:
    """Drafts, then issued documents in the order of issue, each with its state."""
    if state not in ("", *STATES):
        hint = did_you_mean(state, STATES)
        raise Mistaken(f"{state!r} is no state of a document; there is {', '.join(STATES)}.{hint}")
    with read(where.engine) as connection:
        found = documents(connection, where.now(), customer=customer, month=month)
    return {"invoices": [each for each in found if state in ("", each["state"], *each["marks"])]}


@router.get("/invoices/{name:path}", name="invoice.show")
def show_invoice(name: str, where: Annotated[House, Depends(house)]) -> dict[str, Any]:
    """One document: its lines, sums, what was paid of it, and what it was made of."""
    with read(where.engine) as connection:
        return document_facts(connection, name, where.now())


@router.get("/invoice-files/{wanted}/{name:path}", name="invoice.export")
async def export_invoice(
    wanted: Literal["json", "csv", "pdf", "xrechnung"], name: str, where: Annotated[House, Depends(house)]
) -> dict[str, Any]:
    """The document as a file. The page of an issued one is kept as it was first handed out."""
    invoice, draft = await asyncio.to_thread(_document, where, name)
    return await papers.export(where, invoice, wanted, name=name, draft=draft)


@router.post("/invoice-drafts", name="invoice.draft")
async def draft(body: Drafting, where: Annotated[House, Depends(house)]) -> dict[str, Any]:
    """Rate the month and draft its invoices, and those of credit that was bought in it. A draft takes the place of an
    earlier one; what cannot be drafted is said with its reason."""
    found: list[dict[str, Any]] = []
    skipped: list[dict[str, str]] = []
    given = body.model_dump(exclude_none=True)
    customer = body.customer or ""
    await asyncio.to_thread(_sold_to, where, customer)
    await closed(where)
    for args in await to_be_drafted(where, await rated(where, body.month, customer), body.month, customer):
        command = "invoice.draft" if "rated" in args else "invoice.draft_top_up"
        try:
            found.append(await where.keeper.execute(command, {**given, **args}))
        except EntrepotError as error:
            if body.customer and "rated" in args:
                raise
            skipped.append({"customer": args["customer"], "code": error.code, "message": error.message})
    return {"drafts": found, "skipped": skipped, "dry_run": body.dry_run}


@router.post("/unrated-carried", name="invoice.carry-over")
async def carry_over(body: CarryOver, where: Annotated[House, Depends(house)]) -> dict[str, Any]:
    """Bill a month without one group of its unrated usage; it stays on the list until a price is published."""
    await asyncio.to_thread(_sold_to, where, body.customer)
    found = [from_bytes(each.encode()) for each in await rated(where, body.month, body.customer)]
    groups = [group.name for each in found for group in each.unrated]
    if body.group not in groups:
        known = f"there are {', '.join(map(repr, groups))}" if groups else "all of it has a price"
        raise NotFound(f"{body.customer} has no unrated usage {body.group!r} in {body.month}: {known}")
    return await where.keeper.execute("invoice.carry-over", body.model_dump())


@router.post("/invoice-issues", name="invoice.issue")
async def issue(body: OfDraft, where: Annotated[House, Depends(house)]) -> dict[str, Any]:
    """Number, date and postings, in one transaction; once however often it is repeated."""
    return await _of_customer(where, "invoice.issue", body.draft, body.model_dump())


@router.post("/invoice-discards", name="invoice.discard")
async def discard(body: OfDraft, where: Annotated[House, Depends(house)]) -> dict[str, Any]:
    """Only drafts are discarded."""
    return await _of_customer(where, "invoice.discard", body.draft, body.model_dump())


@router.post("/credit-notes", name="invoice.credit-note")
async def credit_note(body: CreditNote, where: Annotated[House, Depends(house)]) -> dict[str, Any]:
    """Old rounded less right rounded, line against line; once per id."""
    return await _of_customer(where, "invoice.credit_note", body.number, body.model_dump())


@router.post("/write-offs", name="invoice.write-off")
async def write_off(body: WriteOff, where: Annotated[House, Depends(house)]) -> dict[str, Any]:
    """What is open becomes bad debt; once per id."""
    return await _of_customer(where, "invoice.write_off", body.number, body.model_dump())


@router.post("/disputes", name="invoice.dispute")
async def dispute(body: Dispute, where: Annotated[House, Depends(house)]) -> dict[str, Any]:
    """A mark beside the state."""
    return await _of_customer(where, "invoice.dispute", body.number, body.model_dump())


async def _of_customer(where: House, command: str, name: str, args: dict[str, Any]) -> dict[str, Any]:
    """The keeper is told whose document it is, for what follows from it (events, the snapshot)."""
    customer = await asyncio.to_thread(_customer, where, name)
    return await where.keeper.execute(command, {**args, "customer": customer})


def _sold_to(where: House, customer: str) -> None:
    """Raises NotFound where a customer is named that there is none of."""
    if not customer:
        return
    with read(where.engine) as connection:
        known = read_stored(connection)
    if customer not in known:
        raise NotFound(f"there is no customer {customer!r}.{did_you_mean(customer, known)}")


def _customer(where: House, name: str) -> str:
    with read(where.engine) as connection:
        draft = tables.read_draft(connection, name)
        if draft is not None:
            return draft.customer
        issued = tables.read_issued(connection, number=name) or tables.read_issued(connection, id=name)
    if not issued:
        raise NotFound(f"there is no invoice and no draft {name!r}; entrepot invoice list shows them")
    return issued[0].customer


def _document(where: House, name: str) -> tuple[Invoice, bool]:
    with read(where.engine) as connection:
        draft = tables.read_draft(connection, name)
        if draft is not None:
            return draft.invoice, True
        return tables.document_of(connection, name), False
