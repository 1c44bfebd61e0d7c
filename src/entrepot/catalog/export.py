"""Contents → TOML text, in a stable order; applying it changes nothing. Never a secret: there is none to write."""

from collections.abc import Iterable, Mapping
from typing import TypeVar

from entrepot.catalog.contents import (
    MOST_OPERATIONS,
    Catalog,
    Contract,
    Customer,
    DeclaredBudget,
    DeclaredLimit,
    Deployment,
    Model,
    Pays,
    Quota,
    Rates,
    Upstream,
)
from entrepot.catalog.lifecycle import Version
from entrepot.catalog.prices import PER_DEFAULT, BookVersion, PeriodPrice, PriceRow
from entrepot.catalog.toml_text import key, string, value
from entrepot.kernel.instants import show, to_datetime

_Each = TypeVar("_Each")


def export(catalog: Catalog) -> str:
    """The whole catalog as a file."""
    parts: list[Iterable[str]] = [["format = 1"]]
    if catalog.operator is not None:
        parts.append(["[operator]", *(f"{key(name)} = {value(each)}" for name, each in catalog.operator.facts.items())])
    if catalog.vendors:
        parts.append(["[vendor]", *(f"{key(each.id)} = {value(each.facts)}" for each in _by_name(catalog.vendors))])
    parts += [_upstream(each) for each in _by_name(catalog.upstreams)]
    if catalog.models:
        rows = []
        for model in _by_name(catalog.models):
            rows += _model(model)
        parts.append(["[model]", *rows])
    parts += [_version(each) for each in sorted(catalog.versions, key=lambda each: (each.book, each.number))]
    parts += [_customer(each) for each in _by_name(catalog.customers)]
    return "\n\n".join("\n".join(part) for part in parts) + "\n"


def _model(model: Model) -> list[str]:
    """One line, or with named versions a table of its own with a line for each of them."""
    facts = [f"context = {_grouped(model.context)}", f"output_max = {_grouped(model.output_max)}"]
    if model.operations != MOST_OPERATIONS:
        facts.append(f"operations = {value(model.operations)}")
    if model.aliases:
        facts.append(f"aliases = {value(model.aliases)}")
    if not model.versions[0].name:
        life = [f"{name} = {value(each)}" for name, each in _life(model.versions[0]).items()]
        return [f"{key(model.id)} = {{ {', '.join([life[0], *facts, *life[1:]])} }}"]
    versions = ", ".join(value({"version": each.name, **_life(each)}) for each in model.versions)
    facts.append(f"default = {string(model.default)}")
    return [f"{key(model.id)} = {{ {', '.join(facts)}, versions = [{versions}] }}"]


def _life(version: Version) -> dict[str, object]:
    facts: dict[str, object] = {"routes": [f"{upstream}/{name}" for upstream, name in version.routes]}
    if version.lifecycle != "ga":
        facts["lifecycle"] = version.lifecycle
    if version.retires_at:
        facts["retires"] = to_datetime(version.retires_at)
    if version.replaced_by:
        facts["replaced_by"] = version.replaced_by
    return facts


def as_written(thing: object) -> str:
    """One thing of a customer as it stands in the file; anything else as the language shows it."""
    match thing:
        case Deployment():
            return value(_deployment(thing))
        case Version():
            return value({"version": thing.name, **_life(thing)})
        case Pays():
            return value(_pays(thing))
        case DeclaredBudget():
            return value(_budget(thing))
        case DeclaredLimit():
            return value(_limit(thing))
        case Quota():
            return value(_quota(thing))
        case Contract():
            return value(_contract(thing))
    return repr(thing)


def _by_name(group: Mapping[str, _Each]) -> list[_Each]:
    return [group[name] for name in sorted(group)]


def _upstream(upstream: Upstream) -> list[str]:
    endpoint: dict[str, object] = {"dialect": upstream.dialect}
    if upstream.url:
        endpoint["url"] = upstream.url
    if upstream.api_version:
        endpoint["api_version"] = upstream.api_version
    if upstream.zone:
        endpoint["zone"] = upstream.zone
    if upstream.key_env:
        endpoint["key"] = {"env": upstream.key_env}
    elif upstream.key_file:
        endpoint["key"] = {"file": upstream.key_file}
    gone = {"do": upstream.client_gone, "seconds": upstream.drain_seconds}
    return [
        f"[upstream.{key(upstream.id)}]",
        f"vendor = {string(upstream.vendor)}",
        f"endpoint = {value(endpoint)}",
        f"client_gone = {value(gone)}",
    ]


def _version(version: BookVersion) -> list[str]:
    lines = [f"[[book.{key(version.book)}]]"]
    if version.number:
        lines[0] += f"   # version {version.number}, published {show(version.published_at)}"
    if version.buys_from:
        lines.append(f"buys_from = {string(version.buys_from)}")
    lines += [f"currency = {string(version.currency)}", f"valid_from = {show(version.valid_from)}"]
    return [*lines, "prices = [", *(f"  {_row(row)}," for row in version.rows), "]"]


