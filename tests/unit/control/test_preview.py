"""What prices would have done to last month's bills, asked of the admin API; nothing is changed by asking."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from entrepot.cli.effect_text import effect_text
from entrepot.kernel.instants import DAY, HOUR
from entrepot.limits.budget import period_of
from entrepot.metering import tables as metering
from entrepot.metering.rollup import Batch, RollupKey, RollupSums
from entrepot.storage.database import open_database, write
from entrepot.storage.folder import Folder

Call = Callable[..., tuple[int, dict[str, Any]]]
DEARER = """\
format = 1
[[book.list]]
currency = "USD"
valid_from = 2099-01-01T00:00:00Z
prices = [{ model = "large", output = 11.00 }]
"""


@pytest.fixture
def last_month(folder: Folder) -> str:
    """Usage of acme in the month before now: 10 million output tokens in each of two hours; the month's name."""
    import time

    this = period_of("month", time.time_ns() // 1000)
    month = period_of("month", this.starts_at - DAY)
    groups = {}
    for hour, deployment in ((month.starts_at + HOUR, "chat"), (month.ends_at - HOUR, "other")):
        key = RollupKey(
            customer="acme", project="search", key="k", deployment=deployment, model="large", vendor_model="large-1",
            upstream="maker-eu", vendor="maker", zone="eu", service_tier="", bracket="", price_version="list/1",
            currency="USD", cost_currency="", hour=hour, state="final", source="vendor", operation="chat",
        )  # fmt: skip
        tokens = (0, 0, 0, 10_000_000, 0, 0, 0, 0)
        groups[key] = RollupSums(1, 1, tokens, tokens, 100 * 10**9, 0, 0, 0, 1, 0)
    engine = open_database(folder.database)
    with write(engine) as connection:
        metering.add(connection, 1, 1, Batch(
            records=2, endings=2, last_at=month.ends_at, sealed=False, groups=groups, granted={}, returned={},
            charged={}, budgets={}, charges={}, costs={}, unrated=[], taken={}, refused={},
        ))  # fmt: skip
    engine.dispose()
    return month.name


def test_a_dry_run_says_what_each_customer_would_have_paid(call: Call, last_month: str) -> None:
    status, done = call("POST", "/admin/catalog", json={"text": DEARER, "dry_run": True})
    assert status == 200
    effect = done["effect"]
    assert (effect["month"], effect["sample"]) == (last_month, False)
    (acme,) = effect["effects"]
    assert (acme["name"], acme["before"], acme["after"], acme["change"]) == ("acme", "200.00", "220.00", "20.00")
    text = effect_text(effect, lines=1)
    assert f"on the usage of {last_month}, at the prices of 2099-01-01, before tax:" in text
    assert "+10.0 %" in text or "10.0 %" in text
    assert "large output" in text
    assert call("GET", "/admin/books/list")[1]["versions"] == 1, "nothing was changed"


def test_a_preview_is_the_effect_alone_and_the_same(call: Call, last_month: str) -> None:
    _, done = call("POST", "/admin/catalog", json={"text": DEARER, "dry_run": True})
    status, shown = call("POST", "/admin/books/preview", json={"text": DEARER})
    assert status == 200
    assert shown == done["effect"]


def test_a_published_version_is_compared_with_the_house_without_it(call: Call, last_month: str) -> None:
    call("POST", "/admin/catalog", json={"text": DEARER, "yes": True})
    _, shown = call("POST", "/admin/books/preview", json={"book": "list", "version": 2})
    assert [(each["before"], each["after"]) for each in shown["effects"]] == [("200.00", "220.00")]


@pytest.mark.long
def test_a_new_contract_shows_in_money(call: Call, last_month: str) -> None:
    text = (
        'format = 1\n[customer.acme]\nabout = { name = "Acme" }\ncontract = [{ book = "list", until = '
        '2099-01-01T00:00:00Z }, { id = "A-2", book = "list", discount_percent = 25, from = 2099-01-01T00:00:00Z }]\n'
        'deployments = [{ project = "search", name = "chat", model = "large" }]\n'
    )
    _, done = call("POST", "/admin/catalog", json={"text": text, "dry_run": True})
    assert [(each["before"], each["after"]) for each in done["effect"]["effects"]] == [("200.00", "150.00")]


def test_where_nothing_was_used_yet_a_sample_is_rated(call: Call) -> None:
    _, shown = call("POST", "/admin/books/preview", json={"text": DEARER})
    assert shown["sample"] is True
    assert {each["name"]: each["change"] for each in shown["effects"]} == {"acme": "0.25", "demo": "0.25"}
    assert "a sample of usage: 1,000 calls of each model" in effect_text(shown, lines=0)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ({}, "give either a catalog file's text, or a book and its version"),
        ({"book": "lst", "version": 1}, "there is no book 'lst'"),
        ({"book": "list", "version": 9}, "book 'list' has versions 1"),
        ({"text": DEARER.replace("2099-01-01", "2026-01-02")}, "This changes large output, in force since 2026-01-01"),
    ],
)
def test_a_question_without_an_answer_is_said_so(call: Call, body: dict[str, Any], why: str) -> None:
    status, facts = call("POST", "/admin/books/preview", json=body)
    assert status >= 400
    assert why in facts["error"]["message"]


def test_vendors_prices_are_proposed_and_nothing_is_published(call: Call) -> None:
    data = json.dumps([{"id": "m", "api_pattern": r"https://maker\.example", "models": [
        {"id": "large-1", "match": {"starts_with": "large"}, "prices": {"input_mtok": 1, "output_mtok": 4}},
    ]}])  # fmt: skip
    status, facts = call("POST", "/admin/books/import", json={"text": data, "file": "d.json"})
    assert status == 200
    assert facts["models"] == ["large"]
    assert f"sha256 {facts['sha256']}" in facts["text"]
    assert call("GET", "/admin/books")[1]["books"][0]["book"] == "list"
    status, done = call("POST", "/admin/catalog", json={"text": facts["text"], "dry_run": True})
    assert status == 200
    assert [(each["kind"], each["name"]) for each in done["effect"]["effects"]] == [("vendor", "maker")]
