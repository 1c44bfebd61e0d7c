"""The case from an empty folder: usage through journal, lake, rating and invoices, and figures read from the books.

Its files are those of examples/case-2024, with twelve other customers in the place of ninety-two, so that it takes a
part of the minutes that `make case` takes. Every reported figure is the same; what follows from the assumed ones is
worked out here again, from the files.
"""

import json
import os
import shutil
import subprocess
import sys
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
CASE = ROOT / "examples" / "case-2024"
sys.path.insert(0, str(CASE))

from casebook.book import read_book  # noqa: E402
from casebook.house import opened  # noqa: E402
from casebook.loading import load  # noqa: E402
from casebook.table import as_data, sections  # noqa: E402
from entrepot.insight.concentration import concentration  # noqa: E402
from entrepot.kernel.instants import parse  # noqa: E402

BOTH = ("by-share", "by-rate")
OTHERS = 12


class Case(dict[str, tuple[str, ...]]):
    """Figures by `section / what`: one value per loading."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`files` of the smaller case, and `books`, made by the command that `make case` runs."""
    where = tmp_path_factory.mktemp("case")
    shutil.copytree(CASE, where / "files", ignore=shutil.ignore_patterns("casebook"))
    for name in BOTH:
        path = where / "files" / f"{name}.toml"
        path.write_text(path.read_text(encoding="utf-8").replace("count = 92", f"count = {OTHERS}"), encoding="utf-8")
    done = run(where, "--coarse")
    assert done.returncode == 0, done.stderr
    (where / "printed.txt").write_text(done.stdout, encoding="utf-8")
    return where


def run(where: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "casebook", str(where / "books"), "--files", str(where / "files"), *options],
        env={**os.environ, "PYTHONPATH": str(CASE), "NO_COLOR": "1"}, capture_output=True, text=True, check=False,
    )  # fmt: skip


def figures(data: list[dict[str, Any]]) -> Case:
    found = Case()
    for section in data:
        for each in section["figures"]:
            found[each["what"]] = (*(each["values"][name] for name in BOTH), each["reported"])
    return found


@pytest.fixture(scope="module")
def case(folder: Path) -> Case:
    return figures(json.loads((folder / "books" / "figures.json").read_text(encoding="utf-8")))


REPORTED = {
    "revenue of the month": ("80.00 M", "83.33 M", "83 M USD; or 20 M / 25 %"),
    "the same in the ledger: revenue of usage": ("80.00 M", "83.33 M", "–"),
    "run-rate: the month × 12": ("960 M", "1,000 M", "1 bn USD a year; or 960 M"),
    "the same of whole millions, as reports round": ("960 M", "996 M", "83 M × 12 = 996 M"),
    "largest customer": ("ByteDance: 20.00 M", "ByteDance: 20.00 M", "TikTok: almost 20 M"),
    "its share of the service": ("25.0 %", "24.0 %", "close to 25 %"),
    "the same of whole millions": ("25.0 %", "24.1 %", "20 / 83 = 24.1 %"),
    "its share of the AI business": ("–", "–", "or: close to 25 % of it"),
    "10 % list: of the service, as if it reported": ("ByteDance 25.0 %", "ByteDance 24.0 %", "–"),
    "open invoices at the end": ("80.00 M", "83.33 M", "–"),
    "the same, whatever the others pay": ("625 to 2,500", "576 to 2,320", "–"),
    "surprise, in points": ("−1.6", "−1.6", "−1.6 points"),
    "surprise, of what was expected": ("−5.2 %", "−5.2 %", "−5.2 %"),
    "what came against it": ("−1 to −2 points", "−1 to −2 points", "1 to 2 points below"),
    "cloud growth, Q2 2024 = FQ4 2024, consensus": ("30.6 %", "30.6 %", "30.6 %"),
    "cloud growth, Q3 2024 = FQ1 2025, guidance": ("28 to 29 %", "28 to 29 %", "28 to 29 %"),
    "the rest must grow by": ("33.3 %", "31.6 %", "–"),
    "net position with the largest customer": ("240 M", "240 M", "almost 240 M"),
    "largest vendor": ("openai 100.0 %", "openai 100.0 %", "all are the vendor's"),
    "the same quarter a year before": ("10,698 M", "10,698 M", "up 77.6 %"),
    "margin a year that pays it back in 15": ("1,267 M", "1,267 M", "–"),
    "net revenue retention": ("100.0 %", "100.0 %", "–"),
    "gross margin of the month": ("40.0 %", "40.0 %", "–"),
}


