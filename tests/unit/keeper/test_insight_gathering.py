"""Facts from issued documents and from the ledger: the same to the last unit whatever they are cut by."""

import json
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from entrepot.billing import tables
from entrepot.insight.books import Asked, CurrencyOpen
from entrepot.insight.currency import RateMissing
from entrepot.insight.facts import DIMENSIONS, UNNAMED, BaseKind, BasesMixed, Facts
from entrepot.keeper.insight.gathering import PeriodOpen, gather
from entrepot.keeper.tails import BooksDisagree
from entrepot.kernel.instants import parse
from entrepot.ledger.check import check_ledger
from entrepot.ledger.posted import usage_posted
from entrepot.ledger.tables import accounts
from entrepot.storage import reading
from entrepot.storage.database import read, write
from sold_house import SOLD_SHOP, SoldHouse, used

SEPTEMBER = [
    used("kontor", "2026-09-03", 4_000_000, 1_000_000),
    used("kontor", "2026-09-04", 2_000_000, 500_000, vendor="borealis", zone="FI"),
    used("kontor", "2026-09-05", 333_333, 77_777, project="search", vendor="borealis", zone="FI"),
    used("wien", "2026-09-10", 900_001, 300_007, model="nord-1", vendor="nordlicht"),
    used("wien", "2026-09-30", 10_000, 5_000, model="aurora-small", costed=False),
]
OCTOBER = [
    used("kontor", "2026-10-01", 5_000_000, 1_500_000),
    used("wien", "2026-10-31", 50_000_000, 9_000_000, model="aurora-small"),
]
YEAR = ("2026-01", "2027-01")


@pytest.fixture
def house(tmp_path: Path) -> SoldHouse:
    house = SoldHouse(tmp_path)
    house.serve([*SEPTEMBER, *OCTOBER])
    house.ingest()
    return house


def in_cents(facts: Facts) -> Decimal:
    return Decimal(facts.total()).scaleb(-facts.base.scale)


@pytest.mark.long
def test_what_is_earned_is_what_usage_posted_to_revenue_in_every_cut(house: SoldHouse) -> None:
    facts = gather(house.engine, house.folder, "earned", YEAR)
    with read(house.engine) as conn:
        posted = sum(check_ledger(conn).revenue.values())
        assert sum(usage_posted(conn).revenue.values()) == posted
    assert facts.total() == posted
    for dimension in DIMENSIONS:
        assert sum(facts.by(dimension).values()) == posted
    assert facts.by("month").keys() == {"2026-09", "2026-10"}
    assert set(facts.by("vendor")) == {"aurora", "borealis", "nordlicht"}
    assert facts.by("own") == {"bought": posted - facts.by("vendor")["nordlicht"],
                               "own": facts.by("vendor")["nordlicht"]}  # fmt: skip
    assert facts.by("group") == {"Nord": posted}
    assert facts.by("country").keys() == {"DE", "AT"}
    assert facts.names == {"kontor": "Kontor Nord AG", "wien": "Wiener Werk OG"}
    assert (facts.base.currency, facts.base.scale, facts.base.starts_on) == ("EUR", 9, "2026-01-01")


@pytest.mark.long
def test_quantity_calls_and_cost_stand_beside_what_is_earned_and_an_unknown_cost_is_none(house: SoldHouse) -> None:
    facts = gather(house.engine, house.folder, "earned", ("2026-09", "2026-10"))
    assert sum(sale.calls for sale in facts.sales) == len(SEPTEMBER)
    assert sum(sale.quantity for sale in facts.sales) == sum(each.input + each.output for each in SEPTEMBER)
    unknown = [sale for sale in facts.sales if sale.cost is None]
    assert [(sale.customer, sale.model) for sale in unknown] == [("wien", "aurora-small")]
    assert all(sale.cost * 2 == sale.amount for sale in facts.sales if sale.cost is not None)


@pytest.mark.long
def test_what_is_billed_are_the_lines_of_documents_in_every_cut(house: SoldHouse) -> None:
    numbers = [*house.issue_month("2026-09", "kontor", "wien"), *house.issue_month("2026-10", "kontor", "wien")]
    facts = gather(house.engine, house.folder, "billed", YEAR)
    with read(house.engine) as conn:
        documents = {number: tables.document_of(conn, number) for number in numbers}
    billed = sum(each.totals.lines_minor for each in documents.values())
    assert facts.total() == billed * 10**7
    for dimension in DIMENSIONS:
        assert sum(facts.by(dimension).values()) == facts.total()
    assert UNNAMED not in facts.by("vendor")
    assert {sale.source for sale in facts.sales} == set(numbers)
    by_document: dict[str, int] = {}
    for sale in facts.sales:
        by_document[sale.source] = by_document.get(sale.source, 0) + sale.amount
    assert by_document == {number: each.totals.lines_minor * 10**7 for number, each in documents.items()}
    assert sum(sale.quantity for sale in facts.sales) == sum(each.input + each.output for each in SEPTEMBER + OCTOBER)
    assert dict(facts.inputs).keys() >= {*numbers, "ledger"}


