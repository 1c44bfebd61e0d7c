"""How positions, payback and losses look on a screen."""

from decimal import Decimal
from typing import Any

from entrepot.cli.insight_text import money, percent, rounded, sources
from entrepot.cli.table import Column, lay_out

_ROWS = 25


def positions(facts: dict[str, Any]) -> str:
    rows = [
        [each["name"], *(money(each[name]) for name in ("received", "paid", "net")),
         ", ".join(one["standing"] for one in each["standings"])]
        for each in facts["parts"][:_ROWS]
    ]  # fmt: skip
    table = lay_out(
        [Column("counterparty"), *(Column(name, "amount", 4) for name in ("received", "paid", "net")), Column("")], rows
    )
    flows = [
        [each["name"], flow["stream"], "in" if flow["direction"] == "in" else "out", money(flow["amount"]),
         f"{flow['standing']}: {flow['source']}"]
        for each in facts["parts"][:_ROWS] for flow in each["flows"]
    ]  # fmt: skip
    said = lay_out(
        [Column("of it"), Column("stream"), Column(""), Column("amount", "amount", 4), Column("from")], flows
    )
    return "\n\n".join([f"positions: {facts['base']['text']}", table, said, sources(facts)])


def payback(facts: dict[str, Any]) -> str:
    currency, outlay = facts["base"]["currency"], facts["outlay"]
    months = Decimal(facts["months"])
    said = [
        f"payback: {facts['base']['text']}",
        f"{outlay['name']} {money(outlay['amount'])} {currency}; {outlay['standing']}: {outlay['source']}",
        f"the margin of a month, {money(facts['margin_of_a_month'])} {currency}, earns it back in "
        f"{rounded(facts['months'], 1)} months ({rounded(f'{months / 12:f}', 1)} years)",
    ]
    if discount := facts["discount"]:
        after = facts["discounted_months"]
        when = f"in {rounded(after, 1)} months" if after else f"not within {facts['looked_ahead']} months"
        whose = f"{discount['standing']}: {discount['source']}"
        said.append(f"discounted at {discount['value']} {discount['unit']}: {when}; {whose}")
    if facts["needed"]:
        rows = [[each["how"], money(each["of_a_month"]), f"{rounded(each['times'], 1)} ×"] for each in facts["needed"]]
        head = [Column("margin of a month"), Column(currency, "amount", 4), Column("of now", "count", 3)]
        said.append(f"{lay_out(head, rows)}\n{facts['years']['standing']}: {facts['years']['source']}")
    return "\n\n".join([*said, sources(facts)])


def loss(facts: dict[str, Any]) -> str:
    currency = facts["base"]["currency"]
    rows = [
        ["revenue", money(facts["revenue"])], ["expected loss", money(facts["expected"])],
        ["spread (one sigma)", money(facts["sigma"])],
        [f"concentration-adjusted run-rate, z = {rounded(facts['z'], 3)}", money(facts["carr"])],
        ["loss that 95 % do not exceed", money(facts["value_at_risk"])],
        ["mean of the worst 5 %", money(facts["expected_shortfall"])],
        *([f"revenue with nobody above {percent(each['cap'], 0)}", money(each["amount"])] for each in facts["capped"]),
    ]  # fmt: skip
    chances = [[f"more than {percent(each['part'], 0)} is lost", percent(each["chance"])] for each in facts["above"]]
    grid = (
        "" if facts["exact"] else f"\non a grid of {money(facts['step'])} {currency}; beyond 25 names taken as normal"
    )
    notes = sorted({f"{each['standing']}: {each['source']}" for each in facts["chances"]})
    return "\n\n".join([
        f"loss by chance: {facts['base']['text']}",
        lay_out([Column(""), Column(currency, "amount", 4)], rows),
        lay_out([Column("chance that"), Column("", "count", 4)], chances) + grid,
        "chances " + "; ".join(notes[:5]), sources(facts),
    ])  # fmt: skip