@pytest.mark.parametrize("what", REPORTED)
def test_the_figures_of_the_case_come_out_beside_the_reported_ones(case: Case, what: str) -> None:
    assert case[what] == REPORTED[what]


def test_what_is_printed_is_the_same_and_ends_with_what_to_look_at(folder: Path) -> None:
    text = (folder / "printed.txt").read_text(encoding="utf-8")
    for what, values in REPORTED.items():
        assert any(what in line and all(each in line for each in values) for line in text.splitlines()), what
    assert "160 invoices in two books, 2024-03 to 2024-06" in text
    assert text.index("\nLook at\n") > text.index("payback")
    last = text[text.index("\nLook at\n") :].splitlines()
    commands = [line.strip().split("   ")[0].split() for line in last if "/entrepot" in line]
    assert len(commands) > 1
    for _, *words in commands:
        called = subprocess.run([sys.executable, "-m", "entrepot", *words], capture_output=True, text=True, check=False)
        assert called.returncode == 0, (words, called.stdout, called.stderr)


def amounts(folder: Path, name: str, month: str) -> dict[str, int]:
    """Cents by control group as the files have them."""
    loading, _ = load(folder / "files", name)
    return {
        {"tiktok": "ByteDance"}.get(each.customer, each.customer): each.cents
        for each in loading.amounts
        if each.month == month
    }


@pytest.mark.parametrize(("name", "place", "month"), [("by-share", 0, "2024-03"), ("by-rate", 1, "2024-06")])
def test_concentration_is_that_of_the_amounts(folder: Path, case: Case, name: str, place: int, month: str) -> None:
    sizes = sorted(amounts(folder, name, month).values(), reverse=True)
    hhi = sum(Fraction(each, sum(sizes)) ** 2 for each in sizes)
    assert len(sizes) == 8 + OTHERS
    assert case["HHI, in points"][place] == f"{round(hhi * 10_000):,}"
    assert case["effective number of customers"][place] == f"{Decimal(hhi.denominator) / hhi.numerator:.1f}"
    assert case["share of the 5 largest"][place] == f"{Decimal(sum(sizes[:5])) / sum(sizes) * 100:.1f} %"


@pytest.mark.parametrize("name", BOTH)
def test_invoices_of_every_month_are_the_amounts_to_the_cent_and_the_ledger_says_the_same(
    folder: Path, name: str
) -> None:
    book = read_book(folder / "books" / name, name, folder / "files")
    for month in ("2024-03", "2024-04", "2024-05", "2024-06"):
        cents = amounts(folder, name, month)
        assert book.of(month).by("group") == {who: each * 10**7 for who, each in sorted(cents.items())}
    lines = 2 * len({(sale.customer, sale.month, sale.model) for sale in book.billed.sales})
    assert 0 < abs(book.earned.total() - book.billed.total()) < lines * 5 * 10**6  # half a cent a line


@pytest.mark.parametrize("name", BOTH)
def test_no_sale_is_taken_for_more_than_it_is(folder: Path, name: str) -> None:
    book = read_book(folder / "books" / name, name, folder / "files")
    assert book.billed.base.whole == f"the service, loaded {book.title}"
    reported = {(sale.customer, sale.month) for sale in book.billed.sales if sale.standing == "reported"}
    assert {who for who, _ in reported} == {"tiktok"}
    assert {sale.standing for sale in book.billed.sales} == {"reported", "assumed"}
    assert all(sale.source.startswith("R-2024-") for sale in book.billed.sales)


