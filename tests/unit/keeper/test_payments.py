"""Payments, write-offs and what goes back: what they do to the document, to its state and to the accounts."""

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from entrepot.billing.payment_tables import PaymentConflict
from entrepot.keeper.bills.losses import WriteOffRefused
from entrepot.keeper.bills.payments import PaymentRefused
from entrepot.kernel.errors import EntrepotError
from entrepot.ledger.check import check_ledger
from entrepot.ledger.tables import account_balances
from entrepot.storage.database import read
from rated_usage import Desk, at

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


def pay(desk: Desk, amount: str, id: str, **args: Any) -> dict[str, Any]:
    return desk.do("payment.record", customer="kontor", amount=amount, id=id, **args)


def test_payments_part_and_over_and_once(desk: Desk) -> None:
    part = pay(desk, "38.81", "BANK-1", invoice=FIRST)
    assert part["pays"] == [
        {"number": FIRST, "amount": "38.81", "state": "part-paid", "open": "100.00", "written_off": "0.00"}
    ]
    before = desk.everything()
    assert pay(desk, "38.81", "BANK-1", invoice=FIRST)["known"] is True
    with pytest.raises(PaymentConflict, match="other content"):
        pay(desk, "38.82", "BANK-1", invoice=FIRST)
    said = pay(desk, "120", "BANK-2", dry_run=True)
    assert (said["pays"][0]["state"], said["left_over"], said["customer_credit"]) == ("paid", "20.00", "20.00")
    assert desk.everything() == before
    over = pay(desk, "120", "BANK-2")
    assert (over["pays"][0]["amount"], over["left_over"]) == ("100.00", "20.00")
    found = accounts(desk)
    assert (found["EUR:cash"], found["EUR:customer credit:kontor"]) == (158_810_000_000, 20 * EUR)
    assert "EUR:receivable:kontor" not in found


def test_a_payment_goes_to_what_is_open_the_oldest_first(desk: Desk) -> None:
    desk.now = at("2027-01-04")
    desk.issue(desk.use("kontor", USAGE, "2026-12"))
    made = pay(desk, "200", "BANK-1")
    assert [(each["number"], each["amount"], each["state"]) for each in made["pays"]] == [
        (FIRST, "138.81", "paid"), ("R-2027-00001", "61.19", "part-paid"),
    ]  # fmt: skip


@pytest.mark.long
@pytest.mark.parametrize(
    ("args", "words"),
    [
        ({"amount": "1.005"}, "at most 2 digits after the point"),
        ({"amount": "0"}, "more than 0"),
        ({"amount": "1", "currency": "USD"}, "is billed in EUR, not in USD"),
        ({"amount": "1", "invoice": "R-2026-00002"}, "has no invoice 'R-2026-00002'"),
        ({"amount": "1", "paid_on": "2026-12-24"}, "has not come"),
        ({"amount": "1", "paid_on": "yesterday"}, "paid_on is a date"),
    ],
)
def test_a_payment_that_cannot_be_is_refused_and_books_nothing(desk: Desk, args: dict[str, str], words: str) -> None:
    before = desk.everything()
    with pytest.raises(EntrepotError, match=words):
        pay(desk, id="BANK-1", **args)
    assert desk.everything() == before


def test_a_payment_of_an_unknown_invoice_is_shown_what_may_be_paid(desk: Desk) -> None:
    less = {"customer": "kontor", "number": FIRST, "lines": {"1": {"quantity": "0"}}}
    desk.do("invoice.credit_note", **less, id="CN-1", reason="miscounted")
    with pytest.raises(EntrepotError, match="has no invoice 'R-2026-1'") as refused:
        pay(desk, "1", "BANK-1", invoice="R-2026-1")
    assert FIRST in refused.value.message
    assert "G-2026" not in refused.value.message


