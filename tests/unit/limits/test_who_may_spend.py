"""The system and the reference agree (a small share of what `tests/system/test_spending_schedules.py` runs), and each
mistake below is noticed. That a return is durable before it is sent has a test of its own (`gateway/test_leases.py`): a
worker says what it returned with every question, so the schedules seldom see a return that was lost."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from sqlalchemy import Connection

import entrepot.keeper.authority
from entrepot.gateway.account import Account
from entrepot.gateway.leases import Leases
from entrepot.keeper.authority import Decision
from entrepot.limits import tables
from entrepot.limits.lease import Lease, LeaseBroken
from entrepot.limits.message import Recall
from simulated_money import World
from who_may_spend import Disagreement, Reference, Use

SCHEDULES = 20
MOST = 300  # until a mistake has to be noticed


def test_the_reference_lets_nobody_spend_what_is_not_there() -> None:
    reference = Reference()
    reference.funds = {"acme": 10, "day": 6}
    reference.begin(1, Use(("acme", "day"), 6))
    with pytest.raises(Disagreement, match="day: a hold of 1 was taken, and 0 was left"):
        reference.begin(2, Use(("acme", "day"), 1))
    reference.end(1, 4)
    reference.begin(2, Use(("acme", "day"), 2))
    with pytest.raises(Disagreement, match="acme: a hold of 5 was taken, and 4 was left"):
        reference.begin(3, Use(("acme",), 5))
    reference.end(2, None)
    reference.begin(3, Use(("acme",), 6))


@pytest.mark.long
def test_the_system_agrees_with_the_reference() -> None:
    admitted = refused = 0
    for seed in range(SCHEDULES):
        world = World(seed)
        world.play()
        admitted += world.admitted
        refused += world.refused["held"] + world.refused["spent"]
    assert admitted > 2 * SCHEDULES
    assert refused > SCHEDULES // 2


# mistakes


def grant_not_counted(conn: Connection, balance: str, slot: int, amount: int, funds: int) -> int | None:
    mine = tables.leases_of(conn, balance).get(slot)
    return (mine.granted if mine else 0) + amount


def recall_ignored(leases: Leases, message: Recall) -> None:
    pass


def charge_not_counted(lease: Lease, hold: int, charge: int) -> None:
    lease.held -= hold


def grant_not_journaled(leases: Leases, account: Account, total: int) -> None:
    account.lease.grant(total)


def budgets_not_drawn_on(leases: tuple[Lease, ...], hold: int) -> bool:
    taken = leases[0].take(hold)
    for lease in leases[1:] if taken else ():
        lease.granted += hold
        lease.held += hold
    return taken


def held_called_spent(want: Any, *, funds: int, outstanding: Mapping[int, int], **others: Any) -> Decision:
    return _decide(want, funds=funds - sum(outstanding.values()), outstanding=outstanding, **others)


def charges_of_others_forgotten(conn: Connection, slot: int, **moved: Any) -> None:
    _move(conn, slot, **{**moved, "charged": {}})


_decide = entrepot.keeper.authority.decide
_move = tables.move
MISTAKES: dict[Callable[..., Any], str] = {
    grant_not_counted: "entrepot.limits.tables.grant",
    recall_ignored: "entrepot.gateway.leases.Leases._recall",
    charge_not_counted: "entrepot.limits.lease.Lease.end",
    grant_not_journaled: "entrepot.gateway.leases.Leases._hear",
    budgets_not_drawn_on: "entrepot.gateway.admit.take_all",
    held_called_spent: "entrepot.keeper.authority.decide",
    charges_of_others_forgotten: "entrepot.keeper.ingest.move",
}


def play(schedules: int) -> None:
    for seed in range(schedules):
        World(seed).play()


@pytest.mark.long
@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.__name__)
def test_a_mistake_is_noticed(mistake: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MISTAKES[mistake], mistake)
    with pytest.raises((Disagreement, LeaseBroken)):
        play(MOST)
