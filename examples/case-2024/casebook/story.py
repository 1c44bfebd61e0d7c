"""The case month by month: usage, bills, payments, in their order of time."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from casebook.house import ISSUED_AFTER, OPENED_AT, BooksBroken, CaseHouse, Told, opened
from casebook.loading import Habits, Loading, load, loaded_entries
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
    made_of: str  # SHA-256 of the files


def tell(root: Path, name: str, told: Callable[[str], Told], *, files: Path = FILES, fine: bool = True) -> Written:
    """Load one of the two into an empty folder; what lies there whole already is left as it is. `files`: another
    version of the case. Raises BooksBroken where a folder was begun and not ended, or made of other files."""
    done, made_of = root / _DONE, _hash(files, name)
    if done.exists():
        written = msgspec.json.decode(done.read_bytes(), type=Written)
        if written.made_of != made_of:
            raise BooksBroken(f"{root} was made of other files than there are now: delete it, then again")
        return written
    if root.exists() and any(root.iterdir()):
        raise BooksBroken(f"{root} is not empty, and its books were not finished: delete it, then again")
    loading, habits = load(files, name)
    with opened(root) as house:
        house.open_for((files / "catalog.toml").read_text(encoding="utf-8"), loading, habits)
        house.enter("loaded.toml", loaded_entries(loading), OPENED_AT)
        house.enter("figures.toml", (files / "figures.toml").read_text(encoding="utf-8"), OPENED_AT)
        records, invoices = _months(house, loading, habits, told, fine=fine)
    written = Written(loading=name, months=loading.months, records=records, invoices=invoices, made_of=made_of)
    done.write_bytes(msgspec.json.format(msgspec.json.encode(written)) + b"\n")
    return written


def _hash(files: Path, name: str) -> str:
    found = hashlib.sha256()
    for each in ("catalog.toml", f"{name}.toml", "usage.toml", "figures.toml"):
        found.update((files / each).read_bytes())
    return found.hexdigest()


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
