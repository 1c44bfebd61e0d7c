"""A month, rated, in a process of its own: `python -m entrepot.keeper.bills.rating DATA MONTH [CUSTOMER …]`.

It prints one JSON line for each customer (all of them where none is named), or an error as {"code", "message"} and
exits 1. Usage is that of the lake and, of segments that are not in it yet, of the journal up to where the rollup has
read; both must say what the rollup says, or nothing is rated. A segment that may still grow stands in `Rated.open`:
with one of those a draft can be made, and nothing be issued. Reads only; works beside a running house and without one.
"""

import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
from sqlalchemy import Connection, Engine

from entrepot.catalog.prices import BookVersion, PriceRow
from entrepot.customers.tables import read_contracts
from entrepot.keeper.bills.corrections import corrected, own_inputs
from entrepot.keeper.bills.sealed import (
    RERATINGS,
    contract_bytes,
    files_of,
    inputs_of,
    named_files,
    named_versions,
    reratings_hash,
)
from entrepot.keeper.lake import name_of
from entrepot.keeper.tails import BooksDisagree, tails
from entrepot.kernel.errors import EntrepotError, Fault
from entrepot.kernel.instants import show
from entrepot.metering import stretches, tables
from entrepot.metering.stretches import Cut, Stretches, StretchKey, StretchSums
from entrepot.metering.tables import LakeFile
from entrepot.pricing.agreement import Agreement, agreement_of
from entrepot.pricing.tables import read_versions
from entrepot.rating.line import Rated, to_bytes
from entrepot.rating.order import rate
from entrepot.rating.period import month
from entrepot.rating.prices import Rerating, changes, counted_since
from entrepot.rating.tables import carried, reratings
from entrepot.rating.usage import stretches as cuts_of
from entrepot.rating.usage import used
from entrepot.storage import attempts, reading
from entrepot.storage.database import open_database, read
from entrepot.storage.folder import Folder


class InputsChanged(EntrepotError):
    """Something that a bill was made of is not what it was."""

    code = "inputs_changed"


class CustomerUnknown(EntrepotError):
    """Nobody of this name has a contract."""

    code = "customer_unknown"
    fault = Fault.CALLER


class Decided(msgspec.Struct, frozen=True, kw_only=True):
    """What the database says of one customer's bill."""

    agreements: tuple[Agreement, ...]
    contract: bytes
    carried: Mapping[str, str]
    reratings: tuple[Rerating, ...]


class Month:
    """One month of some customers: what was read in one transaction, then the lake."""

    def __init__(
        self, engine: Engine, folder: Folder, name: str, customer: str = "", *,
        sealed: Mapping[str, str] | None = None, proposed: Sequence[Rerating] = (),
    ) -> None:  # fmt: skip
        self.period, self._folder, self._customer = month(name), folder, customer
        self._sealed, self._proposed = sealed, tuple(proposed)
        with read(engine) as conn:
            versions = read_versions(conn)
            if sealed:
                versions = tuple(named_versions(versions, sealed))
            self.decided = self._decided(conn, name, versions)
            self._cut = self._cuts([each for each in versions if each.valid_from < self.period.ends_at])
            self._positions = tables.positions(conn)
            listed = tables.manifest(conn)
            self._listed = {(file.slot, file.epoch, file.segment) for file in listed}
            self._files = named_files(listed, sealed) if sealed else [each for each in listed if self._overlaps(each)]
            self._inputs = files_of(listed, self._files)
            with ThreadPoolExecutor(1) as beside:  # the lake is read while the database still sums up
                summing = beside.submit(stretches.from_rollup, conn, self._cut, customer) if not sealed else None
                self._found = self._lake()
                self._rollup = summing.result() if summing else {}
        self._open: dict[str, set[str]] = {}

    def rated(self) -> Iterator[Rated]:
        """Customer by customer, in their order. Raises BooksDisagree, UsageBroken, LakeBroken."""
        found = self._found
        if not self._sealed:
            stretches.add(found, self._tails().items())
            compare(found, self._rollup)
        by: dict[str, list[tuple[StretchKey, StretchSums]]] = {}
        for key, sums in found.items():
            by.setdefault(key.customer, []).append((key, sums))
        if unknown := sorted({*by} - {*self.decided}):
            raise CustomerUnknown(f"there is usage of {', '.join(unknown[:3])}, who have no contract")
        for customer, decided in sorted(self.decided.items()):
            rows = used(by.get(customer, ()))
            if not rows and not decided.agreements[0].book:  # nothing was ever for sale to it
                if self._customer:
                    raise CustomerUnknown(f"nothing was for sale to {customer} in {self.period.name} or before")
                continue
            rated = rate(
                customer, rows, decided.agreements, self.period, reratings=decided.reratings, carried=decided.carried
            )
            inputs = inputs_of(self._inputs, decided.agreements, decided.contract, rated, decided.reratings)
            if self._sealed and dict(inputs) != dict(self._sealed):
                other = sorted(name for name, sha256 in inputs if self._sealed.get(name) != sha256)
                gone = sorted({*self._sealed} - {name for name, _ in inputs})
                raise InputsChanged(f"{customer}, {self.period.name}: {', '.join(other + gone)} is not what it was")
            yield msgspec.structs.replace(rated, inputs=inputs, open=tuple(sorted(self._open.get(customer, ()))))

    def _decided(self, conn: Connection, name: str, versions: Sequence[BookVersion]) -> dict[str, Decided]:
        """Versions that begin later say nothing, unless something was re-rated as by one of them."""
        contracts = read_contracts(conn)
        groups, decided = carried(conn, name), reratings(conn)
        if self._customer and self._customer not in contracts:
            raise CustomerUnknown(f"there is no customer {self._customer!r}; entrepot customer list")
        found: dict[str, Decided] = {}
        for customer, signed in contracts.items():
            if self._customer in ("", customer):
                own = (*self._proposed, *self._reratings(decided.get(customer, ())))
                named = {each.version for each in own}
                books = [each for each in versions if each.valid_from < self.period.ends_at or each.id in named]
                found[customer] = Decided(
                    agreements=tuple(agreement_of(each, books) for each in signed),
                    contract=contract_bytes(signed, self.period), carried=groups.get(customer, {}), reratings=own,
                )  # fmt: skip
        return found

    def _reratings(self, approved: Iterable[Rerating]) -> tuple[Rerating, ...]:
        """Those that touch the month; for a bill that was made, those that it was made of: later ones came since."""
        ours = [each for each in approved
                if each.starts_at < self.period.ends_at and self.period.starts_at < each.ends_at]  # fmt: skip
        if self._sealed is None:
            return tuple(ours)
        known = (tuple(ours[place:]) for place in range(len(ours)))
        return next((each for each in known if reratings_hash(each) == self._sealed.get(RERATINGS)), ())

    def _cuts(self, versions: Sequence[BookVersion]) -> Cut:
        """Changes of books cut the time for everybody. Customers in whose contracts more happens within it are taken
        hour by hour."""
        ends_at = self.period.ends_at
        begins = self.period.starts_at
        since = min((counted_since(each.agreements, begins) for each in self.decided.values()), default=begins)
        common = {self.period.starts_at, *(each.valid_from for each in versions)}
        hourly = {
            customer
            for customer, decided in self.decided.items()
            if any(each > since for each in changes(decided.agreements, ends_at, decided.reratings) - common)
        }
        agreements = [each for decided in self.decided.values() for each in decided.agreements]
        return Cut(
            starts=tuple(cuts_of(common, since, ends_at)), until=ends_at, hourly=frozenset(hourly),
            by_hour=any(row.when.hours for row in _rows(versions, agreements)),
        )  # fmt: skip

    def _overlaps(self, file: LakeFile) -> bool:
        return bool(file.rows) and file.first_at < self._cut.until and file.last_at >= self._cut.starts[0]

    def _lake(self) -> Stretches:
        """Sums of the files, by the one statement."""
        paths = [self._folder.lake / file.path for file in self._files]
        return stretches.from_lake(reading.answer(paths, attempts.billable(self._cut, self._customer)))

    def _tails(self) -> Stretches:
        """Sums of what the rollup has read of segments that have no file yet."""
        found: Stretches = {}
        for segment, groups in tails(self._folder, self._positions, self._listed):
            parts = stretches.from_groups(groups, self._cut, self._customer)
            for key in parts:
                self._open.setdefault(key.customer, set()).add(name_of(segment))
            stretches.add(found, parts.items())
        return found


