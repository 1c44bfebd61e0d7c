"""Answers of the admin API on a folder after its first start."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from endings import ending, terms
from entrepot.cli.explain import explain_text
from entrepot.cli.group import run
from entrepot.cli.usage import usage_text
from entrepot.control import trace
from entrepot.control.amount import line_amount, per_million
from entrepot.keeper.lake import SegmentRows
from entrepot.kernel.buckets import NOTHING, Quantities
from entrepot.metering.record import to_bytes
from entrepot.storage import lake
from entrepot.storage.folder import Folder

Call = Callable[..., tuple[int, dict[str, Any]]]


@pytest.mark.long
def test_usage_of_a_quiet_house(call: Call) -> None:
    status, facts = call("GET", "/admin/usage")
    assert status == 200
    assert facts["fresh"] is True
    assert facts["rows"] == []
    assert usage_text(facts).startswith("today (UTC), up to ")


@pytest.mark.long
@pytest.mark.parametrize("query", ["from=yesterday", "until=2026-13-01", "state=lost", "by=colour"])
def test_a_question_that_cannot_be_answered_is_said_so(call: Call, query: str) -> None:
    status, facts = call("GET", f"/admin/usage?{query}")
    assert status in {400, 409}
    assert "'" in facts["error"]["message"], "the value stands in the message"


@pytest.mark.long
def test_the_query_is_shown_with_its_values(call: Call) -> None:
    _, facts = call("GET", "/admin/usage?from=2026-11-01&customer=o%27hara")
    assert "FROM usage_rollup" in facts["sql"]
    assert "customer = 'o''hara'" in facts["sql"]
    assert "?" not in facts["sql"]


@pytest.mark.long
def test_a_key_comes_out_once_and_its_secret_never_again(call: Call, folder: Folder) -> None:
    status, made = call("POST", "/admin/keys", json={"customer": "acme", "name": "ci"})
    assert status == 200
    assert made["project"] == "search"
    _, listed = call("GET", "/admin/keys?customer=acme")
    (shown,) = listed["keys"]
    assert made["key"] not in str(listed)
    assert shown["secrets"] == [{"last": made["key"][-4:], "expires_at": None}]
    call("POST", f"/admin/keys/{made['id']}/revoke", json={})
    assert call("GET", "/admin/keys?customer=acme")[1]["keys"][0]["state"] == "revoked"
    assert made["id"] in folder.denied(0)[0]


@pytest.mark.long
def test_a_denied_key_shows_as_revoked_before_the_database_knows(call: Call, folder: Folder) -> None:
    _, made = call("POST", "/admin/keys", json={"customer": "acme"})
    folder.deny_key(made["id"])
    states = {key["id"]: key["state"] for key in call("GET", "/admin/keys")[1]["keys"]}
    assert states[made["id"]] == "revoked"


def test_what_the_keeper_refuses_keeps_its_code_and_words(call: Call) -> None:
    status, body = call("POST", "/admin/keys", json={"customer": "acmee"})
    assert (status, body["error"]["code"]) == (409, "command_refused")
    assert 'Did you mean "acme"?' in body["error"]["message"]


@pytest.mark.long
def test_mistakes_of_a_catalog_come_as_a_list_too(call: Call) -> None:
    status, body = call("POST", "/admin/catalog", json={"text": "format = 1\n[operator]\nnmae = 1\n", "file": "x.toml"})
    assert (status, body["error"]["code"]) == (409, "catalog_broken")
    assert body["error"]["message"].startswith("x.toml: ")
    assert body["error"]["issues"][0]["line"] >= 1


def test_an_export_applied_changes_nothing(call: Call) -> None:
    _, exported = call("GET", "/admin/catalog")
    _, planned = call("POST", "/admin/catalog", json={"text": exported["text"], "dry_run": True})
    assert planned["changed"] is False


@pytest.mark.long
def test_nothing_by_this_name(call: Call) -> None:
    for path in ("customers/none", "books/none", "balances/none"):
        status, body = call("GET", f"/admin/{path}")
        assert (status, body["error"]["code"]) == (404, "not_found"), path
    assert call("GET", "/admin/explain/req_1")[0] == 400
    assert call("GET", "/admin/explain/req_01M7YZX0A6E3B9KD2RTN5W8V4C")[0] == 404


def test_deployments_say_why_something_cannot_be_sold(call: Call) -> None:
    _, facts = call("GET", "/admin/deployments")
    shown = {(d["customer"], d["name"]): d["for_sale"] for d in facts["deployments"]}
    assert shown == {("acme", "chat"): True, ("demo", "large"): True}


def test_a_top_up_is_booked_and_shown(call: Call) -> None:
    body = {"amount": "12.5", "currency": "USD", "id": "PAY-1"}
    assert call("POST", "/admin/balances/acme/top-ups", json=body)[1]["posted"] is True
    assert call("POST", "/admin/balances/acme/top-ups", json=body)[1]["posted"] is False
    _, facts = call("GET", "/admin/balances/acme")
    assert facts["left"] == "12.5"
    assert [posting["amount"] for posting in facts["postings"]] == ["12.5"]


@pytest.mark.long
def test_a_price_and_a_posting_can_be_explained(call: Call) -> None:
    _, price = call("GET", "/admin/explain/list%2F1")
    assert "what customers pay, USD, valid from 2026-01-01T00:00:00Z" in explain_text(price)
    assert "large  output  10.00  1,000,000" in explain_text(price)
    _, posting = call("GET", "/admin/explain/top-up/first-start")
    assert posting["transfers"][0]["amount"] == "5"
    assert explain_text(posting).startswith("top-up/first-start, 2026-11-21T10:00:00Z: top-up of demo by 5.00 USD")
    assert call("GET", "/admin/explain/list/9")[0] == 404
    status, refused = call("GET", "/admin/explain/list%2F1%2Bmaker-cost%2F2")
    assert status == 400
    assert "explain list/1 and maker-cost/2, one by one" in str(refused)


@pytest.mark.long
@pytest.mark.parametrize("amount", ["-1", "1e3", "NaN", "", "1.1234567890123456789", " 1"])
def test_an_amount_is_plain_digits(call: Call, amount: str) -> None:
    body = {"amount": amount, "currency": "USD", "id": "PAY-1"}
    assert call("POST", "/admin/balances/acme/top-ups", json=body)[0] == 400


def test_status_without_a_server_still_tells_what_is_kept(call: Call) -> None:
    status, facts = call("GET", "/admin/status")
    assert status == 200
    assert facts["keeper"]["answers"] is False
    assert facts["database"]["answers"] is True
    assert {b["balance"]: b["left"] for b in facts["database"]["balances"]} == {"acme": "0", "demo": "5"}


def test_status_survives_a_database_that_is_no_database(call: Call, folder: Folder) -> None:
    folder.database.write_bytes(b"not a database" * 100)
    status, facts = call("GET", "/admin/status")
    assert status == 200
    assert facts["database"]["answers"] is False
    assert any("the database does not answer" in need["what"] for need in facts["needs_you"])


def test_prices_of_a_million_keep_every_digit() -> None:
    assert per_million(2500, 1, "USD") == "2.50"
    assert per_million(75, 1, "USD") == "0.075"
    assert per_million(1, 3, "USD").startswith("0.000333")
    assert line_amount(1308, 2500, 1, "USD") == "0.00327"
    assert line_amount(0, 2500, 1, "USD") == "0"


def test_a_row_of_the_lake_is_the_record_it_was(tmp_path: Path) -> None:
    written: Quantities = (5, 0, 9, 6, 0, 0, 0, 0)
    strange = terms(den=3, rates=(1, -1, -1, 4, 4, -1, -1, -1), cost_version="", cost_currency="", zone="")
    records = [
        ending(4),
        ending(5, quantities=written, terms=strange, unrated=(2, 7), cost=-1, usage="{\"ä\": 1}".encode(), stream=True),
        ending(6, charged=NOTHING, state="estimated", source="estimate", reason="crash", sent_at=0, first_at=0),
    ]
    rows = SegmentRows((1, 1, 1), map(to_bytes, records))
    lake.write_file(tmp_path / "a" / "b" / "c.parquet", rows)
    for record in records:
        (row,) = lake.find([tmp_path / "a" / "b" / "c.parquet"], record.request)
        assert trace.ending_of(row) == record


@pytest.mark.long
@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("by=nonsense", "usage is not kept by 'nonsense'; known are customer"),
        ("from=2026-11-20&until=2026-11-19", "until 2026-11-19 is not after from 2026-11-20; nothing is between them"),
        ("until=2020-01-01", "which is today without a from"),
    ],
)
def test_a_question_about_usage_that_makes_no_sense_is_wrong_use(call: Call, query: str, said: str) -> None:
    status, body = call("GET", f"/admin/usage?{query}")
    assert status == 400
    assert said in body["error"]["message"]


@pytest.mark.long
def test_status_ends_with_a_whole_line(folder: Folder, capsys: pytest.CaptureFixture[str]) -> None:
    for more in ([], ["--json"]):
        assert run(["status", "--data", str(folder.root), *more]) == 0
        text = capsys.readouterr().out
        assert text.endswith("\n")
        assert not text.endswith("\n\n")


@pytest.mark.long
def test_an_address_that_is_none_is_named(call: Call) -> None:
    status, facts = call("POST", "/admin/upstreams//test", json={})
    assert (status, facts["error"]["code"]) == (404, "not_found")
    assert facts["error"]["message"] == "the admin API has nothing at POST /admin/upstreams//test"
    status, facts = call("POST", "/admin/usage", json={})
    assert (status, facts["error"]["message"]) == (405, "the admin API does not know POST /admin/usage")
