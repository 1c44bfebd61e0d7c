"""`entrepot scenario`: the files there are, and what each would do to invoices that were issued."""

import json
from decimal import Decimal
from pathlib import Path

import pytest

from entrepot.cli.group import run
from entrepot.cli.scenario_text import outcome
from entrepot.cli.terminal import DONE, MISUSED, REFUSED
from entrepot.insight.answers.scenario import figures
from entrepot.insight.scenario import run as run_scenario
from entrepot.insight.scenario_file import read_scenario
from entrepot.keeper.insight.gathering import gather
from sold_house import SoldHouse, used

EXAMPLES = Path(__file__).parents[3] / "examples" / "scenarios"
CALLS = [
    used("kontor", "2026-10-03", 4_000_000, 1_000_000),
    used("kontor", "2026-10-04", 2_000_000, 500_000, vendor="borealis", zone="FI"),
    used("studio", "2026-10-10", 9_000_001, 3_000_007, model="nord-1", vendor="nordlicht"),
    used("wien", "2026-10-31", 5_000_000, 900_000, model="aurora-small"),
]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> SoldHouse:
    house = SoldHouse(tmp_path_factory.mktemp("scenario"))
    (house.folder.root / "secrets" / "admin-token").write_text("token")
    house.serve(CALLS)
    house.ingest()
    house.issue_month("2026-10", "kontor", "studio", "wien")
    return house


class Asking:
    """The command line, in this process."""

    def __init__(self, house: SoldHouse, capsys: pytest.CaptureFixture[str]) -> None:
        self._data, self._capsys = str(house.folder.root), capsys

    def say(self, *words: str) -> tuple[int, str, str]:
        code = run(["scenario", *words, "--data", self._data])
        said = self._capsys.readouterr()
        return code, said.out, said.err

    def facts(self, name: str, *words: str) -> dict[str, object]:
        code, out, err = self.say("run", name, "--folder", str(EXAMPLES), "--from", "2026-10", *words, "--json")
        assert code == DONE, err
        found: dict[str, object] = json.loads(out)
        return found


@pytest.fixture
def ask(house: SoldHouse, capsys: pytest.CaptureFixture[str]) -> Asking:
    return Asking(house, capsys)


@pytest.mark.long
def test_every_example_is_listed_with_its_title_and_a_broken_one_with_its_mistakes(ask: Asking, tmp_path: Path) -> None:
    code, out, _ = ask.say("list", "--folder", str(EXAMPLES))
    assert code == DONE
    for path in EXAMPLES.glob("*.toml"):
        assert f"{path.stem} " in out
    assert "The largest customer leaves over six months" in out
    (tmp_path / "bad.toml").write_text("format = 1\nno = 1\n")
    assert "bad       (2 mistakes in it)" in ask.say("list", "--folder", str(tmp_path))[1]


@pytest.mark.long
def test_nobody_leaves_is_what_was_billed(ask: Asking) -> None:
    facts = ask.facts("nobody-leaves")
    path = facts["path"]
    assert isinstance(path, list)
    assert [{**each, "month": 0} for each in path] == [facts["now"]] * 12
    assert (facts["leaving"], facts["months_to_recover"], facts["margin_lost"]) == ([], 0, "0.00")
    assert facts["concentration"][0] == facts["concentration"][1]  # type: ignore[index]
    assert "no growth is needed" in ask.say("run", "nobody-leaves", "--folder", str(EXAMPLES), "--from", "2026-10")[1]


@pytest.mark.long
def test_the_largest_gone_is_told_with_all_that_the_board_asks(ask: Asking, tmp_path: Path) -> None:
    facts = ask.facts("largest-leaves")
    words = ("run", "largest-leaves", "--folder", str(EXAMPLES), "--from", "2026-10")
    picture = tmp_path / "gone.svg"
    code, out, err = ask.say(*words, "--picture", str(picture))
    assert code == DONE, err
    assert facts["leaving"] == [{"name": "Nord", "label": "Nord"}]
    now, then = facts["now"], facts["then"]
    assert isinstance(now, dict)
    assert isinstance(then, dict)
    left = Decimal(then["revenue"])
    assert 0 < left < Decimal(now["revenue"]) / 2
    for said in (
        "revenue", "gross margin", "idle commitments", "of it idle", "months of growth to recover", "HHI points",
        "rests on", "the largest customer (Nord)", "assumed", "80 % of today's purchases are committed",
    ):  # fmt: skip
        assert said in out, said
    assert f"{left:,.2f}" in out
    assert "billed, without tax, EUR, 2026-10-01 until 2026-11-01" in out
    assert "<title>The largest customer leaves at once</title>" in picture.read_text()


@pytest.mark.long
def test_every_example_runs_on_issued_invoices_and_their_screens_have_no_holes(house: SoldHouse) -> None:
    facts = gather(house.engine, house.folder, "billed", ("2026-10", "2026-11"))
    for path in sorted(EXAMPLES.glob("*.toml")):
        if path.stem == "seats-shrink":
            continue  # nobody bought seats here, and it is refused
        found = run_scenario(facts, *read_scenario(path.read_text(), path.name))
        out = outcome(figures(found))
        assert found.now.revenue == facts.total()
        for said in ("gross margin", "idle commitments", "HHI points", "rests on", "months of growth to recover"):
            assert said in out or path.stem in ("nobody-leaves", "vendor-raises-prices", "suppliers-supplier"), (
                path.stem
            )
        assert "nan" not in out.lower()
        assert "None" not in out


@pytest.mark.long
@pytest.mark.parametrize(
    ("text", "exit_code", "said"),
    [
        ('format = 1\ntitle = "t"\n[[turn]]\nwhat = "leaves"\ncustomer = "contor"\n', REFUSED, "nearest: kontor"),
        ('format = 1\ntitle = "t"\n[[turn]]\nwhat = "goes"\n', REFUSED, "line 4"),
        ("format = [", REFUSED, "This is not TOML"),
        ('format = 1\ntitle = "t"\n[[turn]]\nwhat = "minimum"\n', REFUSED, "no [[minimum]] says"),
    ],
)
def test_what_cannot_be_asked_is_a_sentence(ask: Asking, tmp_path: Path, text: str, exit_code: int, said: str) -> None:
    file = tmp_path / "asked.toml"
    file.write_text(text)
    code, out, err = ask.say("run", str(file), "--from", "2026-10")
    assert (code, out) == (exit_code, ""), err
    assert said in err
    assert "Traceback" not in err


@pytest.mark.long
def test_a_name_that_is_no_file_and_a_month_without_sales_are_sentences(ask: Asking) -> None:
    code, _, err = ask.say("run", "largest-leafs", "--folder", str(EXAMPLES))
    assert (code, 'Did you mean "largest-leaves"?' in err) == (MISUSED, True), err
    code, _, err = ask.say("run", "largest-leaves", "--folder", str(EXAMPLES), "--from", "2026-05")
    assert (code, "nothing was sold" in err) == (REFUSED, True), err
    code, _, err = ask.say("run", "none/there.toml")
    assert (code, "there is no file none/there.toml" in err) == (MISUSED, True), err
