"""Windows and shares under simulated time: what is let through never exceeds a limit in any window."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entrepot.limits.rate import NEVER, SUB_BUCKETS, Meter, free_in, width_of
from entrepot.limits.share import Division, Held, Schedule

S = 1_000_000


def alone(most: int, window_s: int = 60) -> Meter:
    meter = Meter("m", most, width_of(window_s), life=1)
    meter.grant(1, most)
    return meter


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


def take(meter: Meter, now: int, amount: int = 1) -> bool:
    if now >= meter.turn_at:
        meter.turn(now)
    if meter.used + amount > meter.room:
        return False
    meter.add(amount)
    return True


@pytest.mark.parametrize("window_s", [1, 10, 60])
def test_no_window_holds_more_than_the_limit_and_98_percent_are_reachable(window_s: int) -> None:
    meter, chance, window = alone(1000, window_s), random.Random(window_s), window_s * S
    now, taken = 7 * S, []
    while now < 10 * window:
        now += chance.randint(1, window // 4000)
        if take(meter, now):
            taken.append((now, 1))
    assert most_in_a_window(taken, window) <= 1000
    assert len(taken) / ((now - 7 * S) / window) >= 984 * (1 - 1 / 10 / 61)


@pytest.mark.long
@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 20 * S), st.integers(1, 40), st.integers(-40, 60)), max_size=150))
def test_a_correction_lies_where_its_estimate_lies(calls: list[tuple[int, int, int]]) -> None:
    """Against a meter that keeps every call: the window holds the corrected amounts of the last 61 sub-buckets."""
    meter, now, kept = alone(10**9), 0, []
    for step, amount, difference in calls:
        now += step
        assert take(meter, now, amount)
        index = now // S
        now += step // 2
        if now >= meter.turn_at:
            meter.turn(now)
        difference = max(difference, -amount)
        meter.correct(index, difference)
        kept.append((index, amount + difference))
        assert meter.used == sum(size for at, size in kept if at > now // S - SUB_BUCKETS)
        assert sum(size for _, size in meter.schedule(now)) == meter.used


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 9 * S), st.integers(1, 30)), min_size=1, max_size=80), st.integers(1, 100))
def test_who_waits_as_long_as_told_is_let_through_and_no_microsecond_less(
    calls: list[tuple[int, int]], amount: int
) -> None:
    meter, now = alone(100), 5 * S
    for step, size in calls:
        now += step
        take(meter, now, size)
    meter.turn(now)
    wait = free_in(amount, 100, (meter.schedule(now),))
    assert wait < NEVER
    early = now + wait - 1
    if wait > 0:
        meter.turn(early)
        assert meter.used + amount > 100
    assert take(meter, now + wait, amount)


def test_calls_at_once_do_not_run_off() -> None:
    meter = Meter("calls", 2, 0)
    meter.grant(0, 2)
    assert take(meter, 5)
    assert take(meter, 5)
    assert not take(meter, 10**15)
    meter.correct(0, -1)
    assert take(meter, 10**15)


def test_a_lowered_share_is_given_up_as_it_runs_off() -> None:
    meter = alone(100)
    assert take(meter, S, 60)
    assert take(meter, 30 * S, 20)
    assert meter.cede(keep=50) == 20
    assert (meter.share, meter.room, meter.lowering) == (80, 50, 50)
    assert not take(meter, 40 * S)
    meter.turn(62 * S)
    assert meter.cede(keep=50) == 50
    assert (meter.share, meter.room, meter.lowering) == (50, 50, -1)
    assert take(meter, 62 * S, 30)
    assert not take(meter, 62 * S, 1)


# shares over workers, with messages that get lost, come twice, late and in any order


class Rig:
    """Some workers, a keeper, and a network that keeps every message ever sent and delivers what it likes."""

    def __init__(self, most: int, chance: random.Random, width: int = S) -> None:
        self.chance = chance
        self.most, self.width = most, width
        self.now = 100 * S
        self.keeper = Division("m", most, width)
        self.workers: dict[str, Meter] = {}
        self.born = 0
        self.to_keeper: list[tuple[str, Held, int]] = []  # need 0: something ceded
        self.to_worker: list[tuple[str, int, int]] = []
        self.taken: list[tuple[int, int]] = []

    def held(self, name: str) -> Held:
        meter = self.workers[name]
        if self.now >= meter.turn_at:
            meter.turn(self.now)
        return Held(
            meter="m", most=self.most, width=self.width, life=meter.life, given=meter.given, returned=meter.returned,
            window=meter.schedule(self.now),
        )  # fmt: skip

    def step(self) -> None:
        what, chance = self.chance.random(), self.chance
        names = sorted(self.workers)
        if not names or (what < 0.02 and len(names) < 4):
            self.born += 1
            self.workers[f"w{self.born}"] = Meter("m", self.most, self.width, life=1)
        elif what < 0.04:
            self.now += chance.randint(1, 30 * S)
        elif what < 0.14:
            self.now += chance.randint(1, S // 2)
        elif what < 0.54:
            name, amount = chance.choice(names), chance.randint(1, max(1, self.most // 5))
            if take(self.workers[name], self.now, amount):
                self.taken.append((self.now, amount))
            else:
                self.to_keeper.append((name, self.held(name), amount))
        elif what < 0.60:
            name = chance.choice(names)
            self.held(name)
            self.workers[name].cede(chance.choice((-1, -1, chance.randint(0, self.most))))
            self.to_keeper.append((name, self.held(name), 0))
        elif what < 0.93:
            self.deliver()
        elif what < 0.96:
            self.end(chance.choice(names), in_order=chance.random() < 0.5)
        elif what < 0.98:
            self.forget(chance.choice(names))
        else:
            self.restart()

    def deliver(self) -> None:
        """One of the last messages, or any that was ever sent."""
        chance = self.chance
        last = -5 if chance.random() < 0.8 else 0
        if self.to_keeper and chance.random() < 0.5:
            name, held, need = chance.choice(self.to_keeper[last:])
            if name not in self.workers:  # a connection ends before its worker is known to be gone
                return
            if need:
                self.keeper.ask(name, held, need, need, len(self.workers), self.now)
            else:
                self.keeper.learn(name, held, self.now)
            holding = self.keeper.holdings[name]
            self.to_worker.append((name, holding.life, holding.given))
        elif self.to_worker:
            name, life, given_ = chance.choice(self.to_worker[last:])
            if name in self.workers:
                self.workers[name].grant(life, given_)

    def end(self, name: str, *, in_order: bool) -> None:
        window = self.held(name).window
        if in_order:
            self.keeper.learn(name, self.held(name), self.now)
        del self.workers[name]
        self.now += self.chance.randint(0, 3 * S)
        self.keeper.gone(name, self.now, window if in_order else None)

    def forget(self, name: str) -> None:
        """A worker that has nothing of it lets go; later it begins anew."""
        meter = self.workers[name]
        self.held(name)
        if not meter.used:
            meter.cede()
            self.workers[name] = Meter("m", self.most, self.width, life=meter.life + 1)

    def restart(self) -> None:
        """A new keeper: it knows what each worker was last given (written down before it was sent), no more."""
        fresh = Division("m", self.most, self.width)
        for name, holding in self.keeper.holdings.items():
            if name in self.workers:
                fresh.learn(name, Held(meter="m", most=self.most, width=self.width, life=holding.life,
                                       given=holding.given, returned=holding.returned), self.now)  # fmt: skip
        fresh.left = list(self.keeper.left)
        self.keeper = fresh


@pytest.mark.long
@settings(max_examples=300, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from((3, 10, 1000)))
def test_over_all_workers_no_window_holds_more_than_the_limit(seed: int, most: int) -> None:
    rig = Rig(most, random.Random(seed))
    for _ in range(400):
        rig.step()
        assert rig.keeper.out(rig.now) <= most
        assert sum(meter.share for meter in rig.workers.values()) <= most
        assert all(meter.used <= meter.share for meter in rig.workers.values())
    assert most_in_a_window(rig.taken, 60 * S) <= most


def test_the_property_can_fail() -> None:
    """A keeper that takes a dead worker's share back at once lets too much through."""
    worst = 0
    for seed in range(60):
        rig = Rig(10, random.Random(seed))
        rig.keeper.gone = lambda name, _now, _window=None, rig=rig: rig.keeper.holdings.pop(name, None)  # type: ignore
        for _ in range(400):
            rig.step()
        worst = max(worst, most_in_a_window(rig.taken, 60 * S))
    assert worst > 10


