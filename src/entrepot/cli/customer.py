"""`entrepot customer`: who buys."""

from typing import Any

import click

from entrepot.cli.answer import show_or_json
from entrepot.cli.command import noun
from entrepot.cli.session import admin
from entrepot.cli.table import Column, lay_out

command = noun("customer", "Who buys.")


@command.command("list", short_help="every customer")
def list_() -> None:
    """Every customer, its book and its projects."""
    with admin() as api:
        facts = api.get("customers")
    show_or_json(facts, _list)


@command.command("show", short_help="one customer")
@click.argument("customer")
def show(customer: str) -> None:
    """One customer: contract, projects, deployments, keys."""
    with admin() as api:
        facts = api.get("customers", customer)
    show_or_json(facts, _show)


def _list(facts: dict[str, Any]) -> str:
    columns = [Column(name) for name in ("customer", "state", "book", "currency", "projects", "name")]
    rows = [
        (c["customer"], c["state"], c["book"], c["currency"], ", ".join(c["projects"]), c["name"])
        for c in facts["customers"]
    ]
    return lay_out(columns, rows) if rows else "no customers yet; they stand in the catalog file"


def _show(c: dict[str, Any]) -> str:
    name = f" ({c['name']})" if c["name"] else ""
    lines = [f"{c['customer']}{name}: {c['state']}, book {c['book']}, balance in {c['currency']}", ""]
    for project in c["projects"]:
        keys = sum(key["project"] == project for key in c["keys"])
        lines.append(f"  project {project}: {keys} {'key' if keys == 1 else 'keys'}")
        for d in c["deployments"]:
            if d["project"] == project:
                cap = f", at most {d['output_max']:,} output tokens" if d["output_max"] else ""
                lines.append(f"    {d['name']} → {d['model']}{cap}")
    if c["every_priced_model"]:
        lines.append("  every priced model, under its own name")
    return "\n".join(lines)
