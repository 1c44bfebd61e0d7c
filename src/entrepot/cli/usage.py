"""`entrepot usage`: requests, tokens by kind, charge."""

from typing import Any

import click

from entrepot.cli.amount import grouped, share, total
from entrepot.cli.answer import show_or_json
from entrepot.cli.command import command as verb
from entrepot.cli.command import options
from entrepot.cli.session import admin
from entrepot.cli.table import Column, count, lay_out
from entrepot.cli.terminal import dim, say
from entrepot.kernel.text import plain_lines

_ALWAYS = ("input", "cached", "output", "reasoning")
_OTHERS = ("cache_write", "audio_input", "audio_output", "image_input")
_STATES = ("final", "aborted", "estimated", "void")
_HINT = "--sql shows the query, --json the same as data"


@verb("requests, tokens by kind, charge")
@click.option("--by", metavar="NAMES", help="Group by these, comma-separated: customer, model, operation, day, … .")
@click.option("--from", "from_", metavar="DATE", help="Included, UTC; default today.")
@click.option("--until", metavar="DATE", help="Excluded, UTC.")
@click.option("--state", type=click.Choice(_STATES), help="Only attempts in this state.")
@click.option("--customer", metavar="ID", help="Only this customer.")
@click.option("--key", metavar="ID", help="Only this key.")
@click.option("--run", metavar="ID", help="Only this run of `entrepot run`, from its beginning.")
@click.option("--sql", is_flag=True, help="Show the query instead.")
def command(**asked: Any) -> None:
    """Requests, tokens by kind and charge, up to this moment. Buckets are disjoint: they may be added."""
    sql = asked.pop("sql")
    with admin() as api:
        facts = api.get("usage", **asked)
    if sql and not options().json:
        say(plain_lines(facts["sql"]))
    else:
        show_or_json(facts, usage_text)


def usage_text(facts: dict[str, Any]) -> str:
    """The screen: how fresh, the table, the states."""
    rows = facts["rows"]
    hint = f"            {dim(_HINT)}" if len(rows) > 1 else ""
    parts = [_headline(facts), _table(facts["by"], rows) if rows else "no calls", _states(facts) + hint]
    return "\n\n".join(parts)


def _headline(facts: dict[str, Any]) -> str:
    if facts.get("run"):
        span = f"run {facts['run']}, key {facts['key'][:4]}…"
    elif facts["today"]:
        span = "today (UTC)"
    elif facts["until"]:
        span = f"{_short(facts['from'])} until {_short(facts['until'])} (UTC)"
    else:
        span = f"since {_short(facts['from'])} (UTC)"
    if facts["fresh"]:
        return f"{span}, up to {facts['age_s']:.1f} s ago"
    known = f"up to {_short(facts['up_to'])}" if facts["up_to"] else "nothing recorded yet"
    return f"{span}, {known}; the keeper did not answer in time, so later calls are not in it"


def _table(by: list[str], rows: list[dict[str, Any]]) -> str:
    buckets = [*_ALWAYS, *(name for name in _OTHERS if any(row[name] for row in rows))]
    currencies = sorted({row["currency"] for row in rows})
    several = len(rows) > 1
    money = f"charge {currencies[0]}" if len(currencies) == 1 else "charge"
    columns = [
        *(Column(name) for name in by),
        Column("requests", "count", 2 if several else 3),
        *(Column(name.replace("_", " "), "count") for name in buckets),
        Column(money, "amount", 6 if several else 3),
    ]
    numbers = ("requests", *buckets)
    lines = [
        [*(str(row[name]) for name in by), *(count(row[name]) for name in numbers), grouped(row["charge"])]
        for row in rows
    ]
    if len(currencies) > 1:
        columns.append(Column(""))
        return lay_out(columns, [[*line, row["currency"]] for line, row in zip(lines, rows, strict=True)])
    if not several:
        return lay_out(columns, lines)
    charge = total([row["charge"] for row in rows])
    counts = [count(sum(row[name] for row in rows)) for name in numbers]
    columns.append(Column("share", "count", 4))
    shares = [share(row["charge"], charge) for row in rows]
    return lay_out(
        columns,
        [[*line, part] for line, part in zip(lines, shares, strict=True)],
        [*([""] * len(by)), *counts, grouped(charge), ""],
    )


def _states(facts: dict[str, Any]) -> str:
    states = facts["states"]
    parts = [f"{count(states[name])} {name}" for name in ("final", "aborted", "estimated")]
    if states["void"]:
        parts.append(f"{count(states['void'])} void")
    return " · ".join([*parts, f"{count(facts['unrated'])} unrated"])


def _short(instant: str) -> str:
    """`2026-11-21` for a midnight, else to the second."""
    day, _, clock = instant.removesuffix("Z").partition("T")
    return day if clock == "00:00:00" else f"{day} {clock[:8]}"
