"""`entrepot invoice`: draft, issue, credit, and hand out what customers owe."""

import re
import sys
from pathlib import Path
from typing import Any

import click

from entrepot.cli.amount import grouped
from entrepot.cli.answer import show_or_json
from entrepot.cli.command import noun, options
from entrepot.cli.output import write_out
from entrepot.cli.session import Admin, admin
from entrepot.cli.table import Column, lay_out
from entrepot.cli.terminal import MISUSED, REFUSED, Stop, confirm, note, program, say

command = noun("invoice", "What customers owe, and the documents that say so.")
FORMATS = ("json", "csv", "pdf", "xrechnung")
#: Rating reads the lake of a month: half a minute for a hundred million records.
_PATIENCE_S = 960.0
_DRY_RUN = click.option("--dry-run", is_flag=True, help="Say what it would do, and change nothing.")
_YES = click.option("--yes", is_flag=True, help="Do not ask.")
_ID = click.option("--id", "id_", required=True, metavar="ID", help="Your name for this; repeats change nothing.")


@command.command("list", short_help="drafts and issued documents, with their states")
@click.option("--customer", metavar="CUSTOMER", help="Of this customer only.")
@click.option("--month", metavar="2026-10", help="Of this month, or issued in it.")
@click.option("--state", metavar="STATE", help="draft, issued, part-paid, paid, credited, overdue, …")
def list_(customer: str | None = None, month: str | None = None, state: str | None = None) -> None:
    """Drafts, then issued documents in the order of issue."""
    with admin() as api:
        facts = api.get("invoices", customer=customer, month=month, state=state)
    asked = ", ".join(filter(None, (state, customer and f"of {customer}", month and f"of {month}")))
    show_or_json(facts, lambda found: listed(found, asked))


@command.command("show", short_help="one document: lines, sums, payments, credit notes")
@click.argument("name", metavar="NUMBER|DRAFT")
def show(name: str) -> None:
    """One document as it stands: what is on it, and what became of it."""
    with admin() as api:
        facts = api.get("invoices", name)
    show_or_json(facts, _show)


@command.command("draft", short_help="make the invoices of a month, without numbers")
@click.option("--month", required=True, metavar="2026-10", help="The month that is billed.")
@click.option("--customer", metavar="CUSTOMER", help="Of this customer only; default: everybody with usage.")
@click.option("--rate", metavar="RATE", help="Your currency for one of the invoice's, where your books are in another.")
@click.option("--rate-currency", metavar="CURRENCY", help="The currency of your books.")
@click.option("--rate-source", metavar="TEXT", help="Whose rate it is, of which day.")
@_DRY_RUN
def draft(month: str, dry_run: bool, **given: Any) -> None:
    """Rate a month and draft its invoices. A draft may be looked at (show, export), made again and discarded; it takes
    the place of an earlier one of the same customer and month."""
    if not re.fullmatch(r"[0-9]{4}-(0[1-9]|1[0-2])", month):
        raise Stop(f"{month!r} is not a month", do=f"{program()} invoice draft --month 2026-10", exit_code=MISUSED)
    if given["rate"] and not (given["rate_currency"] and given["rate_source"]):
        raise Stop(
            "a rate has a currency and a source, which stand on the invoice", exit_code=MISUSED,
            do=f"{program()} invoice draft --month {month} --rate 0.9231 --rate-currency EUR --rate-source ECB",
        )  # fmt: skip
    body = {"month": month, "dry_run": dry_run, **{name: value for name, value in given.items() if value}}
    with admin(patience_s=_PATIENCE_S) as api:
        facts = api.post("invoice-drafts", body=body)
    show_or_json(facts, _drafted)
    if facts["skipped"]:
        raise click.exceptions.Exit(REFUSED)


