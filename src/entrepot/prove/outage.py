"""The trial `outage`: keeper, then control, then both are gone for minutes under load; calls go on, a revoked key does
not, and afterwards everything is in the books."""

import asyncio
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from entrepot.kernel import money
from entrepot.prove.books import accepted
from entrepot.prove.client import Client, chat_body
from entrepot.prove.compare import Comparison, compare
from entrepot.prove.crowd import Crowd, Mix
from entrepot.prove.house import House
from entrepot.prove.processes import start_vendor

PHASES: tuple[tuple[str, ...], ...] = (("keeper",), ("control",), ("keeper", "control"))
_REVOKED_S = 1.0
_REPLAY_S = 60.0
_CALLERS = 8
_WARM_S = 5.0
_NOT_DENIED = "the key was refused before it stood in the deny list"
Say = Callable[[str], None]


class Phase(msgspec.Struct, frozen=True, kw_only=True):
    """What happened while these roles were gone."""

    gone: tuple[str, ...]
    seconds: float
    calls: int
    failed: int
    revoked: float  # seconds from the key's arrival in the deny list to its first refusal; -1: never
    replay: float  # seconds from the return until the books had everything; -1: not in time
    problem: str


class OutageReport(msgspec.Struct, kw_only=True):
    """Everything the trial found."""

    phases: list[Phase]
    comparison: Comparison
    failures_seen: list[str]
    verify_code: int
    verify_text: str

    def failures(self) -> list[str]:
        """Why the trial did not pass; empty when it did."""
        found = list(self.comparison.differences)
        for phase in self.phases:
            name = " and ".join(phase.gone)
            if phase.problem:
                found.append(f"{name}: {phase.problem}")
            if phase.failed:
                found.append(f"{name}: {phase.failed} of {phase.calls} calls failed")
            if not phase.calls:
                found.append(f"{name}: no calls were made, which proves nothing")
            if not 0 <= phase.revoked <= _REVOKED_S:
                found.append(f"{name}: the revoked key was refused after {phase.revoked:.2f} s (-1: never)")
            if not 0 <= phase.replay <= _REPLAY_S:
                found.append(f"{name}: the books had everything after {phase.replay:.1f} s (-1: not in time)")
        found += self.failures_seen
        if self.verify_code:
            found.append(f"entrepot verify exits {self.verify_code}:\n{self.verify_text}")
        return found


def run_outage(*, minutes: float, seed: int, say: Say, keep: bool = False) -> OutageReport:
    """Start vendor and house, take roles away for `minutes` each, compare at the end."""
    with tempfile.TemporaryDirectory(prefix="entrepot-vendor-") as folder:
        ledger = Path(folder) / "vendor.ledger"
        vendor = start_vendor(ledger)
        house = House(vendor.port)
        whole = False
        try:
            house.start()
            house.first_answer()
            house.top_up()
            say(f"house and vendor are up; data in {house.folder.root}")
            phases, seen = asyncio.run(_phases(house, minutes, seed, say))
            house.stop()
            vendor.end()
            verified = house.command("verify", timeout=600)
            report = OutageReport(
                phases=phases,
                comparison=compare(accepted(ledger), house.ours()),
                failures_seen=seen,
                verify_code=verified.returncode,
                verify_text=(verified.stdout + verified.stderr).strip(),
            )
            whole = not report.failures()
            return report
        finally:
            vendor.end()
            house.end(keep=keep or not whole)


async def _phases(house: House, minutes: float, seed: int, say: Say) -> tuple[list[Phase], list[str]]:
    mix = Mix(leave_share=0.02, fault_share=0.0, longest_delay_ms=30, longest_pause_ms=60)
    crowd = Crowd(house.port, house.key, house.model, callers=_CALLERS, seed=seed, mix=mix)
    crowd.start()
    chance = random.Random(seed)
    found = []
    try:
        for number, gone in enumerate(PHASES):
            await asyncio.sleep(_WARM_S)  # the lease follows the pace of the calls
            say(f"  {' and '.join(gone)} gone for {minutes:g} min")
            found.append(await _phase(house, crowd, gone, minutes * 60, f"{number}-{chance.randrange(1 << 30)}"))
    finally:
        await crowd.stop()
    return found, crowd.failures


