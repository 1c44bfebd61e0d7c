"""Who may use how much of a limit: shares, divided in memory over the workers that ask.

What was given is in a file before it is sent, so that a keeper that starts anew counts it although it has not heard of
its workers yet. Who has something unused is asked for it only when another worker is short.
"""

import logging
from collections import deque
from collections.abc import Callable, Iterable
from typing import Final, Protocol

from entrepot.keeper.sharefile import Row, ShareFile, started_at
from entrepot.limits.message import Ask, Cede, Ceded, FromKeeper, Hello, Leaving, Others, Share, Using
from entrepot.limits.share import Division, Held

CEDE_S: Final = 0.1  # a worker waits 250 ms for its answer: others get this much of it to cede
_ASKS_LIMIT: Final = 1_000  # that wait for others, per meter: each worker asks one at a time, so a bound on workers
_log = logging.getLogger(__name__)


class Loop(Protocol):
    """What is asked of the event loop."""

    def call_later(self, delay: float, callback: Callable[..., None], /, *args: object) -> object: ...


class Peer(Protocol):
    """The connection of a gateway."""

    def send(self, message: FromKeeper) -> None: ...


class Divided:
    """A meter and who waits for a part of it."""

    __slots__ = ("awaited", "division", "round", "waiting")

    def __init__(self, division: Division) -> None:
        self.division = division
        self.waiting: deque[tuple[str, Ask]] = deque()
        self.awaited: set[str] = set()  # workers that were asked to cede and have not answered
        self.round = 0


