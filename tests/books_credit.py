"""Calls, credit and prices under random commands: the half of the books that `test_books_machine` adds documents to."""

import itertools
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from sqlalchemy import text

from books_house import BooksHouse, Killed
from books_reference import Call, Reference
from entrepot.kernel.instants import DAY, HOUR, MINUTE, parse, show, to_datetime
from entrepot.ledger import grant_tables
from entrepot.ledger.account import grows_by_debit
from entrepot.ledger.grant_tables import RefundHeld
from entrepot.ledger.grants import RefundTooLarge
from entrepot.ledger.tables import account_balances
from entrepot.limits.tables import leases_of, outstanding
from entrepot.storage.database import open_database, prepare, read
from rated_usage import SHOP

START = parse("2026-10-20T08:17:23Z")
AHEAD = "studio"
CUSTOMERS = {"kontor": (False, 19, 14), AHEAD: (True, 19, 14), "wien": (False, 0, 30)}
MODELS = ("aurora-large", "aurora-small")
PRICES = {"aurora-large": ("3.00", "0.30", "12.00"), "aurora-small": ("0.1234567", "0.05", "2.00")}
FIRST = (
    SHOP.replace("input = 0.50, output = 2.00", "input = 0.1234567, cached = 0.05, output = 2.00")
    .replace("context = 128_000, output_max = 16_000", "context = 1_000_000, output_max = 400_000")
    .replace("context = 400_000, output_max = 32_000", "context = 1_000_000, output_max = 400_000")
)
UNITS = 10**9
_names = itertools.count(1)

tokens = st.tuples(st.integers(0, 9), st.integers(0, 900_000), st.integers(1, 300_001))
customers, models, slots = st.sampled_from(sorted(CUSTOMERS)), st.sampled_from(MODELS), st.sampled_from((1, 2))
calls = st.tuples(slots, customers, models, tokens, st.integers(0, 3).map(lambda n: not n))
CallOf = tuple[int, str, str, tuple[int, int, int], bool]
amounts = st.sampled_from(("1.00", "1.03", "7.77", "50.00", "119.00"))


