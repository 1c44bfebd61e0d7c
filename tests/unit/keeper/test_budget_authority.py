"""Grants from budgets and credit limits, and what becomes of their charges in journal, lake and ledger."""

import asyncio
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, select

from endings import AT, terms
from entrepot.catalog.contents import Contract, Customer
from entrepot.customers import tables as customer_tables
from entrepot.customers.limit_tables import budget_table
from entrepot.journal.disk import RealDisk
from entrepot.keeper import lake
from entrepot.keeper.authority import Question, answer, overdrawn
from entrepot.keeper.ingest import Ingester
from entrepot.keeper.sealing import seal_slot
from entrepot.keeper.verify import verify
from entrepot.kernel.instants import Instant, parse
from entrepot.ledger.account import Account
from entrepot.ledger.check import check_ledger
from entrepot.ledger.grant_tables import top_up
from entrepot.ledger.tables import account_balances, funds_of, open_balance, post, set_credit
from entrepot.ledger.transfer import Transaction, Transfer
from entrepot.limits import tables
from entrepot.limits.message import Granted, Want
from entrepot.metering.record import LeaseTotals, Return, Seal, to_bytes
from entrepot.metering.tables import list_file
from entrepot.storage.database import open_database, prepare, read, write
from entrepot.storage.folder import Folder
from worker import Worker

USD = 10**9
DAY, MONTH = "acme/budget/day/2026-11-22", "acme/budget/month/2026-11"


def declare(conn: Connection, name: str, amount: int, *, hard: bool = True, per: str = "day") -> None:
    conn.execute(budget_table.delete().where(budget_table.c.id == name))
    values = {column.name: column.default.arg for column in budget_table.c if column.default is not None}  # type: ignore[union-attr]
    values |= {
        "customer": "acme", "id": name, "project": "", "key": "", "per": per, "amount": amount, "hard": hard,
        "warn_at": "[]", "position": 0,
    }  # fmt: skip
    conn.execute(budget_table.insert().values(values))


@pytest.fixture
def house(tmp_path: Path) -> Engine:
    engine = open_database(tmp_path / "entrepot.sqlite")
    prepare(engine)
    with write(engine) as conn:
        customer_tables.put_customer(conn, Customer(id="acme", contracts=(Contract(book="list"),)), "USD", AT)
        open_balance(conn, "acme", "USD")
        top_up(conn, "acme", USD, "USD", "PAY-1", AT)
        declare(conn, "day", 1000)
        declare(conn, "month", 5000, per="month")
    return engine


def want(lease: str, *holds: int, seen: int = 0, free: int = 0, returned: int = 0) -> Want:
    need = max(0, sum(holds) - free)
    return Want(
        balance=lease, granted_seen=seen, need=need, pace=0, hold=holds[0] if holds else 0, holds=holds, free=free,
        returned=returned, number=1,
    )  # fmt: skip


def ask(conn: Connection, *questions: Question, at: Instant = AT) -> list[Granted]:
    return [each.granted for each in answer(conn, list(questions), slots=2, at=at)]


def test_a_budget_grants_its_amount_less_what_its_period_was_charged(house: Engine) -> None:
    with write(house) as conn:
        tables.charge_budgets(conn, {DAY: 300, "acme/budget/day/2026-11-21": 999})
        (word,) = ask(conn, Question(1, want(DAY, 700)))
        assert (word.total, word.short, word.left, word.room) == (700, "", 700, 0)
        held, spent = ask(conn, Question(2, want(DAY, 700)), Question(2, want(DAY, 701)))
        assert (held.short, held.left, spent.short, spent.left) == ("held", 700, "spent", 700)
        (other_day,) = ask(conn, Question(2, want("acme/budget/day/2026-11-23", 1000)))
        assert (other_day.total, other_day.short) == (1000, "")


def test_of_many_calls_those_that_fit_are_granted_for_after_a_recall(house: Engine) -> None:
    with write(house) as conn:
        before, exact = ask(
            conn, Question(1, want(DAY, 600, 700, 400, 100)), Question(1, want(DAY, 600, 700, 400, 100), exact=True)
        )
        assert (before.total, before.short) == (0, "held")
        assert (exact.total, exact.short, exact.room) == (1000, "held", 0)


def test_what_went_back_since_the_question_is_granted_again(house: Engine) -> None:
    with write(house) as conn:
        ask(conn, Question(1, want(DAY, 500)))
        tables.returned(conn, DAY, 1, 500)  # recalled for another while this was under way
        (word,) = ask(conn, Question(1, want(DAY, 600, seen=500, free=500, returned=0), exact=True))
        assert (word.total, word.short) == (1100, "")


def test_a_lowered_budget_grants_nothing_more_and_nothing_gets_negative(house: Engine) -> None:
    with write(house) as conn:
        ask(conn, Question(1, want(DAY, 800)))
        tables.move(conn, 1, charged={DAY: 300})
        tables.charge_budgets(conn, {DAY: 300})
        declare(conn, "day", 200)
        assert list(overdrawn(conn)) == [DAY]
        (word,) = ask(conn, Question(2, want(DAY, 1)))
        assert (word.short, word.left, word.room, word.total) == ("spent", 0, 0, 0)
        tables.returned(conn, DAY, 1, 500)
        assert overdrawn(conn) == {}
        declare(conn, "day", 1000)
        (word,) = ask(conn, Question(2, want(DAY, 700)))
        assert (word.total, word.short) == (700, "")


