"""Past usage is priced as by another version only after somebody has seen what it comes to, and approved it once."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from entrepot.cli.effect_text import rerating_text
from entrepot.kernel.instants import DAY
from entrepot.limits.budget import Period, period_of
from entrepot.metering import tables as metering
from entrepot.metering.rollup import Batch, RollupKey, RollupSums
from entrepot.rating.tables import reratings
from entrepot.storage.database import open_database, read, write
from entrepot.storage.folder import Folder

Call = Callable[..., tuple[int, dict[str, Any]]]
CUSTOMERS = """\
format = 1
[customer.bank]
contract = { id = "B-1", book = "list", discount_percent = 10 }
pays = { by = "invoice", credit_limit = 100_000.00 }
"""
VERSION = """\
format = 1
[[book.list]]
currency = "USD"
valid_from = 2099-01-01T00:00:00Z
prices = [{ model = "large", output = %s }]
"""


@pytest.fixture
def month(call: Call, folder: Folder) -> Period:
    """Last month: acme (prepaid) and bank (by invoice) each with 10 million output tokens in its 2nd and 20th day."""
    assert call("POST", "/admin/catalog", json={"text": CUSTOMERS, "yes": True})[0] == 200
    month = period_of("month", period_of("month", time.time_ns() // 1000).starts_at - DAY)
    groups = {}
    for customer in ("acme", "bank"):
        for day in (1, 19):
            key = RollupKey(
                customer=customer, project="default", key="k", deployment="d", model="large", vendor_model="large-1",
                upstream="maker-eu", vendor="maker", zone="eu", service_tier="", bracket="", price_version="list/1",
                currency="USD", cost_currency="", hour=month.starts_at + day * DAY, state="final", source="vendor",
                operation="chat",
            )  # fmt: skip
            tokens = (0, 0, 0, 10_000_000, 0, 0, 0, 0)
            groups[key] = RollupSums(1, 1, tokens, tokens, 100 * 10**9, 0, 0, 0, 1, 0)
    engine = open_database(folder.database)
    with write(engine) as connection:
        metering.add(connection, 1, 1, Batch(
            records=4, endings=4, last_at=month.ends_at, sealed=False, groups=groups, granted={}, returned={},
            charged={}, budgets={}, charges={}, costs={}, unrated=[], taken={}, refused={},
        ))  # fmt: skip
    engine.dispose()
    return month


def wanted(month: Period, **more: Any) -> dict[str, Any]:
    first = month.name + "-01"
    return {"book": "list", "version": 2, "from": first, "until": f"{month.name}-10", "customers": ["bank"], **more}


def publish(call: Call, output: str) -> None:
    assert call("POST", "/admin/catalog", json={"text": VERSION % output, "yes": True})[0] == 200


def decided(folder: Folder, customer: str) -> int:
    engine = open_database(folder.database)
    with read(engine) as connection:
        return len(reratings(connection).get(customer, ()))


@pytest.mark.long
def test_what_it_comes_to_is_shown_and_nothing_is_decided_without_an_id(
    call: Call, folder: Folder, month: Period
) -> None:
    publish(call, "11.00")
    for more in ({}, {"id": "RR-1", "by": "maria", "reason": "slip", "dry_run": True}):
        status, facts = call("POST", "/admin/books/rerate", json=wanted(month, **more))
        assert status == 200
        (bank,) = facts["effects"]
        assert (bank["name"], bank["month"], bank["before"], bank["after"], bank["change"]) == (
            "bank", month.name, "180.00", "189.00", "9.00"
        )  # fmt: skip
        assert (facts["approved"], bank["billed"]) == (False, [])
        assert "nothing was changed" in rerating_text(facts, lines=1)
    assert decided(folder, "bank") == 0


@pytest.mark.long
def test_an_approval_is_kept_once_and_then_changes_nothing_more(call: Call, folder: Folder, month: Period) -> None:
    publish(call, "11.00")
    body = wanted(month, id="RR-1", by="maria", reason="a slip")
    assert call("POST", "/admin/books/rerate", json=body)[1]["approved"] is True
    status, again = call("POST", "/admin/books/rerate", json=body)
    assert (status, again["effects"], decided(folder, "bank")) == (200, [], 1)
    assert again["known"] == ["bank"]
    said = rerating_text(again, lines=1)
    assert said == "RR-1 was approved before, with the same content, for bank; nothing was changed"
    for changed in ({"reason": "another"}, {"by": "jo"}, {"version": 1}, {"customers": ["acme"], "version": 1}):
        status, refused = call("POST", "/admin/books/rerate", json={**body, **changed})
        assert (status >= 400, refused["error"]["code"], decided(folder, "bank")) == (True, "decision_taken", 1)
    status, nothing = call("POST", "/admin/books/rerate", json={**body, "id": "RR-2"})
    assert (nothing["approved"], nothing["known"]) == (False, [])
    assert "nothing to approve" in rerating_text(nothing, lines=1)
    other = {**body, "until": f"{month.name}-25"}
    status, refused = call("POST", "/admin/books/rerate", json=other)
    assert status >= 400
    assert "RR-1/bank is another one" in refused["error"]["message"]


def test_everybody_who_pays_by_the_book_is_looked_at_where_nobody_is_named(call: Call, month: Period) -> None:
    publish(call, "9.00")
    _, facts = call("POST", "/admin/books/rerate", json=wanted(month, customers=[]))
    assert {each["name"]: each["change"] for each in facts["effects"]} == {"acme": "-10.00", "bank": "-9.00"}


@pytest.mark.long
def test_who_paid_ahead_never_owes(call: Call, folder: Folder, month: Period) -> None:
    publish(call, "11.00")
    body = wanted(month, customers=[], id="RR-1", by="maria", reason="a slip")
    status, refused = call("POST", "/admin/books/rerate", json=body)
    assert status >= 400
    assert "acme paid ahead and would owe" in refused["error"]["message"]
    assert decided(folder, "bank") == decided(folder, "acme") == 0


@pytest.mark.long
@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"version": 9}, "book 'list' has versions 1, 2"),
        ({"book": "lst"}, "there is no book 'lst'"),
        ({"customers": ["nobody"]}, "there is no customer 'nobody'"),
        ({"until": "2099-01-01"}, "is no time that has passed"),
        ({"from": "soon"}, "'soon' is not a date or instant"),
        ({"id": "RR-1"}, "says by whom and why: by and reason"),
    ],
)
def test_what_cannot_be_rerated_is_said(call: Call, month: Period, change: dict[str, Any], why: str) -> None:
    publish(call, "9.00")
    status, refused = call("POST", "/admin/books/rerate", json=wanted(month, **change))
    assert status >= 400
    assert why in refused["error"]["message"]


@pytest.mark.long
def test_usage_is_kept_by_the_hour(call: Call, month: Period) -> None:
    publish(call, "9.00")
    half = wanted(month, until=f"{month.name}-10T10:30:00Z")
    assert "whole hours" in call("POST", "/admin/books/rerate", json=half)[1]["error"]["message"]


def test_a_customers_contracts_show_with_their_terms(call: Call, month: Period) -> None:
    from entrepot.cli.customer import _show

    _, facts = call("GET", "/admin/customers/bank")
    assert [each["contract"] for each in facts["contracts"]] == ["B-1"]
    assert "  contract B-1: 10 % off list" in _show(facts).splitlines()


@pytest.mark.long
def test_a_month_in_which_nothing_was_for_sale_has_nothing_to_carry_over(call: Call) -> None:
    body = {"customer": "acme", "month": "2025-01", "group": "large audio list/1", "by": "maria", "reason": "asked"}
    status, refused = call("POST", "/admin/unrated-carried", json=body)
    assert (status, "nothing was for sale to acme in 2025-01" in refused["error"]["message"]) == (409, True), refused
