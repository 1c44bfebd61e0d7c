"""Random schedules of the leases under simulated time, each compared with the reference.

`SCHEDULES=10000` runs ten thousand: twelve minutes of processor time, so `make test` runs 600 of them.
"""

import os
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from simulated_money import World

SCHEDULES = int(os.environ.get("SCHEDULES", "600"))
_AT_ONCE = 250


def play(first: int) -> Counter[str]:
    """Raises Disagreement, with the seed."""
    found: Counter[str] = Counter()
    for seed in range(first, first + _AT_ONCE):
        world = World(seed)
        world.play()
        found += world.refused
        found["admitted"] += world.admitted
    return found


def test_every_schedule_agrees_with_the_reference() -> None:
    found: Counter[str] = Counter()
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        for each in pool.map(play, range(0, SCHEDULES, _AT_ONCE)):
            found += each
    assert found["admitted"] > 3 * SCHEDULES
    assert min(found["held"], found["spent"]) > SCHEDULES // 100, found
