"""A started house for system tests: customers with small balances of their own, both ledgers, the database, and a
second gateway that is played by the test."""

import asyncio
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from entrepot.journal.files import segments, streams
from entrepot.ledger.tables import balance_of
from entrepot.limits.message import FromKeeper, Granted, Hello, Returned, ToKeeper, Want, frame, from_keeper, split
from entrepot.limits.tables import leases_of, outstanding
from entrepot.metering import tables
from entrepot.metering.record import Ending, LeaseTotals
from entrepot.prove.books import accepted
from entrepot.prove.client import Client, Outcome, chat_body
from entrepot.prove.compare import Comparison, compare
from entrepot.prove.house import House
from entrepot.storage.database import open_database, read
from entrepot.wire.openai import read_chat

FUNDS = 5_000_000  # 0.005 USD, in units of 10^-9
INPUT, OUTPUT = 100, 400  # units a token, from House's book
SLICE = FUNDS // 4  # what one slot gets of it
PRICE = 10 * INPUT + 20 * OUTPUT  # of a call with the script's defaults: 10 tokens in, 20 out
_CUSTOMERS = 40


def with_customers(house: House, budget: str = "") -> None:
    """Declare customers c1, c2, … in the house's catalog, before its first start; with a hard budget each, a soft one
    beside it. A budget as large as the balance is spent with it, to the last unit."""
    budgets = (
        f'budgets = [{{ per = "total", amount = {budget}, hard = true }}, '
        '{ per = "day", amount = 9.00, hard = false }]\n'
        if budget
        else ""
    )
    declared = [f'\n[customer.c{n}]\ncontract = {{ book = "list" }}\n{budgets}' for n in range(1, _CUSTOMERS)]
    house.catalog.write_text(house.catalog.read_text() + "".join(declared))