def _row(row: PriceRow) -> str:
    return value(row_facts(row))


def row_facts(row: PriceRow) -> dict[str, object]:
    """A row of a book or of a contract, field by field as the file has it."""
    if row.period is not None:
        return _by_period(row.product, row.period)
    facts: dict[str, object] = {"model": row.model}
    facts |= {name: each for name in row.when.__struct_fields__ if (each := getattr(row.when, name))}
    facts |= row.prices
    for meter, steps in row.steps.items():
        facts[meter] = [{"price": price} | ({"first": first} if first else {}) for first, price in steps.rows]
        facts["steps"] = f"{steps.scope}, {steps.period}"
    if row.percent is not None:
        facts["percent_of_matching_standard"] = row.percent
    if row.cost_plus is not None:
        facts["cost_plus_percent"] = row.cost_plus.percent
        facts |= {"cost_plus": row.cost_plus.amount} if row.cost_plus.amount else {}
    facts |= {name: each for name, each in (("included", row.included), ("meters", list(row.meters))) if each}
    if row.per != PER_DEFAULT:
        facts["per"] = row.per
    return facts


def _by_period(product: str, period: PeriodPrice) -> dict[str, object]:
    facts: dict[str, object] = {"product": product, "of": list(period.of)}
    if period.percent is None:
        return {**facts, "minimum": period.minimum}
    return {**facts, "percent": period.percent, **({"at_least": period.minimum} if period.minimum else {})}


def _customer(customer: Customer) -> list[str]:
    lines = [f"[customer.{key(customer.id)}]"]
    lines += [f"about = {value(customer.about)}"] if customer.about else []
    lines += [f"address = {value(customer.address)}"] if customer.address else []
    lines += [*_contracts(customer.contracts), f"pays = {value(_pays(customer.pays))}"]
    lines += [f"projects = {value(customer.projects)}"] if customer.projects else []
    for name, rows in (
        ("deployments", map(_deployment, customer.deployments)),
        ("budgets", map(_budget, customer.budgets)),
        ("limits", map(_limit, customer.limits)),
        ("quota", map(_quota, customer.quota)),
    ):
        shown = [f"  {value(row)}," for row in rows]
        lines += [f"{name} = [", *shown, "]"] if shown else []
    return lines


def _contracts(contracts: tuple[Contract, ...]) -> list[str]:
    """One table, or a list of them where one follows another."""
    if len(contracts) == 1:
        return [f"contract = {value(_contract(contracts[0]))}"]
    return ["contract = [", *(f"  {value(_contract(each))}," for each in contracts), "]"]


def _contract(contract: Contract) -> dict[str, object]:
    facts: dict[str, object] = {**({"id": contract.id} if contract.id else {}), "book": contract.book}
    if contract.discount_percent:
        facts["discount_percent"] = contract.discount_percent
    if contract.notice_days:
        facts["notice_days"] = contract.notice_days
    instants = {"from": contract.starts_at, "until": contract.ends_at}
    facts |= {name: to_datetime(at) for name, at in instants.items() if at}
    return {**facts, **({"prices": [row_facts(row) for row in contract.rows]} if contract.rows else {})}


def _deployment(deployment: Deployment) -> dict[str, object]:
    facts: dict[str, object] = {"project": deployment.project, "name": deployment.name, "model": deployment.model}
    if deployment.output_max:
        facts["output_max"] = deployment.output_max
    if deployment.version:
        facts |= {"version": deployment.version, "upgrade": deployment.upgrade}
    return {**facts, **_rates(deployment.rates)}


def _pays(pays: Pays) -> dict[str, object]:
    facts = {
        "credit_limit": pays.credit_limit, "warn_below": pays.warn_below, "due_days": pays.due_days or None,
        "format": None if pays.format == "pdf" else pays.format, "language": pays.language or None,
        "currency": pays.currency or None,
    }  # fmt: skip
    return {"by": pays.by, **{name: each for name, each in facts.items() if each is not None}}


def _budget(budget: DeclaredBudget) -> dict[str, object]:
    facts: dict[str, object] = {"id": budget.id, **({"project": budget.project} if budget.project else {})}
    return {**facts, "per": budget.per, "amount": budget.amount, "hard": budget.hard, "warn_at": budget.warn_at}


def _limit(limit: DeclaredLimit) -> dict[str, object]:
    scope = {"project": limit.project} if limit.project else {"each": "key"} if limit.each_key else {}
    return {**scope, **_rates(limit.rates)}


def _quota(quota: Quota) -> dict[str, object]:
    return {"model": quota.model, **({"zone": quota.zone} if quota.zone else {}), **_rates(quota.rates)}


def _rates(rates: Rates) -> dict[str, object]:
    """Only what is not as it would be without a word."""
    facts = {"tpm": rates.tpm, "rpm": rates.rpm, "concurrent": rates.concurrent}
    found: dict[str, object] = {name: each for name, each in facts.items() if each}
    return {**found, "window": rates.window} if rates.window != Rates().window else found


def _grouped(number: int) -> str:
    return f"{number:_}"
