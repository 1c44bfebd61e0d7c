"""The kill table, row by row: a gateway that kills itself at the very
moment; then our record, the lease, the caller, both ledgers. The rows of the books: test_kill_table_books.py."""

import asyncio
import signal
import time
from collections.abc import Callable, Iterator

import pytest

from entrepot.journal.disk import RealDisk, SlotTaken
from entrepot.journal.files import scan, segments, streams
from entrepot.journal.slots import Slot
from entrepot.kernel.buckets import NOTHING
from entrepot.kernel.buckets import OUTPUT as OUT
from entrepot.metering.record import Ending, Kind
from entrepot.prove.client import Client, Outcome, chat_body
from entrepot.prove.processes import send
from killable_house import Place, killable
from trial_house import FUNDS, OUTPUT, PRICE, SLICE, Customer, Peer


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with killable(tmp_path_factory.mktemp("vendor") / "ledger") as found:
        yield found


Check = Callable[[Place], None]
ROWS: dict[str, Check] = {}


def row(words: str) -> Callable[[Check], Check]:
    def add(check: Check) -> Check:
        ROWS[words] = check
        return check

    return add


def killed(place: Place, moment: str, customer: Customer, **script: object) -> Outcome:
    """One call into a worker that dies at `moment`; the next call is answered by its successor."""
    before = place.house.pids("gateway")
    place.arm(moment)
    outcome = customer.call(**script)
    place.wait(place.fired, f"nobody came by {moment!r}: {outcome}")
    place.gone("gateway", before)
    customer.answered()
    return outcome


def free_again(customer: Customer, record: Ending | None) -> None:
    """What of the hold was not charged can be used, all of it."""
    customer.spend_all()
    assert sum(e.charge for e in customer.records()[:-1]) == PRICE + (record.charge if record else 0)


def one_before(customer: Customer) -> Ending:
    """The record of the call that was hit; the one behind it is the retry's."""
    hit, retry = customer.records()
    assert hit.request != retry.request
    assert (retry.state, retry.charge) == ("final", PRICE)
    return hit


@row("worker | before the frame is written | no record, hold free, reset, equal (no call)")
def _before(place: Place) -> None:
    customer, calls = place.customer(), place.compared().rows
    assert killed(place, "before the intent is written", customer).how == "cut"
    assert [e.state for e in customer.records()] == ["final"]
    assert place.compared().rows == calls + 1
    free_again(customer, None)


@row("worker | intent written, not sent | estimated, hold freed at seal, reset, one more of ours with charge 0")
def _intent(place: Place) -> None:
    customer, unsent = place.customer(), place.compared().unsent
    assert killed(place, "intent durable", customer).how == "cut"
    hit = one_before(customer)
    assert (hit.state, hit.source, hit.charge, hit.reason) == ("estimated", "estimate", 0, "crash")
    assert place.compared().unsent == unsent + 1
    free_again(customer, hit)


@row("worker | sent | estimated, charge 0, cut, same call marked")
def _sent(place: Place) -> None:
    customer, marked = place.customer(), place.compared().marked
    assert killed(place, "sent", customer).how == "cut"
    hit = one_before(customer)
    assert (hit.state, hit.source, hit.charge) == ("estimated", "estimate", 0)
    assert place.compared().marked == marked + 1
    free_again(customer, hit)


@row("worker | mid-stream, before the first checkpoint | estimated, charge 0, cut, marked")
def _early(place: Place) -> None:
    customer, marked = place.customer(), place.compared().marked
    outcome = killed(place, "third event", customer, stream=True, events=9, delay_ms=20)
    assert outcome.how == "cut"
    hit = one_before(customer)
    assert (hit.state, hit.charge, hit.events) == ("estimated", 0, 0)
    assert place.compared().marked == marked + 1
    free_again(customer, hit)


@row("worker | mid-stream | estimated, charged what the last checkpoint says was delivered, cut, marked")
def _middle(place: Place) -> None:
    customer, marked = place.customer(), place.compared().marked
    outcome = killed(place, "checkpoint durable", customer, stream=True, events=20, delay_ms=200)
    assert outcome.how == "cut"
    delivered = outcome.body.count(b"data: ")
    hit = one_before(customer)
    assert (hit.state, hit.source) == ("estimated", "estimate")
    assert 1 <= hit.charged[OUT] <= delivered
    assert hit.charged == (*NOTHING[:OUT], hit.charged[OUT], *NOTHING[OUT + 1 :])
    assert hit.charge == hit.charged[OUT] * OUTPUT <= hit.hold
    assert place.compared().marked == marked + 1
    free_again(customer, hit)


@row("worker | ending in memory | estimated, lacks its last byte, marked")
def _memory(place: Place) -> None:
    customer, marked = place.customer(), place.compared().marked
    assert killed(place, "ending in memory", customer).how == "cut"
    hit = one_before(customer)
    assert (hit.state, hit.source, hit.charge) == ("estimated", "estimate", 0)
    assert place.compared().marked == marked + 1
    free_again(customer, hit)


@row("worker | ending in memory, usage in a checkpoint | aborted by the vendor's word, lacks its last byte")
def _usage(place: Place) -> None:
    customer, equal = place.customer(), place.compared().equal
    outcome = killed(place, "usage in a checkpoint", customer, stream=True)
    assert outcome.how == "cut"
    assert b"[DONE]" not in outcome.body
    hit = one_before(customer)
    assert (hit.state, hit.source, hit.charge, hit.reason) == ("aborted", "vendor", PRICE, "crash")
    assert place.compared().equal == equal + 2
    free_again(customer, hit)


