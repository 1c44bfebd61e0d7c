"""The board's report in a process of its own: `python -m entrepot.keeper.insight.board DATA`, what is wanted on
standard input (`insight.report.wanted.Wanted` as JSON); on standard output the report as data and its files as base64,
or {"code", "message"} and exit 1. Reads only; the typesetter is loaded here."""

import base64
import sys
from collections.abc import Iterator
from datetime import date
from typing import Any

import msgspec
from sqlalchemy import Engine

from entrepot.catalog.tables import read_operator, read_vendors
from entrepot.insight.books import Asked
from entrepot.insight.dependence import OWN
from entrepot.insight.fiscal import month_period
from entrepot.insight.report.board import Board
from entrepot.insight.report.language import language
from entrepot.insight.report.making import board
from entrepot.insight.report.material import MOST_MONTHS, Material, Watched
from entrepot.insight.report.pages import to_html
from entrepot.insight.report.pdf import to_pdf, to_pictures
from entrepot.insight.report.wanted import Format, Wanted, cases
from entrepot.insight.tables import read_all_entered
from entrepot.keeper.beside import answered
from entrepot.keeper.insight.daily import daily
from entrepot.keeper.insight.gathering import gathered, known_of
from entrepot.keeper.insight.measuring import PictureMissing
from entrepot.storage.database import open_database, read
from entrepot.storage.folder import Folder

MEDIA = {"html": "text/html", "pdf": "application/pdf", "png": "image/png"}
_UNNAMED = "Entrepot"


def reported(folder: Folder, wanted: Wanted) -> dict[str, Any]:
    """Raises EntrepotError."""
    speech = language(wanted.language)
    month_period(wanted.month, wanted.year_starts)  # says which of the two is none, before the lake is read
    engine = open_database(folder.database)
    first, until = (f"{_later(wanted.month, count)}-01" for count in (1 - MOST_MONTHS, 1))
    asked = Asked(kind=wanted.kind, starts_on=first, until=until, view=wanted.view, currency=wanted.currency)
    facts = gathered(engine, folder, asked)
    with read(engine) as conn:
        entered, known, operator = read_all_entered(conn), known_of(conn), read_operator(conn)
        vendors = {id: str(each.facts.get("name", id)) for id, each in read_vendors(conn).items()}
    whose = {model: vendors[0] for model, vendors in known.vendors.items() if len(vendors) == 1}
    material = Material(
        service=str(operator.facts.get("name", _UNNAMED)) if operator else _UNNAMED, month=wanted.month, facts=facts,
        made_on=date.fromisoformat(wanted.made_on), entered=entered, year_starts=wanted.year_starts,
        vendors=vendors, watched=_watched(engine, wanted) if wanted.kind != "stated" else None,
        made_by={model: OWN if vendor in known.own else vendor for model, vendor in whose.items()},
        cases=cases(facts, wanted, speech, entered) if any(sale.month == wanted.month for sale in facts.sales) else (),
    )  # fmt: skip
    made = board(material, wanted.language)
    try:
        files = [each for format in wanted.formats for each in _files(made, wanted, format)]
    except ImportError:
        raise PictureMissing("a report needs the extra `documents`: pip install entrepot[documents]") from None
    return {"report": "board", "month": wanted.month, "board": msgspec.to_builtins(made, enc_hook=str), "files": files}


def _watched(engine: Engine, wanted: Wanted) -> Watched | None:
    """The month's days that are over, with two months before them."""
    starts_on, until = f"{_later(wanted.month, -2)}-01", min(f"{_later(wanted.month, 1)}-01", wanted.made_on)
    if until <= starts_on:
        return None
    return Watched(starts_on=starts_on, until=until, used=tuple(daily(engine, starts_on, until)))


def _files(made: Board, wanted: Wanted, format: Format) -> Iterator[dict[str, Any]]:
    name = f"board-{wanted.month}-{wanted.language}"
    if format == "png":
        for number, page in enumerate(to_pictures(made), 1):
            yield _file(f"{name}-{number}.png", format, page)
    else:
        yield _file(f"{name}.{format}", format, to_html(made) if format == "html" else to_pdf(made))


def _file(name: str, format: Format, data: bytes) -> dict[str, Any]:
    return {"name": name, "media": MEDIA[format], "size": len(data), "base64": base64.b64encode(data).decode()}


def _later(month: str, count: int) -> str:
    number = 12 * int(month[:4]) + int(month[5:]) - 1 + count
    return f"{number // 12:04d}-{number % 12 + 1:02d}"


if __name__ == "__main__":
    sys.exit(answered(sys.argv[1], Wanted, reported))
