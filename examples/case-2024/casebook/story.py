"""The case month by month: usage, bills, payments, in their order of time."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from casebook.house import ISSUED_AFTER, CaseHouse, Told, opened
from casebook.loading import Habits, Loading, load
from entrepot.rating.period import month as month_of

FILES = Path(__file__).resolve().parent.parent
LOADINGS = ("by-share", "by-rate")
_DONE = "case.json"


class Written(msgspec.Struct, frozen=True, kw_only=True):
    """What was done, beside the books: its presence says that they are whole."""

    loading: str
    months: tuple[str, ...]
    records: int
    invoices: int


def tell(root: Path, name: str, told: Callable[[str], Told], *, fine: bool = True) -> Written:
    """Load one of the two into an empty folder. What lies there whole already is left as it is."""
    done = root / _DONE
    if done.exists():
        return msgspec.json.decode(done.read_bytes(), type=Written)
    loading, habits = load(FILES, name)
    with opened(root) as house:
        house.open_for((FILES / "catalog.toml").read_text(encoding="utf-8"), loading, habits)
        records, invoices = _months(house, loading, habits, told, fine=fine)
    written = Written(loading=name, months=loading.months, records=records, invoices=invoices)
    done.write_bytes(msgspec.json.format(msgspec.json.encode(written)) + b"\n")
    return written


def _months(
    house: CaseHouse, loading: Loading, habits: Habits, told: Callable[[str], Told], *, fine: bool
) -> tuple[int, int]:  # fmt: skip
    records, count = 0, 0
    open_bills: list[dict[str, Any]] = []
    for month in loading.months:
        ends_at = month_of(month).ends_at
        calls = list(house.calls((each for each in loading.amounts if each.month == month), loading, habits, fine=fine))
        house.serve(calls, ends_at, told(month))
        house.pay(open_bills, ends_at + ISSUED_AFTER)  # those of the month before are due
        open_bills = house.bill(month, ends_at + ISSUED_AFTER, told(month))
        records, count = records + len(calls), count + len(open_bills)
    return records, count
