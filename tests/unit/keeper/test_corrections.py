"""What came after a month was billed stands on the next bill, once: late usage, first prices, re-ratings."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from endings import AT
from entrepot.billing.crediting import CreditTooLarge
from entrepot.billing.tables import billed
from entrepot.keeper.bills.corrections import corrected
from entrepot.keeper.bills.invoices import InvoiceNotReady
from entrepot.keeper.commands import execute
from entrepot.keeper.first_start import make_secrets
from entrepot.kernel.instants import DAY, parse
from entrepot.ledger.check import check_ledger
from entrepot.pricing.tables import publish_version
from entrepot.rating.line import Rated, RatedLine, to_bytes
from entrepot.storage.database import read, write
from rated_house import CALLS, House, version

PARTIES = """\
format = 1
[operator]
name = "Harbour AI Ltd"
address = { street = "1 Quay Street", postcode = "20457", city = "Hamburg", country = "DE" }
tax = { vat_id = "DE123456788" }
[customer.demo]
about = { name = "Demo GmbH", vat_id = "DE812345673" }
address = { street = "Am Wall 1", postcode = "28195", city = "Bremen", country = "DE" }
contract = { id = "demo-1", book = "list" }
pays = { by = "invoice", credit_limit = 1_000.00 }
[customer.acme]
contract = { id = "acme-1", book = "list" }
pays = { by = "invoice", credit_limit = 1_000.00 }
"""
DECEMBER_1 = (parse("2026-12-01T00:00:00Z") - AT) // (3600 * 10**6) + 1  # hours after AT
PRICE = Decimal("0.90")
THEN = parse("2026-12-03T09:00:00Z")


MILLION = 1_000_000


class Desk(House):
    """A house that bills."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        make_secrets(self.folder)
        self.now = AT
        self.do("apply", text=PARTIES)

    def do(self, command: str, /, **args: object) -> dict[str, Any]:
        return dict(execute(self.engine, self.folder, command, args, self.now))

    def draft(self, month: str) -> dict[str, Any]:
        text = to_bytes(self.rated(month=month)).decode()
        return self.do("invoice.draft", customer="demo", month=month, rated=text)

    def issue(self, month: str) -> dict[str, Any]:
        self.draft(month)
        return self.do("invoice.issue", draft=f"demo:{month}", customer="demo")

    def issue_named(self, month: str, name: str) -> None:
        assert self.draft(month)["id"] == name
        self.do("invoice.issue", draft=name, customer="demo")

    def bill(self, month: str) -> list[RatedLine]:
        """What is billed for a month, on whichever invoice."""
        with read(self.engine) as connection:
            assert check_ledger(connection).differences == []
            return [msgspec.json.decode(each.rated, type=RatedLine) for each in billed(connection, "demo", month)]

    def rerate(self, version: str, id: str = "RR-1") -> None:
        self.do("invoice.rerate", customer="demo", version=version, until="2026-11-30T00:00:00Z", by="maria", id=id,
                reason="a slip of the pen", **{"from": "2026-11-01T00:00:00Z"})  # fmt: skip


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """November is billed, and in December something was used."""
    desk = Desk(tmp_path / "data")
    desk.serve(CALLS)
    desk.ingest()
    desk.now = THEN
    desk.issue("2026-11")
    desk.now += DAY
    desk.serve([("demo", DECEMBER_1, 5000, 700)])
    desk.ingest()
    return desk


def corrections(found: Rated) -> list[RatedLine]:
    return [line for line in found.lines if line.kind == "correction"]


def minor(lines: list[RatedLine]) -> int:
    return sum(line.net_minor("USD") for line in lines)


@pytest.mark.long
def test_where_nothing_came_since_there_is_nothing_to_correct(desk: Desk) -> None:
    assert corrections(desk.rated(month="2026-12")) == []


@pytest.mark.long
def test_late_usage_of_a_billed_month_stands_on_the_next_bill_and_only_once(desk: Desk) -> None:
    desk.serve([("demo", 5, 3_000_000, 0)])
    desk.ingest()
    found = desk.rated(month="2026-12")
    (line,) = corrections(found)
    assert (line.month, line.meter, line.quantity) == ("2026-11", "input", 3_000_000)
    desk.now = parse("2027-01-03T09:00:00Z")
    desk.issue("2026-12")
    right = desk.rated(month="2026-11")
    assert minor(desk.bill("2026-11")) == minor(list(right.lines))
    desk.now += DAY
    assert corrections(desk.rated(month="2027-01")) == []


