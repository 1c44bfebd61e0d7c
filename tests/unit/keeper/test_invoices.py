"""From rated usage to an invoice with its number and its postings: all of it, or nothing."""

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import Engine

from entrepot.billing import tables
from entrepot.billing.document.ubl import to_ubl
from entrepot.billing.document.xrechnung import check_xrechnung
from entrepot.billing.invoice import InvoiceBroken
from entrepot.catalog.issues import CatalogBroken
from entrepot.customers.tables import read_customers
from entrepot.keeper.arguments import CommandRefused
from entrepot.keeper.bills.anew import InvoiceExists
from entrepot.keeper.bills.invoices import InvoiceNotReady
from entrepot.ledger.check import check_ledger
from entrepot.ledger.tables import account_balances
from entrepot.rating.line import Rated, UnratedGroup
from entrepot.storage.database import open_database, prepare, read
from rated_usage import SHOP, Desk, at, rated_line

USAGE = [("aurora-large", "input", 22_361_870, "3.00"), ("aurora-large", "output", 4_088_665, "12.00"),
         ("aurora-small", "input", 1_000_003, "0.50")]  # fmt: skip
EUR = 10**9


@pytest.fixture
def desk(engine: Engine, tmp_path: Path) -> Desk:
    return Desk(engine, tmp_path)


def accounts(desk: Desk) -> dict[str, int]:
    with read(desk.engine) as connection:
        assert check_ledger(connection).differences == []
        return {account.id: amount for account, amount in account_balances(connection) if amount}


def test_an_invoice_moves_what_is_unbilled_to_receivable_with_tax_and_rounding(desk: Desk) -> None:
    rated = desk.use("kontor", USAGE, more=7)
    made = desk.issue(rated)
    # 67.08561 + 49.06398 + 0.5000015 rounded line by line: 67.09 + 49.06 + 0.50 = 116.65; 19 % of it is 22.16
    assert (made["number"], made["total"], made["payable"], made["state"]) == (
        "R-2026-00001", "138.81", "138.81", "issued"
    )
    found = accounts(desk)
    assert found["EUR:receivable:kontor"] == 138_810_000_000
    assert found["EUR:output tax::DE S 19"] == 22_160_000_000
    assert "EUR:unbilled:kontor" not in found
    large, small = found["EUR:revenue::aurora-large"], found["EUR:revenue::aurora-small"]
    assert (large, small) == (116_149_590_000, 500_001_500)
    assert found["EUR:rounding"] == 116_649_591_500 - 116_650_000_000


def test_a_draft_twice_replaces_the_first_and_says_so(desk: Desk) -> None:
    rated = desk.use("kontor", USAGE)
    assert desk.draft(rated)["replaced"] is False
    again = desk.draft(rated)
    assert (again["replaced"], again["id"], again["number"]) == (True, "kontor:2026-11", "")
    with read(desk.engine) as connection:
        assert len(tables.read_drafts(connection)) == 1


@pytest.mark.long
def test_issued_twice_is_issued_once(desk: Desk) -> None:
    rated = desk.use("kontor", USAGE)
    first = desk.issue(rated)
    before = desk.everything()
    again = desk.do("invoice.issue", draft="kontor:2026-11", customer="kontor")
    assert (again["number"], again["known"], first["known"]) == (first["number"], True, False)
    assert desk.everything() == before
    with pytest.raises(InvoiceExists, match="R-2026-00001 bills kontor for 2026-11 already"):
        desk.draft(rated)


@pytest.mark.long
def test_a_dry_run_says_the_number_and_uses_none(desk: Desk) -> None:
    rated = desk.use("kontor", USAGE)
    desk.draft(rated)
    before = desk.everything()
    said = desk.do("invoice.issue", draft="kontor:2026-11", customer="kontor", dry_run=True)
    assert (said["number"], said["dry_run"]) == ("R-2026-00001", True)
    assert desk.everything() == before
    assert desk.do("invoice.issue", draft="kontor:2026-11", customer="kontor")["number"] == "R-2026-00001"


class BrokenOff(Exception):
    """As a process that dies before its commit."""


