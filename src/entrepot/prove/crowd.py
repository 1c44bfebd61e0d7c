"""A crowd of callers for trials: a seeded mix of calls, whole and streamed; some leave, some meet a failing vendor."""

import asyncio
import contextlib
import json
import random
from collections import Counter

import msgspec

from entrepot.prove.client import Client, Outcome, chat_body

#: Vendor faults that a crowd mixes in; none of them stalls a caller.
FAULTS = ("reset@0", "reset@400", "no_usage", "cut", "half_json", "usage_negative", "status@500", "status@429", "stale",
          "no_done", "usage_twice", "split_utf8", "filter")  # fmt: skip


class Mix(msgspec.Struct, frozen=True, kw_only=True):
    """Shares of a crowd's calls, and how long they take."""

    stream_share: float = 0.5
    leave_share: float = 0.05
    fault_share: float = 0.05
    longest_delay_ms: int = 40  # between events
    most_events: int = 8
    longest_pause_ms: int = 30  # of a caller between calls


class Crowd:
    """`callers` tasks that call without end until `stop`."""

    def __init__(self, port: int, key: str, model: str, *, callers: int, seed: int, mix: Mix) -> None:
        self._model = model
        self._mix = mix
        self._clients = [Client(port, key) for _ in range(callers)]
        self._seed = seed
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping = False
        self.outcomes: Counter[str] = Counter()
        self.refusals: Counter[str] = Counter()  # of calls that no script made fail, by status and code
        self.failures: list[str] = []

    @property
    def in_flight(self) -> int:
        return sum(client.busy for client in self._clients)

    def start(self) -> None:
        self._tasks = [
            asyncio.create_task(self._call(client, random.Random(self._seed * 1000 + number)))
            for number, client in enumerate(self._clients)
        ]

    async def stop(self) -> None:
        """Let calls under way end, then go."""
        self._stopping = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(20):
                await asyncio.gather(*self._tasks)
        for task in self._tasks:
            task.cancel()
        for client in self._clients:
            client.close()

    async def _call(self, client: Client, chance: random.Random) -> None:
        mix = self._mix
        while not self._stopping:
            fault = chance.choice(FAULTS) if chance.random() < mix.fault_share else ""
            stream = chance.random() < mix.stream_share
            events = chance.randint(1, mix.most_events)
            completion = chance.randint(1, 60)
            body = chat_body(
                self._model, stream=stream, prompt=chance.randint(1, 40), cached=chance.choice((0, 0, 1)),
                completion=completion, reasoning=chance.randint(0, completion // 2), events=events,
                delay_ms=chance.randint(0, mix.longest_delay_ms), fault=fault,
            )  # fmt: skip
            leave = chance.randint(0, 1500) if chance.random() < mix.leave_share else -1
            outcome = await client.chat(body, leave_after=leave)
            self._count(outcome, fault)
            pause = 20 if outcome.how == "unreached" else chance.randint(0, mix.longest_pause_ms)
            await asyncio.sleep(pause / 1000)

    def _count(self, outcome: Outcome, fault: str) -> None:
        self.outcomes[outcome.how] += 1
        if not fault and outcome.how not in ("answered", "left"):
            self.outcomes["failed"] += 1
            if outcome.how == "refused":
                self.refusals[f"{outcome.status} {_code(outcome.body)}"] += 1
            if len(self.failures) < 20:
                self.failures.append(f"{outcome.how} {outcome.status} {outcome.body[:300].decode('utf-8', 'replace')}")


def _code(body: bytes) -> str:
    try:
        return str(json.loads(body)["error"]["code"])
    except (ValueError, KeyError, TypeError):
        return "without a code"
