"""A gateway's side of the books: real desk, leases and journal. Only the wire and the vendor are left out: a batch of
calls is admitted as one, and ends with its tokens."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from msgspec.structs import replace
from sqlalchemy import Engine

from casebook.usage import Batch
from entrepot.gateway.admit import Plan, admit
from entrepot.gateway.desk import Desk, Offer
from entrepot.gateway.ending import Verdict, bill
from entrepot.gateway.problem import Problem
from entrepot.journal.disk import RealDisk
from entrepot.journal.slots import Slot
from entrepot.journal.writer import Journal
from entrepot.keeper import authority
from entrepot.keeper.authority import Question
from entrepot.kernel.buckets import INPUT, NOTHING, OUTPUT, Quantities
from entrepot.kernel.errors import EntrepotError, Fault
from entrepot.kernel.ids import RequestIds
from entrepot.kernel.instants import SECOND, Instant
from entrepot.kernel.money import show
from entrepot.limits.lease import Lease
from entrepot.limits.message import Want
from entrepot.metering.closing import Standing, carry_part
from entrepot.metering.record import Ending, Grant, Intent, Record, Return, Seal, to_bytes
from entrepot.snapshot import Snapshot
from entrepot.storage.database import write
from entrepot.storage.folder import Folder
from entrepot.wire.openai import Call, read_chat

#: Records in the writer's queue before its disk is waited for.
_PENDING = 8_000
#: Days like this one that a lease is taken ahead for.
_AHEAD = 7
_PLAIN = read_chat(b'{"model":"m","messages":[{"role":"user","content":"x"}]}')


class CallRefused(EntrepotError):
    """Admission says no to what the case needs: names the customer, and why."""

    code = "case_refused"
    fault = Fault.CALLER


class _Asked(NamedTuple):
    """A batch at the counter: what is offered, what is asked."""

    batch: Batch
    offer: Offer
    call: Call
    hold: int


class Worker:
    """One life of a worker in slot 1. Used inside the loop that it was made in."""

    def __init__(self, engine: Engine, folder: Folder, keys: dict[str, str], snapshot: Snapshot) -> None:
        disk = RealDisk()
        self._engine, self._keys = engine, keys
        self._slot = Slot.acquire(disk, folder.journal, 1)
        inherited = self._slot.inherited(carry_part)
        self._standing = Standing.of(inherited) if inherited else Standing()
        self._epoch = self._slot.next_epoch()
        self._journal = Journal(
            disk, self._slot, self._epoch, asyncio.get_running_loop(), carry=self._standing.carry, failed=_failed
        )
        self._journal.start(self._standing.carry())
        self._leases: dict[str, Lease] = {}
        self._desk = Desk(snapshot, folder.secret("pepper"), self._lease)
        self._ids = RequestIds(folder.secret("request-ids"))
        self._count = 0

    def renew(self, snapshot: Snapshot) -> None:
        self._desk.renew(snapshot)

    async def serve(self, batches: Sequence[Batch], now: Instant) -> None:
        """Admit, write down and end these, with everything durable on return. Raises CallRefused, and then some of
        them are in the journal, whole."""
        asked = [self._asked(each) for each in batches]
        self._take_leases(asked, now)
        for number, each in enumerate(asked, 1):
            self._one(each)
            if number % _PENDING == 0:
                await self._durable()
        await self._durable()

    async def close(self, now: Instant) -> None:
        """Give back what is free, seal."""
        for lease in self._leases.values():
            if lease.free:
                self._put(Return(lease.balance, lease.give_back(lease.free)))
        await self._durable()
        self._journal.close(to_bytes(Seal(now, "worker")))
        self._slot.release()

    def _lease(self, name: str) -> Lease:
        if name not in self._leases:
            known = self._standing.leases.get(name)
            self._leases[name] = Lease(name, known.granted, known.returned, known.charged) if known else Lease(name)
        return self._leases[name]

    def _asked(self, batch: Batch) -> _Asked:
        caller = self._desk.authenticate(self._keys[f"{batch.customer}/{batch.project}"].encode(), batch.at)
        if isinstance(caller, Problem):
            raise CallRefused(f"the key of {batch.customer} is refused: {caller.message}")
        offer = self._desk.offer(*caller, batch.deployment, batch.at)
        if not isinstance(offer, Offer):
            raise CallRefused(f"{batch.customer} cannot call {batch.deployment}: {offer.message}")
        cap = -(-batch.made // batch.calls)
        call = replace(
            _PLAIN, input_bound=batch.given, output_cap=cap, n=batch.calls, inputs=batch.calls, messages=batch.calls
        )
        given, made, once = offer.held("", batch.given)
        return _Asked(batch, offer, call, -(-(batch.given * given + cap * batch.calls * made + once) // offer.den))

    def _take_leases(self, asked: Sequence[_Asked], now: Instant) -> None:
        """What all of these hold together, of each balance, and some days more where there is as much."""
        needs: dict[str, int] = {}
        for each in asked:
            needs[each.offer.terms.balance] = needs.get(each.offer.terms.balance, 0) + each.hold
        short = self._ask({name: _AHEAD * need for name, need in needs.items() if need > self._lease(name).free}, now)
        for name, left in self._ask({name: needs[name] for name in short}, now).items():
            raise CallRefused(
                f"{name} needs {show(needs[name], 'USD')} USD and may still spend {show(left, 'USD')}: raise its "
                "credit_limit in catalog.toml, or lower its amount"
            )

    def _ask(self, needs: Mapping[str, int], now: Instant) -> dict[str, int]:
        """Ask the keeper once, in one transaction; whose need it refuses, and what is left to spend there."""
        questions = []
        for name, need in needs.items():
            lease = self._lease(name)
            want = Want(
                balance=name, granted_seen=lease.granted, need=need - lease.free, pace=0, holds=(need,),
                free=lease.free, returned=lease.returned,
            )  # fmt: skip
            questions.append(Question(1, want, True))
        if not questions:
            return {}
        with write(self._engine) as connection:
            answers = authority.answer(connection, questions, slots=1, at=now)
        for question, answer in zip(questions, answers, strict=True):
            name, said = question.want.balance, answer.granted
            if self._lease(name).grant(said.total):
                self._put(Grant(name, said.total))
        return {
            question.want.balance: answer.granted.left
            for question, answer in zip(questions, answers, strict=True)
            if answer.granted.short
        }

    def _one(self, asked: _Asked) -> None:
        batch, offer = asked.batch, asked.offer
        plan = admit(offer, asked.call)
        if not isinstance(plan, Plan):
            raise CallRefused(f"{batch.customer} is refused a call of {batch.deployment}: {plan}")
        self._count += 1
        request = self._ids.make(batch.at // 1000, self._slot.number, self._epoch, self._count)
        seq = self._put(Intent(
            request=request, attempt=1, admitted_at=batch.at, operation="chat", stream=False, hold=plan.hold,
            input_bound=plan.input_bound, output_cap=plan.output_cap, terms=offer.terms,
        ))  # fmt: skip
        quantities = _tokens(batch)
        made = bill(Verdict("final", "vendor", "", quantities, True), offer.terms, plan.hold)
        offer.leases[0].end(plan.hold, made.charge)
        self._put(Ending(
            attempt_seq=seq, request=request, attempt=1, admitted_at=batch.at, sent_at=batch.at + 2_000,
            first_at=batch.at + SECOND, ended_at=batch.at + 2 * SECOND, operation="chat", stream=False, state="final",
            source="vendor", status=200, reason="", quantities=quantities, charged=quantities, charge=made.charge,
            cost=made.cost, hold=plan.hold, overrun=made.overrun, unrated=made.unrated, input_bound=plan.input_bound,
            output_cap=plan.output_cap, service_tier="", vendor_model=offer.vendor_model, vendor_request="",
            usage=b'{"prompt_tokens":%d,"completion_tokens":%d}' % (batch.given, batch.made), events=1, size=0,
            terms=offer.terms,
        ))  # fmt: skip

    def _put(self, record: Record) -> int:
        data = to_bytes(record)
        seq = self._journal.append(data)
        self._standing.fold(seq, data)
        return seq

    async def _durable(self) -> None:
        done = asyncio.Event()
        self._journal.append(to_bytes(Grant("", 0)), done.set)
        await done.wait()


def _tokens(batch: Batch) -> Quantities:
    counts = [0] * len(NOTHING)
    counts[INPUT], counts[OUTPUT] = batch.given, batch.made
    a, b, c, d, e, f, g, h = counts
    return a, b, c, d, e, f, g, h


def _failed(error: BaseException) -> None:
    raise error
