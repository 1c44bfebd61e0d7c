"""A house in processes of its own with a fake vendor upstream, from its first answer to its end."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from entrepot.prove.house import House
from entrepot.prove.processes import start_vendor


@contextmanager
def served(folder: Path) -> Iterator[House]:
    """The vendor's ledger is kept in `folder`."""
    vendor = start_vendor(folder / "ledger")
    house = House(vendor.port)
    try:
        house.start()
        house.first_answer()
        yield house
    finally:
        house.end()
        vendor.end()
