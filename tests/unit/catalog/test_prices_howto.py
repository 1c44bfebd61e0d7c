"""The file of docs/howto/prices.md is one that can be applied, and says what the page says."""

import re
from pathlib import Path

from entrepot.catalog.contents import Catalog
from entrepot.catalog.file import read
from entrepot.kernel import instants
from entrepot.pricing.agreement import agreed, agreement_of
from entrepot.pricing.publication import check

NOW = instants.parse("2026-11-21T12:00:00Z")
PAGE = Path(__file__).parents[3] / "docs" / "howto" / "prices.md"


def test_the_file_of_the_page_has_no_mistake_and_its_next_version_applies() -> None:
    text = PAGE.read_text(encoding="utf-8")
    (whole,) = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    file = read(whole, "prices.toml")
    check(file, Catalog(), NOW)
    (later,) = re.findall(r"^    \[\[book\.list\]\]\n(?:    .*\n)+", text, re.MULTILINE)
    check(read("format = 1\n" + later.replace("\n    ", "\n").strip(), "later.toml"), file.catalog, NOW)
    studio = file.catalog.customers["studio"]
    prices = agreed(
        agreement_of(studio.contract(instants.parse("2027-02-01T00:00:00Z")), file.catalog.versions), "large",
        instants.parse("2027-02-01T00:00:00Z"), file.catalog.versions[1].rows[1].when, "maker",
    )  # fmt: skip
    assert [f"{prices[meter].price:f}" for meter in ("input", "cached", "output")] == ["2.70", "0.30", "11.00"]
