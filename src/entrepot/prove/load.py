"""A load generator in a process of its own: raw asyncio, as little CPU per call as we know how.

Closed loop: each of N connections sends its next call when the last one is answered. Open loop: calls arrive at a rate,
whatever the server does; one that finds every connection busy waits, and its wait counts, so a stall is not hidden
(coordinated omission). Run as `python -m entrepot.prove.load`; a JSON report is the last line on stdout.
"""

import argparse
import asyncio
import itertools
import json
import random
import re
import sys
import time
from collections import deque
from typing import Literal, cast

import msgspec
import uvloop

from entrepot.prove.meter import cpu_ns

_length = re.compile(rb"(?i)\r\ncontent-length: *(\d+)").search
_retry_after = re.compile(rb"\r\nretry-after-ms: *(\d+)").search
_code = re.compile(rb'"code": ?"(\w+)"').search
_now = time.perf_counter
#: A generator that is later than this against its own schedule starts the clock at the schedule, not at the send.
_LATE_S = 0.002
_OPENED_PER_S = 1_000  # calls of an order with `once`: a crowd arrives, it does not fall from the sky


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What to send, where, and for how long."""

    host: str
    port: int
    requests: tuple[bytes, ...]  # whole requests, sent in turn
    connections: int
    seconds: float
    warm_seconds: float = 0.5
    rate: float = 0.0  # calls a second; 0: closed loop
    arrivals: Literal["constant", "poisson"] = "poisson"
    seed: int = 1
    once: bool = False  # each connection sends one call as soon as it is open
    abort_share: float = 0.0  # of calls whose connection is cut in the middle
    times: tuple[float, ...] = ()  # seconds from the start at which the requests are sent, each once; else `rate`
    obey: bool = False  # a connection that was told to retry later rests so long before its next call
    watch: tuple[int, ...] = ()  # processes whose CPU time is read at both ends of the counted time


class Report(msgspec.Struct, kw_only=True):
    """What came back in the counted time. Latencies (µs) are of the calls that also began in it."""

    calls: int = 0  # answered
    failed: int = 0
    aborted: int = 0
    begun: int = 0  # answers whose head came, from the very start
    seconds: float = 0.0
    received: int = 0  # bytes
    cpu_ns: int = 0  # of the watched processes
    p50_us: float = 0.0
    p90_us: float = 0.0
    p99_us: float = 0.0
    max_us: float = 0.0
    refused_p50_us: float = 0.0  # from the sending of a call to its refusal
    refused_p99_us: float = 0.0
    statuses: dict[str, int] = {}
    refusals: dict[str, int] = {}  # by code
    first_failure: str = ""


def chat_request(host: str, body: bytes, *, key: str = "", path: str = "/v1/chat/completions") -> bytes:
    """A whole request as an SDK would send it."""
    return (
        f"POST {path} HTTP/1.1\r\nHost: {host}\r\nAccept: application/json\r\nContent-Type: application/json\r\n"
        f"User-Agent: entrepot-load\r\nAuthorization: Bearer {key or 'none'}\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode() + body


class Caller(asyncio.Protocol):
    """One connection of the generator."""

    def __init__(self, run: "Run") -> None:
        self._run = run
        self._transport: asyncio.Transport
        self._start = self.sent = 0.0
        self._got = 0
        self._need = 0  # bytes of the whole answer; -1 chunked, 0 not known yet
        self._head = b""
        self._tail = b""
        self.open = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are no subclass
        self.open = True

    def send(self, request: bytes, start: float) -> None:
        self._start = start
        self.sent = _now()
        self._got = self._need = 0
        self._head = self._tail = b""
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._got += len(data)
        self._run.report.received += len(data)
        if not self._need:
            self._head += data
            end = self._head.find(b"\r\n\r\n")
            if end < 0:
                return
            found = _length(self._head, 0, end + 2)
            self._need = end + 4 + int(found[1]) if found else -1
            data = self._head[end + 4 :]
            self._run.report.begun += 1
            if self._run.abort():
                self._run.report.aborted += 1
                self.open = False
                self._transport.abort()
                return
        if self._need > 0:
            if self._got < self._need:
                return
        else:
            self._tail = (self._tail + data)[-5:] if len(data) < 5 else data[-5:]
            if self._tail != b"0\r\n\r\n":
                return
        self._need = 0
        start, self._start = self._start, 0.0
        self._run.answered(self, start, self._head[9:12])

    def connection_lost(self, exc: Exception | None) -> None:
        self.open = False
        self._run.lost(self, busy=self._start != 0.0, why=repr(exc))

    def told(self) -> float:
        """Seconds after which the last answer asks to come back; 0: it does not say."""
        found = _retry_after(self._head)
        return int(found[1]) / 1000 if found else 0.0

    def code(self) -> bytes:
        """Why the last answer is a refusal, if that came with its head."""
        found = _code(self._head)
        return found[1] if found else b"other"

    def shown(self) -> str:
        """The start of the answer, for the first one that failed."""
        return self._head[:1000].decode("utf-8", "replace")

    def end(self) -> None:
        self._start = 0.0
        self._transport.abort()


class Run:
    """One order being carried out."""

    def __init__(self, order: Order, loop: asyncio.AbstractEventLoop) -> None:
        self.order = order
        self.report = Report()
        self._loop = loop
        self._requests = itertools.cycle(order.requests)
        self._random = random.Random(order.seed)
        self._latencies: list[float] = []
        self._refusals: list[float] = []
        self._statuses: dict[bytes, int] = {}
        self._codes: dict[bytes, int] = {}
        self._idle: list[Caller] = []
        self._waiting: deque[float] = deque()
        self._callers: list[Caller] = []
        self._counting_from = float("inf")
        self._cpu_before = 0
        self._stopping = False
        self._due = self._began = 0.0
        self._sent = 0

    async def go(self) -> Report:
        order = self.order
        for number in range(order.connections):
            caller = await self._connect()
            self._callers.append(caller)
            if order.once:
                caller.send(next(self._requests), _now())
                if number % 32 == 31:
                    await asyncio.sleep(32 / _OPENED_PER_S)
        began = _now()
        self._loop.call_later(order.warm_seconds, self._begin_counting)
        if order.rate or order.times:
            self._idle = list(self._callers)
            self._due = began
            self._began = began
            self._arrive()
        elif not order.once:
            for caller in self._callers:
                caller.send(next(self._requests), _now())
        await asyncio.sleep(order.warm_seconds + order.seconds)
        self._stopping = True
        self.report.cpu_ns = cpu_ns(order.watch) - self._cpu_before
        self._summarise(_now() - self._counting_from)
        for caller in self._callers:
            if caller.open:
                caller.end()
        return self.report

    def _begin_counting(self) -> None:
        self._cpu_before = cpu_ns(self.order.watch)
        self._counting_from = _now()
        self.report.calls = self.report.received = 0
        self._statuses.clear()
        self._codes.clear()

    async def _connect(self) -> Caller:
        _, caller = await self._loop.create_connection(lambda: Caller(self), self.order.host, self.order.port)
        return caller

    def abort(self) -> bool:
        return bool(self.order.abort_share) and self._random.random() < self.order.abort_share

    def answered(self, caller: Caller, start: float, status: bytes) -> None:
        now = _now()
        self.report.calls += 1
        self._statuses[status] = self._statuses.get(status, 0) + 1
        if status != b"200":
            if caller.sent >= self._counting_from:
                self._refusals.append(now - caller.sent)
            code = caller.code()
            self._codes[code] = self._codes.get(code, 0) + 1
            if not self.report.first_failure:
                self.report.first_failure = caller.shown()
        if start >= self._counting_from:
            self._latencies.append(now - start)
        if self._stopping or self.order.once:
            return
        if self.order.obey and status != b"200" and (wait := caller.told()):
            self._loop.call_later(wait, self._on, caller)
            return
        self._on(caller)

    def _on(self, caller: Caller) -> None:
        """The next call of a connection that is free."""
        if self._stopping or not caller.open:
            return
        now = _now()
        if not self.order.rate and not self.order.times:
            caller.send(next(self._requests), now)
        elif self._waiting:
            caller.send(next(self._requests), self._waiting.popleft())
        else:
            self._idle.append(caller)

    def lost(self, caller: Caller, *, busy: bool, why: str) -> None:
        if self._stopping:
            return
        if (busy and not why.startswith("None")) or busy:
            self.report.failed += 1
            self.report.first_failure = self.report.first_failure or f"connection lost during a call: {why}"
        if caller in self._idle:
            self._idle.remove(caller)
        self._loop.create_task(self._replace(caller))

    async def _replace(self, caller: Caller) -> None:
        try:
            fresh = await self._connect()
        except OSError:
            await asyncio.sleep(0.05)
            if not self._stopping:
                await self._replace(caller)
            return
        self._callers[self._callers.index(caller)] = fresh
        if self.order.rate or self.order.times:
            self._idle.append(fresh)
        else:
            fresh.send(next(self._requests), _now())

    def _arrive(self) -> None:
        """Send every call that is due, then sleep until the next one is."""
        if self._stopping:
            return
        now = _now()
        times = self.order.times
        if times:
            self._due = self._began + times[self._sent] if self._sent < len(times) else float("inf")
        mean = 1 / self.order.rate if self.order.rate else 0.0
        while self._due <= now:
            start = self._due if now - self._due > _LATE_S else now
            if self._idle:
                self._idle.pop().send(next(self._requests), start)
            else:
                self._waiting.append(start)
            if times:
                self._sent += 1
                self._due = self._began + times[self._sent] if self._sent < len(times) else float("inf")
            else:
                self._due += self._random.expovariate(1 / mean) if self.order.arrivals == "poisson" else mean
        if self._due < float("inf"):
            self._loop.call_later(max(0.0, self._due - now), self._arrive)

    def _summarise(self, seconds: float) -> None:
        report = self.report
        found = sorted(self._latencies)
        refused = sorted(self._refusals)
        if refused:
            report.refused_p50_us = refused[len(refused) // 2] * 1e6
            report.refused_p99_us = refused[min(len(refused) - 1, int(len(refused) * 0.99))] * 1e6
        report.seconds = seconds
        report.statuses = {name.decode("latin-1"): n for name, n in sorted(self._statuses.items())}
        report.refusals = {name.decode(): n for name, n in sorted(self._codes.items())}
        report.failed += sum(n for name, n in self._statuses.items() if name != b"200")
        if found:
            pick = [found[min(len(found) - 1, int(len(found) * q))] * 1e6 for q in (0.5, 0.9, 0.99, 1.0)]
            report.p50_us, report.p90_us, report.p99_us, report.max_us = pick


async def run(order: Order) -> Report:
    return await Run(order, asyncio.get_running_loop()).go()


def main() -> None:
    """Reads an Order as JSON (requests in base64) from stdin, writes the Report to stdout."""
    parser = argparse.ArgumentParser(description="load generator; the order comes on stdin as JSON")
    parser.parse_args()
    order = msgspec.json.decode(sys.stdin.buffer.read(), type=Order)
    print(json.dumps(msgspec.to_builtins(uvloop.run(run(order)))), flush=True)


if __name__ == "__main__":
    main()
