"""The trial `reload`: every process is replaced again and again under load, with streams always open; nothing fails.

Callers of four kinds go on meanwhile: a crowd on keep-alive connections, streams of 2 s one after the other, callers
with a new connection for each call, and idlers, whose connections are silent for longer than a leaving process waits.
"""

import asyncio
import contextlib
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import msgspec

from entrepot.prove.books import accepted
from entrepot.prove.client import Client, Outcome, chat_body
from entrepot.prove.compare import Comparison, compare
from entrepot.prove.crowd import Crowd, Mix
from entrepot.prove.house import House
from entrepot.prove.processes import RigBroken, start_vendor

_CROWD, _STREAMS, _NEW, _IDLERS, _LONG = 8, 8, 2, 4, 4
_EVENTS = 20
_SHORT_S, _LONG_S = 2.0, 60.0
_IDLE_S = (0.5, 4.9, 5.0, 5.1, 6.5)  # around the 5 s after which a leaving process closes what is silent
_RELOAD_S = 120.0
_ROOM_S = 180.0  # until older generations have left room for another one
_FULL = "reload_refused"
_KINDS = ("crowd", "2 s streams", "new connections", "idlers", "60 s streams")
Say = Callable[[str], None]


class ReloadReport(msgspec.Struct, kw_only=True):
    """Everything the trial found."""

    reloads: list[float]  # seconds of each
    waits: int  # for room: as many generations as there may be were ending their calls
    streams_open: list[int]  # at each reload
    calls: dict[str, dict[str, int]]  # kind of caller → outcome → how many
    seen: list[str]  # of what failed
    seconds: float
    comparison: Comparison
    verify_code: int
    verify_text: str

    def failures(self) -> list[str]:
        """Why the trial did not pass; empty when it did."""
        found = [f"{kind}: {n} {how}" for kind, outcomes in self.calls.items() for how, n in outcomes.items()
                 if how != "answered" and n]  # fmt: skip
        found += self.seen + list(self.comparison.differences)
        if any(not sum(outcomes.values()) for outcomes in self.calls.values()):
            found.append("a kind of caller made no call, which proves nothing")
        if self.streams_open and min(self.streams_open) == 0:
            found.append("a reload found no stream open, which proves nothing")
        if set(self.comparison.states) - {"final"}:
            found.append(f"records that are not final: {self.comparison.states}")
        if self.verify_code:
            found.append(f"entrepot verify exits {self.verify_code}:\n{self.verify_text}")
        return found


def run_reload(*, reloads: int, long: int, workers: int, seed: int, say: Say, keep: bool = False) -> ReloadReport:
    """`reloads` with 2 s streams, then `long` in a row with 60 s streams. Raises RigBroken where it cannot go on."""
    with tempfile.TemporaryDirectory(prefix="entrepot-vendor-") as folder:
        ledger = Path(folder) / "vendor.ledger"
        vendor = start_vendor(ledger)
        house = House(vendor.port, workers=workers)
        began = time.monotonic()
        whole = False
        try:
            house.start()
            house.first_answer()
            house.top_up()
            _wait_ready(house)
            say(f"house and vendor are up; data in {house.folder.root}")
            callers = _Callers(house, seed)
            done = asyncio.run(callers.through(reloads, long, say))
            house.stop()
            vendor.end()
            verified = house.command("verify", timeout=600)
            report = ReloadReport(
                reloads=done, waits=callers.waits, streams_open=callers.streams_open,
                calls={kind: dict(callers.outcomes[kind]) for kind in _KINDS[: 5 if long else 4]},
                seen=callers.seen, seconds=time.monotonic() - began,
                comparison=compare(accepted(ledger), house.ours()),
                verify_code=verified.returncode, verify_text=(verified.stdout + verified.stderr).strip(),
            )  # fmt: skip
            whole = not report.failures()
            return report
        finally:
            vendor.end()
            house.end(keep=keep or not whole)


def _wait_ready(house: House) -> None:
    until = time.monotonic() + 30
    while "is ready" not in house.log.read_text():
        if time.monotonic() > until:
            raise RigBroken(f"not ready after 30 s\n{house.tail()}")
        time.sleep(0.05)


