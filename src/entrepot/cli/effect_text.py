"""The effect of prices in money, as a person reads it: a line for each customer, below it the prices that do most."""

from typing import Any

from entrepot.cli.amount import grouped, share
from entrepot.cli.table import Column, lay_out

#: Customers and vendors that are listed; the rest is counted. Of prices only where somebody asks for them.
NAMES_SHOWN = 40


def effect_text(facts: dict[str, Any], *, lines: int) -> str:
    """`lines` prices of each customer."""
    usage = f"a sample of usage: {_SAMPLE}" if facts["sample"] else f"the usage of {facts['month']}"
    found = facts["effects"]
    if not found:
        return f"on {usage}: nobody would have paid anything else"
    head = f"on {usage}, at the prices of {_instant(facts['prices_of'])}, before tax:"
    more = [f"and {len(found) - NAMES_SHOWN} more; --json has them all"] if len(found) > NAMES_SHOWN else []
    unpriced = [each for each in found if each["unpriced"]]
    gone = [f"{each['name']} used what has no price then: {', '.join(each['unpriced'])}" for each in unpriced]
    return "\n".join([head, _table(found, lines), *more, *gone])


def rerating_text(facts: dict[str, Any], *, lines: int) -> str:
    """`lines` prices of each customer and month."""
    found = facts["effects"]
    time = f"from {_instant(facts['from'])} until {_instant(facts['until'])}"
    if not found and facts["known"]:
        who = ", ".join(facts["known"])
        return f"{facts['id']} was approved before, with the same content, for {who}; nothing was changed"
    if not found:
        return f"usage {time} comes to the same as by {facts['version']}; nothing to approve"
    named = [{**each, "name": f"{each['name']} {each['month']}"} for each in found]
    billed = [f"{each['name']} {each['month']}: {', '.join(each['billed'])}" for each in found if each["billed"]]
    text = [f"usage {time} as by {facts['version']}, before tax:", _table(named, lines)]
    text += ["", "billed already, corrected on the next invoice:", *(f"  {each}" for each in billed)] if billed else []
    if facts["approved"]:
        return "\n".join([*text, "", f"approved as {facts['id']}"])
    way = "the same with --id ID --by NAME --reason TEXT approves it"
    return "\n".join([*text, "", f"nothing was changed\n  do    {way}"])


def _table(found: list[dict[str, Any]], lines: int) -> str:
    columns = [
        Column(""), Column("before", "amount"), Column("after", "amount"), Column("change", "amount"),
        Column("", "count"), Column(""),
    ]  # fmt: skip
    rows = []
    for each in found[:NAMES_SHOWN]:
        name = each["name"] if each["kind"] == "customer" else f"cost of {each['name']}"
        percent = share(each["change"], each["before"])
        rows.append((name, *_amounts(each), percent, each["currency"]))
        rows += [
            (f"  {line['name']}", _price(line["before"]), _price(line["after"]), _signed(line["change"]), "", "")
            for line in each["lines"][:lines]
        ]
    return lay_out(columns, rows)


_SAMPLE = "1,000 calls of each model, 1,000 tokens in, 250 out"


def _instant(text: str) -> str:
    return text[:10] if text.endswith("T00:00:00Z") else f"{text[:16]}Z"


def _price(text: str) -> str:
    """Per million is what everybody expects."""
    return text.replace(" per 1,000,000", "") or "none"


def _amounts(each: dict[str, Any]) -> tuple[str, str, str]:
    return grouped(each["before"]), grouped(each["after"]), _signed(each["change"])


def _signed(amount: str) -> str:
    return grouped(amount) if amount.startswith("-") or not amount.strip("0.") else f"+{grouped(amount)}"