@command.command("issue", short_help="give drafts their numbers; cannot be undone")
@click.argument("drafts", nargs=-1, metavar="DRAFT…")
@click.option("--month", metavar="2026-10", help="All drafts of this month.")
@click.option("--early", is_flag=True, help="Although the month is not over.")
@_DRY_RUN
@_YES
def issue(drafts: tuple[str, ...], month: str | None, early: bool, dry_run: bool, yes: bool) -> None:
    """Issue drafts: each gets the next number of its series and today's date, and is posted. What is issued is never
    changed; what is wrong on it is credited."""
    if bool(drafts) == bool(month):
        what = "name the drafts, or the month whose drafts are issued"
        raise Stop(what, do=f"{program()} invoice issue --month 2026-10", exit_code=MISUSED)
    with admin() as api:
        if month:
            listed = api.get("invoices", month=month, state="draft")["invoices"]
            listed.sort(key=lambda each: each["purpose"] != "top-up")  # the month that they pay names their invoices
            drafts = tuple(each["id"] for each in listed)
            if not drafts:
                raise Stop(f"there are no drafts of {month}", do=f"{program()} invoice draft --month {month}")
        if not dry_run:
            many = drafts[0] if len(drafts) == 1 else f"{len(drafts)} drafts"
            confirm(f"Issue {many}? This cannot be undone.", yes=yes, alone=f"{many} would be issued")
        facts = _issued(api, drafts, early=early, dry_run=dry_run)
    show_or_json(facts, _issue_text)
    if facts["refused"]:
        raise click.exceptions.Exit(REFUSED)


@command.command("discard", short_help="throw a draft away")
@click.argument("draft_name", metavar="DRAFT")
@_DRY_RUN
def discard(draft_name: str, dry_run: bool) -> None:
    """Only drafts are discarded: what is issued stays."""
    with admin() as api:
        facts = api.post("invoice-discards", body={"draft": draft_name, "dry_run": dry_run})
    show_or_json(facts, lambda done: f"draft {done['id']} {'would be' if dry_run else 'is'} discarded")


@command.command("carry-over", short_help="bill a month without one group of its unrated usage")
@click.argument("customer")
@click.argument("month")
@click.argument("group", metavar="NAME")
@click.option("--by", required=True, metavar="TEXT", help="Who approved it.")
@click.option("--reason", required=True, metavar="TEXT", help="Why.")
@_DRY_RUN
def carry_over(customer: str, month: str, group: str, **given: Any) -> None:
    """Unrated usage blocks its month. With approval the month is billed without the group that `invoice draft` names;
    it stays on the list, and once a price is published the next invoice bills it."""
    with admin() as api:
        facts = api.post("unrated-carried", body={"customer": customer, "month": month, "group": group, **given})
    done = "would be" if given["dry_run"] else "was" if facts["known"] else "is"
    before = " before" if facts["known"] else ""
    show_or_json(facts, lambda _: f"{group} of {customer}, {month}: {done} carried over{before}; draft the month again")


@command.command("credit-note", short_help="credit an issued invoice, line against line; cannot be undone")
@click.argument("number")
@click.option("--line", "lines", multiple=True, metavar="LINE=QUANTITY[@PRICE]", help="What the line should have said.")
@click.option("--all", "all_", is_flag=True, help="All that is left of it; its usage is free for a new invoice.")
@click.option("--reason", required=True, metavar="TEXT", help="It stands on the credit note.")
@_ID
@_DRY_RUN
@_YES
def credit_note(number: str, lines: tuple[str, ...], all_: bool, reason: str, id_: str, **given: Any) -> None:
    """Credit what is wrong on an issued invoice. Each line that is named is taken back as it was billed and put down as
    it is right: --line 3=1200 for the right quantity, --line 3=1200@2.50 for quantity and unit price, --line 3=0 for
    the whole line."""
    if bool(lines) == all_:
        what = "name the lines with what is right, or --all"
        raise Stop(what, do=f"{program()} invoice credit-note {number} --line 3=1200 …", exit_code=MISUSED)
    body = {
        "number": number, "lines": rights_of(lines), "all": all_, "reason": reason, "id": id_,
        "dry_run": given["dry_run"],
    }  # fmt: skip
    if not given["dry_run"]:
        confirm(f"Credit {number}? This cannot be undone.", yes=given["yes"], alone=f"{number} would be credited")
    with admin() as api:
        facts = api.post("credit-notes", body=body)
    show_or_json(facts, _credited)


@command.command("write-off", short_help="what is open will not be paid any more")
@click.argument("number")
@click.option("--reason", required=True, metavar="TEXT", help="Why.")
@click.option("--keep-tax", is_flag=True, help="The tax may not be reclaimed; default: it is.")
@_ID
@_DRY_RUN
@_YES
def write_off(number: str, reason: str, keep_tax: bool, id_: str, **given: Any) -> None:
    """Book what is open of an invoice as bad debt."""
    if not given["dry_run"]:
        confirm(f"Write {number} off?", yes=given["yes"], alone=f"{number} would be written off")
    body = {"number": number, "reason": reason, "keep_tax": keep_tax, "id": id_, "dry_run": given["dry_run"]}
    with admin() as api:
        facts = api.post("write-offs", body=body)
    show_or_json(facts, lambda done: f"{done['number']}: {_lost(done)}")


