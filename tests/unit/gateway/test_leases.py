"""The worker's side of the lease protocol, against a keeper on a real local socket."""

import asyncio
from pathlib import Path

import pytest

from entrepot.gateway.leases import Leases
from entrepot.limits.message import (
    FromKeeper,
    Granted,
    Hello,
    Publish,
    Recall,
    Returned,
    ToKeeper,
    Want,
    frame,
)
from entrepot.metering.record import Grant, LeaseTotals, Return
from lease_bench import Bench, grants, run


def test_a_grant_is_journaled_before_the_hold_that_uses_it(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        assert await bench.need(500) is None
        assert bench.journal == [Grant("acme", 500)]
        assert bench.leases.lease("acme").held == 500

    run(tmp_path, grants(1000), work)


def test_many_that_wait_together_are_one_question(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        words = [bench.need(10) for _ in range(50)]
        assert [await word for word in words] == [None] * 50
        assert len([m for m in bench.heard if isinstance(m, Want)]) <= 2
        assert bench.leases.lease("acme").held == 500

    run(tmp_path, grants(10_000), work)


def test_who_does_not_fit_is_told_why_and_who_fits_gets_it(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        words = [await word for word in [bench.need(60), bench.need(60)]]
        assert words[0] is None
        assert isinstance(words[1], Granted)
        assert (words[1].short, words[1].left) == ("spent", 40)
        assert bench.leases.lease("acme").held == 60

    run(tmp_path, grants(100, "spent"), work)


@pytest.mark.long
def test_a_keeper_that_is_there_and_does_not_answer_is_waited_for_a_second(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        bench.leases._linked_at -= 60
        began = asyncio.get_running_loop().time()
        assert await bench.need(1) == ""
        assert 0.9 < asyncio.get_running_loop().time() - began < 3.0

    run(tmp_path, lambda _message: [], work)


def test_who_comes_after_a_question_is_told_that_too_little_is_free_and_never_that_all_is_spent(tmp_path: Path) -> None:
    questions: list[int] = []

    def answer(message: ToKeeper) -> list[FromKeeper]:
        if isinstance(message, Want):
            questions.append(message.number)
        return []

    async def work(bench: Bench) -> None:
        first = bench.need(50)
        while not questions:
            await asyncio.sleep(0)
        later = bench.need(70), bench.need(30), bench.need(40)
        await asyncio.sleep(0)
        bench.writers[0].write(
            frame(Granted(balance="acme", total=0, short="spent", left=45, room=35, number=questions[0]))
        )
        words = [await first, await later[0], await later[2]]
        assert [(word.short, word.left, word.room) for word in words if isinstance(word, Granted)] == [
            ("spent", 45, 35), ("held", 45, 35), ("held", 45, 35)
        ]  # fmt: skip
        while len(questions) < 2:  # 30 is less than what is free everywhere: it is asked for
            await asyncio.sleep(0)
        bench.writers[0].write(frame(Granted(balance="acme", total=30, number=questions[1])))
        assert await later[1] is None

    run(tmp_path, answer, work)


@pytest.mark.long
def test_a_keeper_that_has_just_come_is_waited_for_longer(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        began = asyncio.get_running_loop().time()
        asyncio.get_running_loop().call_later(0.6, setattr, bench.leases, "_linked_at", -60.0)
        assert await bench.need(1) == ""
        assert 0.6 < asyncio.get_running_loop().time() - began < 3.0

    run(tmp_path, lambda _message: [], work)


@pytest.mark.long
def test_a_keeper_that_took_its_socket_away_is_waited_for_and_one_that_left_it_is_not(tmp_path: Path) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        leases = Leases(loop, [], lambda _record, _durable: 1)
        path = tmp_path / "keeper.sock"

        async def word() -> object:
            said: asyncio.Future[object] = loop.create_future()
            leases.need((leases.lease("acme"),), 1, said.set_result)
            return await asyncio.wait_for(said, 30)

        talking = asyncio.create_task(leases.talk(path, lambda: Hello(1, 1, 1, 1)))
        await asyncio.sleep(0.05)
        waiting = asyncio.create_task(word())
        await asyncio.sleep(0.6)
        assert not waiting.done()
        dead = await asyncio.start_unix_server(lambda _reader, writer: writer.close(), path)
        dead.close()  # killed: nobody listens, and the file is there
        path.touch()
        assert await waiting == ""
        assert await asyncio.wait_for(word(), 0.2) == ""
        talking.cancel()

    asyncio.run(main())


def test_without_a_keeper_the_word_is_immediate(tmp_path: Path) -> None:
    async def main() -> None:
        leases = Leases(asyncio.get_running_loop(), [], lambda _record, _durable: 1)
        word: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        leases.need((leases.lease("acme"),), 1, word.set_result)
        assert await asyncio.wait_for(word, 1) == ""

    asyncio.run(main())


def test_an_old_or_repeated_total_changes_nothing(tmp_path: Path) -> None:
    def answer(message: ToKeeper) -> list[FromKeeper]:
        if not isinstance(message, Want):
            return []
        return [Granted(balance="acme", total=total) for total in (700, 300, 700)]

    async def work(bench: Bench) -> None:
        assert await bench.need(700) is None
        await asyncio.sleep(0.02)
        assert bench.journal == [Grant("acme", 700)]

    run(tmp_path, answer, work)


def test_a_return_is_durable_before_it_is_sent(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        bench.durable_at_once = False
        bench.writers[0].write(frame(Recall("acme")))
        while not bench.waiting:
            await asyncio.sleep(0)
        assert bench.journal == [Return("acme", 900)]
        await asyncio.sleep(0.02)
        assert not [m for m in bench.heard if isinstance(m, Returned)]
        bench.waiting[0]()
        while not [m for m in bench.heard if isinstance(m, Returned)]:
            await asyncio.sleep(0)
        assert bench.leases.lease("acme").free == 0

    run(tmp_path, lambda _message: [], work, [LeaseTotals("acme", 1000, 0, 100)])


def test_after_a_lost_connection_totals_are_said_again(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        bench.writers[0].close()
        while len([m for m in bench.heard if isinstance(m, Returned)]) < 2:
            await asyncio.sleep(0.01)
        assert {m.total for m in bench.heard if isinstance(m, Returned)} == {40}
        assert len([m for m in bench.heard if isinstance(m, Hello)]) == 2

    run(tmp_path, lambda _message: [], work, [LeaseTotals("acme", 100, 40, 0)])


def test_a_published_snapshot_is_passed_on(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        seen: list[int] = []
        bench.leases.on_publish = seen.append
        bench.writers[0].write(frame(Publish(7)))
        while not seen:
            await asyncio.sleep(0)
        assert seen == [7]

    run(tmp_path, lambda _message: [], work)


def test_a_balance_in_use_is_provided_for_a_long_outage_of_the_keeper(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        assert await bench.need(100) is None
        lease = bench.leases.lease("acme")
        lease.end(100, 40)
        bench.leases.tick(0)
        await asyncio.sleep(0.05)
        asked = [m for m in bench.heard if isinstance(m, Want)]
        assert asked[-1].pace >= 40
        assert len(asked) == 2

    run(tmp_path, grants(10**6), work)


def test_a_question_without_answer_is_asked_again_for_who_waits(tmp_path: Path) -> None:
    deaf = [True]
    willing = grants(10**6)

    def answer(message: ToKeeper) -> list[FromKeeper]:
        if isinstance(message, Want) and deaf:
            deaf.clear()
            return []
        return willing(message)

    async def work(bench: Bench) -> None:
        lost = bench.need(10)
        await asyncio.sleep(0.1)
        later = bench.need(10)
        assert await lost is None
        assert await later is None

    run(tmp_path, answer, work)


@pytest.mark.long
def test_a_late_word_about_a_large_hold_is_not_said_of_a_small_one(tmp_path: Path) -> None:
    late: list[int] = []

    def answer(message: ToKeeper) -> list[FromKeeper]:
        if not isinstance(message, Want):
            return []
        if message.hold > 3000:
            late.append(message.number)
            return []
        return [
            Granted(balance="acme", total=0, short="spent", left=3, number=late[0]),
            Granted(balance="acme", total=message.need, number=message.number),
        ]

    async def work(bench: Bench) -> None:
        assert await bench.need(5000) == ""
        assert await bench.need(10) is None

    run(tmp_path, answer, work)
