"""What a replay needs of a server that shall call no real vendor: a fake one, a catalog that leads there, play money.

Everything is named after the customer, so that two replays do not meet, and stays afterwards: usage refers to it.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import ROUND_CEILING, Decimal
from pathlib import Path
from typing import Any

import msgspec

from entrepot.cli.session import Admin
from entrepot.cli.terminal import Stop
from entrepot.prove.recording import Entry, Recording
from entrepot.prove.replay import hold_bound

PRICES = (Decimal("2.50"), Decimal("1.25"), Decimal("10.00"))  # USD for a million: input, cached, output
_MILLION = 1_000_000
_CATALOG = """\
# Made by `entrepot replay` for {customer}: a fake vendor on this machine, and prices for it.
format = 1

[vendor]
replay = {{ name = "Recorded traces" }}

[upstream.{name}]
vendor = "replay"
endpoint = {{ dialect = "openai", url = "http://127.0.0.1:{port}/v1" }}

[model.{name}]
routes = ["{name}/{name}"]
context = {context}
output_max = {output}

[[book.{name}]]
currency = "USD"
valid_from = 2023-01-01T00:00:00Z
prices = [{{ model = "{name}", input = {p[0]}, cached = {p[1]}, output = {p[2]} }}]

[customer.{customer}]
about = {{ name = "Replay of {trace}" }}
contract = {{ book = "{name}" }}
deployments = [{{ project = "default", name = "{name}", model = "{name}" }}]
"""
_CONTEXT, _OUTPUT = 1 << 24, 1 << 20  # beyond every call of a trace


class Price(msgspec.Struct, frozen=True):
    """What a million tokens cost the customer."""

    input: Decimal
    cached: Decimal
    output: Decimal
    currency: str

    def of(self, entries: list[Entry]) -> Decimal:
        """Exact charge of these calls."""
        given = sum(entry.input for entry in entries)
        cached = sum(entry.cached for entry in entries)
        written = sum(entry.output for entry in entries)
        return ((given - cached) * self.input + cached * self.cached + written * self.output) / _MILLION

    def held(self, entries: list[Entry], calls: int) -> Decimal:
        """The most that so many calls under way can hold."""
        holds = [hold_bound(each) * self.input + max(1, each.output) * self.output for each in entries]
        return sum(sorted(holds)[-calls:], Decimal(0)) / _MILLION


PLAY = Price(*PRICES, "USD")


def name_of(customer: str) -> str:
    """Of upstream, model and book."""
    return f"replay-{customer}"


def customer_of(trace: Path) -> str:
    """A customer's id out of a file name: `azure_llm_2023_conv.csv.gz` → `azure-llm-2023-conv`."""
    stem = re.sub(r"\.(csv|jsonl|json|txt|gz)(?=\.|$)", "", trace.name.lower())
    return re.sub(r"[^a-z0-9]+", "-", stem).strip("-")[:48] or "trace"


def catalog_text(customer: str, trace: str, port: int) -> str:
    shown = re.sub(r"[^\w .()+-]", "?", trace, flags=re.ASCII)
    return _CATALOG.format(
        customer=customer, name=name_of(customer), trace=shown, port=port, context=_CONTEXT, output=_OUTPUT, p=PRICES
    )


def money_for(recording: Recording, connections: int) -> Decimal:
    """Whole dollars that carry the charge and the holds of all calls under way."""
    entries = recording.entries
    return (PLAY.of(entries) + PLAY.held(entries, connections)).to_integral_value(ROUND_CEILING) + 1


def prepare(api: Admin, customer: str, recording: Recording, port: int, connections: int) -> dict[str, Any]:
    """Catalog, key and money; returns the run: its id, key and addresses."""
    _refuse_others(api, customer)
    text = catalog_text(customer, recording.name, port)
    api.post("catalog", body={"text": text, "file": "replay.toml", "secrets": {}, "dry_run": False, "yes": True})
    run = api.post("runs", body={"customer": customer, "project": "default"})
    amount = f"{money_for(recording, connections):f}"
    api.post("balances", customer, "top-ups", body={"amount": amount, "currency": "USD", "id": f"replay-{run['run']}"})
    return {**run, "model": name_of(customer), "top_up": amount}


@contextmanager
def fake_vendor() -> Iterator[int]:
    """Its port; its own ledger is thrown away."""
    import tempfile

    from entrepot.prove.processes import start_vendor

    with tempfile.TemporaryDirectory(prefix="entrepot-replay-") as folder:
        vendor = start_vendor(Path(folder) / "ledger")
        try:
            yield vendor.port
        finally:
            vendor.end()


def _refuse_others(api: Admin, customer: str) -> None:
    """A customer that is not a replay's own would get another book and play money."""
    for each in api.get("customers")["customers"]:
        if each["customer"] == customer and each["book"] != name_of(customer):
            raise Stop(
                f"there is a customer {customer} already, and it is no replay's: without --model a replay brings its "
                "own customer",
                do="--customer ANOTHER-NAME, or --model NAME to send the trace as this customer",
            )
