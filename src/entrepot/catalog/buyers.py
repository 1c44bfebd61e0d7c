"""The customers of a catalog file: who buys, on which terms, under which names, and how much at most."""

from collections.abc import Iterable
from decimal import Decimal
from typing import TypeVar, cast, get_args

import msgspec

from entrepot.catalog.contents import (
    Contract,
    Customer,
    DeclaredBudget,
    DeclaredLimit,
    Deployment,
    Format,
    Pays,
    PaysBy,
    Per,
    Quota,
    Rates,
)
from entrepot.catalog.fields import Fields, Report, exact, good_name
from entrepot.catalog.lifecycle import Upgrade
from entrepot.catalog.lines import Path
from entrepot.catalog.party_fields import read_about, read_address, read_language
from entrepot.catalog.price_rows import PriceRows
from entrepot.kernel.instants import HOUR, show

_LATER_CONTRACT = ("minimum", "retention")
_LATER_DEPLOYMENT = ("units", "spill_to", "zone")
_LATER_CUSTOMER = ("commitment", "seats", "credits", "support")
#: A contract's notice of a new price, at most.
NOTICE_MOST = 366
_PERS = ("day", "month", "total")
_WINDOWS = (1, 10, 60)
#: Percents of a budget that are told without `warn_at`; calls of a hard one end before it is used to the last unit.
WARN_AT = {True: (80, 95), False: (80, 100)}


Bound = DeclaredBudget | DeclaredLimit | Quota
_Bound = TypeVar("_Bound", bound=Bound)


