"""A month rated from what the disk holds: the same bytes in any process, in any order, made again; or an error."""

import os
import random
import subprocess
import sys
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace
from sqlalchemy import text

from endings import AT
from entrepot.catalog.contents import Contract, Customer
from entrepot.customers.tables import put_customer
from entrepot.keeper.arguments import CommandRefused
from entrepot.keeper.bills.rating import CustomerUnknown, InputsChanged, rated_all
from entrepot.keeper.commands import execute
from entrepot.keeper.tails import BooksDisagree
from entrepot.kernel.instants import DAY, HOUR
from entrepot.pricing.tables import publish_version
from entrepot.rating.line import Rated, from_bytes, to_bytes
from entrepot.rating.period import NoMonth
from entrepot.rating.tables import DecisionTaken, Rerating, carry_over, rerate
from entrepot.storage.database import write
from rated_house import CALLS, Call, House, version


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path / "data")


@pytest.fixture
def used(house: House) -> House:
    house.serve(CALLS)
    house.ingest()
    return house


def exact(calls: Sequence[Call], customer: str) -> Fraction:
    """What the calls come to at these prices, call by call."""
    total = Fraction(0)
    for who, hours, given, made in calls:
        night = (AT // HOUR + hours) % 24 in (22, 23, 0, 1, 2, 3, 4, 5)
        if who == customer:
            total += Fraction(given * (5 if night else 10) + made * 40, 10**8)
    return total


def without_inputs(found: Rated) -> bytes:
    return to_bytes(replace(found, inputs=(), open=()))


def test_a_month_comes_to_what_its_calls_come_to(used: House) -> None:
    found = used.rated()
    assert sum(line.exact() for line in found.lines) == exact(CALLS, "demo")
    assert (found.open, found.unrated, found.currency, found.until) == ((), (), "USD", "2026-12-01")
    assert [name.split()[0] for name, _ in found.inputs] == ["book", "contract", "lake"]


@pytest.mark.long
def test_everybody_at_once_is_everybody_alone(used: House) -> None:
    together = list(rated_all(used.engine, used.folder, "2026-11"))
    assert [each.customer for each in together] == ["acme", "demo"]
    assert [to_bytes(each) for each in together] == [to_bytes(used.rated(each.customer)) for each in together]


@pytest.mark.long
@pytest.mark.parametrize(("zone", "seed"), [("Pacific/Kiritimati", "1"), ("America/St_Johns", "4242")])
def test_a_fresh_process_in_another_time_zone_prints_the_same_bytes(used: House, zone: str, seed: str) -> None:
    words = [sys.executable, "-m", "entrepot.keeper.bills.rating", str(used.folder.root), "2026-11", "demo", "acme"]
    surroundings = {**os.environ, "TZ": zone, "PYTHONHASHSEED": seed, "LC_ALL": "C"}
    done = subprocess.run(words, capture_output=True, env=surroundings, check=True)
    assert done.stdout.splitlines() == [to_bytes(used.rated("demo")), to_bytes(used.rated("acme"))]


@pytest.mark.long
def test_shuffled_records_in_two_batches_give_the_same_bytes(used: House, tmp_path: Path) -> None:
    other = House(tmp_path / "other")
    calls = list(CALLS)
    random.Random(7).shuffle(calls)
    other.serve(calls[:31])
    other.ingest()
    other.serve(calls[31:])
    other.ingest()
    for who in ("demo", "acme"):
        assert without_inputs(other.rated(who)) == without_inputs(used.rated(who))


@pytest.mark.long
def test_what_is_not_in_the_lake_yet_is_rated_and_named(house: House) -> None:
    house.serve(CALLS, seal=False)
    house.ingest()
    found = house.rated()
    assert found.open[-1].startswith("w1-000001-")
    assert sum(line.exact() for line in found.lines) == exact(CALLS, "demo")
    house.serve([])  # the next worker seals the stream
    house.ingest()
    assert house.rated().open == ()
    assert without_inputs(house.rated()) == without_inputs(found)


@pytest.mark.long
def test_a_month_made_again_after_a_change_of_price_gives_the_same_bytes(used: House) -> None:
    before = to_bytes(used.rated())
    with write(used.engine) as conn:
        publish_version(conn, version(AT + 30 * DAY, input=Decimal("0.20")), AT + 25 * DAY)
    assert to_bytes(used.rated()) == before


@pytest.mark.long
def test_sealed_inputs_give_the_same_bytes_whatever_came_later(used: House) -> None:
    first = used.rated()
    with write(used.engine) as conn:
        publish_version(conn, version(1, audio_input=Decimal(9)), AT + 25 * DAY)  # a first price, valid for the past
    used.serve([("demo", 5, 100, 100)])  # late usage
    used.ingest()
    now = used.rated()
    assert without_inputs(now) != without_inputs(first)
    assert to_bytes(used.rated(sealed=dict(first.inputs))) == to_bytes(first)


@pytest.mark.long
def test_an_input_that_changed_is_named(used: House) -> None:
    sealed = dict(used.rated().inputs)
    with write(used.engine) as conn:
        conn.execute(text("UPDATE lake_file SET sha256 = x'00' WHERE segment = 1"))
    with pytest.raises(InputsChanged, match=r"demo, 2026-11: lake w1/000001 1-\d is not what it was"):
        used.rated(sealed=sealed)


def test_books_that_disagree_name_the_first_difference(used: House) -> None:
    with write(used.engine) as conn:
        conn.execute(text("UPDATE usage_rollup SET input = input + 1 WHERE customer = 'demo' AND model = 'small'"))
    with pytest.raises(BooksDisagree, match=r"charged of customer demo, .*model small.*in the lake.*in the rollup"):
        used.rated()
    assert used.rated("acme").lines


@pytest.mark.long
def test_a_file_that_is_gone_is_an_error_and_prints_nothing_else(used: House) -> None:
    for path in used.folder.lake.rglob("*.parquet"):
        path.unlink()
    words = [sys.executable, "-m", "entrepot.keeper.bills.rating", str(used.folder.root), "2026-11", "demo"]
    done = subprocess.run(words, capture_output=True, check=False)
    assert done.returncode == 1
    assert msgspec.json.decode(done.stdout)["code"] == "lake_broken"


def test_usage_of_a_customer_that_nobody_knows_is_named(house: House) -> None:
    with pytest.raises(CustomerUnknown, match="there is no customer 'nobody'"):
        house.rated("nobody")


@pytest.mark.long
def test_a_contract_that_starts_mid_month_counts_from_its_hour(house: House) -> None:
    start = AT + 20 * HOUR
    with write(house.engine) as conn:
        changed = Customer(id="demo", contracts=(Contract(book="list", id="demo-2", starts_at=start + HOUR // 2),))
        put_customer(conn, changed, "USD", 2)
    house.serve([("demo", 20, 10**6, 0), ("demo", 21, 10**6, 0)])
    house.ingest()
    line = sum(int(each.quantity) for each in house.rated().lines)
    assert line == 2 * 10**6
    assert all(each.starts_at == start + HOUR // 2 for each in house.rated().lines)


@pytest.mark.long
def test_carried_groups_and_reratings_are_read_and_sealed(house: House) -> None:
    house.serve([("demo", 3, 1000, 0)], rates=(100, -1, -1, 400, 400, -1, -1, -1), model="small")
    house.serve([("demo", 4, 1000, 500)], model="large")
    house.ingest()
    found = house.rated()
    names = [group.name for group in found.blocked_by]
    assert names == ["large input list/1", "large output list/1"]
    with write(house.engine) as conn:
        publish_version(conn, version(AT + DAY, input=Decimal("0.20")), AT + 25 * DAY)
        for name in names:
            assert carry_over(conn, ("demo", "2026-11", name), approved_by="maria", reason="asked", at=AT)
        assert not carry_over(conn, ("demo", "2026-11", names[0]), approved_by="maria", reason="asked", at=AT)
        with pytest.raises(DecisionTaken, match="maria: asked"):
            carry_over(conn, ("demo", "2026-11", names[0]), approved_by="otto", reason="no", at=AT)
        change = Rerating("list/2", AT, AT + 9 * DAY)
        assert rerate(conn, "RR-1", "demo", change, approved_by="maria", reason="typing error", at=AT)
        with pytest.raises(DecisionTaken, match="RR-1 is another one"):
            rerate(conn, "RR-1", "acme", change, approved_by="maria", reason="typing error", at=AT)
    again = house.rated()
    assert again.blocked_by == ()
    assert {"carried over", "re-ratings"} <= {name for name, _ in again.inputs}
    assert from_bytes(to_bytes(again)) == again


def test_carrying_over_and_rerating_are_commands_that_may_be_sent_again(house: House) -> None:
    def do(name: str, **args: object) -> dict[str, object]:
        return execute(house.engine, house.folder, name, args, AT)

    group = {"customer": "demo", "month": "2026-11", "group": "large input list/1", "by": "maria", "reason": "asked"}
    assert do("invoice.carry-over", **group, dry_run=True)["known"] is False
    assert do("invoice.carry-over", **group)["known"] is False
    assert do("invoice.carry-over", **group)["known"] is True
    change = {"customer": "demo", "version": "list/1", "from": "2026-11-01", "until": "2026-11-15", "by": "maria",
              "reason": "typing error", "id": "RR-1"}  # fmt: skip
    assert do("invoice.rerate", **change)["known"] is False
    assert do("invoice.rerate", **change)["known"] is True
    for wrong, message in [
        ({"version": "gold/1"}, "'gold/1' is no version of demo's book; there are list/1"),
        ({"until": "2026-10-01"}, "until 2026-10-01T00:00:00Z is not after from 2026-11-01T00:00:00Z"),
        ({"from": "soon"}, 'from is a date or an instant, not "soon"'),
    ]:
        with pytest.raises(CommandRefused, match=message):
            do("invoice.rerate", **{**change, **wrong, "id": "RR-2"})
    with pytest.raises(NoMonth):
        do("invoice.carry-over", **{**group, "month": "november"})


@pytest.mark.long
def test_a_rerating_may_be_looked_at_before_it_is_approved(used: House) -> None:
    with write(used.engine) as conn:
        publish_version(conn, version(AT, input=Decimal("0.20")), AT + 25 * DAY)
    before = used.rated()
    assert {str(line.price) for line in before.lines} == {"0.1", "0.05", "0.4"}
    proposed = used.rated(proposed=[Rerating("list/2", AT, AT + 30 * DAY)])
    assert {str(line.price) for line in proposed.lines} == {"0.2", "0.1", "0.4"}
    assert used.rated() == before


@pytest.mark.long
def test_a_rerating_that_came_later_leaves_a_bill_as_it_was_made(used: House) -> None:
    first = used.rated()
    with write(used.engine) as conn:
        later = publish_version(conn, version(AT + 300 * DAY, input=Decimal("0.20")), AT + 25 * DAY)
        change = Rerating(later.id, AT - AT % HOUR, AT + 9 * DAY)
        rerate(conn, "RR-1", "demo", change, approved_by="maria", reason="typing error", at=AT + 25 * DAY)
    second = used.rated()
    assert {line.version for line in second.lines if line.meter == "input"} == {"list/2"}, "which begins in 300 days"
    assert to_bytes(used.rated(sealed=dict(first.inputs))) == to_bytes(first)
    assert to_bytes(used.rated(sealed=dict(second.inputs))) == to_bytes(second)
