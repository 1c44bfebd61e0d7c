"""Do journal, lake, rollup, ledger and invoices agree? Reads only; works beside a running house and without one.

The database is read first, in one transaction: everything that its positions have passed must be in it, to the last
digit; what came to the journals since is counted, not compared.
"""

import sys
import time
from collections.abc import Callable, Iterable, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import Engine

from entrepot.journal.disk import RealDisk
from entrepot.journal.files import Entry, JournalDamaged, scan, segments, stream_directory, streams
from entrepot.keeper.bills.check import check_bills
from entrepot.keeper.lake import Segment, SegmentRows, name_of
from entrepot.keeper.report import Difference, Report
from entrepot.kernel.buckets import BUCKETS
from entrepot.kernel.ids import AttemptId
from entrepot.kernel.instants import Instant, show
from entrepot.ledger.attribution import boundaries, in_stretches
from entrepot.ledger.check import check_ledger
from entrepot.ledger.grant_tables import all_grants
from entrepot.ledger.taken_tables import charged_sums
from entrepot.limits.budget import budget_of
from entrepot.limits.tables import all_leases, budget_charged
from entrepot.metering import tables
from entrepot.metering.record import Carry, Ending, Intent, Kind, Terms, from_bytes
from entrepot.metering.rollup import NO_SUMS, RollupKey, RollupSums, charges_of, fold
from entrepot.metering.tables import LakeFile, StreamPosition
from entrepot.pricing.charge import charge
from entrepot.storage import lake, reading
from entrepot.storage.database import open_database, read
from entrepot.storage.folder import Folder

Calls = Callable[[set[tuple[str, Instant]]], Iterable[tuple[str, Instant, int]]]
_SHOWN = 20  # differences kept: enough to see a pattern, and a broken house does not fill the memory


