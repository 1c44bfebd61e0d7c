"""Who gets a connection when there are too few."""

import asyncio

import pytest

from entrepot.upstream import client
from entrepot.upstream.connection import (
    UpstreamConnection,
)
from upstream_rig import ANSWER, Rig


@pytest.fixture
def rig() -> Rig:
    return Rig()


def test_customers_take_turns_for_connections_and_the_longest_line_loses_first(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "OPEN_LIMIT", 1)
    monkeypatch.setattr(client, "WAIT_LIMIT", 4)
    _, wire = rig.call()
    crowd = [rig.again("crowd") for _ in range(4)]
    other, third = rig.again("other"), rig.again("third")
    rig.loop.turn()
    assert [caller.ends for caller in crowd] == [[], [], [("busy", False, False)], [("busy", False, False)]]
    order = []
    for _ in range(4):
        wire.feed(ANSWER)
        order.append(next(name for name, each in (("crowd", crowd[0]), ("crowd", crowd[1]), ("other", other),
                                                  ("third", third)) if each.connection is not None))  # fmt: skip
        wire.protocol.sink.connection = None
    assert order == ["crowd", "other", "third", "crowd"]
    wire.feed(ANSWER)
    assert rig.pool.held == {}
    assert rig.pool.empty


def test_who_has_fewer_connections_goes_before_who_has_more(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "OPEN_LIMIT", 3)
    wires = [rig.call()[1] for _ in range(3)]
    assert rig.pool.held == {"acme": 3}
    mine, others = [rig.again(), rig.again()], [rig.again("other"), rig.again("other")]
    wires[0].feed(ANSWER)
    wires[1].feed(ANSWER)
    assert [caller.connection is not None for caller in (*mine, *others)] == [True, False, True, False]
    assert rig.pool.held == {"acme": 2, "other": 1}


def test_a_connection_that_cannot_be_made_hands_its_place_to_who_waits(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "OPEN_LIMIT", 1)
    first, second = rig.again(), rig.again()

    async def connect() -> UpstreamConnection:
        raise OSError("no way")

    rig.pool._connect = connect  # type: ignore[method-assign]
    asyncio.run(rig.loop.coroutines.pop())
    assert first.ends == [("connect", False, False)]
    assert len(rig.loop.coroutines) == 1
    asyncio.run(rig.loop.coroutines.pop())
    assert second.ends == [("connect", False, False)]
    assert rig.pool.empty
