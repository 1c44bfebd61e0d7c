"""`entrepot insight`: table, data and picture of the same figures, and sentences where there are none."""

import json
from decimal import Decimal
from pathlib import Path

import pytest

from entrepot.cli.group import run
from entrepot.cli.terminal import DONE, MISUSED, REFUSED
from sold_house import SoldHouse, used

CALLS = [
    used("kontor", "2026-09-03", 4_000_000, 1_000_000),
    used("kontor", "2026-09-04", 2_000_000, 500_000, vendor="borealis", zone="FI"),
    used("wien", "2026-09-10", 900_001, 300_007, model="nord-1", vendor="nordlicht"),
    used("kontor", "2026-10-01", 5_000_000, 1_500_000),
    used("wien", "2026-10-31", 50_000_000, 9_000_000, model="aurora-small"),
]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> SoldHouse:
    house = SoldHouse(tmp_path_factory.mktemp("insight"))
    (house.folder.root / "secrets" / "admin-token").write_text("token")
    house.serve(CALLS)
    house.ingest()
    house.issue_month("2026-09", "kontor", "wien")
    house.issue_month("2026-10", "kontor", "wien")
    return house


class Asking:
    """The command line, in this process."""

    def __init__(self, house: SoldHouse, capsys: pytest.CaptureFixture[str]) -> None:
        self._data, self._capsys = str(house.folder.root), capsys

    def say(self, *words: str) -> tuple[int, str, str]:
        code = run(["insight", *words, "--data", self._data])
        said = self._capsys.readouterr()
        return code, said.out, said.err

    def facts(self, *words: str) -> dict[str, object]:
        code, out, err = self.say(*words, "--json")
        assert code == DONE, err
        found: dict[str, object] = json.loads(out)
        return found


@pytest.fixture
def ask(house: SoldHouse, capsys: pytest.CaptureFixture[str]) -> Asking:
    return Asking(house, capsys)


def test_concentration_is_the_same_as_table_data_and_picture(ask: Asking, tmp_path: Path) -> None:
    words = ("concentration", "--by", "customer", "--from", "2026-09", "--until", "2026-11")
    facts = ask.facts(*words)
    parts = facts["parts"]
    assert isinstance(parts, list)
    assert sum(Decimal(each["amount"]) for each in parts) == Decimal(str(facts["whole"]))
    assert abs(sum(Decimal(each["share"]) for each in parts) - 1) < Decimal("1e-8")
    hhi = sum(Decimal(each["share"]) ** 2 for each in parts)
    assert abs(Decimal(str(facts["hhi"])) - hhi) < Decimal("1e-8")
    code, out, err = ask.say(*words, "--picture", str(tmp_path / "c.svg"))
    assert code == DONE, err
    for each in parts:
        assert each["name"] in out
        assert f"{Decimal(each['share']) * 100:.1f} %" in out
        assert f"{Decimal(each['amount']):,.2f}" in out
    assert "billed, without tax, EUR, 2026-09-01 until 2026-11-01" in out
    svg = (tmp_path / "c.svg").read_text()
    assert "<title>Shares by customer</title>" in svg
    assert "2026-09-01 until 2026-11-01" in svg


def test_a_month_alone_is_that_month_and_another_cut_has_the_same_whole(ask: Asking) -> None:
    whole = {by: ask.facts("concentration", "--by", by, "--from", "2026-09")["whole"] for by in ("vendor", "country")}
    assert len(set(whole.values())) == 1


@pytest.mark.parametrize(
    ("words", "exit_code", "said"),
    [
        (("concentration", "--from", "2026-05"), REFUSED, "nothing was sold"),
        (("concentration", "--from", "2026-09-05", "--until", "2026-09-20"), REFUSED, "begin on the 1st"),
        (("concentration", "--from", "2026-11", "--until", "2026-10"), MISUSED, "nothing is between them"),
        (("concentration", "--from", "May"), MISUSED, "neither a month like 2026-10 nor a day"),
        (("concentration", "--by", "colour"), MISUSED, "by"),
        (("concentration", "--from", "2026-09", "--currency", "USD"), REFUSED, "no rate between them for 2026-09"),
        (("concentration", "--from", "2026-09", "--currency", "DEM"), REFUSED, "currency 'DEM' is not kept here"),
        (("concentration", "--picture", "x.gif"), MISUSED, "no picture that can be made"),
    ],
)
def test_what_has_no_figure_is_a_sentence(ask: Asking, words: tuple[str, ...], exit_code: int, said: str) -> None:
    code, out, err = ask.say(*words)
    assert (code, out) == (exit_code, ""), err
    assert said in err
    assert "Traceback" not in err
    assert "nan" not in err.lower()


def test_entered_figures_stand_under_their_file_and_a_mistake_changes_nothing(ask: Asking, tmp_path: Path) -> None:
    good = tmp_path / "rates.toml"
    good.write_text('format = 1\n[[exchange]]\nfrom = "EUR"\nto = "CHF"\nrate = 0.95\nsource = "SNB"\n')
    assert ask.say("enter", str(good), "--dry-run")[1] == "rates.toml would be entered: 1 exchange\n"
    assert ask.facts("list")["files"] == []
    assert ask.say("enter", str(good))[1] == "rates.toml is entered: 1 exchange\n"
    assert ask.say("enter", str(good))[1] == "rates.toml stands already: 1 exchange\n"
    francs = ask.facts("concentration", "--from", "2026-09", "--currency", "CHF")
    assert francs["base"]["currency"] == "CHF"  # type: ignore[index]
    bad = tmp_path / "bad" / "rates.toml"
    bad.parent.mkdir()
    bad.write_text('format = 1\n[[exchange]]\nfrom = "EUR"\nto = "CHF"\nrate = -1\n')
    code, _, err = ask.say("enter", str(bad))
    assert (code, "line 5" in err, "rate is a number above 0" in err) == (REFUSED, True, True), err
    files = ask.facts("list")["files"]
    assert isinstance(files, list)
    assert [(each["name"], each["revision"], each["entries"]["exchange"]) for each in files] == [("rates.toml", 1, 1)]
    code, _, err = ask.say("enter", str(tmp_path / "none.toml"))
    assert (code, "cannot be read" in err) == (MISUSED, True)
