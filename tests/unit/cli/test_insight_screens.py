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


@pytest.mark.long
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


@pytest.mark.long
def test_a_month_alone_is_that_month_and_another_cut_has_the_same_whole(ask: Asking) -> None:
    whole = {by: ask.facts("concentration", "--by", by, "--from", "2026-09")["whole"] for by in ("vendor", "country")}
    assert len(set(whole.values())) == 1


FIGURES = """\
format = 1
[[expectation]]
of = "cloud growth"
period = "2026-Q3"
value = 30.6
actual = 29
unit = "%"
standing = "reported"
source = "consensus"
[[expectation]]
of = "revenue"
by = "guidance"
period = "2026-10"
least = 70
most = 80
standing = "reported"
source = "guidance"
[[expectation]]
of = "growth"
period = "2026-10"
value = 50
unit = "%"
standing = "assumed"
source = "a guess"
[[expectation]]
of = "cloud growth"
period = "2026-Q4"
by = "guidance"
least = 28
most = 29
unit = "%"
standing = "reported"
source = "guidance"
[[terms]]
vendor = "aurora"
licence_until = 2032-12-31
committed = 1_200
committed_per = "year"
currency = "EUR"
standing = "reported"
source = "contract"
[[substitute]]
model = "aurora-small"
by = ["nord-1"]
standing = "assumed"
source = "arena"
"""


@pytest.fixture(scope="module")
def figures(house: SoldHouse) -> None:
    house.do("insight.enter", name="figures.toml", text=FIGURES)


@pytest.mark.long
@pytest.mark.usefixtures("figures")
def test_an_expectation_of_what_is_to_come_waits_beside_the_others(ask: Asking) -> None:
    [waits] = ask.facts("surprise")["open"]  # type: ignore[misc]
    assert (waits["of"], waits["period"], waits["least"], waits["most"]) == ("cloud growth", "2026-Q4", "28", "29")
    assert "what came is not known yet: cloud growth of 2026-Q4, guidance 28–29 %" in ask.say("surprise")[1]


@pytest.mark.long
def test_without_a_sign_there_is_no_picture_and_the_figures_are_told(ask: Asking, tmp_path: Path) -> None:
    code, out, err = ask.say("signs", "--until", "2026-11-01", "--picture", str(tmp_path / "s.png"))
    assert code == DONE, err
    assert "nothing to draw, so no picture was made" in err + out
    assert not (tmp_path / "s.png").exists()


@pytest.mark.long
def test_until_alone_is_the_month_before_it(ask: Asking) -> None:
    base = ask.facts("concentration", "--until", "2026-10")["base"]
    assert (base["from"], base["until"]) == ("2026-09-01", "2026-10-01")  # type: ignore[index]


@pytest.mark.long
def test_a_change_is_split_into_parts_that_add_up_to_it(ask: Asking) -> None:
    facts = ask.facts("change", "--by", "customer", "--from", "2026-10")
    names = ("volume", "price", "mix", "new", "gone", "unsplit")
    for each in [*facts["parts"], facts["whole"]]:  # type: ignore[misc]
        moved = sum(Decimal(each[name]) for name in names)
        assert moved == Decimal(each["after"]) - Decimal(each["before"]) == Decimal(each["change"])
    assert facts["before"]["from"] == "2026-09-01"  # type: ignore[index]


@pytest.mark.long
def test_growth_has_both_names_of_a_month_a_run_rate_and_what_makes_up_for_the_largest(ask: Asking) -> None:
    facts = ask.facts("growth", "--from", "2026-09", "--until", "2026-11", "--year-starts", "07-01", "--by", "customer")
    first, second = facts["periods"]  # type: ignore[misc]
    assert (first["calendar"], first["fiscal"], first["growth"]) == ("2026-09", "FM3 2027", None)
    grown = Decimal(second["amount"]) / Decimal(first["amount"]) - 1
    assert abs(Decimal(second["growth"]) - grown) < Decimal("1e-8")
    assert Decimal(facts["run_rate"]["amount"]) == 12 * Decimal(second["amount"])  # type: ignore[index]
    lost = facts["replace"]
    assert isinstance(lost, dict)
    rest = Decimal(second["amount"]) - Decimal(lost["lost"])
    assert abs(rest * (1 + Decimal(lost["monthly"])) ** 12 - Decimal(second["amount"])) < Decimal("0.001")


@pytest.mark.long
def test_retention_is_of_those_who_paid_before(ask: Asking) -> None:
    facts = ask.facts("retention", "--from", "2026-10", "--by", "customer")
    kept = sum(Decimal(each["after"]) for each in facts["customers"])  # type: ignore[attr-defined]
    start = Decimal(str(facts["start"]))
    assert abs(Decimal(str(facts["nrr"])) - kept / start) < Decimal("1e-8")
    assert Decimal(str(facts["grr"])) <= min(Decimal(1), Decimal(str(facts["nrr"])))


