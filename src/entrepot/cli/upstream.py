"""`entrepot upstream`: where models are bought."""

from typing import Any

import click

from entrepot.cli.answer import show_or_json
from entrepot.cli.command import noun
from entrepot.cli.session import admin
from entrepot.cli.table import Column, lay_out

command = noun("upstream", "Where models are bought.")


@command.command("list", short_help="every upstream, never its credential")
def list_() -> None:
    """Every upstream, its address and whether its credential is kept."""
    with admin() as api:
        facts = api.get("upstreams")
    show_or_json(facts, _list)


def _list(facts: dict[str, Any]) -> str:
    columns = [Column(name) for name in ("upstream", "vendor", "dialect", "zone", "credential", "address", "models")]
    rows = [
        (
            u["upstream"],
            u["vendor"],
            u["dialect"],
            u["zone"],
            f"{u['key']}, {'kept' if u['key_kept'] else 'missing'}" if u["key"] else "none",
            u["url"],
            ", ".join(u["models"]),
        )
        for u in facts["upstreams"]
    ]
    return lay_out(columns, rows) if rows else "no upstreams yet; they stand in the catalog file"


@command.command("test", short_help="really ask the vendor, and say what it answered")
@click.argument("upstream")
def test(upstream: str) -> None:
    """Ask for the vendor's models with the kept credential, which costs nothing; a vendor that lists none gets a call
    of one token. Exit 1 if it does not answer as it should."""
    with admin(patience_s=60) as api:
        facts = api.post("upstreams", upstream, "test", body={})
    show_or_json(facts, _test)
    if not facts["good"]:
        raise SystemExit(1)


def _test(facts: dict[str, Any]) -> str:
    answered = f"{facts['status']} in {facts['ms']:,.0f} ms" if facts["status"] else "no answer"
    trouble = f": {facts['trouble']}" if facts["trouble"] else ""
    lines = [f"{facts['upstream']}: {'good' if facts['good'] else 'does not work'}", f"  {facts['did']}"]
    lines.append(f"  {answered}{trouble}")
    if facts["listed"] is not None:
        lines.append("  1 model listed" if facts["listed"] == 1 else f"  {facts['listed']:,} models listed")
    for route in facts["routes"]:
        known = {True: "listed", False: "not in its list", None: ""}[route["listed"]]
        lines.append(f"    {route['model']} → {route['vendor_model']}{'   ' + known if known else ''}")
    return "\n".join(lines)
