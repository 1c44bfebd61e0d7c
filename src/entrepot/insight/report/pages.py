"""A report as one HTML file that needs no other: its pictures are inside, and it prints on two pages."""

import base64
from html import escape
from importlib.resources import files

from entrepot.insight.drawing.chart import draw
from entrepot.insight.facts import Standing
from entrepot.insight.report.board import Block, Board, Figure, Note, Page, Picture, Table, Text, Tiles, Words
from entrepot.insight.report.language import language


def to_html(board: Board) -> bytes:
    """Everything that is shown is escaped here; nothing in it runs."""
    style = files("entrepot.insight.report").joinpath("board.css").read_text(encoding="utf-8")
    legend = _join(
        f'<span class="key">{_sign(standing, "")}{escape(text)}</span>' for standing, text in board.legend
    )  # fmt: skip
    names = dict(board.legend)
    pages = _join(_page(board, page, names) for page in board.pages)
    text = (
        f'<!DOCTYPE html>\n<html lang="{escape(board.language)}">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width">\n<title>{escape(board.title)}</title>\n'
        f"<style>\n{style}</style>\n</head>\n<body>\n<header>\n<h1>{escape(board.title)}</h1>\n"
        f'<p class="legend">{legend}</p>\n<p class="about">{escape(board.about)}</p>\n'
        f'<p class="lead">{_words(board.lead, names)}</p>\n</header>\n{pages}'
        f'<footer><p>{escape(board.made)}</p></footer>\n</body>\n</html>\n'
    )  # fmt: skip
    return text.encode()


def _page(board: Board, page: Page, names: dict[Standing, str]) -> str:
    blocks = _join(_block(each, names) for each in page.blocks)
    notes = _join(_note(each, names) for each in page.notes)
    first = page.notes[0].number if page.notes else 1
    inputs = _join(f"<dt>{letter}</dt><dd>{escape(text)}</dd>\n" for letter, text in page.inputs)
    title = escape(language(board.language).words["notes_title"])
    return (
        f"<section>\n<h2>{escape(page.heading)}</h2>\n{blocks}"
        f'<aside role="doc-endnotes"><h3>{title}</h3>\n<ol start="{first}">\n{notes}</ol>\n'
        f"<dl>\n{inputs}</dl></aside>\n</section>\n"
    )  # fmt: skip


def _block(block: Block, names: dict[Standing, str]) -> str:
    if isinstance(block, Tiles):
        tiles = _join(
            f"<div><dt>{escape(each.name)}</dt><dd>{_words((each.figure,), names)}</dd>"
            f"<dd>{_words(each.about, names)}</dd></div>\n"
            for each in block.tiles
        )  # fmt: skip
        return f'<dl class="tiles">\n{tiles}</dl>\n'
    if isinstance(block, Text):
        return f"<p>{_words(block.words, names)}</p>\n"
    if isinstance(block, Table):
        return _table(block, names)
    assert isinstance(block, Picture)
    return _picture(block)


def _table(block: Table, names: dict[Standing, str]) -> str:
    heads = _join(f'<th scope="col">{escape(each)}</th>' for each in block.heads)
    rows = _join(
        f'<tr><th scope="row">{_words(row[0], names)}</th>'
        + _join(f"<td>{_words(cell, names)}</td>" for cell in row[1:]) + "</tr>\n"
        for row in block.rows
    )  # fmt: skip
    title = f"<caption><b>{escape(block.title)}</b> {escape(block.whole)}</caption>"
    return f"<table>\n{title}\n<thead><tr>{heads}</tr></thead>\n<tbody>\n{rows}</tbody>\n</table>\n"


def _picture(block: Picture) -> str:
    """The figures of a chart stand in its description too, for who cannot see it."""
    drawn = base64.b64encode(draw(block.chart, "svg", headed=False)).decode()
    head = f"<b>{escape(block.chart.title)}{_cited(block.notes)}</b> {escape(block.chart.whole)}"
    return (
        f"<figure><figcaption>{head}</figcaption>\n"
        f'<img alt="{escape(block.alt)}" src="data:image/svg+xml;base64,{drawn}"></figure>\n'
    )  # fmt: skip


def _words(words: Words, names: dict[Standing, str]) -> str:
    return _join(escape(each) if isinstance(each, str) else _figure(each, names) for each in words)


def _figure(figure: Figure, names: dict[Standing, str]) -> str:
    sign = _sign(figure.standing, names[figure.standing]) if figure.standing != "books" else ""
    return f'<span class="figure">{sign}{escape(figure.text)}{_cited(figure.notes)}</span>'


def _sign(standing: Standing, said: str) -> str:
    spoken = f' role="img" aria-label="{escape(said)}" title="{escape(said)}"' if said else ""
    return f'<i class="{standing}"{spoken}></i>'


def _cited(notes: tuple[int, ...]) -> str:
    links = ",".join(f'<a role="doc-noteref" href="#n{number}">{number}</a>' for number in notes)
    return f"<sup>{links}</sup>" if links else ""


def _note(note: Note, names: dict[Standing, str]) -> str:
    sign = _sign(note.standing, names[note.standing]) if note.standing != "books" else ""
    return f'<li id="n{note.number}">{sign}{escape(note.text)}</li>\n'


def _join(parts: object) -> str:
    return "".join(parts)  # type: ignore[arg-type]
