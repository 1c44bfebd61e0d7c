"""The board's report: its figures, their footnotes, three languages, two pages, and what it says of too little."""

import io
import re
import tomllib
from datetime import date
from decimal import Decimal
from fractions import Fraction
from html.parser import HTMLParser
from importlib.resources import files
from typing import Any

import pypdf
import pytest
from msgspec.structs import replace

from entrepot.insight.entries import Entered, Expectation
from entrepot.insight.facts import Facts, NothingSold, Sale, weakest
from entrepot.insight.report.board import Board, Figure, Notes, Picture, Table, Tiles, figures, filled
from entrepot.insight.report.language import LanguageUnknown, language, languages, money
from entrepot.insight.report.making import board
from entrepot.insight.report.material import Material, fingerprint, source_of
from entrepot.insight.report.pages import to_html
from entrepot.insight.report.pdf import to_pdf
from reported_house import BASE, MONTHS, facts, material, of_month, sales, watched

NOW = [sale for sale in sales() if sale.month == "2024-03"]
WHOLE = sum(sale.amount for sale in NOW)
VIDEO = sum(sale.amount for sale in NOW if sale.group == "video")


@pytest.fixture(scope="module")
def made() -> Board:
    return board(material(), "en")


def tile(of: Board, name: str) -> Any:
    [found] = [each for block in of.pages[0].blocks if isinstance(block, Tiles) for each in block.tiles
               if each.name == name]  # fmt: skip
    return found


def all_figures(of: Board) -> list[Figure]:
    return [
        *(each for each in of.lead if isinstance(each, Figure)),
        *(each for page in of.pages for block in page.blocks for each in figures(block)),
    ]


def text_of(pdf: bytes) -> list[str]:
    return ["".join(page.extract_text().split()) for page in pypdf.PdfReader(io.BytesIO(pdf)).pages]


def test_its_figures_are_those_of_the_sales(made: Board) -> None:
    def millions(units: int) -> str:
        return f"{Decimal(units) / 10**15:.1f} M USD"

    assert tile(made, "Revenue of the month").figure.text == millions(WHOLE)
    assert tile(made, "Run-rate a year").figure.text == millions(12 * WHOLE)
    positive = WHOLE + 10**15 // 5
    share = Fraction(VIDEO, positive)
    assert tile(made, "Largest customer").figure.text == f"{float(share) * 100:.1f} %"
    groups: dict[str, int] = {}
    for sale in NOW:
        groups[sale.group or sale.customer] = groups.get(sale.group or sale.customer, 0) + sale.amount
    index = sum(Fraction(each, positive) ** 2 for each in groups.values() if each > 0)
    assert tile(made, "HHI").figure.text == f"{float(index) * 10_000:.0f}"
    costed = [sale for sale in NOW if sale.cost is not None]
    margin = 1 - sum(Fraction(sale.cost or 0) for sale in costed) / sum(sale.amount for sale in costed)
    assert tile(made, "Gross margin").figure.text == f"{float(margin) * 100:.1f} %"
    assert [each.text for each in made.lead if isinstance(each, Figure)] == [
        f"{float(share) * 100:.1f} %", millions(WHOLE - VIDEO), f"{float(Fraction(VIDEO, WHOLE - VIDEO)) * 100:.1f} %",
    ]  # fmt: skip


def test_every_figure_has_a_footnote_and_every_footnote_a_figure(made: Board) -> None:
    notes = [note for page in made.pages for note in page.notes]
    assert [note.number for note in notes] == list(range(1, len(notes) + 1))
    cited = {number for figure in all_figures(made) for number in figure.notes}
    drawn = {number for page in made.pages for block in page.blocks if isinstance(block, Picture)
             for number in block.notes}  # fmt: skip
    assert all(figure.notes for figure in all_figures(made))
    assert cited | drawn == {note.number for note in notes}
    letters = {letter for page in made.pages for letter, _ in page.inputs}
    named = {letter for note in notes for told in re.findall(r"From ([A-Z](?:, [A-Z])*)\.", note.text)
             for letter in told.split(", ")}  # fmt: skip
    assert named == letters


