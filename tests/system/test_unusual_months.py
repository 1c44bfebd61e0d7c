"""Bills by the commands themselves, where a month is not like the tutorial's: unrated usage that waits for a price, a
contract that ends, money that goes back."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from entrepot.kernel.instants import HOUR, from_datetime, hour_of, show
from entrepot.prove.client import chat_body
from entrepot.prove.house import MODEL, House
from served_house import served

MONTH = f"{datetime.now(UTC):%Y-%m}"
SHOP = """
format = 1

[operator]
name = "Harbour AI GmbH"
address = {{ street = "Hafenstraße 7", postcode = "20457", city = "Hamburg", country = "DE" }}
contact = {{ name = "Accounts", phone = "+49 40 5550100", email = "billing@harbour.example" }}
tax = {{ vat_id = "DE123456788", registered = ["DE"] }}
books = {{ currency = "EUR" }}
invoice = {{ due_days = 14, language = "en", iban = "DE89370400440532013000" }}

[[book.europe]]
currency = "EUR"
valid_from = 2026-01-01T00:00:00Z
prices = [{{ model = "{model}", input = 2_000.00, output = 8_000.00 }}]

[customer.acme]
about = {{ name = "Acme Werkzeuge GmbH", vat_id = "DE812345673", email = "ap@acme.example" }}
address = {{ street = "Am Wall 1", postcode = "28195", city = "Bremen", country = "DE" }}
contract = {contract}
pays = {{ by = "invoice", credit_limit = 1_000.00 }}

[customer.studio]
about = {{ name = "Studio Fünf OG", vat_id = "ATU12345675", email = "office@studio.example" }}
address = {{ street = "Gasse 5", postcode = "1070", city = "Wien", country = "AT" }}
contract = {{ id = "STUDIO-1", book = "europe", from = 2026-01-01T00:00:00Z }}
pays = {{ by = "prepaid" }}
"""
SIGNED = '{ id = "ACME-1", book = "europe", from = 2026-01-01T00:00:00Z }'
CACHED_PRICE = f"""
[[book.europe]]
currency = "EUR"
valid_from = {MONTH}-01T00:00:00Z
prices = [{{ model = "{MODEL}", cached = 1_000.00 }}]
"""


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with served(tmp_path_factory.mktemp("vendor")) as found:
        _apply(found, SHOP.format(model=MODEL, contract=SIGNED))
        yield found


def _apply(house: House, text: str) -> str:
    (house.root / "shop.toml").write_text(text)
    return _run(house, "apply", "shop.toml", "--yes")


def _run(house: House, *words: str, code: int = 0) -> str:
    done = house.command(*words)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def _key(house: House, customer: str) -> str:
    return _run(house, "key", "create", "--customer", customer).split()[0]


def _drafted(house: House, month: str, customer: str) -> list[str]:
    """The lines about the customer's draft, with why it cannot be issued yet."""
    said = _run(house, "invoice", "draft", "--month", month, "--customer", customer).splitlines()
    return [line for line in said if "is not over" not in line and "has not begun" not in line]


def test_unrated_usage_waits_by_name_and_is_billed_once_it_has_a_price(house: House) -> None:
    key = _key(house, "acme")
    for _ in range(2):
        status, body = house.post(chat_body(MODEL, prompt=1000, cached=200, completion=30), key=key)
        assert status == 200, body
    drafted = _drafted(house, MONTH, "acme")
    assert "2 calls are not rated: fake-model cached europe/1 (no price)" in drafted[1]
    group = re.search(rf"entrepot invoice carry-over acme {MONTH} '(.+)'", drafted[1])
    assert group, "the remedy is a command"
    approved = ("--by", "J. Meyer", "--reason", "no price agreed yet")
    wrong = _run(house, "invoice", "carry-over", "acme", MONTH, "fake-model", *approved, code=1)
    assert f"there are '{group[1]}'" in wrong
    words = ("invoice", "carry-over", "acme", MONTH, group[1], *approved)
    assert "would be carried over;" in _run(house, *words, "--dry-run")
    assert "is carried over;" in _run(house, *words)
    assert "was carried over before;" in _run(house, *words)
    assert len(_drafted(house, MONTH, "acme")) == 1, "nothing else blocks it"
    issued = _run(house, "invoice", "issue", "--month", MONTH, "--early", "--yes")
    bill = re.search(r"R-\d+-\d+", issued)
    assert bill, issued
    assert "cached" not in _run(house, "invoice", "show", bill[0])
    _apply(house, SHOP.format(model=MODEL, contract=SIGNED) + CACHED_PRICE)
    year, month = map(int, MONTH.split("-"))
    following = f"{year + month // 12}-{month % 12 + 1:02}"
    # 400 tokens at 1,000 EUR a million, and 19 %
    assert "1 line, 0.48 EUR with tax" in _drafted(house, following, "acme")[0]
    assert "all agree" in _run(house, "verify")


def test_a_contract_that_would_end_within_an_hour_is_refused_with_the_next_full_one(house: House) -> None:
    at = hour_of(from_datetime(datetime.now(UTC)))
    half = show(at + HOUR + HOUR // 2)
    (house.root / "shop.toml").write_text(
        SHOP.format(model=MODEL, contract=SIGNED.replace(" }", f", until = {half} }}")) + CACHED_PRICE
    )
    refused = _run(house, "apply", "shop.toml", "--yes", code=1)
    assert "A contract ends on the hour" in refused
    assert f"Write until = {show(at + 2 * HOUR)}." in refused


def test_money_goes_back_in_whole_cents_of_what_was_paid(house: House) -> None:
    _run(house, "balance", "top-up", "studio", "25", "EUR", "--id", "BANK-1")
    assert "has more than 2 places" in _run(
        house, "balance", "refund", "studio", "1.005", "EUR", "--id", "BACK-1", "--yes", code=1
    )
    assert "more than is unused" in _run(
        house, "balance", "refund", "studio", "25.01", "EUR", "--id", "BACK-1", "--yes", code=1
    )
    words = ("balance", "refund", "studio", "10.50", "EUR", "--id", "BACK-1", "--yes")
    assert "studio: 10.50 EUR refunded; 14.50 EUR left" in _run(house, *words)
    assert "booked before" in _run(house, *words)
    assert "all agree" in _run(house, "verify")
