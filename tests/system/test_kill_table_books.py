"""The kill table where it hits the books: keeper, power, restored database.
The worker's rows: test_kill_table.py; the full disk: test_disk_full.py."""

import asyncio
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest

from endings import ending
from entrepot.journal.committer import Committer, Shelf
from entrepot.journal.files import scan
from entrepot.journal.simulated import PowerLoss, SimulatedDisk
from entrepot.journal.slots import Slot, seal_stream
from entrepot.metering import tables
from entrepot.metering.closing import Standing, carry_part, close_open
from entrepot.metering.record import Ending, Intent, Kind, LeaseTotals, Seal, from_bytes, to_bytes
from entrepot.pricing.charge import charge
from entrepot.prove.client import Outcome
from entrepot.storage.database import read
from killable_house import Place, killable
from trial_house import PRICE, SLICE


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


@row("keeper | grant committed, not sent | resent on `want`, the call waits and gets 503")
def _committed(place: Place) -> None:
    customer = place.customer()
    place.arm("grant committed")
    outcome = customer.call()
    place.wait(place.fired, "nothing was granted")
    assert (outcome.status, b"lease_unavailable" in outcome.body) == (503, True), outcome
    assert customer.lease().granted == SLICE
    customer.answered()
    assert customer.lease().granted == SLICE
    customer.spend_all()


@row("keeper | before the SQL commit | charged unchanged, outstanding too high (safe), position repeats")
def _sql(place: Place) -> None:
    house, customer, before = place.house, place.customer(), place.house.pids("keeper")
    customer.answered()
    place.agree()
    known, positions = customer.lease(), place.positions()
    house.hold("keeper")
    place.arm("before the SQL commit")
    customer.answered()
    place.wait(place.fired, "nothing was ingested")
    place.gone("keeper", before)
    assert (customer.lease(), place.positions()) == (known, positions)
    house.release("keeper")
    place.wait(lambda: customer.lease().charged == 2 * PRICE, "the position does not repeat")
    place.agree()
    customer.spend_all()


@row("keeper | Parquet renamed, no manifest | orphan, removed at start")
def _parquet(place: Place) -> None:
    house, before = place.house, place.house.pids("keeper")

    def unlisted() -> list[str]:
        with read(place.engine) as conn:
            listed = {file.path for file in tables.manifest(conn)}
        return sorted({str(p.relative_to(house.folder.lake)) for p in house.folder.lake.rglob("*.parquet")} - listed)

    house.hold("keeper")
    place.arm("renamed, not listed")
    house.kill("worker")  # its stream is sealed and becomes a file
    house.first_answer()
    place.wait(place.fired, "no file was written")
    place.gone("keeper", before)
    orphans = unlisted()
    assert orphans
    (house.folder.lake / orphans[0]).with_name("999999.parquet").write_bytes(b"half")  # of a segment that nobody has
    house.release("keeper")
    again = house.folder.lake / orphans[0]
    place.wait(lambda: again.exists() and unlisted() == [], "orphans stay, or are not written again", 60)


@row("keeper down for long | any | the journal grows, work on with what is free, 503 when dry, replay on return")
def _down(place: Place) -> None:
    house, customer = place.house, place.customer()
    customer.answered()
    place.agree()
    before, positions = house.pids("gateway"), place.positions()
    house.hold("keeper")
    house.kill("keeper")
    place.wait(lambda: not place.connected(), "still connected")
    assert [customer.call().status for _ in range(3)] == [200] * 3
    dry = customer.call(max_tokens=10_000)
    assert (dry.status, b"lease_unavailable" in dry.body) == (503, True)
    house.kill("worker")
    place.gone("gateway", before)
    assert customer.answered().seconds < 20  # the next epoch inherits what is free
    assert customer.call(max_tokens=10_000).status == 503
    assert place.positions() == positions
    house.release("keeper")
    customer.answered(max_tokens=10_000)
    place.agree()
    assert customer.lease().charged == 6 * PRICE
    customer.spend_all()


