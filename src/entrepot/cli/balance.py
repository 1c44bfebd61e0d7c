"""`entrepot balance`: what customers have left, and the money that moved."""

import re
from decimal import Decimal
from typing import Any

import click

from entrepot.cli.amount import grouped
from entrepot.cli.answer import show_or_json
from entrepot.cli.command import noun
from entrepot.cli.session import admin
from entrepot.cli.table import Column, lay_out
from entrepot.cli.terminal import MISUSED, Stop, confirm, program
from entrepot.kernel.money import SCALES

command = noun("balance", "What customers have left.")


@command.command("list", short_help="every balance")
def list_() -> None:
    """Every balance: what is left, and what of it the gateways hold ready for calls."""
    with admin() as api:
        facts = api.get("balances")
    show_or_json(facts, _list)


@command.command("show", short_help="one balance: its grants, what is held, its latest postings")
@click.argument("balance", metavar="CUSTOMER")
def show(balance: str) -> None:
    """One balance: what it is made of, what calls hold of it, and its latest postings."""
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
    plain, currency = _checked("top-up", customer, amount, currency, id_)
    body = {"amount": plain, "currency": currency, "id": id_, "dry_run": dry_run}
    with admin() as api:
        facts = api.post("balances", customer, "top-ups", body=body)
    show_or_json(facts, lambda done: _moved(done, "add {} to", "{} added"))


@command.command("grant", short_help="give credit, or book paid credit that ends, once per id")
@click.argument("customer")
@click.argument("amount")
@click.argument("currency", required=False, default="")
@click.option("--id", "id_", required=True, metavar="ID", help="Your name for this grant; repeats change nothing.")
@click.option("--kind", type=click.Choice(["promo", "paid"]), help="Given (default), or paid for.")
@click.option("--promo", is_flag=True, help="The same as --kind promo.")
@click.option("--until", metavar="WHEN", help="A date, 90d, or never (default): then the unused rest is taken back.")
@click.option("--priority", type=click.IntRange(0, 1000), help="Lower burns first; default 50, of a paid one 100.")
@click.option("--dry-run", is_flag=True, help="Check only.")
def grant(customer: str, amount: str, currency: str, id_: str, **given: Any) -> None:
    """Add AMOUNT to what CUSTOMER has left, as a grant with an end and a place in the order in which credit is used."""
    if given.pop("promo") and given["kind"] == "paid":
        raise Stop("a grant is either --promo or --kind paid", do="entrepot balance grant --help", exit_code=MISUSED)
    plain, currency = _checked("grant", customer, amount, currency, id_)
    body = {name: value for name, value in given.items() if value is not None}
    body |= {"amount": plain, "id": id_, **({"currency": currency} if currency else {})}
    with admin() as api:
        facts = api.post("balances", customer, "grants", body=body)
    show_or_json(facts, lambda done: _moved(done, "add {} to", "{} granted"))


