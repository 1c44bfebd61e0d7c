"""The books under random commands: ingestion in any order, late calls, holds, voids, grants, ends, refunds, prices,
drafts, invoices, credit notes, payments, crashes and restarts, on SQLite and on PostgreSQL.

After each command every account, what each grant has left, and every document are laid beside a second implementation
(`books_reference`). Numbers in brackets are those of the invariants that a check stands for.
"""

import os
from collections.abc import Iterator
from fractions import Fraction

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule, run_state_machine_as_test

from books_credit import CUSTOMERS, CreditMachine, amounts, customers
from books_reference import CENT, Document, Row, month_of, nearest
from entrepot.billing import tables as billing
from entrepot.billing.document.canonical import digest
from entrepot.billing.inputs import UsageInputs, from_bytes
from entrepot.billing.invoice import Invoice, Line
from entrepot.billing.making import made_of
from entrepot.keeper.bills.payments import PaymentRefused
from entrepot.keeper.bills.rating import rated
from entrepot.kernel.money import minor_digits
from entrepot.ledger.check import check_ledger
from entrepot.ledger.entries import over_period
from entrepot.rating.line import to_bytes
from entrepot.storage.database import read

EXAMPLES, STEPS = int(os.environ.get("BOOKS_EXAMPLES", "6")), 40


