"""Refusing early under simulated load: a worker with a fixed cost a call, and a loop that works off what it finds."""

import random
from collections.abc import Callable

from entrepot.gateway.overload import Overload

_SERVED_S, _REFUSED_S = 100e-6, 10e-6


class Worker:
    """Looks at what has arrived, works it off, looks again. `clients`: calls a second by customer."""

    def __init__(self, clients: dict[str, float]) -> None:
        self.now = 10.0
        self._soon: list[Callable[[], None]] = []
        self.overload = Overload(lambda: self.now, lambda: self.now - self.idle, self._soon.append, lambda: self.done)
        self.done = 0
        self.idle = 0.0  # and all else that is not this thread's work
        self.clients = clients
        self.served = dict.fromkeys(clients, 0)
        self.refused = dict.fromkeys(clients, 0)
        self.refused_after: list[float] = []
        self._chance = random.Random(1)

    def run(self, seconds: float) -> None:
        until, due = self.now + seconds, []
        for name, rate in self.clients.items():
            at = self.now
            while at < until:
                at += self._chance.expovariate(rate)
                due.append((at, name))
        due.sort(reverse=True)
        while due and self.now < until:
            batch = []
            while due and due[-1][0] <= self.now:
                batch.append(due.pop())
            if not batch:
                self.idle += max(0.0, due[-1][0] - self.now)
                self.now = max(self.now, due[-1][0])
                continue
            for at, name in batch:
                if self.overload.admits(name):
                    self.now += _SERVED_S
                    self.served[name] += 1
                    self.done += 1
                else:
                    self.now += _REFUSED_S
                    self.refused[name] += 1
                    self.refused_after.append(self.now - at)
            self._soon, soon = [], self._soon
            self.overload._soon = self._soon.append
            for callback in soon:
                callback()


def test_nobody_is_refused_below_the_peak() -> None:
    worker = Worker({"a": 5_000, "b": 3_000})
    worker.run(5)
    assert sum(worker.refused.values()) == 0


def test_a_short_burst_is_served_whole() -> None:
    worker = Worker({"a": 100_000})
    worker.run(0.02)
    worker.clients = {"a": 100}
    worker.run(2)
    assert worker.refused["a"] == 0


def test_at_three_times_the_load_it_is_served_nearly_what_can_be_and_refusals_are_fast() -> None:
    worker = Worker({"a": 10_000, "b": 10_000, "c": 10_000})
    worker.run(2)
    worker.served, worker.refused_after = dict.fromkeys("abc", 0), []
    worker.run(5)
    left = 1.0 - 3 * 10_000 * _REFUSED_S  # what would remain if reading a request already cost a refusal
    assert sum(worker.served.values()) / 5 > 0.85 * left / (_SERVED_S - _REFUSED_S)
    slow = sorted(worker.refused_after)[int(0.99 * len(worker.refused_after))]
    assert slow < 0.060
    assert sum(worker.refused_after) / len(worker.refused_after) < 0.020


def test_who_asks_for_little_is_served_while_another_floods() -> None:
    worker = Worker({"flood": 30_000, "small": 200, "other": 500})
    worker.run(1)
    worker.served, worker.refused = dict.fromkeys(worker.clients, 0), dict.fromkeys(worker.clients, 0)
    worker.run(4)
    for name in ("small", "other"):
        assert worker.refused[name] <= 0.05 * (worker.served[name] + worker.refused[name])
    assert worker.refused["flood"] > worker.served["flood"]


def test_it_ends_when_the_load_does() -> None:
    worker = Worker({"a": 40_000})
    worker.run(2)
    assert worker.overload.refusing
    worker.clients = {"a": 4_000}
    worker.run(2)
    worker.refused = {"a": 0}
    worker.run(2)
    assert not worker.overload.refusing
    assert worker.refused["a"] == 0


def test_what_others_take_of_the_machine_refuses_nobody() -> None:
    worker = Worker({"a": 3_000})
    for _ in range(100):
        worker.run(0.02)
        worker.now += 0.08
        worker.idle += 0.08
    assert worker.refused["a"] == 0