@pytest.mark.long
@pytest.mark.parametrize("where", ["put_issued", "drop_draft", "next_number"])
def test_an_issue_that_is_killed_half_way_leaves_nothing_and_uses_no_number(
    desk: Desk, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rated = desk.use("kontor", USAGE)
    desk.draft(rated)
    before, real = desk.everything(), getattr(tables, where)

    def dies(*given: Any) -> Any:
        real(*given)
        raise BrokenOff

    with monkeypatch.context() as patch:
        patch.setattr(tables, where, dies)
        with pytest.raises(BrokenOff):
            desk.do("invoice.issue", draft="kontor:2026-11", customer="kontor")
    assert desk.everything() == before
    assert desk.do("invoice.issue", draft="kontor:2026-11", customer="kontor")["number"] == "R-2026-00001"


KILLED = """
import os, signal, sys
from pathlib import Path
from entrepot.billing import tables
from entrepot.keeper.commands import execute
from entrepot.storage.database import open_database
from entrepot.storage.folder import Folder
real = tables.put_issued
def dies(*given):
    real(*given)
    os.kill(os.getpid(), signal.SIGKILL)
tables.put_issued = dies
execute(open_database(Path(sys.argv[1])), Folder(Path(sys.argv[2])), "invoice.issue",
        {"draft": "kontor:2026-11", "customer": "kontor"}, int(sys.argv[3]))
"""


@pytest.mark.long
def test_a_process_that_is_killed_while_it_issues_leaves_nothing_and_uses_no_number(tmp_path: Path) -> None:
    where = tmp_path / "entrepot.sqlite"
    engine = open_database(where)
    prepare(engine)
    desk = Desk(engine, tmp_path)
    desk.draft(desk.use("kontor", USAGE))
    before = desk.everything()
    done = subprocess.run([sys.executable, "-c", KILLED, where, desk.folder.root, str(desk.now)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert desk.everything() == before
    assert desk.do("invoice.issue", draft="kontor:2026-11", customer="kontor")["number"] == "R-2026-00001"


def test_usage_without_a_price_blocks_issuing_and_says_what_to_do(desk: Desk) -> None:
    rated = desk.use("kontor", USAGE)
    group = UnratedGroup(
        name="aurora-large audio_input list/1", model="aurora-large", meter="audio_input", price_version="list/1",
        attempts=12, quantity=480, starts_at=at("2026-11-01"), ends_at=at("2026-12-01"), reason="no price",
    )  # fmt: skip
    blocked = desk.draft(msgspec.structs.replace(rated, unrated=(group,)))
    assert "12 calls are not rated: aurora-large audio_input list/1" in blocked["blocked"][0]
    with pytest.raises(InvoiceNotReady, match="publish a price for aurora-large and draft again"):
        desk.do("invoice.issue", draft="kontor:2026-11", customer="kontor")
    carried = msgspec.structs.replace(group, carried="by J. Meyer: free trial of audio")
    assert desk.draft(msgspec.structs.replace(rated, unrated=(carried,)))["blocked"] == []
    assert desk.do("invoice.issue", draft="kontor:2026-11", customer="kontor")["number"] == "R-2026-00001"


@pytest.mark.long
def test_a_month_that_is_not_over_is_issued_early_only_by_name(desk: Desk) -> None:
    rated = desk.use("kontor", USAGE, month="2026-12")
    assert "2026-12 is not over" in desk.draft(rated)["blocked"][0]
    with pytest.raises(InvoiceNotReady, match="issue it on 2027-01-01 or later"):
        desk.do("invoice.issue", draft="kontor:2026-12", customer="kontor")
    assert desk.do("invoice.issue", draft="kontor:2026-12", customer="kontor", early=True)["number"] == "R-2026-00001"


def test_a_draft_of_older_facts_is_not_issued(desk: Desk) -> None:
    rated = desk.use("kontor", USAGE)
    desk.draft(rated)
    desk.apply(SHOP.replace("Am Wall 1", "Am Wall 2"))
    with pytest.raises(InvoiceNotReady, match="buyer changed: draft it again"):
        desk.do("invoice.issue", draft="kontor:2026-11", customer="kontor")
    assert desk.issue(rated)["number"] == "R-2026-00001"


@pytest.mark.long
def test_only_drafts_are_discarded(desk: Desk) -> None:
    rated = desk.use("kontor", USAGE)
    desk.draft(rated)
    assert desk.do("invoice.discard", draft="kontor:2026-11", customer="kontor")["id"] == "kontor:2026-11"
    with pytest.raises(tables.InvoiceUnknown, match="no draft"):
        desk.do("invoice.discard", draft="kontor:2026-11", customer="kontor")
    desk.issue(rated)
    with pytest.raises(CommandRefused, match="R-2026-00001 is issued and stays"):
        desk.do("invoice.discard", draft="kontor:2026-11", customer="kontor")


def test_numbers_follow_each_other_over_customers(desk: Desk) -> None:
    numbers = [desk.issue(desk.use(name, USAGE))["number"] for name in ("kontor", "wien")]
    assert numbers == ["R-2026-00001", "R-2026-00002"]


def test_tax_follows_the_buyer(desk: Desk) -> None:
    made = desk.issue(desk.use("wien", USAGE))
    assert (made["total"], made["due_on"]) == ("116.65", "2027-01-02")
    with read(desk.engine) as connection:
        (row,) = tables.document_of(connection, made["number"]).taxes
        assert (row.tax.category, row.tax.code, row.amount_minor) == ("AE", "VATEX-EU-AE", 0)


@pytest.mark.long
def test_a_prepaid_month_is_paid_with_credit_and_returns_what_calls_took_too_much(desk: Desk) -> None:
    desk.now = at("2026-11-02T08:00:00Z")
    desk.do("balance.grant", customer="studio", amount="10", currency="EUR", kind="promo", id="START")
    desk.buy("studio", 238 * EUR, net=200 * EUR, id="PAY-1")
    desk.now = at("2026-12-03T09:00:00Z")
    rated = desk.use("studio", USAGE, more=410)
    left = accounts(desk)["EUR:prepaid credit:studio"]
    top_up = desk.do("invoice.draft_top_up", customer="studio", payment="PAY-1")
    assert (top_up["total"], top_up["payable"]) == ("238.00", "0.00")
    assert desk.do("invoice.issue", draft=top_up["id"], customer="studio")["number"] == "R-2026-00001"
    made = desk.issue(rated)
    assert (made["number"], made["payable"], made["state"]) == ("R-2026-00002", "0.00", "paid")
    with read(desk.engine) as connection:
        invoice = tables.document_of(connection, "R-2026-00002")
    totals = invoice.totals
    assert (totals.lines_minor, totals.allowances_minor, totals.without_tax_minor) == (11665, 1000, 10665)
    assert (totals.tax_minor, totals.paid_minor) == (2026, 10665 + 2026)
    assert [each.number for each in invoice.facts.preceding] == ["R-2026-00001"]
    found = accounts(desk)
    assert found["EUR:prepaid credit:studio"] == left + 410
    assert found["EUR:output tax::DE S 19"] == 38 * EUR  # of the purchase; the month adds none
    assert "EUR:receivable:studio" not in found


def test_credit_bought_before_the_seller_had_a_name_is_taxed_as_it_burns(engine: Engine, tmp_path: Path) -> None:
    nameless = SHOP.replace(SHOP[SHOP.index("[operator]") : SHOP.index("[vendor]")], "")
    desk = Desk(engine, tmp_path, nameless)
    desk.now = at("2026-11-02T08:00:00Z")
    desk.do("balance.top_up", customer="studio", amount="200.00", currency="EUR", id="PAY-1")
    desk.now = at("2026-12-03T09:00:00Z")
    desk.apply(SHOP)
    made = desk.issue(desk.use("studio", USAGE))
    assert (made["total"], made["payable"]) == ("138.81", "22.16")
    assert accounts(desk)["EUR:output tax::DE S 19"] == 22_160_000_000
    with pytest.raises(InvoiceBroken, match="no tax was decided"):
        desk.do("invoice.draft_top_up", customer="studio", payment="PAY-1")


def test_a_month_that_has_not_begun_is_not_issued_however_early(desk: Desk) -> None:
    least = rated_line(("", "", 100_000_000, "1.00"), "2027-03", kind="minimum", product="support", charged=0)
    rated = Rated(
        customer="kontor", currency="EUR", starts_on="2027-03-01", until="2027-04-01", lines=(least,)
    )  # fmt: skip
    assert desk.draft(rated)["total"] == "119.00"
    with pytest.raises(InvoiceNotReady, match="2027-03 has not begun: nothing of it can be billed yet"):
        desk.do("invoice.issue", draft="kontor:2027-03", customer="kontor", early=True)


@pytest.mark.long
def test_a_series_that_would_give_a_number_again_is_refused_with_its_line(desk: Desk) -> None:
    desk.issue(desk.use("kontor", USAGE))
    changed = SHOP.replace('series = "R-{year}-{n:05}"', 'series = "R-2026-{n:05}"')
    before = desk.everything()
    with pytest.raises(CatalogBroken, match=r"line 9 +series = .*\n +R-2026-00001 was given by another series"):
        desk.apply(changed)
    assert desk.everything() == before
    desk.apply(SHOP.replace('series = "R-{year}-{n:05}"', 'series = "RE-{year}-{n:05}"'))
    desk.apply(SHOP)
    desk.now = at("2027-01-04")
    assert desk.apply(changed.replace("R-2026-", "R-2027-"))["dry_run"] is False  # none of 2027 was given yet


@pytest.mark.long
@pytest.mark.parametrize(
    ("line", "written", "words"),
    [
        (10, 'credit_notes = "R-{year}-{n:03}"', r"would both write R-2111-11111"),
        (10, 'credit_notes = "R 1{n}"', r"credit_notes is a pattern .* beside them stand letters, digits"),
        (10, 'credit_notes = "R-{n}{n}"', r"credit_notes is a pattern of at most 40 letters"),
    ],
)
def test_two_series_that_meet_are_refused_with_their_line(desk: Desk, line: int, written: str, words: str) -> None:
    with pytest.raises(CatalogBroken, match=rf"line {line} +credit_notes.*\n(.*\n)*? +.*{words}"):
        desk.apply(SHOP.replace('credit_notes = "G-{year}-{n:05}"', written))
    with pytest.raises(CatalogBroken, match="would both write G-"):
        desk.apply(SHOP.replace('credit_notes = "G-{year}-{n:05}"\n', "").replace('"R-{year}', '"G-{year}'))


def test_what_is_read_of_one_customer_is_what_the_catalog_of_all_says_of_it(desk: Desk) -> None:
    with read(desk.engine) as connection:
        everybody = read_customers(connection)
        assert sorted(everybody) == ["kontor", "studio", "wien"]
        assert {name: read_customers(connection, name)[name] for name in everybody} == everybody
        assert list(read_customers(connection, "kontor")) == ["kontor"]
        assert read_customers(connection, "nobody") == {}


@pytest.mark.long
def test_what_cannot_be_sent_in_its_customers_format_is_not_issued(engine: Engine, tmp_path: Path) -> None:
    wanted = SHOP.replace(
        'email = "ap@kontor.example" }', 'buyer_reference = "04011000-12345-67" }'
    ).replace("credit_limit = 90_000.00 }", 'credit_limit = 90_000.00, format = "xrechnung" }')  # fmt: skip
    phone = ', phone = "+49 40 5550100"'
    desk = Desk(engine, tmp_path, wanted.replace(phone, ""))
    rated = desk.use("kontor", USAGE)
    assert desk.draft(rated)["blocked"] == [
        f'kontor is to get an XRechnung (pays.format = "xrechnung"), in which {why}; entrepot apply FILE, then draft '
        "again"
        for why in (
            "the seller's contact has a telephone (BR-DE-6): give operator.contact name, phone and email",
            "the buyer has an electronic address (PEPPOL-R010): give customer.kontor.about.email",
        )
    ]
    with pytest.raises(InvoiceNotReady, match=r"give customer\.kontor\.about\.email"):
        desk.do("invoice.issue", draft="kontor:2026-11", customer="kontor")
    reference = 'buyer_reference = "04011000-12345-67"'
    desk.apply(wanted.replace(reference, f'{reference}, email = "ap@kontor.example"'))
    assert desk.draft(rated)["blocked"] == []
    number = desk.do("invoice.issue", draft="kontor:2026-11", customer="kontor")["number"]
    with read(desk.engine) as connection:
        assert check_xrechnung(to_ubl(tables.document_of(connection, number), xrechnung=True)).findings == ()