class BooksMachine(CreditMachine):
    """One house and its reference, with its documents."""

    def __init__(self) -> None:
        super().__init__()
        self.sealed: dict[str, tuple[str, bytes]] = {}  # number → digest and inputs of what was issued

    def bill(self, most: int) -> None:
        for _ in range(min(most, len(self._due()))):
            self.issue(0, None)

    @precondition(lambda self: self._due())
    @rule(at=st.integers(0, 9), statements=st.one_of(st.none(), st.integers(1, 60)))
    def issue(self, at: int, statements: int | None) -> None:
        due = self._due()
        customer, month = due[at % len(due)]
        self._settle_journals()
        draft = self.house.draft(customer, month)
        assert draft["blocked"] == []
        args = {"draft": draft["id"], "customer": customer}
        self.house.do("invoice.issue", **args, dry_run=True)
        if statements is not None:  # (11) killed half way: nothing of it, and no number
            before = self.house.everything()
            with self._dying(statements) as died:
                self.house.do("invoice.issue", **args)
            if died:
                assert self.house.everything() == before
        number = self.house.do("invoice.issue", **args)["number"]
        assert self.house.do("invoice.issue", **args)["known"] is True
        document = self.books.issue(number, customer, month, self.house.now)
        self._compare(document)

    def _compare(self, document: Document) -> None:
        """(1, 6, 11, 12) Lines are calls, each rounded once; what follows from them is the arithmetic of EN 16931."""
        with read(self.engine) as conn:
            invoice = billing.document_of(conn, document.number)
        ours = sorted((line.quantity, _price(line), Fraction(line.net_minor) * CENT) for line in invoice.lines)
        theirs = sorted((n, row[2], amount) for (_, row), (n, amount) in document.lines.items())
        assert ours == theirs, (ours, theirs)
        totals = invoice.totals
        assert (totals.with_tax_minor * CENT, totals.payable_minor * CENT) == (document.total, document.payable)
        assert sum(each.amount_minor for each in invoice.allowances) * CENT == document.promo
        _arithmetic(invoice)
        self._seal(document.number)

    def _seal(self, number: str) -> None:
        with read(self.engine) as conn:
            self.sealed[number] = digest(billing.document_of(conn, number)), billing.inputs_of(conn, number)

    @precondition(lambda self: self._creditable())
    @rule(at=st.integers(0, 9), line=st.one_of(st.none(), st.integers(0, 9)), part=st.integers(0, 100))
    def credit_note(self, at: int, line: int | None, part: int) -> None:
        found = self._creditable()
        document = found[at % len(found)]
        args = {"customer": document.customer, "number": document.number, "reason": "as agreed"}
        args["id"] = f"C{next(self.ids)}"
        rights: dict[tuple[str, Row], int] | None = None
        if line is not None:
            billed = [key for key, (n, amount) in document.lines.items() if amount > 0]
            key = billed[line % len(billed)]
            quantity = document.lines[key][0]
            right = quantity * part // 101
            others = [k for k in billed if k != key]
            if nearest(right * key[1][2], CENT) == document.lines[key][1] or (not others and not right):
                return
            if not others and not nearest(right * key[1][2], CENT):
                return
            rights = {key: right}
            args["lines"] = {self._line(document, key): {"quantity": str(right)}}
        else:
            args["all"] = True
        done = self.house.do("invoice.credit_note", **args)
        assert self.house.do("invoice.credit_note", **args)["known"] is True
        total = self.books.credit(done["number"], document, rights)
        assert Fraction(done["total"]) == total
        assert document.credited <= document.total  # (11)
        with read(self.engine) as conn:
            _arithmetic(billing.document_of(conn, done["number"]))
        self._seal(done["number"])

    def _line(self, document: Document, key: tuple[str, Row]) -> str:
        """Which line of the document bills this."""
        with read(self.engine) as conn:
            lines = [each for each in billing.billed(conn, document.customer) if each.number == document.number]
        wanted = document.billed[key]
        meter = f"{key[1][0]}"
        (found, *_) = [
            each.line for each in lines
            if each.month == key[0] and meter in each.key and key[1][1] in each.key
            and each.net_minor * CENT == wanted[1] and f'"quantity":"{wanted[0]}"' in each.rated.decode()
        ]  # fmt: skip
        return found

    @precondition(lambda self: any(each.open for each in self.books.documents))
    @rule(customer=customers, amount=amounts, credit=st.booleans())
    def pay(self, customer: str, amount: str, credit: bool) -> None:
        have = -self.books.accounts[f"customer credit:{customer}"]
        open_ = self.books.open_of(customer)
        args = {"customer": customer, "amount": amount, "id": f"Z{next(self.ids)}"}
        if credit:
            try:
                done = self.house.do("payment.record", **args, source="credit")
            except PaymentRefused:
                assert Fraction(amount) > min(have, open_)
                return
        else:
            done = self.house.do("payment.record", **args)
            assert self.house.do("payment.record", **args)["known"] is True
        parts = self.books.pay(customer, Fraction(amount), credit=credit)
        assert {each["number"]: Fraction(each["amount"]) for each in done["pays"]} == parts

    @precondition(lambda self: self.sealed)
    @rule(at=st.integers(0, 9))
    def make_an_old_invoice_again(self, at: int) -> None:
        """(7, 11) From its sealed inputs, whatever has happened since; and its usage rated again from them."""
        numbers = sorted(each.number for each in self.books.documents)
        number = numbers[at % len(numbers)]
        with read(self.engine) as conn:
            (issued,) = billing.read_issued(conn, number=number)
        inputs = from_bytes(self.sealed[number][1])
        assert digest(made_of(inputs, issued.issued_on, number)) == self.sealed[number][0]
        assert isinstance(inputs, UsageInputs)
        self._settle_journals()  # more is known by now
        sealed = dict(inputs.rated.inputs)
        again = rated(self.engine, self.house.folder, issued.customer, issued.month, sealed=sealed)
        assert to_bytes(again) == to_bytes(inputs.rated)

    def whole(self) -> None:
        """At the end: the chain (15), numbers (11), issued documents (11, 15), every event in one place (6)."""
        self._settle_journals()
        with read(self.engine) as conn:
            assert check_ledger(conn).differences == []
            numbers = [each.number for each in billing.read_issued(conn)]
            for number, (sha256, inputs) in self.sealed.items():
                assert (digest(billing.document_of(conn, number)), billing.inputs_of(conn, number)) == (sha256, inputs)
            rows = over_period(conn)
        assert sum(each.debits for each in rows) == sum(each.credits for each in rows)
        for series, mine in (("R", [d.number for d in self.books.documents]), ("G", self.books.notes)):
            assert [each for each in numbers if each[0] == series] == mine
            by_year: dict[str, list[int]] = {}
            for each in mine:
                by_year.setdefault(each[2:6], []).append(int(each[7:]))
            assert all(counts == list(range(1, len(counts) + 1)) for counts in by_year.values())
        for customer in CUSTOMERS:
            mine = [call for call in self.books.known if call.customer == customer and call.on is not None]
            costs = [sum(d.cost.values()) for d in self.books.documents if d.customer == customer and not d.free]
            assert sum(call.charge - call.back for call in mine) == sum(costs)

    def _due(self) -> list[tuple[str, str]]:
        """Months that are over, have usage and are not billed."""
        found = {(call.customer, month_of(call.admitted_at)) for call in self.books.known if any(call.tokens)}
        now = month_of(self.house.now)
        return sorted(each for each in found if each[1] < now and not self.books.is_billed(*each))

    def _creditable(self) -> list[Document]:
        return [d for d in self.books.documents if not d.whole and any(amount > 0 for _, amount in d.lines.values())]



