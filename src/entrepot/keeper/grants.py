"""Carries the talk about leases: many questions are one transaction, a short answer is preceded by a recall.

asked ──► decided ──► granted                                     all in one transaction with whatever else waits
             └─ too little ──► recall, and dead slots sealed ──► decided exactly ──► granted
                                                                      └─ journals read ──► decided: granted, held, spent

A call waits 250 ms at the most, so every way through this takes less: `ANSWER_S` from the question to the word.
"""

import asyncio
import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from sqlalchemy import Engine

from entrepot.keeper import authority
from entrepot.keeper.authority import Answer, Question
from entrepot.keeper.connection import Connection
from entrepot.keeper.writer import Rank, Writer
from entrepot.limits import tables
from entrepot.limits.message import Recall, Returned, Want
from entrepot.storage.database import read, write

_log = logging.getLogger(__name__)

#: From a question to the last word about it; a worker waits 250 ms.
ANSWER_S = 0.2
#: Of it, what a recall may take. A gateway that did not answer one in time is not waited for until it says something.
RECALL_S = 0.12
#: Journals that were read so recently are not read once more before a refusal.
FRESH_S = 0.1
#: Questions and returns of one transaction: protocol §6, at most 20 ms.
AT_ONCE = 200


class _Asked:
    """A question on its way to its answer."""

    __slots__ = ("awaited", "began", "looked", "peer", "recalled", "want")

    def __init__(self, peer: Connection, want: Want) -> None:
        self.peer = peer
        self.want = want
        self.began = time.monotonic()
        self.recalled = False
        self.looked = False
        self.awaited: set[int] = set()  # slots whose return it waits for


class _Back(NamedTuple):
    slot: int
    message: Returned


