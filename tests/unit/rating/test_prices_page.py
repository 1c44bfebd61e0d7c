"""docs/reference/prices.md: every example is a file without mistakes, and its calls cost what stands under it."""

import re
from decimal import Decimal
from pathlib import Path

import pytest
from october import OCTOBER, START, sold

from entrepot.catalog.contents import Catalog, Contract
from entrepot.catalog.file import read
from entrepot.catalog.prices import METERS
from entrepot.kernel.instants import HOUR
from entrepot.pricing.agreement import agreement_of
from entrepot.pricing.publication import check
from entrepot.rating.order import rate

PAGE = (Path(__file__).parents[3] / "docs/reference/prices.md").read_text(encoding="utf-8")
HOUSE = """\
format = 1
vendor.aurora = { name = "Aurora Labs" }
upstream.eu = { vendor = "aurora", endpoint = { dialect = "openai", url = "https://eu.test/v1", zone = "EU" } }
model.aurora-large = { routes = ["eu/large"], context = 400_000 }
model.aurora-small = { routes = ["eu/small"], context = 128_000 }
model.other = { routes = ["eu/other"], context = 128_000 }
"""
LIST = '[[book.list]]\ncurrency = "EUR"\nvalid_from = 2026-01-01T00:00:00Z\n'
BESIDE = LIST + """\
prices = [
  { model = "aurora-large", input = 3.00, output = 12.00 },
  { model = "aurora-small", input = 0.50, output = 2.00 },
]
"""
VENDORS, *EXAMPLES = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
CALL = re.compile(r"# (\S+): (.*) = ([\d.]+)")
CASES = [(block, *found) for block in EXAMPLES for found in CALL.findall(block)]


def text_of(block: str) -> str:
    return HOUSE + VENDORS + (BESIDE if block.startswith("[customer") else LIST) + block


def test_every_example_says_what_it_costs() -> None:
    assert len(EXAMPLES) == 10
    assert all(CALL.search(block) for block in EXAMPLES)
    assert sum(block.count("\n# ") for block in EXAMPLES) == len(CASES) == 28


@pytest.mark.parametrize("block", EXAMPLES)
def test_an_example_has_no_mistake(block: str) -> None:
    check(read(text_of(block), "prices.md"), Catalog(), START)


@pytest.mark.parametrize(("block", "model", "used", "amount"), CASES, ids=[f"{c[1]}: {c[2]}" for c in CASES])
def test_the_calls_under_an_example_cost_what_stands_there(block: str, model: str, used: str, amount: str) -> None:
    catalog = read(text_of(block), "prices.md").catalog
    contract = catalog.customers["kontor"].contracts[0] if catalog.customers else Contract(book="list")
    counts: dict[str, int] = {}
    more: dict[str, object] = {"model": model, "price_version": ""}
    hour = 12
    for part in used.split(", "):
        quantity, _, meter = part.partition(" ")
        if meter in METERS:
            counts[meter] = int(quantity.replace(",", ""))
        elif quantity == "over":
            more["bracket"] = meter.replace(",", "")
        elif quantity == "at":
            hour = int(meter)
        else:
            more["tier"] = part
    rated = rate("kontor", [sold(hour, **counts, **more)], [agreement_of(contract, catalog.versions)], OCTOBER)
    assert rated.unrated == ()
    assert sum(line.net_minor("EUR") for line in rated.lines) == Decimal(amount) * 100
    assert START + hour * HOUR < OCTOBER.ends_at
