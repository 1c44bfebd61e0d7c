"""Credit notes and disputes: what they do to the document, to its state and to the accounts."""

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from sqlalchemy import Engine

from entrepot.billing import tables
from entrepot.billing.crediting import CreditTooLarge
from entrepot.keeper.arguments import CommandRefused
from entrepot.keeper.bills.anew import InvoiceExists
from entrepot.keeper.bills.payments import PaymentRefused
from entrepot.kernel.errors import EntrepotError
from entrepot.ledger.check import check_ledger
from entrepot.ledger.tables import account_balances
from entrepot.ledger.transfer import TransactionConflict
from entrepot.storage.database import read
from rated_usage import SHOP, Desk, at, rated_line

USAGE = [("aurora-large", "input", 22_361_870, "3.00"), ("aurora-large", "output", 4_088_665, "12.00"),
         ("aurora-small", "input", 1_000_003, "0.50")]  # fmt: skip
EUR = 10**9
FIRST = "R-2026-00001"


@pytest.fixture
def desk(engine: Engine, tmp_path: Path) -> Desk:
    """Kontor was billed 116.65 and tax of 22.16 for November."""
    found = Desk(engine, tmp_path)
    found.issue(found.use("kontor", USAGE))
    return found


def accounts(desk: Desk) -> dict[str, int]:
    with read(desk.engine) as connection:
        assert check_ledger(connection).differences == []
        return {account.id: amount for account, amount in account_balances(connection) if amount}


def credit(desk: Desk, id: str = "CN-1", number: str = FIRST, **args: Any) -> dict[str, Any]:
    return desk.do("invoice.credit_note", customer="kontor", number=number, id=id, reason="miscounted", **args)


def pay(desk: Desk, amount: str, id: str, **args: Any) -> dict[str, Any]:
    return desk.do("payment.record", customer="kontor", amount=amount, id=id, **args)


def invoice(desk: Desk, number: str = FIRST) -> Any:
    with read(desk.engine) as connection:
        return tables.document_of(connection, number)


@pytest.mark.long
def test_a_line_is_credited_by_old_rounded_less_right_rounded(desk: Desk) -> None:
    made = credit(desk, lines={"1": {"quantity": "20000000"}})
    # 67.09 as billed less 60.00 as right; 19 % of 116.65 is 22.16, of 109.56 it is 20.82
    assert (made["number"], made["kind"], made["credits"], made["total"]) == ("G-2026-00001", "381", FIRST, "8.43")
    assert (made["credited"]["state"], made["credited"]["open"]) == ("issued", "130.38")
    note = invoice(desk, "G-2026-00001")
    assert [(str(each.quantity), each.net_minor) for each in note.lines] == [("22361870", 6709), ("-20000000", -6000)]
    assert [(row.base_minor, row.amount_minor) for row in note.taxes] == [(709, 134)]  # not 19 % of 7.09, 1.35
    assert (note.facts.preceding[0].number, note.facts.notes) == (FIRST, ("miscounted",))
    found = accounts(desk)
    assert found["EUR:receivable:kontor"] == 130_380_000_000
    assert found["EUR:output tax::DE S 19"] == 20_820_000_000
    assert found["EUR:revenue::aurora-large"] == 116_149_590_000 - 7_085_610_000


@pytest.mark.long
def test_credit_notes_add_up_to_the_invoice_and_never_above_it(desk: Desk) -> None:
    credit(desk, "CN-1", lines={"1": {"quantity": "20000000"}})
    credit(desk, "CN-2", lines={"1": {"quantity": "19990000"}, "2": {"quantity": "4088665", "price": "11.9"}})
    whole = credit(desk, "CN-3", all=True)
    assert (whole["credited"]["state"], whole["credited"]["credited"]) == ("credited", "138.81")
    with pytest.raises(CreditTooLarge, match="nothing of R-2026-00001 is left"):
        credit(desk, "CN-4", all=True)
    found = accounts(desk)
    assert "EUR:receivable:kontor" not in found
    assert "EUR:output tax::DE S 19" not in found
    assert found["EUR:unbilled:kontor"] == 116_649_591_500  # free for a new invoice
    assert found["EUR:revenue::aurora-large"] == 116_149_590_000


