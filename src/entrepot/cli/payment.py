"""`entrepot payment`: money that came in for invoices, and what of it went back."""

import re
from typing import Any

import click

from entrepot.cli.amount import grouped
from entrepot.cli.answer import show_or_json
from entrepot.cli.command import noun
from entrepot.cli.session import admin
from entrepot.cli.table import Column, lay_out
from entrepot.cli.terminal import MISUSED, Stop, confirm, program

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
    invoice or several, also one that was written off; what is left over is the customer's credit."""
    body = _body("record", customer, amount, currency, {"id": id_, **given})
    with admin() as api:
        facts = api.post("payments", body=body)
    show_or_json(facts, _recorded)


@command.command("refund", short_help="book customer credit that was paid back, once per id")
@click.argument("customer")
@click.argument("amount")
@click.argument("currency", required=False, default="")
@click.option("--id", "id_", required=True, metavar="ID", help="Your name for this refund; repeats change nothing.")
@click.option("--on", "paid_on", metavar="DATE", help="When it went back; default: today.")
@click.option("--reference", metavar="TEXT", help="What stands on the transfer.")
@click.option("--dry-run", is_flag=True, help="Say what it would do, and change nothing.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def refund(customer: str, amount: str, currency: str, id_: str, **given: Any) -> None:
    """Book AMOUNT of what CUSTOMER has with us as paid back: paid too much, or credited after it was paid. Credit that
    was bought for calls goes back by `balance refund`."""
    yes = given.pop("yes")
    body = _body("refund", customer, amount, currency, {"id": id_, **given})
    if not given["dry_run"]:
        money = f"{grouped(body['amount'])} {body.get('currency', '')}".rstrip()
        confirm(f"Pay {money} back to {customer}?", yes=yes, alone=f"{money} of credit would be paid back")
    with admin() as api:
        facts = api.post("payment-refunds", body=body)
    show_or_json(facts, _refunded)


def _body(verb: str, customer: str, amount: str, currency: str, given: dict[str, Any]) -> dict[str, Any]:
    if not re.fullmatch(r"[0-9]{1,18}(\.[0-9]{1,18})?", amount.replace(",", "")):
        what = f"{amount!r} is not an amount of money: at most 18 digits before and after the point"
        raise Stop(what, do=f"{program()} payment {verb} {customer} 99.50 --id {given['id']}", exit_code=MISUSED)
    body = {"customer": customer, "amount": amount.replace(",", ""), "currency": currency.upper(), **given}
    return {name: value for name, value in body.items() if value}


def _refunded(facts: dict[str, Any]) -> str:
    if facts["known"]:
        return f"{facts['customer']}: this id was booked before, with the same content; nothing was changed"
    money = f"{grouped(facts['amount'])} {facts['currency']}"
    would = "would be" if facts["dry_run"] else "is"
    left = f"{grouped(facts['customer_credit'])} {facts['currency']}"
    return f"{facts['customer']}: {money} {would} paid back; {left} of credit {would} left"


def _recorded(facts: dict[str, Any]) -> str:
    money = f"{grouped(facts['amount'])} {facts['currency']}"
    if facts["known"]:
        lines = [f"{facts['customer']}: this id was booked before, with the same content; nothing was changed"]
    else:
        lines = [f"{facts['customer']}: {money} {'would be' if facts['dry_run'] else 'is'} booked"]
    lines += [
        f"  {each['number']}  {grouped(each['amount'])}, {each['state']}"
        + (f", {grouped(each['open'])} open" if each["open"].strip("0.") else "")
        + (f", {grouped(each['written_off'])} still is" if each["written_off"].strip("0.") else "")
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
