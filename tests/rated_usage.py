"""A small operator with customers of each kind, and months of usage as rating gives them, for the tests of invoices."""

from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, select

from entrepot.keeper.commands import execute
from entrepot.keeper.first_start import make_secrets
from entrepot.kernel.instants import Instant, parse
from entrepot.kernel.money import scale_of
from entrepot.ledger.grant_tables import PurchaseTax, top_up
from entrepot.ledger.tables import post_charges
from entrepot.rating.line import Rated, RatedLine, to_bytes
from entrepot.storage.database import metadata, read, write
from entrepot.storage.folder import Folder

NOW = parse("2026-12-03T09:00:00Z")
SHOP = """\
format = 1
[operator]
name = "Nordlicht KI GmbH"
address = { street = "Hafenstraße 7", postcode = "20457", city = "Hamburg", country = "DE" }
contact = { name = "Rechnungsstelle", phone = "+49 40 5550100", email = "rechnung@nordlicht.example" }
tax = { vat_id = "DE123456788", registered = ["DE"] }
books = { currency = "EUR" }
[operator.invoice]
series = "R-{year}-{n:05}"
credit_notes = "G-{year}-{n:05}"
due_days = 14
language = "en"
iban = "DE89370400440532013000"

[vendor]
aurora = { name = "Aurora Labs Inc.", country = "US" }
[upstream.aurora-eu]
vendor = "aurora"
endpoint = { dialect = "openai", url = "https://eu.api.aurora.example/v1", key = { env = "AURORA_KEY" } }
[model]
aurora-large = { routes = ["aurora-eu/large"], context = 400_000, output_max = 32_000 }
aurora-small = { routes = ["aurora-eu/small"], context = 128_000, output_max = 16_000 }

[[book.list]]
currency = "EUR"
valid_from = 2026-01-01T00:00:00Z
prices = [
  { model = "aurora-large", input = 3.00, cached = 0.30, output = 12.00 },
  { model = "aurora-small", input = 0.50, output = 2.00 },
]

[customer.kontor]
about = { name = "Kontor Nord AG", vat_id = "DE812345673", email = "ap@kontor.example" }
address = { street = "Am Wall 1", postcode = "28195", city = "Bremen", country = "DE" }
contract = { id = "KN-2026", book = "list", from = 2026-01-01T00:00:00Z }
pays = { by = "invoice", credit_limit = 90_000.00 }

[customer.studio]
about = { name = "Studio Fünf GmbH", vat_id = "DE812345673" }
address = { street = "Gasse 5", postcode = "10115", city = "Berlin", country = "DE" }
contract = { id = "SF-1", book = "list", from = 2026-01-01T00:00:00Z }
pays = { by = "prepaid" }

[customer.wien]
about = { name = "Wiener Werk OG", vat_id = "ATU12345675" }
address = { street = "Gasse 5", postcode = "1070", city = "Wien", country = "AT" }
contract = { id = "WW-1", book = "list", from = 2026-01-01T00:00:00Z }
pays = { by = "invoice", credit_limit = 1_000.00, due_days = 30 }
"""
Usage = tuple[str, str, int, str]  # model, meter, tokens, price per million


class Desk:
    """Commands on one database, with a clock that the test sets."""

    def __init__(self, engine: Engine, folder: Path, shop: str = SHOP) -> None:
        self.engine, self.folder, self.now = engine, Folder(folder / "data"), NOW
        self.folder.create()
        make_secrets(self.folder)
        self.apply(shop)

    def apply(self, shop: str) -> dict[str, Any]:
        return self.do("apply", text=shop, file="shop.toml", secrets={"aurora-eu": "sk-1"})

    def do(self, command: str, /, **args: object) -> dict[str, Any]:
        return dict(execute(self.engine, self.folder, command, args, self.now))

    def use(self, customer: str, usage: list[Usage], month: str = "2026-11", **how: Any) -> Rated:
        """Calls of a month: charged to the balance as they came (the first line by `more` ledger units too much),
        unless that is `booked` before, and rated."""
        more = how.get("more", 0)
        lines = [rated_line(each, month, 0 if at else more) for at, each in enumerate(usage)]
        charges: dict[tuple[str, str, str], int] = {}
        for line in lines:
            key = (customer, "EUR", line.model)
            charges[key] = charges.get(key, 0) + line.charged
        at = parse(f"{month}-15T10:00:00Z")
        with write(self.engine) as connection:
            if not how.get("booked"):
                post_charges(connection, f"usage/{customer}/{month}", at, charges, {})
        return Rated(
            customer=customer, currency="EUR", starts_on=f"{month}-01", until=next_month(month), lines=tuple(lines),
            inputs=(("usage rows", "0" * 64),), charged=sum(line.charged for line in lines),
        )  # fmt: skip

    def draft(self, rated: Rated, **args: object) -> dict[str, Any]:
        return self.do(
            "invoice.draft", customer=rated.customer, month=rated.starts_on[:7], rated=to_bytes(rated).decode(), **args
        )

    def issue(self, rated: Rated, **args: object) -> dict[str, Any]:
        draft = self.draft(rated)
        return self.do("invoice.issue", draft=draft["id"], customer=rated.customer, **args)

    def buy(self, customer: str, received: int, *, net: int, id: str) -> None:
        """Credit with the tax of Germany in what came in."""
        tax = PurchaseTax(country="DE", category="S", percent="19", amount=received - net)
        with write(self.engine) as connection:
            top_up(connection, customer, received, "EUR", id, self.now, net=net, tax=tax)

    def everything(self) -> list[object]:
        """All rows of all tables: equal before and after means that nothing was changed."""
        with read(self.engine) as connection:
            tables = sorted(metadata.tables.values(), key=lambda each: each.name)
            return [sorted(map(str, connection.execute(select(table)))) for table in tables]


def rated_line(usage: Usage, month: str = "2026-11", more: int = 0, **given: Any) -> RatedLine:
    model, meter, tokens, price = usage
    exact = Fraction(tokens) * Fraction(Decimal(price)) / 1_000_000 * 10 ** scale_of("EUR")
    return RatedLine(**{
        "key": f"{model}/{meter}/{price}", "kind": "usage", "model": model, "meter": meter, "version": "list/1",
        "unit": "token", "quantity": Decimal(tokens), "price": Decimal(price), "per": 1_000_000,
        "starts_at": parse(f"{month}-01"), "ends_at": parse(next_month(month)), "charged": -(-exact // 1) + more,
        **given,
    })  # fmt: skip


def next_month(month: str) -> str:
    year, number = map(int, month.split("-"))
    return f"{year + number // 12}-{number % 12 + 1:02}-01"


def at(text: str) -> Instant:
    return parse(text)