@command.command("dispute", short_help="mark an invoice as disputed, or no longer")
@click.argument("number")
@click.option("--reason", metavar="TEXT", default="", help="What the customer says.")
@click.option("--end", is_flag=True, help="It is settled.")
@_DRY_RUN
def dispute(number: str, reason: str, end: bool, dry_run: bool) -> None:
    """A mark beside the state: nothing is posted."""
    with admin() as api:
        body = {"number": number, "reason": reason, "end": end, "dry_run": dry_run}
        facts = api.post("disputes", body=body)
    show_or_json(facts, lambda done: f"{done['number']} is {_state(done)}" + ("" if done["changed"] else ", as before"))


@command.command("export", short_help="the document as a file: JSON, CSV, PDF, XRechnung")
@click.argument("name", metavar="NUMBER|DRAFT")
@click.option("--format", "wanted", type=click.Choice(FORMATS), default="pdf", help="Default: pdf.")
@click.option("--output", "-o", metavar="FILE", help="Where to; - for standard output. Default: a file named after it.")
def export(name: str, wanted: str, output: str | None) -> None:
    """Write the document as a file. Of an XRechnung the rules that were looked at are counted, and one that does not
    hold makes the exit code 1."""
    import base64

    with admin() as api:
        facts = api.get("invoice-files", wanted, name)
    data = base64.b64decode(facts.pop("base64"))
    if output == "-":
        sys.stdout.buffer.write(data)
    else:
        path = Path(output or facts["name"])
        write_out(path, data)
        facts["file"] = str(path)
        if options().json:
            show_or_json(facts, str)
        else:
            say(f"{path}, {len(data):,} bytes")
    rules = facts.get("rules")
    if rules is None:
        return
    counts = f"{rules['looked_at']} rules, fired {rules['fired']} times, {len(rules['failed'])} failed"
    note(f"EN 16931 and XRechnung: {counts}")
    for each in rules["failed"]:
        note(f"  {each['rule']:<12} {each['where']}: {each['text']}")
    if rules["failed"]:
        raise click.exceptions.Exit(REFUSED)


def rights_of(said: tuple[str, ...]) -> dict[str, dict[str, str]]:
    """Line → what is right, each named once: of two that differ nobody knows which was meant."""
    found: dict[str, dict[str, str]] = {}
    for each in said:
        line, right = _right(each)
        if line in found:
            named = " and ".join(f"--line {other}" for other in said if other.partition("=")[0] == line)
            raise Stop(f"line {line} is named twice: {named}", do=f"--line {each}, once", exit_code=MISUSED)
        found[line] = right
    return found


def _right(said: str) -> tuple[str, dict[str, str]]:
    """`3=1200@2.50` → line 3 with its right quantity and price."""
    found = re.fullmatch(r"([^=]+)=(-?[0-9][0-9_,]*(?:\.[0-9]+)?)(?:@([0-9]+(?:\.[0-9]+)?))?", said)
    if found is None:
        what = f"{said!r} is not a line with what is right"
        raise Stop(what, do="--line 3=1200, or --line 3=1200@2.50", exit_code=MISUSED)
    quantity = found[2].replace(",", "").replace("_", "")
    return found[1], {"quantity": quantity, **({"price": found[3]} if found[3] else {})}


def _issued(api: Admin, drafts: tuple[str, ...], *, early: bool, dry_run: bool) -> dict[str, Any]:
    """Each by itself: one that is refused does not stop the others."""
    done, refused = [], []
    for each in drafts:
        try:
            done.append(api.post("invoice-issues", body={"draft": each, "early": early, "dry_run": dry_run}))
        except Stop as stop:
            if len(drafts) == 1:
                raise
            refused.append({"id": each, "code": stop.code, "message": stop.message})
    return {"issued": done, "refused": refused, "dry_run": dry_run}


def listed(facts: dict[str, Any], asked: str) -> str:
    """`asked`: what of it was wanted, in words; "": all."""
    columns = [Column("number"), Column("customer"), Column("of"), Column("state"), Column("issued"), Column("due"),
               Column("total", "amount", 3), Column("open", "amount", 3), Column("")]  # fmt: skip
    rows = [
        (
            each["number"] or f"draft {each['id']}", each["customer"],
            each["month"] if each["purpose"] == "usage" else each["purpose"], _state(each),
            each["issued_on"] or "", each["due_on"] or "", grouped(each["total"]), grouped(each["open"]),
            each["currency"],
        )
        for each in facts["invoices"]
    ]  # fmt: skip
    if not rows and asked:
        return f"no document is {asked}; {program()} invoice list shows all that there are"
    return lay_out(columns, rows) if rows else f"no invoices yet; {program()} invoice draft --month 2026-10 makes some"


