"""Vendors' list prices become cost books to review: looked up by the vendor's name, never published by themselves."""

import gzip
import json
from typing import Any

import msgspec
import pytest

from entrepot.catalog.contents import Catalog
from entrepot.catalog.difference import merged
from entrepot.catalog.file import read
from entrepot.catalog.vendor_prices import PriceDataBroken, Proposal, propose, read_data
from entrepot.kernel import instants
from entrepot.pricing.publication import check
from shared_data import SHARED

NOW = instants.parse("2026-11-21T12:00:00Z")
HOUSE = """\
format = 1
vendor.openai = { name = "OpenAI" }
vendor.azure = { name = "Azure" }
vendor.other = { name = "Other" }
upstream.oa = { vendor = "openai", endpoint = { dialect = "openai", url = "https://api.openai.com/v1" } }
upstream.az = { vendor = "azure", endpoint = { dialect = "azure", url = "https://x.openai.azure.com" } }
upstream.ot = { vendor = "other", endpoint = { dialect = "openai", url = "https://other.example/v1" } }
model."gpt-4o" = { routes = ["oa/gpt-4o-2024-11-20", "az/my-deployment"], context = 100 }
model.o3 = { routes = ["oa/o3"], context = 100 }
model."gpt-5.4" = { routes = ["oa/gpt-5.4"], context = 100 }
model.nobody = { routes = ["ot/nobody"], context = 100 }
"""


def house(more: str = "") -> Catalog:
    file = read(HOUSE + more, "house.toml")
    check(file, Catalog(), NOW)
    return merged(Catalog(), file.catalog, NOW)


def applied(catalog: Catalog, proposal: Proposal) -> Catalog:
    """The house after the proposal was applied as it is; it has no mistake."""
    file = read(proposal.text, "proposal.toml")
    check(file, catalog, NOW)
    return merged(catalog, file.catalog, NOW)


def provider(**models: Any) -> dict[str, Any]:
    rows = [{"id": name, "match": {"equals": name}, "prices": prices} for name, prices in models.items()]
    urls = ["https://p.example"]
    return {"id": "openai", "api_pattern": r"https://api\.openai\.com", "pricing_urls": urls, "models": rows}


def proposed(*providers: dict[str, Any], catalog: Catalog | None = None, **vendors: str) -> Proposal:
    return propose(catalog or house(), read_data(json.dumps(providers)), vendors, "data.json, sha256 12", NOW)


@pytest.mark.long
def test_the_published_data_gives_a_book_that_applies() -> None:
    path = SHARED / "data" / "prices" / "genai_prices_v2.json.gz"
    if not path.exists():
        pytest.skip(f"{path} is missing")
    data = read_data(gzip.decompress(path.read_bytes()).decode())
    found = propose(house(), data, {}, "genai-prices", NOW)
    assert found.models == ("gpt-4o", "gpt-4o", "gpt-5.4", "o3")
    assert '{ model = "gpt-5.4", request_over = 272000, input = 5.0, cached = 0.5, output = 22.5 },' in found.text
    assert '{ model = "o3", input = 2.0, cached = 0.5, output = 8.0 },' in found.text, "the later of its two prices"
    assert "# openai: proposed 2026-11-21T12:00:00Z from genai-prices, provider openai. https://" in found.text
    after = applied(house(), found)
    again = propose(after, data, {}, "genai-prices", NOW)
    assert (again.text, again.models, again.same) == ("", (), found.models)


def test_a_vendor_is_found_by_the_address_of_its_upstream_or_named() -> None:
    one = provider(o3={"input_mtok": 2, "output_mtok": 8}, nobody={"input_mtok": 1, "output_mtok": 1})
    assert proposed(one).models == ("o3",)
    assert proposed(one, other="openai").models == ("o3", "nobody")


def test_a_price_that_is_dated_begins_on_its_day() -> None:
    dated = [
        {"prices": {"input_mtok": 10, "output_mtok": 40}},
        {"constraint": {"start_date": "2025-06-10"}, "prices": {"input_mtok": 2, "output_mtok": 8}},
        {"constraint": {"start_date": "2027-01-01"}, "prices": {"input_mtok": 1.5, "output_mtok": 8}},
    ]
    found = proposed(provider(o3=dated))
    rows = [line for line in found.text.splitlines() if "valid_from" in line or "model =" in line]
    assert rows == [
        "valid_from = 2026-11-01T00:00:00Z", '  { model = "o3", input = 2.0, output = 8.0 },',
        "valid_from = 2027-01-01T00:00:00Z", '  { model = "o3", input = 1.5, output = 8.0 },',
    ]  # fmt: skip