class Rates:
    """All meters of the house. `clock`: µs since the machine started, so the same for a keeper that follows."""

    def __init__(self, loop: Loop, clock: Callable[[], int], file: ShareFile) -> None:
        self._loop = loop
        self._clock = clock
        self._file = file
        self._meters: dict[str, Divided] = {}
        self._peers: dict[str, Peer] = {}
        self._processes: dict[str, tuple[int, int]] = {}  # worker → pid, and when it started
        self._lowered: set[str] = set()
        self._ticks = 0
        for row in file.read():
            self._remember(row)
        self._rewrite()
        for worker in list(self._processes):
            self._look_at(worker)

    def _remember(self, row: Row) -> None:
        now = self._clock()
        divided = self._divided(row.held)
        if row.worker:
            self._processes[row.worker] = row.pid, row.started
            divided.division.learn(row.worker, row.held, now)
        else:  # what somebody left who has gone
            divided.division.leave(((row.started - now, row.held.given),), now)

    def _divided(self, held: Held) -> Divided:
        found = self._meters.get(held.meter)
        if found is None:
            division = Division(held.meter, held.most, held.width, held.version)
            found = self._meters[held.meter] = Divided(division)
        return found

    # gateways come and go

    def hello(self, peer: Peer, hello: Hello) -> None:
        """A gateway is there, with what it has."""
        worker = _name(hello)
        self._peers[worker] = peer
        self._processes[worker] = hello.pid, started_at(hello.pid)
        for held in hello.shares:
            self._learn(worker, held)
            holding = self._meters[held.meter].division.holdings[worker]
            if holding.given > held.given:  # given before, and never heard of
                peer.send(Share(meter=held.meter, life=holding.life, given=holding.given))

    def gone(self, peer: Peer, hello: Hello) -> None:
        """A connection has ended: if its worker has too, its calls at once are free now and its windows run off."""
        worker = _name(hello)
        if self._peers.get(worker) is not peer:
            return
        del self._peers[worker]
        for name, divided in list(self._meters.items()):
            divided.waiting = deque(each for each in divided.waiting if each[0] != worker)
            self._answered(name, divided, worker)
        self._look_at(worker)

    def _look_at(self, worker: str) -> None:
        """A worker without connection: has its process ended?"""
        process = self._processes.get(worker)
        if process is None or worker in self._peers or started_at(process[0]) == process[1] != 0:
            return
        now = self._clock()
        for divided in self._meters.values():
            divided.division.gone(worker, now)
        del self._processes[worker]
        self._rewrite()

    # what they say

    def hear(self, hello: Hello, message: Ask | Ceded | Using | Leaving) -> None:
        """A message of a gateway."""
        worker = _name(hello)
        if worker not in self._peers:
            return
        if isinstance(message, Ask):
            self._asked(worker, message)
        elif isinstance(message, Ceded):
            self._learn(worker, message.held)
            self._answered(message.held.meter, self._meters[message.held.meter], worker)
        elif isinstance(message, Using):
            self._pass_on(worker, message.rows)
        else:
            now = self._clock()
            for held in message.shares:
                self._learn(worker, held)
                self._meters[held.meter].division.gone(worker, now, held.window)
            self._rewrite()

    def _learn(self, worker: str, held: Held) -> None:
        divided = self._divided(held)
        before = divided.division.most
        divided.division.learn(worker, held, self._clock())
        if divided.division.most < before:  # once: the answers to this are told here too
            self._lower(held.meter, divided)

    def _lower(self, name: str, divided: Divided) -> None:
        """After a limit was lowered: who has more than fits now has to come down."""
        targets = divided.division.keep_to(self._clock())
        if not targets:
            self._lowered.discard(name)
            return
        self._lowered.add(name)
        for worker, keep in targets.items():
            peer = self._peers.get(worker)
            if peer is not None and divided.division.holdings[worker].share > keep:
                peer.send(Cede(name, keep))

    def _pass_on(self, worker: str, rows: Iterable[tuple[str, int, int]]) -> None:
        """What one worker uses of a meter, to the others that have a share of it."""
        now = self._clock()
        found: dict[str, list[tuple[str, int, int]]] = {}
        for name, used, empty_in in rows:
            divided = self._meters.get(name)
            holdings = divided.division.holdings if divided is not None else {}
            if worker not in holdings:
                continue
            holdings[worker].used, holdings[worker].free_at = used, now + empty_in
            for other in holdings:
                if other != worker and other in self._peers:
                    rest = [each for key, each in holdings.items() if key != other]
                    until = max((each.free_at for each in rest if each.used), default=now)
                    found.setdefault(other, []).append((name, sum(each.used for each in rest), max(0, until - now)))
        for other, told in found.items():
            self._peers[other].send(Others(tuple(told)))

    # asking

    def _asked(self, worker: str, ask: Ask) -> None:
        divided = self._divided(ask.held)
        if self._give(worker, ask, divided):
            return
        if len(divided.waiting) >= _ASKS_LIMIT:
            self._short(worker, ask, divided)
            return
        divided.waiting.append((worker, ask))
        if not divided.awaited:
            self._recall(divided)

    def _give(self, worker: str, ask: Ask, divided: Divided) -> bool:
        division, now = divided.division, self._clock()
        if not division.ask(worker, ask.held, ask.need, ask.wish, len(self._peers), now):
            return False
        holding = division.holdings[worker]
        self._write(worker, division)
        self._peers[worker].send(Share(meter=division.name, life=holding.life, given=holding.given))
        return True

    def _short(self, worker: str, ask: Ask, divided: Divided) -> None:
        division, now = divided.division, self._clock()
        holding = division.learn(worker, ask.held, now)
        self._peers[worker].send(
            Share(meter=division.name, life=holding.life, given=holding.given, short=True,
                  elsewhere=division.others(worker, now))
        )  # fmt: skip

    def _recall(self, divided: Divided) -> None:
        """Ask everybody else for what is unused; when all have answered, or after 100 ms, the first that waits is told.
        With nobody to ask it is told at once."""
        while divided.waiting:
            first = divided.waiting[0][0]
            division = divided.division
            divided.awaited = {
                worker for worker, each in division.holdings.items()
                if each.share > 0 and worker != first and worker in self._peers
            }  # fmt: skip
            if divided.awaited and divided.waiting[0][1].need <= division.most:
                divided.round += 1
                for worker in divided.awaited:
                    self._peers[worker].send(Cede(division.name))
                self._loop.call_later(CEDE_S, self._enough, divided, divided.round)
                return
            divided.awaited = set()
            worker, ask = divided.waiting.popleft()
            if not self._give(worker, ask, divided):
                self._short(worker, ask, divided)

    def _answered(self, name: str, divided: Divided, worker: str) -> None:
        if worker in divided.awaited:
            divided.awaited.discard(worker)
            if not divided.awaited:
                self._enough(divided, divided.round)

    def _enough(self, divided: Divided, number: object) -> None:
        """Everybody has ceded, or had the time to."""
        if number != divided.round:
            return
        divided.round += 1
        divided.awaited = set()
        if divided.waiting:
            worker, ask = divided.waiting.popleft()
            if not self._give(worker, ask, divided):
                self._short(worker, ask, divided)
        self._recall(divided)

    # from time to time

    def tick(self) -> None:
        """Twice a second: notice who has died, bring lowered limits down, forget what nobody has."""
        self._ticks += 1
        for worker in [each for each in self._processes if each not in self._peers]:
            self._look_at(worker)
        for name in list(self._lowered):
            self._lower(name, self._meters[name])
        if self._ticks % 120 == 0:
            now = self._clock()
            for name, divided in list(self._meters.items()):
                divided.division.out(now)
                if divided.division.idle and not divided.waiting:
                    del self._meters[name]
        if self._file.large:
            self._rewrite()

    def _write(self, worker: str, division: Division) -> None:
        pid, started = self._processes[worker]
        self._file.append(Row(worker=worker, pid=pid, started=started, held=_held(division, worker)))

    def _rewrite(self) -> None:
        """The file anew, with what is true now."""
        rows = []
        for divided in self._meters.values():
            division = divided.division
            for worker in division.holdings:
                if worker in self._processes and division.holdings[worker].share:
                    pid, started = self._processes[worker]
                    rows.append(Row(worker=worker, pid=pid, started=started, held=_held(division, worker)))
            for at, amount in division.left:
                held = Held(meter=division.name, most=division.most, width=division.width, given=amount)
                rows.append(Row(worker="", pid=0, started=at, held=held))
        self._file.rewrite(rows)


def _held(division: Division, worker: str) -> Held:
    holding = division.holdings[worker]
    return Held(
        meter=division.name, most=division.most, width=division.width, version=division.version, life=holding.life,
        given=holding.given, returned=holding.returned,
    )  # fmt: skip


def _name(hello: Hello) -> str:
    return f"w{hello.slot}/{hello.epoch}"
