"""`/admin/books`: what things cost, and from when."""

import asyncio
import hashlib
from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field

from entrepot.catalog.contents import Catalog, Contract
from entrepot.catalog.export import row_facts
from entrepot.catalog.prices import BookVersion, OnCost, When
from entrepot.catalog.standing import models_of
from entrepot.catalog.vendor_prices import propose, read_data
from entrepot.control import effect, rerating
from entrepot.control.house import House, house
from entrepot.control.problem import Mistaken, NotFound
from entrepot.control.rerating import Asked
from entrepot.keeper.state import standing
from entrepot.kernel.instants import Instant, parse, show
from entrepot.pricing.book import conditions_of
from entrepot.pricing.offered import offered, shown
from entrepot.rating.tables import DecisionTaken, rerated_under
from entrepot.storage.database import read

router = APIRouter(tags=["book"])


@router.get("/books", name="book.list")
def list_books(where: Annotated[House, Depends(house)]) -> dict[str, Any]:
    """Every book with its versions."""
    with read(where.engine) as connection:
        catalog = standing(connection)
    now = where.now()
    names = sorted({each.book for each in catalog.versions})
    return {"books": [_head(catalog, name, now) for name in names]}


@router.get("/books/{book}", name="book.show")
def show_book(book: str, where: Annotated[House, Depends(house)]) -> dict[str, Any]:
    """One book: the prices in force now, and every version as published. Prices on a vendor's are those of the vendor
    that the model's first route leads to."""
    with read(where.engine) as connection:
        catalog = standing(connection)
    versions = catalog.book(book)
    if not versions:
        raise NotFound(f"there is no book {book!r}; entrepot book list shows them")
    now = where.now()
    in_force = [
        {"model": model, "when": str(when), **price}
        for model in models_of(versions, catalog.models)
        for when in _conditions(catalog, versions, model)
        for price in shown(offered(catalog, Contract(book=book), model, now, when))
    ]
    published = [_published(each) for each in versions]
    return {**_head(catalog, book, now), "in_force": in_force, "published": published}


class Preview(BaseModel):
    """A catalog file, or a published version of a book."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)
    text: Annotated[str, Field(max_length=16 * 1024 * 1024)] = ""
    file: Annotated[str, Field(max_length=4096)] = "catalog.toml"
    book: Annotated[str, Field(max_length=64)] = ""
    version: Annotated[int, Field(ge=0)] = 0


class Rerate(BaseModel):
    """A published version, and the past usage that is to be priced as by it. Nobody named: everybody who pays by the
    book. With an `id` it is approved, once however often it is sent."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)
    book: Annotated[str, Field(min_length=1, max_length=64)]
    version: Annotated[int, Field(ge=1)]
    customers: Annotated[list[str], Field(max_length=1000)] = []
    from_: Annotated[str, Field(alias="from", max_length=40)]
    until: Annotated[str, Field(max_length=40)]
    by: Annotated[str, Field(max_length=200)] = ""
    reason: Annotated[str, Field(max_length=500)] = ""
    id: Annotated[str, Field(max_length=60)] = ""
    dry_run: bool = False


