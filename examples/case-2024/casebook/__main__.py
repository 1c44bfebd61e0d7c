"""`python -m casebook FOLDER`: load both books into an empty folder, print the figures beside the reported."""

import argparse
import sys
import time
from pathlib import Path

from casebook.story import LOADINGS
from casebook.together import load_books
from entrepot.kernel.errors import EntrepotError


def main() -> int:
    parser = argparse.ArgumentParser(prog="casebook", description="The business case of 2024, told from its books.")
    parser.add_argument("folder", type=Path, help="where the books are made; what is whole there already is kept")
    parser.add_argument("--coarse", action="store_true", help="a record a day instead of an hour: quicker, same money")
    given = parser.parse_args()
    began = time.monotonic()
    try:
        written = load_books(given.folder, LOADINGS, fine=not given.coarse)
    except EntrepotError as error:
        print(f"error: {error.message}", file=sys.stderr)
        return 1
    for each in written:
        print(f"{each.loading}: {each.records:,} records, {each.invoices} invoices, {', '.join(each.months)}")
    print(f"{time.monotonic() - began:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
