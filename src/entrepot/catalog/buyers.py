"""The customers of a catalog file: who buys, on which terms, under which names."""

from entrepot.catalog.contents import Contract, Customer, Deployment
from entrepot.catalog.fields import Fields, Report, good_name
from entrepot.catalog.lines import Path

_LATER_CONTRACT = ("discount_percent", "notice_days", "minimum", "retention", "prices")
_LATER_PAYS = ("credit_limit", "warn_below", "format", "due_days")
_LATER_DEPLOYMENT = ("units", "spill_to", "tpm", "rpm", "zone")
_LATER_CUSTOMER = ("commitment", "budgets", "seats", "limits", "credits", "support")


class Buyers:
    """Reads the customers of one file; `deployed` are their deployments with their places, those with mistakes too."""

    def __init__(self, report: Report) -> None:
        self.report = report
        self.deployed: list[tuple[Path, Deployment]] = []

    def customer(self, name: str, fields: Fields) -> Customer:
        about, address = fields.facts("about"), fields.facts("address")
        terms = fields.inner("contract")
        contract = Contract(book="list")
        if terms:
            contract = Contract(
                book=terms.text("book", "list"), id=terms.text("id"), starts_at=terms.instant("from"),
                ends_at=terms.instant("until"),
            )  # fmt: skip
            if 0 < contract.ends_at <= contract.starts_at:
                self.report.add(terms.at("until"), "until is after from.")
            terms.done(*_LATER_CONTRACT)
        pays = fields.inner("pays")
        if pays:
            pays.choice("by", "prepaid", ("prepaid",), ("invoice",))
            pays.done(*_LATER_PAYS)
        projects = []
        for path, project in fields.texts("projects"):
            if project in projects:
                self.report.add(path, f'"{project}" stands here twice.')
            elif good_name(self.report, path, project):
                projects.append(project)
        deployments = self._deployments(fields)
        fields.done(*_LATER_CUSTOMER)
        return Customer(
            id=name, contract=contract, about=about, address=address, projects=tuple(projects),
            deployments=tuple(deployments),
        )  # fmt: skip

    def _deployments(self, fields: Fields) -> list[Deployment]:
        found: dict[tuple[str, str], tuple[Deployment, Path]] = {}
        for each in fields.rows("deployments"):
            project = each.text("project", "default")
            model = each.text("model", required=True)
            name = each.text("name", model)
            output_max = each.whole("output_max", 0, least=1)
            each.choice("kind", "standard", ("standard",), ("provisioned", "batch", "global", "priority"))
            each.done(*_LATER_DEPLOYMENT)
            pairs = (("project", project), ("name", name))
            fit = [good_name(self.report, each.at(key), text) for key, text in pairs if text]
            before = found.get((project, name))
            if before is not None:
                line = self.report.places.line(before[1])
                self.report.add(each.path, f'Project "{project}" has a deployment "{name}" already (line {line}).')
            elif model:
                deployment = Deployment(project=project, name=name, model=model, output_max=output_max)
                self.deployed.append((each.path, deployment))
                if all(fit):
                    found[project, name] = deployment, each.path
        return [deployment for deployment, _ in found.values()]
