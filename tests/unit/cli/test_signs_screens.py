"""`entrepot insight signs`: out of the rollup, by control group, with evidence, data and picture."""

import json
from datetime import date, timedelta
from pathlib import Path

import pytest

from entrepot.cli.group import run
from entrepot.cli.terminal import DONE, MISUSED, REFUSED
from sold_house import SoldHouse, used

FIRST, DAYS, LEAVES = date(2026, 9, 7), 28, 20
SPAN = ("--from", str(FIRST), "--until", str(FIRST + timedelta(DAYS)))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    house = SoldHouse(tmp_path_factory.mktemp("signs"))
    (house.folder.root / "secrets" / "admin-token").write_text("token")
    calls = []
    for day in range(DAYS):
        on = str(FIRST + timedelta(day))
        calls += [used("studio", on, 10, 10)] * (40 + day % 3)
        calls += [used("kontor", on, 10, 10)] * (20 if day < LEAVES else 8)
        calls += [used("wien", on, 10, 10, model="aurora-small")] * (20 if day < LEAVES else 8)
    house.serve(calls)
    house.ingest()
    return str(house.folder.root)


@pytest.mark.long
def test_a_group_that_splits_its_traffic_is_told_with_its_evidence(
    data: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert run(["insight", "signs", *SPAN, "--data", data, "--json"]) == DONE
    facts = json.loads(capsys.readouterr().out)
    [sign] = facts["signs"]
    assert (sign["customer"], sign["kind"], sign["open"]) == ("Nord", "split traffic", True)
    assert (sign["since"], sign["before"], sign["after"]) == (
        str(FIRST + timedelta(LEAVES)),
        "40.000000000",
        "16.000000000",
    )
    assert facts["customers"] == 2
    picture = tmp_path / "signs.svg"
    assert run(["insight", "signs", *SPAN, "--data", data, "--picture", str(picture)]) == DONE
    out = capsys.readouterr().out
    assert "Nord: split traffic, −60.0 % since 2026-09-27, seen on 2026-09-29, lasts" in out.replace("-60", "−60")
    assert "calls a day 40 → 16" in out
    assert "<title>Early signs that a customer leaves</title>" in picture.read_text()


@pytest.mark.long
def test_none_and_nothing_to_look_at_are_sentences(data: str, capsys: pytest.CaptureFixture[str]) -> None:
    until = str(FIRST + timedelta(LEAVES))
    assert run(["insight", "signs", "--from", str(FIRST), "--until", until, "--data", data]) == DONE
    assert "2 customers: no early signs" in capsys.readouterr().out
    assert run(["insight", "signs", "--from", "2020-01-01", "--until", "2020-03-01", "--data", data]) == REFUSED
    assert "nobody called from 2020-01-01" in capsys.readouterr().err
    assert run(["insight", "signs", "--from", "2026-10", "--until", "2026-09", "--data", data]) == MISUSED
    assert "nothing is between them" in capsys.readouterr().err