@pytest.mark.long
@pytest.mark.parametrize(
    ("lines", "error", "words"),
    [
        ({"1": {"quantity": "30000000"}}, CreditTooLarge, "stands at 67.09 EUR and would become 90.00 EUR"),
        ({"1": {"quantity": "-1"}}, CreditTooLarge, "takes a line down to nothing at most"),
        ({"1": {"quantity": "22361870", "price": "3.50"}}, CreditTooLarge, "would become 78.27 EUR"),
        ({"1": {"quantity": "22361870"}}, CreditTooLarge, "nothing would be credited"),
        ({"9": {"quantity": "0"}}, EntrepotError, "has no line 9; its lines are 1, 2, 3"),
        ({"1": {"quantity": "many"}}, CommandRefused, "line 1 is credited with its right quantity"),
        ({"1": {"quantity": "Infinity"}}, CommandRefused, "line 1 is credited with its right quantity"),
        ({"1": {"quantity": "0"}, "2": {"quantity": "0"}, "3": {"quantity": "0"}}, CommandRefused, "--all"),
        ({}, CommandRefused, "say which lines"),
    ],
)  # fmt: skip
def test_a_credit_note_above_its_invoice_is_refused_and_writes_nothing(
    desk: Desk, lines: dict[str, Any], error: type[EntrepotError], words: str
) -> None:
    before = desk.everything()
    with pytest.raises(error, match=words):
        credit(desk, lines=lines)
    assert desk.everything() == before


def test_a_credit_note_is_made_once_under_its_id_and_credits_no_credit_note(desk: Desk) -> None:
    first = credit(desk, lines={"1": {"quantity": "20000000"}})
    before = desk.everything()
    again = credit(desk, lines={"1": {"quantity": "20000000"}})
    assert (again["number"], again["known"], first["known"]) == (first["number"], True, False)
    with pytest.raises(TransactionConflict, match="with other content"):
        credit(desk, lines={"1": {"quantity": "1"}})
    with pytest.raises(EntrepotError, match="is a credit note itself"):
        credit(desk, "CN-2", "G-2026-00001", all=True)
    assert desk.everything() == before


@pytest.mark.long
def test_what_was_paid_and_is_credited_is_the_customers_credit_and_pays_the_next_invoice(desk: Desk) -> None:
    pay(desk, "138.81", "BANK-1")
    made = credit(desk, lines={"1": {"quantity": "20000000"}})
    assert (made["credited"]["state"], made["credited"]["open"]) == ("paid", "0.00")
    assert accounts(desk)["EUR:customer credit:kontor"] == 8_430_000_000
    desk.now = at("2027-01-04")
    desk.issue(desk.use("kontor", USAGE, "2026-12"))
    with pytest.raises(PaymentRefused, match=r"has 8.43 EUR of credit, which does not reach for 9.00"):
        pay(desk, "9.00", "SET-OFF", source="credit")
    used = pay(desk, "8.43", "SET-OFF", source="credit")
    assert (used["pays"][0]["number"], used["pays"][0]["open"], used["customer_credit"]) == (
        "R-2027-00001", "130.38", "0.00"
    )


@pytest.mark.long
def test_a_month_that_is_credited_in_full_is_billed_anew(desk: Desk) -> None:
    credit(desk, all=True)
    made = desk.issue(desk.use("kontor", USAGE[:2], booked=True))
    assert (made["number"], made["id"], made["total"]) == ("R-2026-00002", "kontor:2026-11:2", "138.22")
    found = accounts(desk)
    assert found["EUR:receivable:kontor"] == 138_220_000_000
    assert found["EUR:unbilled:kontor"] == 500_001_500  # what is not on the new invoice is unbilled still


@pytest.mark.long
def test_a_month_that_is_credited_in_full_twice_returns_what_calls_took_too_much_once(
    engine: Engine, tmp_path: Path
) -> None:
    desk = Desk(engine, tmp_path)
    desk.issue(desk.use("kontor", USAGE, more=3))
    for number in (FIRST, "R-2026-00002"):
        credit(desk, f"CN-{number}", number, all=True)
        desk.issue(desk.use("kontor", USAGE, more=3, booked=True))
        assert "EUR:unbilled:kontor" not in accounts(desk)


def test_a_dispute_is_a_mark_beside_the_state(desk: Desk) -> None:
    args = {"customer": "kontor", "number": FIRST}
    assert desk.do("invoice.dispute", reason="too many tokens", **args)["marks"] == ["disputed"]
    assert desk.do("invoice.dispute", reason="too many tokens", **args)["changed"] is False
    assert desk.do("invoice.dispute", end=True, **args)["marks"] == []


