"""The commands against a real house: served, with roles held down, stopped."""

import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from entrepot.prove.client import chat_body
from entrepot.prove.house import House
from served_house import served

REQUEST = re.compile(r"req_[0-9A-HJKMNP-TV-Z]{26}")
SHOP = """\
format = 1

[vendor]
shop = { name = "Shop" }
[upstream.shop]
vendor = "shop"
endpoint = { dialect = "openai", url = "https://shop.example/v1", key = { env = "SHOP_KEY" } }
[model]
lamp = { routes = ["shop/lamp-1"], context = 8_000, output_max = 1_000 }
[[book.list]]
currency = "USD"
valid_from = 2027-01-01T00:00:00Z
prices = [{ model = "lamp", input = 1.00, output = 2.00 }]
[customer.acme]
about = { name = "Acme" }
"""


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with served(tmp_path_factory.mktemp("vendor")) as found:
        yield found


def _call(house: House, model: str | None = None, key: str = "") -> tuple[int, dict[str, Any], str]:
    """Status, JSON and request id of one call."""
    import http.client

    connection = http.client.HTTPConnection("127.0.0.1", house.port, timeout=20)
    headers = {"Authorization": f"Bearer {key or house.key}", "Content-Type": "application/json"}
    connection.request("POST", "/v1/chat/completions", chat_body(model or house.model, completion=7, events=1), headers)
    answer = connection.getresponse()
    body = json.loads(answer.read())
    connection.close()
    return answer.status, body, answer.headers["x-request-id"]


def _run(house: House, *words: str, code: int = 0) -> str:
    done = house.command(*words)
    assert done.returncode == code, f"{words}: {done.returncode}\n{done.stdout}{done.stderr}"
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


def test_no_other_user_may_read_what_lies_in_the_folder(house: House) -> None:
    _call(house)
    house.ask("usage")
    found = {path: path.lstat().st_mode & 0o777 for path in house.folder.root.rglob("*") if path.name != "hold-local"}
    names = {path.name for path in found}
    assert {"entrepot.sqlite", "gateway-w1.sock", "keeper.sock", "gateway-1.log", "connections", "lake"} <= names
    assert {str(path): oct(mode) for path, mode in found.items() if mode & 0o077} == {}


def test_usage_shows_a_call_within_two_seconds_of_it(house: House) -> None:
    before = house.ask("usage")["rows"]
    calls = sum(row["requests"] for row in before)
    _call(house)
    until = time.monotonic() + 2.0
    while sum(row["requests"] for row in house.ask("usage")["rows"]) <= calls:
        assert time.monotonic() < until + 1.5, "the command itself may take a second here"
    text = _run(house, "usage")
    assert re.match(r"today \(UTC\), up to \d\.\d s ago\n", text)
    assert re.search(r"^demo +fake-model +\d", text, re.M)


def test_explain_shows_the_hold_the_journal_and_the_price(house: House) -> None:
    status, body, request = _call(house)
    assert status == 200
    facts = house.ask("explain", request)
    assert facts["state"] == "final"
    attempt = facts["attempts"][0]
    assert attempt["vendor_said"]["completion_tokens"] == body["usage"]["completion_tokens"]
    assert attempt["hold_is"]["input_price"] == "0.10"
    assert attempt["valid_from"] == "2026-01-01T00:00:00Z"
    text = _run(house, "explain", request)
    for part in ("admitted    hold ", "intent      on disk: stream w", "vendor said   prompt ", "posted 0."):
        assert part in text


def test_explain_tells_a_refusal_from_the_gateways_memory(house: House) -> None:
    status, _, request = _call(house, model="unheard-of")
    assert status == 404
    text = _run(house, "explain", request)
    assert "refused with 404 model_not_found" in text
    assert "nothing was charged" in text


def test_explain_of_what_is_no_request_is_wrong_use(house: House) -> None:
    assert "is not the id of a request" in _run(house, "explain", "req_1", code=2)
    unknown = "req_01M7YZX0A6E3B9KD2RTN5W8V4C"
    assert "no record of" in _run(house, "explain", unknown, code=1)


