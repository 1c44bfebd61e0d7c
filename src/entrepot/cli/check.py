"""`entrepot check FILE`: explain a catalog file without a server."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from entrepot.cli.answer import show_or_json
from entrepot.cli.catalog_file import of_catalog, secrets_of, text_of
from entrepot.cli.command import command as verb
from entrepot.cli.terminal import program

if TYPE_CHECKING:
    from entrepot.catalog.contents import Catalog


@verb("explain a catalog file without a server")
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
def command(file: Path) -> None:
    """All mistakes of FILE at once, with their lines; else what it says. Needs no server and changes nothing.

    The file is checked as it stands: what it only names and a server already knows counts as missing here.
    """
    from entrepot.catalog.contents import Catalog
    from entrepot.catalog.file import read
    from entrepot.catalog.issues import CatalogBroken
    from entrepot.pricing.publication import check

    try:
        found = read(text_of(file), str(file))
        check(found, Catalog(), time.time_ns() // 1000)
    except CatalogBroken as broken:
        stop = of_catalog(broken)
        stop.message = stop.lines = broken.message.replace(", nothing was changed", "", 1)
        raise stop from None
    show_or_json(_facts(found.catalog, secrets_of(found, file)), lambda facts: _text(facts, file))


def _facts(catalog: "Catalog", secrets: dict[str, str]) -> dict[str, Any]:
    books: dict[str, int] = {}
    for version in catalog.versions:
        books[version.book] = books.get(version.book, 0) + 1
    return {
        "vendors": sorted(catalog.vendors),
        "upstreams": [
            {
                "upstream": each.id,
                "key": f"env {each.key_env}" if each.key_env else f"file {each.key_file}" if each.key_file else "",
                "key_here": each.id in secrets,
            }
            for each in catalog.upstreams.values()
        ],
        "models": sorted(catalog.models),
        "books": [{"book": name, "versions": versions} for name, versions in books.items()],
        "customers": sorted(catalog.customers),
    }


def _text(facts: dict[str, Any], file: Path) -> str:
    books = [f"{b['book']} ({b['versions']} {'version' if b['versions'] == 1 else 'versions'})" for b in facts["books"]]
    rows = [
        ("vendors", facts["vendors"]),
        ("upstreams", [u["upstream"] for u in facts["upstreams"]]),
        ("models", facts["models"]),
        ("books", books),
        ("customers", facts["customers"]),
    ]
    lines = [f"{file}: no mistakes", ""]
    lines += [f"  {name:<11} {', '.join(names)}" for name, names in rows if names]
    missing = [u for u in facts["upstreams"] if u["key"] and not u["key_here"]]
    lines += [f"  {u['upstream']} wants {u['key']}, which is not here" for u in missing]
    return "\n".join([*lines, "", f"  do    {program()} apply {file} --dry-run      shows what it would change"])