def test_a_footnote_leads_to_the_documents_of_its_figure(made: Board) -> None:
    note = made.pages[0].notes[tile(made, "Largest customer").figure.notes[0] - 1]
    told = dict(made.pages[0].inputs)
    inputs = [(name, sha256) for name, sha256 in facts().inputs if name.startswith("R-2024-03-video")]
    assert note.text.endswith("From A, B.")
    assert told["A"] == (
        f"2 issued documents, R-2024-03-video-apps to R-2024-03-video-builder (fingerprint {fingerprint(inputs)})"
    )


def test_what_is_reported_or_assumed_is_told_apart(made: Board) -> None:
    assert tile(made, "Largest customer").figure.standing == "books"
    by_title = {block.title: block for block in made.pages[1].blocks if isinstance(block, Table)}
    assert {each.standing for each in figures(by_title["Expected and come"])} == {"reported"}
    assert {each.standing for each in figures(by_title["What if"])} == {"assumed"}
    assert {each.standing for each in figures(by_title["Dependence on vendors"])} == {"books", "reported", "assumed"}
    loaded = tuple(
        replace(sale, standing="assumed", source=f"{sale.source}, assumed: a guess") if sale.customer == "c07" else sale
        for sale in sales()
    )  # fmt: skip
    doubtful = board(material(replace(facts(), sales=loaded)), "en")
    assert tile(doubtful, "Revenue of the month").figure.standing == "assumed"
    assert tile(doubtful, "Largest customer").figure.standing == "assumed"  # its whole is no better known
    assert any("assumed: a guess" in told for _, told in doubtful.pages[0].inputs)


def test_surprise_stands_in_points_and_in_parts_of_what_was_expected(made: Board) -> None:
    tables = [block for block in made.pages[1].blocks if isinstance(block, Table)]
    [table] = [each for each in tables if each.title == "Expected and come"]
    rows = [[each.text if isinstance(each, Figure) else each for cell in row for each in cell] for row in table.rows]
    assert rows == [
        ["Cloud growth, Q2 2024 (FQ4 2024): guidance", "30 to 31 %", "29 %", "−1.0 points to −2.0 points",
         "−3.3 % to −6.5 %"],
        ["Cloud growth, Q2 2024 (FQ4 2024): consensus", "30.6 %", "29 %", "−1.6 points", "−5.2 %"],
    ]  # fmt: skip


def test_a_position_holds_what_the_books_say_beside_what_was_entered(made: Board) -> None:
    tables = [block for block in made.pages[1].blocks if isinstance(block, Table)]
    [row] = next(each for each in tables if each.title == "Both sides with counterparties").rows
    bought = sum(sale.cost or 0 for sale in NOW if sale.vendor == "Model Maker")
    paid = 50 + Decimal(bought) / 10**15
    received = Decimal(2600) / 12
    texts = [each.text for cell in row for each in cell if isinstance(each, Figure)]
    assert texts == [f"{received:.1f}", f"{paid:.1f}", f"+{received - paid:.1f}"]
    note = next(note for note in made.pages[1].notes if note.number == figures(tables[-1])[0].notes[0])
    assert "cost of goods: From B" in note.text


def test_one_more_sale_moves_the_figures_and_the_fingerprint(made: Board) -> None:
    more = Sale(month="2024-03", customer="gulf", amount=10 * 10**15, cost=0, source="R-2024-03-more")
    grown = replace(facts(), sales=(*facts().sales, more), inputs=(*facts().inputs, ("R-2024-03-more", "ab")))
    after = board(material(grown), "en")
    for name in ("Revenue of the month", "Largest customer", "HHI", "Gross margin"):
        assert tile(after, name).figure.text != tile(made, name).figure.text
    assert after.made != made.made
    assert dict(after.pages[0].inputs)["B"] != dict(made.pages[0].inputs)["B"]