@pytest.mark.long
def test_what_credit_paid_becomes_credit_again(desk: Desk) -> None:
    desk.now = at("2026-11-02T08:00:00Z")
    desk.buy("studio", 238 * EUR, net=200 * EUR, id="PAY-1")
    desk.now = at("2026-12-03T09:00:00Z")
    made = desk.issue(desk.use("studio", USAGE))
    before = accounts(desk)
    args = {"customer": "studio", "number": made["number"], "reason": "miscounted"}
    note = desk.do("invoice.credit_note", id="CN-1", lines={"1": {"quantity": "20000000"}}, **args)
    assert (note["total"], note["credited"]["state"]) == ("8.43", "paid")
    assert invoice(desk, note["number"]).facts.payment.terms.startswith("What prepaid credit had paid is credit again")
    after = accounts(desk)
    assert after["EUR:prepaid credit:studio"] - before["EUR:prepaid credit:studio"] == 7_085_610_000
    assert after["EUR:output tax::DE S 19"] == before["EUR:output tax::DE S 19"]  # the purchase stands
    assert "EUR:customer credit:studio" not in after


@pytest.mark.long
def test_the_invoice_of_a_purchase_is_credited_once_the_money_went_back(desk: Desk) -> None:
    desk.now = at("2026-11-02T08:00:00Z")
    desk.buy("studio", 238 * EUR, net=200 * EUR, id="PAY-1")
    desk.now = at("2026-12-03T09:00:00Z")
    top_up = desk.do("invoice.draft_top_up", customer="studio", payment="PAY-1")
    number = desk.do("invoice.issue", draft=top_up["id"], customer="studio")["number"]
    args = {"customer": "studio", "number": number, "reason": "not needed"}
    with pytest.raises(CommandRefused, match="book first what went back"):
        desk.do("invoice.credit_note", id="CN-1", all=True, **args)
    desk.do("balance.refund", customer="studio", amount="200", id="BACK-1", of="PAY-1")
    note = desk.do("invoice.credit_note", id="CN-1", all=True, **args)
    assert note["credited"]["state"] == "credited"
    assert invoice(desk, note["number"]).facts.payment.terms == "This amount was paid back to you."
    assert "EUR:output tax::DE S 19" not in {k: v for k, v in accounts(desk).items() if v != 22_160_000_000}


def test_what_is_written_off_is_not_credited_as_well(desk: Desk) -> None:
    pay(desk, "38.81", "BANK-1")
    desk.do("invoice.write_off", customer="kontor", number=FIRST, id="WO-1", reason="insolvent")
    before = desk.everything()
    with pytest.raises(CommandRefused, match=r"100.00 EUR of R-2026-00001 are written off"):
        credit(desk, all=True)
    assert desk.everything() == before


@pytest.mark.long
def test_lines_of_both_signs_stand_on_where_the_whole_amount_is_gone(engine: Engine, tmp_path: Path) -> None:
    desk = Desk(engine, tmp_path)
    rated = desk.use("kontor", USAGE)
    back = rated_line(("aurora-large", "input", 5_000_000, "3.00"), "2026-10")
    back = replace(back, kind="correction", month="2026-10", of=back.key, key="2026-10 back", charged=-back.charged,
                   quantity=-back.quantity)  # fmt: skip
    desk.issue(replace(rated, lines=(*rated.lines, back)))
    lines = {"1": {"quantity": "5000000"}, "2": {"quantity": "0"}, "3": {"quantity": "0"}}
    part = credit(desk, lines=lines)["credited"]  # 15.00 of line 1 and -15.00 of line 4 are left
    assert (part["state"], part["open"], part["total"]) == ("paid", "0.00", part["credited"])
    with pytest.raises(InvoiceExists, match="bills kontor for 2026-11 already"):
        desk.draft(desk.use("kontor", USAGE, booked=True))
    last = credit(desk, "CN-2", all=True)
    assert (last["total"], last["credited"]["state"]) == ("0.00", "credited")
    assert accounts(desk)["EUR:unbilled:kontor"] == 116_649_591_500


def test_of_an_invoice_that_untaxed_credit_paid_a_credit_note_lowers_the_tax_that_is_open(
    engine: Engine, tmp_path: Path
) -> None:
    before, _, shop = SHOP.partition("[operator]")
    desk = Desk(engine, tmp_path, before + shop[shop.index("[vendor]") :])
    desk.do("balance.top_up", customer="studio", amount="500", id="PAY-1")
    desk.apply(SHOP)
    desk.now = at("2027-01-05")
    number = desk.issue(desk.use("studio", USAGE, "2026-12"))["number"]
    args = {"customer": "studio", "number": number, "reason": "miscounted"}
    first = desk.do("invoice.credit_note", id="CN-1", lines={"1": {"quantity": "11000000"}}, **args)
    assert (first["total"], first["payable"], first["credited"]["open"]) == ("40.56", "6.47", "15.69")
    assert accounts(desk)["EUR:receivable:studio"] == 15_690_000_000
    last = desk.do("invoice.credit_note", id="CN-2", all=True, **args)
    assert (last["credited"]["state"], last["credited"]["open"]) == ("credited", "0.00")
    after = accounts(desk)
    assert after == {"EUR:cash": 500 * EUR, "EUR:prepaid credit:studio": 500 * EUR}
    with pytest.raises(InvoiceExists, match="went back to the balance of studio, with G-2027-00001 and G-2027-00002"):
        desk.draft(desk.use("studio", USAGE, "2026-12", booked=True))


