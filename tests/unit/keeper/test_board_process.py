"""The board's report of a house with issued invoices: from the documents on the disk to files."""

import base64
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from pypdf import PdfReader

from entrepot.insight.report.wanted import ScenarioFile, Wanted
from entrepot.keeper.insight.board import reported
from entrepot.kernel.errors import EntrepotError
from sold_house import SoldHouse, used

CALLS = [
    used("kontor", "2026-09-03", 4_000_000, 1_000_000),
    used("wien", "2026-09-10", 900_001, 300_007, model="nord-1", vendor="nordlicht"),
    used("kontor", "2026-10-01", 5_000_000, 1_500_000, vendor="borealis", zone="FI"),
    used("studio", "2026-10-02", 5_000_000, 900_000),
    used("wien", "2026-10-31", 50_000_000, 9_000_000, model="aurora-small", costed=False),
]
LEAVES = """\
format = 1
title = "Nord leaves"
[[turn]]
what = "leaves"
customer = "Nord"
"""


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> SoldHouse:
    house = SoldHouse(tmp_path_factory.mktemp("house"))
    house.serve(CALLS)
    house.ingest()
    house.issue_month("2026-09", "kontor", "wien")
    house.issue_month("2026-10", "kontor", "studio", "wien")
    return house


def wanted(**more: Any) -> Wanted:
    return Wanted(**{"month": "2026-10", "made_on": "2026-11-03", "formats": (), **more})


def figures(board: dict[str, Any]) -> dict[str, str]:
    tiles = next(block["tiles"] for block in board["pages"][0]["blocks"] if block.get("tiles"))
    return {tile["name"]: tile["figure"]["text"] for tile in tiles}


@pytest.mark.long
def test_a_report_is_made_of_issued_documents_in_a_process_of_its_own(house: SoldHouse, tmp_path: Path) -> None:
    command = [sys.executable, "-P", "-m", "entrepot.keeper.insight.board", str(house.folder.root)]
    asked = msgspec.json.encode(wanted(formats=("html", "pdf", "png")))
    done = subprocess.run(command, input=asked, capture_output=True, check=True)
    found = json.loads(done.stdout)
    names = ["board-2026-10-en.html", "board-2026-10-en.pdf", "board-2026-10-en-1.png", "board-2026-10-en-2.png"]
    assert [each["name"] for each in found["files"]] == names
    files = {each["name"]: base64.b64decode(each["base64"]) for each in found["files"]}
    assert all(len(files[each["name"]]) == each["size"] for each in found["files"])
    (tmp_path / "board.pdf").write_bytes(files["board-2026-10-en.pdf"])
    text = "".join("".join(page.extract_text().split()) for page in PdfReader(tmp_path / "board.pdf").pages)
    lead = "".join(each if isinstance(each, str) else each["text"] for each in found["board"]["lead"])
    assert lead.startswith("Nord brings ")
    for figure in figures(found["board"]).values():
        assert "".join(figure.split()) in text
        assert figure in files["board-2026-10-en.html"].decode()
    inputs = [told for page in found["board"]["pages"] for _, told in page["inputs"]]
    assert any(told.startswith("3 issued documents, R-2026-00003 to R-2026-00005") for told in inputs)
    assert done.stdout == subprocess.run(command, input=asked, capture_output=True, check=True).stdout


@pytest.mark.long
def test_the_same_month_stands_in_three_languages_and_on_another_base(house: SoldHouse) -> None:
    titles = [reported(house.folder, wanted(language=code))["board"]["title"] for code in ("en", "de", "pt")]
    assert titles == [
        "Report to the board, October 2026", "Bericht an den Aufsichtsrat, Oktober 2026",
        "Relatório ao conselho de administração, outubro de 2026",
    ]  # fmt: skip
    billed, earned = (reported(house.folder, wanted(kind=kind))["board"] for kind in ("billed", "earned"))
    assert figures(billed)["Revenue of the month"] == figures(earned)["Revenue of the month"]
    assert ("billed (issued lines" in billed["about"], "earned (rated usage" in earned["about"]) == (True, True)
    notes = [note["text"] for page in earned["pages"] for note in page["notes"]]
    assert any("what a re-rating changed stands in what is billed" in note for note in notes)


@pytest.mark.long
def test_scenarios_are_those_of_the_files_else_the_usual_three(house: SoldHouse) -> None:
    def names(found: dict[str, Any]) -> list[str]:
        [table] = [block for block in found["board"]["pages"][1]["blocks"] if block.get("title") == "What if"]
        return [row[0][0] for row in table["rows"]]

    usual = ["the largest customer leaves", "the three largest halve", "the largest vendor raises its prices by 20 %"]
    assert names(reported(house.folder, wanted())) == usual
    own = (ScenarioFile(name="nord.toml", text=LEAVES),)
    assert names(reported(house.folder, wanted(scenarios=own))) == ["Nord leaves"]
    wrong = (ScenarioFile(name="nord.toml", text=LEAVES.replace("Nord", "Sud")),)
    with pytest.raises(EntrepotError, match=r"names the customer 'Sud'"):
        reported(house.folder, wanted(scenarios=wrong))


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"month": "2026-11"}, "nothing_sold"), ({"language": "fr"}, "language_unknown"),
        ({"year_starts": "07-02"}, "insight_refused"), ({"currency": "USD"}, "exchange_rate_missing"),
    ],
)  # fmt: skip
def test_what_cannot_be_told_is_said_with_a_code(house: SoldHouse, more: dict[str, Any], code: str) -> None:
    with pytest.raises(EntrepotError) as refused:
        reported(house.folder, wanted(**more))
    assert refused.value.code == code


@pytest.mark.long
def test_early_signs_are_looked_for_in_days_that_are_over(house: SoldHouse) -> None:
    def told(**more: Any) -> str:
        words = [block["words"] for block in reported(house.folder, wanted(**more))["board"]["pages"][1]["blocks"]
                 if block.get("words")]  # fmt: skip
        texts = ("".join(each if isinstance(each, str) else each["text"] for each in block) for block in words)
        return next(text for text in texts if "early sign" in text)

    few = "of days that are over, are too few to see early signs by"
    assert told().startswith(f"The calls from 2026-08-01 to 2026-10-31, {few}")
    assert told(made_on="2026-10-20").startswith(f"The calls from 2026-08-01 to 2026-10-19, {few}")
