"""Numbers of documents: a series as it is written in the catalog, `R-{year}-{n:05}`. Pure.

A series counts per year if it shows the year, else through all years. Which number is next is the database's to say, in
the transaction that issues (`tables.next_number`).
"""

import re

from entrepot.billing.invoice import InvoiceBroken

_HOLE = re.compile(r"\{(year|n(?::0?(?P<width>[1-9]))?)\}")
_AROUND = re.compile(r"[A-Za-z0-9/._-]*")
_LONGEST = 40


def check_series(series: str) -> str:
    """The series, or InvoiceBroken: it has {n} once, {year} at most once, and plain letters and digits around them."""
    found = [hole[1] for hole in _HOLE.finditer(series)]
    counts = sum(each.startswith("n") for each in found)
    if counts != 1 or len(found) - counts > 1 or not _AROUND.fullmatch(_HOLE.sub("", series)) or len(series) > _LONGEST:
        raise InvoiceBroken(
            f"{series!r} is no series of numbers: it holds {{n}} or {{n:05}} once, {{year}} at most once, and letters, "
            f"digits, - . _ / around them, at most {_LONGEST} characters"
        )
    return series


def year_of(series: str, year: int) -> int:
    """Under which year the series counts; 0: through all of them."""
    return year if "{year}" in series else 0


def written(series: str, year: int, n: int) -> str:
    """The n-th number of the series in this year."""

    def fill(hole: re.Match[str]) -> str:
        return str(year) if hole[1] == "year" else f"{n:0{hole['width'] or 1}d}"

    return _HOLE.sub(fill, check_series(series))
