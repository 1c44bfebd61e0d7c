"""The trial `trace`: recorded hours through a started server; then usage, charge and books equal the trace.

The calls are sent by `entrepot replay`, as a user would, to a fake vendor that answers with the trace's own counts.
What is compared comes from the trace's file on one side and from the server's own commands on the other.
"""

import json
import time
from collections import Counter
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec

from entrepot.prove.house import House
from entrepot.prove.processes import RigBroken, start_vendor
from entrepot.prove.recording import Recording, read_recording

Say = Callable[[str], None]
_REPLAY_S = 3_600.0
_VERIFY_S = 600.0
_MILLION = 1_000_000
#: What `entrepot replay` sells at, USD for a million tokens: input, cached, output.
PRICES = (Decimal("2.50"), Decimal("1.25"), Decimal("10.00"))


class Hour(msgspec.Struct, frozen=True, kw_only=True):
    """One trace: what it says, and what the server says."""

    name: str
    customer: str
    expected: dict[str, Any]
    found: dict[str, Any]
    replay: dict[str, Any]

    def differences(self) -> list[str]:
        where = f"{self.name} as {self.customer}"
        found = [
            f"{where}: {name} is {self.found.get(name)!r}, the trace says {value!r}"
            for name, value in self.expected.items()
            if self.found.get(name) != value
        ]
        if self.replay.get("failed"):
            found.append(f"{where}: not every call was answered: {self.replay['failed']}")
        return found


class TraceReport(msgspec.Struct, frozen=True, kw_only=True):
    """Everything one run found."""

    workers: int
    seconds: float
    hours: list[Hour]
    by_slot: dict[str, int]  # endings in the journal of each slot
    states: dict[str, int]
    verify_code: int
    verify_text: str

    def failures(self) -> list[str]:
        """Why the trial did not pass; empty when it did."""
        found = [each for hour in self.hours for each in hour.differences()]
        others = {state: n for state, n in self.states.items() if n and state != "final"}
        if others:
            found.append(f"records that are not final: {others}")
        if len(self.by_slot) != self.workers:
            found.append(f"{self.workers} workers were to share the calls, and {sorted(self.by_slot)} had some")
        if self.verify_code:
            found.append(f"entrepot verify exits {self.verify_code}:\n{self.verify_text}")
        return found


def run_trace(
    traces: Sequence[tuple[Path, str]], *, workers: int, speed: str, say: Say, calls: int = 0, keep: bool = False
) -> TraceReport:
    """Replay each (file, customer) one behind the other through one house. Raises RigBroken, TraceBroken."""
    recordings = [(path, customer, read_recording(path, limit=calls)) for path, customer in traces]
    with TemporaryDirectory(prefix="entrepot-vendor-") as folder:
        vendor = start_vendor(Path(folder) / "ledger")
        house = House(vendor.port, workers=workers)
        whole = False
        began = time.monotonic()
        try:
            house.start()
            house.first_answer()
            say(f"house with {workers} {'worker' if workers == 1 else 'workers'} is up; data in {house.folder.root}")
            replays = []
            for path, customer, recording in recordings:
                replays.append(_replay(house, path, customer, speed, calls))
                rate = len(recording.entries) / max(replays[-1]["seconds"], 0.1)
                say(f"  {recording.name}: {len(recording.entries):,} calls in {replays[-1]['seconds']:,.1f} s, "
                    f"{rate:,.0f} a second")  # fmt: skip
            usage = house.ask("usage", "--by", "customer", "--from", "2026-01-01")
            verified = house.command("verify", timeout=_VERIFY_S)
            report = TraceReport(
                workers=workers,
                seconds=time.monotonic() - began,
                hours=[
                    _hour(recording, customer, usage["rows"], replay)
                    for (_, customer, recording), replay in zip(recordings, replays, strict=True)
                ],
                by_slot=_by_slot(house),
                states=usage["states"],
                verify_code=verified.returncode,
                verify_text=(verified.stdout + verified.stderr).strip(),
            )
            whole = not report.failures()
            return report
        finally:
            vendor.end()
            house.end(keep=keep or not whole)


def show_trace(report: TraceReport, say: Say) -> None:
    for hour in report.hours:
        f, late, took = hour.found, hour.replay["late_ms"], hour.replay["took_ms"]
        tokens = f"{f['input']:,} in · {f['cached']:,} cached · {f['output']:,} out"
        same = "= the trace" if not hour.differences() else "differs from the trace"
        say(f"{hour.customer:<12} {f['requests']:,} calls, {hour.replay['streamed']:,} streamed · {tokens} · "
            f"{f['charge']} USD   {same}")  # fmt: skip
        say(f"{'':<12} p50 {took['p50']:.1f} ms, p99 {took['p99']:.1f} ms to the last byte; "
            f"late p50 {late['p50']:.1f} ms, p99 {late['p99']:.1f} ms")  # fmt: skip
    say("workers      " + ", ".join(f"{slot} {n:,} calls" for slot, n in sorted(report.by_slot.items())))
    say(report.verify_text)


def _replay(house: House, path: Path, customer: str, speed: str, calls: int) -> dict[str, Any]:
    part = ("--calls", str(calls)) if calls else ()
    words = ("replay", str(path.absolute()), "--customer", customer, "--speed", speed, "--yes", "--json", *part)
    done = house.command(*words, timeout=_REPLAY_S)
    try:
        facts: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        raise RigBroken(f"entrepot replay: exit {done.returncode}: {done.stdout}{done.stderr}") from None
    return facts


def _hour(recording: Recording, customer: str, rows: list[dict[str, Any]], replay: dict[str, Any]) -> Hour:
    given, cached, written = recording.input, recording.cached, recording.output
    amounts = (given - cached, cached, written)
    charge = sum((n * price for n, price in zip(amounts, PRICES, strict=True)), Decimal(0)) / _MILLION
    expected = {
        "requests": len(recording.entries), "attempts": len(recording.entries), "input": given - cached,
        "cached": cached, "output": written, "charge": f"{charge.normalize():f}", "currency": "USD", "unrated": 0,
    }  # fmt: skip
    found = next((row for row in rows if row["customer"] == customer), {"requests": 0})
    return Hour(name=recording.name, customer=customer, expected=expected, found=found, replay=replay)


def _by_slot(house: House) -> dict[str, int]:
    ours = house.ours()
    if ours.unended:
        raise RigBroken(f"{len(ours.unended)} intents have no ending")
    return dict(Counter(attempt.partition("-")[0] for attempt in ours.endings))
