"""`entrepot budget`: how much money of a balance may be used, and how much of it is."""

from typing import Any

import click

from entrepot.cli.amount import grouped
from entrepot.cli.answer import show_or_json
from entrepot.cli.command import noun
from entrepot.cli.session import admin
from entrepot.cli.table import Column, lay_out

command = noun("budget", "How much money may be used, and how much of it is.")


@command.command("list", short_help="every budget in its period of now: spent, held, left")
@click.option("--customer", metavar="ID", help="Only this customer's.")
def list_(customer: str | None = None) -> None:
    """Every budget in its period of now. What is set aside for calls stands in `in leases`: it is neither spent nor
    free until they end."""
    with admin() as api:
        facts = api.get("budgets", customer=customer)
    show_or_json(facts, _list)


def _list(facts: dict[str, Any]) -> str:
    columns = [
        *map(Column, ("customer", "budget", "of", "period", "")),
        *(Column(each, "amount", 3) for each in ("amount", "spent", "in leases", "left")),
        Column("", gap=1),
    ]
    rows = [
        (
            each["customer"],
            each["budget"],
            f"key {each['key'][:4]}…" if each["key"] else each["project"] or "all",
            each["period"],
            "hard" if each["hard"] else "soft",
            *(grouped(each[name]) for name in ("amount", "spent", "leased", "left")),
            each["currency"],
        )
        for each in facts["budgets"]
    ]
    none = "no budgets yet; they stand in the catalog file, and key create gives a key its own"
    return lay_out(columns, rows) if rows else none