class Customer:
    """One with FUNDS on its balance and a key."""

    def __init__(self, trial: "Trial", id_: str) -> None:
        self.trial = trial
        self.id = id_
        trial.admin("POST", f"balances/{id_}/top-ups", {"amount": "0.005", "currency": "USD", "id": f"PAY-{id_}"})
        self.key = trial.admin("POST", "keys", {"customer": id_})["key"]

    def call(self, *, seconds: float = 30.0, **script: Any) -> Outcome:
        return asyncio.run(self.calling(seconds=seconds, **script))

    async def calling(self, *, seconds: float = 30.0, **script: Any) -> Outcome:
        return await self.sending(chat_body(self.trial.house.model, **script), seconds)

    async def sending(self, body: bytes, seconds: float = 30.0) -> Outcome:
        client = Client(self.trial.house.port, self.key, timeout=seconds)
        try:
            return await client.chat(body)
        finally:
            client.close()

    def told(self, **script: Any) -> Outcome:
        """What is said of a call, answer or refusal. On a busy machine the keeper may get no turn for a second, and a
        call is told to come back: that is done, as the SDKs do it."""
        until = time.monotonic() + 30
        while True:
            outcome = self.call(**script)
            if b"lease_unavailable" not in outcome.body or time.monotonic() > until:
                return outcome
            time.sleep(0.5)

    def answered(self, **script: Any) -> Outcome:
        """Call until there is an answer; a retry is a new call."""
        until = time.monotonic() + 30
        while True:
            outcome = self.call(**script)
            if outcome.how == "answered":
                return outcome
            assert time.monotonic() < until, outcome
            time.sleep(0.1)

    def records(self) -> list[Ending]:
        found = [e for endings in self.trial.house.ours().endings.values() for e in endings]
        return sorted((e for e in found if e.terms.customer == self.id), key=lambda e: e.admitted_at)

    def lease(self, slot: int = 1) -> LeaseTotals:
        with read(self.trial.engine) as conn:
            return leases_of(conn, self.id).get(slot) or LeaseTotals(self.id, 0, 0, 0)

    def spend_all(self) -> None:
        """A call that holds everything that is left, to the token: so nothing is held in vain."""
        due = sum(record.charge for record in self.records())
        self.trial.wait(lambda: self._charged() == due, f"{self.id}: charged is not {due}")
        with read(self.trial.engine) as conn:
            left = balance_of(conn, self.id)
        cap = left // OUTPUT
        while (more := read_chat(body := self._body(cap)).input_bound * INPUT + cap * OUTPUT - left) > 0:
            cap -= -(-more // OUTPUT)
        outcome = asyncio.run(self.sending(body))
        assert outcome.how == "answered", outcome

    def _charged(self) -> int:
        with read(self.trial.engine) as conn:
            return sum(totals.charged for totals in leases_of(conn, self.id).values())

    def _body(self, cap: int) -> bytes:
        return chat_body(self.trial.house.model, max_tokens=cap, completion=1, events=1)


class Trial:
    """A house, the vendor's ledger, and what they say about each other."""

    def __init__(self, house: House, ledger: Path) -> None:
        self.house = house
        self.ledger = ledger
        self._engine: Any = None
        self._next = 0

    @property
    def engine(self) -> Any:
        if self._engine is None:
            self._engine = open_database(self.house.folder.database)
        return self._engine

    def let_go(self) -> None:
        """Close the database: somebody changes its file."""
        if self._engine is not None:
            self._engine.dispose()
            self._engine = None

    def customer(self) -> Customer:
        self._next += 1
        return Customer(self, f"c{self._next}")

    def admin(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        facts: dict[str, Any] = self.house.admin(method, path, body)
        return facts

    def gateway(self) -> dict[str, Any]:
        """What the gateways say together: calls open in any, the keeper known to all."""
        found = self.house.gateways()
        if not found:
            raise OSError("no gateway answers")
        open_calls = sum(int(each["open"]) for each in found)
        return {**found[0], "open": open_calls, "keeper": all(each["keeper"] for each in found)}

    def wait(self, true: Callable[[], bool], what: str, seconds: float = 30.0) -> float:
        """Until it is so; the seconds."""
        began = time.monotonic()
        while True:
            try:
                if true():
                    return time.monotonic() - began
            except (OSError, ValueError):
                pass
            assert time.monotonic() - began < seconds, f"{what}\n{self.house.tail()}"
            time.sleep(0.02)

    def connected(self) -> bool:
        return bool(self.gateway()["keeper"])

    def positions(self) -> dict[tuple[int, int], Any]:
        with read(self.engine) as conn:
            return tables.positions(conn)

    def unsealed(self) -> list[tuple[int, int]]:
        return [(stream.slot, stream.epoch) for stream in streams(self.house.folder.journal) if not stream.sealed]

    def segments(self) -> int:
        """Of all streams, prepared ones included."""
        from entrepot.journal.disk import RealDisk

        return sum(len(segments(RealDisk(), stream.path)) for stream in streams(self.house.folder.journal))

    def compared(self) -> Comparison:
        return compare(accepted(self.ledger), self.house.ours())

    def agree(self) -> Comparison:
        """Nothing is open; both ledgers, and journal = lake = rollup = ledger, are one; no lease is below zero or above
        its balance."""
        self.wait(self.connected, "the gateway has no keeper")
        self.wait(lambda: self.gateway()["open"] == 0, "a call is open that nobody waits for")
        self.wait(lambda: not self.compared().differences, f"{self.compared().differences}")
        report = self.admin("GET", "verify")
        assert report["agree"], report["text"]
        assert report["open"] == 0
        with read(self.engine) as conn:
            for number in range(1, self._next + 1):
                held = sum(outstanding(totals) for totals in leases_of(conn, f"c{number}").values())
                assert held <= balance_of(conn, f"c{number}")
        return self.compared()


class Peer:
    """Another gateway, as the keeper sees it."""

    def __init__(self, house: House, slot: int = 9) -> None:
        self._line = socket.socket(socket.AF_UNIX)
        self._line.settimeout(20)
        self._line.connect(str(house.folder.socket("keeper.sock")))
        self._buffer = bytearray()
        self._inbox: list[FromKeeper] = []
        self.send(Hello(slot=slot, epoch=1, pid=1, snapshot=1 << 40))

    def send(self, message: ToKeeper) -> None:
        self._line.sendall(frame(message))

    def want(self, balance: str, need: int, *, seen: int = 0) -> Granted:
        """The keeper's word."""
        self.send(Want(balance=balance, granted_seen=seen, need=need, pace=0, hold=need))
        while True:
            for message in self._inbox:
                if isinstance(message, Granted) and message.balance == balance:
                    self._inbox.remove(message)
                    return message
            data = self._line.recv(65536)
            assert data, "the keeper has closed the connection"
            self._buffer += data
            self._inbox += [from_keeper.decode(body) for body in split(self._buffer)]

    def give_back(self, balance: str, total: int) -> None:
        self.send(Returned(balance=balance, total=total))

    def close(self) -> None:
        self._line.close()
