"""The table of what a drop-in endpoint must do on the wire: number of the checklist, request, what must hold.

Each row carries the check that runs against a started server, and its result as we claim it: met, or why not. The test
asserts that exactly the rows that claim to be met are. `docs/reference/compatibility.md` is printed from this table.
"""

import importlib
from collections.abc import Callable
from typing import Any, NamedTuple

from tape_house import TapeHouse

Check = Callable[[TapeHouse], None]


class Row(NamedTuple):
    """`unmet`: why it does not hold; "" claims that it does."""

    number: int
    request: str
    holds: str
    check: Check
    unmet: str

    @property
    def name(self) -> str:
        return f"{self.number} {self.check.__name__}"


ROWS: list[Row] = []
#: Answers that the rows have the vendor play back (`prove/tape.py`).
TAPE: list[dict[str, Any]] = []
#: The modules of the rows.
MODULES = ("paths", "headers", "refusals", "streams", "azure_streams", "usage", "requests", "serving")


def row(number: int, request: str, holds: str, *, unmet: str = "") -> Callable[[Check], Check]:
    """Declares the decorated check as a row."""

    def declare(check: Check) -> Check:
        ROWS.append(Row(number, request, holds, check, unmet))
        return check

    return declare


def played(
    name: str, *pieces: str, status: int = 200, headers: dict[str, str] | None = None, stream: bool = False,
    wait_ms: float = 0.0, ends: bool = True,
) -> str:  # fmt: skip
    """Puts an answer on the tape; the `user` that asks for it. `wait_ms` stands before every piece but the first."""
    kind = "text/event-stream" if stream else "application/json"
    given = {"Content-Type": kind, **(headers or {})}
    TAPE.append({
        "name": name, "status": status, "headers": list(given.items()), "stream": stream, "ends": ends,
        "pieces": [(wait_ms if number else 0.0, piece) for number, piece in enumerate(pieces)],
    })  # fmt: skip
    return f"tape {name}"


def rows() -> list[Row]:
    """Every row, by number; of one number in the order of their modules."""
    for module in MODULES:
        importlib.import_module(f"compatibility.{module}")
    return sorted(ROWS, key=lambda each: each.number)


#: Numbers of the checklist that no row has, and why.
ELSEWHERE = {
    "2": "files and batches are not served",
    "6, 11, 17, 33, 59-64": "Anthropic's dialect is not served",
    "7": "realtime is not served",
    "15, 18, 19, 20, 30, 35": "limits and budgets: docs/reference/errors.md",
    "16, 21": "optional headers of the vendors; x-ms-region and x-ms-deployment-name are sent",
    "49-52": "the Responses API is not served: it keeps what was said, and nothing is kept here",
    "58": "audio and images as operations of their own are not served",
    "65-67": "batches are not served",
    "79, 80": "usage endpoints of OpenAI's organisation API and a mode per customer are not served",
}


def page() -> str:
    """`docs/reference/compatibility.md`."""
    table = rows()
    met = [each for each in table if not each.unmet]
    lines = [
        "# Compatibility",
        "",
        "Printed by `make reference` from the table in `tests/compatibility`. A system test runs that table against a",
        "started server: a row that says *met* was met there, and one that says why not was not.",
        "The numbers are those of our checklist of what OpenAI's and Azure's SDKs and documents ask of an endpoint.",
        "",
        f"{len(met)} of {len(table)} rows are met.",
        "",
        "| no | request | must hold | result |",
        "|---|---|---|---|",
        *(f"| {each.number} | {each.request} | {each.holds} | {each.unmet or 'met'} |" for each in table),
        "",
        "Numbers without a row:",
        "",
        *(f"- {numbers}: {why}." for numbers, why in ELSEWHERE.items()),
        "",
    ]
    return "\n".join(lines)