def _price(line: Line) -> Fraction:
    return Fraction(line.price) / line.per


def _arithmetic(invoice: Invoice) -> None:
    """BR-CO-10, -13, -14, -15, -16 and -17, and that amounts are in minor units."""
    t = invoice.totals
    assert t.lines_minor == sum(line.net_minor for line in invoice.lines)
    assert t.without_tax_minor == t.lines_minor - sum(each.amount_minor for each in invoice.allowances)
    assert t.tax_minor == sum(each.amount_minor for each in invoice.taxes)
    assert t.with_tax_minor == t.without_tax_minor + t.tax_minor
    assert t.payable_minor == t.with_tax_minor - t.paid_minor
    for row in invoice.taxes:
        base = sum(line.net_minor for line in invoice.lines if line.tax == row.tax)
        assert row.base_minor == base - sum(each.amount_minor for each in invoice.allowances if each.tax == row.tax)
        off = abs(Fraction(row.base_minor) * Fraction(row.tax.percent) / 100 - row.amount_minor)
        assert off <= (Fraction(1, 2) if invoice.facts.kind == "380" else 1)
    assert minor_digits(invoice.facts.currency) == 2


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_the_books_agree_with_their_second_implementation(database: str, request: pytest.FixtureRequest) -> None:
    address = request.getfixturevalue("postgres") if database == "postgresql" else ""
    machine = type("Books", (BooksMachine,), {"address": address})
    run_state_machine_as_test(machine, settings=settings(
        max_examples=EXAMPLES if database == "sqlite" else max(1, EXAMPLES // 3), stateful_step_count=STEPS,
        deadline=None, suppress_health_check=list(HealthCheck), print_blob=True,
    ))  # fmt: skip


@pytest.fixture
def house() -> Iterator[BooksMachine]:
    """A machine that is driven by hand; it looks at the whole when it ends."""
    found = BooksMachine()
    yield found
    found.teardown()


def test_late_usage_stands_on_the_next_bill_once_also_when_bills_are_credited_in_full(house: BooksMachine) -> None:
    def agree() -> None:
        house.accounts_agree()
        house.grants_agree()

    def all_of_it(later: bool) -> None:
        customers = ((1, "kontor", "aurora-large"), (2, "studio", "aurora-small"), (2, "wien", "aurora-small"))
        house.call([(*each, (5, 0, 70_001), later) for each in customers])

    house.begin("119.00", [(1, "kontor", "aurora-large", (5, 0, 70_001), False)])
    all_of_it(later=False)
    all_of_it(later=True)
    house.close_month(True, 3)
    while house.open:
        house.end(0, (1, 2, 30_003))
    all_of_it(later=False)
    house.close_month(True, 3)
    agree()
    late = [d for d in house.books.documents if any(of != d.month for of, _ in d.lines)]
    assert [(d.customer, d.month) for d in late] == [(name, "2026-11") for name in ("kontor", "studio", "wien")]
    for at in range(len(house.books.documents)):
        house.make_an_old_invoice_again(at)
    house.credit_note(0, None, 0)  # the month of the late call is free again, the late call itself is not
    while house._due():
        house.issue(0, None)
    agree()
    house.credit_note(house._creditable().index(late[0]), None, 0)
    while house._due():
        house.issue(0, None)
    agree()
    for at in range(len(house.books.documents)):
        house.make_an_old_invoice_again(at)
