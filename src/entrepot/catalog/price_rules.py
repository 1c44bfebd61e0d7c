"""What books must fulfil together: every call has one price, in one currency, and no line is a part of itself.

Pure, as `rules`, which calls it: books may stand in the file or in what the house already has.
"""

from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from entrepot.catalog.contents import Catalog, Contract, Customer, Model
from entrepot.catalog.fields import Report
from entrepot.catalog.file import CatalogFile
from entrepot.catalog.issues import did_you_mean
from entrepot.catalog.lines import Path
from entrepot.catalog.prices import METERS, MINIMUM, SHARE, BookVersion, OnCost, PriceRow, Thing, exactness
from entrepot.catalog.standing import InForce, everything, in_force, ties
from entrepot.kernel.instants import HOUR, Instant, show


def check_prices(file: CatalogFile, existing: Catalog, now: Instant, report: Report) -> None:
    """Add every mistake to the report."""
    _Prices(file, existing, now, report).check()


class _Prices:
    """The books of one file, with those that stand already."""

    def __init__(self, file: CatalogFile, existing: Catalog, now: Instant, report: Report) -> None:
        self.file, self.existing, self.now, self.report = file, existing, now, report
        self.versions = list(zip(file.version_paths, file.catalog.versions, strict=True))
        self.books: dict[str, list[BookVersion]] = {}
        for each in (*existing.versions, *file.catalog.versions):
            self.books.setdefault(each.book, []).append(each)
        self.models = {**existing.models, **file.catalog.models}
        upstreams = {**existing.upstreams, **file.catalog.upstreams}
        self.house = replace(existing, models=self.models, upstreams=upstreams)
        self.customers = {**existing.customers, **file.catalog.customers}
        self.costs = {each[0].buys_from: each for each in self.books.values() if each[0].buys_from}

    def check(self) -> None:
        for path, version in self.versions:
            if version.valid_from:
                self._ties(path, version)
                self._shares(path, version)
                self._within_an_hour(path, version)
        self._counted()
        self._currencies()
        for path, contract in self.file.contracted:
            self._own_currency(path, contract)
        for path, contract in self.file.contracted:
            self._gap(path, contract)
        for customer in self.customers.values():
            self._in_advance(customer)

    def _ties(self, path: Path, version: BookVersion) -> None:
        """Two rows between which no call could decide, from the start of any version of the file on."""
        own = version.things()
        for one, other in ties(self.books[version.book], version.valid_from):
            if one in own or other in own:
                overlap = one.when.hours and other.when.hours and one.when.hours != other.when.hours
                self.report.add(
                    (*path, "prices"),
                    f"{one} and {other} are equally good for a call of which both are true.",
                    "Let the hours of one begin where those of the other end." if overlap
                    else "Add a row with the conditions of both.",
                )  # fmt: skip

    def _within_an_hour(self, path: Path, version: BookVersion) -> None:
        """The calls of one hour are told apart by the newest version that they knew, so none is published for a time
        before a standing one that begins within an hour."""
        standing = [each for each in self.existing.versions if each.book == version.book]
        if any(each.says_the_same(version) for each in standing):
            return
        for each in standing:
            if each.valid_from > max(self.now, version.valid_from) and each.valid_from % HOUR:
                self.report.add(
                    (*path, "valid_from"),
                    f"{each.id} is published and begins within an hour, at {show(each.valid_from)}: calls of that hour "
                    "could not be told apart if an earlier version came after it.",
                    "Let this one begin then or later.",
                )
                return

    def _shares(self, path: Path, version: BookVersion) -> None:
        """No percentage is of another one: each would be a part of the other's base."""
        standing = everything(self.books[version.book], version.valid_from)
        shares = {thing.model for thing in standing if thing.bucket == SHARE}
        for place, row in enumerate(version.rows):
            for name in row.period.of if row.period is not None else ():
                if name in shares and name != row.product:
                    at = self._place_of(path, version, place, name)
                    why = f'"{name}" is itself a percentage of lines: a percentage is of usage and of minimums.'
                    self.report.add(at, why, "Name the lines that it is of.")

    def _place_of(self, path: Path, version: BookVersion, row: int, name: str) -> Path:
        """Where a version's row names something. Rows with mistakes are not in it, so the name is looked for."""
        here = [where for where, said in self.file.counted if where[: len(path)] == path and said == name]
        return here[0] if here else (*path, "prices", row)

    def _counted(self) -> None:
        """Whatever a price of the month counts is there: a model, or a product with a minimum."""
        products = {
            thing.model
            for versions in self.books.values() for each in versions for thing in each.things()
            if thing.bucket in (MINIMUM, SHARE)
        } | {row.product for each in self.customers.values() for row in _own(each) if row.product}  # fmt: skip
        known = {*self.models, *products}
        for path, name in self.file.counted:
            if name not in known:
                self.report.add(path, f"No model and no product has this name.{did_you_mean(name, known)}")

    def _currencies(self) -> None:
        """A price on the vendor's is in the vendor's currency: no rate between two is kept yet."""
        for name, versions in self.books.items():
            if not versions[0].buys_from:
                for model, vendor in self._served():
                    why = self._two_currencies(versions, model, vendor)
                    path = self._touched(name, vendor, model) if why else ()
                    if path:
                        self.report.add(path, *why)

    def _own_currency(self, path: Path, contract: Contract) -> None:
        book = self.books.get(contract.book)
        if book and contract.rows:
            own = replace(book[0], valid_from=contract.starts_at, rows=contract.rows)
            for model, vendor in self._served():
                why = self._two_currencies([own], model, vendor)
                if why:
                    self.report.add((*path, "prices"), *why)

    def _served(self) -> list[tuple[Model, str]]:
        """Each model with each vendor that serves it."""
        return [(model, vendor) for model in self.models.values() for vendor in self.house.vendors_of(model.id)]

    def _two_currencies(self, book: Sequence[BookVersion], model: Model, vendor: str) -> tuple[str, ...]:
        """Why a price of the model on its vendor's cannot be worked out; () if it can."""
        cost = self.costs.get(vendor, [])
        if not cost or cost[0].currency == book[0].currency or not book[0].currency or not cost[0].currency:
            return ()
        for at in sorted({each.valid_from for each in (*book, *cost)}):
            said = in_force(book, model.id, at)
            asked = {thing.bucket for thing in in_force(cost, model.id, at)}
            wanting = [meter for meter in METERS if meter in asked and _on_cost(said, meter)]
            if wanting:
                return (
                    f"{model.id} {', '.join(wanting)} would be a price in {book[0].currency} on one in "
                    f"{cost[0].currency} ({cost[0].book}): no rate between the two is kept yet.",
                    f"Give {model.id} a price of its own in {book[0].currency}, or sell it by a book in "
                    f"{cost[0].currency}.",
                )
        return ()

    def _touched(self, book: str, vendor: str, model: Model) -> Path:
        """Where the file says something of it: the rows with the price, else the cost book or the model; () nowhere."""
        for path, version in self.versions:
            if version.book == book and any(isinstance(each, OnCost) for each in version.things().values()):
                return (*path, "prices")
        for path, version in self.versions:
            if version.book == book or version.buys_from == vendor:
                return path
        return ("model", model.id) if model.id in self.file.catalog.models else ()

    def _gap(self, path: Path, contract: Contract) -> None:
        """A contract does not begin before its book does: between the two there would be no price."""
        versions = self.books.get(contract.book, [])
        first = min((each.valid_from for each in versions if each.valid_from), default=0)
        if contract.starts_at and first > contract.starts_at:
            self.report.add(
                (*path, "from"),
                f'From {show(contract.starts_at)} until {show(first)} the book "{contract.book}" has no price.',
                "Let the contract begin then, or give the book a version from the contract's beginning on.",
            )

    def _in_advance(self, customer: Customer) -> None:
        """What is known only at the end of a month is owed: nobody pays it in advance."""
        if customer.pays.by == "invoice":
            return
        named = [each.book for each in customer.contracts]
        rows = [row for book in named for each in self.books.get(book, ()) for row in each.rows]
        products = [row.product for row in (*rows, *_own(customer)) if row.period is not None]
        path: Path = ("customer", customer.id)
        if customer.id not in self.file.catalog.customers:
            path = next((path for path, each in self.versions if each.book in named), ())
        if products and path:
            self.report.add(
                path,
                f'{customer.id} pays in advance, and "{products[0]}" is known only when a month is over.',
                'Let it pay by invoice, pays = { by = "invoice", credit_limit = … }, or give it a book without.',
            )


def _own(customer: Customer) -> list[PriceRow]:
    """The prices of its contracts."""
    return [row for contract in customer.contracts for row in contract.rows]


def _on_cost(standing: Mapping[Thing, InForce], meter: str) -> bool:
    """Whether the most exact rows for a meter are on the vendor's price, under any condition."""
    things = [thing for thing in standing if thing.bucket == meter]
    most = max((exactness(thing.model) for thing in things), default=0)
    return any(isinstance(standing[thing].said, OnCost) for thing in things if exactness(thing.model) == most)


