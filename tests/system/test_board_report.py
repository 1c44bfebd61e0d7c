"""The board's report of a server that runs: `entrepot report run board`, from calls to files."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pypdf import PdfReader

from entrepot.prove.client import chat_body
from entrepot.prove.house import House
from served_house import served

#: Enough to be cents.
CALLS, MOST = 8, 8_000


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with served(tmp_path_factory.mktemp("vendor")) as found:
        yield found


def call(house: House) -> None:
    status, body = house.post(chat_body(house.model, max_tokens=MOST, completion=MOST, events=1))
    assert status == 200, body


def used(house: House, month: str, calls: int) -> Decimal:
    """What the month's calls are charged, when so many of them are in the books."""
    until = time.monotonic() + 10
    while True:
        rows = house.ask("usage", "--from", f"{month}-01")["rows"]
        if sum(row["requests"] for row in rows) >= calls:
            return sum((Decimal(row["charge"]) for row in rows), Decimal(0))
        assert time.monotonic() < until, rows
        time.sleep(0.1)


def tiles(board: dict[str, Any]) -> dict[str, str]:
    found = next(block["tiles"] for block in board["pages"][0]["blocks"] if block.get("tiles"))
    return {tile["name"]: tile["figure"]["text"] for tile in found}


@pytest.mark.long
def test_a_board_reads_what_calls_earned_a_moment_ago_and_calls_go_on(house: House, tmp_path: Path) -> None:
    month = f"{datetime.now(UTC):%Y-%m}"
    for _ in range(CALLS):
        call(house)
    charged = used(house, month, CALLS + 1)  # and the first answer
    formats = [word for name in ("html", "pdf", "png") for word in ("--format", name)]
    asked = ("report", "run", "board", "--month", month, "--base", "earned", *formats, "--output", str(tmp_path))
    found = house.ask(*asked)
    whole = house.ask("insight", "concentration", "--base", "earned", "--from", month)["whole"]
    assert Decimal(whole) == charged > 0
    call(house)
    names = [f"board-{month}-en{ending}" for ending in (".html", ".pdf", "-1.png", "-2.png")]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names)
    assert all((tmp_path / each["name"]).stat().st_size == each["size"] for each in found["files"])
    shown = tiles(found["board"])
    assert shown["Revenue of the month"] == f"{charged.quantize(Decimal('0.01'), 'ROUND_HALF_UP')} USD"
    assert shown["Largest customer"] == "100.0 %"
    text = ["".join(page.extract_text().split()) for page in PdfReader(tmp_path / names[1]).pages]
    assert len(text) == 2
    for figure in shown.values():
        assert "".join(figure.split()) in text[0]
        assert figure in (tmp_path / names[0]).read_text(encoding="utf-8")
    inputs = [told for page in found["board"]["pages"] for _, told in page["inputs"]]
    assert any(told.startswith("the ledger and the records of calls (fingerprint ") for told in inputs)
    made = (tmp_path / names[2]).read_bytes()
    assert (made[:8], len(made) > 50_000) == (b"\x89PNG\r\n\x1a\n", True)


@pytest.mark.long
def test_a_month_without_invoices_has_no_report_of_what_was_billed_and_leaves_no_file(
    house: House, tmp_path: Path
) -> None:
    month = f"{datetime.now(UTC):%Y-%m}"
    done = house.command("report", "run", "board", "--month", month, "--output", str(tmp_path))
    assert done.returncode == 1
    assert f"billed revenue of {month}: nothing was sold, so there is nothing to report" in done.stderr
    assert list(tmp_path.iterdir()) == []
    done = house.command("report", "run", "bored", "--month", month)
    assert (done.returncode, "there is no report 'bored'; there is board" in done.stderr) == (2, True)
