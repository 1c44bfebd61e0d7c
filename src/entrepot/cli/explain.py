"""`entrepot explain ID`: why did this cost that, or why was it refused?"""

from typing import Any

import click

from entrepot.cli.amount import grouped
from entrepot.cli.answer import show_or_json
from entrepot.cli.command import command as verb
from entrepot.cli.session import admin
from entrepot.cli.table import Column, at_the_point, count, lay_out

_NUMBERS = {
    "vendor": "numbers from the vendor",
    "drained": "numbers from the vendor, read on after the client had gone",
    "counted": "numbers counted here, since the vendor sent none",
    "estimate": "an estimate, since nobody knows the numbers",
}
_BLANK = " " * 12
_MARGIN = " " * 16


@verb("why: a request, refusal, price, invoice line, posting")
@click.argument("id_", metavar="ID")
def command(id_: str) -> None:
    """Why did this request cost that, or why was it refused? ID is a request's id (req_…), as every answer bears it; or
    a price version (list/3), a line of an invoice or draft (R-2026-00001/3, acme:2026-10/3), or a posting of the ledger
    (top-up/PAY-7).
    """
    with admin() as api:
        facts = api.get("explain", id_)
    show_or_json(facts, explain_text)


def explain_text(facts: dict[str, Any]) -> str:
    """The screen of one request, of all its attempts, or of a refusal."""
    if facts["kind"] != "request":
        tell = {"refusal": _refusal, "price": _price, "posting": _posting, "invoice line": _invoice_line}
        return tell[facts["kind"]](facts)
    first = "first token" if facts["stream"] else "answer"
    attempts = facts["attempts"]
    return "\n\n".join([_headline(facts), *(_attempt(each, len(attempts), first) for each in attempts)])


def _headline(facts: dict[str, Any]) -> str:
    key = f"key ep_live_{facts['key'][:4]}…" if facts["key"] else "no key"
    line = f"{facts['operation']} on {facts['deployment'] or facts['model']} for {facts['customer']}, {key}: "
    if facts["state"] == "open":
        return line + "under way"
    reason = f" ({facts['reason']})" if facts["reason"] else ""
    return f"{line}{facts['state']}{reason}, {_NUMBERS.get(facts['source'], facts['source'])}"


def _attempt(a: dict[str, Any], attempts: int, first: str) -> str:
    lines = [f"  {_clock(a['admitted_at'])}  admitted    hold {grouped(a['hold'])} {a['currency']}{_hold(a)}"]
    if a["intent"]:
        lines.append(f"  {_BLANK}  intent      on disk: {_place(a['intent'])}")
    elif a["ending"]:
        lines.append(f"  {_BLANK}  intent      on disk: {a['id']}, in a segment that is gone; the ending repeats it")
    number = f"attempt {a['attempt']} of {attempts}"
    zone = f" (zone {a['zone']})" if a["zone"] else ""
    if a.get("sent_at"):
        lines.append(f"  {_clock(a['sent_at'])}  sent        upstream {a['upstream']}{zone}, {number}")
    elif a["state"] != "open":
        lines.append(f"  {_BLANK}  not sent    upstream {a['upstream']}{zone}, {number}")
    if a.get("first_at"):
        lines.append(f"  {_clock(a['first_at'])}  {first}")
    if a["state"] == "open":
        lines.append(f"  {_BLANK}  no ending yet: the call is under way, or waits for the slot's next start")
        return "\n".join(lines)
    where = f"on disk: {_ended_at(a)}" if a["ending"] else "in the lake"
    lines.append(f"  {_clock(a['ended_at'])}  ending      {where}; then the client's last byte")
    if a["source"] == "estimate" or a["reason"] == "crash":
        lines[-1] = lines[-1].removesuffix("; then the client's last byte")
    return "\n".join([*lines, "", *_bill(a)])


def _hold(a: dict[str, Any]) -> str:
    made = a["hold_is"]
    if made is None:
        return ""
    bound = f"{count(made['input'])} input"
    cap = f"max_tokens {count(made['output'])} × {made['output_price']}"
    return f"   = at most {bound} × {made['input_price']} + {cap} per million"


def _place(place: dict[str, Any]) -> str:
    return f"stream {place['stream']}, segment {place['segment']:06d}, offset {count(place['offset'])}"


def _ended_at(a: dict[str, Any]) -> str:
    place = a["ending"]
    if a["intent"] and a["intent"]["stream"] == place["stream"]:
        return f"segment {place['segment']:06d}, offset {count(place['offset'])}"
    return _place(place)


def _bill(a: dict[str, Any]) -> list[str]:
    lines = [f"  vendor said   {_said(a['vendor_said'])}"]
    rows = a["lines"]
    if not rows:
        lines.append("  we bill       nothing")
    else:
        quantities = [count(row["quantity"]) for row in rows]
        width = max(map(len, quantities))
        names = [row["bucket"].replace("_", " ") for row in rows]
        name_width = max(10, *map(len, names))
        prices = [row["price"] or "no price" for row in rows]
        price_width = max(map(len, prices))
        amounts = at_the_point([*(grouped(row["amount"] or "") for row in rows), grouped(a["charge"])])
        for i, quantity in enumerate(quantities):
            head = "  we bill       " if i == 0 else _MARGIN
            what = f"{quantity:>{width}} {names[i]:<{name_width}} × {prices[i]:<{price_width}} =  {amounts[i]}"
            lines.append((head + what).rstrip())
        at = len(_MARGIN) + width + 1 + name_width + 3 + price_width + 4
        lines.append(f"{' ' * at}{amounts[-1].rstrip()} {a['currency']}     {_version(a)}".rstrip())
    if a["unrated"]:
        lines.append(f"  not rated     {', '.join(a['unrated'])}: the price list names no price; on the unrated list")
    if a["overrun"] != "0":
        lines.append(f"  overrun       {grouped(a['overrun'])} {a['currency']} beyond the hold: our cost, not charged")
    lines.append(f"  posted {grouped(a['charge'])}, released {grouped(a['released'])}.")
    return lines


