"""`/admin/books`: what things cost, and from when."""

import asyncio
import hashlib
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field

from entrepot.catalog.prices import BookVersion
from entrepot.catalog.standing import models_of
from entrepot.catalog.vendor_prices import propose, read_data
from entrepot.control import effect
from entrepot.control.house import House, house
from entrepot.control.problem import Mistaken, NotFound
from entrepot.keeper.state import standing
from entrepot.kernel.instants import Instant, show
from entrepot.pricing.book import conditions_of, prices_at
from entrepot.pricing.tables import read_versions
from entrepot.storage.database import read

router = APIRouter(tags=["book"])


@router.get("/books", name="book.list")
def list_books(where: Annotated[House, Depends(house)]) -> dict[str, Any]:
    """Every book with its versions."""
    with read(where.engine) as connection:
        versions = read_versions(connection)
    now = where.now()
    names = sorted({each.book for each in versions})
    return {"books": [_head([each for each in versions if each.book == name], now) for name in names]}


@router.get("/books/{book}", name="book.show")
def show_book(book: str, where: Annotated[House, Depends(house)]) -> dict[str, Any]:
    """One book: the prices in force now, and every version as published."""
    with read(where.engine) as connection:
        versions = [each for each in read_versions(connection) if each.book == book]
    if not versions:
        raise NotFound(f"there is no book {book!r}; entrepot book list shows them")
    now = where.now()
    in_force = [
        {
            "model": model, "bucket": bucket, "when": str(when), "price": f"{p.price:f}",
            "per": p.per, "version": p.version,
        }
        for model in models_of(versions)
        for when in conditions_of(versions, model)
        for bucket, p in prices_at(versions, model, now, when).items()
    ]  # fmt: skip
    return {**_head(versions, now), "in_force": in_force, "published": [_published(each) for each in versions]}


class Preview(BaseModel):
    """A catalog file, or a published version of a book."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)
    text: Annotated[str, Field(max_length=16 * 1024 * 1024)] = ""
    file: Annotated[str, Field(max_length=4096)] = "catalog.toml"
    book: Annotated[str, Field(max_length=64)] = ""
    version: Annotated[int, Field(ge=0)] = 0


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


def _head(versions: list[BookVersion], now: Instant) -> dict[str, Any]:
    last = versions[-1]
    return {
        "book": last.book,
        "buys_from": last.buys_from,
        "currency": last.currency,
        "versions": len(versions),
        "models": models_of(versions),
        "to_come": [show(each.valid_from) for each in versions if each.valid_from > now],
    }


def _published(version: BookVersion) -> dict[str, Any]:
    return {
        "version": version.number,
        "valid_from": show(version.valid_from),
        "published_at": show(version.published_at),
        "prices": [
            {
                "model": row.model,
                "per": row.per,
                "when": str(row.when),
                **{bucket: f"{price:f}" for bucket, price in row.prices.items()},
                **({} if row.percent is None else {"percent_of_matching_standard": f"{row.percent:f}"}),
            }
            for row in version.rows
        ],
    }
