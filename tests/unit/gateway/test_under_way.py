"""Calls that wait: a drain waits for them, and when they go on they are judged anew."""

import asyncio
from pathlib import Path

import pytest
from test_exchange import ANSWER, LIMIT, Bench, give_shares, head, limited, run
from test_suspension import suspend

from desks import KEY_ID


@pytest.mark.long
def test_a_call_that_waits_for_a_share_or_for_money_is_under_way(tmp_path: Path) -> None:
    """A drain that did not wait for it sealed the journal, and the word that came then began it: an intent for ever."""

    class Keeper:
        def write(self, _data: bytes) -> None:
            """It does not answer."""

    async def work(bench: Bench) -> None:
        gateway = bench.gateway
        assert gateway.rates is not None
        gateway.leases._writer = Keeper()  # type: ignore[assignment]
        gateway.rates.linked(lambda _message: None)
        bench.call()
        assert not gateway.open
        assert gateway.under_way()  # waits for its share
        await asyncio.sleep(0)
        give_shares(bench)
        await asyncio.sleep(0.3)
        gateway.rates._loop.pass_time(1)  # type: ignore[attr-defined]
        assert not gateway.open
        assert gateway.under_way()  # waits for its money, a second at most while a keeper is connected
        await asyncio.sleep(1.2)
        assert not gateway.under_way()
        assert bench.wire.got.startswith(b"HTTP/1.1 503 ")

    run(tmp_path, work, key={"limit": LIMIT}, free=0)


@pytest.mark.parametrize(("event", "status"), [("suspended", 403), ("revoked", 401), ("full", 503), ("nothing", 0)])
def test_a_call_that_waited_for_money_is_judged_anew(tmp_path: Path, event: str, status: int) -> None:
    async def work(bench: Bench) -> None:
        gateway, decided = bench.gateway, []
        gateway.leases.need = lambda _leases, _hold, word: decided.append(word)  # type: ignore[method-assign]
        give_shares(bench)
        bench.call()
        if event == "suspended":
            suspend(bench, tmp_path)
        elif event == "revoked":
            bench.desk.deny([KEY_ID])
        elif event == "full":
            gateway._room = lambda _open: False
        bench.lease.granted = 10**12
        assert bench.lease.take(bench.client.answering.hold)  # type: ignore[union-attr]
        decided[0](None)
        bench.disk()
        if status:
            assert bench.wire.got.startswith(b"HTTP/1.1 %d " % status)
            assert bench.sent == bench.records == []
            assert limited(bench) == {"requests": 1, "tokens": 0, "calls": 0}
        else:
            bench.client.answering.answer(head(len(ANSWER)), ANSWER)  # type: ignore[union-attr]
            bench.disk()
            assert bench.wire.got.endswith(ANSWER)

    run(tmp_path, work, key={"limit": LIMIT}, free=0)