@row("worker | ending written, unsynced | final, exact, lacks its last byte, equal")
def _unsynced(place: Place) -> None:
    customer, equal = place.customer(), place.compared().equal
    outcome = killed(place, "ending unsynced", customer, stream=True)
    assert outcome.how == "cut"
    assert b"[DONE]" not in outcome.body
    hit = one_before(customer)
    assert (hit.state, hit.charge) == ("final", PRICE)
    assert place.compared().equal == equal + 2
    free_again(customer, hit)


@row("worker | ending durable, last byte unsent | final, charged, resets, its retry is a new call, equal")
def _durable(place: Place) -> None:
    customer, equal = place.customer(), place.compared().equal
    assert killed(place, "ending durable", customer).how == "cut"
    hit = one_before(customer)
    assert (hit.state, hit.charge) == ("final", PRICE)
    assert place.compared().equal == equal + 2
    free_again(customer, hit)


@row("worker | grant received, not journaled | the keeper still counts it, `want` repeats the total")
def _grant(place: Place) -> None:
    customer = place.customer()
    place.arm("grant received")
    assert customer.call().how == "cut"
    place.wait(place.fired, "no grant came")
    assert customer.lease().granted == SLICE
    assert customer.answered().how == "answered"
    assert customer.lease().granted == SLICE
    assert [e.state for e in customer.records()] == ["final"]
    free_again(customer, None)


@row("worker | return durable, not sent | resent as a total")
def _return(place: Place) -> None:
    customer = place.customer()
    customer.answered()
    before = place.house.pids("gateway")
    place.arm("return durable")
    peer = Peer(place.house)
    try:
        word = peer.want(customer.id, FUNDS - SLICE + 1)
        place.wait(place.fired, "nothing was recalled")
        assert word.short == "", "what is durable in the journal counts for the keeper too"
        place.gone("gateway", before)
        place.house.first_answer()
        place.wait(place.connected, "the successor has no keeper")
        time.sleep(0.5)  # its total arrives, and changes nothing
        assert customer.lease().returned == SLICE - PRICE
        peer.give_back(customer.id, word.total)
        place.wait(lambda: customer.lease(9).returned == word.total, "the peer's own return")
    finally:
        peer.close()
    customer.spend_all()


@row("worker | between two segments | the next is empty and valid, the carry is read from the previous")
def _between(place: Place) -> None:
    house, before = place.house, place.house.pids("gateway")
    stream = next(s for s in streams(house.folder.journal) if not s.sealed)

    async def pump() -> Outcome:
        under_way = Client(house.port, house.key)
        slow = asyncio.create_task(under_way.chat(chat_body(house.model, stream=True, events=400, delay_ms=100)))
        await asyncio.sleep(0.5)
        place.arm("between two segments")

        async def calls() -> None:
            client = Client(house.port, house.key)
            while not place.fired():
                await client.chat(chat_body(house.model))
            client.close()

        await asyncio.wait_for(asyncio.gather(*(calls() for _ in range(4))), 60)
        return await slow

    assert asyncio.run(pump()).how == "cut"
    place.gone("gateway", before)
    house.first_answer()
    *_, last = scan(house.folder.journal, stream.slot, stream.epoch)
    assert last.record[0] == Kind.SEAL
    disk = RealDisk()
    assert last.segment == segments(disk, stream.path)[-1]
    first = next(e for e in scan(house.folder.journal, stream.slot, stream.epoch) if e.segment == last.segment)
    assert first.record[0] == Kind.CARRY or last.segment == 1


@row("worker stopped | any | lock still held, others get *held*, killed after 5 s, then sealed")
def _stopped(place: Place) -> None:
    house, customer = place.house, place.customer()
    customer.answered()
    (pid,) = house.pids("gateway")
    stream = place.unsealed()

    async def under_way() -> Outcome:
        slow = asyncio.create_task(customer.calling(stream=True, events=400, delay_ms=100))
        await asyncio.sleep(1.5)
        send(pid, signal.SIGSTOP)
        await asyncio.to_thread(while_stopped)
        return await slow

    def while_stopped() -> None:
        began = time.monotonic()
        peer = Peer(house)
        try:
            assert peer.want(customer.id, FUNDS - SLICE + 1).short == "held"
        finally:
            peer.close()
        while time.monotonic() - began < 2.5:
            assert place.unsealed() == stream
            with pytest.raises(SlotTaken):
                Slot.acquire(RealDisk(), house.folder.journal, 1)
            time.sleep(0.2)
        place.gone("gateway", [pid])
        assert time.monotonic() - began < 15

    assert asyncio.run(under_way()).how == "cut"
    customer.answered()
    place.wait(lambda: not set(stream) & set(place.unsealed()), "the slot is not sealed")
    hit = customer.records()[1]
    assert (hit.state, hit.reason) == ("estimated", "crash")
    place.agree()
    customer.spend_all()


@pytest.mark.parametrize("words", ROWS, ids=list(ROWS))
def test_killed(place: Place, words: str) -> None:
    try:
        ROWS[words](place)
        place.agree()
    finally:
        place.disarm()
