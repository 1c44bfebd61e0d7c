"""How the screens of `entrepot scenario` look."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from entrepot.cli.insight_text import money, percent, rounded, sources
from entrepot.cli.table import Column, lay_out

#: (what it is called, its name in the figures); one whose amounts are all 0 is left out, but for the first and last.
_ROWS = (
    ("revenue", "revenue"),
    ("  of it minima without use", "unused"),
    ("cost of what is used", "cost"),
    ("our capacity", "capacity"),
    ("  of it idle", "idle_capacity"),
    ("idle commitments", "idle_commitments"),
    ("revenue of unknown cost", "uncosted"),
    ("gross margin", "margin"),
    ("share of the vendor's own sales", "received"),
)
_ALWAYS = ("revenue", "cost", "idle_capacity", "idle_commitments", "margin")


def listed(facts: dict[str, Any]) -> str:
    if not facts["scenarios"]:
        return f"no scenario files in {', '.join(facts['folders'])}"
    rows = [[each["name"], each["title"] or _mistakes(each["mistakes"]), each["file"]] for each in facts["scenarios"]]
    return lay_out([Column("scenario"), Column("what if"), Column("file")], rows)


def outcome(facts: dict[str, Any]) -> str:
    parts = [f"{facts['title']}\n{facts['base']['text']}", _months(facts), _beyond(facts), _concentration(facts)]
    return "\n\n".join([*parts, _assumptions(facts), sources(facts)])


def _months(facts: dict[str, Any]) -> str:
    """Now, the first month of the scenario, and the last."""
    now, path = facts["now"], facts["path"]
    shown = [now, path[0], path[-1]] if len(path) > 1 else [now, path[0]]
    rows = []
    for words, name in _ROWS:
        amounts = [each[name] for each in shown]
        if name in _ALWAYS or any(Decimal(each) for each in (now[name], *(one[name] for one in path))):
            rows.append([words, *(money(each) for each in amounts), _change(amounts[0], amounts[-1])])
    heads = ["now", *(f"month {each['month']}" for each in shown[1:])]
    currency = facts["base"]["currency"]
    return lay_out(
        [Column(f"{currency} a month"), *(Column(head, "amount", 3) for head in heads), Column("", "count", 3)], rows
    )


def _beyond(facts: dict[str, Any]) -> str:
    """What adds up over the months, and what it takes to be back."""
    months, currency = len(facts["path"]), facts["base"]["currency"]
    lines = [
        f"over {months} months {money(facts['margin_lost'])} {currency} of margin lost; paid for and idle: "
        f"commitments {money(facts['idle_commitments'])}, capacity {money(facts['idle_capacity'])}"
    ]
    if not Decimal(facts["lost"]):
        lines.append("revenue is what it was: no growth is needed to recover")
    elif facts["months_to_recover"] is None:
        pace = "nothing is left to grow" if facts["needed"] is None else (
            "never at the growth there is" if facts["growth"] else "no growth is entered")  # fmt: skip
        lines.append(f"months of growth to recover: {pace}")
    else:
        lines.append(
            f"months of growth to recover: {facts['months_to_recover']}, at {percent(facts['growth'], 2)} a month"
        )
    if facts["needed"] and Decimal(facts["lost"]) > 0:
        lines.append(
            f"to be back within {months} months what is left has to grow by {percent(facts['needed'], 2)} a month"
        )
    if facts["runway_months"] is not None:
        lines.append(f"the cash in hand lasts {facts['runway_months']} months")
    return "\n".join(lines)


def _concentration(facts: dict[str, Any]) -> str:
    before, after = facts["concentration"]
    said: list[tuple[str, Callable[[dict[str, Any]], str]]] = [
        ("largest customer", lambda each: f"{each['largest']['label']} {percent(each['largest']['share'])}"),
        ("five largest", lambda each: percent(each["cr"]["5"])),
        ("HHI points", lambda each: rounded(each["hhi_points"], 0)),
        ("as so many of equal size", lambda each: rounded(each["effective"], 2)),
    ]
    rows = [[words, show(before), show(after) if after else "nobody is left"] for words, show in said]
    return lay_out([Column("concentration"), Column("now", "count", 3), Column("after", "count", 3)], rows)


def _assumptions(facts: dict[str, Any]) -> str:
    """Entered figures with their source below; rules of reckoning apart from them."""
    from entrepot.insight.assumptions import RULES

    lines = ["rests on"]
    for each in facts["assumptions"]:
        rule = each["source"] == RULES
        lines.append(f"  {'' if rule else each['standing']:<10}{each['name']}: {each['value']}")
        if not rule and each["source"] != facts["title"]:
            lines.append(f"  {'':<10}  {each['source']}")
    return "\n".join(lines)


def _change(before: str, after: str) -> str:
    first, last = Decimal(before), Decimal(after)
    if first == last:
        return ""
    return f"{(last - first) / first * 100:+.1f} %".replace("-", "\u2212") if first > 0 else "new" if not first else ""


def _mistakes(count: int) -> str:
    return f"({count} mistake{'s' if count > 1 else ''} in it)"
