"""What was signed or used stays: which changes of a customer's contracts a file may make. Pure.

A signed contract (one with an id) changes in one way only, it may end earlier, from now on. The terms of any contract
stay as they are for the time in which its customer has used something; from a later instant on the next one holds.
"""

from collections.abc import Iterable, Mapping

from entrepot.catalog.contents import Catalog, Contract, Customer
from entrepot.catalog.export import as_written
from entrepot.catalog.fields import Report
from entrepot.catalog.file import CatalogFile
from entrepot.catalog.lines import Path
from entrepot.kernel.instants import HOUR, MINUTE, Instant, show

#: What changes a price in force starts at least this long after it is published (money-rules §7).
NOTICE = 15 * MINUTE
#: Customer → the first and the last hour of its usage.
Used = Mapping[str, tuple[Instant, Instant]]
_SHOWN = {"book": "book", "starts_at": "from", "ends_at": "until", "rows": "prices"}


def check_contracts(file: CatalogFile, existing: Catalog, now: Instant, used: Used, report: Report) -> None:
    """Add every mistake to the report."""
    for customer in file.catalog.customers.values():
        places = {each.starts_at: path for path, each in file.contracted if path[1] == customer.id}
        before = existing.customers.get(customer.id)
        if before is None or before.contracts == customer.contracts:
            continue
        check = _Contracts(customer, places, now, report)
        if check.signed_ones_stay(before) and customer.id in used and check.usage_stays_covered(*used[customer.id]):
            check.terms_stay(before, used[customer.id][0])


def round_up(at: Instant) -> Instant:
    """The next whole five minutes that leave five for reading and applying."""
    step = 5 * MINUTE
    return -(-(at + step) // step) * step


def _next_hour(at: Instant) -> Instant:
    """Where a contract may end that is applied at `at`: contracts end on the hour."""
    return -(-round_up(at) // HOUR) * HOUR


class _Contracts:
    """The contracts that a file gives one customer who has some already."""

    def __init__(self, customer: Customer, places: Mapping[Instant, Path], now: Instant, report: Report) -> None:
        self.customer, self.places, self.now, self.report = customer, places, now, report
        self.whole: Path = ("customer", customer.id)

    def signed_ones_stay(self, before: Customer) -> bool:
        """Report what would change of a signed contract; whether all is well."""
        well = True
        for signed in before.contracts:
            now = next((each for each in self.customer.contracts if each.id == signed.id), None)
            if not signed.id or now == signed:
                continue
            if now is None:
                self._stays(self.whole, signed, f"{signed.id} of {self.customer.id} is signed and missing here")
            elif any(_differs(signed, now, {"ends_at"})):
                changed = "; ".join(_differs(signed, now, set()))
                self._stays(self._at(now), signed, f"{signed.id} is signed and never changes: {changed}")
            elif (signed.ends_at and not 0 < now.ends_at < signed.ends_at) or now.ends_at < self.now:
                at = (*self._at(now), "until")
                why = f"{signed.id} is signed: it may end earlier, from now on, and not later or in the past."
                then = show(signed.ends_at) if signed.ends_at else show(_next_hour(self.now + NOTICE))
                self.report.add(at, why, f"To go on, write the next contract below it with from = {then}.")
            else:
                continue
            well = False
        return well

    def usage_stays_covered(self, first: Instant, last: Instant) -> bool:
        """Report a start after the first hour of usage, an end before the last; whether all is well."""
        begins, ends = self.customer.contracts[0].starts_at, self.customer.contracts[-1].ends_at
        if begins >= first + HOUR:
            at = (*self._at(self.customer.contracts[0]), "from")
            why = f"{self.customer.id} has used since {show(first)}: no contract would hold for that."
            self.report.add(at, why, f"Write from = {show(first)} or earlier, or leave it out.")
            return False
        if 0 < ends <= last:
            at = (*self._at(self.customer.contracts[-1]), "until")
            why = f"{self.customer.id} has used until {show(last + HOUR)}: no contract would hold for that."
            self.report.add(at, why, f"Write until = {show(max(last + HOUR, _next_hour(self.now)))} or later.")
            return False
        return True

    def terms_stay(self, before: Customer, first: Instant) -> None:
        """Report terms that would change for what was used, or without notice."""
        soon = self.now + NOTICE
        begins = {each.starts_at for each in (*before.contracts, *self.customer.contracts) if first < each.starts_at}
        for at in sorted({first, *(each for each in begins if each < soon)}):
            was, will_be = before.contract(at), self.customer.contract(at)
            if was.terms != will_be.terms:
                changed = "; ".join(_differs(was, will_be, {"id", "starts_at", "ends_at", "notice_days"}))
                then = show(_next_hour(soon))
                self.report.add(
                    self._at(will_be),
                    f"{self.customer.id} has used since {show(first)} under other terms: {changed}.",
                    f"Leave that contract as it was with until = {then}, and write the next one below it with "
                    f"from = {then}.",
                )  # fmt: skip
                return

    def _stays(self, at: Path, signed: Contract, why: str) -> None:
        then = show(_next_hour(self.now + NOTICE))
        self.report.add(
            at, f"{why[:1].upper()}{why[1:]}.", f"It stands as: {as_written(signed)}",
            f"To change it, give it until = {then} and write the next contract below it with from = {then}.",
        )  # fmt: skip

    def _at(self, contract: Contract) -> Path:
        return self.places.get(contract.starts_at, self.whole)


def _differs(was: Contract, now: Contract, but: set[str]) -> Iterable[str]:
    for name in Contract.__struct_fields__:
        old, new = getattr(was, name), getattr(now, name)
        if name not in but and old != new:
            shown = (_said(name, each) for each in (old, new))
            yield f"{_SHOWN.get(name, name)} is {' there and '.join(shown)} here"


def _said(name: str, value: object) -> str:
    if name in ("starts_at", "ends_at"):
        return show(value) if isinstance(value, int) and value else "not given"
    if name == "rows":
        count = len(value) if isinstance(value, tuple) else 0
        return f"{count} rows" if count != 1 else "1 row"
    return str(value)