async def _phase(house: House, crowd: Crowd, gone: tuple[str, ...], seconds: float, name: str) -> Phase:
    made = await asyncio.to_thread(house.ask, "key", "create", "--customer", "demo", "--name", f"trial-{name}")
    secret = str(made["key"])
    problem = await _wait_usable(house, secret)
    before = crowd.outcomes.copy()
    began = time.monotonic()
    for role in gone:
        house.hold_down(role)
    await asyncio.sleep(min(seconds / 2, 15.0))  # beyond the 5 s after which the parent kills what hangs
    revoked, note = await _revoke(house, secret)
    problem = problem or note
    await asyncio.sleep(max(0.0, seconds - (time.monotonic() - began)))
    still = [role for role in gone if "T" not in {_state(pid) for pid in house.pids(role)} and house.pids(role)]
    if still:
        problem = problem or f"{', '.join(still)} came back although held down"
    after = crowd.outcomes.copy()
    lasted = time.monotonic() - began
    for role in gone:
        house.release(role)
    replay = await _replayed(house)
    return Phase(
        gone=gone,
        seconds=lasted,
        calls=sum(after[how] - before[how] for how in ("answered", "refused", "cut", "unreached", "left")),
        failed=after["failed"] - before["failed"],
        revoked=revoked,
        replay=replay,
        problem=problem,
    )


async def _wait_usable(house: House, secret: str) -> str:
    client = Client(house.port, secret, timeout=5)
    until = time.monotonic() + 5
    status = 0
    while time.monotonic() < until:
        status = (await client.chat(chat_body(house.model, completion=1, events=1))).status
        if status == 200:
            client.close()
            return ""
        await asyncio.sleep(0.02)
    client.close()
    return f"a new key still gets {status} after 5 s"


async def _revoke(house: House, secret: str) -> tuple[float, str]:
    """(seconds from the deny list to the refusal, problem): revoke by command, call with the key all the while."""
    key_id = secret.removeprefix("ep_live_")[:10]
    running = asyncio.create_task(asyncio.to_thread(house.command, "key", "revoke", key_id))
    client = Client(house.port, secret, timeout=5)
    denied_at, refused_at = 0.0, 0.0
    until = time.monotonic() + 20
    while time.monotonic() < until and not refused_at:
        if not denied_at and key_id in house.folder.denied(0)[0]:
            denied_at = time.monotonic()
        outcome = await client.chat(chat_body(house.model, completion=1, events=1))
        if outcome.status in (401, 403):
            refused_at = time.monotonic()
        await asyncio.sleep(0.01)
    client.close()
    done = await running
    problem = f"key revoke exits {done.returncode}: {done.stdout}{done.stderr}" if done.returncode else ""
    if not refused_at:
        return -1.0, problem
    return max(0.0, refused_at - denied_at) if denied_at else -1.0, problem or ("" if denied_at else _NOT_DENIED)


async def _replayed(house: House) -> float:
    """Seconds until the rollup holds every record that the journal held when the roles came back."""
    began = time.monotonic()
    target = await asyncio.to_thread(_records, house)
    while time.monotonic() - began < _REPLAY_S + 10:
        done = await asyncio.to_thread(house.command, "usage", "--json")
        if done.returncode == 0 and _attempts(msgspec.json.decode(done.stdout)) >= target:
            return time.monotonic() - began
        await asyncio.sleep(0.1)
    return -1.0


def _records(house: House) -> int:
    return sum(map(len, house.ours().endings.values()))


def _attempts(usage: Any) -> int:
    """Records in `entrepot usage --json`: the sum over its states."""
    return sum(map(int, usage["states"].values()))


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def show_outage(report: OutageReport, say: Say) -> None:
    """The trial's figures."""
    found = report.comparison
    for phase in report.phases:
        say(
            f"{' and '.join(phase.gone):18} gone {phase.seconds:.0f} s: {phase.calls:,} calls, {phase.failed} failed; "
            f"revoked key refused after {phase.revoked:.2f} s; books complete {phase.replay:.1f} s after the return"
        )
    states = ", ".join(f"{name} {n:,}" for name, n in sorted(found.states.items()))
    say(f"vendor's ledger    {found.rows:,} calls; our records {found.records:,}: {states}")
    say(f"                   {found.equal:,} equal to the token, {found.marked:,} marked; "
        f"differences {len(found.differences)}")  # fmt: skip
    say(
        f"money              charges {money.show(found.charge, 'USD')} USD of holds {money.show(found.hold, 'USD')} USD"
    )
    say("verify             " + ("all agree" if report.verify_code == 0 else f"exit {report.verify_code}"))
