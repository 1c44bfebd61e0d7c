"""Limits over several workers and a keeper, under simulated time: never above, nearly all of it, truthful waits."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from entrepot.gateway.problem import Problem
from entrepot.gateway.ratelines import Taken, duration
from entrepot.keeper import rates as keeper_rates
from entrepot.keeper.sharefile import started_at
from entrepot.snapshot import LimitEntry
from rate_house import House, S, most_in_a_window


@pytest.fixture(autouse=True)
def _processes() -> Iterator[None]:
    yield
    keeper_rates.started_at = started_at


def per_minute(requests: int = 0, tokens: int = 0, concurrent: int = 0, window_s: int = 60) -> LimitEntry:
    return LimitEntry(
        id="l", scope="key", requests=requests, tokens=tokens, concurrent=concurrent, window_s=window_s
    )  # fmt: skip


def ask(house: House, number: int = 0, tokens: int = 1) -> Problem | Taken:
    found: list[Problem | Taken] = []
    house.workers[number].call(tokens, found.append)
    for _ in range(300):
        if found:
            break
        house.loop.pass_time(0.001)
    return found[0]


UNEVEN = {1: (1.0,), 2: (0.9, 0.1), 4: (0.85, 0.1, 0.05, 0.001)}


@pytest.mark.long
@pytest.mark.parametrize("workers", [1, 2, 4])
@pytest.mark.parametrize("uneven", [False, True])
def test_a_flood_reaches_97_percent_and_never_more_than_all(tmp_path: Path, workers: int, uneven: bool) -> None:
    house = House(tmp_path, per_minute(requests=600), workers)
    share = UNEVEN[workers] if uneven else (1.0,) * workers
    house.flood(20, share, 40)
    passed = house.flood(183, share, 40)  # three turns of 61 s
    assert most_in_a_window(house.taken, 60 * S) <= 600
    assert passed / 183 * 60 >= 0.97 * 600


@pytest.mark.parametrize(("window_s", "requests"), [(1, 50), (10, 100)])
def test_short_windows_are_held_and_reached_as_well(tmp_path: Path, window_s: int, requests: int) -> None:
    house = House(tmp_path, per_minute(requests=requests, window_s=window_s), 2)
    rate = 4 * requests // window_s
    house.flood(2 * window_s, (1.0, 1.0), rate)
    passed = house.flood(8 * window_s, (1.0, 1.0), rate)
    assert most_in_a_window(house.taken, window_s * S) <= requests
    assert passed / 8 >= 0.9 * requests  # a worker asks for what others do not use at most ten times a second


@pytest.mark.long
@pytest.mark.parametrize("workers", [1, 2, 4])
def test_tokens_are_held_and_reached(tmp_path: Path, workers: int) -> None:
    house = House(tmp_path, per_minute(tokens=60_000), workers)
    house.flood(61, UNEVEN[workers], 30, tokens=250)
    passed = house.flood(183, UNEVEN[workers], 30, tokens=250)
    assert most_in_a_window(house.taken, 60 * S) <= 60_000
    assert passed * 250 / 183 * 60 >= 0.97 * 60_000


@pytest.mark.parametrize("requests", [1, 3, 7])
def test_limits_below_four_per_worker_are_used_by_whoever_comes(tmp_path: Path, requests: int) -> None:
    house = House(tmp_path, per_minute(requests=requests), 4)
    for number in range(requests):
        assert isinstance(ask(house, number % 4), Taken)
    refused = ask(house, 2)
    assert isinstance(refused, Problem)
    assert refused.retry_after_ms is not None
    assert 58_000 < refused.retry_after_ms <= 61_000


@pytest.mark.parametrize("asked", [0, 1, 3])
def test_who_waits_exactly_as_long_as_told_is_let_through_by_any_worker(tmp_path: Path, asked: int) -> None:
    house = House(tmp_path, per_minute(tokens=1000), 4)
    house.flood(30, UNEVEN[4], 40, tokens=90)
    refused = ask(house, asked, tokens=400)
    assert isinstance(refused, Problem)
    assert refused.retry_after_ms is not None
    house.loop.pass_time(refused.retry_after_ms / 1000)
    assert isinstance(ask(house, (asked + 1) % 4, tokens=400), Taken)


def test_who_comes_back_a_second_earlier_is_not_let_through(tmp_path: Path) -> None:
    house = House(tmp_path, per_minute(tokens=1000), 2)
    for number in (0, 1, 0, 1):
        assert isinstance(ask(house, number, tokens=250), Taken)
        house.loop.pass_time(5)
    refused = ask(house, 0, tokens=500)
    assert isinstance(refused, Problem)
    assert refused.retry_after_ms is not None
    house.loop.pass_time(refused.retry_after_ms / 1000 - 1.1)
    assert isinstance(ask(house, 1, tokens=500), Problem)


@pytest.mark.parametrize("in_order", [False, True])
def test_a_worker_that_is_replaced_again_and_again_lets_no_more_through(tmp_path: Path, in_order: bool) -> None:
    house = House(tmp_path, per_minute(requests=300), 2)
    for round_ in range(6):
        house.flood(25, (1.0, 1.0), 30)
        victim = house.workers[round_ % 2]
        if in_order:  # generations overlap: the new one comes first
            fresh = house.add(round_ % 2 + 1)
            house.flood(3, (1.0, 1.0, 1.0), 30)
            victim.die(in_order=True)
        else:
            victim.die()
            house.loop.pass_time(0.3)
            fresh = house.add(round_ % 2 + 1)
        house.workers.remove(fresh)
        house.workers[round_ % 2] = fresh
    assert most_in_a_window(house.taken, 60 * S) <= 300


def test_the_calls_of_a_dead_worker_are_free_at_once(tmp_path: Path) -> None:
    house = House(tmp_path, per_minute(concurrent=3), 2)
    assert all(isinstance(ask(house, 0), Taken) for _ in range(3))
    refused = ask(house, 1)
    assert isinstance(refused, Problem)
    assert refused.code == "concurrency_limit_exceeded"
    house.workers[0].die()
    house.loop.pass_time(1)
    assert all(isinstance(ask(house, 1), Taken) for _ in range(3))


def test_a_connection_that_breaks_frees_nothing_while_its_worker_lives(tmp_path: Path) -> None:
    house = House(tmp_path, per_minute(concurrent=3), 2)
    assert all(isinstance(ask(house, 0), Taken) for _ in range(3))
    house.workers[0].unlink()
    house.loop.pass_time(5)
    assert isinstance(ask(house, 1), Problem)
    house.workers[0].link()
    house.loop.pass_time(2)
    assert isinstance(ask(house, 1), Problem)


def test_calls_at_once_move_to_the_worker_that_has_use_for_them(tmp_path: Path) -> None:
    house = House(tmp_path, per_minute(concurrent=4), 2)
    first = [ask(house, 0) for _ in range(4)]
    for taken in first:
        assert isinstance(taken, Taken)
        taken.end(1)
    assert all(isinstance(ask(house, 1), Taken) for _ in range(4))
    assert isinstance(ask(house, 0), Problem)


def test_with_the_keeper_gone_shares_in_hand_go_on_and_a_new_keeper_gives_no_more_than_is_left(tmp_path: Path) -> None:
    house = House(tmp_path, per_minute(requests=120), 2)
    house.flood(30, (0.7, 0.3), 10)
    house.stop_keeper()
    gone = house.flood(61, (0.7, 0.3), 10)
    assert gone >= 0.97 * 120 - 5  # all of the limit was out by then
    house.start_keeper()
    house.flood(30, (0.2, 0.8), 10)
    house.stop_keeper()
    house.workers[0].die()  # while nobody looks
    house.start_keeper()
    house.flood(90, (0.0, 1.0)[1:], 10)
    assert most_in_a_window(house.taken, 60 * S) <= 120
    assert len([at for at, _ in house.taken if at > house.clock() - 30 * S]) > 25  # its share has come back


def test_a_new_keeper_counts_what_the_old_one_gave_to_workers_that_have_not_come_back(tmp_path: Path) -> None:
    house = House(tmp_path, per_minute(requests=10), 2)
    assert all(isinstance(ask(house, 0), Taken) for _ in range(10))
    house.stop_keeper()
    absent = house.workers[0]
    absent.link = lambda: None  # type: ignore[method-assign]
    house.start_keeper()
    house.loop.pass_time(50)
    assert isinstance(ask(house, 1), Problem)


def test_without_a_keeper_and_without_a_share_nothing_is_promised(tmp_path: Path) -> None:
    house = House(tmp_path, per_minute(requests=10), 1)
    house.stop_keeper()
    refused = ask(house)
    assert isinstance(refused, Problem)
    assert (refused.status, refused.code) == (503, "limit_unavailable")


def test_a_keeper_that_does_not_answer_is_waited_for_a_quarter_of_a_second(tmp_path: Path) -> None:
    house = House(tmp_path, per_minute(requests=10), 1)
    assert house.keeper is not None
    house.keeper.hear = lambda *_: None  # type: ignore[method-assign]
    began = house.loop.now
    refused = ask(house)
    assert isinstance(refused, Problem)
    assert refused.code == "limit_unavailable"
    assert house.loop.now - began < 0.26


@pytest.mark.long
def test_a_lowered_limit_holds_after_a_window_and_a_raised_one_at_once(tmp_path: Path) -> None:
    house = House(tmp_path, per_minute(requests=600), 2)
    house.flood(90, (0.5, 0.5), 30)
    for worker in house.workers:
        worker.limited(per_minute(requests=200), version=2)
    house.flood(62, (0.5, 0.5), 30)
    begun = len(house.taken)
    house.flood(130, (0.9, 0.1), 30)
    assert most_in_a_window(house.taken[begun:], 60 * S) <= 200
    for worker in house.workers:
        worker.limited(per_minute(requests=400), version=3)
    begun = len(house.taken)
    house.flood(20, (0.9, 0.1), 30)
    assert len(house.taken) - begun >= 200  # those of the lowered limit are still in the window


def test_a_call_above_the_whole_limit_is_told_so_and_not_to_retry(tmp_path: Path) -> None:
    house = House(tmp_path, per_minute(tokens=100), 1)
    refused = ask(house, tokens=101)
    assert isinstance(refused, Problem)
    assert (refused.status, refused.retry, refused.retry_after_ms) == (429, False, None)
    assert "101" in refused.message
    assert "100 tokens per minute" in refused.message


def test_what_remains_counts_what_other_workers_use(tmp_path: Path) -> None:
    house = House(tmp_path, per_minute(requests=100), 2)
    for number in (0, 0, 0, 1, 1):
        assert isinstance(ask(house, number), Taken)
    house.loop.pass_time(3)
    for worker in house.workers:
        lines = worker.allowance.lines(house.clock())
        assert b"x-ratelimit-limit-requests: 100\r\nx-ratelimit-remaining-requests: 95\r\n" in lines
        assert b"x-ratelimit-reset-requests: 5" in lines  # about 58 s
    house.loop.pass_time(61)
    lines = house.workers[0].allowance.lines(house.clock())
    assert b"remaining-requests: 100\r\nx-ratelimit-reset-requests: 0ms\r\n" in lines


def test_a_refusal_by_tokens_counts_as_a_request_and_one_by_requests_does_not(tmp_path: Path) -> None:
    house = House(tmp_path, per_minute(requests=3, tokens=100), 1)
    assert isinstance(ask(house, tokens=100), Taken)
    for _ in range(2):
        assert isinstance(ask(house, tokens=100), Problem)
    requests = house.workers[0].allowance.requests[0]
    assert requests.used == 3
    refused = ask(house, tokens=1)
    assert isinstance(refused, Problem)
    assert "requests per minute" in refused.message
    assert requests.used == 3


def test_an_ended_call_counts_what_it_used_and_frees_its_place(tmp_path: Path) -> None:
    house = House(tmp_path, per_minute(tokens=1000, concurrent=1), 1)
    taken = ask(house, tokens=900)
    assert isinstance(taken, Taken)
    taken.end(300)
    again = ask(house, tokens=700)
    assert isinstance(again, Taken)
    again.end(900)  # more than was thought: counted, and above the limit
    meters = house.workers[0].allowance
    assert meters.tokens[0].used == 1200
    assert meters.calls[0].used == 0
    assert b"remaining-tokens: 0\r\n" in meters.lines(house.clock())


def test_an_unused_share_goes_back_after_ten_minutes_and_is_forgotten_with_the_next_snapshot(tmp_path: Path) -> None:
    house = House(tmp_path, per_minute(requests=100), 1)
    assert isinstance(ask(house), Taken)
    house.loop.pass_time(700)
    rates = house.workers[0].rates
    assert house.workers[0].allowance.requests[0].share == 0
    rates.renew(2)
    assert not rates._meters
    house.workers[0].limited(house.limit, version=2)
    assert isinstance(ask(house), Taken)


def test_a_meter_that_a_waiting_call_is_to_take_of_outlives_a_new_snapshot(tmp_path: Path) -> None:
    """The call waits for requests; forgotten meanwhile, its tokens would have counted on a meter that nobody sees."""
    house = House(tmp_path, per_minute(requests=100, tokens=1000), 1)
    rates = house.workers[0].rates
    rates.linked(lambda _message: None)  # a keeper that does not answer
    rates.admit(house.workers[0].allowance, 10, house.clock(), lambda _word: None)
    tokens = house.workers[0].allowance.tokens[0]
    tokens.asking = False
    rates.renew(2)
    assert rates._meters[tokens.name] is tokens


@pytest.mark.parametrize(
    ("us", "text"),
    [(0, b"0ms"), (1, b"1ms"), (17_000, b"17ms"), (1_000_000, b"1s"), (1_000_001, b"2s"), (60_500_000, b"1m1s"),
     (360_000_000, b"6m0s"), (4_000_000_000, b"66m40s")],
)  # fmt: skip
def test_a_duration_reads_as_openai_writes_it(us: int, text: bytes) -> None:
    assert duration(us) == text