class Grants:
    """Answers to wants. All methods but the jobs run in the loop."""

    def __init__(
        self,
        engine: Engine,
        writer: Writer,
        peers: Callable[[], Iterable[Connection]],
        look: Callable[[], object],
        reclaim: Callable[[int], int],
    ) -> None:
        """`look` reads the journals for a short while (a job of the writer); `reclaim` seals a slot that nobody holds
        and returns what is free in it (in a thread of its own)."""
        self._engine = engine
        self._writer = writer
        self._peers = peers
        self._look = look
        self._reclaim = reclaim
        self._pending: deque[_Asked | _Back] = deque()
        self._asking: dict[tuple[Connection, str], _Asked] = {}  # of those, the questions
        self._waiting: dict[str, list[_Asked]] = {}  # for returns, by lease
        self._short: Counter[str] = Counter()  # questions that wait for what others give back, by lease
        self._recalled: dict[tuple[str, int], float] = {}  # (lease, slot) → when it was asked to give back
        self._deaf: set[int] = set()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._runner: asyncio.Task[None] | None = None
        self._looked_at = 0.0
        self._reclaiming: set[int] = set()

    # what gateways say

    def want(self, peer: Connection, want: Want) -> None:
        """A question; a later one of the same gateway about the same lease replaces one that still waits."""
        waiting = self._asking.get((peer, want.balance))
        if waiting is not None:
            waiting.want = want
        else:
            self._put(_Asked(peer, want))

    def returned(self, slot: int, message: Returned) -> None:
        """A slot has given something back, or says that it had nothing."""
        self._deaf.discard(slot)
        self._put(_Back(slot, message))

    def gone(self, slot: int) -> None:
        """A gateway is no longer connected: nobody waits for it."""
        self._deaf.discard(slot)
        for name in list(self._waiting):
            self._answered(name, slot)

    # deciding

    def _put(self, item: _Asked | _Back) -> None:
        self._pending.append(item)
        if isinstance(item, _Asked):
            self._asking[item.peer, item.want.balance] = item
        if self._runner is None or self._runner.done():
            self._runner = self._task(self._run())

    def _task(self, work: Any) -> "asyncio.Task[Any]":
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _run(self) -> None:
        """One batch after the other until nothing waits."""
        while self._pending:
            items = [self._pending.popleft() for _ in range(min(AT_ONCE, len(self._pending)))]
            for each in items:
                if isinstance(each, _Asked):
                    self._asking.pop((each.peer, each.want.balance), None)
            try:
                await self._decide(items)
            except Exception:  # noqa: BLE001 - one broken lease must not keep the others from their answer
                for each in items:
                    try:
                        await self._decide([each])
                    except Exception:  # noqa: BLE001 - whoever asked hears nothing, and says so to its caller
                        _log.exception("a message about a lease could not be answered")
                        self._wait_no_more(each)

    async def _decide(self, items: list["_Asked | _Back"]) -> None:
        backs = [each for each in items if isinstance(each, _Back)]
        asked = [each for each in items if isinstance(each, _Asked)]
        asked.sort(key=lambda each: not each.want.holds)  # stable: calls that wait go before what is taken ahead
        short = {*self._short, *(each.want.balance for each in asked if each.want.holds)}
        questions = [
            Question(each.peer.slot, each.want, each.recalled or (not each.want.holds and each.want.balance in short))
            for each in asked
        ]  # what is taken ahead would be missing to a call for which others are just giving back
        slots = len({peer.slot for peer in self._peers() if peer.slot})
        answers = await self._job(lambda: self._do_batch(backs, questions, slots))
        for back in backs:
            self._recalled.pop((back.message.balance, back.slot), None)
            self._answered(back.message.balance, back.slot)
        for one, found in zip(asked, answers, strict=True):
            self._next(one, found)

    async def _job(self, job: Callable[[], Any]) -> Any:
        return await asyncio.wrap_future(self._writer.submit(Rank.GRANT, job))

    def _do_batch(self, backs: list[_Back], questions: list[Question], slots: int) -> list[Answer]:
        with write(self._engine) as conn:
            for back in backs:
                tables.returned(conn, back.message.balance, back.slot, back.message.total)
            return authority.answer(conn, questions, slots=slots, at=time.time_ns() // 1000)

    def _next(self, one: _Asked, found: Answer) -> None:
        """The reply, or what comes before a refusal."""
        short = found.granted.short
        late = time.monotonic() - one.began > ANSWER_S
        if short and not one.recalled and not late:
            one.recalled = True
            self._short[one.want.balance] += 1
            self._recall(one, found)
        elif short and not one.looked and not late and time.monotonic() - self._looked_at > FRESH_S:
            one.looked = True
            self._task(self._look_first(one))
        else:
            self._wait_no_more(one)
            one.peer.send(found.granted)

    def _wait_no_more(self, one: "_Asked | _Back") -> None:
        if isinstance(one, _Asked) and one.recalled:
            self._short[one.want.balance] -= 1
            self._short += Counter()  # drops what is 0

    # before a refusal

    def _recall(self, one: _Asked, found: Answer) -> None:
        """Ask everybody else who has some of it; slots without a gateway are sealed and give back what they have."""
        name, own = one.want.balance, one.peer.slot
        holders = {slot for slot, amount in found.outstanding.items() if amount > 0 and slot != own}
        connected = {peer.slot: peer for peer in self._peers() if peer.slot in holders}
        now = time.monotonic()
        for slot, peer in connected.items():
            if now - self._recalled.get((name, slot), 0.0) > RECALL_S:
                self._recalled[name, slot] = now
                peer.send(Recall(name, found.totals.get(slot, 0)))
        dead = holders - set(connected)
        for slot in dead - self._reclaiming:
            self._reclaiming.add(slot)
            self._task(self._reclaim_slot(slot))
        one.awaited = holders - self._deaf
        if not one.awaited:
            self._put(one)
            return
        self._waiting.setdefault(name, []).append(one)
        asyncio.get_running_loop().call_later(RECALL_S, self._give_up, one)

    def _answered(self, name: str, slot: int) -> None:
        """A slot has answered a recall: whoever waited for the last one is decided now."""
        waiting = self._waiting.pop(name, [])
        for one in waiting:
            one.awaited.discard(slot)
            if one.awaited:
                self._waiting.setdefault(name, []).append(one)
            else:
                self._put(one)

    def _give_up(self, one: _Asked) -> None:
        waiting = self._waiting.get(one.want.balance, [])
        if one in waiting:
            waiting.remove(one)
            if not waiting:
                del self._waiting[one.want.balance]
            self._deaf |= one.awaited
            self._put(one)

    async def _reclaim_slot(self, slot: int) -> None:
        """Its journal says what it gives back; in a thread, since the writer has better to do than wait for a disk."""
        try:
            if await asyncio.get_running_loop().run_in_executor(None, self._reclaim, slot):
                await self._job(self._look)
        except Exception:  # noqa: BLE001 - upkeep tries it again and says what is wrong
            _log.exception("slot w%d could not be reclaimed", slot)
        finally:
            self._reclaiming.discard(slot)
            for name in list(self._waiting):
                self._answered(name, slot)

    async def _look_first(self, one: _Asked) -> None:
        """What the journals still have may show that it is spent, not only held."""
        self._looked_at = time.monotonic()
        await self._job(self._look)
        self._put(one)

    # when less may be had than before

    def recall(self, name: str) -> None:
        """Ask every gateway for what is free of it: money that is to leave the balance."""
        for peer in self._peers():
            if peer.slot:
                peer.send(Recall(name))

    async def review(self) -> None:
        """A budget or a credit limit may be lower now, or gone: recall what is free of each that is overdrawn."""

        def job() -> dict[str, dict[int, int]]:
            with read(self._engine) as conn:
                return authority.overdrawn(conn)

        for name, granted in (await self._job(job)).items():
            for peer in self._peers():
                if peer.slot:  # the total too: a grant that it has not heard of must not be heard later
                    peer.send(Recall(name, granted.get(peer.slot, 0), closing=True))