@pytest.mark.parametrize("name", BOTH)
def test_all_that_was_written_down_agrees(folder: Path, name: str) -> None:
    verified = subprocess.run(
        [sys.executable, "-m", "entrepot", "--data", str(folder / "books" / name), "verify"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert verified.returncode == 0, verified.stdout
    assert "80 documents" in verified.stdout


def test_books_that_are_whole_are_read_again_and_others_are_refused(folder: Path) -> None:
    again = run(folder, "--json")
    assert again.returncode == 0, again.stderr
    assert figures(json.loads(again.stdout)) == figures(
        json.loads((folder / "books" / "figures.json").read_text(encoding="utf-8"))
    )
    path = folder / "files" / "usage.toml"
    text = path.read_text(encoding="utf-8")
    try:
        path.write_text(text.replace("tokens_per_call = 2_000", "tokens_per_call = 2_001"), encoding="utf-8")
        other = run(folder)
    finally:
        path.write_text(text, encoding="utf-8")
    assert other.returncode == 1
    assert "was made of other files than there are now: delete it" in other.stderr
    assert "Traceback" not in other.stderr


def test_more_usage_of_one_customer_billed_anew_moves_share_hhi_and_report(folder: Path, tmp_path: Path) -> None:
    """Walmart called for 5 M more in June. What was billed is credited in full and billed again, with what came."""
    name, month, more = "by-rate", "2024-06", 5_000_000_00
    shutil.copytree(folder / "books" / name, tmp_path / name)
    before = read_book(tmp_path / name, name, folder / "files")
    loading, habits = load(folder / "files", name)
    [old] = [each for each in loading.amounts if (each.customer, each.month) == ("walmart", month)]
    now = parse("2024-07-20T09:00:00Z")
    with opened(tmp_path / name) as house:
        late = type(old)(customer="walmart", month=month, cents=more, standing="assumed", source="a test")
        house.serve(list(house.calls([late], loading, habits, fine=False)), now, lambda *_: None)
        [number] = {sale.source.split(",")[0] for sale in before.of(month).sales if sale.customer == "walmart"}
        house.do(
            "invoice.credit_note", now, number=number, customer="walmart", all=True, lines={}, reason="usage came late",
            id="LATE-1",
        )  # fmt: skip
        [issued] = house.bill(month, now, lambda *_: None, only="walmart")
    assert (issued["customer"], issued["total"]) == ("walmart", "9000000.00")
    after = read_book(tmp_path / name, name, folder / "files")

    sizes = {**amounts(folder, name, month), "walmart": old.cents + more}
    whole = sum(sizes.values())
    found = concentration(after.of(month), "group")
    assert found.whole == whole * 10**7
    assert found.parts[0].share == Fraction(20_000_000_00, whole)
    assert found.hhi == sum(Fraction(each, whole) ** 2 for each in sizes.values())
    was = concentration(before.of(month), "group")
    assert found.parts[0].share < was.parts[0].share
    assert found.hhi != was.hhi

    told = [lead(folder / "books" / name, month, tmp_path), lead(tmp_path / name, month, tmp_path)]
    assert "24.0 %" in told[0]
    assert "63.3" in told[0]
    assert "22.6 %" in told[1]
    assert "68.3" in told[1]

    moved = {
        each["what"]: each["values"][name]
        for section in as_data(sections((after,)), (after,))
        for each in section["figures"]
    }
    assert moved["revenue of the month"] == "88.33 M"
    assert moved["its share of the service"] == "22.6 %"
    assert moved["run-rate: the month × 12"] == "1,060 M"
    assert moved["HHI, in points"] == f"{round(found.hhi * 10_000):,}"
    assert moved["tiktok-leaves: revenue, then"] == "68.33 M"
    assert after.of("2024-05").by("group") == before.of("2024-05").by("group")


def lead(data: Path, month: str, output: Path) -> str:
    """The first sentence of the board's report, made by the command."""
    done = subprocess.run(
        [sys.executable, "-m", "entrepot", "--data", str(data), "--json", "report", "run", "board", "--month", month,
         "--format", "html", "--output", str(output)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    words = json.loads(done.stdout)["board"]["lead"]
    return "".join(each if isinstance(each, str) else each["text"] for each in words)


def test_a_customer_that_may_not_owe_so_much_is_named_and_nothing_passes_for_whole(
    folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(folder / "files", tmp_path / "files")
    path = tmp_path / "files" / "catalog.toml"
    text = path.read_text(encoding="utf-8")
    assert text.count("credit_limit = 70_000_000.00") == 1
    path.write_text(text.replace("credit_limit = 70_000_000.00", "credit_limit = 1_000_000.00"), encoding="utf-8")
    refused = run(tmp_path, "--coarse")
    assert refused.returncode == 1
    assert "tiktok needs" in refused.stderr
    assert "raise its credit_limit in catalog.toml, or lower its amount" in refused.stderr
    assert "Traceback" not in refused.stderr
    again = run(tmp_path, "--coarse")
    assert again.returncode == 1
    assert "is not empty, and its books were not finished: delete it, then again" in again.stderr
