"""A catalog file whose documents would get numbers that others bear already is refused, with its line."""

from sqlalchemy import Connection

from entrepot.billing.tables import given_before
from entrepot.catalog import parties
from entrepot.catalog.fields import Report
from entrepot.catalog.file import CatalogFile
from entrepot.catalog.issues import CatalogBroken
from entrepot.kernel.instants import Instant, to_datetime


def check_numbers(connection: Connection, file: CatalogFile, now: Instant) -> None:
    """Raises CatalogBroken."""
    if file.catalog.operator is None:
        return
    report, year = Report(file.places), to_datetime(now).year
    for name, series in parties.numbering(file.catalog.operator).items():
        if number := given_before(connection, series, year):
            report.add(
                ("operator", "invoice", name),
                f"{number} was given by another series, and {series} would give it again: write letters of its own "
                f"before the number, or the series of before.",
            )
    if report.issues:
        raise CatalogBroken(file.name, report.issues)
