"""What a drain waits for."""

import asyncio
from pathlib import Path

from test_exchange import LIMIT, Bench, give_shares, run


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
        assert gateway.under_way()  # waits for its money
        await asyncio.sleep(0.3)
        assert not gateway.under_way()
        assert bench.wire.got.startswith(b"HTTP/1.1 503 ")

    run(tmp_path, work, key={"limit": LIMIT}, free=0)
