"""What a replay is about to do, and what came of it, as people read it."""

from decimal import Decimal
from typing import Any

import msgspec

from entrepot.cli.amount import grouped
from entrepot.cli.rehearsal import PLAY, Price
from entrepot.cli.table import count
from entrepot.kernel.instants import MINUTE, SECOND
from entrepot.prove.recording import Recording


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """A replay before it is sent. `model` is "" where the fake vendor answers; `target` is what is called then."""

    recording: Recording
    speed: float  # 0: as fast as the connections carry it
    model: str
    customer: str
    stream: float
    as_recorded: bool
    connections: int
    price: Price = PLAY
    top_up: Decimal = Decimal(0)
    target: str = ""

    def priced(self, price: Price, top_up: Decimal, target: str, customer: str = "") -> "Plan":
        return msgspec.structs.replace(
            self, price=price, top_up=top_up, target=target, customer=customer or self.customer
        )

    @property
    def seconds(self) -> float:
        """How long its own times take; 0 where they are not kept."""
        return self.recording.span / SECOND / self.speed if self.speed else 0.0


def plan_facts(plan: Plan) -> dict[str, Any]:
    recording = plan.recording
    return {
        "trace": recording.name, "kind": recording.kind, "calls": len(recording.entries),
        "span_s": recording.span / SECOND if recording.timed else None, "seconds": round(plan.seconds, 1),
        "input": recording.input - recording.cached, "cached": recording.cached, "output": recording.output,
        "customer": plan.customer, "model": plan.target, "vendor": "yours" if plan.model else "fake",
        "charge": f"{plan.price.of(recording.entries).normalize():f}", "currency": plan.price.currency,
        "top_up": f"{plan.top_up:f}", "dry_run": True,
    }  # fmt: skip


def plan_text(plan: Plan) -> str:
    """What it would do and cost."""
    recording, price = plan.recording, plan.price
    calls = len(recording.entries)
    rows = [("trace", f"{recording.name}: {recording.kind}, {count(calls)} calls{_span(recording)}")]
    if plan.speed:
        faster = f"{plan.speed:g} × as recorded"
        peak = recording.busiest(max(1, int(SECOND * plan.speed)))
        rows.append(("times", f"{faster}: {plan.seconds:,.1f} s, {calls / max(plan.seconds, 1):,.1f} calls a second, "
                              f"at most {count(peak)} in one"))  # fmt: skip
    else:
        rows.append(("times", f"none: as fast as {plan.connections} connections carry it"))
    rows.append(("tokens", f"{count(recording.input)} in, of which {count(recording.cached)} cached, "
                           f"{count(recording.output)} out"))  # fmt: skip
    charge = grouped(f"{price.of(recording.entries).normalize():f}")
    rate = f"{_plain(price.input)} / {_plain(price.cached)} / {_plain(price.output)} {price.currency} per million"
    if plan.model:
        rows.append(("vendor", f"the one of your model {plan.target}: it answers, and is paid"))
        rows.append(("charge", f"about {charge} {price.currency} to {plan.customer} at {rate}, before what is cached"))
    else:
        rows.append(("vendor", "a fake one, started for this replay: it answers with the trace's counts, for nothing"))
        rows.append(("charge", f"{charge} {price.currency} to {plan.customer} at {rate}"))
        rows.append(
            ("brings", f"customer {plan.customer}, model, upstream and book {plan.target}, and "
                       f"{grouped(f'{plan.top_up:f}')} USD of play money into this server's books")
        )  # fmt: skip
    return "\n".join(f"{name:<8} {text}" for name, text in rows)


def summary_text(facts: dict[str, Any], program: str) -> str:
    """What was sent, and the server's bill beside the trace."""
    speed = "as fast as it went" if facts["speed"] == "max" else f"{facts['speed']:g} × as recorded"
    rate = facts["answered"] / max(facts["seconds"], 0.1)
    head = f"{facts['trace']} as {facts['customer']}, {speed}: {facts['seconds']:,.1f} s, {rate:,.0f} calls a second"
    lines = [head, ""]
    failed = " · ".join(f"{count(n)} {what}" for what, n in sorted(facts["failed"].items()))
    calls = f"{count(facts['answered'])} of {count(facts['calls'])} answered, {count(facts['streamed'])} streamed"
    if facts["retried"]:
        calls += f", {count(facts['retried'])} tried again"
    rows = [("calls", calls + (f"; failed: {failed}" if failed else ""))]
    tokens = f"{count(facts['input'])} input · {count(facts['cached'])} cached · {count(facts['output'])} output"
    charge = f"{grouped(facts['charge'])} {facts['currency']}"
    if facts["vendor_alone_ms"] is not None:
        recorded = facts["recorded"]
        same = facts["equal"]
        tokens += "   = the trace" if same else (
            f"   the trace: {count(recorded['input'] - recorded['cached'])} · {count(recorded['cached'])} · "
            f"{count(recorded['output'])}"
        )  # fmt: skip
        charge += "   = the trace at its prices" if same else f"   the trace, priced: {grouped(facts['expected'])}"
    rows += [("tokens", tokens), ("charge", charge)]
    took, late = facts["took_ms"], facts["late_ms"]
    alone = "" if facts["vendor_alone_ms"] is None else f"; the fake vendor alone takes {facts['vendor_alone_ms']:.1f}"
    rows.append(("took", f"p50 {took['p50']:,.1f} ms · p99 {took['p99']:,.1f} ms to the last byte{alone}"))
    if facts["speed"] != "max":
        rows.append(("late", f"p50 {late['p50']:,.1f} ms · p99 {late['p99']:,.1f} ms behind the trace's own times"))
    lines += [f"{name:<8} {text}" for name, text in rows]
    if not facts["settled"]:
        lines.append("not every record is in the books yet")
    return "\n".join([*lines, "", f"{program} usage --run {facts['run']}"])


def _span(recording: Recording) -> str:
    if not recording.timed:
        return ", without times"
    minutes = recording.span / MINUTE
    return f" in {minutes:,.0f} minutes" if minutes >= 2 else f" in {recording.span / SECOND:,.1f} seconds"


def _plain(price: Decimal) -> str:
    text = f"{price.normalize():f}"
    whole, _, part = text.partition(".")
    return f"{whole}.{part:<02}"
