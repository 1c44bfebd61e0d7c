"""`entrepot limit`: how fast, and how much at once."""

from typing import Any

import click

from entrepot.cli.answer import show_or_json
from entrepot.cli.command import noun
from entrepot.cli.session import admin
from entrepot.cli.table import Column, count, lay_out

command = noun("limit", "How fast, and how much at once.")


@command.command("list", short_help="every limit, declared in the catalog file or given to a key")
@click.option("--customer", metavar="ID", help="Only this customer's.")
def list_(customer: str | None = None) -> None:
    """Tokens and requests a minute and calls at once: of customers, projects, keys, deployments, and of the pools that
    deployments are cut from."""
    with admin() as api:
        facts = api.get("limits", customer=customer)
    show_or_json(facts, _list)


def _list(facts: dict[str, Any]) -> str:
    words, counts = ("customer", "scope", "of"), ("tpm", "rpm", "at once")
    columns = [*map(Column, words), *(Column(each, "count") for each in counts)]
    rows = [
        (
            each["customer"],
            each["scope"],
            each["of"],
            *(count(each[name]) if name in each else "" for name in ("tpm", "rpm", "concurrent")),
            f"counted per {each['window']} s" if "window" in each else "",
        )
        for each in facts["limits"]
    ]
    none = "no limits yet; they stand in the catalog file, and key create gives a key its own"
    return lay_out([*columns, Column("")], rows) if rows else none