@pytest.mark.long
def test_a_credit_note_counts_in_the_month_of_the_service(house: SoldHouse) -> None:
    [number] = house.issue_month("2026-09", "kontor")
    before = gather(house.engine, house.folder, "billed", ("2026-09", "2026-10"))
    house.now = parse("2026-12-20")
    note = house.credit(number, "kontor", "C-1", lines={"1": {"quantity": "1000000"}})
    after = gather(house.engine, house.folder, "billed", ("2026-09", "2026-10"))
    with read(house.engine) as conn:
        credited = tables.document_of(conn, note).totals.lines_minor
    assert credited > 0
    assert after.total() == before.total() - credited * 10**7
    assert sum(sale.amount for sale in after.sales if sale.source == note) == -credited * 10**7
    assert gather(house.engine, house.folder, "billed", ("2026-12", "2027-01")).total() == 0
    house.credit(number, "kontor", "C-2", all=True)
    nothing = gather(house.engine, house.folder, "billed", ("2026-09", "2026-10"))
    assert nothing.total() == 0
    assert all(amount == 0 for dimension in DIMENSIONS for amount in nothing.by(dimension).values())


@pytest.mark.long
def test_a_correction_on_a_later_invoice_counts_in_the_month_that_it_corrects(house: SoldHouse) -> None:
    house.issue_month("2026-09", "kontor")
    before = gather(house.engine, house.folder, "billed", ("2026-09", "2026-10")).total()
    house.serve([used("kontor", "2026-09-29", 1_000_000, 0)])
    house.ingest()
    house.issue_month("2026-10", "kontor")
    after = gather(house.engine, house.folder, "billed", ("2026-09", "2026-10"))
    assert after.total() - before == 3 * 10**9  # a million tokens at 3.00 EUR


@pytest.mark.long
def test_tails_of_the_journal_count_as_the_lake_does(house: SoldHouse) -> None:
    before = gather(house.engine, house.folder, "earned", YEAR)
    house.serve([used("wien", "2026-10-05", 1_000_000, 0)], seal=False)
    house.ingest()
    after = gather(house.engine, house.folder, "earned", YEAR)
    assert after.total() - before.total() == 3 * 10**9
    assert [value for name, value in after.inputs if name.startswith("journal ")] == ["open"]


def test_records_that_the_ledger_does_not_have_give_no_figure(house: SoldHouse) -> None:
    with write(house.engine) as conn:
        conn.execute(accounts.update().where(accounts.c.kind == "revenue", accounts.c.product == "nord-1")
                     .values(credits=1))  # fmt: skip
    with pytest.raises(BooksDisagree, match=r"revenue of EUR nord-1: .* in the records of calls, 1 in the ledger"):
        gather(house.engine, house.folder, "earned", YEAR)


def test_a_period_without_a_day_or_with_half_a_month_of_documents_is_refused(house: SoldHouse) -> None:
    with pytest.raises(PeriodOpen, match="nothing is between them"):
        gather(house.engine, house.folder, "earned", ("2026-10", "2026-10"))
    with pytest.raises(PeriodOpen, match="begin on the 1st"):
        gather(house.engine, house.folder, "billed", ("2026-10-05", "2026-11"))
    with pytest.raises(PeriodOpen, match="'October' is neither a month"):
        gather(house.engine, house.folder, "billed", ("October", "2026-11"))


@pytest.mark.long
def test_a_run_rate_is_a_window_at_the_pace_of_a_year(house: SoldHouse) -> None:
    window = ("2026-10-01", "2026-10-29")
    earned = gather(house.engine, house.folder, "earned", window)
    paced = gather(house.engine, house.folder, "run-rate", window)
    assert paced.base.window_days == 28
    assert paced.total() == round(earned.total() * 365 / 28)
    assert earned.total() > 0


ENTERED = """\
format = 1
[[exchange]]
from = "EUR"
to = "USD"
rate = 1.10
source = "ECB, average of the year"
[[agent]]
customer = "wien"
fee_percent = 20
standing = "assumed"
source = "as if the vendor sold through us"
[[sale]]
month = "2026-09"
customer = "big"
name = "Big Corp"
amount = 20_000_000
currency = "USD"
standing = "reported"
source = "press, 2026-10-01"
"""


