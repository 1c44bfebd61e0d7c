"""`entrepot upstream`: where models are bought."""

from typing import Any

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