def test_what_is_given_ahead_leaves_something_for_others() -> None:
    division = Division("m", 1000, S)
    for number in range(4):
        held = Held(meter="m", most=1000, width=S, life=1)
        assert division.ask(f"w{number}", held, 1, 1, 4, 0)
    assert division.out(0) <= 1000 * 4 // 16 + 4
    small = Division("m", 3, S)
    assert small.ask("w1", Held(meter="m", most=3, width=S, life=1), 1, 1, 4, 0)
    assert small.out(0) == 1


def test_a_grant_that_was_lost_is_said_again_not_given_again() -> None:
    division, held = Division("m", 10, S), Held(meter="m", most=10, width=S, life=1)
    assert division.ask("w1", held, 9, 9, 4, 0)
    before = division.holdings["w1"].given
    assert division.ask("w1", held, 9, 9, 4, 0)
    assert division.holdings["w1"].given == before


def test_the_share_of_a_dead_worker_is_free_after_a_window_and_its_calls_at_once() -> None:
    division = Division("m", 10, S)
    division.ask("w1", Held(meter="m", most=10, width=S, life=1), 10, 10, 1, 0)
    division.gone("w1", 5 * S)
    assert division.available(66 * S - 1) == 0
    assert division.available(66 * S) == 10
    calls = Division("c", 10, 0)
    calls.ask("w1", Held(meter="c", most=10, width=0, life=1), 10, 10, 1, 0)
    calls.gone("w1", 5 * S)
    assert calls.available(5 * S) == 10


def test_a_worker_that_ends_in_order_leaves_only_what_it_used() -> None:
    division = Division("m", 10, S)
    division.ask("w1", Held(meter="m", most=10, width=S, life=1), 10, 10, 1, 0)
    window: Schedule = ((30 * S, 2), (50 * S, 3))
    division.gone("w1", 5 * S, window)
    assert [division.available(at * S) for at in (5, 35, 55)] == [5, 7, 10]


def test_a_newer_snapshot_says_the_limit_and_what_is_above_it_comes_down() -> None:
    division = Division("m", 100, S, version=1)
    for name in ("w1", "w2"):
        division.ask(name, Held(meter="m", most=100, width=S, version=1, life=1), 40, 40, 2, 0)
    division.learn("w1", Held(meter="m", most=40, width=S, version=2, life=1, given=60), 0)
    division.learn("w2", Held(meter="m", most=100, width=S, version=1, life=1, given=40), 0)
    assert division.most == 40
    targets = division.keep_to(0)
    assert set(targets) == {"w1", "w2"}
    assert sum(targets.values()) <= 40
