"""`entrepot status`: what runs, what is wrong, what needs you."""

from typing import Any

from entrepot.cli.amount import grouped
from entrepot.cli.answer import show_or_json
from entrepot.cli.command import command as verb
from entrepot.cli.session import admin
from entrepot.cli.table import count
from entrepot.cli.terminal import needs_you, ready

_MB = 1 << 20
_BALANCES_SHOWN = 5


@verb("what runs, what is wrong, what needs you")
def command() -> None:
    """What runs, what is wrong, what needs you. Works with everything down."""
    with admin() as api:
        facts = {**api.get("status"), "control": {"answers": not api.here}}
    show_or_json(facts, status_text)


def status_text(facts: dict[str, Any]) -> str:
    """One line per process and store, then what needs a person."""
    running = facts["keeper"]["answers"] or any(g["answers"] for g in facts["gateways"]) or facts["control"]["answers"]
    state = ready("running") if running else "not running"
    lines = [f"entrepot {facts['version']} on {facts['data']}: {state}", ""]
    rows = [*_processes(facts, running), ("database", _database(facts["database"])), ("journal", _journal(facts))]
    rows += _balances(facts["database"].get("balances", []))
    lines += [f"{name:<10} {text}" for name, text in rows]
    needs = facts["needs_you"]
    if not needs:
        return "\n".join([*lines, "", "nothing needs you"])
    lines.append("")
    for need in needs:
        lines += [f"{needs_you('needs you')}   {need['what']}", f"            do    {need['do']}"]
    return "\n".join(lines)


def _processes(facts: dict[str, Any], running: bool) -> list[tuple[str, str]]:
    if not running:
        return []
    rows = []
    for g in facts["gateways"]:
        if g["answers"] and g.get("draining"):
            text = f"{g['name']} was replaced and ends its calls: {_calls(g['open'])} open"
        elif g["answers"]:
            numbers = f"{_calls(g['calls'])}, {count(g['open'])} open, {count(g['refused'])} refused"
            alone = "" if g["keeper"] else "; without the keeper, on its leases"
            text = f"{g['name']} answers: {numbers}, snapshot {g['snapshot']}{alone}"
        else:
            text = f"{g['name']} does not answer"
        rows.append(("gateway", text))
    if not facts["gateways"]:
        rows.append(("gateway", "none runs"))
    started = [p for p in facts.get("parent", {}).get("processes", []) if not p["ready"]]
    rows += [("gateway", f"{p['name']} is being started") for p in started if p["name"].startswith("gateway")]
    keeper = facts["keeper"]
    known = f": snapshot {keeper['snapshot']}" if "snapshot" in keeper else ""
    if keeper.get("behind_s") is not None:
        known += f", journals ingested up to {keeper['behind_s']:.1f} s ago"
    rows.append(("keeper", f"answers{known}" if keeper["answers"] else f"does not answer: {keeper['why']}"))
    here = "answers" if facts["control"]["answers"] else "does not answer; this status was read without it"
    return [*rows, ("control", here)]


def _database(database: dict[str, Any]) -> str:
    if not database["answers"]:
        return f"does not answer: {database['why']}"
    today = sum(database["today"].values())
    last = f", the last ended {database['last_ended'][:19]}Z" if database["last_ended"] else ""
    return f"answers, {database['size'] / _MB:,.1f} MB; {_calls(today)} today{last}"


def _calls(number: int) -> str:
    return "1 call" if number == 1 else f"{count(number)} calls"


def _journal(facts: dict[str, Any]) -> str:
    j = facts["journal"]
    streams = f"{count(j['streams'])} {'stream' if j['streams'] == 1 else 'streams'} ({j['open']} open)"
    segments = "1 segment" if j["segments"] == 1 else f"{count(j['segments'])} segments"
    free = f"{facts['disk']['free'] / (1 << 30):,.1f} GB of disk free"
    return f"{streams}, {segments}; {free}"


def _balances(balances: list[dict[str, Any]]) -> list[tuple[str, str]]:
    shown = [f"{b['balance']} {grouped(b['left'])} {b['currency']}" for b in balances[:_BALANCES_SHOWN]]
    more = len(balances) - len(shown)
    if more > 0:
        shown.append(f"and {more} more (entrepot balance)")
    return [("left", " · ".join(shown))] if shown else []