def _rows(versions: Iterable[BookVersion], agreements: Iterable[Agreement]) -> list[PriceRow]:
    return [*(row for each in versions for row in each.rows), *(row for each in agreements for row in each.rows)]


def rated(
    engine: Engine, folder: Folder, customer: str, name: str, *,
    sealed: Mapping[str, str] | None = None, proposed: Sequence[Rerating] = (),
) -> Rated:  # fmt: skip
    """One customer's month, with what of its earlier ones was billed otherwise than it is right now. With `sealed`, the
    inputs of a bill by name: of exactly those, as the bill was made. With `proposed`: as it would be if these
    re-ratings were approved."""

    def again(month: str, inputs: Mapping[str, str] | None) -> Rated:
        [right] = Month(engine, folder, month, customer, sealed=inputs, proposed=proposed).rated()
        return right

    return corrected(engine, again(name, own_inputs(sealed)), again, sealed)


def rated_all(engine: Engine, folder: Folder, name: str) -> Iterator[Rated]:
    """Everybody's month, from one look at the lake, and of each the corrections of earlier ones."""
    for found in Month(engine, folder, name).rated():

        def again(month: str, inputs: Mapping[str, str] | None, customer: str = found.customer) -> Rated:
            [right] = Month(engine, folder, month, customer, sealed=inputs).rated()
            return right

        yield corrected(engine, found, again)


def compare(ours: Mapping[StretchKey, StretchSums], theirs: Mapping[StretchKey, StretchSums]) -> None:
    """Raises BooksDisagree with the first difference between the lake with its tail, and the rollup."""
    for key in sorted({*ours, *theirs}):
        have, should = ours.get(key), theirs.get(key)
        if have == should:
            continue
        group = ", ".join(f"{name} {value}" for name, value in zip(key._fields[:-2], key, strict=False) if value)
        for name, one, other in zip(
            StretchSums._fields, have or (0,) * len(StretchSums._fields), should or (0,) * len(StretchSums._fields),
            strict=True,
        ):  # fmt: skip
            if one != other:
                raise BooksDisagree(
                    f"{name} of {group}, hours since {show(key.stretch)}: {one} in the lake, {other} in the rollup; "
                    "entrepot verify says which is wrong"
                )


def main(argv: Sequence[str]) -> int:
    os.nice(10)  # calls go first
    folder = Folder(Path(argv[1]))
    engine = open_database(folder.database)
    try:
        named = (rated(engine, folder, each, argv[2]) for each in argv[3:])
        for found in named if argv[3:] else rated_all(engine, folder, argv[2]):
            sys.stdout.buffer.write(to_bytes(found) + b"\n")
    except EntrepotError as error:
        sys.stdout.buffer.write(msgspec.json.encode({"code": error.code, "message": error.message}) + b"\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