class Verification:
    """One run: what is in the database at its start, and what the journals and files say to it."""

    def __init__(self, engine: Engine, folder: Folder) -> None:
        self._folder = folder
        self._disk = RealDisk()
        self._lake = lake.connect()
        with read(engine) as conn:
            self._positions = tables.positions(conn)
            self._manifest = {(file.slot, file.epoch, file.segment): file for file in tables.manifest(conn)}
            self._rollup = tables.rollup_rows(conn)
            self._ledger = check_ledger(conn)
            self._leases = all_leases(conn)
            self._budgets = budget_charged(conn)
            self._bills = check_bills(conn)
            self._taken = charged_sums(conn)
            self._cuts = {name: boundaries(mine) for name, mine in all_grants(conn).items()}
        self._expected: dict[RollupKey, RollupSums] = {}
        self._expected_budgets: dict[str, int] = {}
        self._expected_taken: dict[tuple[str, Instant], int] = {}
        self._open: dict[AttemptId, Intent] = {}
        self._counts = dict.fromkeys(("streams", "segments", "records", "intents", "endings", "pending", "unlisted"), 0)
        self.differences: list[Difference] = []

    def run(self) -> Report:
        started = time.perf_counter()
        for stream in streams(self._folder.journal, disk=self._disk):
            self._counts["streams"] += 1
            try:
                self._stream(stream.slot, stream.epoch)
            except JournalDamaged as damage:
                self._differ("journal", damage.message, "", "")
        self._files()
        self._lake.close()
        self._compare_rollup()
        self._compare_ledger()
        for what, found, expected in self._bills.differences:
            self._differ("invoices", what, found, expected)
        charges: dict[str, int] = {}
        for key, sums in self._rollup.items():
            charges[key.currency] = charges.get(key.currency, 0) + sums.charge
        return Report(
            **self._counts, open=len(self._open), files=len(self._manifest), charges=charges,
            transfers=self._ledger.transfers, differences=tuple(self.differences),
            seconds=time.perf_counter() - started, documents=self._bills.documents,
        )  # fmt: skip

    def _differ(self, part: str, what: str, ours: object, theirs: object) -> None:
        if len(self.differences) < _SHOWN:
            self.differences.append(Difference(part=part, what=what, found=str(ours), expected=str(theirs)))

    # --- journal

    def _stream(self, slot: int, epoch: int) -> None:
        """Every record of a stream: attempts that open and end once, charges, and what the rollup should have."""
        stream = stream_directory(self._folder.journal, slot, epoch)
        first = next(iter(segments(self._disk, stream)), 0)
        position = self._positions.get((slot, epoch))
        taken = 0
        for number, entries in groupby(scan(self._folder.journal, slot, epoch), key=lambda entry: entry.segment):
            records = list(entries)
            if number == first:
                self._carried(slot, epoch, records[0])
            taken += self._segment((slot, epoch, number), records, position)
        if position is None:
            return
        if first == 1 and taken != position.records:
            what = f"stream w{slot}-{epoch:06d}: records before the rollup's position"
            self._differ("journal", what, taken, position.records)
        if position.sealed:
            for attempt in [each for each in self._open if each[:2] == (slot, epoch)]:
                self._differ("journal", f"attempt {attempt} of a sealed stream", "open", "one ending")

    def _carried(self, slot: int, epoch: int, entry: Entry) -> None:
        """Intents that a carry brings over from segments that are no longer kept."""
        if entry.record[0] == Kind.CARRY:
            record = from_bytes(entry.record)
            assert isinstance(record, Carry)
            for found in record.open:
                self._open[AttemptId(slot, epoch, found.seq)] = found.intent
                self._counts["intents"] += 1

    def _segment(self, segment: Segment, entries: list[Entry], position: StreamPosition | None) -> int:
        """Check one segment; how many of its records the rollup has taken."""
        slot, epoch, _ = segment
        self._counts["segments"] += 1
        self._counts["records"] += len(entries)
        for entry in entries:
            kind = entry.record[0]
            if kind == Kind.INTENT:
                intent = from_bytes(entry.record)
                assert isinstance(intent, Intent)
                self._counts["intents"] += 1
                self._open[AttemptId(slot, epoch, entry.seq)] = intent
            elif kind == Kind.ENDING:
                record = from_bytes(entry.record)
                assert isinstance(record, Ending)
                self._counts["endings"] += 1
                self._ending(AttemptId(slot, epoch, record.attempt_seq), record)
        until = (position.segment, position.offset) if position else (0, 0)
        taken = [entry for entry in entries if (entry.segment, entry.offset) < until]
        self._counts["pending"] += sum(entry.record[0] == Kind.ENDING for entry in entries[len(taken) :])
        file = self._manifest.get(segment)
        if file is None:
            self._counts["unlisted"] += 1
            batch = fold(entry.record for entry in taken)
            self._expect(batch.groups)
            self._expect_budgets(batch.budgets)
            self._expect_taken(batch.taken, lambda _hours: charges_of(entry.record for entry in taken))
        else:
            self._compare_file(segment, file, entries)
        return len(taken)

    def _ending(self, attempt: AttemptId, e: Ending) -> None:
        intent = self._open.pop(attempt, None)
        name = f"attempt {attempt} ({e.request})"
        if intent is None:
            self._differ("journal", f"{name} ends without being open: it has two endings, or no intent", "", "")
        elif (intent.request, intent.hold) != (e.request, e.hold) or not _pinned(intent.terms, e.terms):
            self._differ("journal", f"{name}: request, hold or terms are not those of its intent", e.hold, intent.hold)
        due = min(charge(e.charged, e.terms.den, e.terms.rates, e.terms.request_rate), e.hold)
        if e.charge != due:
            self._differ("journal", f"{name}: charge, in {e.terms.currency} units", e.charge, due)

    def _expect(self, groups: dict[RollupKey, RollupSums]) -> None:
        for key, sums in groups.items():
            self._expected[key] = self._expected.get(key, NO_SUMS).plus(sums)

    def _expect_budgets(self, charges: Mapping[str, int]) -> None:
        for period, amount in charges.items():
            self._expected_budgets[period] = self._expected_budgets.get(period, 0) + amount

    def _expect_taken(self, hours: Mapping[tuple[str, Instant], int], calls: Calls) -> None:
        for key, amount in in_stretches(hours, self._cuts, calls).items():
            self._expected_taken[key] = self._expected_taken.get(key, 0) + amount

    # --- lake

    def _compare_file(self, segment: Segment, file: LakeFile, entries: list[Entry]) -> None:
        """Row by row, value by value: the file against the endings of its segment."""
        path = self._folder.lake / file.path
        if not path.exists():
            return
        try:
            parted = lake.first_difference(self._lake, path, SegmentRows(segment, [each.record for each in entries]))
        except lake.LakeBroken as broken:
            self._differ("lake", broken.message, "", "")
            return
        if parted is None:
            return
        have, should = parted
        names = list(lake.COLUMNS)
        if not have or not should:
            row = dict(zip(names, have or should, strict=True))
            what = f"{file.path}: attempt {AttemptId(*segment[:2], row['seq'])} ({row['request']})"
            self._differ("lake", what, "a row" if have else "no row", "no ending" if have else "an ending")
            return
        at = next(i for i, (a, b) in enumerate(zip(have, should, strict=True)) if a != b)
        row = dict(zip(names, should, strict=True))
        what = f"{file.path}: attempt {AttemptId(*segment[:2], row['seq'])} ({row['request']}), {names[at]}"
        self._differ("lake", what, have[at], should[at])

    def _files(self) -> None:
        """Files are there and unchanged; their sums, by the one aggregation statement, are part of the rollup."""
        whole = []
        for segment, file in self._manifest.items():
            path = self._folder.lake / file.path
            if not path.exists():
                self._differ("lake", f"{file.path} of the manifest", "no file", f"{file.rows} rows")
            elif lake.sha256_of(path) != file.sha256:
                self._differ("lake", f"{file.path} (segment {name_of(segment)}): SHA-256", "changed", file.sha256.hex())
            else:
                whole.append(path)
        self._expect_budgets(lake.budgets(whole))
        self._expect_taken(lake.charges_by_hour(whole), lambda hours: lake.charges_in(whole, hours))
        for row in reading.aggregate(whole):
            key = RollupKey(**{name: row[name] for name in RollupKey._fields})
            self._expect({key: RollupSums(
                requests=row["requests"], attempts=row["attempts"],
                charged=tuple(row[name] for name in BUCKETS),
                billed=tuple(row[f"billed_{name}"] for name in BUCKETS),
                charge=row["charge"], cost=row["cost"], uncosted=row["uncosted"], unrated=row["unrated"],
                calls=row["calls"], overrun=row["overrun"],
            )})  # fmt: skip

    # --- rollup and ledger

    def _compare_rollup(self) -> None:
        for key in sorted({*self._rollup, *self._expected}):
            have, should = self._rollup.get(key, NO_SUMS), self._expected.get(key, NO_SUMS)
            for name, ours, theirs in zip(RollupSums._fields, have, should, strict=True):
                if ours != theirs:
                    group = ", ".join(f"{field} {value}" for field, value in key._asdict().items() if value)
                    self._differ("rollup", f"{name} of {group}", ours, theirs)
                    break

    def _compare_ledger(self) -> None:
        for what, ours, theirs in self._ledger.differences:
            self._differ("ledger", what, ours, theirs)
        revenue: dict[tuple[str, str], int] = {}
        costs: dict[tuple[str, str, str], int] = {}
        for key, sums in self._rollup.items():
            one, other = (key.currency, key.model), (key.vendor, key.cost_currency, key.model)
            revenue[one] = revenue.get(one, 0) + sums.charge
            costs[other] = costs.get(other, 0) + sums.cost
        self._same("revenue of", self._ledger.revenue, revenue)
        self._same("cost of goods of", self._ledger.costs, costs)
        charged: dict[str, int] = {}
        outstanding: dict[str, int] = {}
        for _slot, totals in self._leases:
            charged[totals.balance] = charged.get(totals.balance, 0) + totals.charged
            left = totals.granted - totals.returned - totals.charged
            outstanding[totals.balance] = outstanding.get(totals.balance, 0) + left
        drawn = {name: sum_ for name, sum_ in charged.items() if budget_of(name) is None}
        self._same("charges posted to balance", self._ledger.charged, drawn)
        self._same("charges of budget", self._budgets, self._expected_budgets)
        booked, read_again = (
            {(name, show(at)): n for (name, at), n in sums.items() if name in self._ledger.ahead}
            for sums in (self._taken, self._expected_taken)
        )
        self._same("taken by calls of balance", booked, read_again)
        for period in sorted({*charged} - {*drawn}):  # a budget that was soft for a while has more than its leases
            if charged[period] > self._budgets.get(period, 0):
                self._differ("ledger", f"charges of budget {period}", self._budgets.get(period, 0), charged[period])
        for balance, left in sorted(outstanding.items()):
            if budget_of(balance) is not None or balance not in self._ledger.funds:
                continue  # a budget or a credit limit may have been lowered below what is out
            funds = self._ledger.funds[balance]
            if left > funds:
                self._differ("ledger", f"leases outstanding on balance {balance}", left, f"at most {funds}")

    def _same(self, what: str, ours: Mapping[Any, int], theirs: Mapping[Any, int]) -> None:
        for key in sorted({*ours, *theirs}):
            if ours.get(key, 0) != theirs.get(key, 0):
                name = key if isinstance(key, str) else " ".join(key)
                self._differ("ledger", f"{what} {name}", ours.get(key, 0), theirs.get(key, 0))


def _pinned(intent: Terms, ending: Terms) -> bool:
    """Whether an attempt ended under the terms of its intent. Of a price version with conditions the answer's tier and
    bracket choose the rates; which version, and everything else, was pinned before."""
    if intent == ending:
        return True
    chosen = ("rates", "cost_rates", "request_rate", "cost_request_rate", "bracket")
    return msgspec.structs.replace(intent, **{name: getattr(ending, name) for name in chosen}) == ending


def verify(engine: Engine, folder: Folder) -> Report:
    """Compare everything with everything. Takes seconds per million records; changes nothing."""
    return Verification(engine, folder).run()


def main(argv: list[str]) -> int:
    """`python -m entrepot.keeper.verify DATA`: the report as JSON; exit 1 on a difference."""
    folder = Folder(Path(argv[1]))
    report = verify(open_database(folder.database), folder)
    sys.stdout.buffer.write(msgspec.json.encode(report) + b"\n")
    return 0 if report.agree else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv))