@pytest.mark.long
def test_a_credit_note_is_never_taken_for_the_draft_of_a_customer_of_that_name(engine: Engine, tmp_path: Path) -> None:
    shop = SHOP.replace("[customer.kontor]", "[customer.credit-note]").replace("KN-2026", "KN-2")
    desk = Desk(engine, tmp_path, SHOP + shop[shop.index("[customer.credit-note]") : shop.index("[customer.studio]")])
    desk.issue(desk.use("kontor", USAGE))
    credit(desk, "2026-11", lines={"1": {"quantity": "0"}})
    assert desk.issue(desk.use("credit-note", USAGE))["number"] == "R-2026-00002"


def prepaid(engine: Engine, tmp_path: Path, *, given: str = "") -> Desk:
    """Studio paid ahead, of which `given` was a present, and used 116.65."""
    desk = Desk(engine, tmp_path)
    desk.now = at("2026-11-02T08:00:00Z")
    desk.buy("studio", 238 * EUR, net=200 * EUR, id="PAY-1")
    if given:
        desk.do("balance.grant", customer="studio", amount=given, id="GIFT", kind="promo")
    desk.now = at("2026-12-03T09:00:00Z")
    return desk


@pytest.mark.long
def test_lines_that_a_present_paid_stand_on_where_the_paid_part_is_credited(engine: Engine, tmp_path: Path) -> None:
    desk = prepaid(engine, tmp_path, given="67.09")
    rated = desk.use("studio", USAGE)
    number = desk.issue(rated)["number"]
    args = {"customer": "studio", "number": number, "reason": "miscounted"}
    # 67.09 + 49.06 + 0.50, of which 67.09 were given: 49.56 and its tax were paid for, and go back
    note = desk.do("invoice.credit_note", id="CN-1", lines={"2": {"quantity": "0"}, "3": {"quantity": "0"}}, **args)
    assert (note["total"], note["credited"]["state"]) == (note["credited"]["total"], "paid")
    with pytest.raises(InvoiceExists, match="already"):
        desk.draft(desk.use("studio", USAGE, booked=True))
    rest = desk.do("invoice.credit_note", id="CN-2", all=True, **args)
    assert (rest["total"], rest["credited"]["state"]) == ("0.00", "credited")
    assert accounts(desk)["EUR:prepaid credit:studio"] == 267_090_000_000


def test_a_prepaid_month_that_was_credited_part_by_part_gives_only_what_came_since_to_the_next_bill(
    engine: Engine, tmp_path: Path
) -> None:
    desk = prepaid(engine, tmp_path)
    number = desk.issue(desk.use("studio", USAGE))["number"]
    args = {"customer": "studio", "number": number, "reason": "miscounted"}
    desk.do("invoice.credit_note", id="CN-1", lines={"1": {"quantity": "20000000"}}, **args)
    desk.do("invoice.credit_note", id="CN-2", all=True, **args)
    with read(desk.engine) as connection:
        (issued,) = tables.read_issued(connection, number=number)
        lines = tables.billed(connection, "studio", "2026-11")
    assert (issued.freed_at, [(each.number, each.line) for each in lines]) == (0, [(number, n) for n in "123"])


def test_an_invoice_over_nothing_that_is_credited_leaves_its_usage_to_a_new_one(engine: Engine, tmp_path: Path) -> None:
    desk = prepaid(engine, tmp_path, given="150")
    made = desk.issue(desk.use("studio", USAGE))
    assert made["total"] == "0.00"
    note = desk.do(
        "invoice.credit_note", id="CN-1", all=True, customer="studio", number=made["number"], reason="wrong address"
    )
    assert (note["total"], note["credited"]["state"]) == ("0.00", "credited")
    again = desk.issue(desk.use("studio", USAGE, booked=True))
    assert (again["number"], again["id"]) == ("R-2026-00002", "studio:2026-11:2")
    assert accounts(desk)["EUR:prepaid credit:studio"] == 350 * EUR - 116_649_591_500
