"""`entrepot verify`: sleep well."""

from typing import Any

import click

from entrepot.cli.answer import show_or_json
from entrepot.cli.command import command as verb
from entrepot.cli.session import admin
from entrepot.cli.terminal import REFUSED
from entrepot.kernel.text import plain_lines

PARTS = ("journal", "lake", "rollup", "ledger", "invoices")
_PATIENCE_S = 3700.0


@verb("journal = lake = rollup = ledger = invoices; chains whole")
@click.argument("part", required=False, type=click.Choice(PARTS), metavar="[PART]")
def command(part: str | None) -> None:
    """Compare journal, lake, rollup, ledger and invoices to the last digit. A difference names the record, both values
    and the first place where they part; then the exit code is 1. PART shows one of journal, lake, rollup, ledger,
    invoices.
    """
    with admin(patience_s=_PATIENCE_S) as api:
        facts = api.get("verify")
    if part:
        facts["differences"] = [each for each in facts["differences"] if each["part"] == part]
        facts["agree"] = not facts["differences"]
        facts["text"] = _only(part, facts)
    show_or_json({name: value for name, value in facts.items() if name != "text"}, lambda _: plain_lines(facts["text"]))
    if not facts["agree"]:
        raise click.exceptions.Exit(REFUSED)


def _only(part: str, facts: dict[str, Any]) -> str:
    """The lines of one part, and its differences."""
    found, here = [], False
    for line in facts["text"].splitlines():
        here = line.startswith(part) or (here and line.startswith(" "))
        if here:
            found.append(line)
    return "\n".join(found)
