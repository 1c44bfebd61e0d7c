"""The catalog as the database holds it, and the carrying out of a difference. Takes a connection and opens none."""

from collections.abc import Iterable

from sqlalchemy import Connection

from entrepot.catalog import tables as catalog_tables
from entrepot.catalog.contents import Catalog, Customer, Model, Operator, Upstream, Vendor
from entrepot.catalog.difference import Change
from entrepot.catalog.prices import BookVersion
from entrepot.catalog.webhook_tables import put_webhooks
from entrepot.customers import tables as customer_tables
from entrepot.kernel.errors import EntrepotError, Fault
from entrepot.kernel.instants import Instant
from entrepot.ledger.tables import money_moved, open_balance, set_credit
from entrepot.limits.event_tables import forget
from entrepot.pricing.tables import publish_version, read_versions


class PaymentFixed(EntrepotError):
    """A customer whose money has moved cannot change how it pays."""

    code = "payment_fixed"
    fault = Fault.CALLER


def standing(connection: Connection) -> Catalog:
    """Everything that is for sale, and to whom."""
    return Catalog(
        operator=catalog_tables.read_operator(connection),
        vendors=catalog_tables.read_vendors(connection),
        upstreams=catalog_tables.read_upstreams(connection),
        models=catalog_tables.read_models(connection),
        versions=read_versions(connection),
        customers=customer_tables.read_customers(connection),
    )


def carry_out(connection: Connection, changes: Iterable[Change], at: Instant) -> None:
    """Make the changes, in their order, in the caller's transaction. New customers get their balance."""
    currencies: dict[str, str] = {}
    for change in changes:
        value = change.value
        if isinstance(value, Operator):
            catalog_tables.put_operator(connection, value)
            forget(connection, put_webhooks(connection, value.webhooks))
        elif isinstance(value, Vendor):
            catalog_tables.put_vendor(connection, value)
        elif isinstance(value, Upstream):
            catalog_tables.put_upstream(connection, value)
        elif isinstance(value, Model):
            catalog_tables.put_model(connection, value, at)
        elif isinstance(value, BookVersion):
            publish_version(connection, value, at)
        else:  # customers come last, when their books are there
            currencies = currencies or {each.book: each.currency for each in read_versions(connection)}
            put_customer(connection, value, currencies[value.contracts[0].book], at)


def put_customer(connection: Connection, customer: Customer, currency: str, at: Instant) -> None:
    """Add or change a customer; its balance is opened in the currency of its book, and pays as the contract says."""
    before = customer_tables.read_pays(connection, customer.id)
    if before is not None and before.by != customer.pays.by and money_moved(connection, customer.id):
        raise PaymentFixed(
            f"{customer.id} has paid by {before.by} and money has moved: how it pays stays; declare another customer"
        )
    if customer_tables.put_customer(connection, customer, currency, at):
        open_balance(connection, customer.id, currency)
    pays = customer_tables.read_pays(connection, customer.id)
    if pays is not None:
        set_credit(connection, customer.id, (pays.credit_limit or 0) if pays.by == "invoice" else None)