@pytest.mark.long
def test_a_rerating_is_a_delta_of_two_signs_on_the_next_bill(desk: Desk) -> None:
    before = desk.bill("2026-11")
    with write(desk.engine) as conn:
        later = publish_version(conn, version(AT + 300 * DAY, output=PRICE), desk.now)
    desk.rerate(later.id)
    found = desk.rated(month="2026-12")
    changed = corrections(found)
    assert {line.meter for line in changed} == {"output", "reasoning"} & {line.meter for line in before}
    assert {line.quantity > 0 for line in changed} == {True, False}, "taken back at the old price, billed at the new"
    assert sum(line.quantity for line in changed) == 0
    desk.now = parse("2027-01-03T09:00:00Z")
    desk.issue("2026-12")
    assert minor(desk.bill("2026-11")) == minor(list(desk.rated(month="2026-11").lines))
    assert minor(desk.bill("2026-11")) > minor(before)
    desk.now += DAY
    assert corrections(desk.rated(month="2027-01")) == []


@pytest.mark.long
def test_a_bill_with_corrections_is_made_again_of_its_inputs(desk: Desk) -> None:
    desk.serve([("demo", 5, 3_000_000, 0)])
    desk.ingest()
    first = desk.rated(month="2026-12")
    assert any(name.startswith("2026-11: billed R-") for name, _ in first.inputs)
    desk.now = parse("2027-01-03T09:00:00Z")
    desk.issue("2026-12")
    with write(desk.engine) as conn:
        publish_version(conn, version(AT + 300 * DAY, output=PRICE), desk.now)
    desk.rerate("list/2")
    desk.serve([("demo", 6, 9_000_000, 0)])
    desk.ingest()
    assert to_bytes(desk.rated(month="2026-12", sealed=dict(first.inputs))) == to_bytes(first)


@pytest.mark.long
def test_a_draft_of_before_a_decision_is_not_issued(desk: Desk) -> None:
    desk.now = parse("2027-01-03T09:00:00Z")
    desk.draft("2026-12")
    desk.now += DAY
    desk.rerate("list/1")
    with pytest.raises(InvoiceNotReady, match="since then decisions changed: draft it again"):
        desk.do("invoice.issue", draft="demo:2026-12", customer="demo")


@pytest.mark.long
def test_one_correction_on_two_drafts_is_issued_once(desk: Desk) -> None:
    desk.serve([("demo", 5, 3_000_000, 0), ("demo", DECEMBER_1 + 31 * 24, 1000, 0)])
    desk.ingest()
    desk.now = parse("2027-02-03T09:00:00Z")
    desk.draft("2026-12")
    desk.draft("2027-01")
    desk.do("invoice.issue", draft="demo:2026-12", customer="demo")
    with pytest.raises(InvoiceNotReady, match="since then what is billed of 2026-11 changed: draft it again"):
        desk.do("invoice.issue", draft="demo:2027-01", customer="demo")
    desk.issue("2027-01")
    assert minor(desk.bill("2026-11")) == minor(list(desk.rated(month="2026-11").lines))


@pytest.mark.long
def test_a_month_whose_bill_was_credited_in_full_waits_for_its_own_and_no_later_bill_brings_it(desk: Desk) -> None:
    desk.serve([("demo", 5, 3_000_000, 0)])
    desk.ingest()
    desk.now = parse("2027-01-03T09:00:00Z")
    late = corrections(desk.rated(month="2026-12"))
    desk.issue("2026-12")  # with what came late to November
    desk.do("invoice.credit_note", customer="demo", number="R-2026-00001", all=True, id="CN-1", reason="new address")
    desk.serve([("demo", DECEMBER_1 + 31 * 24, 1000, 0)])
    desk.ingest()
    desk.now = parse("2027-02-03T09:00:00Z")
    assert corrections(desk.rated(month="2027-01")) == []
    desk.issue("2027-01")
    desk.issue_named("2026-11", "demo:2026-11:2")
    assert minor(desk.bill("2026-11")) == minor(list(desk.rated(month="2026-11").lines)) > minor(late)
    desk.now += DAY
    assert corrections(desk.rated(month="2027-02")) == []


@pytest.mark.long
def test_what_a_bill_that_was_credited_in_full_had_corrected_is_looked_at_once_more_and_then_rests(desk: Desk) -> None:
    desk.serve([("demo", 5, 3_000_000, 0)])
    desk.ingest()
    desk.now = parse("2027-01-03T09:00:00Z")
    number = desk.issue("2026-12")["number"]
    desk.do("invoice.credit_note", customer="demo", number=number, all=True, id="CN-1", reason="new address")
    (line,) = corrections(desk.rated(month="2026-12"))
    assert (line.month, line.quantity) == ("2026-11", 3_000_000)
    desk.now += DAY
    desk.issue_named("2026-12", "demo:2026-12:2")
    looked_at: list[str] = []

    def again(month: str, _sealed: object) -> Rated:
        looked_at.append(month)
        return desk.rated(month=month)

    desk.now += DAY
    corrected(desk.engine, desk.rated(month="2027-01"), again)
    assert looked_at == []


