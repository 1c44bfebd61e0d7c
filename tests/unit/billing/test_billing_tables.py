"""Drafts, issued documents, numbers and payments in the database, on SQLite and on PostgreSQL."""

from datetime import date

import msgspec
import pytest
from invoices import facts, line
from sqlalchemy import Engine, text
from sqlalchemy.exc import DatabaseError

from entrepot.billing import payment_tables, tables
from entrepot.billing.document.canonical import digest
from entrepot.billing.invoice import make, numbered
from entrepot.billing.payment_tables import Payment, PaymentConflict
from entrepot.billing.tables import Draft, InvoiceUnknown
from entrepot.storage.database import read, write

ON, DUE = date(2026, 12, 3), date(2026, 12, 17)


class BrokenOff(Exception):
    """As a process that dies before its commit."""


def take_a_number_and_break_off(engine: Engine) -> None:
    with write(engine) as conn:
        assert tables.next_number(conn, "R-{year}-{n:05}", 2026) == "R-2026-00002"
        raise BrokenOff


def draft(id: str = "acme:2026-11", quantity: str = "22361870") -> Draft:
    made = make(facts(number=""), [line(1, quantity, "2.5"), line(2, "1000000", "10")])
    return Draft(
        id=id, purpose="usage", customer="acme", month="2026-11", invoice=made, inputs=b'{"rated":1}', made_at=5
    )


def issue(engine: Engine, found: Draft) -> str:
    with write(engine) as conn:
        number = tables.next_number(conn, "R-{year}-{n:05}", 2026)
        rated = {"1": msgspec.json.encode({"key": "small/input", "month": "2026-11"})}
        tables.put_issued(conn, found, numbered(found.invoice, number, ON, DUE), 9, rated)
        tables.drop_draft(conn, found.id)
    return number


def test_a_draft_is_replaced_under_its_id_and_says_so(engine: Engine) -> None:
    with write(engine) as conn:
        assert tables.put_draft(conn, draft()) is False
        assert tables.put_draft(conn, draft(quantity="5")) is True
    with read(engine) as conn:
        assert [str(each.invoice.lines[0].quantity) for each in tables.read_drafts(conn)] == ["5"]
        assert tables.read_draft(conn, "acme:2026-11") == draft(quantity="5")
        assert tables.read_drafts(conn, customer="other") == tables.read_drafts(conn, month="2026-10") == []
    with write(engine) as conn:
        assert tables.drop_draft(conn, "acme:2026-11") is True
        assert tables.drop_draft(conn, "acme:2026-11") is False


def test_an_issued_document_is_read_as_it_was_with_its_lines(engine: Engine) -> None:
    number = issue(engine, draft())
    assert number == "R-2026-00001"
    with read(engine) as conn:
        (found,) = tables.read_issued(conn)
        document = tables.document_of(conn, number)
        assert digest(document) == found.sha256
        assert (document.facts.number, document.facts.issued_on, document.facts.due_on) == (number, ON, DUE)
        assert found.standing.total_minor == document.totals.with_tax_minor
        assert tables.inputs_of(conn, number) == b'{"rated":1}'
        (billed,) = tables.billed(conn, "acme", "2026-11")
        assert (billed.key, billed.line, billed.net_minor) == ("small/input", "1", document.lines[0].net_minor)
        with pytest.raises(InvoiceUnknown, match="R-2026-00009"):
            tables.document_of(conn, "R-2026-00009")


def test_numbers_have_no_gap_and_a_transaction_that_fails_uses_none(engine: Engine) -> None:
    assert issue(engine, draft("a")) == "R-2026-00001"
    with pytest.raises(BrokenOff):
        take_a_number_and_break_off(engine)
    assert issue(engine, draft("b")) == "R-2026-00002"
    with write(engine) as conn:
        assert tables.next_number(conn, "R-{year}-{n:05}", 2027) == "R-2027-00001"
        assert tables.next_number(conn, "G-{year}-{n:05}", 2026) == "G-2026-00001"


@pytest.mark.parametrize("verb", ["UPDATE invoice SET total = '1'", "DELETE FROM invoice", "DELETE FROM invoice_line",
                                  "UPDATE invoice_line SET net = '0'", "DELETE FROM payment",
                                  "UPDATE payment_allocation SET amount = '0'"])  # fmt: skip
def test_the_database_itself_refuses_to_change_what_was_issued(engine: Engine, verb: str) -> None:
    number = issue(engine, draft())
    with write(engine) as conn:
        payment_tables.put_payment(conn, paid(5), {number: 5}, 1)
    with pytest.raises(DatabaseError, match="append-only"), write(engine) as conn:
        conn.execute(text(verb))


def paid(amount: int, id: str = "BANK-1") -> Payment:
    return Payment(id=id, customer="acme", currency="EUR", amount_minor=amount, paid_on=ON)


def test_a_payment_is_recorded_once_under_its_id(engine: Engine) -> None:
    number = issue(engine, draft())
    with write(engine) as conn:
        assert payment_tables.recorded(conn, paid(500)) is False
        payment_tables.put_payment(conn, paid(500), {number: 400}, 7)
    with write(engine) as conn:
        assert payment_tables.recorded(conn, paid(500)) is True
        with pytest.raises(PaymentConflict, match="other content"):
            payment_tables.recorded(conn, paid(501))
    with read(engine) as conn:
        assert payment_tables.read_payments(conn, customer="acme") == [(paid(500), {number: 400}, 7)]
        (found,) = tables.read_issued(conn, number=number)
        assert found.standing.paid_minor == 400
