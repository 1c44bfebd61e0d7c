"""Balances, grants, refunds, suspension and revocation of customers of a house that runs."""

import http.client
import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest

from entrepot.prove.client import chat_body
from entrepot.prove.house import House
from entrepot.prove.processes import start_vendor


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    vendor = start_vendor(tmp_path_factory.mktemp("vendor") / "ledger")
    found = House(vendor.port)
    found.catalog.write_text(
        found.catalog.read_text()
        + """
[customer.studio]
projects = ["app"]
[customer.bank]
pays = { by = "prepaid" }
deployments = [
  { project = "app", name = "chat", model = "fake-model", tpm = 60_000 },
  { project = "app", name = "other", model = "fake-model" },
]
limits = [{ rpm = 600, tpm = 200_000 }]
[customer.office]
pays = { by = "invoice", credit_limit = 10.00 }
[customer.late]
contract = { book = "list", until = 2026-02-01T00:00:00Z, from = 2026-01-01T00:00:00Z }
"""
    )
    try:
        found.start()
        found.first_answer()
        yield found
    finally:
        found.end()
        vendor.end()


def _run(house: House, *words: str, code: int = 0) -> str:
    done = house.command(*words)
    assert done.returncode == code, f"{words}: {done.returncode}\n{done.stdout}{done.stderr}"
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


def _key(house: House, customer: str, *words: str) -> str:
    return str(json.loads(_run(house, "key", "create", "--customer", customer, *words, "--json"))["key"])


def _within(seconds: float, true: Callable[[], bool]) -> None:
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until
        time.sleep(0.05)


class Stream(threading.Thread):
    """A stream of six seconds, read until it ends; `ended_at` is when that was."""

    def __init__(self, house: House, key: str, model: str = "fake-model") -> None:
        super().__init__()
        self._house, self._key, self._model = house, key, model
        self.got = b""
        self.status = 0
        self.begun = threading.Event()
        self.ended_at = 0.0
        self.start()
        assert self.begun.wait(20)

    def run(self) -> None:
        line = http.client.HTTPConnection("127.0.0.1", self._house.port, timeout=30)
        body = chat_body(self._model, stream=True, completion=60, events=60, max_tokens=200, delay_ms=100)
        headers = {"Authorization": f"Bearer {self._key}", "Content-Type": "application/json"}
        try:
            line.request("POST", "/v1/chat/completions", body, headers)
            answer = line.getresponse()
            self.status = answer.status
            while piece := answer.read1(4096):
                self.got += piece
                self.begun.set()
        finally:
            self.ended_at = time.monotonic()
            self.begun.set()
            line.close()


def test_a_suspended_customers_stream_ends_within_a_second_and_is_metered(house: House) -> None:
    key = _key(house, "studio")
    _run(house, "balance", "top-up", "studio", "5", "USD", "--id", "S-1")
    stream = Stream(house, key)
    began = time.monotonic()
    threading.Thread(target=lambda: house.admin("POST", "customers/studio/suspend", {})).start()
    stream.join(20)
    assert stream.ended_at - began < 1.0
    assert stream.status == 200
    assert b'"code":"account_suspended"' in stream.got
    assert b"[DONE]" not in stream.got
    status, body = house.post(chat_body("fake-model", completion=1, events=1), key=key)
    assert (status, json.loads(body)["error"]["code"]) == (403, "account_suspended")
    _within(20, lambda: bool(_aborted(house)))
    assert "suspended" in _run(house, "customer", "list")
    assert "was suspended already" in _run(house, "customer", "suspend", "studio", "--yes")
    assert "may call again" in _run(house, "customer", "resume", "studio")
    status, _ = house.post(chat_body("fake-model", completion=1, events=1), key=key)
    assert status == 200


def _aborted(house: House) -> list[Any]:
    rows = house.ask("usage", "--state", "aborted", "--by", "customer")["rows"]
    return [row for row in rows if row["customer"] == "studio"]


def test_a_suspension_has_to_be_meant(house: House) -> None:
    said = house.command("customer", "suspend", "bank")
    assert said.returncode == 2
    assert "nobody is here to ask" in said.stderr


def test_a_stream_of_a_revoked_key_or_a_deleted_deployment_goes_on_to_its_end(house: House) -> None:
    key = _key(house, "bank")
    _run(house, "balance", "top-up", "bank", "5", "USD", "--id", "B-1")
    streams = [Stream(house, key, "chat"), Stream(house, key, "other")]
    text = house.catalog.read_text()
    house.catalog.write_text(text.replace('  { project = "app", name = "other", model = "fake-model" },\n', ""))
    _run(house, "apply", str(house.catalog), "--yes")
    house.catalog.write_text(text)
    status, body = house.post(chat_body("other", completion=1, events=1), key=key)
    assert (status, json.loads(body)["error"]["code"]) == (404, "model_not_found")
    _run(house, "key", "revoke", key[8:18])
    status, body = house.post(chat_body("chat", completion=1, events=1), key=key)
    assert (status, json.loads(body)["error"]["code"]) == (401, "invalid_api_key")
    for stream in streams:
        stream.join(20)
        assert stream.status == 200
        assert stream.got.endswith(b"data: [DONE]\n\n")
        assert b'"error"' not in stream.got


def test_a_call_after_the_end_of_the_contract_is_refused(house: House) -> None:
    key = _key(house, "late")
    status, body = house.post(chat_body("fake-model", completion=1, events=1), key=key)
    error = json.loads(body)["error"]
    assert (status, error["code"]) == (403, "contract_not_in_force")
    assert "ended at 2026-02-01T00:00:00Z" in error["message"]


