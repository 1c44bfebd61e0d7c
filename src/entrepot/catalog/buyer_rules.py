"""What customers must fulfil beyond the shape of their tables: names that exist, one currency, parts within their pool.

Pure, as `rules`, which calls it: names may stand in the file or in what the house already has.
"""

from collections.abc import Callable
from decimal import Decimal

from entrepot.catalog.contents import Catalog, Contract, Customer, DeclaredBudget, Model, Quota
from entrepot.catalog.fields import LATER, Report
from entrepot.catalog.file import CatalogFile
from entrepot.catalog.issues import did_you_mean
from entrepot.catalog.lines import Path
from entrepot.catalog.prices import BookVersion
from entrepot.catalog.standing import ties
from entrepot.kernel.money import MoneyError, minor_digits, to_scaled

#: EN 16931, BR-DEC: no amount has more decimal places.
DIGITS_OF_E_INVOICES = 2

#: Reports a name that nothing of its section has: (place, section, name, noun).
Named = Callable[[Path, str, str, str], None]


def check_buyers(file: CatalogFile, existing: Catalog, report: Report, named: Named) -> None:
    """Add every mistake to the report."""
    _Buyers(file, existing, report, named).check()


class _Buyers:
    """The customers of one file against what exists."""

    def __init__(self, file: CatalogFile, existing: Catalog, report: Report, named: Named) -> None:
        self.file, self.existing, self.report, self.named = file, existing, report, named
        versions = (*file.catalog.versions, *existing.versions)
        self.lists = {each.book for each in versions if not each.buys_from}
        self.costs = {each.book for each in versions if each.buys_from}
        self.currencies = {each.book: each.currency for each in versions}

    def check(self) -> None:
        for customer in self.file.catalog.customers.values():
            self._pays(customer)
            for name in ("credit_limit", "warn_below"):
                self._amount(customer, ("customer", customer.id, "pays", name), getattr(customer.pays, name))
        for path, contract in self.file.contracted:
            self._contract(path, contract)
        for where, each in self.file.bounded:
            customer = self.file.catalog.customers[str(where[1])]
            if isinstance(each, Quota):
                self._quota(each, where)
            else:
                self._project(customer, each.project, (*where, "project"))
            if isinstance(each, DeclaredBudget):
                self._amount(customer, (*where, "amount"), each.amount)
        for where, deployment in self.file.deployed:
            self.named((*where, "model"), "model", deployment.model, "model")
            model = self._model(deployment.model)
            if model is None:
                continue
            if deployment.output_max > model.output_max:
                self.report.add((*where, "output_max"), f"{model.id} answers at most {model.output_max:,} tokens.")
            if deployment.version and model.version(deployment.version) is None:
                known = [each.name for each in model.versions if each.name]
                hint = did_you_mean(deployment.version, known) if known else " It has none: remove version."
                self.report.add((*where, "version"), f"{model.id} has no such version.{hint}")

    def _contract(self, path: Path, contract: Contract) -> None:
        """Its book is a list book in the currency of the balance; its own prices leave no call undecided."""
        customer, book, at = str(path[1]), contract.book, (*path, "book")
        if book not in self.lists:
            where = at if at in self.file.places.spans else path
            if book in self.costs or book in self.file.declared.get("book", ()):
                self.report.add(where, f'"{book}" is a cost book; a customer pays by a list book.')
            else:
                self.report.add(where, f'No list book is called "{book}".{did_you_mean(book, self.lists)}')
        before, wants = self.existing.customers.get(customer), self.currencies.get(book)
        first = before.contracts[0] if before is not None else self.file.catalog.customers[customer].contracts[0]
        had = self.currencies.get(first.book)
        if had and wants and had != wants:
            self.report.add(at, f"The balance of {customer} is in {had}; this book is in {wants}.")
        own = BookVersion(book="", currency=wants or "", valid_from=contract.starts_at, rows=contract.rows)
        for one, other in ties([own], contract.starts_at):
            self.report.add(
                (*path, "prices"), f"{one} and {other} are equally good for a call of which both are true.",
                "Add a row with the conditions of both.",
            )  # fmt: skip

    def _pays(self, customer: Customer) -> None:
        """The currency of its invoices is the one of its book, and its format can express it."""
        pays, book = customer.pays, self.currencies.get(customer.contracts[0].book)
        where: Path = ("customer", customer.id, "pays")
        if book and pays.currency and pays.currency != book:
            why = f"The prices of {customer.id} are in {book}; invoices in another currency are {LATER}."
            self.report.add((*where, "currency"), why, f'Write currency = "{book}" or leave it out.')
        if book and pays.format != "pdf" and minor_digits(book) > DIGITS_OF_E_INVOICES:
            why = f"{book} has {minor_digits(book)} decimal places; amounts of an e-invoice (EN 16931) have at most 2."
            self.report.add((*where, "format"), why, 'Write format = "pdf" or leave it out.')
        if pays.format == "xrechnung" and not customer.about.get("buyer_reference"):
            why = "An XRechnung names the buyer's reference (BT-10), in Germany's public sector the Leitweg-ID."
            self.report.add((*where, "format"), why, f"Give customer.{customer.id}.about.buyer_reference.")

    def _project(self, customer: Customer, project: str, where: Path) -> None:
        """Budgets and limits name projects that are there: one with a slip in its name would guard nothing."""
        before = self.existing.customers.get(customer.id)
        known = {*customer.all_projects(), *(before.all_projects() if before else ())}
        if project and project not in known:
            why = f'{customer.id} has no project "{project}".{did_you_mean(project, known)}'
            self.report.add(where, why, f'Declare it if it is right: projects = ["{project}"].')

    def _amount(self, customer: Customer, where: Path, amount: Decimal | None) -> None:
        currency = self.currencies.get(customer.contracts[0].book)
        if currency and amount is not None:
            try:
                to_scaled(amount, currency)
            except MoneyError as error:
                self.report.add(where, f"{error.message}.")

    def _quota(self, quota: Quota, path: Path) -> None:
        """The pool's model and zone exist, and its parts do not exceed it."""
        self.named((*path, "model"), "model", quota.model, "model")
        model = self._model(quota.model)
        if model is None:
            return
        zones = self._zones(model)
        if quota.zone and quota.zone not in zones:
            known = did_you_mean(quota.zone, {zone for zone in zones if zone})
            self.report.add((*path, "zone"), f'No route of {model.id} goes to the zone "{quota.zone}".{known}')
            return
        for name in ("tpm", "rpm"):
            pool = getattr(quota.rates, name)
            parts = [
                (self.file.line(*where, name), getattr(each.rates, name))
                for where, each in self.file.deployed
                if where[:2] == path[:2] and each.model == model.id and getattr(each.rates, name)
            ]
            total = sum(part for _, part in parts)
            if pool and total > pool:
                lines = ", ".join(f"{part:,} of line {line}" for line, part in parts)
                self.report.add(
                    (*path, name),
                    f"The deployments of {model.id} take {total:,} {name} together, this pool has {pool:,}: {lines}.",
                    "Take less there, or make the pool larger.",
                )

    def _model(self, name: str) -> Model | None:
        return self.file.catalog.models.get(name) or self.existing.models.get(name)

    def _zones(self, model: Model) -> set[str]:
        upstreams = {**self.existing.upstreams, **self.file.catalog.upstreams}
        return {upstreams[upstream].zone for upstream, _ in model.routes if upstream in upstreams}
