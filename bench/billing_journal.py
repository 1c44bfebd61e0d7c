"""A journal with many customers, written as a gateway writes it: real slot, real stream, real records."""

import asyncio
import random

from entrepot.journal.disk import RealDisk
from entrepot.journal.slots import Slot
from entrepot.journal.writer import Journal
from entrepot.kernel.instants import parse
from entrepot.metering.record import Carry, Ending, Grant, Intent, Seal, Terms, to_bytes
from entrepot.storage.folder import Folder

_AT = parse("2026-10-05T12:00:00Z")
_RATES = (2500, 1250, -1, 10_000, 10_000, -1, -1, -1)
_PENDING = 20_000  # records appended and not yet on disk: memory stays small


def write_journal(folder: Folder, endings: int, customers: int) -> list[str]:
    """One sealed stream of intents and endings, in an hour; the customers, whose balances want money."""
    folder.create()
    chance = random.Random(endings)
    names = [f"customer-{each:04d}" for each in range(customers)]
    terms = [_terms(name, model) for name in names for model in ("large", "small")]
    asyncio.run(_write(folder, endings, terms, chance))
    return names


async def _write(folder: Folder, endings: int, terms: list[Terms], chance: random.Random) -> None:
    disk = RealDisk()
    slot = Slot.acquire(disk, folder.journal, 1)
    empty = to_bytes(Carry(0, 1, (), ()))
    journal = Journal(
        disk, slot, slot.next_epoch(), asyncio.get_running_loop(), carry=lambda: [empty], failed=_failed
    )
    journal.start([empty])
    for balance in dict.fromkeys(each.balance for each in terms):
        journal.append(to_bytes(Grant(balance, 10**15)))
    for n in range(endings):
        what = terms[int(len(terms) * chance.random() ** 3)]
        at = _AT + n * 3_600_000_000 // endings
        intent = _intent(n, at, what)
        seq = journal.append(to_bytes(intent))
        journal.append(to_bytes(_ending(seq, intent, chance)))
        if n % _PENDING == _PENDING - 1:
            await _durable(journal)
    await _durable(journal)
    journal.close(to_bytes(Seal(_AT, "worker")))
    slot.release()


async def _durable(journal: Journal) -> None:
    done = asyncio.Event()
    journal.append(to_bytes(Grant("", 0)), done.set)
    await done.wait()


def _failed(error: BaseException) -> None:
    raise SystemExit(f"the journal failed: {error}")


def _terms(customer: str, model: str) -> Terms:
    return Terms(
        key=f"key-{customer}", customer=customer, project="app", deployment=model, model=model, upstream="aurora-eu",
        vendor="aurora", zone="EU", balance=customer, currency="USD", price_version="list/1", den=1, rates=_RATES,
        cost_version="aurora-cost/1", cost_currency="USD", cost_den=1, cost_rates=_RATES,
    )  # fmt: skip


def _intent(number: int, at: int, terms: Terms) -> Intent:
    return Intent(
        request=f"req_{number:026d}", attempt=1, admitted_at=at, operation="chat", stream=False, hold=10**9,
        input_bound=8000, output_cap=4096, terms=terms,
    )  # fmt: skip


def _ending(seq: int, intent: Intent, chance: random.Random) -> Ending:
    used = (chance.randrange(20, 3000), chance.choice((0, 1024)), 0, chance.randrange(1, 700), 0, 0, 0, 0)
    price = sum(count * rate for count, rate in zip(used, intent.terms.rates, strict=True) if count)
    return Ending(
        attempt_seq=seq, request=intent.request, attempt=1, admitted_at=intent.admitted_at,
        sent_at=intent.admitted_at + 2000, first_at=intent.admitted_at + 400_000,
        ended_at=intent.admitted_at + 900_000, operation="chat", stream=False, state="final", source="vendor",
        status=200, reason="", quantities=used, charged=used, charge=price, cost=price, hold=intent.hold, overrun=0,
        unrated=(), input_bound=8000, output_cap=4096, service_tier="default",
        vendor_model=f"{intent.terms.model}-2026-02",
        vendor_request=f"chatcmpl-{seq:020d}", usage=b'{"prompt_tokens":1800,"completion_tokens":300}', events=1,
        size=900, terms=intent.terms,
    )  # fmt: skip
