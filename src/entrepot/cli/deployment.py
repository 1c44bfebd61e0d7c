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