@pytest.mark.long
@pytest.mark.parametrize("code", ["en", "de", "pt"])
def test_it_is_two_pages_with_every_figure_on_its_page(code: str) -> None:
    of = board(material(), code)
    made = to_pdf(of)
    assert made == to_pdf(of)
    pages = text_of(made)
    assert len(pages) == 2
    for page, text in zip(of.pages, pages, strict=True):
        said = [each.text for block in page.blocks for each in figures(block)] + [note.text for note in page.notes]
        assert [each for each in said if "".join(each.split()) not in text.replace("‐", "-")] == []


@pytest.mark.long
def test_the_fullest_report_is_two_pages_too() -> None:
    long = "A customer with a name so long that no column was made for it, and its many subsidiaries all over the world"
    customers = ("video", "retail", "tax-help", "gulf", *(f"c{n:02}" for n in range(35)))
    names = {each: f"{long} {each}" for each in customers}
    full = material(replace(facts(), names=names))
    text = "a source that says at length where it was found, by whom it was written, and when; " * 2
    entered = Entered(
        expectation=tuple(
            Expectation(of=f"Growth of part {n} of the whole division", period="2024-Q1", by=by, least=Decimal(30),
                        most=Decimal(most), unit="%", actual=Decimal(29), standing="reported", source=f"{text}{n}{by}")
            for n in range(4) for by, most in (("guidance", 31), ("consensus", 30))
        ),
        terms=tuple(replace(each, source=text, committed=10**17, currency="USD") for each in full.entered.terms),
        substitute=tuple(replace(each, source=text) for each in full.entered.substitute),
        stream=tuple(replace(each, counterparty=f"Party {n}", source=text) for n in range(6)
                     for each in full.entered.stream),
    )  # fmt: skip
    more = tuple(replace(each, customer=f"c{n}") for n in (32, 33, 34) for each in watched().used
                 if each.customer == "retail")  # fmt: skip
    leaving = replace(watched(), used=(*watched().used, *more))
    full = replace(full, entered=entered, cases=full.cases * 2, watched=leaving)
    for code in languages():
        of = board(full, code)
        assert len(text_of(to_pdf(of))) == 2
    told = [block.whole.partition("; os ")[2] for block in of.pages[1].blocks if isinstance(block, Table)]
    assert told == ["primeiros 3 de 5", "primeiros 3 de 4", "primeiros 5 de 8", "", "primeiros 4 de 6"]


