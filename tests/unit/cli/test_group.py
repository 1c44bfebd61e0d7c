"""The one command line: what it lists, its exit codes, its errors."""

import json
from pathlib import Path

import click
import pytest

from entrepot.cli import group
from entrepot.cli.command import Noun
from entrepot.cli.group import NOUNS, VERBS, entrepot, run


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DATA", "URL", "TOKEN"):
        monkeypatch.delenv(f"ENTREPOT_{name}", raising=False)


def _commands() -> dict[str, click.Command]:
    with click.Context(entrepot) as context:
        found = {name: entrepot.get_command(context, name) for name in entrepot.list_commands(context)}
    return {name: command for name, command in found.items() if command is not None}


def test_the_words_of_help_are_those_of_the_commands() -> None:
    for name, command in _commands().items():
        shown = {**VERBS, **NOUNS}[name]
        assert shown == ("  ".join(command.commands) if name in NOUNS else command.short_help), name  # type: ignore[attr-defined]


def test_every_verb_and_noun_explains_itself() -> None:
    for name, command in _commands().items():
        assert command.help, name
        for verb, each in getattr(command, "commands", {}).items():
            assert each.help, f"{name} {verb}"


def test_help_lists_only_what_exists(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    text = capsys.readouterr().out
    assert "usage" in text
    for name in (*VERBS, *NOUNS):
        exists = (Path(group.__file__).parent / f"{name}.py").exists()
        assert (f"\n  {name} " in text) == exists, name


@pytest.mark.parametrize("name", list(NOUNS))
def test_a_bare_noun_lists(name: str) -> None:
    command = _commands().get(name)
    if isinstance(command, Noun):
        assert next(iter(command.commands)) == ("balance" if name == "ledger" else "list")  # its accounts


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["no-such"], "No such command 'no-such'"),
        (["usage", "--no-such"], "No such option"),
        (["usage", "--state", "lost"], "'lost' is not one of"),
        (["explain"], "Missing argument"),
        (["balance", "top-up", "a", "1", "USD"], "Missing option '--id'"),
        (["balance", "top-up", "a", "much", "USD", "--id", "1"], "'much' is not an amount of money"),
        (["key", "revoke", "not-an-id"], "this is not the id of a key"),
        (["key", "rotate", "A" * 10, "--overlap", "1 day"], "is not a time like 30m"),
        (["apply", "no-such-file.toml"], "there is no file no-such-file.toml"),
        (["apply", "/dev/null"], "/dev/null is empty; nothing was changed"),
        (["customer", "--url", "ftp://x"], "is not the URL of a server"),
        (["customer", "--url", "http://[::1"], "is not the URL of a server"),
        (["customer", "--url", "http://127.0.0.1:99999"], "is not the URL of a server"),
        (["customer", "--url", "http://127.0.0.1:1", "--token", "é\n"], "an admin token is plain letters"),
        (["top", "--every", "nan"], "--every is a number of seconds"),
        (["run", "--bill", "/no-such-folder/bill", "--", "true"], "there is no folder /no-such-folder"),
    ],
)
def test_wrong_use_is_two(words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "entrepot.sqlite").touch()
    assert run([*words, "--data", str(tmp_path)]) == 2
    errors = capsys.readouterr().err
    assert errors.startswith("error: ")
    assert said in errors
    assert "Traceback" not in errors


@pytest.mark.parametrize("words", [["usage"], ["status"], ["key"], ["balance", "list"], ["export"], ["verify"]])
def test_no_server_is_three(words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*words, "--data", str(tmp_path / "none")]) == 3
    assert capsys.readouterr().err == (
        f"error: no server has run on {tmp_path}/none/ yet, and none is named with --data or --url\n"
        "  do    make serve\n"
    )


def test_a_stack_trace_only_with_debug(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    @click.command()
    def broken() -> None:
        raise ValueError("seven")

    monkeypatch.setattr(entrepot, "get_command", lambda *_: broken)
    assert run(["usage"]) == 1
    assert "Traceback" not in (quiet := capsys.readouterr().err)
    assert "error: ValueError: seven\n  do    " in quiet
    assert run(["--debug", "usage"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_options_may_stand_before_or_after_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["--data", str(tmp_path / "a"), "usage"], ["usage", "--data", str(tmp_path / "a")]):
        assert run(words) == 3
        assert f"{tmp_path}/a/" in capsys.readouterr().err
    assert run(["--data", str(tmp_path / "a"), "usage", "--data", str(tmp_path / "b")]) == 3
    assert f"{tmp_path}/b/" in capsys.readouterr().err


def test_the_line_wins_over_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ENTREPOT_DATA", str(tmp_path / "env"))
    for words, seen in ((["usage"], "env"), (["--data", str(tmp_path / "a"), "usage"], "a")):
        assert run(words) == 3
        assert f"{tmp_path}/{seen}/" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "code", "status"),
    [
        (["usage", "--no-such"], "wrong_use", 2),
        (["balance", "top-up", "a", "NaN", "USD", "--id", "1"], "command_stopped", 2),
        (["usage"], "server_unreachable", 3),
    ],
)
def test_with_json_an_error_is_data_too(
    words: list[str], code: str, status: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*words, "--json", "--data", str(tmp_path / "none")]) == status
    out, err = capsys.readouterr()
    error = json.loads(err)["error"]
    assert (out, error["code"]) == ("", code)
    assert error["message"]
    assert error["do"]


def test_with_json_the_mistakes_of_a_file_come_one_by_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "shop.toml").write_text('format = 1\n[model]\na = { routes = ["x/y"], context = 1 }\nb = 1\n')
    assert run(["check", str(tmp_path / "shop.toml"), "--json"]) == 1
    error = json.loads(capsys.readouterr().err)["error"]
    assert error["code"] == "catalog_broken"
    assert [issue["line"] for issue in error["issues"]] == [3, 4]


def test_bare_prove_helps(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["prove"]) == 0
    assert "crash" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [(["--host", "192.0.2.1"], "cannot listen on"), (["--catalog", "no-file.toml"], "there is no catalog file")],
)
def test_a_start_with_a_wrong_setting_is_wrong_use(
    words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["serve", *words, "--data", str(tmp_path / "data"), "--port", "0", "--admin-port", "0"]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("amount", "currency", "said"),
    [("NaN", "USD", "'NaN' is not"), ("9" * 25, "USD", "at most 18 digits"), ("1", "DOLLARS", "is no currency")],
)
def test_money_that_cannot_be_is_told_in_words_before_anyone_is_asked(
    amount: str, currency: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "entrepot.sqlite").touch()
    assert run(["balance", "top-up", "a", amount, currency, "--id", "1", "--data", str(tmp_path)]) == 2
    errors = capsys.readouterr().err
    assert said in errors
    assert "\n  do    " in errors
