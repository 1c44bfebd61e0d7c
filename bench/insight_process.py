"""One process of `bench.insight`: facts of a question, and every measure of them."""

import sys
import time
from collections.abc import Callable
from datetime import date
from fractions import Fraction
from typing import Any

import msgspec

from entrepot.insight.books import Asked
from entrepot.insight.change import change
from entrepot.insight.concentration import concentration
from entrepot.insight.dependence import dependence
from entrepot.insight.facts import DIMENSIONS, Facts
from entrepot.insight.growth import retention, run_rate, series
from entrepot.insight.loss import Exposure, distribution, loss
from entrepot.insight.margin import margins
from entrepot.keeper.beside import answered
from entrepot.keeper.insight.gathering import gathered
from entrepot.storage.database import open_database
from entrepot.storage.folder import Folder


def measures(facts: Facts) -> list[Callable[[], Any]]:
    """All of them, in every cut; of a year the last month against the one before."""
    found: list[Callable[[], Any]] = [
        *(lambda by=by: concentration(facts, by) for by in DIMENSIONS),
        *(lambda by=by: margins(facts, by) for by in DIMENSIONS),
        lambda: dependence(facts, {}, (), date(2026, 12, 1)), lambda: series(facts), lambda: run_rate(facts, "month"),
        lambda: _lost(facts),
    ]  # fmt: skip
    months = facts.months()
    if len(months) > 1:
        before, after = (_month(facts, each) for each in months[-2:])
        found += [lambda by=by: change(before, after, by) for by in DIMENSIONS]  # type: ignore[misc]
        found += [lambda by=by: retention(before, after, by) for by in ("customer", "group")]  # type: ignore[misc]
    return found


def _month(facts: Facts, month: str) -> Facts:
    year, number = int(month[:4]), int(month[5:])
    until = f"{year + number // 12}-{number % 12 + 1:02d}-01"
    base = msgspec.structs.replace(facts.base, starts_on=f"{month}-01", until=until)
    return msgspec.structs.replace(facts.where(lambda sale: sale.month == month), base=base)


def _lost(facts: Facts) -> Any:
    exposures = [
        Exposure(name=name, amount=max(0, amount), probability=Fraction(5, 100), source="the bench")
        for name, amount in facts.by("group").items()
    ]
    return loss(exposures), distribution(exposures)


def _measured(folder: Folder, asked: Asked) -> dict[str, object]:
    started = time.perf_counter()
    facts = gathered(open_database(folder.database), folder, asked)
    gathered_at = time.perf_counter()
    whole = facts.total()
    for by in DIMENSIONS:
        assert sum(facts.by(by).values()) == whole, by
    asking = measures(facts)
    began = time.perf_counter()
    for each in asking:
        each()
    return {
        "sales": len(facts.sales), "whole": str(whole), "measures": len(asking), "gather_s": gathered_at - started,
        "measure_s": time.perf_counter() - began,
    }  # fmt: skip


if __name__ == "__main__":
    sys.exit(answered(sys.argv[1], Asked, _measured))
