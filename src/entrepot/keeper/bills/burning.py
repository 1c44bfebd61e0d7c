"""What a month burned of a prepaid balance, as its invoice says it: given credit, credit bought with tax, without."""

from sqlalchemy import Connection

from entrepot.billing import tables
from entrepot.billing.inputs import Burned
from entrepot.billing.invoice import Reference
from entrepot.ledger import grant_tables


def top_up_name(customer: str, payment: str) -> str:
    """The name of the invoice of a purchase of credit."""
    return f"{customer}:top-up:{payment}"


def of_month(connection: Connection, customer: str, month: str, returned: int) -> Burned:
    """As it is once `returned` ledger units, which calls of the month took too much, are back in the balance."""
    aside = connection.begin_nested()
    if returned:
        grant_tables.settle(connection, customer, month, returned)
    burns = [each for each in grant_tables.attribution(connection, customer).burns if each.month == month]
    aside.rollback()
    taxed = {each.id for each in grant_tables.purchases(connection, balance=customer) if each.tax is not None}
    sums = {"promo": 0, "taxed": 0, "untaxed": 0}
    advances = []
    for each in burns:
        sums["promo" if each.kind == "promo" else "taxed" if each.grant in taxed else "untaxed"] += each.amount
        for issued in tables.read_issued(connection, id=top_up_name(customer, each.grant)):
            advances.append(Reference(number=issued.number, issued_on=issued.issued_on))
    return Burned(**sums, advances=tuple(advances))
