"""`/admin/books`: what things cost, and from when."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends

from entrepot.catalog.prices import BookVersion
from entrepot.catalog.standing import models_of
from entrepot.control.house import House, house
from entrepot.control.problem import NotFound
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