@pytest.fixture
def dear(tmp_path: Path) -> Desk:
    """November is billed with 10 million tokens of output at 0.40, 4.00 USD, which should have cost 0.10, 1.00 USD."""
    desk = Desk(tmp_path / "data")
    desk.serve([("demo", 1, 1000, 10 * MILLION)])
    desk.ingest()
    desk.now = THEN
    desk.issue("2026-11")
    desk.now += DAY
    desk.serve([("demo", DECEMBER_1, 5000, 20 * MILLION)])
    desk.ingest()
    with write(desk.engine) as conn:
        less = publish_version(conn, version(AT + 300 * DAY, output=Decimal("0.10")), desk.now)
    desk.rerate(less.id)
    desk.now += DAY
    return desk


def credit(desk: Desk, id: str, quantity: int, price: str = "") -> None:
    """Of the line of output of November's invoice."""
    with read(desk.engine) as connection:
        rows = billed(connection, "demo", "2026-11")
    [line] = [row.line for row in rows if row.number == "R-2026-00001" and "small output" in row.key]
    right = {"quantity": str(quantity), **({"price": price} if price else {})}
    desk.do("invoice.credit_note", customer="demo", number="R-2026-00001", lines={line: right}, id=id, reason="slip")


@pytest.mark.long
def test_what_a_credit_note_took_off_is_not_taken_off_again(dear: Desk) -> None:
    assert minor(corrections(dear.rated(month="2026-12"))) == -300
    credit(dear, "CN-1", 10 * MILLION, "0.10")
    first = dear.rated(month="2026-12")
    assert corrections(first) == []
    dear.now = parse("2027-01-03T09:00:00Z")
    dear.issue("2026-12")
    dear.now += DAY
    assert corrections(dear.rated(month="2027-01")) == []
    assert minor(dear.bill("2026-11")) == 400, "as it is billed; 3.00 of it is credited"


@pytest.mark.long
def test_of_a_correction_that_was_credited_in_part_the_rest_is_taken_off(dear: Desk) -> None:
    credit(dear, "CN-1", 10 * MILLION, "0.30")
    first = dear.rated(month="2026-12")
    assert minor(corrections(first)) == -200
    assert [name for name, _ in first.inputs if "credited" in name] == ["2026-11: credited G-2026-00001"]
    dear.now = parse("2027-01-03T09:00:00Z")
    dear.issue("2026-12")
    dear.now += DAY
    assert corrections(dear.rated(month="2027-01")) == []
    again = dear.rated(month="2026-12", sealed=dict(first.inputs))
    assert to_bytes(again) == to_bytes(first), "made again as it was, whatever is credited since"


@pytest.mark.long
def test_more_than_the_error_is_given_up_and_late_usage_is_billed_whole(dear: Desk) -> None:
    credit(dear, "CN-1", MILLION)
    assert corrections(dear.rated(month="2026-12")) == []
    dear.serve([("demo", 5, 1000, 40 * MILLION)])
    dear.ingest()
    assert minor([each for each in corrections(dear.rated(month="2026-12")) if each.meter == "output"]) == 100


@pytest.mark.long
def test_what_a_correction_took_off_is_not_credited_again(dear: Desk) -> None:
    dear.now = parse("2027-01-03T09:00:00Z")
    dear.issue("2026-12")
    assert minor(dear.bill("2026-11")) == 100
    with pytest.raises(CreditTooLarge, match=r"of which 1\.00 USD is left: R-2027-00001 has taken the rest off"):
        credit(dear, "CN-1", 10 * MILLION, "0.10")
    credit(dear, "CN-1", 8 * MILLION)


@pytest.mark.long
def test_a_draft_of_before_a_credit_note_is_not_issued(dear: Desk) -> None:
    dear.now = parse("2027-01-03T09:00:00Z")
    dear.draft("2026-12")
    dear.now += DAY
    credit(dear, "CN-1", 10 * MILLION, "0.10")
    with pytest.raises(InvoiceNotReady, match="since then what is billed of 2026-11 changed: draft it again"):
        dear.do("invoice.issue", draft="demo:2026-12", customer="demo")
    dear.issue("2026-12")
    assert minor(dear.bill("2026-11")) == 400
