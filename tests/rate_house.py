"""Workers and a keeper that divide limits, under simulated time: real parts, only socket and clock are simulated."""

import random
from collections.abc import Callable
from pathlib import Path

from entrepot.gateway.problem import Problem
from entrepot.gateway.ratelines import Allowance, Taken
from entrepot.gateway.rates import Rates
from entrepot.gateway.rates import Waiter as Waiter
from entrepot.keeper import rates as keeper_rates
from entrepot.keeper.sharefile import ShareFile
from entrepot.limits.message import FromKeeper, Hello, ToKeeper, frame, from_keeper, split, to_keeper
from entrepot.snapshot import LimitEntry
from hand_driven import Loop

S = 1_000_000


class Peer:
    """The keeper's end of one connection."""

    def __init__(self, worker: "Worker") -> None:
        self.worker = worker

    def send(self, message: FromKeeper) -> None:
        self.worker.house.post(lambda: self.worker.peer is self and self.worker.rates.hear(_again(message)))


def _again(message: FromKeeper) -> FromKeeper:
    [body] = split(bytearray(frame(message)))
    return from_keeper.decode(body)


class Worker:
    """One worker's shares, with a pid that the keeper can look at."""

    def __init__(self, house: "House", slot: int, epoch: int, limit: LimitEntry) -> None:
        self.house = house
        self.pid = 1000 * slot + epoch
        self.slot, self.epoch = slot, epoch
        self.rates = Rates(house.loop, house.clock)
        self.peer: Peer | None = None
        self.alive = True
        self.name = Hello(slot=slot, epoch=epoch, pid=self.pid, snapshot=1)
        self.limited(limit)
        house.living.add(self.pid)

    def limited(self, limit: LimitEntry, version: int = 1) -> None:
        self.rates.renew(version)
        found = self.rates.allowance([(limit.id, "this key", limit)])
        assert found is not None
        self.allowance: Allowance = found

    def hello(self) -> Hello:
        return Hello(slot=self.slot, epoch=self.epoch, pid=self.pid, snapshot=1, shares=self.rates.held())

    def link(self) -> None:
        house, peer = self.house, Peer(self)
        self.peer = peer

        def send(message: ToKeeper) -> None:
            [body] = split(bytearray(frame(message)))
            heard = to_keeper.decode(body)
            house.post(lambda: self.peer is peer and house.keeper and house.keeper.hear(self.name, heard))  # type: ignore

        if house.keeper is not None:
            house.keeper.hello(peer, self.hello())
            self.rates.linked(send)

    def unlink(self) -> None:
        peer, self.peer = self.peer, None
        self.rates.linked(None)
        if peer is not None and self.house.keeper is not None:
            self.house.keeper.gone(peer, self.hello())

    def die(self, *, in_order: bool = False) -> None:
        self.alive = False
        if in_order:
            self.rates.leave()
            self.house.loop.pass_time(0.001)
        self.house.living.discard(self.pid)
        self.unlink()

    def call(self, tokens: int, heard: Callable[[Problem | Taken], None]) -> None:
        """One call: `heard` gets what it took, or why not."""
        house = self.house

        def decided(word: Problem | None) -> None:
            if not self.alive:
                return
            if word is None:
                house.taken.append((house.clock(), tokens if self.allowance.tokens else 1))
                heard(Taken(self.allowance, tokens))
            else:
                heard(word)

        answer = self.rates.admit(self.allowance, tokens, house.clock(), decided)
        if not isinstance(answer, Waiter):
            decided(answer)


class House:
    """The keeper, its workers, and the time."""

    def __init__(self, where: Path, limit: LimitEntry, workers: int, *, seed: int = 1) -> None:
        self.loop = Loop()
        self.loop.now = 1000.0
        self.chance = random.Random(seed)
        self.limit = limit
        self.file = where / "shares"
        self.living: set[int] = set()
        self.taken: list[tuple[int, int]] = []
        self.keeper: keeper_rates.Rates | None = None
        self.workers: list[Worker] = []
        self.epoch = 0
        keeper_rates.started_at = lambda pid: 7 if pid in self.living else 0
        self.start_keeper()
        for slot in range(1, workers + 1):
            self.add(slot)
        self._ticking()

    def clock(self) -> int:
        return round(self.loop.now * S)

    def post(self, deliver: Callable[[], object]) -> None:
        """A message takes a moment; messages of one connection stay in order."""
        self.loop.call_later(0.0002, deliver)

    def add(self, slot: int) -> Worker:
        self.epoch += 1
        worker = Worker(self, slot, self.epoch, self.limit)
        self.workers.append(worker)
        worker.link()
        return worker

    def start_keeper(self) -> None:
        self.keeper = keeper_rates.Rates(self.loop, self.clock, ShareFile(self.file, "boot"))
        for worker in self.workers:
            if worker.alive:
                worker.link()

    def stop_keeper(self) -> None:
        self.keeper = None
        for worker in self.workers:
            if worker.alive:
                worker.unlink()

    def _ticking(self) -> None:
        if self.keeper is not None:
            self.keeper.tick()
        for worker in self.workers:
            if worker.alive and int(self.loop.now * 2) % 2 == 0:
                worker.rates.tick()
        self.loop.call_later(0.5, self._ticking)

    def flood(self, seconds: float, share: tuple[float, ...], per_s: int, tokens: int = 1) -> int:
        """Calls at `per_s` over the living workers as `share` says; how many were let through."""
        before = len(self.taken)
        until = self.loop.now + seconds
        while self.loop.now < until:
            self.loop.pass_time(self.chance.expovariate(per_s))
            [worker] = self.chance.choices([each for each in self.workers if each.alive], share)
            worker.call(tokens, lambda _answer: None)
        return len(self.taken) - before


def most_in_a_window(taken: list[tuple[int, int]], window: int) -> int:
    """The largest sum of any half-open window of that length."""
    worst = total = first = 0
    for at, amount in taken:
        total += amount
        while taken[first][0] <= at - window:
            total -= taken[first][1]
            first += 1
        worst = max(worst, total)
    return worst
