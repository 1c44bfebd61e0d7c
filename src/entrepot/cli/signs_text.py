"""How the screen of `entrepot insight signs` looks."""

from typing import Any

from entrepot.cli.insight_text import percent

_RATES = "A sign is a reason to ask, not a finding; how soon and how often wrongly one comes: entrepot prove signs."


def signs(facts: dict[str, Any]) -> str:
    span = f"{facts['from']} until {facts['until']}, {facts['customers']:,} customers"
    if not facts["signs"]:
        return f"{span}: no early signs that one of them leaves"
    parts = [f"early signs that a customer leaves, {span}"]
    for each in facts["signs"]:
        state = "lasts" if each["open"] else "is over"
        head = (
            f"{each['customer']}: {each['kind']}{_of(each)}, {percent(each['change'])} since {each['since']}, seen on "
            f"{each['seen_on']}, {state}; {percent(each['share'])} of all calls before"
        )
        parts.append("\n".join([head, *(f"  {line}" for line in each["evidence"])]))
    return "\n\n".join([*parts, _RATES])


def _of(sign: dict[str, Any]) -> str:
    return f" from {sign['what']}" if sign["kind"] == "pivot" else ""
