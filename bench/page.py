"""The figures of one run, as they stand in docs/reference/bench.md."""

import os
import platform
import time
from pathlib import Path

import msgspec

from bench.measure import Row

_PAGE = Path(__file__).parent.parent / "docs" / "reference" / "bench.md"
_BEGIN, _END = "<!-- figures: written by python -m bench --write -->\n", "<!-- end of figures -->\n"


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the summary: a figure, its target, whether it is met."""

    what: str
    figure: str
    target: str
    met: bool | None


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """What a run found."""

    rows: list[Row]
    lines: list[Line]
    facts: dict[str, object]
    busy: float  # load of the machine before the run


def write_page(page: Page) -> None:
    """Replace what stands between the two marks."""
    text = _PAGE.read_text()
    start, end = text.index(_BEGIN) + len(_BEGIN), text.index(_END)
    _PAGE.write_text(text[:start] + "\n".join(figures(page)) + "\n" + text[end:])


def figures(page: Page) -> list[str]:
    """Markdown lines."""
    machine = f"{os.cpu_count()} cores, Linux {platform.release().split('-')[0]}, Python {platform.python_version()}"
    found = [
        f"{time.strftime('%Y-%m-%d', time.gmtime())}, {machine}, {page.facts.get('nginx', 'without nginx')}; "
        f"load of the machine before the run {page.busy:.1f}.",
        "",
        "| what | figure | target | |",
        "|---|---:|---:|---|",
    ]
    for line in page.lines:
        verdict = "" if line.met is None else "met" if line.met else "missed"
        found.append(f"| {line.what} | {line.figure} | {line.target} | {verdict} |")
    found += [
        "",
        "| target | calls | open | calls/s | CPU µs a call | µs an event | p50 ms | p99 ms | failed |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for row in page.rows:
        event = f"{row.cpu_us_per_event:.2f}" if row.cpu_us_per_event else ""
        found.append(
            f"| {row.target} | {row.kind} | {row.open_calls} | {row.calls_per_s:,.0f} | {row.cpu_us_per_call:.1f} "
            f"| {event} | {row.p50_us / 1000:.2f} | {row.p99_us / 1000:.2f} | {row.failed} |"
        )
    return found