def _state(facts: dict[str, Any]) -> str:
    return ", ".join((facts["state"], *facts["marks"])) if facts["kind"] != "381" else f"credits {facts['credits']}"


def _show(facts: dict[str, Any]) -> str:
    name = facts["number"] or f"draft {facts['id']}"
    when = f"{facts['starts_on']} until {facts['until']}"
    head = f"{name}: {facts['seller']} to {facts['buyer']}, {when}, {_state(facts)}"
    columns = [Column("line", "count"), Column("what"), Column("quantity", "count"), Column("price", "amount"),
               Column("per", "count"), Column(f"amount {facts['currency']}", "amount", 3)]  # fmt: skip
    rows = [
        (each["line"], each["name"] + (f" ({each['about']})" if each["about"] else ""), grouped(each["quantity"]),
         each["price"], f"{each['per']:,}", grouped(each["amount"]))
        for each in facts["lines"]
    ]  # fmt: skip
    parts = [head, lay_out(columns, rows), _sums(facts)]
    parts += [f"paid {p['amount']} on {p['paid_on']} ({p['id']})" for p in facts.get("payments", [])]
    parts += [f"credited with {number}" for number in facts.get("credit_notes", [])]
    parts += [f"cannot be issued: {each}" for each in facts.get("blocked", [])]
    return "\n\n".join(parts)


def _sums(facts: dict[str, Any]) -> str:
    sums = facts["sums"]
    rows = [("sum of the lines", sums["lines"])]
    rows += [(each["reason"], f"-{each['amount']}") for each in facts["allowances"]]
    for each in facts["taxes"]:
        rows.append((f"tax {each['category']} {each['percent']} % of {grouped(each['base'])}", each["amount"]))
    rows += [("total with tax", sums["with_tax"])]
    rows += [("already paid", f"-{sums['paid']}")] if sums["paid"].strip("0.") else []
    rows += [("to be paid", sums["payable"])]
    return lay_out([Column(""), Column(facts["currency"], "amount", 3)], [(a, grouped(b)) for a, b in rows])


def _drafted(facts: dict[str, Any]) -> str:
    lines = []
    for each in facts["drafts"]:
        verb = "would be drafted" if facts["dry_run"] else "drafted"
        again = " (in place of an earlier draft)" if each["replaced"] else ""
        many = "1 line" if each["lines"] == 1 else f"{each['lines']} lines"
        lines.append(f"{each['id']} {verb}{again}: {many}, {grouped(each['total'])} {each['currency']} with tax")
        lines += [f"  cannot be issued yet: {why}" for why in each["blocked"]]
    lines += [f"{each['customer']} is not drafted: {each['message']}" for each in facts["skipped"]]
    if not lines:
        return "nothing to be billed: nobody used or bought anything in that month"
    return "\n".join(lines)


def _issue_text(facts: dict[str, Any]) -> str:
    lines = []
    for each in facts["issued"]:
        verb = "was issued before" if each["known"] else "would be issued" if facts["dry_run"] else "issued"
        money = f"{grouped(each['total'])} {each['currency']}"
        due = f", due on {each['due_on']}" if each["open"].strip("0.") else ", paid already"
        lines.append(f"{each['number']} {verb}: {each['customer']}, {money}{due}")
    lines += [f"{each['id']} is not issued: {each['message']}" for each in facts["refused"]]
    return "\n".join(lines)


def _credited(facts: dict[str, Any]) -> str:
    verb = "was issued before" if facts["known"] else "would be issued" if facts["dry_run"] else "issued"
    text = f"{facts['number']} {verb}: {grouped(facts['total'])} {facts['currency']} credited of {facts['credits']}"
    after = facts.get("credited")
    return f"{text}, which is {_state(after)}, {grouped(after['open'])} open" if after else text


def _lost(facts: dict[str, Any]) -> str:
    money = f"{grouped(facts['written_off'])} {facts['currency']}"
    if facts["known"]:
        return f"{money} was written off before under this id; nothing was changed"
    return f"{money} {'would be' if facts['dry_run'] else 'is'} written off"
