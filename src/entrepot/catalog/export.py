"""Contents → TOML text, in a stable order; applying it changes nothing. Never a secret: there is none to write."""

from collections.abc import Iterable, Mapping
from typing import TypeVar

from entrepot.catalog.contents import PER_DEFAULT, BookVersion, Catalog, Customer, Deployment, PriceRow, Upstream
from entrepot.catalog.toml_text import key, string, value
from entrepot.kernel.instants import show

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
            routes = value([f"{upstream}/{name}" for upstream, name in model.routes])
            sizes = f"context = {_grouped(model.context)}, output_max = {_grouped(model.output_max)}"
            rows.append(f"{key(model.id)} = {{ routes = {routes}, {sizes} }}")
        parts.append(["[model]", *rows])
    parts += [_version(each) for each in sorted(catalog.versions, key=lambda each: (each.book, each.number))]
    parts += [_customer(each) for each in _by_name(catalog.customers)]
    return "\n\n".join("\n".join(part) for part in parts) + "\n"


def _by_name(group: Mapping[str, _Each]) -> list[_Each]:
    return [group[name] for name in sorted(group)]


def _upstream(upstream: Upstream) -> list[str]:
    endpoint: dict[str, object] = {"dialect": upstream.dialect}
    if upstream.url:
        endpoint["url"] = upstream.url
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
    facts: dict[str, object] = {"model": row.model, **row.prices}
    if row.per != PER_DEFAULT:
        facts["per"] = row.per
    return value(facts)


def _customer(customer: Customer) -> list[str]:
    contract = customer.contract
    terms = ([f"id = {string(contract.id)}"] if contract.id else []) + [f"book = {string(contract.book)}"]
    terms += [f"from = {show(contract.starts_at)}"] if contract.starts_at else []
    terms += [f"until = {show(contract.ends_at)}"] if contract.ends_at else []
    lines = [f"[customer.{key(customer.id)}]"]
    lines += [f"about = {value(customer.about)}"] if customer.about else []
    lines += [f"address = {value(customer.address)}"] if customer.address else []
    lines += [f"contract = {{ {', '.join(terms)} }}", 'pays = { by = "prepaid" }']
    lines += [f"projects = {value(customer.projects)}"] if customer.projects else []
    if customer.deployments:
        lines += ["deployments = [", *(f"  {_deployment(each)}," for each in customer.deployments), "]"]
    return lines


def _deployment(deployment: Deployment) -> str:
    facts: dict[str, object] = {"project": deployment.project, "name": deployment.name, "model": deployment.model}
    if deployment.output_max:
        facts["output_max"] = deployment.output_max
    return value(facts)


def _grouped(number: int) -> str:
    return f"{number:_}"
