"""Sends a recorded trace: each call at its time, of its size, whole or streamed.

Open loop: a call is due when the trace says so, whatever the server does; one that finds every connection busy is late,
and its lateness is counted. A prompt of N tokens is N short words; where the vendor is the fake one, the last message
tells it the counts to answer with.
"""

import asyncio
import itertools
import math
import time
from collections.abc import Callable

import msgspec
import uvloop

from entrepot.prove.lines import Lines, Seen
from entrepot.prove.load import chat_request
from entrepot.prove.recording import Entry, Recording
from entrepot.prove.script import script_text

#: Each is one token with its blank before it, in OpenAI's encodings: four bytes a token, as in English text.
_WORDS = (
    " the and for was you not are but all can had her one our out day get has him his how man new now old see two way"
    " who did its let put say she too use"
)
BYTES_PER_TOKEN = 4
_EVENTS = 8  # of a stream at the most: what is measured is the bill, and relaying has a bench of its own
_TRIES = 3  # as the official SDKs: two more after a refusal that may be retried
_LONGEST_WAIT_S = 5.0
_RETRIED = (429, 500, 502, 503, 504)
_TOLD_EVERY_S = 0.2
_BODY = b'{"model":%b,"max_tokens":%d,%b"messages":[{"role":"system","content":"%d%b"},{"role":"user","content":%b}]}'
_ASK = "Go on."
_FRAME = 512  # bytes of the body beside the words, at the most


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """Where a trace goes, and how. `speed` divides its times; 0: no times, as fast as the connections carry it."""

    host: str
    port: int
    key: str
    model: str
    scripted: bool  # the vendor is the fake one
    speed: float = 1.0
    stream_share: float = 0.5
    stream_as_recorded: bool = True
    connections: int = 128


class Progress(msgspec.Struct, frozen=True):
    """How far it is."""

    sent: int
    done: int
    open: int
    errors: int
    seconds: float


class Replayed(msgspec.Struct, kw_only=True):
    """What came of it. Milliseconds; `late` against the trace's own times, `took` from the request to the last byte."""

    calls: int = 0
    answered: int = 0
    streamed: int = 0
    retried: int = 0
    failed: dict[str, int] = {}  # "status code" or "cut" → calls
    first_failure: str = ""
    seconds: float = 0.0
    late_p50_ms: float = 0.0
    late_p99_ms: float = 0.0
    took_p50_ms: float = 0.0
    took_p99_ms: float = 0.0


def hold_bound(entry: Entry) -> int:
    """Input tokens that the server has to reckon with for this call: its bytes, and some for the frame around them."""
    return entry.input * BYTES_PER_TOKEN + _FRAME


def alone_ms(port: int, key: str, model: str, *, calls: int = 50) -> float:
    """Median milliseconds of a call that goes to the fake vendor straight, one at a time."""

    async def measure() -> list[float]:
        lines = Lines("127.0.0.1", port, 1)
        await lines.open()
        body = b'{"model":%b,"messages":[{"role":"user","content":"{}"}]}' % msgspec.json.encode(model)
        took = []
        for _ in range(calls):
            began = time.perf_counter()
            await lines.call(chat_request("127.0.0.1", body, key=key))
            took.append(time.perf_counter() - began)
        lines.close()
        return took

    return _quantiles(uvloop.run(measure()))[0]


def send(recording: Recording, order: Order, tell: Callable[[Progress], None]) -> Replayed:
    """Send it all and wait for the last answer. KeyboardInterrupt ends it early, with its calls cut."""
    return uvloop.run(_Replay(recording, order, tell).go())