def test_a_new_key_works_and_a_revoked_one_is_refused_when_the_command_returns(house: House) -> None:
    key = house.ask("key", "create", "--customer", "demo", "--name", "two")
    assert _call(house, key=key["key"])[0] == 200
    renewed = house.ask("key", "rotate", key["id"], "--overlap", "1h")
    assert _call(house, key=key["key"])[0] == 200
    assert _call(house, key=renewed["key"])[0] == 200
    _run(house, "key", "revoke", key["id"])
    assert _call(house, key=key["key"])[0] == 401
    assert _call(house, key=renewed["key"])[0] == 401
    shown = next(each for each in house.ask("key")["keys"] if each["id"] == key["id"])
    assert shown["state"] == "revoked"
    assert key["key"] not in json.dumps(house.ask("key", "list"))


def test_a_whole_key_is_not_taken_for_an_id_and_not_repeated(house: House) -> None:
    text = _run(house, "key", "revoke", house.key, code=2)
    assert house.key not in text


def test_a_top_up_counts_once_however_often_it_is_sent(house: House) -> None:
    first = house.ask("balance", "top-up", "demo", "100", "USD", "--id", "PAY-7")
    again = house.ask("balance", "top-up", "demo", "100", "USD", "--id", "PAY-7")
    assert (first["posted"], again["posted"]) == (True, False)
    assert "other content" in _run(house, "balance", "top-up", "demo", "101", "USD", "--id", "PAY-7", code=1)
    tried = house.ask("balance", "top-up", "demo", "5", "USD", "--id", "PAY-8", "--dry-run")
    assert tried["posted"] is False
    assert sum("top-up/PAY-" in each["id"] for each in house.ask("balance", "show", "demo")["postings"]) == 1


def test_apply_of_an_export_changes_nothing(house: House) -> None:
    (house.root / "export.toml").write_text(house.ask("export")["text"])
    assert _run(house, "apply", "export.toml") == "export.toml changes nothing\n"


