"""Credit that is bought with tax: what comes in is gross, what may be spent is net."""

from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrepot.billing.invoice import InvoiceBroken
from entrepot.keeper.arguments import CommandRefused
from entrepot.keeper.commands import execute
from entrepot.keeper.first_start import make_secrets
from entrepot.kernel import instants
from entrepot.kernel.money import net_of, tax_on
from entrepot.ledger.check import check_ledger
from entrepot.ledger.grant_tables import purchases
from entrepot.ledger.tables import account_balances
from entrepot.ledger.transfer import TransactionConflict
from entrepot.storage.database import open_database, prepare, read
from entrepot.storage.folder import Folder

NOW = instants.parse("2026-11-21T12:00:00Z")
SHOP = """\
format = 1
[operator]
name = "Nordlicht KI GmbH"
address = { street = "Elbchaussee 1", postcode = "22765", city = "Hamburg", country = "DE" }
tax = { vat_id = "DE136695976", registered = ["DE"] }
[[book.list]]
currency = "EUR"
valid_from = 2026-01-01T00:00:00Z
prices = [{ model = "gpt-4o", input = 2.50, output = 10.00 }]
[vendor.openai]
name = "OpenAI"
[upstream.openai]
vendor = "openai"
endpoint = { dialect = "openai", url = "https://api.openai.com/v1", key = { env = "OPENAI_API_KEY" } }
[model]
gpt-4o = { routes = ["openai/gpt-4o"], context = 128_000, output_max = 16_384 }
"""
CUSTOMER = """
[customer.{id}]
about = {{ name = "{id} AG"{vat} }}
address = {{ street = "Hauptstr. 1", postcode = "1", city = "X", country = "{country}" }}
"""


class House:
    """Commands on a database in which customers of several countries buy."""

    def __init__(self, folder: Folder) -> None:
        folder.create()
        make_secrets(folder)
        self.folder, self.engine = folder, open_database(folder.database)
        prepare(self.engine)
        text = SHOP + "[customer.plain]\n"
        for id, country, vat in (
            ("home", "DE", ""), ("austria", "AT", ', vat_id = "ATU13585627"'), ("private", "AT", ""),
            ("swiss", "CH", ""),
        ):  # fmt: skip
            text += CUSTOMER.format(id=id, country=country, vat=vat)
        self.do("apply", text=text, file="shop.toml", secrets={"openai": "sk-one"})

    def do(self, command: str, /, **args: object) -> dict[str, object]:
        return execute(self.engine, self.folder, command, args, NOW)

    def books(self) -> dict[str, str]:
        with read(self.engine) as conn:
            assert check_ledger(conn).differences == []
            return {account.id: str(units) for account, units in account_balances(conn) if units}


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(Folder(tmp_path))


def bought(house: House, customer: str, amount: str, id: str = "PAY-1", **args: object) -> dict[str, object]:
    return house.do("balance.top_up", customer=customer, amount=amount, currency="EUR", id=id, **args)


def test_what_comes_in_is_gross_and_what_may_be_spent_is_net(house: House) -> None:
    tried = bought(house, "home", "100", dry_run=True)
    assert (tried["net"], tried["tax"], tried["balance"], tried["posted"]) == ("84.03", "15.97", "0.00", False)
    assert house.books() == {}
    done = bought(house, "home", "100")
    expected = {
        "amount": "100.00", "net": "84.03", "tax": "15.97", "rest": "0.00", "balance": "84.03", "tax_category": "S",
        "tax_percent": "19",
    }  # fmt: skip
    assert {name: done[name] for name in expected} == expected
    assert house.books() == {
        "EUR:cash": "100000000000", "EUR:prepaid credit:home": "84030000000", "EUR:output tax::DE S 19": "15970000000"
    }  # fmt: skip
    again = bought(house, "home", "100")
    assert (again["known"], again["net"], again["balance"]) == (True, "84.03", "84.03")
    with pytest.raises(TransactionConflict):
        bought(house, "home", "99")


def test_a_cent_that_no_net_with_its_tax_reaches_is_customer_credit(house: House) -> None:
    done = bought(house, "home", "1.03")
    assert (done["net"], done["tax"], done["rest"]) == ("0.86", "0.16", "0.01")
    assert house.books()["EUR:customer credit:home"] == "10000000"


def test_reverse_charge_export_and_unknown_parties_pay_no_tax(house: House) -> None:
    for customer, category in (("austria", "AE"), ("swiss", "O"), ("plain", None)):
        done = bought(house, customer, "100", id=f"P-{customer}")
        assert (done["net"], done["tax"], done["tax_category"]) == ("100.00", "0.00", category)
    with read(house.engine) as conn:
        found = {each.balance: each.tax for each in purchases(conn)}
    assert found["plain"] is None
    austria = found["austria"]
    assert austria is not None
    assert (austria.code, austria.country) == ("VATEX-EU-AE", "DE")


def test_tax_of_a_country_where_the_seller_is_not_registered_is_refused_with_the_remedy(house: House) -> None:
    with pytest.raises(InvoiceBroken, match=r"add AT to tax\.registered, or give the customer's VAT id"):
        bought(house, "private", "100")
    assert house.books() == {}


@pytest.mark.long
def test_a_purchase_with_an_invoice_is_in_whole_cents(house: House) -> None:
    with pytest.raises(CommandRefused, match=r"0\.001 EUR has more than 2 places"):
        bought(house, "home", "0.001")
    assert bought(house, "plain", "0.001")["net"] == "0.001"


def test_paid_credit_with_terms_is_taxed_as_well_and_goes_back_with_its_tax(house: House) -> None:
    args = {"customer": "home", "amount": "119", "kind": "paid", "until": "90d", "id": "G-1"}
    done = house.do("balance.grant", **args)
    assert (done["net"], done["tax"], done["balance"]) == ("100.00", "19.00", "100.00")
    assert house.do("balance.grant", **args)["known"] is True
    back = house.do("balance.refund", customer="home", amount="50", id="R-1")
    assert (back["amount"], back["tax"], back["balance"]) == ("50.00", "9.50", "50.00")
    with pytest.raises(CommandRefused, match=r"1\.005 EUR has more than 2 places: give an amount that can be"):
        house.do("balance.refund", customer="home", amount="1.005", id="R-2")
    assert house.books()["EUR:cash"] == str(119 * 10**9 - 59_500_000_000)


@given(st.integers(0, 10**7), st.decimals(0, 30, places=1))
def test_net_and_its_tax_are_the_largest_that_do_not_exceed_what_came_in(gross: int, percent: Decimal) -> None:
    net = net_of(gross, percent)
    assert 0 <= net <= gross
    assert 0 <= gross - net - tax_on(net, percent) <= 1
    assert net + 1 + tax_on(net + 1, percent) > gross