class _Seen(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


@pytest.mark.long
def test_the_page_needs_no_other_file_and_its_links_lead_to_its_footnotes(made: Board) -> None:
    page = to_html(made).decode()
    seen = _Seen()
    seen.feed(page)
    links = {attrs["href"] for tag, attrs in seen.tags if tag == "a"}
    ids = {f"#{attrs['id']}" for tag, attrs in seen.tags if tag == "li"}
    assert links == ids
    assert all(str(attrs["src"]).startswith("data:image/svg+xml;base64,") and attrs["alt"] for tag, attrs in seen.tags
               if tag == "img")  # fmt: skip
    assert not {"script", "link", "iframe"} & {tag for tag, _ in seen.tags}
    shown = page.replace("&#x27;", "'").replace("&amp;", "&").replace("&quot;", '"')
    assert [each.text for each in all_figures(made) if each.text not in shown] == []
    marks = [attrs for tag, attrs in seen.tags if tag == "i" and attrs.get("aria-label")]
    assert {str(attrs["class"]) for attrs in marks} == {"reported", "assumed"}


@pytest.mark.long
def test_names_are_text_and_never_markup() -> None:
    names = {"video": "<script>alert(1)</script> {rest}", "retail": '"&\'#let x = 1'}
    of = board(material(replace(facts(), names=names)), "en")
    page = to_html(of).decode()
    assert "<script>" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt; {rest} brings" in page
    assert "<script>alert(1)</script>{rest}brings" in text_of(to_pdf(of))[0]


@pytest.mark.parametrize("code", languages())
def test_a_language_has_every_word_with_its_places(code: str) -> None:
    def raw(of: str) -> dict[str, Any]:
        return tomllib.loads(files("entrepot.insight.report").joinpath(f"languages/{of}.toml").read_text("utf-8"))

    def places(text: str) -> set[str]:
        return set(re.findall(r"\{(\w+)", text))

    ours, english = raw(code), raw("en")
    for part in ("words", "notes"):
        assert {name: places(text) for name, text in ours[part].items()} == {
            name: places(text) for name, text in english[part].items()
        }
    assert len(ours["months"]) == len(ours["short_months"]) == 12


def test_numbers_are_written_as_the_language_writes_them() -> None:
    german, english, portuguese = (language(code) for code in ("de", "en", "pt"))
    assert german.percent(Fraction(-52, 1000), sign=True) == "−5,2 %"
    assert english.rounded(Fraction(12345, 10), 0) == "1,235"  # half away from zero
    assert money(german, BASE, 83 * 10**15).show(83_333 * 10**12) == "83,3 Mio. USD"
    assert money(portuguese, BASE, 20_000 * 10**9).show(20_000 * 10**9) == "20,0 mil USD"
    assert money(english, BASE, 960 * 10**9).show(-960_125 * 10**6) == "−960.13 USD"


@pytest.mark.long
def test_too_little_is_said_in_words() -> None:
    only = of_month(facts())
    first = board(Material(service="x", month="2024-03", facts=only, made_on=date(2024, 4, 9)), "en")
    assert tile(first, "Net revenue retention").figure.text == "not known"
    texts = ["".join(each if isinstance(each, str) else each.text for each in block.words)
             for page in first.pages for block in page.blocks if hasattr(block, "words")]  # fmt: skip
    assert "There is no month before on this base, so the change is not told." in texts
    assert "There is one month with revenue only, so no course of shares is shown." in texts
    alone = replace(only, sales=(replace(only.sales[0], cost=None),))
    single = board(Material(service="x", month="2024-03", facts=alone, made_on=date(2024, 4, 9)), "en")
    assert single.lead == ("Short Video Group is the only customer: all revenue hangs on it.",)
    assert tile(single, "Gross margin").figure.text == "not known"
    assert len(text_of(to_pdf(single))) == 2


def test_nothing_sold_and_an_unknown_language_are_refused() -> None:
    empty = Facts(base=BASE, sales=())
    with pytest.raises(NothingSold, match="billed revenue of 2024-03: nothing was sold, so there is"):
        board(Material(service="x", month="2024-03", facts=empty, made_on=date(2024, 4, 9)), "en")
    with pytest.raises(LanguageUnknown, match="no report can be written in 'fr'; languages are de, en, pt"):
        board(material(), "fr")


def test_inputs_are_lettered_and_what_books_were_loaded_with_is_kept_apart() -> None:
    notes = Notes()
    assert [notes.letter(str(n)) for n in (*range(28), 0)] == [*"ABCDEFGHIJKLMNOPQRSTUVWXYZ", "AA", "AB", "A"]
    loaded = Sale(month=MONTHS[0], customer="a", amount=1, standing="reported", source="R-7, reported: the press")
    assert source_of(loaded) == ("R-7", "the press")
    stated = Sale(month=MONTHS[0], customer="a", amount=1, standing="assumed", source="assumed: a guess")
    assert source_of(stated) == ("", "a guess")
    assert weakest(["books", "assumed", "reported"]) == "assumed"
    assert filled("{a} on {b}.", a="x{b}", b="May") == ("x{b}", " on ", "May", ".")