@pytest.mark.long
@pytest.mark.usefixtures("figures")
def test_surprises_are_of_entered_figures_or_of_our_books(ask: Asking) -> None:
    cloud, revenue, grown = ask.facts("surprise")["expectations"]  # type: ignore[misc]
    assert (Decimal(cloud["points"]), f"{Decimal(cloud['relative']):.3f}") == (Decimal("-1.6"), "-0.052")
    october = ask.facts("concentration", "--from", "2026-10")["whole"]
    assert Decimal(revenue["actual"]) == Decimal(str(october))
    assert revenue["place"] == "within"
    facts = ask.facts("growth", "--from", "2026-09", "--until", "2026-11")["periods"]
    expected = 100 * Decimal(facts[1]["growth"])  # type: ignore[index]
    assert abs(Decimal(grown["actual"]) - expected) < Decimal("1e-6")


@pytest.mark.long
def test_margins_are_what_the_vendors_cost_leaves(ask: Asking) -> None:
    facts = ask.facts("margin", "--by", "model", "--from", "2026-09")
    whole = facts["whole"]
    assert isinstance(whole, dict)
    assert Decimal(whole["revenue"]) - Decimal(whole["cost"]) == Decimal(whole["margin"])
    assert sum(Decimal(each["margin"]) for each in facts["parts"]) == Decimal(whole["margin"])  # type: ignore[attr-defined]


@pytest.mark.long
@pytest.mark.usefixtures("figures")
def test_dependence_knows_substitutes_of_the_catalog_second_vendors_and_terms(ask: Asking) -> None:
    facts = ask.facts("dependence", "--from", "2026-09", "--until", "2026-11")
    vendors = {each["vendor"]: each for each in facts["vendors"]}  # type: ignore[attr-defined]
    assert vendors.keys() == {"aurora", "borealis", "own"}
    assert facts["unplaced"] == []
    assert [Decimal(vendors[name]["switchable"]) for name in ("aurora", "borealis")] == [1, 1]
    terms = vendors["aurora"]["terms"][0]
    assert terms["licence_until"] == "2032-12-31"
    left = (facts["on"], terms["licence_left"])
    assert left == ("2026-11-01", [73, 30]), "from the end of the period, whenever asked"
    assert (Decimal(terms["committed"]), terms["committed_until"]) == (200, None)  # two months of 1,200 a year
    cost = Decimal(vendors["aurora"]["cost"])
    assert terms["shortfall"] is None if Decimal(vendors["aurora"]["uncosted"]) else (
        Decimal(terms["shortfall"]) == max(Decimal(0), 200 - cost))  # fmt: skip
    assert "committed 200.00 EUR in this time, " in ask.say("dependence", "--from", "2026-09", "--until", "2026-11")[1]


@pytest.mark.long
@pytest.mark.parametrize("measure", ["change", "growth", "retention", "surprise", "margin", "dependence"])
@pytest.mark.usefixtures("figures")
def test_every_measure_has_a_screen_and_a_picture(ask: Asking, tmp_path: Path, measure: str) -> None:
    since = () if measure in ("growth", "surprise") else ("--from", "2026-10")
    code, out, err = ask.say(measure, *since, "--until", "2026-11", "--picture", str(tmp_path / "m.png"))
    assert code == DONE, err
    assert "None" not in out
    assert (tmp_path / "m.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.long
@pytest.mark.parametrize(
    ("words", "exit_code", "said"),
    [
        (("concentration", "--by", "foo"), MISUSED, "by 'foo' is not known: it is one of"),
        (("growth", "--months", "0"), MISUSED, "months is at least 1"),
        (("change", "--from", "2026-10", "--before", "2026-11"), REFUSED, "begins on 2026-11-01, after the other one"),
        (("growth", "--from", "2026-01", "--until", "2026-03"), REFUSED, "nothing was sold"),
        (("growth", "--from", "2026-09", "--until", "2026-11", "--name", "nobody"), REFUSED, "nobody"),
        (("growth", "--from", "2026-09", "--until", "2026-11", "--year-starts", "07-15"), REFUSED, "written as 07-01"),
        (("retention", "--from", "2026-09"), REFUSED, "nobody paid from 2026-08-01"),
        (("surprise", "--name", "share price"), REFUSED, "nothing is entered as expected"),
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


@pytest.mark.long
def test_entered_figures_stand_under_their_file_and_a_mistake_changes_nothing(ask: Asking, tmp_path: Path) -> None:
    good = tmp_path / "rates.toml"
    good.write_text('format = 1\n[[exchange]]\nfrom = "EUR"\nto = "CHF"\nrate = 0.95\nsource = "SNB"\n')
    assert ask.say("enter", str(good), "--dry-run")[1] == "rates.toml would be entered: 1 exchange\n"
    before = ask.facts("list")["files"]
    assert "rates.toml" not in [each["name"] for each in before]  # type: ignore[attr-defined]
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
    [rates] = [each for each in files if each["name"] == "rates.toml"]
    assert (rates["revision"], rates["entries"]["exchange"]) == (1, 1)
    code, _, err = ask.say("enter", str(tmp_path / "none.toml"))
    assert (code, "cannot be read" in err) == (MISUSED, True)
