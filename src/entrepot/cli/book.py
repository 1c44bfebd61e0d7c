"""`entrepot book`: what things cost, and from when."""

from typing import Any

import click

from entrepot.cli.answer import show_or_json
from entrepot.cli.command import noun
from entrepot.cli.session import admin
from entrepot.cli.table import Column, count, lay_out

command = noun("book", "What things cost, and from when.")


@command.command("list", short_help="every book")
def list_() -> None:
    """Every book: what we charge (list) or pay (cost)."""
    with admin() as api:
        facts = api.get("books")
    show_or_json(facts, _list)


@command.command("show", short_help="prices in force, and every version")
@click.argument("book")
def show(book: str) -> None:
    """The prices of BOOK in force now, and when its versions begin."""
    with admin() as api:
        facts = api.get("books", book)
    show_or_json(facts, _show)


def _list(facts: dict[str, Any]) -> str:
    columns = [
        Column("book"),
        Column("kind"),
        Column("currency"),
        Column("versions", "count"),
        Column("models", "count"),
    ]
    rows = [
        (
            b["book"],
            f"cost, {b['buys_from']}" if b["buys_from"] else "list",
            b["currency"],
            count(b["versions"]),
            count(len(b["models"])),
            f"next from {b['to_come'][0]}" if b["to_come"] else "",
        )
        for b in facts["books"]
    ]
    return lay_out([*columns, Column("")], rows) if rows else "no books yet; they stand in the catalog file"


def _show(b: dict[str, Any]) -> str:
    kind = f"what we pay {b['buys_from']}" if b["buys_from"] else "what customers pay"
    head = f"{b['book']}: {kind}, {b['currency']}; in force now"
    columns = [
        Column("model"),
        Column("bucket"),
        Column("price", "amount"),
        Column("per", "count"),
        Column("version", "count"),
        Column("when"),
    ]
    rows = [(p["model"], p["bucket"], p["price"], count(p["per"]), str(p["version"]), p["when"]) for p in b["in_force"]]
    versions = [
        f"  version {v['version']}   from {v['valid_from']}   published {v['published_at'][:19]}Z"
        for v in b["published"]
    ]
    return "\n\n".join([head, lay_out(columns, rows), "\n".join(versions)])