def test_a_budget_that_is_gone_or_soft_now_is_no_reason_to_say_spent(house: Engine) -> None:
    with write(house) as conn:
        declare(conn, "day", 1, hard=False)
        soft, gone, no_balance = ask(
            conn, *(Question(1, want(lease, 5)) for lease in (DAY, "acme/budget/gone/total", "nobody"))
        )
        assert (soft.short, gone.short, no_balance.short) == ("held", "held", "spent")
        assert soft.left >= 5


def test_a_slot_that_has_forgotten_a_lease_gets_nothing_of_it_again(house: Engine) -> None:
    with write(house) as conn:
        ask(conn, Question(1, want(DAY, 400)))
        tables.move(conn, 1, charged={DAY: 300}, returned={DAY: 100})
        (word,) = ask(conn, Question(1, want(DAY, 50)), at=parse("2026-11-25"))
        assert (word.total, word.short) == (0, "spent")


def test_a_question_that_is_older_than_its_grant_is_not_taken_for_forgetting(house: Engine) -> None:
    """Seed 5387 of the schedules: it waited for a recall, and meanwhile the grant was heard of, used and charged."""
    with write(house) as conn:
        ask(conn, Question(1, want(DAY, 400)))
        tables.move(conn, 1, charged={DAY: 100})
        tables.charge_budgets(conn, {DAY: 100})
        (word,) = ask(conn, Question(1, want(DAY, 350), exact=True))
        assert (word.total, word.short) == (400, "")
        (word,) = ask(conn, Question(1, want(DAY, 350), exact=True), at=parse("2026-11-23T12:00:00Z"))
        assert (word.total, word.short) == (400, "")
        (word,) = ask(conn, Question(1, want(DAY, 1001), exact=True))
        assert (word.short, word.left) == ("spent", 900)


