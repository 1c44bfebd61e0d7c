"""A house to write reports of: forty customers, seven months, two vendors, everything that a report may hold."""

from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

from entrepot.insight.entries import Entered, Expectation, Stream, Substitute, Terms
from entrepot.insight.facts import Base, Facts, Sale
from entrepot.insight.report.assumed import Case
from entrepot.insight.report.material import Material, Watched
from entrepot.insight.scenario import run
from entrepot.insight.scenario_file import read_scenario
from entrepot.insight.signs import Used

SCENARIOS = Path(__file__).parents[1] / "examples" / "scenarios"
MONTHS = ("2023-09", "2023-10", "2023-11", "2023-12", "2024-01", "2024-02", "2024-03")
_M = 10**6 * 10**9
BASE = Base(
    kind="billed", currency="USD", scale=9, starts_on="2023-09-01", until="2024-04-01", whole="the model service"
)  # fmt: skip
#: Millions a month: at first, and what is added each month.
_LARGE = {"video-apps": (11, 1), "video-builder": (1, 0), "retail": (4, 0), "tax-help": (2, 0), "gulf": (3, 0)}
_NAMES = {
    "video": "Short Video Group", "retail": "Retail & Sons", "tax-help": "Tax Help", "gulf": "Gulf Cloud",
    "credited": "Credited Customer",
}  # fmt: skip


def sales() -> Iterator[Sale]:
    """The largest is two customers of one group; one customer goes, one comes, one is only credited at the end."""
    for number, month in enumerate(MONTHS):
        for customer, (first, more) in _LARGE.items():
            amount = (first + more * number) * _M
            own = customer == "gulf"
            yield Sale(
                month=month, customer=customer, group="video" if customer.startswith("video") else "",
                model="house-1" if own else "large-4" if customer != "retail" else "small-4", own=own,
                vendor="" if own else "Model Maker", amount=amount, quantity=amount // 10**4,
                cost=None if customer == "tax-help" else amount * 7 // 10, source=f"R-{month}-{customer}",
            )  # fmt: skip
        for small in range(35):
            if (small == 3 and number > 4) or (small == 4 and number < 6):
                continue
            amount = (1_100_000 + 12_345 * small + 20_000 * number) * 10**9
            yield Sale(
                month=month, customer=f"c{small:02}", model="small-4" if small % 3 else "other-2",
                vendor="Model Maker" if small % 3 else "Second Maker", amount=amount, cost=amount * 6 // 10,
                quantity=amount // 10**4 + number, source=f"R-{month}-{small:04}",
            )  # fmt: skip
    yield Sale(month="2024-03", customer="credited", amount=-_M // 5, source="G-2024-00007")


def facts() -> Facts:
    found = tuple(sales())
    inputs = dict.fromkeys(sale.source for sale in found)
    return Facts(base=BASE, sales=found, names=_NAMES, inputs=tuple((name, name.encode().hex()) for name in inputs))


REPORT = "a newspaper of 2024-07-31"
ENTERED = Entered(
    expectation=(
        Expectation(of="Cloud growth", period="2024-Q2", by="guidance", least=Decimal(30), most=Decimal(31), unit="%",
                    actual=Decimal(29), standing="reported", source=REPORT),
        Expectation(of="Cloud growth", period="2024-Q2", by="consensus", least=Decimal("30.6"), most=Decimal("30.6"),
                    unit="%", actual=Decimal(29), standing="reported", source="another paper of 2024-07-31"),
    ),
    terms=(Terms(vendor="Model Maker", exclusive_until=date(2030, 12, 31), licence_until=date(2032, 6, 30),
                 standing="reported", source=REPORT),),
    substitute=(Substitute(model="small-4", by=("other-2", "house-1"), standing="assumed",
                           source="our own test of 2024-05"),),
    stream=(
        Stream(counterparty="Model Maker", stream="rent", direction="in", amount=2400 * _M, currency="USD",
               standing="reported", source="a filing of 2024-08-01"),
        Stream(counterparty="Model Maker", stream="share", direction="in", amount=200 * _M, currency="USD",
               standing="assumed", source="20 % of their direct sales of 1 bn"),
        Stream(counterparty="Model Maker", stream="resale", direction="out", amount=50 * _M, currency="USD",
               month="2024-03", standing="assumed", source="60 % of revenue"),
    ),
)  # fmt: skip


def watched(*, calm: bool = False) -> Watched:
    """Three months of days: from 12 March on the largest sends three of ten calls elsewhere, from 18 March on retail
    turns away from its model; a small customer leaves as well. `calm`: nobody does."""
    used = []
    for number in range((date(2024, 4, 1) - date(2024, 1, 1)).days):
        on = date(2024, 1, 1) + timedelta(number)
        sway = 100 + (number * 37) % 11 - 5  # of a hundred; the same on every machine
        kept = 70 if not calm and on >= date(2024, 3, 12) else 100
        turned = 60 if not calm and on >= date(2024, 3, 18) else 0
        for customer, model, calls in (
            ("video", "large-4", 42_000 * sway * kept // 10**4),
            ("retail", "small-4", 90 * sway * (100 - turned) // 100),
            ("retail", "house-1", 90 * sway * turned // 100), ("gulf", "house-1", 5_000 * sway // 100),
            ("c05", "small-4", 2_000 * kept // 100 * sway // 100),
        ):  # fmt: skip
            if calls:
                used.append(Used(customer=customer, on=str(on), model=model, calls=calls, output_tokens=calls * 300))
    return Watched(starts_on="2024-01-01", until="2024-04-01", used=tuple(used))


def cases(month: Facts, *names: str) -> tuple[Case, ...]:
    found = []
    for name in names:
        scenario, assumptions = read_scenario((SCENARIOS / f"{name}.toml").read_text(encoding="utf-8"), name)
        found.append(Case(scenario=scenario, assumptions=assumptions, outcome=run(month, scenario, assumptions)))
    return tuple(found)


def material(month: Facts | None = None) -> Material:
    of = month or facts()
    last = of_month(of)
    return Material(
        service="Entrepot Cloud", month="2024-03", facts=of, made_on=date(2024, 4, 9), entered=ENTERED,
        year_starts="07-01", watched=watched(),
        cases=cases(last, "largest-leaves", "top-three-halve", "vendor-raises-prices", "largest-leaves-slowly"),
    )  # fmt: skip


def of_month(of: Facts) -> Facts:
    base = Base(kind="billed", currency="USD", scale=9, starts_on="2024-03-01", until="2024-04-01", whole=of.base.whole)
    return Facts(
        base=base, sales=tuple(sale for sale in of.sales if sale.month == "2024-03"), names=of.names, inputs=of.inputs
    )
