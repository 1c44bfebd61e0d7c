"""Which tax stands on a line."""

from datetime import date
from decimal import Decimal

import pytest

from entrepot.billing.invoice import InvoiceBroken
from entrepot.billing.vat import Buyer, Seller, check_vat_id, decide, rate_of, rates
from entrepot.catalog.parties import TaxRate

GERMAN = Seller(country="DE", registered=("DE",))
TODAY = date(2026, 11, 30)


@pytest.mark.parametrize(
    ("seller", "buyer", "expected"),
    [
        (GERMAN, Buyer(country="DE", vat_id="DE812345673"), "S 19"),
        (GERMAN, Buyer(country="DE"), "S 19"),
        (GERMAN, Buyer(country="AT", vat_id="ATU12345675"), "AE 0 VATEX-EU-AE"),
        (GERMAN, Buyer(country="US"), "O 0 VATEX-EU-O"),
        (GERMAN, Buyer(country="CH", vat_id="CHE123456788"), "O 0 VATEX-EU-O"),
        (Seller(country="DE", registered=("DE", "AT")), Buyer(country="AT"), "S 20"),
        (Seller(country="US", registered=()), Buyer(country="DE", vat_id="DE812345673"), "O 0 VATEX-EU-O"),
        (Seller(country="DE", registered=("DE",), small=True, small_reason="§ 19 UStG"), Buyer(country="DE"), "E 0"),
    ],
)
def test_a_service_is_taxed_where_it_is_supplied(seller: Seller, buyer: Buyer, expected: str) -> None:
    tax = decide(rates(), seller, buyer, TODAY)
    assert f"{tax.category} {tax.percent} {tax.code}".strip() == expected


def test_rates_are_those_of_the_day() -> None:
    assert [str(rate_of(rates(), "EE", date(2025, month, 1))) for month in (6, 7)] == ["22", "24"]
    assert str(rate_of(rates(), "FI", TODAY)) == "25.5"
    with pytest.raises(InvoiceBroken, match="no standard rate of VAT is known for US"):
        rate_of(rates(), "US", TODAY)
    with pytest.raises(InvoiceBroken, match="no standard rate of VAT is known for DE on 1999"):
        rate_of(rates(), "DE", date(1999, 1, 1))


def test_what_the_operator_says_of_a_rate_goes_before_the_table() -> None:
    own = [TaxRate(country="DE", starts_on=date(2021, 1, 1), percent=Decimal("19.5")),
           TaxRate(country="US", starts_on=date(2026, 1, 1), percent=Decimal(7))]  # fmt: skip
    assert str(rate_of(rates(own), "DE", TODAY)) == "19.5"
    assert str(rate_of(rates(own), "US", TODAY)) == "7"
    assert rate_of(rates(own), "AT", TODAY) == rate_of(rates(), "AT", TODAY)


@pytest.mark.parametrize(
    ("vat_id", "country", "says"),
    [
        ("DE123456789", "DE", "check digits"),
        ("ATU12345674", "AT", "check digits"),
        ("DE12345678", "DE", "length"),
        ("ATU12345675", "DE", "does not begin with DE"),
        ("GR094259216", "GR", "does not begin with EL"),
        ("12-34/5", "US", "letters and digits"),
    ],
)
def test_a_vat_id_that_cannot_be_is_refused(vat_id: str, country: str, says: str) -> None:
    with pytest.raises(InvoiceBroken, match=says):
        check_vat_id(vat_id, country)


def test_a_vat_id_is_kept_in_its_plain_form() -> None:
    assert check_vat_id(" de 123 456 788 ", "DE") == "DE123456788"
    assert check_vat_id("EL094259216", "GR") == "EL094259216"


def test_a_private_customer_abroad_needs_a_decision() -> None:
    with pytest.raises(InvoiceBroken, match="VAT of AT is due, and the seller is registered in DE"):
        decide(rates(), GERMAN, Buyer(country="AT"), TODAY)
