"""The board's report of each loading, as a user of the house makes it: `entrepot report run board`."""

import subprocess
import sys
from pathlib import Path

from casebook.book import Book
from casebook.house import BooksBroken
from casebook.risk import SCENARIOS
from casebook.story import FILES

#: What fits on the report's page.
_SHOWN = 4


def report(root: Path, book: Book) -> list[Path]:
    """HTML and PDF of the month whose whole a report gives, with the case's scenarios, beside the books. Raises
    BooksBroken with what the command says."""
    files = [FILES / "scenarios" / f"{name}.toml" for name in SCENARIOS[:_SHOWN]]
    scenarios = [word for file in files for word in ("--scenario", str(file))]
    done = subprocess.run(
        [sys.executable, "-m", "entrepot", "--data", str(root), "report", "run", "board", "--month", book.month,
         "--year-starts", book.year_starts, "--output", str(root), *scenarios],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise BooksBroken(f"the report of {root}: {done.stderr.strip() or done.stdout.strip()}")
    return sorted(root.glob(f"board-{book.month}*"))
