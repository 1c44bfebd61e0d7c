"""Which tax a customer's purchases bear, by what the catalog says of both parties."""

from datetime import date

from sqlalchemy import Connection

from entrepot.billing import vat
from entrepot.billing.invoice import Tax
from entrepot.catalog.contents import Catalog
from entrepot.catalog.parties import PartyIncomplete, buyer, seller
from entrepot.catalog.tables import read_operator
from entrepot.customers.tables import read_customers
from entrepot.keeper.arguments import CommandRefused
from entrepot.kernel.instants import Instant, to_datetime
from entrepot.kernel.money import minor_digits, net_of, scale_of, show, tax_on
from entrepot.ledger.grant_tables import PurchaseTax


def tax_of(catalog: Catalog, customer: str, on: date) -> tuple[str, Tax]:
    """(country whose tax it is, the tax of a service supplied on this day). Raises PartyIncomplete, InvoiceBroken."""
    sells, buys = seller(catalog.operator), buyer(catalog.customers[customer])
    home, country = sells.party.address.country, buys.party.address.country
    tax = vat.decide(
        vat.rates(sells.rates),
        vat.Seller(country=home, registered=sells.registered, small=sells.small, small_reason=sells.small_reason),
        vat.Buyer(country=country, vat_id=buys.party.vat_id),
        on,
    )
    return country if tax.category == "S" else home, tax


def bought(
    connection: Connection, customer: str, received: int, currency: str, at: Instant
) -> tuple[int, PurchaseTax | None]:
    """(what may be spent, the tax in it) of money that came in for credit, in ledger units.

    Where either party's facts are not complete no tax is decided: such a house issues no invoices. Raises
    CommandRefused for a fraction of a cent where the purchase has an invoice to stand on, InvoiceBroken.
    """
    try:
        known = Catalog(operator=read_operator(connection), customers=read_customers(connection, customer))
        country, tax = tax_of(known, customer, to_datetime(at).date())
    except PartyIncomplete:
        return received, None
    minor = 10 ** (scale_of(currency) - minor_digits(currency))
    if received % minor:
        raise CommandRefused(
            f"{show(received, currency)} {currency} has more than {minor_digits(currency)} places, and the purchase "
            "has an invoice: give an amount that can be paid"
        )
    net = net_of(received // minor, tax.percent)
    decided = PurchaseTax(
        country=country, category=tax.category, percent=str(tax.percent), reason=tax.reason, code=tax.code,
        amount=tax_on(net, tax.percent) * minor,
    )  # fmt: skip
    return net * minor, decided