@pytest.mark.long
def test_entered_figures_give_another_currency_the_fee_of_an_agent_and_a_base_of_their_own(house: SoldHouse) -> None:
    with pytest.raises(RateMissing, match="amounts in EUR and in USD, and no rate between them for 2026-09"):
        gather(house.engine, house.folder, "earned", YEAR, currency="USD")
    euros = gather(house.engine, house.folder, "earned", YEAR)
    house.do("insight.enter", name="figures.toml", text=ENTERED)
    dollars = gather(house.engine, house.folder, "earned", YEAR, currency="USD")
    assert abs(dollars.total() * 10 - euros.total() * 11) <= 10 * len(dollars.sales)
    net = gather(house.engine, house.folder, "earned", YEAR, view="net")
    wien = euros.by("customer")["wien"]
    assert net.base.view == "net"
    assert abs(5 * net.by("customer")["wien"] - wien) <= 5 * len(net.sales)
    assert net.by("customer")["kontor"] == euros.by("customer")["kontor"]
    stated = gather(house.engine, house.folder, "stated", YEAR)
    assert (stated.base.currency, in_cents(stated), stated.names) == ("USD", Decimal(20_000_000), {"big": "Big Corp"})
    assert [sale.source for sale in stated.sales] == ["reported: press, 2026-10-01"]
    assert any(name == "entered figures.toml/1" for name, _ in stated.inputs)


def test_sales_in_two_currencies_need_one_that_is_asked_for(tmp_path: Path) -> None:
    house = SoldHouse(tmp_path, SOLD_SHOP.replace('books = { currency = "EUR" }\n', ""))
    two = ENTERED + ENTERED[ENTERED.index("[[sale]]") :].replace('"USD"', '"CHF"')
    house.do("insight.enter", name="figures.toml", text=two)
    with pytest.raises(CurrencyOpen, match="sales in CHF and USD"):
        gather(house.engine, house.folder, "stated", YEAR)


@pytest.mark.long
def test_the_process_gives_the_same_facts_and_says_what_is_wrong(house: SoldHouse) -> None:
    asked = Asked(kind="earned", starts_on="2026-09-01", until="2026-11-01")
    command = [sys.executable, "-P", "-m", "entrepot.keeper.insight.gathering", str(house.folder.root)]
    done = subprocess.run(command, input=msgspec.json.encode(asked), capture_output=True, check=True)
    assert msgspec.json.decode(done.stdout, type=Facts) == gather(
        house.engine, house.folder, "earned", ("2026-09", "2026-11")
    )
    wrong = msgspec.structs.replace(asked, until="2026-09-01")
    done = subprocess.run(command, input=msgspec.json.encode(wrong), capture_output=True, check=False)
    assert (done.returncode, json.loads(done.stdout)["code"]) == (1, "period_open")


@pytest.mark.long
def test_sales_of_books_that_were_loaded_bear_the_standing_of_what_they_were_loaded_with(house: SoldHouse) -> None:
    house.issue_month("2026-09", "kontor", "wien")
    before = gather(house.engine, house.folder, "billed", ("2026-09", "2026-10"))
    house.do("insight.enter", name="loaded.toml", text="""\
format = 1
[[loaded]]
whole = "the service, loaded by the share"
standing = "assumed"
source = "what is left"
[[loaded]]
customer = "wien"
month = "2026-09"
standing = "reported"
source = "press"
""")  # fmt: skip
    for kind in ("billed", "earned"):
        facts = gather(house.engine, house.folder, kind, ("2026-09", "2026-10"))  # type: ignore[arg-type]
        assert facts.base.whole == "the service, loaded by the share"
        assert {sale.standing for sale in facts.sales if sale.customer == "wien"} == {"reported"}
        assert {sale.standing for sale in facts.sales if sale.customer == "kontor"} == {"assumed"}
        assert all(sale.source.endswith((", assumed: what is left", ", reported: press")) for sale in facts.sales)
    loaded = gather(house.engine, house.folder, "billed", ("2026-09", "2026-10"))
    assert loaded.by("customer") == before.by("customer")
    with pytest.raises(BasesMixed, match="whole 'the service' and 'the service, loaded by the share'"):
        before.base.same(loaded.base)


@pytest.mark.long
def test_facts_are_the_same_bytes_in_whatever_order_sums_come(
    house: SoldHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.issue_month("2026-09", "kontor", "wien")
    kinds: tuple[BaseKind, ...] = ("earned", "billed")
    before = [msgspec.json.encode(gather(house.engine, house.folder, kind, YEAR)) for kind in kinds]
    answer = reading.answer
    monkeypatch.setattr(reading, "answer", lambda *given: answer(*given)[::-1])
    after = [msgspec.json.encode(gather(house.engine, house.folder, kind, YEAR)) for kind in kinds]
    assert before == after
