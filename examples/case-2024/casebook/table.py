"""All figures of the case: as they are printed, and the same as data."""

from collections.abc import Sequence
from textwrap import wrap
from typing import Any

from casebook.book import Book
from casebook.money import money
from casebook.outlook import growth, within
from casebook.risk import leaving, risk
from casebook.supply import supply
from casebook.words import LEGEND, Row, Section
from entrepot.cli.table import Column, lay_out

_NOTES_WIDTH = 116


def sections(books: tuple[Book, ...]) -> list[Section]:
    """In the order of the case."""
    return [money(books), risk(books), growth(books), within(books), leaving(books), supply(books)]


def printed(found: Sequence[Section], books: tuple[Book, ...]) -> str:
    """A table per section, all with the same columns, and its notes below."""
    cells = [_cells(each) for section in found for each in section.rows]
    heads = ["", *(book.title for book in books), "reported", "rests on"]
    widths = [max(len(cell) for cell in column) for column in zip(heads, *cells, strict=True)]
    columns = [Column(head.ljust(width)) for head, width in zip(heads, widths, strict=True)]
    blocks = ["\n".join(LEGEND)]
    for section in found:
        body = lay_out(columns, [_cells(each) for each in section.rows])
        notes = [line for note in section.notes for line in _wrapped(note)]
        blocks.append("\n".join([section.title, body, *notes]))
    return "\n\n".join(blocks)


def as_data(found: Sequence[Section], books: tuple[Book, ...]) -> list[dict[str, Any]]:
    """Values by loading."""
    return [
        {
            "title": section.title, "notes": list(section.notes),
            "figures": [
                {
                    "what": each.what.strip(), "reported": each.reported, "rests_on": each.rests,
                    "values": {book.name: value for book, value in zip(books, each.values, strict=True)},
                }
                for each in section.rows
            ],
        }
        for section in found
    ]  # fmt: skip


def _wrapped(note: str) -> list[str]:
    return wrap(note, _NOTES_WIDTH, initial_indent="  ", subsequent_indent="    ")


def _cells(row: Row) -> list[str]:
    return [f"  {row.what}", *row.values, row.reported, row.rests]
