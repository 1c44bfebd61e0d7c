"""Numbers of documents: a series as it is written in the catalog, `R-{year}-{n:05}`. Pure.

A series counts per year if it shows the year, else through all years. Which number is next is the database's to say, in
the transaction that issues (`tables.next_number`).
"""

from entrepot.billing.invoice import InvoiceBroken
from entrepot.catalog import series as written_series


def check_series(series: str) -> str:
    """The series, or InvoiceBroken: it has {n} once, {year} at most once, and plain letters and digits around them."""
    if not written_series.is_series(series):
        raise InvoiceBroken(
            f"{series!r} is no series of numbers: it holds {{n}} or {{n:05}} once, {{year}} at most once, and letters, "
            f"digits, - . _ / around them, at most {written_series.LONGEST} characters"
        )
    return series


def year_of(series: str, year: int) -> int:
    """Under which year the series counts; 0: through all of them."""
    return year if "{year}" in series else 0


def written(series: str, year: int, n: int) -> str:
    """The n-th number of the series in this year."""
    return written_series.written(check_series(series), year, n)
