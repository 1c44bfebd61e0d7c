"""An ingester that is behind commits several reads at once, and comes to what small commits come to."""

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import Engine, select

from endings import AT, terms
from entrepot.journal.disk import RealDisk
from entrepot.keeper import ingest
from entrepot.keeper.ingest import HELD, RETRY, Ingester
from entrepot.ledger import grant_tables
from entrepot.ledger.grant_tables import top_up
from entrepot.ledger.grants import Grant
from entrepot.ledger.tables import account_balances, open_balance, transactions
from entrepot.ledger.taken_tables import charged_sums
from entrepot.limits import tables as limit_tables
from entrepot.metering import tables
from entrepot.storage.database import open_database, prepare, read, write
from worker import Worker

USD = 10**9


def books(engine: Engine) -> list[object]:
    """All that ingestion writes, but where one commit ended and the next began."""
    with read(engine) as conn:
        usage = sorted(tables.rollup_rows(conn).items())
        accounts = sorted((account.id, amount) for account, amount in account_balances(conn))
        return [usage, accounts, limit_tables.all_leases(conn), charged_sums(conn), tables.positions(conn)]


def many_customers(root: Path, calls: int) -> None:
    """A backlog of several MiB: 40 customers, five hours."""

    async def go() -> None:
        worker = Worker(root)
        names = [f"c{n:02}" for n in range(40)]
        for name in names:
            worker.grant(name, 10**9)
        for n in range(calls):
            worker.at = AT + n * 3_000_000
            worker.end(worker.begin(10**6, terms=terms(names[n * n % 40])), (n % 50, n % 7))
            if n % 500 == 499:
                await worker.durable()
        await worker.durable()
        worker.close()

    asyncio.run(go())


def opened(where: Path) -> Engine:
    where.mkdir()
    engine = open_database(where / "entrepot.sqlite")
    prepare(engine)
    with write(engine) as conn:
        for n in range(40):
            open_balance(conn, f"c{n:02}", "USD")
            top_up(conn, f"c{n:02}", USD, "USD", f"P-{n}", AT)
            if n < 5:  # ends in the middle of an hour of the backlog
                end = AT + 5_432_100_000
                gift = Grant(id=f"G-{n}", kind="promo", amount=USD, priority=50, ends_at=end, created_at=AT)
                grant_tables.add(conn, f"c{n:02}", "USD", gift)
    return engine


@pytest.mark.long
def test_what_is_committed_at_once_is_what_small_commits_come_to(tmp_path: Path) -> None:
    root = tmp_path / "journal"
    many_customers(root, 6000)
    one, other = opened(tmp_path / "one"), opened(tmp_path / "other")
    small, large = Ingester(one, root, RealDisk(), most=1), Ingester(other, root, RealDisk())
    small.drain(AT)
    commits = 0
    while large.step(AT):
        commits += not large.reads_on
    assert (commits, small.stuck, large.stuck) == (1, {}, {})
    with read(one) as conn:
        assert len(list(conn.execute(select(transactions.c.seq)))) > 50
    assert books(one) == books(other)


@pytest.mark.long
def test_nothing_that_was_read_waits_longer_than_a_second_for_its_commit(tmp_path: Path) -> None:
    root = tmp_path / "journal"
    many_customers(root, 6000)
    engine = opened(tmp_path / "one")
    ingester = Ingester(engine, root, RealDisk())
    assert ingester.step(AT)
    assert ingester.reads_on
    assert ingester.step(AT + HELD)
    assert not ingester.reads_on
    assert 0 < ingester.endings < 6000


@pytest.mark.long
def test_what_stands_before_damage_is_taken_and_then_the_damage_is_told(tmp_path: Path) -> None:
    root = tmp_path / "journal"
    many_customers(root, 6000)
    path = next((root / "w1" / "000001").glob("*.seg"))
    data = bytearray(path.read_bytes())
    used = len(bytes(data).rstrip(b"\0"))
    data[used * 3 // 4] ^= 1
    path.write_bytes(data)
    engine = opened(tmp_path / "one")
    ingester = Ingester(engine, root, RealDisk())
    ingester.drain(AT)
    assert (1, 1) in ingester.damaged
    assert 3000 < ingester.endings < 6000
    with read(engine) as conn:
        assert tables.positions(conn)[1, 1].endings == ingester.endings
        assert sum(row.attempts for row in tables.usage(conn)) == ingester.endings


@pytest.mark.long
def test_a_commit_that_fails_loses_nothing_that_was_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "journal"
    many_customers(root, 6000)
    engine, other = opened(tmp_path / "one"), opened(tmp_path / "other")
    Ingester(other, root, RealDisk()).drain(AT)
    ingester = Ingester(engine, root, RealDisk())

    def full(*_args: object) -> None:
        raise OSError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(ingest, "charge_budgets", full)
        ingester.drain(AT)
    assert "the disk is full" in ingester.stuck[1, 1]
    assert not ingester.reads_on
    ingester.drain(AT + RETRY)
    assert books(engine) == books(other)
