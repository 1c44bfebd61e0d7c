"""`python -m casebook FOLDER`: load both books into an empty folder, print the figures beside the reported."""

import argparse
import json
import sys
import time
from pathlib import Path

from casebook.book import read_book
from casebook.report import report
from casebook.story import FILES, LOADINGS, Written
from casebook.table import as_data, printed, sections
from casebook.together import load_books
from entrepot.kernel.errors import EntrepotError

_BIN = ".venv/bin/entrepot"


def main() -> int:
    parser = argparse.ArgumentParser(prog="casebook", description="The business case of 2024, told from its books.")
    parser.add_argument("folder", type=Path, help="where the books are made; what is whole there already is read again")
    parser.add_argument("--files", type=Path, default=FILES, help="another version of the case: its TOML files")
    parser.add_argument("--coarse", action="store_true", help="a record a day instead of an hour: quicker, same money")
    parser.add_argument("--json", action="store_true", help="the figures as data")
    given = parser.parse_args()
    began = time.monotonic()
    try:
        written = load_books(given.folder, LOADINGS, files=given.files, fine=not given.coarse)
        loaded_s = time.monotonic() - began
        books = tuple(read_book(given.folder / name, name, given.files) for name in LOADINGS)
        found = sections(books)
        reports = [path for book in books for path in report(given.folder / book.name, book)]
    except EntrepotError as error:
        print(f"error: {error.message}", file=sys.stderr)
        return 1
    text, data = printed(found, books), json.dumps(as_data(found, books), indent=2, ensure_ascii=False)
    (given.folder / "figures.txt").write_text(text + "\n", encoding="utf-8")
    (given.folder / "figures.json").write_text(data + "\n", encoding="utf-8")
    if given.json:
        print(data)
        return 0
    print(f"{text}\n\n{_done(written, loaded_s, time.monotonic() - began)}\n\n{_next(given.folder, reports)}")
    return 0


def _done(written: list[Written], loaded_s: float, all_s: float) -> str:
    records, invoices = (sum(getattr(each, name) for each in written) for name in ("records", "invoices"))
    return (
        f"{records:,} records of usage, {invoices:,} invoices in two books, {written[0].months[0]} to "
        f"{written[0].months[-1]}, in {loaded_s:.0f} s; these figures in {all_s - loaded_s:.0f} s"
    )


def _next(folder: Path, reports: list[Path]) -> str:
    """What to look at, with commands that work from here."""
    book = f"{_BIN} --data {folder / LOADINGS[1]}"
    rows = [
        (f"{book} verify", "journal = lake = rollup = ledger = invoices, to the last digit"),
        (f"{book} invoice list --customer tiktok", "the bills; then invoice show NUMBER, explain NUMBER/LINE"),
        (f"{book} insight concentration --by group --from 2024-06", "the month; --picture FILE.svg draws it"),
        (f"{book} scenario run examples/case-2024/scenarios/tiktok-leaves.toml --from 2024-06", "month by month"),
        *((str(path), "the board's two pages") for path in reports if path.suffix == ".pdf"),
        (f"{folder / 'figures.json'}", "this table as data"),
    ]
    width = max(len(command) for command, _ in rows)
    return "\n".join(["Look at", *(f"  {command:<{width}}   {why}" for command, why in rows)])


if __name__ == "__main__":
    sys.exit(main())