@command.command("refund", short_help="book money that went back, once per id")
@click.argument("customer")
@click.argument("amount")
@click.argument("currency", required=False, default="")
@click.option("--id", "id_", required=True, metavar="ID", help="Your name for this refund; repeats change nothing.")
@click.option("--of", metavar="ID", help="The payment that it goes back to; default: the newest ones first.")
@click.option("--dry-run", is_flag=True, help="Check only.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def refund(customer: str, amount: str, currency: str, id_: str, **given: Any) -> None:
    """Take AMOUNT from what CUSTOMER has left, of what was paid and is unused; what was given is not paid out."""
    plain, currency = _checked("refund", customer, amount, currency, id_)
    if not given["dry_run"]:
        money = f"{grouped(plain)} {currency}".rstrip()
        confirm(f"Refund {money} to {customer}?", yes=given["yes"], alone=f"{money} would be taken from {customer}")
    body = {"amount": plain, "id": id_, "dry_run": given["dry_run"]}
    body |= {name: value for name, value in (("currency", currency), ("of", given["of"])) if value}
    with admin() as api:
        facts = api.post("balances", customer, "refunds", body=body)
    show_or_json(facts, lambda done: _moved(done, "take {} from", "{} refunded"))


def _checked(verb: str, customer: str, amount: str, currency: str, id_: str) -> tuple[str, str]:
    """Amount without separators and currency in capitals; stops here, with words, at what no server would take."""
    words, currency = f"{program()} balance {verb} {customer}", currency.upper()
    if not re.fullmatch(r"[0-9]{1,18}(\.[0-9]{1,18})?", amount.replace(",", "")):
        what = f"{amount!r} is not an amount of money: at most 18 digits before and after the point"
        raise Stop(what, do=f"{words} 99.50 {currency}".rstrip() + f" --id {id_}", exit_code=MISUSED)
    if currency and currency not in SCALES:
        what = f"{currency!r} is no currency that balances are kept in; known are {', '.join(sorted(SCALES))}"
        raise Stop(what, do=f"{words} {amount} USD --id {id_}", exit_code=MISUSED)
    return amount.replace(",", ""), currency


def _list(facts: dict[str, Any]) -> str:
    columns = [Column("balance"), Column("left", "amount", 3), Column("of it in leases", "amount", 3), Column("")]
    rows = [
        (each["balance"], grouped(each["left"]), grouped(each["leased"]), each["currency"] + _of_limit(each))
        for each in facts["balances"]
    ]
    return lay_out(columns, rows) if rows else "no balances yet; a customer of the catalog has one"


def _of_limit(balance: dict[str, Any]) -> str:
    """Of a customer that pays by invoice: what it may owe."""
    limit = balance["credit_limit"]
    return "" if limit is None else f" of a credit limit of {grouped(limit)}"


def _show(facts: dict[str, Any]) -> str:
    currency = facts["currency"]
    head = f"{facts['balance']}: {grouped(facts['left'])} {currency} left{_of_limit(facts)}, of which "
    head += f"{grouped(facts['leased'])} in leases for calls; calls under way hold {grouped(facts['held'])}"
    return "\n\n".join(part for part in (head, _grants(facts["grants"]), _postings(facts)) if part)


def _grants(grants: list[dict[str, Any]]) -> str:
    amounts = ("amount", "used", "refunded", "expired", "left")
    names = ("grant", "kind", "priority", "until")
    columns = [*map(Column, names), *(Column(name, "amount", 3) for name in amounts)]
    rows = [
        (
            each["id"],
            each["kind"],
            str(each["priority"]),
            (each["until"] or "never")[:10] + (", ended" if each["ended"] else ""),
            *(grouped(each[name]) for name in amounts),
        )
        for each in grants
    ]
    return lay_out(columns, rows) if rows else ""


def _postings(facts: dict[str, Any]) -> str:
    columns = [Column("at"), Column("kind"), Column("id"), Column(f"amount {facts['currency']}", "amount", 3)]
    rows = [(p["at"][:19] + "Z", p["kind"], p["id"], grouped(p["amount"])) for p in facts["postings"]]
    return lay_out(columns, rows) if rows else ""


def _tax(done: dict[str, Any]) -> str:
    """What the tax makes of an amount, in brackets."""
    tax, currency = done.get("tax"), done["currency"]
    if not tax or not Decimal(tax):
        return ""
    if "net" not in done:
        return f" (and {grouped(tax)} {currency} of tax that was paid with it)"
    words = f" ({grouped(done['amount'])} {currency} less {grouped(tax)} {currency} VAT"
    if Decimal(done["rest"]):
        words += f" and {done['rest']} {currency} that no invoice can show, now customer credit"
    return f"{words}; {done['tax_percent']} %)"


def _moved(done: dict[str, Any], would: str, did: str) -> str:
    """`would` and `did` hold the amount: `add {} to`, `{} added`. Of what was paid with tax in it, the net amount."""
    customer, money = done["customer"], f"{grouped(done.get('net', done['amount']))} {done['currency']}"
    money += _tax(done)
    left = f"; {grouped(done['balance'])} {done['currency']} left"
    if done.get("known"):
        return f"{customer}: this id was booked before, with the same content; nothing was changed{left}"
    if done.get("dry_run"):
        return f"would {would.format(money)} {customer}{left}; nothing was changed"
    return f"{customer}: {did.format(money)}{left}"
