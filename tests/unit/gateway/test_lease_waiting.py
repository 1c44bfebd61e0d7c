"""Calls that wait for their leases, and leases that go back, against a keeper on a real local socket."""

import asyncio
from pathlib import Path
from typing import Literal

import pytest

from entrepot.kernel.instants import DAY, MINUTE, parse
from entrepot.limits.message import (
    FromKeeper,
    Granted,
    Recall,
    Returned,
    ToKeeper,
    Want,
    frame,
)
from entrepot.metering.record import LeaseTotals, Return
from lease_bench import Bench, run


def test_of_many_that_wait_each_hears_its_own_word(tmp_path: Path) -> None:
    """One answer for all: those that fit go on, past one that does not; held or spent is said of each hold."""

    def answer(message: ToKeeper) -> list[FromKeeper]:
        if not isinstance(message, Want):
            return []
        assert message.holds == (900, 60, 120, 30)
        return [Granted(balance="acme", total=90, short="held", left=400, room=5, number=message.number)]

    async def work(bench: Bench) -> None:
        words = [await word for word in [bench.need(hold) for hold in (900, 60, 120, 30)]]
        assert (words[1], words[3]) == (None, None)
        assert [(word.short, word.left, word.room) for word in (words[0], words[2]) if isinstance(word, Granted)] == [
            ("spent", 400, 5), ("held", 400, 5),
        ]  # fmt: skip

    async def waiting(bench: Bench) -> None:
        first = bench.leases._account("acme")
        first.asked, first.asked_at = 1, asyncio.get_running_loop().time()  # a question is under way
        task = asyncio.ensure_future(work(bench))
        await asyncio.sleep(0)
        first.asked = 0
        bench.leases._ask(first)
        await task

    run(tmp_path, answer, waiting)


def test_a_call_draws_on_all_its_leases_or_on_none(tmp_path: Path) -> None:
    """Balance and two budgets: what it took while it waited is free again when the last one is spent."""
    limits = {"acme": 1000, "acme/budget/a/total": 1000, "acme/budget/b/total": 50}
    granted = dict.fromkeys(limits, 0)

    def answer(message: ToKeeper) -> list[FromKeeper]:
        if not isinstance(message, Want):
            return []
        name = message.balance
        if message.need <= limits[name] - granted[name]:
            granted[name] += message.need
            return [Granted(balance=name, total=granted[name], number=message.number)]
        left = limits[name]
        return [Granted(balance=name, total=granted[name], short="spent", left=left, number=message.number)]

    async def work(bench: Bench) -> None:
        leases = tuple(map(bench.leases.lease, limits))
        word: asyncio.Future[Granted | str | None] = asyncio.get_running_loop().create_future()
        bench.leases.need(leases, 60, word.set_result)
        refused = await word
        assert isinstance(refused, Granted)
        assert (refused.balance, refused.short) == ("acme/budget/b/total", "spent")
        assert [lease.held for lease in leases] == [0, 0, 0]
        taken: asyncio.Future[Granted | str | None] = asyncio.get_running_loop().create_future()
        bench.leases.need(leases, 40, taken.set_result)
        assert await taken is None
        assert [lease.held for lease in leases] == [40, 40, 40]
        bench.leases.end(leases, 40, 15)
        assert [(lease.held, lease.charged) for lease in leases] == [(0, 15)] * 3

    run(tmp_path, answer, work)


def test_of_several_that_lack_money_the_one_with_least_is_named(tmp_path: Path) -> None:
    """Balance and one budget are spent, another is only held: the caller hears of the smallest figure."""
    left = {"acme": 40, "acme/budget/a/total": 15, "acme/budget/b/total": 1000}

    def answer(message: ToKeeper) -> list[FromKeeper]:
        if not isinstance(message, Want):
            return []
        name, number = message.balance, message.number
        if not message.holds:
            return [Granted(balance=name, total=0, number=number)]
        short: Literal["held", "spent"] = "spent" if message.hold > left[name] else "held"
        return [Granted(balance=name, total=0, short=short, left=left[name], number=number)]

    async def work(bench: Bench) -> None:
        leases = tuple(map(bench.leases.lease, left))
        for hold, name, short in ((60, "acme/budget/a/total", "spent"), (30, "acme/budget/a/total", "spent")):
            word: asyncio.Future[Granted | str | None] = asyncio.get_running_loop().create_future()
            bench.leases.need(leases, hold, word.set_result)
            refused = await word
            assert isinstance(refused, Granted)
            assert (refused.balance, refused.short, refused.left) == (name, short, 15)
        assert [lease.held for lease in leases] == [0, 0, 0]

    run(tmp_path, answer, work)


