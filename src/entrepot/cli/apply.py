"""`entrepot apply FILE`: load the catalog; the difference first, then all of it or nothing."""

import sys
from pathlib import Path
from typing import Any

import click

from entrepot.cli.answer import show_or_json
from entrepot.cli.catalog_file import ask_of_catalog, of_catalog, secrets_of, text_of
from entrepot.cli.command import command as verb
from entrepot.cli.command import options
from entrepot.cli.effect_text import effect_text
from entrepot.cli.session import admin
from entrepot.cli.terminal import MISUSED, Stop, note, program, say
from entrepot.kernel.text import plain, plain_facts


@verb("load the catalog: difference first, then all or nothing")
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@click.option("--dry-run", is_flag=True, help="Show the difference only.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def command(file: Path, dry_run: bool, yes: bool) -> None:
    """Load what FILE declares: vendors, upstreams, models, prices, customers. What it does not name stays as it is.

    Credentials that it names by `env` or `file` are read here and handed to the server, which keeps them.
    """
    from entrepot.catalog.file import read
    from entrepot.catalog.issues import CatalogBroken

    text = text_of(file)
    if not text:
        raise Stop(f"{file} is empty; nothing was changed", exit_code=MISUSED)
    try:
        secrets = secrets_of(read(text, str(file)), file)
    except CatalogBroken as broken:
        raise of_catalog(broken) from None
    body = {"text": text, "file": str(file), "secrets": secrets}
    with admin() as api:
        planned = ask_of_catalog(api, ("catalog",), {**body, "dry_run": True})
        if dry_run or not planned["changed"]:
            show_or_json(planned, lambda facts: _planned(facts, file, dry_run))
            return
        if not yes:
            _confirm(planned, file)
        done = ask_of_catalog(api, ("catalog",), {**body, "dry_run": False, "yes": True})
    show_or_json(done, lambda facts: _applied(facts, file, shown=not yes))


def _confirm(planned: dict[str, Any], file: Path) -> None:
    if not sys.stdin.isatty() or options().json:
        raise Stop(
            f"{file} changes {_things(planned)}, and nobody is here to ask; nothing was changed",
            do=f"{program()} apply {file} --yes      or --dry-run to see them",
            exit_code=MISUSED,
        )
    say("\n".join([*map(plain, planned["lines"]), "", *_effect(plain_facts(planned))]))
    if not click.confirm(f"Apply {_things(planned)}?", default=False):
        raise Stop("nothing was changed")


def _planned(facts: dict[str, Any], file: Path, dry_run: bool) -> str:
    if not facts["changed"]:
        return f"{file} changes nothing"
    return "\n".join([*facts["lines"], "", *_effect(facts), f"{_things(facts)}; nothing was changed (--dry-run)"])


def _effect(facts: dict[str, Any]) -> list[str]:
    return [effect_text(facts["effect"], lines=0), ""] if "effect" in facts else []


def _applied(facts: dict[str, Any], file: Path, *, shown: bool) -> str:
    late = facts.get("behind") or []
    if late:
        note(f"not yet used by {', '.join(map(str, late))}: they follow when they answer again")
    if not facts["changed"]:
        return f"{file} changes nothing"
    done = f"{_things(facts)} applied"
    return done if shown else "\n".join([*facts["lines"], "", done])


def _things(facts: dict[str, Any]) -> str:
    number = len(facts["lines"])
    return "1 thing" if number == 1 else f"{number} things"
