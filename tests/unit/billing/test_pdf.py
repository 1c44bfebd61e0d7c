"""The page: what stands on it, how it breaks, and that it comes out the same."""

import io
from decimal import Decimal
from pathlib import Path

import pypdf
import pytest
from invoices import OUTSIDE, allowance, facts, line

from entrepot.billing.document.language import language, languages
from entrepot.billing.document.pdf import page_data, to_pdf
from entrepot.billing.document.spreadsheet import to_csv
from entrepot.billing.invoice import Invoice, InvoiceBroken, make


def long_invoice(code: str) -> Invoice:
    rows = [
        line(n, str(22_361_870 + n * 7919), "2.5", list_price=Decimal("2.75") if n % 3 == 0 else None)
        for n in range(1, 61)
    ]
    return make(facts(language=code, notes=("Thank you.",)), rows, [allowance(1000)], paid_minor=500)


def pages(document: bytes) -> list[str]:
    return [" ".join(page.extract_text().split()) for page in pypdf.PdfReader(io.BytesIO(document)).pages]


@pytest.fixture(scope="module", params=["en", "de"])
def printed(request: pytest.FixtureRequest) -> tuple[str, list[str]]:
    return request.param, pages(to_pdf(long_invoice(request.param)))


@pytest.mark.long
def test_sixty_lines_break_over_pages_with_a_head_and_their_number(printed: tuple[str, list[str]]) -> None:
    code, found = printed
    assert len(found) == 4
    words = language(code).words
    for number, text in enumerate(found, 1):
        assert words["page"].format(page=number, pages=4) in text
        assert words["unit_price"] in text or number == 4
        assert "R-2026-00001" in text
    assert words["payable"] not in "".join(found[:3])
    assert all("aurora-large, input" in text for text in found[:3])


def test_the_last_page_has_the_sums_the_tax_and_how_to_pay(printed: tuple[str, list[str]]) -> None:
    code, found = printed
    last = found[-1]
    made = long_invoice(code)
    speech = language(code)
    for minor in (made.totals.lines_minor, made.totals.tax_minor, made.totals.payable_minor):
        assert speech.amount(minor, "EUR") in last
    assert "DE89 3704 0044 0532 0130 00" in last


def test_a_page_made_again_is_the_same() -> None:
    made = make(facts(), [line(1, "22361870", "2.5")])
    assert to_pdf(made) == to_pdf(made)
    assert b"pdfaid" in to_pdf(made)


def test_a_draft_says_so_on_every_page() -> None:
    assert all("Draft: not an invoice" in text for text in pages(to_pdf(long_invoice("en"), draft=True)))


def test_a_credit_note_names_its_invoice_and_asks_for_nothing() -> None:
    made = make(facts("381"), [line(1, "1000000", "2.5")])
    text = pages(to_pdf(made))[0]
    assert "Credit note R-2026-00001" in text
    assert "R-2026-00000 (2026-11-03)" in text
    assert "IBAN" not in text


def test_a_credit_note_of_what_credit_paid_says_that_it_went_back() -> None:
    text = pages(to_pdf(make(facts("381"), [line(1, "1000000", "2.5")], paid_minor=298)))[0]
    assert "Given back already" in text
    assert "Already paid" not in text


def test_what_a_customer_is_called_cannot_lay_out_the_page() -> None:
    hostile = '#panic("x") $a$ _b_ \\ @c <d> "'
    made = make(facts(customer=hostile), [line(1, "1", "1", about=hostile)])
    text = pages(to_pdf(made))[0]
    assert text.count('#panic("x")') == 2


def test_reasons_are_in_the_language_of_the_document() -> None:
    made = make(facts(language="de"), [line(1, "1000000", "1", tax=OUTSIDE)])
    assert page_data(made)["taxes"][0][0] == "O  Not subject to VAT"
    assert language("de").reason(type(OUTSIDE)(category="AE", percent=Decimal(0), code="VATEX-EU-AE")).startswith(
        "Steuerschuldnerschaft"
    )


def test_every_language_has_every_word() -> None:
    assert languages() == ["de", "en"]
    for code in languages():
        assert len(language(code).months) == 12
    with pytest.raises(InvoiceBroken, match="languages are de, en"):
        language("fr")
    with pytest.raises(InvoiceBroken, match="no document can be written"):
        language("../../../pyproject")


@pytest.mark.parametrize(
    ("code", "digits", "shown"),
    [
        ("en", "1234567.50", "1,234,567.50"), ("de", "1234567.50", "1.234.567,50"), ("en", "-0.05", "\u22120.05"),
        ("en", "7", "7"),
    ],
)
def test_numbers_have_the_marks_of_the_language(code: str, digits: str, shown: str) -> None:
    assert language(code).number(digits) == shown


def test_csv_has_a_row_per_line_and_no_formula() -> None:
    made = make(facts(), [line(1, "-5", "2.5", name="=1+1", per=1), line(2, "100", "2.5", per=1)], [allowance(100)])
    rows = to_csv(made).decode().split("\r\n")
    assert rows[1] == (
        "line,R-2026-00001,1,'=1+1,project app,2026-11-01,2026-12-01,-5,token,2.5,1,S,19,-12.50,EUR"
    )
    assert [row.split(",")[0] for row in rows[3:5]] == ["allowance", "tax"]
    assert rows[-2] == "total,R-2026-00001,,payable,,,,,,,,,,281.44,EUR"


def test_the_template_holds_no_rule() -> None:
    """No arithmetic and no words of its own stand in the layout: both come ready."""
    template = (Path(__file__).parents[3] / "src/entrepot/billing/document/invoice.typ").read_text(encoding="utf-8")
    assert "Invoice" not in template.replace("// One invoice on paper.", "")
