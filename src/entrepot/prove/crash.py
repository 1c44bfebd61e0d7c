"""The trial `crash`: kill -9 under load, again and again; then compare the vendor's ledger with ours."""

import asyncio
import contextlib
import os
import random
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import msgspec

from entrepot.kernel import money
from entrepot.prove.books import accepted
from entrepot.prove.client import Client, chat_body
from entrepot.prove.compare import Comparison, compare
from entrepot.prove.crowd import Crowd, Mix
from entrepot.prove.house import House, Target
from entrepot.prove.processes import RigBroken, start_vendor

_WEIGHTS: dict[Target, int] = {"worker": 8, "keeper": 4, "parent": 3, "all": 5}
_FIRST_ANSWER_S = 2.0
_BUSY_SHARE = 0.9
_CALLERS = 16
Say = Callable[[str], None]


class Kill(msgspec.Struct, frozen=True, kw_only=True):
    """One kill: what was hit, how many calls were in flight, and seconds until the next first answer."""

    target: Target
    in_flight: int
    answered: float


class CrashReport(msgspec.Struct, kw_only=True):
    """Everything the trial found."""

    seed: int
    seconds: float
    kills: list[Kill]
    outcomes: dict[str, int]
    comparison: Comparison
    verify_code: int
    verify_text: str

    @property
    def busy(self) -> int:
        return sum(kill.in_flight > 0 for kill in self.kills)

    def failures(self, *, within: float = _FIRST_ANSWER_S) -> list[str]:
        """Why the trial did not pass; empty when it did. `within`: seconds to the first answer after a kill or start,
        which only a machine that does nothing else can promise."""
        found = list(self.comparison.differences)
        if self.busy < _BUSY_SHARE * len(self.kills):
            found.append(
                f"only {self.busy} of {len(self.kills)} kills hit with calls in flight: this proves too little"
            )
        late = [kill for kill in self.kills if kill.answered > within]
        if late:
            worst = max(kill.answered for kill in late)
            found.append(f"{len(late)} first answers came later than {within:.0f} s, the latest after {worst:.2f} s")
        if self.comparison.charge > self.comparison.hold:
            found.append("the charges are more than the holds")
        if self.verify_code:
            found.append(f"entrepot verify exits {self.verify_code}:\n{self.verify_text}")
        return found


def run_crash(*, kills: int, seed: int, say: Say, keep: bool = False) -> CrashReport:
    """Start vendor and house, kill, stop, compare. Raises RigBroken where the trial itself cannot go on."""
    with tempfile.TemporaryDirectory(prefix="entrepot-vendor-") as folder:
        ledger = Path(folder) / "vendor.ledger"
        vendor = start_vendor(ledger)
        house = House(vendor.port)
        began = time.monotonic()
        whole = False
        try:
            house.start()
            first = house.first_answer()
            house.top_up()
            say(f"house and vendor are up, first answer after {first:.2f} s; data in {house.folder.root}")
            done, outcomes = asyncio.run(_kill_all(house, kills, seed, say))
            house.stop()
            vendor.end()
            verified = house.command("verify", timeout=600)
            report = CrashReport(
                seed=seed,
                seconds=time.monotonic() - began,
                kills=done,
                outcomes=dict(outcomes),
                comparison=compare(accepted(ledger), house.ours()),
                verify_code=verified.returncode,
                verify_text=(verified.stdout + verified.stderr).strip(),
            )
            whole = not report.failures()
            return report
        finally:
            vendor.end()
            house.end(keep=keep or not whole)