class Import(BaseModel):
    """The data of genai-prices (`data.json`, v2), and which vendor of ours is which provider there."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)
    text: Annotated[str, Field(max_length=16 * 1024 * 1024)]
    file: Annotated[str, Field(max_length=4096)] = "data.json"
    vendors: dict[str, str] = {}


@router.post("/books/preview", name="book.preview")
async def preview(body: Preview, where: Annotated[House, Depends(house)]) -> dict[str, Any]:
    """What a catalog file, or a published version of a book, would have done to last month's bills; a sample where
    nothing was used yet. Changes nothing."""
    if bool(body.text) == bool(body.book):
        raise Mistaken("give either a catalog file's text, or a book and its version")
    await where.freshen()
    return await asyncio.to_thread(_preview, where, body)


@router.post("/books/rerate", name="book.rerate")
async def rerate(body: Rerate, where: Annotated[House, Depends(house)]) -> dict[str, Any]:
    """Price past usage as by another version: what it comes to, and with an id and not as a dry run, approved. What is
    billed already is corrected in the next invoice."""
    asked = Asked(body.book, body.version, tuple(body.customers), _instant(body.from_), _instant(body.until))
    await where.freshen()
    found = await asyncio.to_thread(_rerated, where, asked)
    approves = bool(body.id) and not body.dry_run
    if approves and not (body.by and body.reason):
        raise Mistaken("whoever approves a re-rating says by whom and why: by and reason")
    before = await asyncio.to_thread(_approved, where, body) if approves else []
    decides = list(dict.fromkeys((*before, *(each["name"] for each in found)))) if approves else []
    known = []
    for customer in decides:
        change = {"customer": customer, "version": asked.change.version, "from": show(asked.starts_at),
                  "until": show(asked.ends_at), "by": body.by, "reason": body.reason}  # fmt: skip
        done = await where.keeper.execute("invoice.rerate", {**change, "id": f"{body.id}/{customer}"})
        known += [customer] if done["known"] else []
    return {
        "version": asked.change.version, "from": show(asked.starts_at), "until": show(asked.ends_at), "id": body.id,
        "effects": found, "approved": bool(decides), "known": known, "dry_run": body.dry_run,
    }  # fmt: skip


def _rerated(where: House, asked: Asked) -> list[dict[str, Any]]:
    with read(where.engine) as connection:
        return rerating.effect(connection, asked, where.now())


def _approved(where: House, body: Rerate) -> list[str]:
    """The customers that this id has decided for before; what it said then is compared once more."""
    with read(where.engine) as connection:
        found = rerated_under(connection, body.id)
    if body.customers and (others := [each for each in found if each not in body.customers]):
        raise DecisionTaken(f"re-rating {body.id} was approved for {', '.join(others)} before; use another id")
    return found


def _instant(text: str) -> Instant:
    try:
        return parse(text)
    except ValueError:
        raise Mistaken(f"{text!r} is not a date or instant like 2026-11-01 or 2026-11-01T10:00:00Z") from None


@router.post("/books/import", name="book.import")
async def import_(body: Import, where: Annotated[House, Depends(house)]) -> dict[str, Any]:
    """Cost books as the vendors' list prices have them, as a catalog text to review and apply. Changes nothing."""
    return await asyncio.to_thread(_import, where, body)


def _preview(where: House, body: Preview) -> dict[str, Any]:
    with read(where.engine) as connection:
        if body.text:
            return effect.of_file(connection, body.text, body.file, where.now())
        return effect.of_version(connection, body.book, body.version, where.now())


def _import(where: House, body: Import) -> dict[str, Any]:
    digest, now = hashlib.sha256(body.text.encode()).hexdigest(), where.now()
    with read(where.engine) as connection:
        catalog = standing(connection)
    source = f"genai-prices ({body.file}, sha256 {digest}, MIT licence)"
    found = propose(catalog, read_data(body.text), body.vendors, source, now)
    return {
        "text": found.text, "models": list(found.models), "same": list(found.same), "notes": list(found.notes),
        "file": body.file, "sha256": digest, "read_at": show(now),
    }  # fmt: skip


def _conditions(catalog: Catalog, versions: Sequence[BookVersion], model: str) -> list[When]:
    """Those that the book tells apart, and where a price is on the vendor's those of the vendor's book."""
    on_cost = any(isinstance(said, OnCost) for each in versions for _, said in each.of(model))
    vendors = catalog.vendors_of(model)[:1] if on_cost else ()
    return conditions_of([*versions, *(each for each in catalog.versions if each.buys_from in vendors)], model)


def _head(catalog: Catalog, book: str, now: Instant) -> dict[str, Any]:
    versions = catalog.book(book)
    last = versions[-1]
    return {
        "book": last.book,
        "buys_from": last.buys_from,
        "currency": last.currency,
        "versions": len(versions),
        "models": models_of(versions, catalog.models),
        "to_come": [show(each.valid_from) for each in versions if each.valid_from > now],
    }


def _published(version: BookVersion) -> dict[str, Any]:
    return {
        "version": version.number,
        "valid_from": show(version.valid_from),
        "published_at": show(version.published_at),
        "prices": [
            {"model": row.model, "per": row.per, "when": str(row.when), **_digits(row_facts(row))}
            for row in version.rows
        ],
    }


def _digits(value: Any) -> Any:
    """Decimals as texts, in lists and tables too."""
    if isinstance(value, dict):
        return {name: _digits(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_digits(each) for each in value]
    return f"{value:f}" if isinstance(value, Decimal) else value
