"""The clients of a ServeGen trace as clients: calls a day, output tokens of a call, and sales at one price a call."""

import csv
import gzip
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import msgspec

from entrepot.insight.facts import Base, Facts, Sale
from entrepot.kernel.money import scale_of, to_scaled
from entrepot.prove.neighbour import TraceBroken

DAY_S = 86_400
WINDOW_S = 600  # of the rates


class TracedClient(msgspec.Struct, frozen=True, kw_only=True):
    """`calls` of each day; `output`: mean output tokens of a call, None of a day without a figure."""

    name: str
    calls: tuple[float, ...]
    output: tuple[float | None, ...]

    def whole(self) -> float:
        return sum(self.calls)


def read_clients(rates: Path, tokens: Path | None = None) -> list[TracedClient]:
    """The largest first. Raises TraceBroken."""
    calls: dict[str, dict[int, float]] = {}
    windows: dict[tuple[str, int], float] = {}
    last = 0
    for row in _rows(rates, {"client_id", "window_start_s", "rate_rps"}):
        at, count = int(row["window_start_s"]), float(row["rate_rps"]) * WINDOW_S
        days = calls.setdefault(row["client_id"], {})
        days[at // DAY_S] = days.get(at // DAY_S, 0.0) + count
        window = (row["client_id"], at // (DAY_S // 4))
        windows[window] = windows.get(window, 0.0) + count
        last = max(last, at // DAY_S)
    output: dict[tuple[str, int], list[tuple[float, float]]] = {}
    for row in _rows(tokens, {"client_id", "window_start_s", "field", "mean"}) if tokens else ():
        if row["field"] == "output_tokens":
            window = (row["client_id"], int(row["window_start_s"]) // (DAY_S // 4))
            weighed = (windows.get(window, 0.0), float(row["mean"]))
            output.setdefault((row["client_id"], window[1] // 4), []).append(weighed)
    found = [
        TracedClient(
            name=name, calls=tuple(days.get(day, 0.0) for day in range(last + 1)),
            output=tuple(_mean(output.get((name, day), [])) for day in range(last + 1)),
        )
        for name, days in calls.items()
    ]  # fmt: skip
    return sorted(found, key=lambda each: (-each.whole(), each.name))


def sales_of(clients: list[TracedClient], month: str, model: str) -> Facts:
    """A month of which the trace is a sample: its calls of a mean day on each of 30, at a cent a call."""
    year, number = int(month[:4]), int(month[5:])
    until = f"{year + number // 12:04}-{number % 12 + 1:02}-01"
    base = Base(
        kind="stated", currency="USD", scale=scale_of("USD"), starts_on=f"{month}-01", until=until,
        whole="the traced model",
    )  # fmt: skip
    sales = []
    for each in clients:
        calls = round(30 * each.whole() / len(each.calls))
        sales.append(
            Sale(
                month=month, customer=f"{model}-{each.name}", model=model, vendor=model, calls=calls,
                amount=to_scaled(Decimal(calls) / 100, "USD"), standing="assumed",
                source="a trace of calls, at a price of 0.01 a call",
            )
        )  # fmt: skip
    return Facts(base=base, sales=tuple(sales))


def _mean(weighed: list[tuple[float, float]]) -> float | None:
    weight = sum(each for each, _ in weighed)
    return sum(part * value for part, value in weighed) / weight if weight else None


def _rows(path: Path, needed: set[str]) -> Iterator[dict[str, str]]:
    with gzip.open(path, "rt", newline="") as file:
        rows = csv.DictReader(file)
        if not needed <= set(rows.fieldnames or ()):
            raise TraceBroken(f"{path}: the columns are {rows.fieldnames}; {', '.join(sorted(needed))} are needed")
        yield from rows
