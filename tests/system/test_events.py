"""Events reach the screen, the status and a webhook in another process, also when everything is killed in between."""

import base64
import hmac
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from entrepot.prove.client import chat_body
from entrepot.prove.house import House
from entrepot.prove.processes import start_vendor

KEY = b"k" * 32
SECRET = "whsec_" + base64.b64encode(KEY).decode()
RECEIVER = Path(__file__).parents[1] / "webhook_receiver.py"


class Received:
    """The receiver's folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.process = subprocess.Popen([sys.executable, str(RECEIVER), str(folder)], stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline())

    def answer(self, status: int) -> None:
        (self.folder / "status").write_text(str(status))

    def rows(self) -> list[dict[str, Any]]:
        file = self.folder / "got"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


@pytest.fixture
def received(tmp_path: Path) -> Iterator[Received]:
    found = Received(tmp_path)
    try:
        yield found
    finally:
        found.process.kill()
        found.process.wait()


@pytest.fixture
def house(tmp_path_factory: pytest.TempPathFactory, received: Received) -> Iterator[House]:
    vendor = start_vendor(tmp_path_factory.mktemp("vendor") / "ledger")
    found = House(vendor.port, environment={"HOOK_SECRET": SECRET})
    hooks = f'webhooks = [{{ name = "ops", url = "http://127.0.0.1:{received.port}/hook", '
    hooks += 'secret = { env = "HOOK_SECRET" }, events = ["balance.low", "budget.threshold"] }]'
    text = found.catalog.read_text().replace('name = "Trial"\n', f'name = "Trial"\n{hooks}\n')
    found.catalog.write_text(
        text
        + """
[customer.studio]
pays = { by = "prepaid", warn_below = 4.9999 }
budgets = [{ per = "total", amount = 0.0001, hard = false, warn_at = [50] }]
"""
    )
    try:
        found.start()
        found.first_answer()
        yield found
    finally:
        found.end()
        vendor.end()


def _within(seconds: float, true: Callable[[], object]) -> None:
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until
        time.sleep(0.1)


def _kinds(received: Received, status: int = 200) -> list[str]:
    rows = [row for row in received.rows() if row["status"] == status]
    return [json.loads(row["body"])["type"] for row in rows]


def _spend(house: House) -> None:
    words = ("key", "create", "--customer", "studio", "--json")
    key = json.loads(house.command(*words).stdout)["key"]
    done = house.command("balance", "top-up", "studio", "5", "USD", "--id", "P-1")
    assert done.returncode == 0, done.stderr
    status, body = house.post(chat_body(house.model, completion=400, events=1, max_tokens=400), key=key)
    assert status == 200, body


def test_a_webhook_is_told_once_signed_and_the_operator_sees_it(house: House, received: Received) -> None:
    _within(20, lambda: _kinds(received) == ["balance.low"])  # a new customer has nothing left
    _spend(house)
    _within(20, lambda: sorted(_kinds(received)) == ["balance.low", "balance.low", "budget.threshold"])
    for row in received.rows():
        sent = {name.lower(): value for name, value in row["headers"].items()}
        signed = f"{sent['webhook-id']}.{sent['webhook-timestamp']}.{row['body']}".encode()
        assert sent["webhook-signature"] == "v1," + base64.b64encode(hmac.digest(KEY, signed, sha256)).decode()
        assert abs(int(sent["webhook-timestamp"]) - time.time()) < 60
    about = "50 % of budget all-total of studio"
    status = house.command("status").stdout
    assert about in status
    assert "entrepot budget list --customer studio" in status
    _within(5, lambda: about in house.log.read_text(errors="replace"))
    budgets = house.ask("budget", "list", "--customer", "studio")["budgets"]
    assert budgets[0]["spent"] == "0.000161"
    assert "all-total" in house.command("budget", "list").stdout
    events = house.admin("GET", "events")["events"]
    assert {each["webhooks"][0]["state"] for each in events} == {"delivered"}
    exported = house.command("export").stdout
    assert SECRET not in exported
    assert 'secret = { env = "HOOK_SECRET" }' in exported
    file = house.root / "export.toml"
    file.write_text(exported)
    assert "changes nothing" in house.command("apply", str(file)).stdout


def test_an_event_survives_a_kill_before_its_delivery(house: House, received: Received) -> None:
    received.answer(500)
    _spend(house)
    _within(20, lambda: "budget.threshold" in _kinds(received, 500))
    house.kill("all")
    house.wait_gone()
    assert "has not taken" in house.command("status").stdout
    failed = [row["headers"]["webhook-id"] for row in received.rows()]
    soon = {each for each in failed if failed.count(each) == 1}  # after a second failure 5 minutes pass
    assert soon
    received.answer(204)
    house.start()
    house.first_answer()
    _within(30, lambda: soon <= {row["headers"]["webhook-id"] for row in received.rows() if row["status"] == 204})
    states = {each["id"]: each["webhooks"][0]["state"] for each in house.admin("GET", "events")["events"]}
    assert set(failed) <= set(states)


def test_a_redirect_is_not_followed(house: House, received: Received) -> None:
    received.answer(302)
    _spend(house)
    _within(20, lambda: "budget.threshold" in _kinds(received, 302))
    time.sleep(2)
    assert {row["path"] for row in received.rows()} == {"/hook"}


def test_a_webhook_without_its_secret_is_refused_and_a_bad_one_too(house: House) -> None:
    file = house.root / "more.toml"
    hook = 'webhooks = [{ name = "new", url = "https://hooks.example/", secret = { env = "NO_SUCH_HOOK_SECRET" } }]'
    file.write_text(f'format = 1\n[operator]\nname = "Trial"\n{hook}\n')
    done = house.command("apply", str(file), "--yes")
    assert done.returncode == 1
    assert 'webhook "new" wants the environment variable NO_SUCH_HOOK_SECRET, which is not set' in done.stderr
    (house.root / "hook.secret").write_text("short")
    file.write_text(file.read_text().replace('env = "NO_SUCH_HOOK_SECRET"', 'file = "hook.secret"'))
    done = house.command("apply", str(file), "--yes")
    assert done.returncode == 1
    assert 'the secret of webhook "new" is "whsec_" and 24 to 64 bytes in base64' in done.stderr