class _Callers:
    """Everybody who calls while processes are replaced."""

    def __init__(self, house: House, seed: int) -> None:
        self._house = house
        self._seed = seed
        self._stopping = asyncio.Event()
        self.outcomes: dict[str, Counter[str]] = {kind: Counter() for kind in _KINDS}
        self.seen: list[str] = []
        self.streams_open: list[int] = []
        self.waits = 0
        self._open = 0

    async def through(self, reloads: int, long: int, say: Say) -> list[float]:
        """Seconds of every reload."""
        mix = Mix(leave_share=0.0, fault_share=0.0, longest_pause_ms=60)
        crowd = Crowd(self._house.port, self._house.key, self._house.model, callers=_CROWD, seed=self._seed, mix=mix)
        crowd.start()
        tasks = [asyncio.create_task(self._streaming(number)) for number in range(_STREAMS)]
        tasks += [asyncio.create_task(self._on_new_connections()) for _ in range(_NEW)]
        tasks += [asyncio.create_task(self._idling(number)) for number in range(_IDLERS)]
        done: list[float] = []
        try:
            await asyncio.sleep(1.0)
            for number in range(1, reloads + 1):
                done.append(await self._reload())
                if number % 10 == 0 or number == reloads:
                    say(f"  {number} reloads with 2 s streams, the last in {done[-1]:.1f} s; {self._said(crowd)}")
            for number in range(1, long + 1):
                tasks += [asyncio.create_task(self._long()) for _ in range(_LONG)]
                await asyncio.sleep(1.0)
                done.append(await self._reload())
                say(f"  {number} reloads with 60 s streams, the last in {done[-1]:.1f} s; {self._said(crowd)}")
        finally:
            self._stopping.set()
            await crowd.stop()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LONG_S + 30):
                    await asyncio.gather(*tasks)
            for task in tasks:
                task.cancel()
        self.outcomes["crowd"] = Counter({how: n for how, n in crowd.outcomes.items() if how != "failed"})
        self.seen += crowd.failures
        return done

    def _said(self, crowd: Crowd) -> str:
        calls = sum(sum(outcomes.values()) for outcomes in self.outcomes.values()) + crowd.outcomes["answered"]
        wrong = sum(n for outcomes in self.outcomes.values() for how, n in outcomes.items() if how != "answered")
        return f"{calls:,} calls, {wrong + crowd.outcomes['failed']} failed"

    async def _reload(self) -> float:
        """Seconds. Where older generations leave no room for another one, they are waited for."""
        until = time.monotonic() + _ROOM_S
        self.streams_open.append(self._open)
        while True:
            began = time.monotonic()
            done = await asyncio.to_thread(self._house.command, "reload", "--json", timeout=_RELOAD_S)
            if done.returncode == 0:
                return time.monotonic() - began
            if _FULL not in done.stdout + done.stderr or time.monotonic() > until:
                raise RigBroken(f"entrepot reload: exit {done.returncode}: {done.stdout}{done.stderr}")
            self.waits += 1
            await asyncio.sleep(1.0)

    async def _streaming(self, number: int) -> None:
        await asyncio.sleep(_SHORT_S * number / _STREAMS)  # so that at every moment some begin and some end
        client = self._client()
        while not self._stopping.is_set():
            await self._stream(client, "2 s streams", _SHORT_S)
        client.close()

    async def _long(self) -> None:
        client = self._client()
        await self._stream(client, "60 s streams", _LONG_S)
        client.close()

    async def _stream(self, client: Client, kind: str, seconds: float) -> None:
        body = chat_body(self._house.model, stream=True, events=_EVENTS, delay_ms=seconds * 1000 / _EVENTS)
        self._open += 1
        outcome = await client.chat(body)
        self._open -= 1
        whole = outcome.how != "answered" or outcome.body.endswith(b"data: [DONE]\n\n")
        self._count(kind, outcome, "" if whole else "without its end")

    async def _on_new_connections(self) -> None:
        while not self._stopping.is_set():
            client = self._client()
            self._count("new connections", await client.chat(chat_body(self._house.model, completion=3)))
            client.close()
            await asyncio.sleep(0.02)

    async def _idling(self, number: int) -> None:
        client = self._client()
        turn = number
        while not self._stopping.is_set():
            self._count("idlers", await client.chat(chat_body(self._house.model, completion=3)))
            turn += 1
            await self._pause(_IDLE_S[turn % len(_IDLE_S)])
        client.close()

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)

    def _client(self) -> Client:
        return Client(self._house.port, self._house.key, timeout=_LONG_S + 30)

    def _count(self, kind: str, outcome: Outcome, wrong: str = "") -> None:
        self.outcomes[kind][wrong or outcome.how] += 1
        if (wrong or outcome.how != "answered") and len(self.seen) < 20:
            text = outcome.body[-200:].decode("utf-8", "replace")
            self.seen.append(f"{kind}: {wrong or outcome.how} {outcome.status} after {outcome.seconds:.2f} s: {text}")


def show_reload(report: ReloadReport, say: Say) -> None:
    """The trial's figures."""
    found = report.comparison
    took = sorted(report.reloads) or [0.0]
    say(f"reloads          {len(report.reloads)} in {report.seconds:.0f} s: median {statistics.median(took):.2f} s, "
        f"longest {took[-1]:.2f} s; {report.waits} waits for room")  # fmt: skip
    streams = sorted(report.streams_open) or [0]
    say(f"streams open     min {streams[0]}, median {statistics.median(streams):.0f} when a reload began")
    say("callers            answered   refused   cut   unreached   without end")
    for kind, outcomes in report.calls.items():
        numbers = [outcomes.get(how, 0) for how in ("answered", "refused", "cut", "unreached", "without its end")]
        say(f"  {kind:15} {numbers[0]:>9,} {numbers[1]:>9} {numbers[2]:>5} {numbers[3]:>11} {numbers[4]:>13}")
    say(f"vendor's ledger  {found.rows:,} calls; our records {found.records:,}, {found.equal:,} equal to the token; "
        f"differences {len(found.differences)}")  # fmt: skip
    say("verify           " + ("all agree" if report.verify_code == 0 else f"exit {report.verify_code}"))
