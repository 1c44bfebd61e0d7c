"""A report as PDF/A, or as pictures of its pages, laid out by the typesetter that lays out invoices."""

import json
from datetime import UTC, datetime, time
from importlib.resources import files
from typing import Any, Final, Literal

from entrepot.insight.drawing.chart import template
from entrepot.insight.report.board import Block, Board, Figure, Note, Picture, Table, Text, Tiles, Words
from entrepot.insight.report.language import language

_STANDARD: Final = "a-2b"
#: Enough to read the small print on a screen.
_PPI: Final = 160.0


def to_pdf(board: Board) -> bytes:
    """The same board, the same bytes."""
    made = _set(board, "pdf", pdf_standards=_STANDARD)
    assert isinstance(made, bytes)
    return made


def to_pictures(board: Board) -> list[bytes]:
    """A PNG of each page, as it is printed."""
    made = _set(board, "png", ppi=_PPI)
    return made if isinstance(made, list) else [made]


def _set(board: Board, format: Literal["pdf", "png"], **settings: Any) -> bytes | list[bytes]:
    import typst  # 80 MB of typesetting, loaded when a page is made and not before

    code = template() + files("entrepot.insight.report").joinpath("board.typ").read_bytes()
    made_at = datetime.combine(board.made_on, time(12), UTC)
    made: bytes | list[bytes] = typst.compile(
        code, sys_inputs={"data": json.dumps(page_data(board))}, ignore_system_fonts=True, format=format,
        timestamp=int(made_at.timestamp()), **settings,
    )  # fmt: skip
    return made


def page_data(board: Board) -> dict[str, Any]:
    """What the template shows, as text and places."""
    words = language(board.language).words
    return {
        "language": board.language, "title": board.title, "about": board.about, "made": board.made,
        "lead": _words(board.lead), "legend": [list(pair) for pair in board.legend], "page": words["page"],
        "notes_title": words["notes_title"],
        "pages": [
            {
                "heading": page.heading, "blocks": [_block(each) for each in page.blocks],
                "notes": _halves(page.notes), "inputs": [list(pair) for pair in page.inputs],
            }
            for page in board.pages
        ],
    }  # fmt: skip


def _block(block: Block) -> dict[str, Any]:
    if isinstance(block, Tiles):
        tiles = [
            {"name": each.name, "figure": _word(each.figure), "about": _words(each.about)} for each in block.tiles
        ]  # fmt: skip
        return {"kind": "tiles", "tiles": tiles}
    if isinstance(block, Text):
        return {"kind": "text", "words": _words(block.words)}
    if isinstance(block, Table):
        rows = [[_words(cell) for cell in row] for row in block.rows]
        return {"kind": "table", "title": block.title, "whole": block.whole, "heads": list(block.heads), "rows": rows}
    assert isinstance(block, Picture)
    return {"kind": "picture", "chart": block.chart.placed(), "notes": list(block.notes)}


def _words(words: Words) -> list[Any]:
    return [_word(each) for each in words]


def _word(word: str | Figure) -> Any:
    if isinstance(word, str):
        return word
    return {"text": word.text, "standing": word.standing, "notes": list(word.notes)}


def _halves(notes: tuple[Note, ...]) -> list[list[dict[str, Any]]]:
    """Two columns of about the same length."""
    told = [{"number": each.number, "standing": each.standing, "text": each.text} for each in notes]
    lengths = [len(each.text) + 40 for each in notes]
    cut = min(range(len(told) + 1), key=lambda at: max(sum(lengths[:at]), sum(lengths[at:])))
    return [told[:cut], told[cut:]]