def test_a_customer_that_pays_by_invoice_draws_on_its_credit_limit(house: Engine) -> None:
    with write(house) as conn:
        set_credit(conn, "acme", 5 * USD)
        assert funds_of(conn, "acme") == 5 * USD
        usage = Transfer(
            Account(kind="unbilled", currency="USD", party="acme"), Account(kind="revenue", currency="USD"), USD
        )
        owed = Account(kind="receivable", currency="USD", party="acme")
        invoice = Transfer(owed, Account(kind="output tax", currency="USD"), USD // 2)
        post(conn, Transaction(id="T-1", kind="usage", at=AT, transfers=(usage, invoice)))
        assert funds_of(conn, "acme", lock=True) == 5 * USD - USD - USD // 2
        (word,) = ask(conn, Question(1, want("acme", 7 * USD // 2)))
        assert (word.total, word.short, word.room) == (7 * USD // 2, "", 0)
        set_credit(conn, "acme", USD)
        assert list(overdrawn(conn)) == ["acme"]
        (word,) = ask(conn, Question(2, want("acme", 1)))
        assert (word.short, word.left) == ("spent", 0)
        set_credit(conn, "acme", None)
        assert funds_of(conn, "acme") == USD  # what was paid ahead before is there still


@pytest.mark.long
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["ask", "ask", "ask", "end", "back", "amount"]), st.integers(1, 4),
            st.lists(st.integers(1, 300), min_size=1, max_size=4), st.booleans(),
        ),
        max_size=30,
    )
)  # fmt: skip
def test_whatever_comes_a_budget_is_not_exceeded_and_no_lease_is_negative(
    house: Engine, steps: list[tuple[str, int, list[int], bool]]
) -> None:
    """Σ outstanding + charged ≤ the amount, unless that was lowered: then nothing more is granted."""
    amount, charged = 1000, 0
    slots = {slot: LeaseTotals(DAY, 0, 0, 0) for slot in range(1, 5)}
    with house.connect() as conn, conn.begin() as transaction:
        for what, slot, holds, exact in steps:
            mine = slots[slot]
            free = mine.granted - mine.returned - mine.charged
            out = sum(map(tables.outstanding, tables.leases_of(conn, DAY).values()))
            if what == "ask":
                asked = want(DAY, *holds, seen=mine.granted, free=free, returned=mine.returned)
                (word,) = ask(conn, Question(slot, asked, exact))
                slots[slot] = LeaseTotals(DAY, word.total, mine.returned, mine.charged)
                assert word.total == mine.granted or out + charged + word.total - mine.granted <= amount
                if word.short == "spent":
                    assert max(holds) > amount - charged
            elif what == "end":
                paid = min(free, holds[0])
                slots[slot] = LeaseTotals(DAY, mine.granted, mine.returned, mine.charged + paid)
                charged += paid
                tables.move(conn, slot, charged={DAY: paid})
                tables.charge_budgets(conn, {DAY: paid})
            elif what == "back":
                slots[slot] = LeaseTotals(DAY, mine.granted, mine.returned + free, mine.charged)
                tables.returned(conn, DAY, slot, mine.returned + free)
            else:
                amount = 10 * holds[0]
                declare(conn, "day", amount)
            for number, totals in tables.leases_of(conn, DAY).items():
                assert tables.outstanding(totals) >= 0
                assert totals == slots[number]
        transaction.rollback()


@pytest.mark.long
def test_journal_lake_rollup_and_leases_agree_on_budgets_and_a_broken_sum_is_named(tmp_path: Path) -> None:
    """Endings of a worker, of its successor's sealing and of the keeper's; compared by journal and by lake."""
    folder = Folder(tmp_path / "data")
    folder.create()
    engine = open_database(folder.database)
    prepare(engine)
    soft = "acme/budget/soft/2026-11-22"
    what = terms("acme", budgets=(DAY, MONTH), watched=(soft,))
    with write(engine) as conn:
        open_balance(conn, "acme", "USD")
        top_up(conn, "acme", USD, "USD", "PAY-1", AT)
        for lease in ("acme", DAY, MONTH):
            tables.move(conn, 1, granted={lease: 10**8})

    charges = []

    async def go() -> None:
        for _ in range(2):
            worker = Worker(folder.journal)
            for lease in ("acme", DAY, MONTH):
                worker.grant(lease, 10**8)
            charges.extend(worker.call(terms=what).charge for _ in range(3))
            charges.append(worker.call(terms=terms("acme")).charge)
            worker.begin(terms=what)
            await worker.crash()

    asyncio.run(go())
    ingester = Ingester(engine, folder.journal, RealDisk())
    assert seal_slot(RealDisk(), folder.journal, 1, AT, by="keeper", passed=ingester.position) == 1
    ingester.drain(AT)
    in_budget = sum(charges) - charges[3] - charges[7]
    with read(engine) as conn:
        assert tables.budget_charged(conn) == {DAY: in_budget, MONTH: in_budget, soft: in_budget}
        for lease, charged in (("acme", sum(charges)), (DAY, in_budget), (MONTH, in_budget)):
            assert tables.leases_of(conn, lease) == {1: LeaseTotals(lease, 10**8, 10**8 - charged, charged)}
    assert verify(engine, folder).differences == ()
    for segment in lake.due(ingester.positions(), set(), folder.journal):
        with write(engine) as conn:
            list_file(conn, lake.write(folder, segment))
    assert verify(engine, folder).differences == ()
    with write(engine) as conn:
        tables.charge_budgets(conn, {soft: 1})
    (found,) = verify(engine, folder).differences
    assert found.what == f"charges of budget {soft}"
    assert (found.found, found.expected) == (str(in_budget + 1), str(in_budget))
    engine.dispose()


def test_usage_is_owed_while_it_is_paid_by_invoice_and_the_books_stay_whole(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "data")
    folder.create()
    engine = open_database(folder.database)
    prepare(engine)
    with write(engine) as conn:
        open_balance(conn, "demo", "USD")
        top_up(conn, "demo", USD, "USD", "PAY-1", AT)
        tables.grant(conn, "demo", 1, 10**8, USD)
    ingester = Ingester(engine, folder.journal, RealDisk())
    paid = []

    async def go() -> None:
        worker = Worker(folder.journal)
        worker.grant("demo", 10**8)
        for credit in (None, USD, None):
            with write(engine) as conn:
                set_credit(conn, "demo", credit)
            paid.append(worker.call().charge)
            await worker.durable()
            ingester.drain(AT)
        worker.close()

    asyncio.run(go())
    ingester.drain(AT)
    with read(engine) as conn:
        left = {(account.kind, account.party): amount for account, amount in account_balances(conn)}
        assert left["unbilled", "demo"] == paid[1]
        assert left["prepaid credit", "demo"] == USD - paid[0] - paid[2]
        assert left["revenue", ""] == sum(paid)
        check = check_ledger(conn)
    assert (check.differences, check.charged) == ([], {"demo": sum(paid)})
    assert verify(engine, folder).differences == ()
    engine.dispose()


def test_a_slot_whose_streams_are_all_sealed_gives_back_what_is_free_once(tmp_path: Path) -> None:
    """A successor sealed its stream and died before its own first record."""
    root = tmp_path / "journal"

    async def live() -> None:
        worker = Worker(root)
        worker.grant("demo", 1000)
        worker.put(Return("demo", 100))
        await worker.durable()
        worker.journal.close(to_bytes(Seal(AT, "successor")))
        worker.slot.release()

    asyncio.run(live())

    def sealed() -> int:
        return seal_slot(RealDisk(), root, 1, AT, by="keeper", passed=lambda _slot, _epoch: None)

    assert [sealed(), sealed(), sealed()] == [1, 0, 0]
    engine = open_database(tmp_path / "entrepot.sqlite")
    prepare(engine)
    Ingester(engine, root, RealDisk()).drain(AT)
    with read(engine) as conn:
        assert tables.leases_of(conn, "demo") == {1: LeaseTotals("demo", 1000, 1000, 0)}
        assert conn.execute(select(tables.budget_charges)).all() == []
    engine.dispose()
