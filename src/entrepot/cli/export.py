"""`entrepot export`: the catalog as it is now, as a file."""

from pathlib import Path

import click

from entrepot.cli.answer import show_or_json
from entrepot.cli.command import command as verb
from entrepot.cli.output import write_out
from entrepot.cli.session import admin
from entrepot.cli.terminal import note


@verb("the catalog as it is now; apply of an export changes nothing")
@click.option("--output", "-o", type=click.Path(path_type=Path, dir_okay=False), help="Write it there.")
def command(output: Path | None) -> None:
    """Print the catalog as TOML. It names where credentials come from and holds none."""
    with admin() as api:
        facts = api.get("catalog")
    if output is None:
        show_or_json(facts, lambda _: str(facts["text"]).rstrip("\n"))  # its strings hold such characters as escapes
    else:
        write_out(output, facts["text"].encode())
        note(f"written to {output}")
