"""Refusing early under simulated load: a worker with a fixed cost a call, and a loop that works off what it finds."""

import random
from collections.abc import Callable

import pytest

from entrepot.gateway.overload import TOO_LONG_S, WAITING_LIMIT, Overload

_SERVED_S, _READ_S = 100e-6, 10e-6


class Worker:
    """Looks at what has arrived, works it off, looks again. `clients`: calls a second by customer."""

    def __init__(self, clients: dict[str, float]) -> None:
        self.now = 10.0
        self.idle = 0.0  # and all else that is not this thread's work
        self._soon: list[Callable[[], None]] = []
        self.overload = Overload(lambda: self.now, lambda: self.now - self.idle, lambda work: self._soon.append(work))
        self.clients = clients
        self.served = dict.fromkeys(clients, 0)
        self.refused = dict.fromkeys(clients, 0)
        self.refused_after: list[float] = []
        self.waited: list[float] = []
        self._chance = random.Random(1)

    def run(self, seconds: float) -> None:
        until, due = self.now + seconds, []
        for name, rate in self.clients.items():
            at = self.now
            while at < until:
                at += self._chance.expovariate(rate)
                due.append((at, name))
        due.sort(reverse=True)
        while (due or self._soon) and self.now < until:
            self._soon, soon = [], self._soon
            for callback in soon:
                callback()
            if not self._soon and due and due[-1][0] > self.now:
                self.idle += due[-1][0] - self.now
                self.now = due[-1][0]
            while due and due[-1][0] <= self.now:
                self._arrives(*due.pop())

    def _arrives(self, at: float, name: str) -> None:
        self.now += _READ_S

        def start() -> None:
            self.now += _SERVED_S
            self.served[name] += 1
            self.waited.append(self.now - at)

        if self.overload.at_once():
            start()
        elif self.overload.queue(name, start) is None:
            self.refused[name] += 1
            self.refused_after.append(self.now - at)


def test_nobody_is_refused_below_the_peak() -> None:
    worker = Worker({"a": 5_000, "b": 3_000})
    worker.run(5)
    assert sum(worker.refused.values()) == 0


@pytest.mark.long
def test_a_short_burst_is_served_whole() -> None:
    worker = Worker({"a": 100_000})
    worker.run(0.02)
    worker.clients = {"a": 100}
    worker.run(2)
    assert worker.refused["a"] == 0


@pytest.mark.long
def test_at_three_times_the_load_it_is_served_what_can_be_and_refusals_are_fast() -> None:
    worker = Worker({"a": 10_000, "b": 10_000, "c": 10_000})
    worker.run(2)
    worker.served, worker.refused_after, worker.waited = dict.fromkeys("abc", 0), [], []
    worker.run(5)
    left = 1.0 - 3 * 10_000 * _READ_S
    assert sum(worker.served.values()) / 5 > 0.95 * left / _SERVED_S
    assert max(worker.refused_after) < 0.010
    assert sum(worker.waited) / len(worker.waited) < 2 * TOO_LONG_S
    assert max(worker.served.values()) < 1.05 * min(worker.served.values())


@pytest.mark.long
def test_who_asks_for_little_is_served_while_another_floods() -> None:
    worker = Worker({"flood": 30_000, "small": 200, "other": 500})
    worker.run(1)
    worker.served, worker.refused = dict.fromkeys(worker.clients, 0), dict.fromkeys(worker.clients, 0)
    worker.run(4)
    assert worker.refused["small"] == worker.refused["other"] == 0
    assert worker.refused["flood"] > worker.served["flood"]


@pytest.mark.long
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


def test_who_goes_away_while_waiting_is_not_started() -> None:
    worker = Worker({"a": 1})
    started: list[str] = []
    while worker.overload.at_once():
        worker.now += 1e-3
    first, second = (worker.overload.queue("a", lambda name=name: started.append(name)) for name in ("x", "y"))  # type: ignore[misc]
    assert first is not None
    assert second is not None
    assert worker.overload.waiting == 2
    first.client_gone()
    worker.run(1)
    assert started == ["y"]
    assert worker.overload.waiting == 0


@pytest.mark.long
def test_the_queue_is_bounded_also_before_anybody_is_refused() -> None:
    worker = Worker({"a": 1})
    while worker.overload.at_once():
        worker.now += 1e-3
    places = [worker.overload.queue("a", lambda: None) for _ in range(WAITING_LIMIT + 5)]
    assert [place is None for place in places] == [False] * WAITING_LIMIT + [True] * 5