class Buyers:
    """Reads the customers of one file. `deployed` are their deployments with their places, those with mistakes too;
    `contracted` their contracts, `bounded` their budgets, limits and quotas."""

    def __init__(self, report: Report, price_rows: PriceRows) -> None:
        self.report, self.price_rows = report, price_rows
        self.deployed: list[tuple[Path, Deployment]] = []
        self.contracted: list[tuple[Path, Contract]] = []
        self.bounded: list[tuple[Path, Bound]] = []

    def customer(self, name: str, fields: Fields) -> Customer:
        projects = []
        for path, project in fields.texts("projects"):
            if project in projects:
                self.report.add(path, f'"{project}" stands here twice.')
            elif good_name(self.report, path, project):
                projects.append(project)
        customer = Customer(
            id=name, contracts=self._contracts(fields), about=read_about(fields), address=read_address(fields),
            projects=tuple(projects), pays=self._pays(fields), deployments=tuple(self._deployments(fields)),
            budgets=self._budgets(fields), limits=self._limits(fields), quota=self._quota(fields),
        )  # fmt: skip
        fields.done(*_LATER_CUSTOMER)
        return customer

    def _contracts(self, fields: Fields) -> tuple[Contract, ...]:
        """One table, or a list of them in their order: the next begins where the one before it ends."""
        if not isinstance(fields.raw("contract"), list):
            terms = fields.inner("contract")
            if terms is None:
                self.contracted.append((fields.path, Contract(book="list")))
            return (self._contract(terms) if terms else Contract(book="list"),)
        found: list[Contract] = []
        for terms in fields.rows("contract"):
            contract = self._contract(terms)
            if found:
                self._follows(terms, found[-1], contract)
            found.append(contract)
        if not found:
            self.report.add(fields.at("contract"), 'A customer has at least one contract: { book = "list" }.')
        return tuple(found) or (Contract(book="list"),)

    def _contract(self, terms: Fields) -> Contract:
        contract = Contract(
            book=terms.text("book", "list"), id=terms.text("id"), starts_at=terms.instant("from"),
            ends_at=terms.instant("until"), discount_percent=self._discount(terms), rows=self.price_rows.rows(terms),
            notice_days=terms.whole("notice_days"),
        )  # fmt: skip
        if 0 < contract.ends_at <= contract.starts_at:
            self.report.add(terms.at("until"), "until is after from.")
        elif contract.ends_at % HOUR:
            why = "A contract ends on the hour: calls are priced by the hour, and those of one hour under one contract."
            self.report.add(terms.at("until"), why, f"Write until = {show(-(-contract.ends_at // HOUR) * HOUR)}.")
        if contract.notice_days > NOTICE_MOST:
            self.report.add(terms.at("notice_days"), f"notice_days is at most {NOTICE_MOST}.")
        terms.done(*_LATER_CONTRACT)
        self.contracted.append((terms.path, contract))
        return contract

    def _discount(self, terms: Fields) -> Decimal:
        value = terms.raw("discount_percent")
        if value is None:
            return Decimal(0)
        percent = exact(value)
        if percent is None or percent > 100:
            self.report.add(terms.at("discount_percent"), "discount_percent is a number from 0 to 100.")
            return Decimal(0)
        return percent

    def _follows(self, terms: Fields, before: Contract, contract: Contract) -> None:
        """No two contracts at one instant, and no time between two."""
        if not before.ends_at:
            self.report.add(terms.path, "The contract before this one has no end: give it an until.")
        elif not contract.starts_at:
            self.report.add(terms.path, f"from is missing: the contract before it ends at {show(before.ends_at)}.")
        elif contract.starts_at != before.ends_at:
            what = "Two contracts hold" if contract.starts_at < before.ends_at else "No contract holds"
            first, last = sorted((contract.starts_at, before.ends_at))
            why = f"{what} from {show(first)} until {show(last)}."
            self.report.add(terms.at("from"), why, f"Write from = {show(before.ends_at)}, where the one before ends.")

    def _pays(self, fields: Fields) -> Pays:
        terms = fields.inner("pays")
        if terms is None:
            return Pays()
        by = terms.choice("by", "prepaid", ("prepaid", "invoice"))
        pays = Pays(
            by=cast("PaysBy", by), credit_limit=self._amount(terms, "credit_limit"),
            warn_below=self._amount(terms, "warn_below"), due_days=terms.whole("due_days", least=1),
            format=cast("Format", terms.choice("format", "pdf", get_args(Format))),
            language=read_language(terms), currency=terms.text("currency"),
        )  # fmt: skip
        if by == "prepaid":
            for name in ("credit_limit", "due_days"):
                if terms.has(name):
                    self.report.add(terms.at(name), f'{name} is for customers that pay by invoice: by = "invoice".')
        elif not terms.has("credit_limit"):
            why = "credit_limit is missing: the most that this customer may owe, open invoices and unbilled calls."
            self.report.add(terms.path, why)
        terms.done()
        return pays

    def _deployments(self, fields: Fields) -> list[Deployment]:
        found: dict[tuple[str, str], tuple[Deployment, Path]] = {}
        for each in fields.rows("deployments"):
            project = each.text("project", "default")
            model = each.text("model", required=True)
            name = each.text("name", model)
            output_max = each.whole("output_max", 0, least=1)
            rates = self._rates(each)
            version = each.text("version")
            upgrade = each.choice("upgrade", "expired", ("expired", "never"))
            if each.has("upgrade") and not version:
                self.report.add(each.at("upgrade"), "Without a version it follows the default one: remove upgrade.")
            each.choice("kind", "standard", ("standard",), ("provisioned", "batch", "global", "priority"))
            each.done(*_LATER_DEPLOYMENT)
            pairs = (("project", project), ("name", name))
            fit = [good_name(self.report, each.at(key), text) for key, text in pairs if text]
            before = found.get((project, name))
            if before is not None:
                line = self.report.places.line(before[1])
                self.report.add(each.path, f'Project "{project}" has a deployment "{name}" already (line {line}).')
            elif model:
                deployment = Deployment(
                    project=project, name=name, model=model, output_max=output_max, rates=rates, version=version,
                    upgrade=cast("Upgrade", upgrade),
                )  # fmt: skip
                self.deployed.append((each.path, deployment))
                if all(fit):
                    found[project, name] = deployment, each.path
        return [deployment for deployment, _ in found.values()]

    def _budgets(self, fields: Fields) -> tuple[DeclaredBudget, ...]:
        found: dict[str, tuple[DeclaredBudget, Path]] = {}
        for each in fields.rows("budgets"):
            project = each.text("project")
            per = each.choice("per", "month", _PERS)
            amount = self._amount(each, "amount", required=True)
            hard = each.flag("hard", True)
            warn_at = self._percents(each, WARN_AT[hard])
            name = each.text("id", f"{project or 'all'}-{per}")
            each.done()
            before = found.get(name)
            if before is not None:
                line = self.report.places.line(before[1])
                self.report.add(each.path, f'Another budget is called "{name}" (line {line}).', "Give this one an id.")
            elif name.startswith("key-"):
                self.report.add(each.at("id"), 'Names with "key-" are those of keys: choose another id.')
            elif good_name(self.report, each.at("id"), name) and amount is not None:
                budget = DeclaredBudget(
                    id=name, project=project, per=cast("Per", per), amount=amount, hard=hard, warn_at=warn_at
                )
                found[name] = budget, each.path
        return self._kept(found.values())

    def _percents(self, fields: Fields, default: tuple[int, ...]) -> tuple[int, ...]:
        value = fields.raw("warn_at")
        if value is None:
            return default
        percents = value if isinstance(value, list) and len(value) <= 10 else [0]
        if any(type(each) is not int or not 1 <= each <= 1000 for each in percents) or percents != sorted({*percents}):
            why = "warn_at is a list of whole percents, rising, at most 10 of them: [50, 80, 100]; [] for none."
            self.report.add(fields.at("warn_at"), why)
            return default
        return tuple(percents)

    def _limits(self, fields: Fields) -> tuple[DeclaredLimit, ...]:
        found: dict[tuple[str, bool, int], tuple[DeclaredLimit, Path]] = {}
        for each in fields.rows("limits"):
            project, every = each.text("project"), each.has("each") and each.choice("each", "key", ("key",))
            rates = self._rates(each)
            each.done()
            if project and every:
                self.report.add(each.path, "A limit is of one project or of each key: write two.")
            if not rates:
                self.report.add(each.path, "This limits nothing: give rpm, tpm or concurrent.")
            before = found.setdefault(
                (project, bool(every), rates.window),
                (DeclaredLimit(project=project, each_key=bool(every), rates=rates), each.path),
            )
            if before[1] != each.path:
                line = self.report.places.line(before[1])
                self.report.add(each.path, f"Line {line} limits the same with the same window: make one of both.")
        return self._kept(found.values())

    def _quota(self, fields: Fields) -> tuple[Quota, ...]:
        found: dict[tuple[str, str], tuple[Quota, Path]] = {}
        for each in fields.rows("quota"):
            model, zone = each.text("model", required=True), each.text("zone")
            rates = self._rates(each)
            each.done()
            if not rates:
                self.report.add(each.path, "This limits nothing: give tpm, rpm or concurrent.")
            before = found.setdefault((model, zone), (Quota(model=model, zone=zone, rates=rates), each.path))
            if before[1] != each.path:
                line = self.report.places.line(before[1])
                self.report.add(each.path, f"Line {line} has the quota of {model} {zone}".rstrip() + " already.")
        return self._kept(found.values())

    def _kept(self, found: Iterable[tuple[_Bound, Path]]) -> tuple[_Bound, ...]:
        rows = list(found)
        self.bounded += [(path, each) for each, path in rows]
        return tuple(each for each, _ in rows)

    def _rates(self, fields: Fields) -> Rates:
        rates = Rates(
            tpm=fields.whole("tpm", 0, least=1), rpm=fields.whole("rpm", 0, least=1),
            window=fields.whole("window", 60, least=1), concurrent=fields.whole("concurrent", 0, least=1),
        )  # fmt: skip
        if rates.window not in _WINDOWS:
            self.report.add(fields.at("window"), "window is 1, 10 or 60: the seconds in which requests are counted.")
        elif fields.has("window") and not rates.rpm:
            self.report.add(fields.at("window"), "window is the window of rpm, which is missing.")
        elif rates.rpm * rates.window % 60:
            why = f"A window of {rates.window} s takes its even part of a minute's requests: rpm is a multiple of "
            self.report.add(fields.at("rpm"), f"{why}{60 // rates.window}.")
        else:
            return rates
        return msgspec.structs.replace(rates, window=60)

    def _amount(self, fields: Fields, name: str, *, required: bool = False) -> Decimal | None:
        value = fields.raw(name)
        if value is None:
            if required:
                self.report.add(fields.path, f"{name} is missing; it is an amount of money.")
            return None
        amount = exact(value)
        if amount is None:
            self.report.add(fields.at(name), f"{name} is an amount of money: a number of at least 0.")
        return amount
