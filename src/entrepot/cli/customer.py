"""`entrepot customer`: who buys."""

from typing import Any

import click

from entrepot.cli.amount import grouped
from entrepot.cli.answer import show_or_json
from entrepot.cli.command import noun
from entrepot.cli.session import admin
from entrepot.cli.table import Column, lay_out
from entrepot.cli.terminal import confirm, note

command = noun("customer", "Who buys.")


@command.command("list", short_help="every customer")
def list_() -> None:
    """Every customer, its book and its projects."""
    with admin() as api:
        facts = api.get("customers")
    show_or_json(facts, _list)


@command.command("show", short_help="one customer")
@click.argument("customer")
def show(customer: str) -> None:
    """One customer: contract, projects, deployments, keys."""
    with admin() as api:
        facts = api.get("customers", customer)
    show_or_json(facts, _show)


@command.command("suspend", short_help="refuse a customer's calls and end those under way")
@click.argument("customer")
@click.option("--yes", is_flag=True, help="Do not ask.")
def suspend(customer: str, yes: bool) -> None:
    """Refuse CUSTOMER's calls from now on; those under way end within a second and are metered. Keys and money stay."""
    confirm(f"End the calls of {customer} and refuse new ones?", yes=yes, alone=f"calls of {customer} would end")
    with admin() as api:
        facts = api.post("customers", customer, "suspend", body={})
    show_or_json(facts, lambda done: _stated(done, "is suspended: its calls are refused", "was suspended already"))


@command.command("resume", short_help="let a suspended customer call again")
@click.argument("customer")
def resume(customer: str) -> None:
    """Let CUSTOMER call again, with the keys and the money it has."""
    with admin() as api:
        facts = api.post("customers", customer, "resume", body={})
    show_or_json(facts, lambda done: _stated(done, "may call again", "was not suspended"))


def _stated(done: dict[str, Any], changed: str, same: str) -> str:
    late = done.get("behind") or []
    if late:
        note(f"not yet known to {', '.join(map(str, late))}: they follow when they answer again")
    return f"{done['customer']} {changed if done['changed'] else same}"


def _list(facts: dict[str, Any]) -> str:
    columns = [Column(name) for name in ("customer", "state", "book", "currency", "projects", "name")]
    rows = [
        (c["customer"], c["state"], c["book"], c["currency"], ", ".join(c["projects"]), c["name"])
        for c in facts["customers"]
    ]
    return lay_out(columns, rows) if rows else "no customers yet; they stand in the catalog file"


def _show(c: dict[str, Any]) -> str:
    name = f" ({c['name']})" if c["name"] else ""
    lines = [f"{c['customer']}{name}: {c['state']}, book {c['book']}, balance in {c['currency']}"]
    said = [_contract(each) for each in c["contracts"]]
    lines += [f"  contract{each}" for each in said if each]
    lines += [f"  {_paying(c)}", ""]
    for project in c["projects"]:
        keys = sum(key["project"] == project for key in c["keys"])
        lines.append(f"  project {project}: {keys} {'key' if keys == 1 else 'keys'}")
        for d in c["deployments"]:
            if d["project"] == project:
                cap = f", at most {d['output_max']:,} output tokens" if d["output_max"] else ""
                lines.append(f"    {d['name']} → {d['model']}{cap}")
    if c["every_priced_model"]:
        lines.append("  every priced model, under its own name")
    return "\n".join(lines)


def _contract(c: dict[str, Any]) -> str:
    """` KN-2026 from 2026-01-01: 8 % off list, 3 prices of its own, 30 days' notice`."""
    prices = "1 price of its own" if c["prices"] == 1 else f"{c['prices']} prices of its own"
    terms = [
        f"{c['discount_percent']} % off {c['book']}" if c["discount_percent"].strip("0.") else "",
        prices if c["prices"] else "",
        f"{c['notice_days']} days' notice" if c["notice_days"] else "",
    ]
    shown = ", ".join(each for each in terms if each)
    name = f" {c['contract']}" if c["contract"] else ""
    return name + _interval(c) + (f": {shown}" if shown else "")


def _interval(c: dict[str, Any]) -> str:
    return "".join(f" {word} {c[word].removesuffix('T00:00:00Z')}" for word in ("from", "until") if c[word])


def _paying(c: dict[str, Any]) -> str:
    pays, currency = c["pays"], c["currency"]
    words = ["prepaid" if pays["by"] == "prepaid" else f"pays by invoice, owes at most {grouped(pays['credit_limit'])}"]
    words[0] += f" {currency}" if pays["by"] == "invoice" else ""
    words += [f"due in {pays['due_days']} days"] if "due_days" in pays else []
    words += [f"warns below {grouped(pays['warn_below'])} {currency}"] if "warn_below" in pays else []
    return ", ".join(words)