def test_apply_asks_for_yes_where_nobody_is_there_to_ask(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    (house.root / "shop.toml").write_text(SHOP)
    missing = _run(house, "apply", "shop.toml", "--yes", code=1)
    assert missing == (
        'error: upstream "shop" wants the environment variable SHOP_KEY, which is not set (shop.toml, line 7)\n'
        "  do    export SHOP_KEY=…      then: entrepot apply shop.toml\n"
    )
    monkeypatch.setitem(house._environment, "SHOP_KEY", "sk-shop-secret-1")
    assert "+ customer acme" in _run(house, "apply", "shop.toml", "--dry-run")
    assert "nothing was changed" in _run(house, "apply", "shop.toml", code=2)
    assert "acme" not in _run(house, "customer")
    assert "applied" in _run(house, "apply", "shop.toml", "--yes")
    assert "acme" in _run(house, "customer")
    for command in (("export",), ("upstream",), ("status",)):
        assert "sk-shop-secret-1" not in _run(house, *command)
    assert "shop.toml changes nothing" in _run(house, "apply", "shop.toml")


def test_mistakes_are_shown_all_at_once_and_change_nothing(house: House) -> None:
    (house.root / "broken.toml").write_text(SHOP.replace('"shop/lamp-1"', '"shpo/lamp-1"').replace("8_000", "10"))
    for words in (("apply", "broken.toml", "--yes"), ("check", "broken.toml")):
        text = _run(house, *words, code=1)
        assert text.startswith("broken.toml: 2 mistakes")
        assert 'Did you mean "shop" (line 5)?' in text


def test_a_model_without_a_price_needs_somebody(house: House) -> None:
    (house.root / "unpriced.toml").write_text(
        'format = 1\n[model]\nfree-lunch = { routes = ["fake/free"], context = 100, output_max = 10 }\n'
    )
    _run(house, "apply", "unpriced.toml", "--yes")
    status, body, request = _call(house, model="free-lunch")
    assert (status, body["error"]["code"]) == (503, "model_not_priced")
    text = _run(house, "status")
    need = r"needs you   free-lunch was refused once since \d\d:\d\d: no price for input and output on \d{4}-"
    assert re.search(need, text)
    assert "under [[book.list]] with a new valid_from, then: entrepot apply" in text
    assert "refused with 503 model_not_priced" in _run(house, "explain", request)


def test_status_names_every_process(house: House) -> None:
    text = _run(house, "status")
    for part in ("running", "w1 answers: ", "w2 answers: ", "keeper     answers", "control    answers", "database   "):
        assert part in text


def test_verify_agrees(house: House) -> None:
    text = _run(house, "verify")
    assert "all agree" in text
    assert _run(house, "verify", "ledger").startswith("ledger     ")


def test_another_server_is_found_by_url_and_token(house: House, tmp_path: Path) -> None:
    url, token = f"http://127.0.0.1:{house.admin_port}", house.folder.read_credentials()["admin_token"]
    assert "demo" in _elsewhere(tmp_path, "customer", "--url", url, "--token", token)
    assert "not the admin token" in _elsewhere(tmp_path, "customer", "--url", url, "--token", "x", code=2)
    assert "no server answers at" in _elsewhere(tmp_path, "customer", "--url", "http://127.0.0.1:9", code=3)


def test_with_control_away_reads_changes_and_revocation_go_on(house: House) -> None:
    key = house.ask("key", "create", "--customer", "demo")
    house.hold_down("control")
    until = time.monotonic() + 15
    while house.pids("control") and time.monotonic() < until:
        time.sleep(0.1)
    try:
        text = _run(house, "status")
        assert "control    does not answer" in text
        assert "w1 answers" in text
        assert "demo" in _run(house, "usage")
        _run(house, "key", "revoke", key["id"])
        assert _call(house, key=key["key"])[0] == 401
    finally:
        house.release("control")


def test_with_the_admin_port_taken_up_commands_still_work(house: House) -> None:
    lines = [socket.create_connection(("127.0.0.1", house.admin_port)) for _ in range(260)]
    try:
        assert "without it" in _run(house, "status")
        key = house.ask("key", "create", "--customer", "demo", "--name", "besieged")
        assert _call(house, key=key["key"])[0] == 200
    finally:
        for line in lines:
            line.close()


def test_a_stopped_house_answers_from_its_folder(house: House) -> None:
    _, _, request = _call(house)
    served = house.ask("usage")["rows"]
    assert house.stop() == 0
    assert ": not running" in _run(house, "status")
    assert house.ask("usage")["rows"] == served
    assert house.ask("explain", request)["state"] == "final"
    key = house.ask("key", "create", "--customer", "demo")
    assert "all agree" in _run(house, "verify")
    doomed = house.ask("key", "create", "--customer", "demo")
    _run(house, "key", "revoke", doomed["id"])
    house.start()
    house.first_answer()
    assert _call(house, key=key["key"])[0] == 200
    assert _call(house, key=doomed["key"])[0] == 401


def test_a_folder_where_no_server_ran_says_what_to_do(tmp_path: Path) -> None:
    text = _elsewhere(tmp_path, "usage", code=3)
    assert text == (
        "error: no server has run on data/ yet, and none is named with --data or --url\n  do    make serve\n"
    )


def test_help_is_light_and_quick(tmp_path: Path) -> None:
    heavy = {"sqlalchemy", "fastapi", "httpx", "duckdb", "uvicorn", "starlette", "pydantic"}
    for words in (["--help"], ["usage", "--help"], ["key", "--help"], ["apply", "--help"], ["explain", "--help"]):
        program = (
            "import sys, resource; from entrepot.cli.group import run; assert run(sys.argv[1:]) == 0; "
            "print(); print(resource.getrusage(resource.RUSAGE_SELF).ru_utime, *sys.modules)"
        )
        done = subprocess.run([sys.executable, "-c", program, *words], capture_output=True, text=True, check=True)
        seconds, *modules = done.stdout.splitlines()[-1].split()
        assert not heavy & set(modules), words
        assert float(seconds) < 0.5, f"{words}: {seconds} s of CPU; 0.13 when it was written, on an idle core"


def _elsewhere(where: Path, *words: str, code: int = 0) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "entrepot", *words], capture_output=True, text=True, cwd=where, check=False,
        env={name: value for name, value in os.environ.items() if not name.startswith("ENTREPOT_")},
    )  # fmt: skip
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr
