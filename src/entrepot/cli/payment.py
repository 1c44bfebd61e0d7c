"""`entrepot payment`: money that came in for invoices."""

import re
from typing import Any

import click

from entrepot.cli.amount import grouped
from entrepot.cli.answer import show_or_json
from entrepot.cli.command import noun
from entrepot.cli.session import admin
from entrepot.cli.table import Column, lay_out
from entrepot.cli.terminal import MISUSED, Stop, program

command = noun("payment", "Money that came in for invoices.")


@command.command("list", short_help="payments, and what each of them pays")
@click.option("--customer", metavar="CUSTOMER", help="Of this customer only.")
def list_(customer: str | None = None) -> None:
    """Every payment in the order of recording."""
    with admin() as api:
        facts = api.get("payments", customer=customer)
    show_or_json(facts, _list)


@command.command("record", short_help="book a payment, once per id")
@click.argument("customer")
@click.argument("amount")
@click.argument("currency", required=False, default="")
@click.option("--id", "id_", required=True, metavar="ID", help="Your name for this payment; repeats change nothing.")
@click.option("--invoice", metavar="NUMBER", help="What it pays; default: what is open, the oldest first.")
@click.option("--on", "paid_on", metavar="DATE", help="When it came in; default: today.")
@click.option("--reference", metavar="TEXT", help="What the payer wrote.")
@click.option("--credit", is_flag=True, help="Out of what the customer has with us, not from the bank.")
@click.option("--dry-run", is_flag=True, help="Say what it would do, and change nothing.")
def record(customer: str, amount: str, currency: str, id_: str, **given: Any) -> None:
    """Book AMOUNT from CUSTOMER, once however often this is repeated with the same --id. It may pay a part of an
    invoice or several; what is left over is the customer's credit."""
    if not re.fullmatch(r"[0-9]{1,18}(\.[0-9]{1,18})?", amount.replace(",", "")):
        what = f"{amount!r} is not an amount of money: at most 18 digits before and after the point"
        raise Stop(what, do=f"{program()} payment record {customer} 99.50 --id {id_}", exit_code=MISUSED)
    body = {"customer": customer, "amount": amount.replace(",", ""), "id": id_}
    body |= {"currency": currency.upper()} if currency else {}
    body |= {name: value for name, value in given.items() if value}
    with admin() as api:
        facts = api.post("payments", body=body)
    show_or_json(facts, _recorded)


def _recorded(facts: dict[str, Any]) -> str:
    money = f"{grouped(facts['amount'])} {facts['currency']}"
    if facts["known"]:
        lines = [f"{facts['customer']}: this id was booked before, with the same content; nothing was changed"]
    else:
        lines = [f"{facts['customer']}: {money} {'would be' if facts['dry_run'] else 'is'} booked"]
    lines += [
        f"  {each['number']}  {grouped(each['amount'])}, {each['state']}"
        + (f", {grouped(each['open'])} open" if each["open"].strip("0.") else "")
        for each in facts["pays"]
    ]
    if facts["left_over"].strip("0."):
        lines.append(f"  left over  {grouped(facts['left_over'])}: the customer's credit")
    return "\n".join(lines)


def _list(facts: dict[str, Any]) -> str:
    columns = [Column("payment"), Column("on"), Column("customer"), Column("from"), Column("amount", "amount", 3),
               Column(""), Column("pays"), Column("left over", "amount", 3)]  # fmt: skip
    rows = [
        (each["id"], each["paid_on"], each["customer"], each["source"], grouped(each["amount"]), each["currency"],
         ", ".join(f"{number} {grouped(part)}" for number, part in each["pays"].items()),
         grouped(each["left_over"]) if each["left_over"].strip("0.") else "")
        for each in facts["payments"]
    ]  # fmt: skip
    return lay_out(columns, rows) if rows else "no payments yet"