class _Replay:
    def __init__(self, recording: Recording, order: Order, tell: Callable[[Progress], None]) -> None:
        self._entries = recording.entries
        self._order = order
        self._tell = tell
        self._lines = Lines(order.host, order.port, min(order.connections, len(self._entries)))
        self._room = asyncio.Semaphore(order.connections)
        longest = max(entry.input for entry in self._entries)
        self._filler = _WORDS.encode() * (longest * BYTES_PER_TOKEN // len(_WORDS) + 1)
        self._report = Replayed()
        self._late: list[float] = []
        self._took: list[float] = []
        self._sent = self._open = 0
        self._began = 0.0

    async def go(self) -> Replayed:
        await self._lines.open()
        self._began = time.perf_counter()
        telling = asyncio.create_task(self._keep_telling())
        try:
            await self._send_all()
        finally:
            telling.cancel()
            self._lines.close()
        self._told()
        report = self._report
        report.calls = self._sent
        report.seconds = time.perf_counter() - self._began
        report.late_p50_ms, report.late_p99_ms = _quantiles(self._late)
        report.took_p50_ms, report.took_p99_ms = _quantiles(self._took)
        return report

    async def _send_all(self) -> None:
        """Every call a task of its own, at most as many as there are connections."""
        speed = self._order.speed
        async with asyncio.TaskGroup() as calls:
            for number, entry in enumerate(self._entries):
                due = self._began + entry.at / 1e6 / speed if speed else 0.0
                wait = due - time.perf_counter()
                if wait > 0:
                    await asyncio.sleep(wait)
                await self._room.acquire()
                self._late.append(max(0.0, time.perf_counter() - due) if speed else 0.0)
                calls.create_task(self._call(number, entry))

    async def _call(self, number: int, entry: Entry) -> None:
        stream = self._streamed(number, entry)
        request = chat_request(self._order.host, self._body(number, entry, stream=stream), key=self._order.key)
        self._sent += 1
        self._open += 1
        began = time.perf_counter()
        try:
            seen = await self._with_retries(request)
        finally:
            self._open -= 1
            self._room.release()
        if seen.how == "answered":
            self._report.answered += 1
            self._report.streamed += stream
            self._took.append(time.perf_counter() - began)
            return
        what = f"{seen.status} {seen.code}".strip() if seen.how == "refused" else seen.how
        self._report.failed[what] = self._report.failed.get(what, 0) + 1
        if not self._report.first_failure:
            self._report.first_failure = seen.text.partition(b"\r\n\r\n")[2][:500].decode("utf-8", "replace") or what

    async def _with_retries(self, request: bytes) -> Seen:
        for attempt in itertools.count(1):
            seen = await self._lines.call(request)
            again = seen.status in _RETRIED and b"\r\nx-should-retry: false" not in seen.text[:2000].lower()
            if not again or attempt == _TRIES:
                return seen
            self._report.retried += 1
            await asyncio.sleep(min((seen.retry_after_ms or 500 * attempt) / 1000, _LONGEST_WAIT_S))
        raise AssertionError

    def _streamed(self, number: int, entry: Entry) -> bool:
        """As the trace says; else evenly spread over the calls."""
        if entry.stream is not None and self._order.stream_as_recorded:
            return entry.stream
        share = self._order.stream_share
        return math.floor((number + 1) * share) > math.floor(number * share)

    def _body(self, number: int, entry: Entry, *, stream: bool) -> bytes:
        order = self._order
        ask = _ASK
        if order.scripted:
            ask = script_text(
                prompt=entry.input, cached=entry.cached, completion=entry.output,
                events=max(1, min(entry.output, _EVENTS)),
            )  # fmt: skip
        words = self._filler[: max(0, entry.input - 2) * BYTES_PER_TOKEN]
        return _BODY % (
            msgspec.json.encode(order.model), max(1, entry.output), b'"stream":true,' if stream else b"",
            number, words, msgspec.json.encode(ask),
        )  # fmt: skip

    async def _keep_telling(self) -> None:
        while True:
            self._told()
            await asyncio.sleep(_TOLD_EVERY_S)

    def _told(self) -> None:
        errors = sum(self._report.failed.values())
        done = self._report.answered + errors
        self._tell(Progress(self._sent, done, self._open, errors, time.perf_counter() - self._began))


def _quantiles(seconds: list[float]) -> tuple[float, float]:
    """Median and 99th percentile in milliseconds."""
    if not seconds:
        return 0.0, 0.0
    found = sorted(seconds)
    return found[len(found) // 2] * 1000, found[min(len(found) - 1, int(len(found) * 0.99))] * 1000
