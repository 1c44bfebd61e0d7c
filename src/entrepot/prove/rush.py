"""The callers of the trial `budget`, in a process of their own: everybody at once against one small sum of money.

A round is one sum. Every connection makes one call of random cost; some callers go away in the middle; who hears *held*
comes again when it was told to, who hears *spent* does not. When all is quiet two more calls are made: one that costs
just more than what is left, and one that costs all of it. What is left is taken from the vendor's ledger alone.
Run as `python -m entrepot.prove.rush`; the order comes on stdin as JSON, a report per round goes to stdout as a line.
"""

import asyncio
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import uvloop

from entrepot.limits.tables import leases_of, outstanding
from entrepot.prove.books import Accepted, Tail
from entrepot.prove.client import chat_body
from entrepot.prove.lines import Lines, Seen
from entrepot.prove.load import chat_request
from entrepot.storage.database import open_database, read
from entrepot.wire.openai import read_chat

_ROUNDS_AT_ONCE = 3  # while one waits for its quiet second, the next ones go on
_TRIES = 60
_QUIET_S = 1.0  # since the last posting: after it a refusal of what is there would be false
_POSTED_S = 30.0
_PROBED_S = 15.0  # where processes are killed
_ABORT_SHARE = 0.1
_STREAM_SHARE = 0.3
_STREAM_EVENTS = 4
_LONGEST_PAUSE_MS = 8
_LONGEST_STAY_S = 0.15  # of a caller that goes away


class Round(msgspec.Struct, frozen=True, kw_only=True):
    """One sum of money: `limit` ledger units of the first of `accounts` (lease ids), which all are charged."""

    tag: str
    key: str
    kind: str
    limit: int
    accounts: tuple[str, ...]


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What to do, and the prices to reckon with: ledger units a token."""

    port: int
    model: str
    ledger: str
    database: str
    connections: int
    rounds: tuple[Round, ...]
    price: tuple[int, int, int]  # input, cached, output
    largest: int  # hold of a call
    seed: int
    killed: bool  # processes are killed meanwhile: what is cut is no failure, and a probe is repeated


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """A refusal that may be false: the hold was not more than what was left."""

    at: float  # time.time
    hold: int
    left: int
    code: str
    when: str  # "rush" or "quiet"


class RoundReport(msgspec.Struct, kw_only=True):
    """What the callers saw in one round, and what the vendor's ledger says of it."""

    tag: str
    kind: str = ""
    limit: int = 0
    seconds: float = 0.0
    calls: int = 0  # that were made at once
    answered: int = 0
    left: int = 0  # the caller went away
    cut: int = 0
    refused: dict[str, int] = {}  # by code, each time
    gave_up: int = 0  # still held after all tries
    other: str = ""  # first answer that should not be
    rushed: int = 0  # spent by those at once, by the vendor's ledger; ledger units
    spent: int = 0  # in the end, of calls whose answer we have or left; ledger units
    unsure: int = 0  # of calls that were cut
    usable: int = 0  # spent, and what the last call showed to be spendable
    idle_lease: int = 0  # largest lease of one slot when nothing was in flight
    false: list[Refusal] = []
    trouble: str = ""


class Asked(msgspec.Struct, kw_only=True):
    """One call of a round and how it ended."""

    tag: str
    request: bytes
    hold: int
    leave_after: float = 0.0
    seen: Seen | None = None


def price_of(row: Accepted, price: tuple[int, int, int]) -> int:
    """Ledger units of a vendor's row: exact, since prices are whole units a token."""
    if not row.billed:
        return 0
    return (row.prompt - row.cached) * price[0] + row.cached * price[1] + row.completion * price[2]