def test_what_is_written_off_is_bad_debt_and_its_tax_is_reclaimed(desk: Desk) -> None:
    pay(desk, "38.81", "BANK-1")
    made = desk.do("invoice.write_off", customer="kontor", number=FIRST, id="WO-1", reason="insolvent")
    assert (made["state"], made["written_off"], made["open"]) == ("written off", "100.00", "0.00")
    found = accounts(desk)
    assert found["EUR:bad debt:kontor"] == 84_040_000_000
    assert found["EUR:output tax::DE S 19"] == 22_160_000_000 - 15_960_000_000
    assert desk.do("invoice.write_off", customer="kontor", number=FIRST, id="WO-1", reason="insolvent")["known"] is True
    with pytest.raises(WriteOffRefused, match="under the id 'WO-1'"):
        desk.do("invoice.write_off", customer="kontor", number=FIRST, id="WO-2", reason="insolvent")


def written_off(desk: Desk, **how: Any) -> dict[str, int]:
    pay(desk, "38.81", "BANK-1")
    desk.do("invoice.write_off", customer="kontor", number=FIRST, id="WO-1", reason="insolvent", **how)
    return accounts(desk)


def test_money_for_what_was_written_off_takes_the_write_off_back_to_the_cent(desk: Desk) -> None:
    before = written_off(desk)
    for n in range(3):
        (paid,) = pay(desk, "33.33", f"LATE-{n}")["pays"]
        assert (paid["number"], paid["amount"], paid["state"]) == (FIRST, "33.33", "written off")
    found = accounts(desk)
    assert (before["EUR:bad debt:kontor"], found["EUR:bad debt:kontor"]) == (84_040_000_000, 10_000_000)
    assert "EUR:receivable:kontor" not in found
    last = pay(desk, "5.00", "LATE-4")
    assert (last["pays"][0]["state"], last["pays"][0]["amount"], last["left_over"]) == ("paid", "0.01", "4.99")
    found = accounts(desk)
    assert "EUR:bad debt:kontor" not in found
    assert found["EUR:output tax::DE S 19"] == 22_160_000_000
    assert found["EUR:customer credit:kontor"] == 4_990_000_000


def test_tax_that_was_kept_at_a_write_off_is_not_owed_twice(desk: Desk) -> None:
    written_off(desk, keep_tax=True)
    pay(desk, "100", "LATE", invoice=FIRST)
    found = accounts(desk)
    assert "EUR:bad debt:kontor" not in found
    assert found["EUR:output tax::DE S 19"] == 22_160_000_000


@pytest.mark.long
def test_what_is_open_is_paid_before_what_was_written_off(desk: Desk) -> None:
    written_off(desk)
    desk.now = at("2027-01-04")
    desk.issue(desk.use("kontor", USAGE, "2026-12"))
    made = pay(desk, "150", "BANK-2")
    assert [(each["number"], each["amount"], each["state"]) for each in made["pays"]] == [
        ("R-2027-00001", "138.81", "paid"), (FIRST, "11.19", "written off"),
    ]  # fmt: skip
    before = desk.everything()
    assert pay(desk, "150", "BANK-2")["known"] is True
    assert desk.everything() == before


def test_customer_credit_goes_back_as_money_once_and_never_more_than_there_is(desk: Desk) -> None:
    pay(desk, "150", "BANK-1")
    args = {"customer": "kontor", "id": "BACK-1", "reference": "as asked"}
    with pytest.raises(PaymentRefused, match=r"has 11.19 EUR of credit, which does not reach for 11.20"):
        desk.do("payment.refund", amount="11.20", **args)
    before = desk.everything()
    said = desk.do("payment.refund", amount="11.19", dry_run=True, **args)
    assert (said["customer_credit"], desk.everything() == before) == ("0.00", True)
    assert desk.do("payment.refund", amount="11.19", **args)["known"] is False
    found = accounts(desk)
    assert (found["EUR:cash"], "EUR:customer credit:kontor" in found) == (138_810_000_000, False)
    again = desk.everything()
    assert desk.do("payment.refund", amount="11.19", **args)["known"] is True
    with pytest.raises(PaymentConflict, match="other content"):
        desk.do("payment.refund", amount="11.18", **args)
    with pytest.raises(PaymentConflict, match="other content"):
        pay(desk, "11.19", "BACK-1")
    assert desk.everything() == again
