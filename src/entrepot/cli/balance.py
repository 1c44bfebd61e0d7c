"""`entrepot balance`: what customers have left; top up."""

import re
from typing import Any

import click

from entrepot.cli.amount import grouped
from entrepot.cli.answer import show_or_json
from entrepot.cli.command import noun
from entrepot.cli.session import admin
from entrepot.cli.table import Column, lay_out
from entrepot.cli.terminal import MISUSED, Stop, program
from entrepot.kernel.money import SCALES

command = noun("balance", "What customers have left.")


@command.command("list", short_help="every balance")
def list_() -> None:
    """Every balance: what is left, and what of it the gateways hold ready for calls."""
    with admin() as api:
        facts = api.get("balances")
    show_or_json(facts, _list)


@command.command("show", short_help="one balance and its latest postings")
@click.argument("balance", metavar="CUSTOMER")
def show(balance: str) -> None:
    """One balance with its latest postings."""
    with admin() as api:
        facts = api.get("balances", balance)
    show_or_json(facts, _show)


@command.command("top-up", short_help="book money that came in, once per id")
@click.argument("customer")
@click.argument("amount")
@click.argument("currency")
@click.option("--id", "id_", required=True, metavar="ID", help="Your name for this payment; repeats change nothing.")
@click.option("--dry-run", is_flag=True, help="Check only.")
def top_up(customer: str, amount: str, currency: str, id_: str, dry_run: bool) -> None:
    """Add AMOUNT to what CUSTOMER has left, once however often this is repeated with the same --id."""
    plain, currency = amount.replace(",", ""), currency.upper()
    _check(customer, amount, currency, id_)
    body = {"amount": plain, "currency": currency, "id": id_, "dry_run": dry_run}
    with admin() as api:
        facts = api.post("balances", customer, "top-ups", body=body)
    show_or_json(facts, lambda done: _topped_up(customer, plain, currency, done))


def _check(customer: str, amount: str, currency: str, id_: str) -> None:
    """Stop here, with words, at what no server would take."""
    words = f"{program()} balance top-up {customer}"
    if not re.fullmatch(r"[0-9]{1,18}(\.[0-9]{1,18})?", amount.replace(",", "")):
        what = f"{amount!r} is not an amount of money: at most 18 digits before and after the point"
        raise Stop(what, do=f"{words} 99.50 {currency} --id {id_}", exit_code=MISUSED)
    if currency not in SCALES:
        what = f"{currency!r} is no currency that balances are kept in; known are {', '.join(sorted(SCALES))}"
        raise Stop(what, do=f"{words} {amount} USD --id {id_}", exit_code=MISUSED)


def _list(facts: dict[str, Any]) -> str:
    columns = [Column("balance"), Column("left", "amount", 3), Column("of it in leases", "amount", 3), Column("")]
    rows = [(b["balance"], grouped(b["left"]), grouped(b["leased"]), b["currency"]) for b in facts["balances"]]
    return lay_out(columns, rows) if rows else "no balances yet; a customer of the catalog has one"


def _show(facts: dict[str, Any]) -> str:
    head = f"{facts['balance']}: {grouped(facts['left'])} {facts['currency']} left, of which "
    head += f"{grouped(facts['leased'])} in leases for calls"
    columns = [Column("at"), Column("kind"), Column("id"), Column(f"amount {facts['currency']}", "amount", 3)]
    rows = [(p["at"][:19] + "Z", p["kind"], p["id"], grouped(p["amount"])) for p in facts["postings"]]
    return f"{head}\n\n{lay_out(columns, rows)}" if rows else head


def _topped_up(customer: str, amount: str, currency: str, done: dict[str, Any]) -> str:
    left = f"; {grouped(done['balance'])} {currency} left"
    if done.get("dry_run"):
        return f"would add {grouped(amount)} {currency} to {customer}{left}; nothing was changed"
    if done.get("posted", True):
        return f"{customer}: {grouped(amount)} {currency} added{left}"
    return f"{customer}: this id was booked before, with the same content; nothing was changed{left}"