class Rush:
    """One order being carried out."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self._lines = Lines("127.0.0.1", order.port, order.connections)
        self._vendor = Tail(Path(order.ledger))
        self._engine = open_database(Path(order.database))
        self._chance = random.Random(order.seed)

    async def go(self) -> None:
        """All rounds; the next one begins when everybody of the last one has had a first word."""
        await self._lines.open()
        places = asyncio.Semaphore(_ROUNDS_AT_ONCE)
        running: set[asyncio.Task[None]] = set()
        for each in self._order.rounds:
            await places.acquire()
            started = asyncio.Event()
            task = asyncio.create_task(self._whole(each, started))
            running.add(task)
            task.add_done_callback(running.discard)
            task.add_done_callback(lambda _task: places.release())
            await started.wait()
        if running:
            await asyncio.wait(running)
        self._lines.close()

    async def _whole(self, each: Round, started: asyncio.Event) -> None:
        report = RoundReport(tag=each.tag, kind=each.kind, limit=each.limit)
        began = time.monotonic()
        try:
            await self._round(each, report, started)
        except Exception as error:  # noqa: BLE001 - owner of the round: its report says what went wrong
            report.trouble = report.trouble or f"{type(error).__name__}: {error}"
        finally:
            started.set()
        report.seconds = time.monotonic() - began
        sys.stdout.buffer.write(msgspec.json.encode(report) + b"\n")
        sys.stdout.buffer.flush()

    async def _round(self, each: Round, report: RoundReport, started: asyncio.Event) -> None:
        asked = [self._make(each, f"{each.tag}/{n}") for n in range(self._order.connections)]
        report.calls = waiting = len(asked)

        def first_word() -> None:
            nonlocal waiting
            waiting -= 1
            if not waiting:
                started.set()

        await asyncio.gather(*(self._caller(call, report, first_word) for call in asked))
        self._count(asked, report)
        spent, unsure = await self._quiet(each, report, asked)
        report.rushed = report.usable = spent + unsure
        _blame(asked, report, each.limit - spent - unsure)
        await self._probe(each, report, asked, over=True)
        await self._probe(each, report, asked, over=False)
        report.spent, report.unsure = await self._quiet(each, report, asked)

    # calls

    def _make(self, each: Round, tag: str) -> Asked:
        chance, order = self._chance, self._order
        n = chance.choice((1, 1, 1, 1, 2, 3))
        room = int(order.largest * 0.98 * chance.uniform(0.3, 1.0))
        most = max(1, (room - 300 * order.price[0]) // (order.price[2] * n))
        prompt = chance.randint(1, 150)
        body = chat_body(
            order.model, stream=chance.random() < _STREAM_SHARE, max_tokens=most, n=n, tag=tag, prompt=prompt,
            cached=prompt // 3, completion=max(1, int(most * (1 - chance.random() ** 2))), events=_STREAM_EVENTS,
            delay_ms=chance.randint(0, _LONGEST_PAUSE_MS),
        )  # fmt: skip
        asked = self._asked(each, tag, body, most * n)
        if chance.random() < _ABORT_SHARE:
            asked.leave_after = chance.uniform(0.001, _LONGEST_STAY_S)
        return asked

    def _asked(self, each: Round, tag: str, body: bytes, cap: int) -> Asked:
        price = self._order.price
        hold = read_chat(body).input_bound * price[0] + cap * price[2]
        return Asked(tag=tag, request=chat_request("127.0.0.1", body, key=each.key), hold=hold)

    async def _caller(self, call: Asked, report: RoundReport, first_word: Callable[[], None]) -> None:
        """Call; come again when told to."""
        seen = await self._lines.call(call.request, call.leave_after)
        first_word()
        for _ in range(_TRIES):
            if seen.how == "refused":
                report.refused[seen.code] = report.refused.get(seen.code, 0) + 1
            if seen.how != "unreached" and not seen.retry_after_ms:
                break
            await asyncio.sleep(max(seen.retry_after_ms, 50) / 1000 * self._chance.uniform(1.0, 1.2))
            seen = await self._lines.call(call.request, call.leave_after)
        call.seen = seen

    def _count(self, asked: list[Asked], report: RoundReport) -> None:
        for call in asked:
            seen = call.seen
            assert seen is not None
            report.answered += seen.how == "answered"
            report.left += seen.how == "left"
            report.cut += seen.how == "cut"
            if seen.how == "refused":
                report.gave_up += seen.retry_after_ms > 0
                if seen.status not in (429, 503):
                    report.other = report.other or f"{seen.status} {seen.text[-300:].decode('utf-8', 'replace')}"

    # when all is quiet

    async def _quiet(self, each: Round, report: RoundReport, asked: list[Asked]) -> tuple[int, int]:
        """Wait until nothing is in flight and everything is posted, then a second more. What the vendor's ledger says:
        (spent by calls whose end we know, by calls that were cut)."""
        until = time.monotonic() + _POSTED_S
        last, since = -1, 0.0
        while True:
            self._vendor.look()
            spent, unsure = self._spent(each, asked)
            charged, idle = self._leases(each)
            if charged != last:
                last, since = charged, time.monotonic()
            if not self._vendor.unended(each.tag):
                if charged == spent + unsure:
                    break
                if self._order.killed and charged < spent + unsure and time.monotonic() - since > 3 * _QUIET_S:
                    break
            if time.monotonic() > until:
                raise TimeoutError(
                    f"{self._vendor.unended(each.tag)} calls unended; the vendor's ledger says {spent} + {unsure}, "
                    f"the books {charged} after {_POSTED_S:.0f} s"
                )
            await asyncio.sleep(0.1)
        await asyncio.sleep(_QUIET_S)
        report.idle_lease = max(report.idle_lease, self._leases(each)[1], idle)
        return spent, unsure

    def _spent(self, each: Round, asked: list[Asked]) -> tuple[int, int]:
        known = {call.tag for call in asked if call.seen is not None and call.seen.how == "answered"}
        if not self._order.killed:
            known |= {call.tag for call in asked if call.seen is not None and call.seen.how == "left"}
        sums = [0, 0]
        for row in self._vendor.rows(each.tag):
            sums[row.tag not in known] += price_of(row, self._order.price)
        return sums[0], sums[1]

    def _leases(self, each: Round) -> tuple[int, int]:
        """(charged in the books, on whichever account that is furthest; the largest lease of one slot of the first)."""
        with read(self._engine) as conn:
            leases = [leases_of(conn, account).values() for account in each.accounts]
        charged = max(sum(totals.charged for totals in of_one) for of_one in leases)
        return charged, max(map(outstanding, leases[0]), default=0)

    async def _probe(self, each: Round, report: RoundReport, asked: list[Asked], *, over: bool) -> None:
        """One more call: over: it holds a token more than what is left, and must hear *spent*; else all of it to the
        token, and must be answered. Where processes are killed, a refusal is tried again for a while."""
        spent, unsure = self._spent(each, asked)
        low, high = each.limit - spent - unsure, each.limit - spent
        call = self._sized(each, over, high + 1 if over else low)
        if call is None:
            return
        asked.append(call)
        until = time.monotonic() + (_PROBED_S if self._order.killed else 0.0)
        while True:
            call.seen = seen = await self._lines.call(call.request)
            if seen.how == "answered":
                if over:
                    report.trouble = f"a call that held {call.hold} of {high} left was admitted"
                else:
                    report.usable += call.hold
                return
            if over and seen.how == "refused" and not seen.retry_after_ms:
                return
            if not over:
                report.false.append(
                    Refusal(at=time.time(), hold=call.hold, left=low, code=seen.code or seen.how, when="quiet")
                )
            if time.monotonic() > until:
                break
            await asyncio.sleep(0.5)
        if over:
            report.trouble = (
                f"a call beyond what is left heard {seen.status} {seen.code or seen.how}, not that it is spent"
            )

    def _sized(self, each: Round, over: bool, room: int) -> Asked | None:
        """A call that holds `room`: at least so much if `over`, else at most; None if no call is so small."""
        price = self._order.price
        name = "over" if over else "under"
        cap = max(1, room // price[2])
        while True:
            body = chat_body(
                self._order.model, max_tokens=cap, tag=f"{each.tag}/{name}", completion=max(1, cap // 2), events=1
            )
            call = self._asked(each, f"{each.tag}/{name}", body, cap)
            if over:
                if call.hold >= room:
                    return call
                cap += 1
            else:
                if call.hold <= room:
                    return call
                cap -= 1 + (call.hold - room) // (2 * price[2])
                if cap < 1:
                    return None


def _blame(asked: list[Asked], report: RoundReport, left: int) -> None:
    """What is left only shrinks: whoever heard *spent* although the hold is not more than what is left in the end, was
    told what was not true."""
    for call in asked:
        seen = call.seen
        if seen is not None and seen.how == "refused" and not seen.retry_after_ms and call.hold <= left:
            code = seen.code or str(seen.status)
            report.false.append(Refusal(at=time.time(), hold=call.hold, left=left, code=code, when="rush"))


def main() -> None:
    """Reads an Order as JSON from stdin."""
    order = msgspec.json.decode(sys.stdin.buffer.read(), type=Order)
    uvloop.run(Rush(order).go())


if __name__ == "__main__":
    main()