async def _kill_all(house: House, kills: int, seed: int, say: Say) -> tuple[list[Kill], Counter[str]]:
    chance = random.Random(seed)
    crowd = Crowd(house.port, house.key, house.model, callers=_CALLERS, seed=seed, mix=Mix())
    crowd.start()
    done: list[Kill] = []
    try:
        for number, target in enumerate(_targets(kills, chance), 1):
            await asyncio.sleep(chance.uniform(0.15, 0.7))
            in_flight = crowd.in_flight
            answered = await _kill(house, target)
            done.append(Kill(target=target, in_flight=in_flight, answered=answered))
            if number % 25 == 0 or number == kills:
                worst = max(kill.answered for kill in done)
                say(
                    f"  {number} kills, {crowd.outcomes['answered']:,} calls answered, "
                    f"latest first answer {worst:.2f} s"
                )
        await asyncio.sleep(0.5)
    finally:
        await crowd.stop()
    return done, crowd.outcomes + crowd.refusals


def _targets(kills: int, chance: random.Random) -> list[Target]:
    """Every kind in its share (at least once where there is room), in random order."""
    total = sum(_WEIGHTS.values())
    found: list[Target] = []
    for target, weight in _WEIGHTS.items():
        found += [target] * max(1, kills * weight // total)
    found += ["worker"] * (kills - len(found))
    chance.shuffle(found)
    return found[:kills]


async def _kill(house: House, target: Target) -> float:
    """Kill, start again what does not come back by itself, and wait for an answer; seconds from kill or start."""
    began = time.monotonic()
    before = house.pids("keeper")
    if not house.kill(target):
        raise RigBroken(f"there is no {target} to kill\n{house.tail()}")
    if target in ("parent", "all"):
        await asyncio.to_thread(house.wait_gone)
        house.start()
        began = house.started_at
    answered = await _answer(house, began)
    if target == "keeper":
        await _returned(house, before)
    return answered


async def _answer(house: House, began: float) -> float:
    body = chat_body(house.model, completion=1, events=1)
    client = Client(house.port, house.key, timeout=5)
    last = ""
    try:
        while time.monotonic() - began < 30:
            outcome = await client.chat(body)
            if outcome.how == "answered":
                return time.monotonic() - began
            last = f"{outcome.how} {outcome.status} {outcome.body[:300]!r}"
            await asyncio.sleep(0.01)
    finally:
        client.close()
    raise RigBroken(f"no answer within 30 s of a kill: {last}\n{house.tail()}")


async def _returned(house: House, before: list[int]) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(10):
            while not set(house.pids("keeper")) - set(before):
                await asyncio.sleep(0.02)


def show_crash(report: CrashReport, say: Say) -> None:
    """The trial's figures, then its differences."""
    kills, found = report.kills, report.comparison
    targets = Counter(kill.target for kill in kills)
    flights = sorted(kill.in_flight for kill in kills) or [0]
    answers = {name: sorted(k.answered for k in kills if k.target == name) for name in _WEIGHTS}
    first = ", ".join(f"{n} {statistics.median(s):.2f} (latest {s[-1]:.2f})" for n, s in answers.items() if s)
    say(f"kills            {len(kills)}: " + ", ".join(f"{name} {targets[name]}" for name in _WEIGHTS)
        + f"; seed {report.seed}, {report.seconds:.0f} s")  # fmt: skip
    share = 100 * report.busy / max(1, len(kills))
    say(f"calls in flight  min {flights[0]}, median {statistics.median(flights):.0f}; at {share:.1f} % of the kills")
    say(f"vendor's ledger  {found.rows:,} calls accepted")
    say(
        f"our records      {found.records:,}: " + ", ".join(f"{name} {n:,}" for name, n in sorted(found.states.items()))
    )
    say(f"                 {found.equal:,} equal to the token, {found.marked:,} marked as not known exactly, "
        f"{found.unsent:,} never reached the vendor")  # fmt: skip
    say(f"differences      {len(found.differences)}")
    say(f"money            charges {money.show(found.charge, 'USD')} USD of holds {money.show(found.hold, 'USD')} USD")
    say(
        f"first answer     median seconds after a kill or start: {first}; "
        f"load of the machine {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    )
    say(
        "callers saw      "
        + ", ".join(f"{name} {n:,}" for name, n in sorted(report.outcomes.items()) if name != "failed")
    )
    say("verify           " + ("all agree" if report.verify_code == 0 else f"exit {report.verify_code}"))