@row("both, or power | any | each slot sealed at start, then ingested, totals meet again")
def _both(place: Place) -> None:
    house, customer = place.house, place.customer()
    customer.answered()

    async def under_way() -> list[Outcome]:
        slow = [asyncio.create_task(customer.calling(stream=True, events=99, delay_ms=100)) for _ in range(5)]
        await asyncio.sleep(1.5)
        house.kill("all")
        return await asyncio.gather(*slow)

    assert [outcome.how for outcome in asyncio.run(under_way())] == ["cut"] * 5
    house.wait_gone()
    house.start()
    customer.answered()
    assert sorted(e.state for e in customer.records()) == ["estimated"] * 5 + ["final"] * 2
    place.agree()
    assert customer.lease().charged == sum(e.charge for e in customer.records())
    customer.spend_all()


@row("database restored from backup | any | positions go back, ingested again, granted = max(ours, slot's), equal")
def _restored(place: Place) -> None:
    house, customer, late = place.house, place.customer(), place.customer()
    customer.answered()
    place.agree()
    house.stop()
    place.let_go()
    database = house.folder.database
    backup = database.with_name("backup")
    shutil.copy(database, backup)
    assert not database.with_name(f"{database.name}-wal").exists()
    house.start()
    house.first_answer()
    late.answered()  # its whole lease is younger than the backup
    customer.answered(max_tokens=4_000)  # more than the slice that the backup knows
    place.agree()
    grown, told = customer.lease(), late.lease()
    positions = place.positions()
    house.stop()
    place.let_go()
    os.replace(backup, database)
    old = place.positions()
    assert old != positions
    assert customer.lease().granted < grown.granted
    house.start()
    house.first_answer()
    place.wait(lambda: set(positions) <= set(place.positions()), "positions do not come back")
    place.agree()
    assert customer.lease().granted >= grown.granted
    assert late.lease().granted >= told.granted  # equal, or more: a worker asks ahead for a balance in use
    assert (customer.lease().charged, late.lease().charged) == (grown.charged, told.charged)
    customer.spend_all()
    late.spend_all()


@pytest.mark.parametrize("words", ROWS, ids=list(ROWS))
def test_killed(place: Place, words: str) -> None:
    try:
        ROWS[words](place)
        place.agree()
    finally:
        place.disarm()


def intent_of(e: Ending) -> Intent:
    """What this record's attempt began with."""
    return Intent(
        request=e.request, attempt=e.attempt, admitted_at=e.admitted_at, operation=e.operation, stream=e.stream,
        hold=e.hold, input_bound=e.input_bound, output_cap=e.output_cap, terms=e.terms,
    )  # fmt: skip


def test_killed_by_power_loss_with_the_ending_written_and_unsynced() -> None:
    """power | ending written, unsynced | final or estimated; safe: nothing later is durable without it. On the
    simulated disk, which forgets sectors that were not synced; test_journal_faults.py tries every call of the port."""
    final = ending(2)
    found = set()
    for seed in range(60):
        disk = SimulatedDisk()
        slot = Slot.acquire(disk, Path("/journal"), 1)
        disk.make_directory(slot.stream(1))
        disk.sync_directory(slot.path)
        shelf = Shelf(disk, slot.stream(1))
        shelf.prepare(8192)
        committer = Committer(shelf, shelf.ready.popleft(), 0, 1)
        standing = Standing()
        standing.leases = {"demo": LeaseTotals("demo", 10**6, 0, 0)}
        committer.commit(standing.carry())
        committer.commit([to_bytes(intent_of(final))])

        def power(call: str) -> None:
            if call == "write_durable: written, not synced":
                raise PowerLoss

        disk.at = power
        with pytest.raises(PowerLoss):
            committer.commit([to_bytes(final)])
        left = disk.after_power_loss(Random(seed))
        heir = Slot.acquire(left, Path("/journal"), 1)
        assert heir.unsealed() == [1]
        seal_stream(
            left, heir, 1, lambda records: close_open(Standing.of(records), 2, charge), to_bytes(Seal(2, "successor")),
            carry_part=carry_part,
        )  # fmt: skip
        records = list(scan(Path("/journal"), 1, 1, disk=left))
        endings = [from_bytes(e.record) for e in records if e.record[0] == Kind.ENDING]
        assert len(endings) == 1
        assert isinstance(endings[0], Ending)
        lease = Standing.of([(e.seq, e.record) for e in records]).leases["demo"]
        assert lease == LeaseTotals("demo", 10**6, 0, endings[0].charge)
        found.add((endings[0].state, endings[0].charge))
    assert found == {("final", final.charge), ("estimated", 0)}
