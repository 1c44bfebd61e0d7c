"""From a catalog file to the terms of a call: what each customer agreed is what its calls are held and charged by."""

from pathlib import Path
from typing import Any

import pytest
from test_commands import House

from entrepot.gateway.desk import Desk, Offer
from entrepot.keeper.first_start import make_secrets
from entrepot.kernel.instants import HOUR, Instant, parse
from entrepot.limits.lease import Lease
from entrepot.storage.database import open_database, prepare
from entrepot.storage.folder import Folder

SHOP = """\
format = 1
vendor.aurora = { name = "Aurora" }
vendor.brook = { name = "Brook" }
upstream.aurora = { vendor = "aurora", endpoint = { dialect = "openai", url = "https://aurora.test/v1", zone = "EU" } }
upstream.brook = { vendor = "brook", endpoint = { dialect = "openai", url = "https://brook.test/v1" } }
model.large = { routes = ["aurora/large", "brook/large"], context = 128_000 }
model.small = { routes = ["aurora/small"], context = 128_000 }
[[book.aurora-cost]]
buys_from = "aurora"
currency = "USD"
valid_from = 2026-01-01T00:00:00Z
prices = [
  { model = "large", input = 2.0, output = 8.0 },
  { model = "small", input = 0.4, output = 1.6, request = 0.001 },
]
[[book.brook-cost]]
buys_from = "brook"
currency = "USD"
valid_from = 2026-01-01T00:00:00Z
prices = [{ model = "large", input = 3.0, output = 9.0 }]
[[book.list]]
currency = "USD"
valid_from = 2026-01-01T00:00:00Z
prices = [
  { model = "*", cost_plus_percent = 50 },
  { model = "small", hours = "22-06", input = 0.3, output = 1.2 },
]
[customer.plain]
[customer.less]
contract = { discount_percent = 10 }
[customer.own]
contract = [
  { id = "O-1", until = 2026-12-01T00:00:00Z, prices = [{ model = "large", input = 2.2 }] },
  { id = "O-2", from = 2026-12-01T00:00:00Z, prices = [{ model = "large", input = 2.1 }] },
]
"""
NOON = parse("2026-11-30T12:00:00Z")


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    folder = Folder(Path(tmp_path_factory.mktemp("house")))
    folder.create()
    make_secrets(folder)
    engine = open_database(folder.database)
    prepare(engine)
    found = House(engine, folder)
    found.now = NOON - HOUR
    found.apply(SHOP)
    return found


def offer(house: House, customer: str, model: str, at: Instant = NOON, route: int = 0) -> Offer:
    """As a gateway works it out from the snapshot of an hour before."""
    made: dict[str, Any] = house.do("key.create", customer=customer)
    house.now = at - HOUR
    desk = Desk(house.snapshot(), house.folder.secret("pepper"), lambda name: Lease(name, granted=10**15))
    found = desk.authenticate(made["key"].encode(), at)
    assert isinstance(found, tuple), found
    offer = desk.offer(*found, model, at, route)
    assert isinstance(offer, Offer), offer
    return offer


@pytest.mark.parametrize(
    ("customer", "model", "at", "route", "expected"),
    [
        ("plain", "large", NOON, 0, ("list/1+aurora-cost/1", 3000, 12_000, 0)),
        ("plain", "large", NOON, 1, ("list/1+brook-cost/1", 4500, 13_500, 0)),
        ("less", "large", NOON, 0, ("list/1+aurora-cost/1", 2700, 10_800, 0)),
        ("own", "large", NOON, 0, ("list/1+aurora-cost/1", 2200, 12_000, 0)),
        ("own", "large", NOON, 1, ("list/1+brook-cost/1", 2200, 13_500, 0)),
        ("own", "large", parse("2026-12-01"), 0, ("list/1+aurora-cost/1", 2100, 12_000, 0)),
        ("plain", "small", NOON, 0, ("list/1+aurora-cost/1", 600, 2400, 1_500_000)),
        ("plain", "small", parse("2026-11-30T22:00:00Z"), 0, ("list/1+aurora-cost/1", 300, 1200, 1_500_000)),
        ("less", "small", parse("2026-11-30T22:00:00Z"), 0, ("list/1+aurora-cost/1", 270, 1080, 1_350_000)),
    ],
)  # fmt: skip
def test_calls_have_the_terms_that_their_customer_agreed(
    house: House, customer: str, model: str, at: Instant, route: int, expected: tuple[str, int, int, int]
) -> None:
    terms = offer(house, customer, model, at, route).terms
    rates = [terms.rates[0], terms.rates[3], terms.request_rate]
    assert (terms.price_version, *(rate // terms.den for rate in rates)) == expected
    assert terms.cost_request_rate == (1_000_000 * terms.cost_den if model == "small" else 0)


def test_an_offer_ends_where_the_hours_of_its_price_or_its_contract_end(house: House) -> None:
    assert offer(house, "plain", "small").valid_until == parse("2026-11-30T22:00:00Z")
    assert offer(house, "own", "large", parse("2026-11-30T23:30:00Z")).valid_until == parse("2026-12-01")
