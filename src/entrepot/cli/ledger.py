"""`entrepot ledger`: the accounts, the transactions, and the chain as a file."""

from pathlib import Path
from typing import Any

import click

from entrepot.cli.amount import grouped
from entrepot.cli.answer import show_or_json
from entrepot.cli.command import noun
from entrepot.cli.session import Admin, admin
from entrepot.cli.table import Column, lay_out
from entrepot.cli.terminal import note, say

command = noun("ledger", "The books: accounts, transactions, export.")
_period = [
    click.option("--from", "from_", metavar="DATE", help="Included, UTC; default the beginning."),
    click.option("--until", metavar="DATE", help="Excluded, UTC; default now."),
]


def _with_period(function: Any) -> Any:
    for option in reversed(_period):
        function = option(function)
    return function


@command.command("balance", short_help="every account: opening, debits, credits, closing")
@_with_period
@click.option("--account", metavar="ID", help="Only accounts whose id begins so: EUR:output tax.")
@click.option("--customer", metavar="ID", help="Only accounts of this customer or vendor.")
def balance(**asked: Any) -> None:
    """Every account over a period. Debits and credits of all accounts of a currency are equal."""
    with admin() as api:
        facts = api.get("ledger", "balance", **asked)
    show_or_json(facts, _balance)


@command.command("entries", short_help="transactions, in the order in which they were posted")
@_with_period
@click.option("--account", metavar="ID", help="Only those that touch an account whose id begins so.")
@click.option("--customer", metavar="ID", help="Only those that touch an account of this customer or vendor.")
@click.option("--kind", metavar="KIND", help="Only usage, top-up, grant, refund, expiry, invoice, payment, … .")
@click.option("--after", type=click.IntRange(0), metavar="SEQ", help="Go on behind this transaction.")
@click.option("--limit", type=click.IntRange(1, 1000), help="So many at most; default 100.")
def entries(**asked: Any) -> None:
    """Transactions with their transfers; what is posted is never changed, only posted back."""
    with admin() as api:
        facts = api.get("ledger", "entries", **asked)
    show_or_json(facts, _entries)


@command.command("export", short_help="the chain as JSON lines or CSV, for an auditor")
@_with_period
@click.option("--format", type=click.Choice(["json", "csv"]), help="A line per transaction (default), or per transfer.")
@click.option("--output", "-o", type=click.Path(path_type=Path, dir_okay=False), help="Write it there.")
def export(output: Path | None, **asked: Any) -> None:
    """The transactions as they are hashed, with their hashes: docs/howto/audit-the-ledger.md works them out again."""
    with admin() as api:
        if output is None:
            _pages(api, asked, lambda text: say(text.rstrip("\n")) if text else None)
            return
        with output.open("w", encoding="utf-8", newline="") as file:
            count = _pages(api, asked, file.write)
    note(f"{count:,} transactions written to {output}")


def _pages(api: Admin, asked: dict[str, Any], take: Any) -> int:
    """Hand over page after page; how many transactions there were."""
    after, count = 0, 0
    while True:
        page = api.get("ledger", "export", after=after, **asked)
        take(page["text"])
        count += int(page["transactions"])
        if page["next"] is None:
            return count
        after = int(page["next"])


def _balance(facts: dict[str, Any]) -> str:
    rows = facts["accounts"]
    if not rows:
        return "nothing was posted yet"
    names = ("opening", "debits", "credits", "closing")
    columns = [Column("account"), *(Column(name, "amount", 3) for name in names)]
    pending = any(each["pending"] for each in rows)
    if pending:
        columns.append(Column("pending in leases", "amount", 3))
    lines = [
        [each["account"], *(grouped(each[name]) for name in names)]
        + ([grouped(each["pending"]) if each["pending"] else ""] if pending else [])
        for each in rows
    ]
    return lay_out(columns, lines)


def _entries(facts: dict[str, Any]) -> str:
    if not facts["entries"]:
        return "no such transaction"
    columns = [*map(Column, ("seq", "at", "id", "debit", "credit")), Column("amount", "amount", 3)]
    lines = []
    for each in facts["entries"]:
        head = [str(each["seq"]), each["at"][:19] + "Z", each["id"]]
        for move in each["transfers"]:
            lines.append([*head, move["debit"], move["credit"], grouped(move["amount"])])
            head = ["", "", ""]
        if not each["transfers"]:
            lines.append([*head, "", "", ""])
    text = lay_out(columns, lines)
    more = f"\n\nmore: entrepot ledger entries --after {facts['next']}" if facts["next"] is not None else ""
    return text + more