class CreditMachine(RuleBasedStateMachine):
    """One house and its reference."""

    address: ClassVar[str] = ""  # of a PostgreSQL, else SQLite

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp(prefix="entrepot-books-"))
        self.engine = open_database(_fresh(self.address) if self.address else self.root / "entrepot.sqlite")
        prepare(self.engine)
        self.shop = FIRST
        self.house = BooksHouse(self.engine, self.root, FIRST, START, tuple(CUSTOMERS))
        self.books = Reference(CUSTOMERS)
        self.books.versions.append((0, _prices(PRICES)))
        self.open: list[tuple[int, int, str, str, int]] = []  # slot, intent, customer, model, admitted_at
        self.positions = self.house.ingester.positions()
        self.ids = itertools.count(1)

    def whole(self) -> None:
        """What is looked at once, at the end."""

    def teardown(self) -> None:
        try:
            self.whole()
        finally:
            self.house.close()
            self.engine.dispose()
            shutil.rmtree(self.root)

    # calls: hold, post, void, late, out of order

    @initialize(amount=amounts, calls=st.lists(calls, min_size=1, max_size=6))
    def begin(self, amount: str, calls: list[CallOf]) -> None:
        self.buy(amount, None, 100)
        self.call(calls)

    @rule(calls=st.lists(calls, min_size=1, max_size=5))
    def call(self, calls: list[CallOf]) -> None:
        for slot, customer, model, used, later in calls:
            self.house.now += 7
            seq = self.house.gateways[slot].begin(customer, model, 1_000_000, 400_000)
            if seq:
                self.open.append((slot, seq, customer, model, self.house.now))
                if not later:
                    self._end(len(self.open) - 1, used)

    @precondition(lambda self: self.open)
    @rule(at=st.integers(0, 9), used=st.one_of(st.none(), tokens))
    def end(self, at: int, used: tuple[int, int, int] | None) -> None:
        self._end(at % len(self.open), used)

    def _end(self, at: int, used: tuple[int, int, int] | None) -> None:
        slot, seq, customer, model, admitted_at = self.open.pop(at)
        gateway = self.house.gateways[slot]
        charged = gateway.end(seq, used)
        price = self.books.price_at(model, admitted_at)
        call = Call(customer, model, admitted_at, seq, price, used or (0, 0, 0))
        assert charged == self.books.ended((slot, gateway.worker.epoch), call) * UNITS  # (7) price of its admission

    @rule(batches=st.integers(1, 3), statements=st.one_of(st.none(), st.integers(1, 14)))
    def ingest(self, batches: int, statements: int | None) -> None:
        self._flush()
        with self._dying(statements or 0):
            for _ in range(batches):
                self.house.ingester.step(self.house.now)
        self._taken()

    @rule()
    def ingest_again(self) -> None:
        """(3) Whoever reads everything again, from the start and with old knowledge, changes nothing."""
        self._flush()
        self.house.ingester.drain(self.house.now)
        self._taken()
        before = self.house.everything()
        self.house.restart_keeper()
        self.house.ingester._known = {}
        while self.house.ingester.step(self.house.now):
            pass
        assert self.house.everything() == before

    @rule(slot=slots, customer=st.one_of(st.none(), customers))
    def crash_or_give_back(self, slot: int, customer: str | None) -> None:
        """A gateway dies and its successor begins; or it is asked for what it has free of a balance."""
        if customer is not None:
            self.house.gateways[slot].give_back(customer)
            return
        self.house.restart_gateway(slot)
        self.open = [each for each in self.open if each[0] != slot]

    @rule(hours=st.integers(1, 80))
    def wait(self, hours: int) -> None:
        self.house.now += hours * HOUR + 11
        self.house.renew()

    @rule(read_first=st.booleans(), bill=st.integers(0, 3))
    def close_month(self, read_first: bool, bill: int) -> None:
        """The month ends; calls may be under way, and some of its records not be read yet. Some bills are made."""
        if read_first:
            self.ingest(3, None)
        day = to_datetime(self.house.now).replace(day=28)
        self.house.now = parse(f"{day.year + day.month // 12}-{day.month % 12 + 1:02}-01T07:00:00Z") + next(self.ids)
        self.house.renew()
        self.bill(bill)

    def bill(self, most: int) -> None:
        """Issue so many of the invoices that are due."""

    # credit

    @rule(amount=amounts, days=st.one_of(st.none(), st.integers(1, 20)), priority=st.integers(90, 110))
    def buy(self, amount: str, days: int | None, priority: int) -> None:
        id, now = f"P{next(self.ids)}", self._after_usage()
        if days is None:
            args = {"customer": AHEAD, "amount": amount, "currency": "EUR", "id": id}
            self._twice("balance.top_up", args)
            self.books.buy(AHEAD, id, Fraction(amount), now)
        else:
            args = {"customer": AHEAD, "amount": amount, "kind": "paid", "until": f"{days}d", "id": id}
            self._twice("balance.grant", {**args, "priority": priority})
            self.books.buy(AHEAD, id, Fraction(amount), now, priority=priority, ends=now + days * DAY)

    @rule(amount=amounts, days=st.one_of(st.none(), st.integers(1, 20)), priority=st.integers(40, 110))
    def give(self, amount: str, days: int | None, priority: int) -> None:
        id, now = f"G{next(self.ids)}", self._after_usage()
        until = f"{days}d" if days else "never"
        args = {"customer": AHEAD, "amount": amount, "kind": "promo", "until": until, "id": id, "priority": priority}
        self._twice("balance.grant", args)
        self.books.give(AHEAD, id, Fraction(amount), now, priority=priority, ends=now + days * DAY if days else None)

    @precondition(lambda self: any(each.paid for each in self.books.grants[AHEAD]))
    @rule(amount=amounts, at=st.integers(0, 5), named=st.booleans())
    def refund(self, amount: str, at: int, named: bool) -> None:
        bought = [each.id for each in self.books.grants[AHEAD] if each.paid]
        of = bought[at % len(bought)] if named else ""
        args = {"customer": AHEAD, "amount": amount, "id": f"R{next(self.ids)}", "of": of}
        unused = self.books.unused(AHEAD, of)
        try:
            self._twice("balance.refund", args)
        except RefundTooLarge:
            assert Fraction(amount) > unused
        except RefundHeld:
            with read(self.engine) as conn:
                assert any(map(outstanding, leases_of(conn, AHEAD).values()))
        else:
            assert Fraction(amount) <= unused
            self.books.refund(AHEAD, Fraction(amount), of)

    @rule()
    def expire(self) -> None:
        """(10) What is unused of ended credit is taken back, but for what calls from before its end may need."""
        self._flush()
        before = {each.id: each.expired for each in self.books.grants[AHEAD]}
        self.house.expire()
        self._taken()
        with read(self.engine) as conn:
            now = {each.id: each for each in grant_tables.read_grants(conn, AHEAD)}
            free = not any(map(outstanding, leases_of(conn, AHEAD).values()))
        for id, grant in now.items():
            if part := Fraction(grant.expired, UNITS) - before[id]:
                self.books.expire(AHEAD, id, part, self.house.now)
            if free and 0 < grant.ends_at <= self.house.now:
                assert grant.left == 0

    # prices

    @rule(price=st.sampled_from(("2.50", "3.1234567", "0.0000001")), model=models, minutes=st.integers(15, 9_000))
    def reprice(self, price: str, model: str, minutes: int) -> None:
        last, standing = self.books.versions[-1]
        valid_from = max(self.house.now, last) + minutes * MINUTE
        valid_from -= valid_from % MINUTE
        valid_from += MINUTE
        row = f'prices = [{{ model = "{model}", input = {price} }}]'
        self.shop += f'\n[[book.list]]\ncurrency = "EUR"\nvalid_from = {show(valid_from)}\n{row}\n'
        self.house.sell_at(self.shop)
        prices = {**standing, model: (Fraction(price) / 10**6, *standing[model][1:])}
        self.books.versions.append((valid_from, prices))

    # after each command

    @invariant()
    def accounts_agree(self) -> None:
        """(2) Every account, to the last unit."""
        with read(self.engine) as conn:
            ours = {}
            for account, units in account_balances(conn):
                name = ":".join(account.id.split(":")[1:])
                ours[name] = Fraction(units if grows_by_debit(account.kind) else -units, UNITS)
        theirs = {name: amount for name, amount in self.books.accounts.items() if amount}
        ours = {name: amount for name, amount in ours.items() if amount}
        apart = {
            name: (str(ours.get(name, 0)), str(theirs.get(name, 0)))
            for name in sorted({*ours, *theirs})
            if ours.get(name) != theirs.get(name)
        }
        assert not apart, f"ours, the second implementation's: {apart}"

    @invariant()
    def grants_agree(self) -> None:
        """(10) Burned in the order of admission; granted = burned + refunded + expired + left."""
        used = self.books.used(AHEAD)[0]
        with read(self.engine) as conn:
            found = {each.id: each for each in grant_tables.read_grants(conn, AHEAD)}
        for grant in self.books.grants[AHEAD]:
            ours = found[grant.id]
            assert (ours.amount, ours.used, ours.refunded, ours.expired, ours.tax_back) == tuple(
                part * UNITS for part in (grant.amount, used[grant.id], grant.refunded, grant.expired, grant.tax_back)
            ), grant
            assert ours.left >= 0

    # parts

    def _flush(self) -> None:
        for each in self.house.gateways.values():
            each.flush()

    def _taken(self) -> None:
        """Tell the reference which streams the keeper has read."""
        now = self.house.ingester.positions()
        for stream, position in now.items():
            if position != self.positions.get(stream):
                self.books.taken(stream)
        self.positions = now

    def _settle_journals(self) -> None:
        """Everything is read, and stands in the lake as far as segments are final; calls under way go on."""
        for each in self.house.gateways.values():
            each.rotate()
        self.house.ingester.drain(self.house.now)
        self._taken()
        self.house.fill_lake()

    @contextmanager
    def _dying(self, statements: int) -> Iterator[list[bool]]:
        died: list[bool] = []
        try:
            with self.house.killed_after(statements):
                yield died
        except Killed:
            died.append(True)
            self.house.restart_keeper()

    def _twice(self, command: str, args: Mapping[str, object]) -> None:
        """Tried first, then done, then sent again: once."""
        self.house.do(command, **args, dry_run=True)
        assert self.house.do(command, **args)["posted"] is True
        assert self.house.do(command, **args)["known"] is True

    def _after_usage(self) -> int:
        """A new grant begins after all that is booked."""
        return max(self.house.now, 1 + max((each.last_at for each in self.positions.values()), default=0))


def _prices(said: dict[str, tuple[str, str, str]]) -> dict[str, tuple[Fraction, Fraction, Fraction]]:
    return {model: tuple(Fraction(each) / 10**6 for each in prices) for model, prices in said.items()}  # type: ignore[misc]


def _fresh(address: str) -> str:
    """A new database on this PostgreSQL."""
    name = f"books_{os.getpid()}_{next(_names)}"
    plain = open_database(address)
    with plain.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    plain.dispose()
    return address.replace("/postgres?", f"/{name}?")