def test_a_hold_that_ends_lets_the_next_one_go(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        lease = bench.leases.lease("acme")
        assert lease.take(100)
        waiting = bench.need(80)
        await asyncio.sleep(0.01)
        bench.leases.end((lease,), 100, 10)
        assert await waiting is None

    run(tmp_path, lambda _message: [], work, [LeaseTotals("acme", 100, 0, 0)])


@pytest.mark.long
def test_a_recall_is_answered_in_any_case(tmp_path: Path) -> None:
    """With something free, with nothing, of a lease never seen, and while calls wait here."""

    async def work(bench: Bench) -> None:
        async def answer(name: str, count: int) -> Returned:
            bench.writers[0].write(frame(Recall(name)))
            while len(found := [m for m in bench.heard if isinstance(m, Returned) and m.balance == name]) < count:
                await asyncio.sleep(0)
            return found[-1]

        assert (await answer("acme", 1)).total == 100
        assert (await answer("acme", 2)).total == 100
        assert (await answer("nobody", 1)).total == 0
        waiting = bench.need(500)
        bench.leases.lease("zeta").granted = 7
        assert (await answer("zeta", 1)).total == 7
        assert await waiting == ""

    run(tmp_path, lambda _message: [], work, [LeaseTotals("acme", 100, 0, 0)])


def test_at_a_clean_end_everything_free_is_durably_given_back(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        bench.leases.lease("acme").take(30)
        bench.durable_at_once = False
        done = asyncio.ensure_future(bench.leases.give_back_all())
        await asyncio.sleep(0.01)
        assert bench.journal == [Return("acme", 70), Return("zeta", 8)]
        assert not done.done()
        for durable in bench.waiting:
            durable()
        assert await done
        assert [lease.free for lease in map(bench.leases.lease, ("acme", "zeta"))] == [0, 0]

    run(tmp_path, lambda _message: [], work, [LeaseTotals("acme", 100, 0, 0), LeaseTotals("zeta", 8, 0, 0)])


def test_what_nobody_uses_goes_back_and_what_is_used_stays(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        account = bench.leases._account("acme")
        bench.leases.tick(0)
        assert bench.journal == []
        account.used_at -= 900
        account.lease.take(10)
        bench.leases.tick(0)
        assert bench.journal == []  # a call is under way
        account.lease.end(10, 0)
        bench.leases.tick(0)
        account.used_at -= 900
        bench.leases.tick(0)
        assert bench.journal == [Return("acme", 100)]

    run(tmp_path, lambda _message: [], work, [LeaseTotals("acme", 100, 0, 0)])


def test_the_next_period_is_provided_ten_minutes_ahead_and_an_old_one_is_forgotten(tmp_path: Path) -> None:
    midnight = parse("2026-11-23")
    today, tomorrow = "acme/budget/daily/2026-11-22", "acme/budget/daily/2026-11-23"

    async def work(bench: Bench) -> None:
        account = bench.leases._account(today)
        account.pace = 5
        account.taken = -40  # used since
        bench.leases.tick(midnight - 11 * MINUTE)
        await asyncio.sleep(0.02)
        asked = [m.balance for m in bench.heard if isinstance(m, Want)]
        assert tomorrow not in asked
        bench.leases.tick(midnight - 9 * MINUTE)
        bench.leases.tick(midnight - 9 * MINUTE)
        await asyncio.sleep(0.02)
        assert [m.balance for m in bench.heard if isinstance(m, Want)].count(tomorrow) == 1
        account.lease.give_back(account.lease.free)
        account.returned_durable = account.lease.returned
        bench.leases.tick(midnight + DAY)
        assert today in {totals.balance for totals in bench.leases.totals()}
        bench.leases.tick(midnight + 3 * DAY)
        assert today not in {totals.balance for totals in bench.leases.totals()}

    run(tmp_path, lambda _message: [], work, [LeaseTotals(today, 100, 0, 20)])