def test_grants_are_listed_burned_in_order_refunded_and_taken_back(house: House) -> None:
    key = _key(house, "studio")
    assert "would add 3.00 USD to studio" in _run(
        house, "balance", "grant", "studio", "3", "--id", "G-1", "--until", "90d", "--dry-run"
    )
    assert "3.00 USD granted; 8." not in _run(house, "balance", "list")
    _run(house, "balance", "grant", "studio", "3", "--id", "G-1", "--until", "2099-01-01")
    assert "booked before" in _run(house, "balance", "grant", "studio", "3", "--id", "G-1", "--until", "2099-01-01")
    assert "id_used_before" in _run(
        house, "balance", "grant", "studio", "4", "--id", "G-1", "--until", "2099-01-01", "--json", code=1
    )
    status, _ = house.post(chat_body("fake-model", completion=1000, events=1, max_tokens=1000), key=key)
    assert status == 200
    house.ask("usage")
    facts = house.ask("balance", "show", "studio")
    used = {each["id"]: each["used"] for each in facts["grants"]}
    assert list(used) == ["G-1", "S-1"]
    assert used["G-1"] != "0"
    assert "is more than is unused of what studio paid" in _run(
        house, "balance", "refund", "studio", "6", "--id", "R-1", "--yes", code=1
    )
    assert "nobody is here to ask" in _run(house, "balance", "refund", "studio", "2", "--id", "R-1", code=2)
    assert "would take 2.00 USD from studio" in _run(
        house, "balance", "refund", "studio", "2", "--id", "R-1", "--dry-run"
    )
    assert "2.00 USD refunded" in _run(house, "balance", "refund", "studio", "2", "USD", "--id", "R-1", "--yes")
    assert "booked before" in _run(house, "balance", "refund", "studio", "2", "USD", "--id", "R-1", "--yes")
    shown = _run(house, "balance", "show", "studio")
    assert "G-1" in shown
    assert "refund" in shown


def test_what_a_grant_has_left_at_its_end_is_taken_back(house: House) -> None:
    key = _key(house, "studio")
    soon = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 4))
    before = house.ask("balance", "show", "studio")["left"]
    _run(house, "balance", "grant", "studio", "1", "--promo", "--id", "SHORT", "--until", soon)
    house.post(chat_body("fake-model", completion=10, events=1), key=key)

    def gone() -> bool:
        grant = next(each for each in house.ask("balance", "show", "studio")["grants"] if each["id"] == "SHORT")
        return bool(grant["left"] == "0")

    _within(20, gone)
    facts = house.ask("balance", "show", "studio")
    assert float(facts["left"]) <= float(before)
    assert any(each["kind"] == "expiry" for each in facts["postings"])
    assert "all agree" in _run(house, "verify")


def test_a_customer_that_pays_by_invoice_owes_and_has_no_balance_to_move(house: House) -> None:
    assert re.search(r"10(\.00)? USD left of a credit limit of 10\b", _run(house, "balance", "show", "office"))
    key = _key(house, "office")
    status, _ = house.post(chat_body("fake-model", completion=1000, events=1, max_tokens=1000), key=key)
    assert status == 200

    def owes() -> bool:
        left = {each["balance"]: each["left"] for each in house.ask("balance", "list")["balances"]}
        return bool(Decimal(left["office"]) < 10)

    _within(20, owes)
    shown = house.ask("balance", "show", "office")
    assert [each["kind"] for each in shown["postings"]] == ["usage"]
    said = _run(house, "balance", "top-up", "office", "5", "USD", "--id", "O-1", code=1)
    assert "office pays by invoice: it has a credit limit and no balance" in said
    text = house.catalog.read_text()
    house.catalog.write_text(text.replace('pays = { by = "invoice", credit_limit = 10.00 }', ""))
    said = _run(house, "apply", str(house.catalog), "--yes", code=1)
    house.catalog.write_text(text)
    assert "office has paid by invoice and money has moved: how it pays stays" in said


def test_limits_of_customers_deployments_and_keys_are_listed(house: House) -> None:
    words = ("--rpm", "60", "--concurrent", "2", "--budget", "1.50", "--per", "day")
    said = _run(house, "key", "create", "--customer", "bank", *words)
    assert "at most 60 requests a minute, 2 calls at once, 1.50 USD a day" in said
    rows = house.ask("limit", "list", "--customer", "bank")["limits"]
    assert {"customer": "bank", "scope": "customer", "of": "", "tpm": 200_000, "rpm": 600} in rows
    assert {"customer": "bank", "scope": "deployment", "of": "app/chat", "tpm": 60_000} in rows
    assert {"rpm": 60, "concurrent": 2}.items() <= next(row for row in rows if row["scope"] == "key").items()
    assert "deployment" in _run(house, "limit", "list")
    assert "missing" in _run(house, "key", "create", "--customer", "bank", "--per", "day", code=2)


def test_with_no_server_the_same_commands_work_on_the_folder(house: House) -> None:
    house.stop()
    _run(house, "balance", "top-up", "bank", "1", "USD", "--id", "OFF-1")
    _run(house, "balance", "grant", "bank", "1", "--id", "OFF-2")
    _run(house, "customer", "suspend", "bank", "--yes")
    assert "suspended" in _run(house, "customer", "show", "bank")
    _run(house, "customer", "resume", "bank")
    assert "OFF-2" in _run(house, "balance", "show", "bank")
    assert "60" in _run(house, "limit")
    house.start()
    house.first_answer()