def _version(a: dict[str, Any]) -> str:
    names = [each.rpartition("/") for each in a["price_version"].split("+")]
    since = f", valid from {a['valid_from'][:10]}" if a.get("valid_from") else ""
    tier = f", tier {a['service_tier']}" if a.get("service_tier") not in (None, "", "default") else ""
    over = f", requests over {count(int(a['bracket']))}" if a.get("bracket") else ""
    on = ", on ".join(f"{book}, version {number}" for book, _, number in names)
    return f"price list {on}{since}{tier}{over}"


def _said(usage: dict[str, Any] | None) -> str:
    if usage is None:
        return "nothing about tokens"
    cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens")
    reasoning = (usage.get("completion_tokens_details") or {}).get("reasoning_tokens")
    text = f"prompt {_number(usage.get('prompt_tokens'))}"
    if cached:
        text += f" (of which cached {_number(cached)})"
    if usage.get("completion_tokens") is not None:
        text += f", completion {_number(usage['completion_tokens'])}"
    if reasoning:
        text += f" (of which reasoning {_number(reasoning)})"
    return text


def _number(value: Any) -> str:
    return count(value) if isinstance(value, int) else str(value)


def _refusal(facts: dict[str, Any]) -> str:
    who = f" for {facts['customer']}" if facts.get("customer") else ""
    key = f", key ep_live_{facts['key'][:4]}…" if facts.get("key") else ""
    what = f"call on {facts['model']}" if facts.get("model") else "call"
    lines = [f"{what}{who}{key}: refused with {facts['status']} {facts['code']}", ""]
    if facts.get("message"):
        lines.append(f"  {_clock(facts['at'])}  refused     {facts['message']}")
    for name, value in (facts.get("details") or {}).items():
        lines.append(f"  {_BLANK}  {name:<10}  {value}")
    lines += ["", "  The vendor was not called; nothing was held, nothing was charged."]
    return "\n".join(lines)


def _price(facts: dict[str, Any]) -> str:
    who = f"what we pay {facts['buys_from']}" if facts["buys_from"] else "what customers pay"
    book, _, number = facts["price_version"].partition("/")
    head = f"price list {book}, version {number}: {who}, {facts['currency']}, valid from {facts['valid_from']}"
    columns = [Column("model"), Column("bucket"), Column("price", "amount"), Column("per", "count"), Column("when")]
    rows = [
        (row["model"], row["bucket"], row["price"], count(row["per"]) if row["per"] else "", row["when"])
        for row in facts["prices"]
    ]
    end = f"published {facts['published_at'][:19]}Z and never changed; a later version that names the same ends it"
    return f"{head}\n\n{lay_out(columns, rows)}\n\n{end}"


def _posting(facts: dict[str, Any]) -> str:
    about = f": {facts['about']}" if facts["about"] else ""
    columns = [Column("debit"), Column("credit"), Column("amount", "amount"), Column("")]
    rows = [(row["debit"], row["credit"], grouped(row["amount"]), row["currency"]) for row in facts["transfers"]]
    end = f"entry {count(facts['seq'])} of the chain, hash {facts['hash'][:16]}…"
    return f"{facts['posting']}, {facts['at'][:19]}Z{about}\n\n{lay_out(columns, rows)}\n\n{end}"


def _invoice_line(facts: dict[str, Any]) -> str:
    head = f"{facts['number']}, line {facts['line']}: {facts['name']}"
    lines = [head, f"{facts['customer']}, {facts['starts_on']} until {facts['until']}", ""]
    lines += [f"  {name:<12}  {words}" for name, words in facts["steps"]]
    records = facts["records"]
    if records is None:
        return "\n".join(lines)
    columns = [Column("day"), Column("project"), Column("deployment"), Column("records", "count"),
               Column(f"{facts['unit']}s", "count")]  # fmt: skip
    rows = [
        (each["day"], each["project"], each["deployment"], count(each["records"]), count(each["quantity"]))
        for each in records["uses"]
    ]
    total = ("", "", "", count(records["records"]), count(records["quantity"]))
    lines += ["", *(f"  {line}" for line in lay_out(columns, rows, total).splitlines()), ""]
    lines.append(f"  records       {count(records['records'])}, each with entrepot explain ID")
    lines += [f"    {each}" for each in records["requests"]]
    if records["records"] > len(records["requests"]):
        lines.append(f"    … and {count(records['records'] - len(records['requests']))} more")
    return "\n".join(lines)


def _clock(instant: str) -> str:
    """`12:07:31.007` of an ISO instant."""
    clock = instant.removesuffix("Z").partition("T")[2]
    seconds, _, part = clock.partition(".")
    return f"{seconds}.{part:<03.3}"
