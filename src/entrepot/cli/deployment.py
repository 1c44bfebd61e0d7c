"""`entrepot deployment`: which name leads to which model, for whom."""

from typing import Any

import click

from entrepot.cli.answer import show_or_json
from entrepot.cli.command import noun
from entrepot.cli.session import admin
from entrepot.cli.table import Column, count, lay_out

command = noun("deployment", "Which name leads to which model, for whom.")


@command.command("list", short_help="every deployment, declared or by default")
@click.option("--customer", metavar="ID", help="Only this customer's.")
def list_(customer: str | None = None) -> None:
    """Every deployment and whether it can be sold now; `*` stands for each project of a customer that declares none."""
    with admin() as api:
        facts = api.get("deployments", customer=customer)
    show_or_json(facts, _list)


def _list(facts: dict[str, Any]) -> str:
    columns = [*(Column(name) for name in ("customer", "project", "name", "model")), Column("output max", "count")]
    rows = [
        (
            d["customer"],
            d["project"],
            d["name"],
            d["model"],
            count(d["output_max"]),
            "" if d["for_sale"] else d["reason"],
        )
        for d in facts["deployments"]
    ]
    return (
        lay_out([*columns, Column("")], rows)
        if rows
        else "no deployments yet; a priced model is one for every customer"
    )


@command.command("show", short_help="one deployment")
@click.argument("customer")
@click.argument("name")
@click.option("--project", default="default", metavar="NAME", help="The project it belongs to (default: default).")
def show(customer: str, name: str, project: str) -> None:
    """One deployment of a customer: its model and version now, where its calls go, what they cost."""
    with admin() as api:
        facts = api.get("deployments", customer, project, name)
    show_or_json(facts, _show)


def _price(p: dict[str, Any], currency: str) -> str:
    per = f" per {p['per']:,}" if p["per"] > 1 else ""
    return f"{p['bucket']} {p['price']} {currency}{per}" + (f"   {p['note']}" if p["note"] else "")


def _show(d: dict[str, Any]) -> str:
    version = f" {d['version']}" if d["version"] else ""
    follows = {"expired": "pinned until it retires", "never": "pinned", "": "follows the default version"}
    sale = "for sale" if d["for_sale"] else f"not for sale: {d['reason']}"
    lines = [f"{d['name']} of {d['customer']}/{d['project']}: {d['model']}{version}, {sale}", ""]
    rows = [("version", follows[d["upgrade"]]), ("lifecycle", d["lifecycle"])]
    if d["retires_at"]:
        instead = f", replaced by {d['replaced_by']}" if d["replaced_by"] else ""
        rows.append(("retires", f"{d['retires_at']}{instead}"))
    rows.append(("serves", ", ".join(d["operations"])))
    rows.append(("tokens", f"context {d['context']:,}, at most {d['output_max']:,} of output"))
    limits = ", ".join(f"{name} {value:,}" for name, value in d["limits"].items() if value and name != "window")
    rows += [("limits", limits)] if limits else []
    rows += [("route", f"{route['upstream']}/{route['vendor_model']}") for route in d["routes"]]
    rows += [("price", _price(p, d["currency"])) for p in d["prices"]]
    return "\n".join([*lines, *(f"  {name:<10} {value}" for name, value in rows)])