def test_prices_in_force_change_from_the_next_day_on_and_only_those_that_differ() -> None:
    was = proposed(provider(o3={"input_mtok": 2, "output_mtok": 8}, **{"gpt-5.4": {"input_mtok": 3, "output_mtok": 9}}))
    after = applied(house(), was)
    now = provider(o3={"input_mtok": 2, "output_mtok": 8.5}, **{"gpt-5.4": {"input_mtok": 3}})
    found = proposed(now, catalog=after)
    assert (found.models, found.same) == (("o3",), ("gpt-5.4",))
    assert "valid_from = 2026-11-22T00:00:00Z" in found.text
    assert "gpt-5.4 output stands in openai-cost and not in the data: it stays" in found.notes
    applied(after, found)


def test_what_a_book_cannot_say_is_told_and_not_proposed() -> None:
    hours = {"constraint": {"start_time": "00:30:00Z", "end_time": "16:30:00Z"}, "prices": {"input_mtok": 9}}
    found = proposed(provider(o3=[{"prices": {"input_mtok": 2, "web_searches_kcount": 10}}, hours]))
    assert found.notes == (
        "gpt-4o: openai has no gpt-4o-2024-11-20 or gpt-4o",
        "gpt-5.4: openai has no gpt-5.4",
        "o3: web_searches_kcount is not proposed; nothing here counts it",
        "o3: a price from 00:30:00Z to 16:30:00Z is not proposed; hours of a book are whole ones",
    )
    assert "9" not in found.text.partition("prices = [")[2]


def test_a_price_a_request_is_per_request_and_hours_that_are_whole_are_a_condition() -> None:
    night = {"constraint": {"start_time": "22:00:00Z", "end_time": "06:00:00Z"}, "prices": {"input_mtok": 1}}
    found = proposed(provider(o3=[{"prices": {"input_mtok": 2, "requests_kcount": 5}}, night]))
    (version,) = applied(house(), found).versions
    assert {str(thing): str(said) for thing, said in version.things().items()} == {
        "o3 input": "2.0 per 1,000,000", "o3 request": "0.005", "o3 input (22-06 h UTC)": "1.0 per 1,000,000",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "the file is no JSON"),
        ('{"models": []}', "the file is no list of providers"),
        ("[1]", "the file is no list of providers"),
        ("[" * 100_000, "the file is no JSON"),
    ],
)
def test_a_file_that_is_something_else_is_said_so(text: str, why: str) -> None:
    with pytest.raises(PriceDataBroken, match=why):
        read_data(text)


@pytest.mark.parametrize("price", [-1, True, "2", 1e9, None])
def test_a_price_that_is_none_is_refused(price: object) -> None:
    with pytest.raises(PriceDataBroken, match="is no price per million"):
        proposed(provider(o3={"input_mtok": price}))


def test_names_that_are_not_there_are_said() -> None:
    with pytest.raises(PriceDataBroken, match=r'no vendor is called "opnai"\. Did you mean "openai"'):
        proposed(provider(), opnai="openai")
    with pytest.raises(PriceDataBroken, match='the data has no provider "anthropic"'):
        proposed(provider(), other="anthropic")


def test_a_book_in_another_currency_is_left_alone() -> None:
    euros = house('[[book.oc]]\nbuys_from = "openai"\ncurrency = "EUR"\nvalid_from = 2026-01-01T00:00:00Z\nprices = ['
                  '{ model = "o3", input = 1.0 }]\n')  # fmt: skip
    found = proposed(provider(o3={"input_mtok": 2}), catalog=euros)
    assert (found.text, found.notes) == ("", ("oc is in EUR and the data in USD: nothing is proposed for it",))


def test_a_strangers_comment_stays_on_its_line() -> None:
    bad = {**provider(o3={"input_mtok": 2}), "pricing_urls": ["https://p\n[operator]\nname = 'x'\x1b[2J"]}
    text = proposed(bad).text
    assert "\x1b" not in text
    assert msgspec.structs.asdict(read(text, "p").catalog)["operator"] is None
