"""A data folder with customers in groups, industries and countries, whose calls went to several vendors and regions,
through journal, rollup, lake and rating to invoices: what measures are gathered from."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from billed_house import RATES, BilledHouse
from endings import terms
from entrepot.keeper.bills.rating import rated
from entrepot.kernel.instants import Instant, parse
from entrepot.rating.line import to_bytes
from rated_usage import SHOP
from worker import Worker

#: Beside `rated_usage.SHOP`: a second vendor that serves the same models, and the operator's own model.
SOLD_SHOP = (
    SHOP.replace("[vendor]\n", '[vendor]\nborealis = { name = "Borealis AI", country = "FI" }\n'
                 'nordlicht = { name = "Nordlicht KI GmbH", own = true }\n')
    .replace("[model]\n", '[upstream.borealis-fi]\nvendor = "borealis"\n'
             'endpoint = { dialect = "openai", url = "https://b.example/v1", key = { env = "AURORA_KEY" } }\n'
             '[upstream.own]\nvendor = "nordlicht"\n'
             'endpoint = { dialect = "openai", url = "https://own.example/v1", key = { env = "AURORA_KEY" } }\n'
             "[model]\n"
             'nord-1 = { routes = ["own/nord-1"], context = 128_000, output_max = 16_000 }\n')
    .replace('["aurora-eu/large"]', '["aurora-eu/large", "borealis-fi/large"]')
    .replace("  { model = \"aurora-small\"", "  { model = \"nord-1\", input = 0.20, output = 0.80 },\n"
             "  { model = \"aurora-small\"")
    .replace('name = "Kontor Nord AG"', 'name = "Kontor Nord AG", industry = "trade", control_group = "Nord"')
    .replace('name = "Studio Fünf GmbH"', 'name = "Studio Fünf GmbH", industry = "media"')
    .replace('name = "Wiener Werk OG"', 'name = "Wiener Werk OG", industry = "media", control_group = "Nord"')
)  # fmt: skip
#: Ledger units per token, as the shop's book says: input, cached, …, output, reasoning.
_RATES = {
    "aurora-large": RATES, "aurora-small": (500, 500, -1, 2_000, 2_000, -1, -1, -1),
    "nord-1": (200, 200, -1, 800, 800, -1, -1, -1),
}  # fmt: skip
_UPSTREAMS = {"aurora": "aurora-eu", "borealis": "borealis-fi", "nordlicht": "own"}


class SoldCall(NamedTuple):
    """One call with where it went. `costed`: the vendor's price is known; it is half of ours."""

    customer: str
    at: Instant
    input: int
    output: int
    model: str = "aurora-large"
    vendor: str = "aurora"
    zone: str = "EU"
    project: str = "default"
    costed: bool = True


def used(customer: str, day: str, input: int, output: int, **how: Any) -> SoldCall:
    return SoldCall(customer, parse(f"{day}T10:00:00Z"), input, output, **how)


class SoldHouse(BilledHouse):
    """`serve` takes SoldCalls; `issue_month` rates and issues everybody's."""

    def __init__(self, folder: Path, shop: str = SOLD_SHOP) -> None:
        super().__init__(folder, shop)

    def apply(self, shop: str) -> dict[str, Any]:
        secrets = dict.fromkeys(("aurora-eu", "borealis-fi", "own"), "sk-1")
        return self.do("apply", text=shop, file="shop.toml", secrets=secrets)

    def serve(self, calls: Sequence[SoldCall], *, seal: bool = True) -> None:  # type: ignore[override]
        async def go() -> None:
            worker = Worker(self.folder.journal)
            for name in sorted({each.customer for each in calls}):
                worker.grant(name, 10**15)
            for call in calls:
                worker.at = call.at
                rates = _RATES[call.model]
                costs = tuple(max(0, each) // 2 for each in rates) if call.costed else (-1,) * 8
                what = terms(
                    call.customer, model=call.model, deployment=call.model, currency="EUR", rates=rates,
                    upstream=_UPSTREAMS[call.vendor], vendor=call.vendor, zone=call.zone, project=call.project,
                    cost_version="cost/1" if call.costed else "", cost_currency="EUR" if call.costed else "",
                    cost_rates=costs,
                )  # fmt: skip
                more = {} if call.costed else {"cost": -1}
                worker.end(worker.begin(hold=10**13, terms=what), (call.input, call.output), **more)
            await worker.durable()
            if seal:
                worker.close()
            else:
                await worker.crash()

        asyncio.run(go())

    def issue_month(self, month: str, *customers: str) -> list[str]:
        """The numbers of their invoices."""
        numbers = []
        for customer in customers:
            made = to_bytes(rated(self.engine, self.folder, customer, month)).decode()
            draft = self.do("invoice.draft", customer=customer, month=month, rated=made)
            numbers.append(self.do("invoice.issue", draft=draft["id"], customer=customer)["number"])
        return numbers

    def credit(self, number: str, customer: str, id: str, **what: Any) -> str:
        found = self.do("invoice.credit_note", number=number, customer=customer, reason="wrong", id=id, **what)
        return str(found["number"])
